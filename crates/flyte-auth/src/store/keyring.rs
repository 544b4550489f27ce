//! Tokens in the operating system's keyring: the entry that every Flyte tool shares, and one of our own beside it.

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
/// User name of our own entry beside it: what is known about the tokens, nothing secret.
const DETAILS: &str = "flyte-login";

/// The keyring's entries of one endpoint.
pub(super) struct Keyring {
    entries: system::Entries,
    /// How long each answer may take.
    timeout: Duration,
    /// How long a person may take to unlock it.
    unlock_timeout: Duration,
}

impl Keyring {
    /// The keyring; `None` where this machine has none.
    pub(super) async fn open(
        service: &str,
        timeout: Duration,
        unlock_timeout: Duration,
    ) -> Result<Option<Self>, StoreError> {
        let entries = answered(timeout, system::Entries::open(service)).await?;
        // Elsewhere than on Linux it is each call that asks the person.
        let timeout = if cfg!(target_os = "linux") { timeout } else { timeout.max(unlock_timeout) };
        Ok(entries.map(|entries| Self { entries, timeout, unlock_timeout }))
    }

    /// The secret of another user name.
    pub(super) async fn secret(&self, user: &str) -> Result<Option<SecretString>, StoreError> {
        self.within(self.entries.get(user)).await
    }

    /// Whether there is a login in it, which a locked one tells too.
    pub(super) async fn has_login(&self) -> Result<bool, StoreError> {
        answered(self.timeout, self.entries.has(TOKENS)).await
    }

    async fn within<T>(&self, work: impl Future<Output = Result<T, StoreError>>) -> Result<T, StoreError> {
        self.unlock().await?;
        answered(self.timeout, work).await
    }

    /// Makes sure that it is unlocked. A locked keyring asks the person, who may not be there.
    async fn unlock(&self) -> Result<(), StoreError> {
        if answered(self.timeout, self.entries.is_locked()).await? {
            let limit = self.unlock_timeout;
            let unanswered = Err(StoreError::KeyringLocked { seconds: limit.as_secs() });
            tokio::time::timeout(limit, self.entries.unlock()).await.unwrap_or(unanswered)?;
        }
        Ok(())
    }
}

/// A service that is there may never answer.
async fn answered<T>(
    timeout: Duration,
    work: impl Future<Output = Result<T, StoreError>>,
) -> Result<T, StoreError> {
    tokio::time::timeout(timeout, work)
        .await
        .unwrap_or(Err(StoreError::KeyringSilent { seconds: timeout.as_secs() }))
}

fn json<T: serde::Serialize>(value: &T) -> Result<SecretString, StoreError> {
    serde_json::to_string(value).map(SecretString::from).map_err(|_| StoreError::Crypto("written as JSON"))
}

#[async_trait]
impl TokenStore for Keyring {
    async fn load(&self) -> Result<Option<Login>, StoreError> {
        let Some(tokens) = self.within(self.entries.get(TOKENS)).await? else { return Ok(None) };
        let Ok(tokens) = serde_json::from_str::<SharedEntry>(tokens.expose_secret()) else {
            tracing::warn!("the keyring's entry is not a login: it is replaced at the next sign-in");
            return Ok(None);
        };
        let details = self.within(self.entries.get(DETAILS)).await?;
        let details: Option<LoginDetails> =
            details.and_then(|details| serde_json::from_str(details.expose_secret()).ok());
        Ok(Some(tokens.into_login(details)))
    }

    async fn probe(&self) -> Result<(), StoreError> {
        self.unlock().await
    }

    async fn save(&self, login: &Login) -> Result<(), StoreError> {
        // The tokens first: notes without their tokens are ignored, tokens without notes still work.
        self.within(self.entries.set(TOKENS, &json(&SharedEntry::of(login))?)).await?;
        let noted = match &login.details {
            Some(details) => self.within(self.entries.set(DETAILS, &json(details)?)).await,
            None => self.within(self.entries.delete(DETAILS)).await,
        };
        if let Err(error) = noted {
            tracing::warn!(%error, "what is known about the tokens could not be noted beside them");
        }
        Ok(())
    }

    async fn clear(&self) -> Result<(), StoreError> {
        self.within(self.entries.delete(TOKENS)).await?;
        self.within(self.entries.delete(DETAILS)).await
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

    #[tokio::test]
    async fn a_keyring_that_never_answers_is_not_waited_for() {
        let outcome =
            answered(Duration::from_millis(5), std::future::pending::<Result<(), StoreError>>()).await;
        assert!(matches!(outcome, Err(StoreError::KeyringSilent { .. })));
    }
}
