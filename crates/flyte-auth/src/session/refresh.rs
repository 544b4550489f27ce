//! Uses the refresh token of a login.

use std::sync::atomic::Ordering;

use secrecy::{ExposeSecret as _, SecretString};

use super::{Session, jitter};
use crate::{
    AuthError,
    discovery::Provider,
    flows,
    oauth::{ClientId, GrantType},
    store::{Login, LoginDetails, StoreError, TokenStore},
    token::{AccessToken, IdClaims, TokenResponse, fingerprint, jwt_expiry},
};

/// The number of times that a refresh is sent again if its answer may be lost.
const MAX_REPEATS: u32 = 2;

/// The outcome of a refresh.
#[derive(Debug)]
pub(super) enum Refreshed {
    /// A new token.
    Token(AccessToken),
    /// The server ended the login.
    Ended {
        /// The reason that the server gave.
        reason: Option<String>,
    },
    /// There is no usable refresh token.
    Impossible,
}

/// Whether this authorization server issued the login's tokens. A control plane that was moved or taken over must not receive
/// another server's refresh tokens. Logins of other tools do not name their issuer and count as issued by any.
pub(super) fn is_issued_by(login: &Login, provider: &Provider) -> bool {
    login
        .details
        .as_ref()
        .is_none_or(|details| details.issuer.is_empty() || details.issuer == provider.issuer)
}

impl Session {
    /// Renews a login with its refresh token. Only an OAuth error of the server ends the login, never a network error, a server
    /// fault or an unreadable answer. Only `invalid_grant` means that the refresh token itself has ended.
    pub(super) async fn refresh_login(
        &self,
        store: &dyn TokenStore,
        login: &Login,
    ) -> Result<Refreshed, AuthError> {
        let Some(refresh_token) = &login.refresh_token else { return Ok(Refreshed::Impossible) };
        if !is_issued_by(login, &*self.provider().await?) {
            tracing::warn!("the endpoint names another authorization server than the one that signed you in");
            return Ok(Refreshed::Impossible);
        }
        // Check the store before using the refresh token, so that a full disk or a locked keyring does not lose the new one.
        store.probe().await?;
        let mut reason = match self.refresh(store, login, refresh_token).await {
            Err(AuthError::Refused { code, description }) if code == "invalid_grant" => description,
            other => return self.judge_refusal(login, other),
        };
        // A tool that takes no lock may have rotated the refresh token meanwhile. Then its tokens are the current login.
        if let Some(newer) = store.load().await?
            && let Some(newer_token) = newer
                .refresh_token
                .as_ref()
                .filter(|token| token.expose_secret() != refresh_token.expose_secret())
        {
            let token = self.stored_token(&newer);
            if let Some(token) = token.filter(|token| token.is_fresh(self.options.clock.now())) {
                self.set_current(Some(token.clone()));
                return Ok(Refreshed::Token(token));
            }
            reason = match self.refresh(store, &newer, newer_token).await {
                Err(AuthError::Refused { code, description }) if code == "invalid_grant" => description,
                other => return self.judge_refusal(&newer, other),
            };
        }
        tracing::info!("the session has ended: the server rejected its refresh token");
        // In an interactive process, the next sign-in replaces the login.
        if !self.options.interaction.is_interactive() {
            store.clear().await?;
        }
        Ok(Refreshed::Ended { reason })
    }

    /// Judges a refresh that did not end the refresh token. After an OAuth error, the refresh token may still be active, but if the
    /// access token has expired too, the login is of no use and counts as ended.
    fn judge_refusal(
        &self,
        login: &Login,
        outcome: Result<AccessToken, AuthError>,
    ) -> Result<Refreshed, AuthError> {
        match outcome {
            Err(AuthError::Refused { code, description }) if !self.has_valid_token(login) => {
                let reason = match description {
                    Some(description) => format!("{code}: {description}"),
                    None => code,
                };
                Ok(Refreshed::Ended { reason: Some(reason) })
            }
            other => other.map(Refreshed::Token),
        }
    }

