//! The stored login, and its store.

use std::{sync::Arc, time::Duration};

use secrecy::ExposeSecret as _;

use super::{Session, jitter, read};
use crate::{
    AuthError,
    clock::UnixTime,
    interaction::has_display,
    store::{self, KEYRING_TIMEOUT, Login, StoreOptions, TokenStore},
    token::{AccessToken, fingerprint, jwt_expiry},
};

/// The time that a person has to unlock the keyring at a desktop.
const UNLOCK_TIMEOUT: Duration = Duration::from_secs(30);

impl Session {
    pub(super) async fn store(&self) -> Result<&Arc<dyn TokenStore>, AuthError> {
        self.store
            .get_or_try_init(|| async {
                if self.uses_machine_credentials() {
                    return Ok(store::in_memory());
                }
                store::open(&self.store_options()).await.map_err(AuthError::from)
            })
            .await
    }

    pub(super) fn store_options(&self) -> StoreOptions {
        StoreOptions {
            service: self.options.endpoint.keyring_service(),
            data_dir: self.options.data_dir.clone(),
            state_dir: self.options.state_dir.clone(),
            kind: self.options.token_store,
            keyring_timeout: KEYRING_TIMEOUT,
            unlock_timeout: self.unlock_timeout(),
        }
    }

    /// The time that the person has to unlock the keyring. Without a person who can see the prompt, it is the time of any other
    /// answer.
    pub(super) fn unlock_timeout(&self) -> Duration {
        match self.options.interaction.is_interactive() && has_display() {
            true => UNLOCK_TIMEOUT,
            false => KEYRING_TIMEOUT,
        }
    }

    /// The token of a stored login; `None` if the server rejected it, or if it comes from another mode than the configured one.
    pub(super) fn stored_token(&self, login: &Login) -> Option<AccessToken> {
        let details = login.details.as_ref();
        if self.is_of_another_mode(login)
            || read(&self.rejected).as_ref() == Some(&fingerprint(login.access_token.expose_secret()))
        {
            return None;
        }
        let expires_at = expiry(login);
        let lifetime = details
            .and_then(|details| Some(details.expires_at? - details.issued_at?))
            .filter(|life| *life >= 0);
        Some(AccessToken::new(login.access_token.clone(), expires_at, lifetime, jitter()))
    }

    /// Whether the login comes from another mode than the configured one.
    pub(super) fn is_of_another_mode(&self, login: &Login) -> bool {
        login.details.as_ref().is_some_and(|details| details.auth_type != self.options.auth_type.as_str())
    }

    /// Uses this store instead of the machine's.
    #[cfg(test)]
    pub(crate) fn use_store_for_test(&self, store: Arc<dyn TokenStore>) {
        self.store.set(store).unwrap();
    }

    /// Stores a login, like an earlier command.
    #[cfg(test)]
    pub(crate) async fn keep_for_test(&self, login: &Login) {
        self.store().await.unwrap().save(login).await.unwrap();
        self.set_current(None);
    }

    /// Whether the stored login is ignored because of its mode.
    #[cfg(test)]
    pub(crate) async fn is_of_another_mode_for_test(&self) -> bool {
        let login = self.store().await.unwrap().load().await.unwrap().unwrap();
        self.is_of_another_mode(&login)
    }
}

/// The time at which a stored token expires: from its details, otherwise from the token.
pub(super) fn expiry(login: &Login) -> Option<UnixTime> {
    match &login.details {
        Some(details) => details.expires_at,
        None => jwt_expiry(login.access_token.expose_secret()),
    }
}
