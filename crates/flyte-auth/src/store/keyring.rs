//! Tokens in the operating system's keyring: the entry that all Flyte tools share, and a separate entry for details.

use std::{fmt, time::Duration};

use async_trait::async_trait;
use secrecy::{ExposeSecret as _, SecretString};

use super::{Backend, Login, LoginDetails, SharedEntry, StoreError, TokenStore};

#[cfg(not(target_os = "linux"))]
use super::native as system;
#[cfg(target_os = "linux")]
use super::secret_service as system;

/// User name of the entry that all Flyte tools share: a JSON object with `access_token` and `refresh_token`.
const TOKENS: &str = "tokens";
/// User name of the entry for details, which are not secret.
const DETAILS: &str = "flyte-login";

/// The keyring's entries of one endpoint.
pub(super) struct Keyring {
    entries: system::Entries,
    /// The time that the keyring has for each answer.
    timeout: Duration,
    /// The time that a person has to unlock it.
    unlock_timeout: Duration,
}

impl Keyring {
    /// Opens the keyring; `None` if this machine has none.
    pub(super) async fn open(
        service: &str,
        timeout: Duration,
        unlock_timeout: Duration,
    ) -> Result<Option<Self>, StoreError> {
        let entries = with_timeout(timeout, system::Entries::open(service)).await?;
        // On other systems than Linux, each call may ask the person.
        let timeout = if cfg!(target_os = "linux") { timeout } else { timeout.max(unlock_timeout) };
        Ok(entries.map(|entries| Self { entries, timeout, unlock_timeout }))
    }

    /// Reads the secret of another user name.
    pub(super) async fn secret(&self, user: &str) -> Result<Option<SecretString>, StoreError> {
        self.unlocked(self.entries.get(user)).await
    }

    /// Whether the keyring holds a login. It does not have to be unlocked.
    pub(super) async fn has_login(&self) -> Result<bool, StoreError> {
        with_timeout(self.timeout, self.entries.has(TOKENS)).await
    }

    /// Unlocks the keyring, then runs `work`.
    async fn unlocked<T>(&self, work: impl Future<Output = Result<T, StoreError>>) -> Result<T, StoreError> {
        self.unlock().await?;
        with_timeout(self.timeout, work).await
    }

    /// Unlocks the keyring if it is locked. The keyring then prompts the person, who may be absent.
    async fn unlock(&self) -> Result<(), StoreError> {
        if with_timeout(self.timeout, self.entries.is_locked()).await? {
            let limit = self.unlock_timeout;
            let unanswered = Err(StoreError::KeyringLocked { seconds: limit.as_secs() });
            tokio::time::timeout(limit, self.entries.unlock()).await.unwrap_or(unanswered)?;
        }
        Ok(())
    }
}

/// Limits the time of a call, because a running keyring service may never answer.
async fn with_timeout<T>(
    timeout: Duration,
    work: impl Future<Output = Result<T, StoreError>>,
) -> Result<T, StoreError> {
    tokio::time::timeout(timeout, work)
        .await
        .unwrap_or(Err(StoreError::KeyringSilent { seconds: timeout.as_secs() }))
}

/// Refuses a secret that is too long for the keyring, before anything is written: `limit` counts characters in UTF-16.
fn check_length(secret: &SecretString, limit: Option<usize>) -> Result<(), StoreError> {
    match limit {
        Some(limit) if secret.expose_secret().encode_utf16().count() > limit => {
            Err(StoreError::TooLarge { limit })
        }
        _ => Ok(()),
    }
}

fn json<T: serde::Serialize>(value: &T) -> Result<SecretString, StoreError> {
    serde_json::to_string(value).map(SecretString::from).map_err(|_| StoreError::Crypto("written as JSON"))
}

#[async_trait]
impl TokenStore for Keyring {
    async fn load(&self) -> Result<Option<Login>, StoreError> {
        let Some(tokens) = self.unlocked(self.entries.get(TOKENS)).await? else { return Ok(None) };
        let Ok(tokens) = serde_json::from_str::<SharedEntry>(tokens.expose_secret()) else {
            tracing::warn!("the keyring's entry is not a login; the next sign-in replaces it");
            return Ok(None);
        };
        let details = self.unlocked(self.entries.get(DETAILS)).await?;
        let details: Option<LoginDetails> =
            details.and_then(|details| serde_json::from_str(details.expose_secret()).ok());
        Ok(Some(tokens.into_login(details)))
    }

    async fn probe(&self) -> Result<(), StoreError> {
        self.unlock().await
    }

    async fn save(&self, login: &Login) -> Result<(), StoreError> {
        // The tokens first: details without their tokens are ignored, and tokens without details still work.
        let tokens = json(&SharedEntry::of(login))?;
        check_length(&tokens, system::MAX_SECRET_LEN)?;
        self.unlocked(self.entries.set(TOKENS, &tokens)).await?;
        let saved = match &login.details {
            Some(details) => {
                let details = json(details)?;
                match check_length(&details, system::MAX_SECRET_LEN) {
                    Ok(()) => self.unlocked(self.entries.set(DETAILS, &details)).await,
                    too_long => too_long,
                }
            }
            None => self.unlocked(self.entries.delete(DETAILS)).await,
        };
        if let Err(error) = saved {
            tracing::warn!(%error, "the details of the tokens could not be stored");
        }
        Ok(())
    }

    async fn clear(&self) -> Result<(), StoreError> {
        self.unlocked(self.entries.delete(TOKENS)).await?;
        self.unlocked(self.entries.delete(DETAILS)).await
    }

    fn backend(&self) -> Backend {
        Backend::Keyring(system::NAME)
    }

    fn max_secret_len(&self) -> Option<usize> {
        system::MAX_SECRET_LEN
    }
}

impl fmt::Debug for Keyring {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Keyring").field("system", &system::NAME).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_that_is_too_long_is_refused_before_it_is_written() {
        let check = |text: &str, limit| check_length(&SecretString::from(text), limit);
        let characters = |count| "x".repeat(count);
        assert!(check(&characters(1280), Some(1280)).is_ok());
        let error = check(&characters(1281), Some(1280)).unwrap_err();
        assert!(matches!(error, StoreError::TooLarge { limit: 1280 }), "{error:?}");
        // The keyring counts characters in UTF-16: one has three bytes in UTF-8, the other is two characters.
        assert!(check(&"€".repeat(1280), Some(1280)).is_ok());
        assert!(check(&"𝄞".repeat(640), Some(1280)).is_ok());
        assert!(check(&"𝄞".repeat(641), Some(1280)).is_err());
        assert!(check(&characters(1 << 20), None).is_ok());
    }

    #[tokio::test]
    async fn waiting_for_a_silent_keyring_ends() {
        let outcome =
            with_timeout(Duration::from_millis(5), std::future::pending::<Result<(), StoreError>>()).await;
        assert!(matches!(outcome, Err(StoreError::KeyringSilent { .. })));
    }
}
