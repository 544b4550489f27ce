//! The questions of `flyte create config` at a terminal, if the command line does not name a control plane.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use flyte_auth::api_key::{self, ApiKey};
use flyte_auth::http::Http;
use flyte_auth::{AuthError, ConnectFailure, SessionOptions, Unattended};
use flyte_config::{Config, Document, Endpoint, Environment, key, search};

use super::config::readable;
use crate::failure::{Exit, Failure};
use crate::global::Address;
use crate::{confirm, output};

/// The time limit for the server's answer.
const PATIENCE: Duration = Duration::from_secs(10);

/// The failure if there is no terminal to ask.
pub(super) fn impossible() -> Failure {
    Failure::new("the control plane is missing: --endpoint HOST")
        .why("there is no terminal to ask for it")
        .next("Run `flyte create config --endpoint HOST`; see `flyte create config --help`.")
        .exit(Exit::Usage)
}

/// Asks for the endpoint until the answer is valid; an empty answer means the suggested one.
pub(super) fn endpoint(target: &Path, environment: &Environment) -> Result<Address, Failure> {
    let found = found(target, environment);
    output::tell("Enter the address of the control plane, for example flyte.example.com or localhost:8443.");
    for (place, endpoint) in &found {
        output::tell(&format!("{place}: {endpoint}"));
    }
    let default = found.first().map(|(_, endpoint)| endpoint.authority().to_owned());
    let question = match &default {
        Some(default) => format!("Endpoint [{default}]:"),
        None => "Endpoint:".to_owned(),
    };
    loop {
        let typed = confirm::question(&question)?.ok_or_else(ended)?;
        let text =
            if typed.trim().is_empty() { default.as_deref().unwrap_or_default() } else { typed.trim() };
        match text.parse::<Address>() {
            Ok(address) => return Ok(address),
            Err(error) => output::tell(&output::printable(&error.to_string())),
        }
    }
}

/// Asks for the file of the server's certificate authority if this machine does not trust its certificate. Other problems with
/// the server are only reported, because the configuration is valid anyway.
pub(super) fn authority(
    endpoint: &Endpoint,
    known: Option<&str>,
    environment: &Environment,
) -> Result<Option<String>, Failure> {
    let mut config = Config::default();
    config.admin.ca_cert_file_path = known.map(|file| environment.resolve(file));
    let options = SessionOptions::from_config(endpoint.clone(), &config, environment, Arc::new(Unattended));
    match reach(&options)? {
        Some(ConnectFailure::UnknownAuthority) => {}
        Some(failure) => {
            output::tell(&format!("note: cannot reach {endpoint}: {failure}."));
            return Ok(None);
        }
        None => return Ok(None),
    }
    let page = endpoint.url().as_str();
    output::tell(&format!(
        "This machine does not trust the authority that issued the certificate of {endpoint}. A flyte-server names the \
         authority's file when it starts, and offers it as ca.pem at {page}."
    ));
    loop {
        let typed =
            confirm::question("File of the certificate authority (Enter for none):")?.ok_or_else(ended)?;
        if typed.trim().is_empty() {
            return Ok(None);
        }
        match readable(&environment.resolve(typed.trim())) {
            Ok(file) => return Ok(Some(file)),
            Err(failure) => output::tell(&output::printable(&failure.summary())),
        }
    }
}

/// Returns why the server cannot be reached. Sends only a request for its root.
fn reach(options: &SessionOptions) -> Result<Option<ConnectFailure>, Failure> {
    let failed = |error: &AuthError| Failure::auth("cannot check the server", error);
    let url = options.endpoint.url();
    let http = Http::new(&options.http, url.clone()).map_err(|error| failed(&error))?;
    let client = http.client_for(url).map_err(|error| failed(&error))?;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| Failure::new("cannot start").why(error))?;
    let answer = runtime.block_on(async { client.head(url.clone()).timeout(PATIENCE).send().await });
    runtime.shutdown_background();
    Ok(answer.err().map(|error| http.failure(url, &error)))
}

/// The failure if the user ended the input instead of answering.
fn ended() -> Failure {
    // The prompt does not end with a newline.
    output::tell("");
    Failure::new("the question was not answered")
        .why("no file was written")
        .next("Run `flyte create config --endpoint HOST`.")
        .exit(Exit::Usage)
}

/// Endpoints that are configured on this machine, without duplicates, with their source, the best one first.
fn found(target: &Path, environment: &Environment) -> Vec<(String, Endpoint)> {
    let mut found: Vec<(String, Endpoint)> = Vec::new();
    let mut add = |place: String, endpoint: Option<Endpoint>| {
        if let Some(endpoint) = endpoint
            && found.iter().all(|(_, known)| known.dns() != endpoint.dns())
        {
            found.push((place, endpoint));
        }
    };
    for name in key::ENDPOINT.variables() {
        let endpoint = environment.variable(&name).and_then(|text| text.parse().ok());
        add(format!("{name}, which takes precedence over files"), endpoint);
    }
    let key = ApiKey::from_environment(environment).ok().flatten();
    add(api_key::VARIABLE.to_owned(), key.map(|key| key.endpoint));
    let in_effect = search::find(None, environment).ok().flatten();
    for file in [Some(target.to_owned()), in_effect].into_iter().flatten() {
        let document = Document::open(&file).ok();
        let endpoint = document.as_ref().and_then(|document| document.get(key::ENDPOINT)?.parse().ok());
        add(file.display().to_string(), endpoint);
    }
    found
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn endpoints_are_unique_and_nearest_first() {
        let home = tempfile::tempdir().unwrap();
        let path = home.path().join("config.yaml");
        let mut environment = Environment {
            directory: home.path().to_owned(),
            home: Some(home.path().to_owned()),
            ..Environment::default()
        };
        let list = |environment: &Environment| {
            let found = found(&path, environment).into_iter();
            let list = found.map(|(place, endpoint)| format!("{place}: {}", endpoint.authority()));
            let list = list.collect::<Vec<_>>().join("\n").replace(home.path().to_str().unwrap(), "~");
            list.replace(std::path::MAIN_SEPARATOR, "/")
        };
        assert_eq!(list(&environment), "");
        fs::create_dir(home.path().join(".flyte")).unwrap();
        fs::write(home.path().join(".flyte/config.yaml"), "admin:\n  endpoint: dns:///home\n").unwrap();
        assert_eq!(list(&environment), "~/.flyte/config.yaml: home");
        fs::write(&path, "admin:\n  endpoint: https://target/\n").unwrap();
        assert_eq!(list(&environment), "~/config.yaml: target");
        fs::write(&path, "admin:\n  endpoint: 'no endpoint'\n").unwrap();
        assert_eq!(list(&environment), "");
        fs::remove_file(&path).unwrap();
        let variable = |endpoint: &str| [("FLYTE_ADMIN_ENDPOINT".to_owned(), endpoint.to_owned())].into();
        environment.variables = variable("dns:///home");
        assert_eq!(list(&environment), "FLYTE_ADMIN_ENDPOINT, which takes precedence over files: home");
        environment.variables = variable("other:1");
        assert_eq!(
            list(&environment),
            "FLYTE_ADMIN_ENDPOINT, which takes precedence over files: other:1\n~/.flyte/config.yaml: home"
        );
    }
}