    /// Whether the access token of a login is still valid.
    fn has_valid_token(&self, login: &Login) -> bool {
        self.stored_token(login).is_some_and(|token| token.is_valid(self.options.clock.now()))
    }

    async fn refresh(
        &self,
        store: &dyn TokenStore,
        login: &Login,
        refresh_token: &SecretString,
    ) -> Result<AccessToken, AuthError> {
        let provider = self.provider().await?;
        // The refresh token is bound to its client, even if the configuration now names another one.
        let client_id = match &login.details {
            Some(details) => &details.client_id,
            None => provider.client_id()?,
        };
        let form = [("refresh_token", refresh_token.expose_secret()), ("client_id", client_id.as_str())];
        let grant_type = GrantType::RefreshToken;
        let mut answer = flows::token_request(self.http()?, &provider, grant_type, &form).await;
        // The server may have rotated the token in a lost answer. It accepts the old token for a short time only, so send it again
        // now rather than with the next command.
        for _ in 0..MAX_REPEATS {
            match &answer {
                Err(error) if error.answer_may_be_lost() => {
                    tracing::debug!(%error, "the refresh is sent again");
                    answer = flows::token_request(self.http()?, &provider, grant_type, &form).await;
                }
                _ => break,
            }
        }
        let response = match answer {
            // If the token endpoint has moved since discovery, send the request there.
            Err(error) if error.may_have_moved() => match self.discover().await {
                Ok(found) if found.token_endpoint != provider.token_endpoint => {
                    flows::token_request(self.http()?, &found, grant_type, &form).await?
                }
                _ => return Err(error),
            },
            other => other?,
        };
        let client_id = client_id.clone();
        let (token, stored) = self.save_response(store, &provider, client_id, response, Some(login)).await;
        self.warn_unless(stored);
        Ok(token)
    }

    /// Stores the answer of the token endpoint before its token is used, and returns the token and whether storing succeeded. This
    /// process has the token in either case.
    pub(super) async fn save_response(
        &self,
        store: &dyn TokenStore,
        provider: &Provider,
        client_id: ClientId,
        response: TokenResponse,
        previous: Option<&Login>,
    ) -> (AccessToken, Result<(), StoreError>) {
        let now = self.options.clock.now();
        // The lifetime counts from this machine's clock, which may differ from the server's.
        let expires_at = response
            .expires_in
            .map(|seconds| now.saturating_add(seconds))
            .or_else(|| jwt_expiry(response.access_token.expose_secret()));
        let scopes = match (&response.scopes, previous.and_then(|login| login.details.as_ref())) {
            (Some(scopes), _) => scopes.clone(),
            // The server leaves the scopes out if they are the requested ones (RFC 6749 section 5.1) or unchanged.
            (None, Some(details)) => details.scopes.clone(),
            (None, None) => provider.scopes.clone(),
        };
        let login = Login {
            details: Some(LoginDetails {
                access_token_sha256: fingerprint(response.access_token.expose_secret()),
                issued_at: Some(now),
                expires_at,
                scopes,
                client_id,
                subject: response
                    .id_claims()
                    .and_then(IdClaims::into_subject)
                    .or_else(|| previous?.details.as_ref()?.subject.clone()),
                issuer: provider.issuer.clone(),
                auth_type: self.options.auth_type.as_str().to_owned(),
            }),
            access_token: response.access_token,
            // An answer without a refresh token leaves the previous one active.
            refresh_token: response
                .refresh_token
                .or_else(|| previous.and_then(|login| login.refresh_token.clone())),
        };
        let stored = store.save(&login).await;
        self.retry_at.store(i64::MIN, Ordering::Relaxed);
        let lifetime = expires_at.map(|at| at - now);
        let token = AccessToken::new(login.access_token, expires_at, lifetime, jitter());
        self.set_current(Some(token.clone()));
        (token, stored)
    }

    /// Warns that new tokens could not be stored. They are not thrown away, because the refresh token before them is used up.
    pub(super) fn warn_unless(&self, stored: Result<(), StoreError>) {
        if let Err(error) = stored {
            self.options.interaction.notice(&format!(
                "The new login could not be stored, so it ends with this command: {error}."
            ));
        }
    }
}
