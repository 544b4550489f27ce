//! Passwords of other programs in encrypted files: what the Python package `keyring` needs of a backend.

use flyte_config::Environment;
use secrecy::{ExposeSecret as _, SecretString};

use super::{KEYRING_TIMEOUT, Login, SecretText, SharedEntry, StoreError, StoreOptions, file::EncryptedFile};
use crate::session::{data_dir, state_dir};

/// The user of the entry in which Flyte tools store the login of an endpoint.
const TOKENS: &str = "tokens";

/// Passwords by service and user. The entry `tokens` of an endpoint is the login that the `flyte` command reads and writes if there is
/// no keyring; every other entry has a file of its own.
#[derive(Clone, Debug)]
pub struct Passwords {
    options: StoreOptions,
}

impl Passwords {
    /// The passwords of the person who has this environment.
    #[must_use]
    pub fn new(environment: &Environment) -> Self {
        Self {
            options: StoreOptions {
                service: String::new(),
                data_dir: data_dir(environment),
                state_dir: state_dir(environment),
                kind: None,
                keyring_timeout: KEYRING_TIMEOUT,
                unlock_timeout: KEYRING_TIMEOUT,
            },
        }
    }

    /// Reads a password; `None` if there is none.
    ///
    /// # Errors
    /// [`StoreError::NoHome`], and the errors of reading the file.
    pub fn get(&self, service: &str, user: &str) -> Result<Option<SecretString>, StoreError> {
        if user == TOKENS
            && let Some(login) = self.login(service)?.read()?
        {
            let text = serde_json::to_string(&SharedEntry::of(&login));
            return text.map(|text| Some(text.into())).map_err(|_| StoreError::Crypto("written as JSON"));
        }
        let text: Option<SecretText> = self.password(service, user)?.read_content()?;
        Ok(text.map(|text| text.0))
    }

    /// Writes a password.
    ///
    /// # Errors
    /// [`StoreError::NoHome`], and the errors of writing the file. The previous password is still there then.
    pub fn set(&self, service: &str, user: &str, password: &SecretString) -> Result<(), StoreError> {
        let entry: Option<SharedEntry> = match user {
            TOKENS => serde_json::from_str(password.expose_secret()).ok(),
            _ => None,
        };
        match entry {
            Some(entry) => {
                let file = self.login(service)?;
                let details = file.read()?.and_then(|login| login.details);
                let login: Login = entry.into_login(details);
                file.write(&login)
            }
            None => self.password(service, user)?.write_content(&SecretText(password.clone())),
        }
    }

    /// Removes a password, and returns whether there was one.
    ///
    /// # Errors
    /// [`StoreError::NoHome`], and the errors of removing the file.
    pub fn remove(&self, service: &str, user: &str) -> Result<bool, StoreError> {
        let mut files = vec![self.password(service, user)?];
        if user == TOKENS {
            files.push(self.login(service)?);
        }
        let mut removed = false;
        for file in files.iter().filter(|file| file.exists()) {
            file.remove()?;
            removed = true;
        }
        Ok(removed)
    }

    fn login(&self, service: &str) -> Result<EncryptedFile, StoreError> {
        EncryptedFile::new(&self.of(service)).ok_or(StoreError::NoHome)
    }

    fn password(&self, service: &str, user: &str) -> Result<EncryptedFile, StoreError> {
        EncryptedFile::of_password(&self.of(service), user).ok_or(StoreError::NoHome)
    }

    fn of(&self, service: &str) -> StoreOptions {
        StoreOptions { service: service.to_owned(), ..self.options.clone() }
    }
}

/// Reads a password of `user` at the service of these options; `None` if there is none.
pub(super) async fn secret(options: &StoreOptions, user: &str) -> Result<Option<SecretString>, StoreError> {
    let Some(file) = EncryptedFile::of_password(options, user) else { return Ok(None) };
    let text: Option<SecretText> = file.run_blocking(|file| file.read_content()).await?;
    Ok(text.map(|text| text.0))
}

#[cfg(test)]
mod tests {
    use std::{collections::BTreeMap, path::Path};

    use super::*;

    fn passwords(home: &Path) -> Passwords {
        Passwords::new(&Environment {
            variables: BTreeMap::default().into_iter().collect(),
            directory: home.to_owned(),
            home: Some(home.to_owned()),
        })
    }

    fn text(found: Option<SecretString>) -> Option<String> {
        found.map(|found| found.expose_secret().to_owned())
    }

    #[test]
    fn passwords_are_encrypted_and_apart() {
        let home = tempfile::tempdir().unwrap();
        let passwords = passwords(home.path());
        for (service, user, password) in [("a", "bc", "one"), ("ab", "c", "two"), ("a", TOKENS, "no tokens")]
        {
            assert_eq!(text(passwords.get(service, user).unwrap()), None);
            passwords.set(service, user, &password.into()).unwrap();
        }
        assert_eq!(text(passwords.get("a", "bc").unwrap()).as_deref(), Some("one"));
        assert_eq!(text(passwords.get("ab", "c").unwrap()).as_deref(), Some("two"));
        assert_eq!(text(passwords.get("a", TOKENS).unwrap()).as_deref(), Some("no tokens"));
        for entry in std::fs::read_dir(home.path().join(".local/share/flyte")).unwrap() {
            let content = std::fs::read(entry.unwrap().path()).unwrap();
            assert!(!content.windows(3).any(|three| three == b"one" || three == b"two"));
        }
        // The command finds what `keyring set` has stored.
        let options = passwords.of("ab");
        let found = tokio::runtime::Runtime::new().unwrap().block_on(secret(&options, "c")).unwrap();
        assert_eq!(text(found).as_deref(), Some("two"));
        assert!(passwords.remove("a", "bc").unwrap() && !passwords.remove("a", "bc").unwrap());
        assert_eq!(text(passwords.get("a", "bc").unwrap()), None);
    }

    #[test]
    fn tokens_are_the_login_of_the_endpoint() {
        let home = tempfile::tempdir().unwrap();
        let passwords = passwords(home.path());
        let written = r#"{"access_token": "a", "refresh_token": "r"}"#;
        passwords.set("localhost:8443", TOKENS, &written.into()).unwrap();
        let login = passwords.login("localhost:8443").unwrap().read().unwrap().unwrap();
        assert_eq!(login.access_token.expose_secret(), "a");
        assert_eq!(login.refresh_token.unwrap().expose_secret(), "r");
        let read = text(passwords.get("localhost:8443", TOKENS).unwrap()).unwrap();
        assert_eq!(
            serde_json::from_str::<serde_json::Value>(&read).unwrap(),
            serde_json::from_str::<serde_json::Value>(written).unwrap()
        );
        assert!(passwords.remove("localhost:8443", TOKENS).unwrap());
        assert_eq!(text(passwords.get("localhost:8443", TOKENS).unwrap()), None);
    }
}
