//! Settings of a file that was found because of where one stands.
//!
//! Whoever wrote a checked-out repository may have put a `config.yaml` into it. Most of its keys are harmless, but some decide
//! whom tokens are shown to, which file or variable is sent as a secret, or which program runs.

use std::fmt;
use std::path::{Path, PathBuf};

use url::Url;

use crate::config::Admin;
use crate::key::{self, Key};
use crate::{Environment, search};

/// What a file in the working directory, or at the root of the git repository around it, decides.
#[derive(Clone, PartialEq, Eq)]
pub struct Nearby {
    /// The file.
    pub path: PathBuf,
    /// The keys that are worth a look and their values, the control plane first; never empty. A value may hold a proxy's
    /// password.
    pub settings: Vec<(&'static Key, String)>,
}

impl fmt::Debug for Nearby {
    /// Without the values.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let keys: Vec<_> = self.settings.iter().map(|(key, _)| key.to_string()).collect();
        f.debug_struct("Nearby").field("path", &self.path).field("keys", &keys).finish()
    }
}

impl Nearby {
    /// What the file at `path` decides, by `admin` as it stands there alone, beside what is in effect; `None` where it was not
    /// found by place, is the person's own, or decides nothing of the kind.
    ///
    /// Where it does, the control plane and the mode of signing in belong to the picture: an approval of a secret for one
    /// server is none for another. The control plane is worth a look by itself where a secret or a command waits in the
    /// environment for whichever server there is.
    pub(crate) fn of(
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
        let waits = !effective.command.is_empty()
            || effective.client_secret_location.is_some()
            || effective.client_secret_env_var.is_some()
            || effective.client_private_key_location.is_some();
        let chooses = admin.endpoint.is_some() && admin.endpoint == effective.endpoint;
        if settings.is_empty() && !(waits && chooses) {
            return None;
        }
        let picture = [
            (key::ENDPOINT, admin.endpoint.as_ref().map(ToString::to_string)),
            (key::AUTH_TYPE, Some(admin.auth_type.to_string())),
            (key::CLIENT_ID, admin.client_id.clone()),
        ];
        let picture = picture.into_iter().filter_map(|(key, value)| Some((key, value?)));
        Some(Self { path: path.to_owned(), settings: picture.chain(settings).collect() })
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;
    use crate::Config;

    const HARMLESS: &str =
        "admin:\n  endpoint: dns:///flyte.example.com\n  authType: DeviceFlow\ntask:\n  project: p\n";
    const DECIDES: &str = "admin:\n  endpoint: dns:///flyte.example.com\n  caCertFilePath: ca.pem\n  command: [sh, -c, id]\n  \
        httpProxyURL: http://u:hunter2@proxy:3128\n";

    fn place() -> (tempfile::TempDir, Environment) {
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
    fn a_file_of_a_checkout_that_decides_something_is_told() {
        let (_home, mut environment) = place();
        let path = environment.directory.join(".flyte/config.yaml");
        fs::write(&path, HARMLESS).unwrap();
        assert_eq!(nearby(None, &environment), None);
        fs::write(&path, DECIDES).unwrap();
        let told = nearby(None, &environment).unwrap();
        let keys: Vec<_> = told.settings.iter().map(|(key, _)| key.to_string()).collect();
        let expected = [
            "admin.endpoint",
            "admin.authType",
            "admin.caCertFilePath",
            "admin.command",
            "admin.httpProxyURL",
        ];
        assert_eq!(keys, expected);
        assert_eq!(told.settings[3].1, "sh -c id");
        assert!(!format!("{told:?}").contains("hunter2"), "{told:?}");
        // What the person sets besides does not change what the file says.
        environment.variables.insert("FLYTE_ADMIN_INSECURESKIPVERIFY".into(), "true".into());
        environment.variables.insert("FLYTE_AUTH_COMMAND".into(), "true".into());
        assert_eq!(nearby(None, &environment), Some(told));
        // Whoever names it has chosen it.
        assert_eq!(nearby(Some(&path), &environment), None);
        environment.variables.insert("FLYTECTL_CONFIG".into(), path.display().to_string());
        assert_eq!(nearby(None, &environment), None);
    }

    #[test]
    fn a_mistake_that_a_variable_mends_hides_nothing() {
        let (_home, mut environment) = place();
        let path = environment.directory.join(".flyte/config.yaml");
        fs::write(&path, DECIDES.replace("dns:///flyte.example.com", "ftp://x")).unwrap();
        environment.variables.insert("FLYTE_ADMIN_ENDPOINT".into(), "flyte.example.com".into());
        let told = nearby(None, &environment).unwrap();
        assert!(told.settings.iter().any(|(key, _)| *key == key::COMMAND), "{told:?}");
    }

    #[test]
    fn the_control_plane_is_looked_at_where_a_secret_waits_for_it() {
        let (_home, mut environment) = place();
        fs::write(environment.directory.join(".flyte/config.yaml"), HARMLESS).unwrap();
        for (name, value) in [("FLYTE_ADMIN_CLIENTSECRETLOCATION", "secret"), ("FLYTE_AUTH_COMMAND", "token")]
        {
            environment.variables.insert(name.into(), value.into());
            let told = nearby(None, &environment).unwrap();
            assert_eq!(told.settings[0], (key::ENDPOINT, "https://flyte.example.com".to_owned()), "{name}");
            // Chosen by whoever chose the secret.
            environment.variables.insert("FLYTE_ADMIN_ENDPOINT".into(), "other.example.com".into());
            assert_eq!(nearby(None, &environment), None, "{name}");
            environment.variables.clear();
        }
    }

    #[test]
    fn the_file_of_the_person_is_their_own_wherever_they_stand() {
        let (home, mut environment) = place();
        fs::create_dir(home.path().join(".flyte")).unwrap();
        fs::write(home.path().join(".flyte/config.yaml"), DECIDES).unwrap();
        assert_eq!(nearby(None, &environment), None);
        environment.directory = home.path().to_owned();
        assert_eq!(nearby(None, &environment), None);
        // A home that is a git repository, as of people who keep their settings in one.
        fs::create_dir(home.path().join(".git")).unwrap();
        environment.directory = home.path().join("repository");
        assert_eq!(nearby(None, &environment), None);
    }
}
