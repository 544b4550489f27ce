//! A login that was kept in the encrypted file before this machine had a keyring.

use async_trait::async_trait;

use super::{Backend, Login, StoreError, TokenStore};

/// The keyring, with the file of the time before it. The newer login of the two counts; writing keeps it in the keyring
/// alone. Nothing moves at reading, which takes no lock: another process might be writing.
#[derive(Debug)]
pub(super) struct Moving<K, F> {
    keyring: K,
    file: F,
}

impl<K, F> Moving<K, F> {
    pub(super) fn new(keyring: K, file: F) -> Self {
        Self { keyring, file }
    }
}

#[async_trait]
impl<K: TokenStore, F: TokenStore> TokenStore for Moving<K, F> {
    async fn load(&self) -> Result<Option<Login>, StoreError> {
        let issued_at = |login: &Login| login.details.as_ref().and_then(|details| details.issued_at);
        Ok(match (self.keyring.load().await?, self.file.load().await?) {
            // Tokens without notes were written by another tool, which knows the keyring only and wrote there last.
            (Some(kept), Some(old)) if issued_at(&kept).is_some_and(|at| Some(at) < issued_at(&old)) => {
                Some(old)
            }
            (Some(kept), _) => Some(kept),
            (None, old) => old,
        })
    }

    async fn probe(&self) -> Result<(), StoreError> {
        self.keyring.probe().await
    }

    async fn save(&self, login: &Login) -> Result<(), StoreError> {
        self.keyring.save(login).await?;
        // In the keyring by now: a file that stays behind is the older of the two and is not read.
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
        self.keyring.backend()
    }
}

#[cfg(test)]
mod tests {
    use secrecy::{ExposeSecret as _, SecretString};

    use super::*;
    use crate::{
        store::{LoginDetails, memory::Memory},
        token::fingerprint,
    };

    fn login(access: &str, issued_at: Option<i64>) -> Login {
        Login {
            access_token: SecretString::from(access),
            refresh_token: None,
            details: issued_at.map(|at| LoginDetails {
                access_token_sha256: fingerprint(access),
                issued_at: Some(at),
                expires_at: None,
                scopes: Vec::new(),
                client_id: "flyte".to_owned(),
                issuer: String::new(),
                subject: None,
                auth_type: "Pkce".to_owned(),
            }),
        }
    }

    async fn found(kept: Option<Login>, old: Option<Login>) -> Option<String> {
        let moving = Moving::new(Memory::default(), Memory::default());
        if let Some(kept) = kept {
            moving.keyring.save(&kept).await.unwrap();
        }
        if let Some(old) = old {
            moving.file.save(&old).await.unwrap();
        }
        moving.load().await.unwrap().map(|login| login.access_token.expose_secret().to_owned())
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
    async fn reading_moves_nothing_and_writing_does() {
        let moving = Moving::new(Memory::default(), Memory::default());
        moving.file.save(&login("a", Some(1))).await.unwrap();
        let found = moving.load().await.unwrap().unwrap();
        assert!(
            moving.file.load().await.unwrap().is_some() && moving.keyring.load().await.unwrap().is_none()
        );
        moving.save(&found).await.unwrap();
        assert!(
            moving.file.load().await.unwrap().is_none() && moving.keyring.load().await.unwrap().is_some()
        );
        moving.clear().await.unwrap();
        assert!(moving.load().await.unwrap().is_none());
    }
}
