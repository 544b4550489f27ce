//! A token request, and the steps that several grants share.

use http::{HeaderMap, header};
use secrecy::{ExposeSecret as _, SecretString};

use super::response::TokenResponse;
use crate::{
    AuthorizationServer, client::Authenticated, error::OAuthError, parameters::Parameters, resource,
};
use flyte_access::token::TokenGrant;
use flyte_model::{GrantType, Scope, Scopes};
use flyte_secrets::opaque_token;
use flyte_store::NewRefreshToken;

/// A request of an authenticated client.
#[derive(Clone, Copy)]
pub(super) struct TokenRequest<'a> {
    pub(super) server: &'a AuthorizationServer,
    pub(super) client: &'a Authenticated,
    pub(super) form: &'a Parameters<'a>,
    pub(super) headers: &'a HeaderMap,
}

impl TokenRequest<'_> {
    /// Returns a required parameter.
    ///
    /// # Errors
    /// `invalid_request` if it is missing or repeated.
    pub(super) fn required(&self, name: &'static str) -> Result<&str, OAuthError> {
        self.form.one(name)?.ok_or_else(|| OAuthError::invalid_request(format!("{name} is missing")))
    }

    /// Returns the requested audience; `None` if the request leaves it to the server.
    ///
    /// # Errors
    /// `invalid_target` if it is not this server.
    pub(super) fn audience(&self) -> Result<Option<String>, OAuthError> {
        resource::requested(self.form, self.server.config.issuer())
    }

    /// Refuses a user whose account is disabled or deleted.
    pub(super) async fn require_active(&self, user_id: &str) -> Result<(), OAuthError> {
        match self.server.store.user_by_id(user_id).await? {
            Some(user) if user.disabled_at.is_none() => Ok(()),
            _ => Err(OAuthError::invalid_grant("the account is disabled")),
        }
    }

    /// Generates a refresh token and its record.
    pub(super) fn new_refresh_token(&self) -> Result<(SecretString, NewRefreshToken), OAuthError> {
        let token = opaque_token::generate(opaque_token::Kind::RefreshToken)?;
        let record = NewRefreshToken {
            token_hash: opaque_token::hash(token.expose_secret()),
            expires_at: self.server.clock.now().saturating_add(self.server.config.tokens.refresh_token_ttl),
        };
        Ok((token, record))
    }

    /// Generates the first refresh token of an authorization, if the client gets one. It must be registered for the grant
    /// type, and either the user granted `offline_access` (OpenID Connect Core section 11) or the client is first-party:
    /// the published client is, and does not request that scope.
    pub(super) fn first_refresh_token(
        &self,
        scopes: &Scopes,
    ) -> Result<(Option<SecretString>, Option<NewRefreshToken>), OAuthError> {
        let allowed = self.client.grant_types.contains(&GrantType::RefreshToken)
            && (self.client.first_party || scopes.contains(&Scope::OFFLINE_ACCESS));
        if !allowed {
            return Ok((None, None));
        }
        let (token, record) = self.new_refresh_token()?;
        Ok((Some(token), Some(record)))
    }

    /// Signs the tokens of a user's grant: an access token and, with `openid`, an ID token.
    pub(super) fn sign(
        &self,
        grant: &TokenGrant,
        nonce: Option<String>,
        refresh_token: Option<SecretString>,
    ) -> Result<TokenResponse, OAuthError> {
        let agent = self.headers.get(header::USER_AGENT).and_then(|agent| agent.to_str().ok());
        self.server.access.note_sign_in_use(&grant.family_id, agent.map(str::to_owned));
        TokenResponse::sign(self.server, self.client, grant, nonce, refresh_token)
    }
}
