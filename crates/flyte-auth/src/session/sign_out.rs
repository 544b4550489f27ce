//! Signing out: the tokens are revoked at the server and removed here, wherever they are kept.

use std::time::Duration;

use secrecy::ExposeSecret as _;

use super::{Session, renewal::issued_by};
use crate::{
    AuthError,
    store::{self, Login, StoreError},
};

/// What signing out did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct SignedOut {
    /// Whether there was a login to end.
    pub was_signed_in: bool,
    /// Whether the server confirmed that the tokens are revoked (RFC 7009). Where not, they live until they expire.
    pub revoked: bool,
}

impl Session {
    /// Ends the login: revokes it at the server where that can be reached, and removes it here in any case. A machine's mode
    /// has no login; a person's, for the same endpoint, stays. No sign-in that is under way is waited for.
    ///
    /// # Errors
    /// [`AuthError::Store`] where the tokens could not be removed.
    pub async fn logout(&self) -> Result<SignedOut, AuthError> {
        if self.is_a_machines() {
            self.set_current(None);
            return Ok(SignedOut { was_signed_in: false, revoked: false });
        }
        let _writing = match self.writing().await {
            Ok(writing) => Some(writing),
            // Whoever signs out wants the tokens gone, whatever a process does that holds them up.
            Err(error @ AuthError::HeldUp { .. }) => {
                tracing::warn!(%error, "the login is removed nevertheless");
                None
            }
            Err(error) => return Err(error),
        };
        // A proxy that does not let the revocation through is no reason to keep the tokens.
        let _ = self.greet_proxy().await;
        let store = self.store().await?;
        let login = store.load().await?;
        let mut revoked = false;
        if let Some(login) = &login {
            revoked = self.revoke(login).await.unwrap_or_else(|error| {
                tracing::warn!(%error, "the server could not be asked to revoke the tokens");
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

    /// Ends a login that is where it was kept before another store was chosen; whether it was revoked, `None` where there was
    /// none. What is left where a keyring does not answer is told.
    async fn log_out_elsewhere(&self) -> Option<bool> {
        let mut revoked = None;
        for store in store::others(&self.store_options()) {
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
                Err(error) => self.options.interaction.notice(&format!(
                    "A login that was kept elsewhere before is still there if there was one: {error}."
                )),
            }
        }
        revoked
    }

    /// Revokes a login at the server (RFC 7009); `false` where the server offers no such thing or did not confirm it.
    async fn revoke(&self, login: &Login) -> Result<bool, AuthError> {
        let mut provider = self.provider().await?;
        if !issued_by(login, &provider) {
            return Ok(false);
        }
        if provider.revocation_endpoint.is_none() {
            // The document that names it may not have been reachable when the provider was looked up.
            provider = self.discover().await?;
        }
        let Some(url) = provider.revocation_endpoint.as_ref().filter(|_| issued_by(login, &provider)) else {
            return Ok(false);
        };
        let client_id = match &login.details {
            Some(details) => details.client_id.as_str(),
            None => provider.client_id()?,
        };
        // The refresh token takes its access tokens with it.
        let (token, kind) = match &login.refresh_token {
            Some(token) => (token, "refresh_token"),
            None => (&login.access_token, "access_token"),
        };
        let http = self.http()?;
        let response = http
            .post(url.clone())?
            .timeout(Duration::from_secs(10))
            .form(&[("token", token.expose_secret()), ("token_type_hint", kind), ("client_id", client_id)])
            .send()
            .await
            .map_err(|error| http.unreachable(url, error))?;
        Ok(response.status().is_success())
    }
}
