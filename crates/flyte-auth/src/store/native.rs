//! macOS and Windows: Keychain and Credential Manager.

use keyring::v1::{Entry, Error};
use secrecy::{ExposeSecret as _, SecretString};

use super::StoreError;

/// The name of the keyring, for people.
#[cfg(target_os = "macos")]
pub(super) const NAME: &str = "Keychain";
/// The name of the keyring, for people.
#[cfg(not(target_os = "macos"))]
pub(super) const NAME: &str = "Credential Manager";

/// Credential Manager takes 2,560 bytes (`CRED_MAX_CREDENTIAL_BLOB_SIZE`), which hold half as many characters in UTF-16. Keychain
/// documents no limit.
pub(super) const MAX_SECRET_LEN: Option<usize> = if cfg!(windows) { Some(1280) } else { None };

/// The entries of one endpoint.
pub(super) struct Entries {
    service: String,
}

impl Entries {
    pub(super) async fn open(service: &str) -> Result<Option<Self>, StoreError> {
        Ok(Entry::store_status().is_ok().then(|| Self { service: service.to_owned() }))
    }

    /// Runs a call on a blocking thread, because it may wait for the person.
    async fn call<T: Send + 'static>(
        &self,
        user: &str,
        work: impl FnOnce(Entry) -> Result<T, Error> + Send + 'static,
    ) -> Result<Option<T>, StoreError> {
        let (service, user) = (self.service.clone(), user.to_owned());
        let outcome = tokio::task::spawn_blocking(move || Entry::new(&service, &user).and_then(work)).await;
        match outcome {
            Ok(Ok(value)) => Ok(Some(value)),
            Ok(Err(Error::NoEntry)) => Ok(None),
            Ok(Err(Error::TooLong(_, limit))) => {
                // `keyring` counts bytes of UTF-16.
                Err(StoreError::TooLarge { limit: usize::try_from(limit / 2).unwrap_or(usize::MAX) })
            }
            Ok(Err(error)) => Err(StoreError::Keyring { reason: error.to_string() }),
            Err(_) => Err(StoreError::Keyring { reason: "the call was interrupted".to_owned() }),
        }
    }

    /// Always `false`: each call unlocks the keyring if necessary.
    pub(super) async fn is_locked(&self) -> Result<bool, StoreError> {
        Ok(false)
    }

    /// Does nothing: each call prompts the person if necessary.
    pub(super) async fn unlock(&self) -> Result<(), StoreError> {
        Ok(())
    }

    pub(super) async fn get(&self, user: &str) -> Result<Option<SecretString>, StoreError> {
        self.call(user, |entry| entry.get_password().map(SecretString::from)).await
    }

    pub(super) async fn has(&self, user: &str) -> Result<bool, StoreError> {
        Ok(self.get(user).await?.is_some())
    }

    pub(super) async fn set(&self, user: &str, secret: &SecretString) -> Result<(), StoreError> {
        let secret = secret.clone();
        self.call(user, move |entry| entry.set_password(secret.expose_secret())).await.map(drop)
    }

    pub(super) async fn delete(&self, user: &str) -> Result<(), StoreError> {
        self.call(user, |entry| entry.delete_credential()).await.map(drop)
    }
}
