//! Getting a token when memory has none: from the store, by the refresh token, or by signing in.

use std::sync::Arc;

use secrecy::{ExposeSecret as _, SecretString};

use super::{Asking, Session, jitter, keep_old, lock::Lock};
use crate::{
    AuthError,
    discovery::Provider,
    flows,
    store::{Login, LoginDetails, TokenStore},
    token::{AccessToken, TokenResponse, fingerprint, jwt_expiry},
};

impl Session {
    /// Steps 2 and 3 of a token's way.
    pub(super) async fn acquire(&self, asking: Asking) -> Result<AccessToken, AuthError> {
        let _flight = self.flight.lock().await;
        let now = || self.options.clock.now();
        if let Some(token) = self.current().filter(|token| token.is_fresh(now())) {
            return Ok(token);
        }
        let store = self.store().await?;
        let mut known = store.load().await?.and_then(|login| self.usable(&login));
        if let Some(token) = known.clone().filter(|token| token.is_fresh(now())) {
            self.set_current(Some(token.clone()));
            return Ok(token);
        }

        let path = self.lock_path();
        let lock = match known.clone().or_else(|| self.current()).filter(|token| token.is_valid(now())) {
            // Due but still good: whoever has the lock is renewing it, nobody needs to wait.
            Some(token) => match Lock::try_take(&path)? {
                Some(lock) => lock,
                None => return Ok(token),
            },
            None => Lock::take(&path, &*self.options.interaction).await?,
        };
        // Another process may have renewed it while this one waited.
        let login = store.load().await?;
        if let Some(login) = login.filter(|login| !self.is_of_another_mode(login)) {
            known = self.usable(&login);
            if let Some(token) = known.clone().filter(|token| token.is_fresh(now())) {
                self.set_current(Some(token.clone()));
                return Ok(token);
            }
            match self.refresh_login(&**store, &login).await {
                Ok(Some(token)) => return Ok(token),
                Ok(None) => {}
                // The old token still works: a failure to renew it early is no failure yet.
                Err(error) => {
                    return match known.filter(|token| token.is_valid(now())) {
                        Some(token) => {
                            tracing::warn!(%error, "the access token could not be renewed yet");
                            Ok(token)
                        }
                        None => Err(error),
                    };
                }
            }
        }
        let token = match asking {
            Asking::Allowed => self.sign_in(&**store).await,
            Asking::Never => Err(self.login_required()),
        };
        drop(lock);
        token
    }

    /// Renews a login by its refresh token. `None` where it has none or the server says that it is over; only that says so,
    /// never a network error, a server fault or an answer that cannot be read.
    pub(super) async fn refresh_login(
        &self,
        store: &dyn TokenStore,
        login: &Login,
    ) -> Result<Option<AccessToken>, AuthError> {
        let Some(refresh_token) = &login.refresh_token else { return Ok(None) };
        // Shown to work before the old refresh token is spent: a full disk or a locked keyring must not eat the new one.
        store.probe().await?;
        match self.refresh(store, login, refresh_token).await {
            Err(AuthError::Refused { code, .. }) if code == "invalid_grant" => {}
            other => return other.map(Some),
        }
        // A tool that takes no lock may have rotated it meanwhile; then its tokens are the login now.
        if let Some(newer) = store.load().await?
            && let Some(newer_token) = newer
                .refresh_token
                .as_ref()
                .filter(|token| token.expose_secret() != refresh_token.expose_secret())
        {
            if let Some(token) = self.usable(&newer).filter(|token| token.is_fresh(self.options.clock.now()))
            {
                self.set_current(Some(token.clone()));
                return Ok(Some(token));
            }
            match self.refresh(store, &newer, newer_token).await {
                Err(AuthError::Refused { code, .. }) if code == "invalid_grant" => {}
                other => return other.map(Some),
            }
        }
        tracing::info!("the session has ended: the server no longer takes its refresh token");
        store.clear().await?;
        Ok(None)
    }

