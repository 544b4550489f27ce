//! The keyring, with the encrypted file for a login that is older than the keyring or too long for it.

use std::sync::atomic::{AtomicBool, Ordering};

use async_trait::async_trait;

use super::{Backend, Login, StoreError, TokenStore};

/// The keyring and the file. The newer of the two logins counts. Writing stores it in the keyring only, or in the file only if it
/// is too long for the keyring (Windows). Reading moves nothing, because it takes no lock and another process might be writing.
#[derive(Debug)]
pub(super) struct KeyringWithFile<K, F> {
    keyring: K,
    file: F,
    /// Whether the login was in the file at the last read or write.
    in_file: AtomicBool,
}

impl<K, F> KeyringWithFile<K, F> {
    pub(super) fn new(keyring: K, file: F) -> Self {
        Self { keyring, file, in_file: AtomicBool::new(false) }
    }
}

#[async_trait]
impl<K: TokenStore, F: TokenStore> TokenStore for KeyringWithFile<K, F> {
    async fn load(&self) -> Result<Option<Login>, StoreError> {
        let issued_at = |login: &Login| login.details.as_ref().and_then(|details| details.issued_at);
        let (login, in_file) = match (self.keyring.load().await?, self.file.load().await?) {
            // Tokens without details come from another tool, which writes to the keyring only: they are the latest.
            (Some(in_keyring), Some(in_file))
                if issued_at(&in_keyring).is_some_and(|at| Some(at) < issued_at(&in_file)) =>
            {
                (Some(in_file), true)
            }
            (Some(in_keyring), _) => (Some(in_keyring), false),
            (None, login) => {
                let in_file = login.is_some();
                (login, in_file)
            }
        };
        self.in_file.store(in_file, Ordering::Relaxed);
        Ok(login)
    }

    async fn probe(&self) -> Result<(), StoreError> {
        self.keyring.probe().await?;
        match self.keyring.max_secret_len() {
            // The next tokens may be too long for the keyring.
            Some(_) => self.file.probe().await,
            None => Ok(()),
        }
    }

    async fn save(&self, login: &Login) -> Result<(), StoreError> {
        match self.keyring.save(login).await {
            Err(StoreError::TooLarge { limit }) => {
                tracing::info!(
                    limit,
                    "the tokens are too long for the keyring and are kept in the encrypted file"
                );
                self.file.save(login).await?;
                self.in_file.store(true, Ordering::Relaxed);
                // An older login that stays behind in the keyring is not used.
                if let Err(error) = self.keyring.clear().await {
                    tracing::warn!(%error, "an older login could not be removed from the keyring");
                }
                return Ok(());
            }
            outcome => outcome?,
        }
        self.in_file.store(false, Ordering::Relaxed);
        // An older login that stays behind in the file is not used.
        if let Err(error) = self.file.clear().await {
            tracing::warn!(%error, "the login moved into the keyring, but its file could not be removed");
        }
        Ok(())
    }

    async fn clear(&self) -> Result<(), StoreError> {
        self.file.clear().await?;
        self.keyring.clear().await
    }

    fn backend(&self) -> Backend {
        if self.in_file.load(Ordering::Relaxed) { self.file.backend() } else { self.keyring.backend() }
    }

    fn max_secret_len(&self) -> Option<usize> {
        self.file.max_secret_len()
    }
}

#[cfg(test)]
mod tests {
    use secrecy::{ExposeSecret as _, SecretString};

    use super::*;
    use crate::{
        oauth::ClientId,
        store::{LoginDetails, MemoryReason, memory::Memory},
        token::fingerprint,
    };

    fn memory() -> Memory {
        Memory::new(MemoryReason::Chosen)
    }

    /// A keyring that takes short secrets only, like the one of Windows.
    #[derive(Debug)]
    struct Narrow(Memory);

    #[async_trait]
    impl TokenStore for Narrow {
        async fn load(&self) -> Result<Option<Login>, StoreError> {
            self.0.load().await
        }
        async fn save(&self, login: &Login) -> Result<(), StoreError> {
            let limit = self.max_secret_len().unwrap();
            match login.access_token.expose_secret().len() > limit {
                true => Err(StoreError::TooLarge { limit }),
                false => self.0.save(login).await,
            }
        }
        async fn clear(&self) -> Result<(), StoreError> {
            self.0.clear().await
        }
        fn backend(&self) -> Backend {
            Backend::Keyring("Credential Manager")
        }
        fn max_secret_len(&self) -> Option<usize> {
            Some(1280)
        }
    }

