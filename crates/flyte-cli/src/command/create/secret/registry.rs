//! Credentials of image registries as Kubernetes wants them: `.dockerconfigjson`.

use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use clap::Args;
use flyte_config::Environment;
use secrecy::{ExposeSecret as _, SecretSlice, SecretString};
use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::{ask, hidden};
use crate::confirm;
use crate::failure::{Exit, Failure};

/// Where the credentials of registries come from.
#[derive(Args, Debug)]
#[group(skip)]
pub(super) struct Registry {
    /// Take the credentials from docker's configuration, where `docker login` put them
    #[arg(long, conflicts_with_all = ["registry", "username", "password"])]
    from_docker_config: bool,

    /// Docker's configuration file. By default config.json in $DOCKER_CONFIG or ~/.docker
    #[arg(long, value_name = "FILE", requires = "from_docker_config")]
    docker_config_path: Option<PathBuf>,

    /// Registries to take from docker's configuration, separated by commas. By default all
    #[arg(long, value_name = "HOSTS", value_delimiter = ',', requires = "from_docker_config")]
    registries: Vec<String>,

    /// Host of the registry, for example ghcr.io
    #[arg(long, value_name = "HOST")]
    registry: Option<String>,

    /// User name at the registry
    #[arg(long, value_name = "NAME", requires = "registry")]
    username: Option<String>,

    /// Password at the registry. By default you are asked for it
    #[arg(long, value_name = "TEXT", value_parser = hidden, requires = "registry")]
    password: Option<SecretString>,
}

/// The part of docker's configuration that is about credentials.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct DockerConfig {
    #[serde(default)]
    auths: Map<String, Value>,
    #[serde(default)]
    cred_helpers: Map<String, Value>,
    #[serde(default)]
    creds_store: String,
}

/// What a credential helper prints.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Printed {
    username: String,
    secret: SecretString,
}

impl Registry {
    pub(super) fn is_used(&self) -> bool {
        self.from_docker_config || self.registry.is_some()
    }

    pub(super) fn has_password(&self) -> bool {
        self.password.is_some()
    }

    /// The credentials: from docker's configuration, from the options, or from the user.
    pub(super) fn credentials(
        self,
        environment: &Environment,
        what: &str,
    ) -> Result<SecretSlice<u8>, Failure> {
        if self.from_docker_config {
            let path = match &self.docker_config_path {
                Some(path) => path.clone(),
                None => match environment.variable("DOCKER_CONFIG") {
                    Some(directory) => environment.resolve(directory).join("config.json"),
                    None => environment.resolve("~/.docker/config.json"),
                },
            };
            return from_docker(&path, &self.registries).map_err(|why| {
                Failure::new(what.to_owned())
                    .why(format!("{}: {why}", path.display()))
                    .next("Sign in with `docker login`, or give --registry HOST.")
            });
        }
        let missing = |option: &str| {
            Failure::new(what.to_owned())
                .why("the registry or the user is missing")
                .next(format!("Give {option}."))
                .exit(Exit::Usage)
        };
        let given = |given: Option<String>, question: &str, option: &str| {
            if let Some(given) = given {
                return Ok(given);
            }
            match typed(question) {
                Some(answer) if !answer.is_empty() => Ok(answer),
                _ => Err(missing(option)),
            }
        };
        let registry = given(self.registry, "Registry (for example ghcr.io):", "--registry HOST")?;
        let username = given(self.username, "Username:", "--username NAME")?;
        let password = match self.password {
            Some(password) => password.expose_secret().as_bytes().to_vec().into(),
            None => ask(&format!("Password of {username} at {registry}: "), what)?,
        };
        if password.expose_secret().is_empty() {
            return Err(Failure::new(what.to_owned()).why("the password is empty").exit(Exit::Usage));
        }
        Ok(config(&registry, &username, password.expose_secret()))
    }
}

/// Asks for a line; `None` without a terminal, or at the end of the input. The reader of `keyboard` is not started for it: it would
/// take the password, which is read from the terminal itself.
fn typed(question: &str) -> Option<String> {
    if !confirm::possible() {
        return None;
    }
    let mut stderr = anstream::stderr();
    write!(stderr, "{question} ").and_then(|()| stderr.flush()).ok()?;
    let mut line = String::new();
    io::stdin().read_line(&mut line).ok()?;
    Some(line.trim().to_owned())
}

