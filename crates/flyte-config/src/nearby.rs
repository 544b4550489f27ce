//! Settings that need an approval, because their file was found by the working directory.
//!
//! The author of a repository can put a `config.yaml` into it, and it then applies to everyone who checks the repository out. Most
//! keys are harmless. But some keys choose the server that receives tokens, the file or variable that is sent as a secret, or the
//! program that runs.

use std::fmt;
use std::path::{Path, PathBuf};

use url::Url;

use crate::config::Admin;
use crate::key::{self, Key};
use crate::{Environment, search};

/// The settings of a file in the working directory, or at the root of its git repository, that need an approval.
#[derive(Clone, PartialEq, Eq)]
pub struct Nearby {
    /// The file.
    pub path: PathBuf,
    /// The settings to show to the person, the control plane first; never empty. A value may contain a proxy's password.
    pub settings: Vec<(&'static Key, String)>,
}

impl fmt::Debug for Nearby {
    /// Writes the keys without the values.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let keys: Vec<_> = self.settings.iter().map(|(key, _)| key.to_string()).collect();
        f.debug_struct("Nearby").field("path", &self.path).field("keys", &keys).finish()
    }
}

impl Nearby {
    /// Collects the settings of the file at `path` that need an approval. `admin` has the settings of the file alone, and
    /// `effective` those with environment variables. `None` if the person named the file, if it is in the person's home directory,
    /// or if no setting needs an approval.
    ///
    /// The control plane and the mode are always included, because an approval of a secret for one server must not be valid for
    /// another one. If the environment has a secret or a command, the control plane itself needs an approval.
    pub(crate) fn find(
        path: &Path,
        named: bool,
        admin: &Admin,
        effective: &Admin,
        environment: &Environment,
    ) -> Option<Self> {
        let same = |own: PathBuf| matches!((own.canonicalize(), path.canonicalize()), (Ok(own), Ok(path)) if own == path);
        let own =
            environment.home.as_deref().is_some_and(|home| search::of_person(home).into_iter().any(same));
        let by_variable = ["UCTL_CONFIG", "FLYTECTL_CONFIG"]
            .into_iter()
            .filter_map(|variable| environment.variable(variable))
            .any(|file| same(environment.resolve(file)));
        if named || own || by_variable {
            return None;
        }
        let words = |words: &[String]| (!words.is_empty()).then(|| words.join(" "));
        let file = |path: &Option<PathBuf>| path.as_ref().map(|path| path.display().to_string());
        let settings: Vec<_> = [
            (key::INSECURE_SKIP_VERIFY, admin.insecure_skip_verify.then(|| "true".to_owned())),
            (key::CA_CERT_FILE_PATH, file(&admin.ca_cert_file_path)),
            (key::COMMAND, words(&admin.command)),
            (key::PROXY_COMMAND, words(&admin.proxy_command)),
            (key::CLIENT_SECRET_LOCATION, file(&admin.client_secret_location)),
            (key::CLIENT_PRIVATE_KEY_LOCATION, file(&admin.client_private_key_location)),
            (key::CLIENT_SECRET_ENV_VAR, admin.client_secret_env_var.clone()),
            (key::HTTP_PROXY_URL, admin.http_proxy_url.as_ref().map(Url::to_string)),
        ]
        .into_iter()
        .filter_map(|(key, value)| Some((key, value?)))
        .collect();
        let has_credentials = !effective.command.is_empty()
            || effective.client_secret_location.is_some()
            || effective.client_secret_env_var.is_some()
            || effective.client_private_key_location.is_some();
        let chooses_endpoint = admin.endpoint.is_some() && admin.endpoint == effective.endpoint;
        if settings.is_empty() && !(has_credentials && chooses_endpoint) {
            return None;
        }
        let server = [
            (key::ENDPOINT, admin.endpoint.as_ref().map(ToString::to_string)),
            (key::AUTH_TYPE, Some(admin.auth_type.to_string())),
            (key::CLIENT_ID, admin.client_id.clone()),
        ];
        let server = server.into_iter().filter_map(|(key, value)| Some((key, value?)));
        Some(Self { path: path.to_owned(), settings: server.chain(settings).collect() })
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;
    use crate::Config;

    const HARMLESS: &str =
        "admin:\n  endpoint: dns:///flyte.example.com\n  authType: DeviceFlow\ntask:\n  project: p\n";
    const NEEDS_APPROVAL: &str = "admin:\n  endpoint: dns:///flyte.example.com\n  caCertFilePath: ca.pem\n  command: [sh, -c, id]\n  \
        httpProxyURL: http://u:hunter2@proxy:3128\n";

    fn repository() -> (tempfile::TempDir, Environment) {
        let home = tempfile::tempdir().unwrap();
        let directory = home.path().join("repository");
        fs::create_dir_all(directory.join(".flyte")).unwrap();
        let environment =
            Environment { directory, home: Some(home.path().to_owned()), ..Environment::default() };
        (home, environment)
    }

    fn nearby(explicit: Option<&Path>, environment: &Environment) -> Option<Nearby> {
        Config::load(explicit, environment).unwrap().nearby
    }

    #[test]
    fn settings_of_a_repository_need_an_approval() {
        let (_home, mut environment) = repository();
        let path = environment.directory.join(".flyte/config.yaml");
        fs::write(&path, HARMLESS).unwrap();
        assert_eq!(nearby(None, &environment), None);
        fs::write(&path, NEEDS_APPROVAL).unwrap();
        let found = nearby(None, &environment).unwrap();
        let keys: Vec<_> = found.settings.iter().map(|(key, _)| key.to_string()).collect();
        let expected = [
            "admin.endpoint",
            "admin.authType",
            "admin.caCertFilePath",
            "admin.command",
            "admin.httpProxyURL",
        ];
        assert_eq!(keys, expected);
        assert_eq!(found.settings[3].1, "sh -c id");
        assert!(!format!("{found:?}").contains("hunter2"), "{found:?}");
        // The person's variables do not change the settings of the file.
        environment.variables.insert("FLYTE_ADMIN_INSECURESKIPVERIFY".into(), "true".into());
        environment.variables.insert("FLYTE_AUTH_COMMAND".into(), "true".into());
        assert_eq!(nearby(None, &environment), Some(found));
        // A file that the person names needs no approval.
        assert_eq!(nearby(Some(&path), &environment), None);
        environment.variables.insert("FLYTECTL_CONFIG".into(), path.display().to_string());
        assert_eq!(nearby(None, &environment), None);
    }

    #[test]
    fn an_invalid_setting_does_not_hide_the_other_settings() {
        let (_home, mut environment) = repository();
        let path = environment.directory.join(".flyte/config.yaml");
        fs::write(&path, NEEDS_APPROVAL.replace("dns:///flyte.example.com", "ftp://x")).unwrap();
        environment.variables.insert("FLYTE_ADMIN_ENDPOINT".into(), "flyte.example.com".into());
        let found = nearby(None, &environment).unwrap();
        assert!(found.settings.iter().any(|(key, _)| *key == key::COMMAND), "{found:?}");
    }

    #[test]
    fn the_control_plane_needs_an_approval_if_the_environment_has_a_secret() {
        let (_home, mut environment) = repository();
        fs::write(environment.directory.join(".flyte/config.yaml"), HARMLESS).unwrap();
        for (name, value) in [("FLYTE_ADMIN_CLIENTSECRETLOCATION", "secret"), ("FLYTE_AUTH_COMMAND", "token")]
        {
            environment.variables.insert(name.into(), value.into());
            let found = nearby(None, &environment).unwrap();
            assert_eq!(found.settings[0], (key::ENDPOINT, "https://flyte.example.com".to_owned()), "{name}");
            // If the environment names the control plane too, the file does not choose it.
            environment.variables.insert("FLYTE_ADMIN_ENDPOINT".into(), "other.example.com".into());
            assert_eq!(nearby(None, &environment), None, "{name}");
            environment.variables.clear();
        }
    }

    #[test]
    fn the_file_in_the_home_directory_needs_no_approval() {
        let (home, mut environment) = repository();
        fs::create_dir(home.path().join(".flyte")).unwrap();
        fs::write(home.path().join(".flyte/config.yaml"), NEEDS_APPROVAL).unwrap();
        assert_eq!(nearby(None, &environment), None);
        environment.directory = home.path().to_owned();
        assert_eq!(nearby(None, &environment), None);
        // Some people keep their home directory in a git repository.
        fs::create_dir(home.path().join(".git")).unwrap();
        environment.directory = home.path().join("repository");
        assert_eq!(nearby(None, &environment), None);
    }
}