    /// A file on a full disk.
    #[derive(Debug)]
    struct Full;

    #[async_trait]
    impl TokenStore for Full {
        async fn load(&self) -> Result<Option<Login>, StoreError> {
            Ok(None)
        }
        async fn probe(&self) -> Result<(), StoreError> {
            Err(StoreError::DiskFull { path: "/full".into() })
        }
        async fn save(&self, _: &Login) -> Result<(), StoreError> {
            self.probe().await
        }
        async fn clear(&self) -> Result<(), StoreError> {
            Ok(())
        }
        fn backend(&self) -> Backend {
            Backend::EncryptedFile("/full".into())
        }
    }

    #[tokio::test]
    async fn tokens_that_are_too_long_for_the_keyring_are_in_the_file_only() {
        let paired = KeyringWithFile::new(Narrow(memory()), memory());
        let (short, long) = (login("short", Some(1)), login(&"l".repeat(1281), Some(2)));
        let holders = async || {
            (paired.keyring.load().await.unwrap().is_some(), paired.file.load().await.unwrap().is_some())
        };
        paired.save(&short).await.unwrap();
        assert_eq!(holders().await, (true, false));
        paired.save(&long).await.unwrap();
        assert_eq!(holders().await, (false, true), "one login, in one store");
        assert_eq!(paired.load().await.unwrap().unwrap().access_token.expose_secret().len(), 1281);
        paired.save(&short).await.unwrap();
        assert_eq!(holders().await, (true, false), "back in the keyring");
    }

    #[tokio::test]
    async fn a_refresh_token_is_not_used_if_no_store_takes_a_long_answer() {
        let narrow = KeyringWithFile::new(Narrow(memory()), Full);
        assert!(matches!(narrow.probe().await, Err(StoreError::DiskFull { .. })));
        // A keyring without a limit needs no file.
        KeyringWithFile::new(memory(), Full).probe().await.unwrap();
    }

    fn login(access: &str, issued_at: Option<i64>) -> Login {
        Login {
            access_token: SecretString::from(access),
            refresh_token: None,
            details: issued_at.map(|at| LoginDetails {
                access_token_sha256: fingerprint(access),
                issued_at: Some(at),
                expires_at: None,
                scopes: Vec::new(),
                client_id: ClientId::parse("flyte").unwrap(),
                issuer: String::new(),
                subject: None,
                auth_type: "Pkce".to_owned(),
            }),
        }
    }

    async fn found(in_keyring: Option<Login>, in_file: Option<Login>) -> Option<String> {
        let paired = KeyringWithFile::new(memory(), memory());
        if let Some(login) = in_keyring {
            paired.keyring.save(&login).await.unwrap();
        }
        if let Some(login) = in_file {
            paired.file.save(&login).await.unwrap();
        }
        paired.load().await.unwrap().map(|login| login.access_token.expose_secret().to_owned())
    }

    #[tokio::test]
    async fn the_newer_login_counts() {
        let (old, new) = (|| Some(login("old", Some(1))), || Some(login("new", Some(2))));
        assert_eq!(found(None, old()).await.as_deref(), Some("old"));
        assert_eq!(found(new(), None).await.as_deref(), Some("new"));
        assert_eq!(found(new(), old()).await.as_deref(), Some("new"));
        assert_eq!(found(old(), new()).await.as_deref(), Some("new"));
        assert_eq!(found(Some(login("python's", None)), new()).await.as_deref(), Some("python's"));
        assert_eq!(found(None, None).await, None);
    }

    #[tokio::test]
    async fn writing_moves_a_login_into_the_keyring_and_reading_does_not() {
        let paired = KeyringWithFile::new(memory(), memory());
        paired.file.save(&login("a", Some(1))).await.unwrap();
        let found = paired.load().await.unwrap().unwrap();
        assert!(
            paired.file.load().await.unwrap().is_some() && paired.keyring.load().await.unwrap().is_none()
        );
        paired.save(&found).await.unwrap();
        assert!(
            paired.file.load().await.unwrap().is_none() && paired.keyring.load().await.unwrap().is_some()
        );
        paired.clear().await.unwrap();
        assert!(paired.load().await.unwrap().is_none());
    }
}