/// The `auth` of a registry (RFC 7617 section 2).
fn auth(username: &str, password: &[u8]) -> SecretString {
    STANDARD.encode([username.as_bytes(), b":", password].concat()).into()
}

fn config(registry: &str, username: &str, password: &[u8]) -> SecretSlice<u8> {
    let auth = auth(username, password);
    json!({"auths": {registry: {"auth": auth.expose_secret()}}}).to_string().into_bytes().into()
}

/// The credentials of these registries in docker's configuration, or of all.
fn from_docker(path: &Path, registries: &[String]) -> Result<SecretSlice<u8>, String> {
    let text = std::fs::read(path).map_err(|error| error.to_string())?;
    let config: DockerConfig = serde_json::from_slice(&text).map_err(|error| error.to_string())?;
    let wanted: Vec<_> = match registries {
        [] => config.auths.keys().cloned().collect(),
        some => some.iter().map(|name| name.trim().to_owned()).collect(),
    };
    let mut auths = Map::new();
    for registry in wanted {
        let stored = config.auths.get(&registry).and_then(|entry| entry["auth"].as_str());
        let auth = match stored.filter(|auth| !auth.is_empty()) {
            Some(auth) => auth.into(),
            None => from_helper(&config, &registry)?,
        };
        auths.insert(registry, json!({"auth": auth.expose_secret()}));
    }
    if auths.is_empty() {
        return Err("it has no registries".to_owned());
    }
    Ok(json!({"auths": auths}).to_string().into_bytes().into())
}

/// Asks docker's credential helper, which reads the registry from standard input and prints JSON.
fn from_helper(config: &DockerConfig, registry: &str) -> Result<SecretString, String> {
    let helper = match config.cred_helpers.get(registry).and_then(Value::as_str) {
        Some(helper) => helper,
        None => config.creds_store.as_str(),
    };
    if helper.is_empty() {
        return Err(format!("it has no credentials of {registry}"));
    }
    let program = format!("docker-credential-{helper}");
    let failed = |why: &dyn std::fmt::Display| format!("{program} gave no credentials of {registry}: {why}");
    let mut process = Command::new(&program)
        .arg("get")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .map_err(|error| failed(&error))?;
    if let Some(mut stdin) = process.stdin.take() {
        // A helper that does not read its input fails below.
        let _ = stdin.write_all(registry.as_bytes());
    }
    let output = process.wait_with_output().map_err(|error| failed(&error))?;
    if !output.status.success() {
        return Err(failed(&output.status));
    }
    let printed: Printed =
        serde_json::from_slice(&output.stdout).map_err(|_| failed(&"its output is not JSON"))?;
    Ok(auth(&printed.username, printed.secret.expose_secret().as_bytes()))
}

#[cfg(test)]
mod tests {
    use tempfile::TempDir;

    use super::*;

    #[test]
    fn credentials_are_a_docker_configuration() {
        let value = config("ghcr.io", "ada", b"s3cr3t");
        assert_eq!(value.expose_secret(), br#"{"auths":{"ghcr.io":{"auth":"YWRhOnMzY3IzdA=="}}}"#);
    }

    #[test]
    fn dockers_configuration_is_read() {
        let directory = TempDir::new().unwrap();
        let path = directory.path().join("config.json");
        let write = |value: Value| std::fs::write(&path, value.to_string()).unwrap();
        write(json!({"auths": {"a.io": {"auth": "YTpi"}, "b.io": {"auth": "Yzpk"}}, "other": 1}));
        let all: Value = serde_json::from_slice(from_docker(&path, &[]).unwrap().expose_secret()).unwrap();
        assert_eq!(all, json!({"auths": {"a.io": {"auth": "YTpi"}, "b.io": {"auth": "Yzpk"}}}));
        let one = from_docker(&path, &["b.io".to_owned()]).unwrap();
        assert_eq!(one.expose_secret(), br#"{"auths":{"b.io":{"auth":"Yzpk"}}}"#);
        let error = from_docker(&path, &["c.io".to_owned()]).unwrap_err();
        assert_eq!(error, "it has no credentials of c.io");
        write(json!({"auths": {"c.io": {}}, "credHelpers": {"c.io": "flyte-test-that-is-missing"}}));
        let error = from_docker(&path, &[]).unwrap_err();
        assert!(
            error.starts_with("docker-credential-flyte-test-that-is-missing gave no credentials"),
            "{error}"
        );
        write(json!({}));
        assert_eq!(from_docker(&path, &[]).unwrap_err(), "it has no registries");
    }
}