    async fn refresh(
        &self,
        store: &dyn TokenStore,
        login: &Login,
        refresh_token: &SecretString,
    ) -> Result<AccessToken, AuthError> {
        let provider = self.provider().await?;
        // Bound to the client that it was issued to, whatever the configuration says now.
        let client_id = match &login.details {
            Some(details) => details.client_id.as_str(),
            None => provider.client_id()?,
        };
        let form = [
            ("grant_type", "refresh_token"),
            ("refresh_token", refresh_token.expose_secret()),
            ("client_id", client_id),
        ];
        let response = match flows::token_request(self.http()?, &provider, &form).await {
            // The endpoint may have moved since it was looked up; asked again only if it really did.
            Err(error @ (AuthError::Unreachable { .. } | AuthError::BadAnswer { .. })) => {
                match self.discover().await {
                    Ok(found) if found.token_endpoint != provider.token_endpoint => {
                        flows::token_request(self.http()?, &found, &form).await?
                    }
                    _ => return Err(error),
                }
            }
            other => other?,
        };
        let client_id = client_id.to_owned();
        self.keep(store, &provider, client_id, response, Some(login)).await
    }

    /// Signs the person in and keeps their tokens.
    pub(super) async fn sign_in(&self, store: &dyn TokenStore) -> Result<AccessToken, AuthError> {
        if let Some(unsupported) = self.unsupported() {
            return Err(unsupported);
        }
        if !self.options.interaction.is_interactive() {
            return Err(self.login_required());
        }
        store.probe().await?;
        let provider: Arc<Provider> = self.discover().await?;
        let response = flows::pkce::sign_in(self.http()?, &provider, &*self.options.interaction).await?;
        let client_id = provider.client_id()?.to_owned();
        self.keep(store, &provider, client_id, response, None).await
    }

    /// Writes the answer of the token endpoint to the store, and only then lets it be used.
    async fn keep(
        &self,
        store: &dyn TokenStore,
        provider: &Provider,
        client_id: String,
        response: TokenResponse,
        before: Option<&Login>,
    ) -> Result<AccessToken, AuthError> {
        let now = self.options.clock.now();
        // By this machine's clock: whatever the server's says, this much time is left.
        let expires_at = response
            .expires_in
            .map(|seconds| now.saturating_add(seconds))
            .or_else(|| jwt_expiry(response.access_token.expose_secret()));
        let scopes = match (&response.scope, before.and_then(|login| login.details.as_ref())) {
            (Some(scope), _) => scope.split_ascii_whitespace().map(str::to_owned).collect(),
            // Left out where it is what was asked for (RFC 6749 section 5.1), or granted before.
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
                issuer: provider.issuer.clone(),
                auth_type: self.options.auth_type.as_str().to_owned(),
            }),
            access_token: response.access_token,
            refresh_token: keep_old(
                response.refresh_token,
                before.and_then(|login| login.refresh_token.as_ref()),
            ),
        };
        store.save(&login).await?;
        let lifetime = expires_at.map(|at| at - now);
        let token = AccessToken::new(login.access_token, expires_at, lifetime, jitter());
        self.set_current(Some(token.clone()));
        Ok(token)
    }

    /// Revokes a login at the server (RFC 7009); `false` where the server offers no such thing or did not confirm it.
    pub(super) async fn revoke(&self, login: &Login) -> Result<bool, AuthError> {
        let provider = self.provider().await?;
        let Some(url) = &provider.revocation_endpoint else { return Ok(false) };
        let client_id = match &login.details {
            Some(details) => details.client_id.as_str(),
            None => provider.client_id()?,
        };
        // The refresh token takes its access tokens with it.
        let (token, kind) = match &login.refresh_token {
            Some(token) => (token, "refresh_token"),
            None => (&login.access_token, "access_token"),
        };
        let response = self
            .http()?
            .post(url.clone())
            .timeout(std::time::Duration::from_secs(10))
            .form(&[("token", token.expose_secret()), ("token_type_hint", kind), ("client_id", client_id)])
            .send()
            .await
            .map_err(|error| AuthError::unreachable(url, error))?;
        Ok(response.status().is_success())
    }
}
