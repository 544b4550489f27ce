//! Signing out: revokes the tokens at the server, and removes them from all stores.

use std::time::Duration;

use secrecy::ExposeSecret as _;

use super::{Session, refresh::is_issued_by};
use crate::{
    AuthError,
    store::{self, Login, StoreError},
};

/// The outcome of signing out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SignedOut {
    /// Whether there was a login.
    pub was_signed_in: bool,
    /// Whether the server confirmed that the tokens are revoked (RFC 7009). If not, they are active until they expire.
    pub revoked: bool,
}

impl Session {
    /// Ends the login: revokes it if the server can be reached, and removes it in any case. The modes for machines have no login;
    /// a person's login at the same endpoint stays. Does not wait for sign-ins in progress.
    ///
    /// # Errors
    /// [`AuthError::Store`] if the tokens could not be removed.
    pub async fn logout(&self) -> Result<SignedOut, AuthError> {
        if self.uses_machine_credentials() {
            self.set_current(None);
            return Ok(SignedOut { was_signed_in: false, revoked: false });
        }
        let _writing = match self.lock_for_writing().await {
            Ok(writing) => Some(writing),
            // The person wants the tokens removed, even if another process holds the lock.
            Err(error @ AuthError::HeldUp { .. }) => {
                tracing::warn!(%error, "the login is removed without the lock");
                None
            }
            Err(error) => return Err(error),
        };
        // The tokens are removed even if the proxy blocks the revocation.
        let _ = self.authenticate_to_proxy().await;
        let store = self.store().await?;
        let login = store.load().await?;
        let mut revoked = false;
        if let Some(login) = &login {
            revoked = self.revoke(login).await.unwrap_or_else(|error| {
                tracing::warn!(%error, "cannot ask the server to revoke the tokens");
                false
            });
        }
        store.clear().await?;
        self.set_current(None);
        let elsewhere = self.log_out_elsewhere().await;
        revoked =
            if login.is_some() { revoked && elsewhere.unwrap_or(true) } else { elsewhere == Some(true) };
        Ok(SignedOut { was_signed_in: login.is_some() || elsewhere.is_some(), revoked })
    }

    /// Ends logins in the stores that are not chosen. Returns whether they were revoked; `None` if there was none. The person is
    /// notified of a store that cannot be read.
    async fn log_out_elsewhere(&self) -> Option<bool> {
        let mut revoked = None;
        for store in store::other_stores(&self.store_options()) {
            let outcome = async {
                let Some(store) = store.open().await? else { return Ok(None) };
                let Some(login) = store.load().await? else { return Ok(None) };
                let done = self.revoke(&login).await.unwrap_or(false);
                store.clear().await?;
                Ok::<_, StoreError>(Some(done))
            };
            match outcome.await {
                Ok(Some(done)) => revoked = Some(revoked.unwrap_or(true) && done),
                Ok(None) => {}
                Err(error) => self
                    .options
                    .interaction
                    .notice(&format!("An older login may still be in another store: {error}.")),
            }
        }
        revoked
    }

    /// Revokes a login at the server (RFC 7009). Returns `false` if the server has no revocation endpoint or did not confirm.
    async fn revoke(&self, login: &Login) -> Result<bool, AuthError> {
        let mut provider = self.provider().await?;
        if !is_issued_by(login, &provider) {
            return Ok(false);
        }
        if provider.revocation_endpoint.is_none() {
            // The document that names the endpoint may have been unreachable at the last discovery.
            provider = self.discover().await?;
        }
        let Some(url) = provider.revocation_endpoint.as_ref().filter(|_| is_issued_by(login, &provider))
        else {
            return Ok(false);
        };
        let client_id = match &login.details {
            Some(details) => &details.client_id,
            None => provider.client_id()?,
        };
        // Revoking the refresh token also revokes its access tokens.
        let (token, kind) = match &login.refresh_token {
            Some(token) => (token, "refresh_token"),
            None => (&login.access_token, "access_token"),
        };
        let http = self.http()?;
        let response = http
            .post(url.clone())?
            .timeout(Duration::from_secs(10))
            .form(&[
                ("token", token.expose_secret()),
                ("token_type_hint", kind),
                ("client_id", client_id.as_str()),
            ])
            .send()
            .await
            .map_err(|error| http.unreachable(url, error))?;
        Ok(response.status().is_success())
    }
}
