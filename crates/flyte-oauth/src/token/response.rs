//! The response of the token endpoint (RFC 6749 section 5.1).

use axum::{
    Json,
    response::{IntoResponse, Response},
};
use secrecy::{ExposeSecret as _, SecretString};
use serde::Serialize;

use crate::{
    AuthorizationServer,
    error::{self, OAuthError},
    id_token,
};
use flyte_access::token::{IssuedAccessToken, TokenGrant};
use flyte_model::{Scope, Scopes, clock::UnixTime, space_separated};
use flyte_store::Client;

/// The tokens of a successful request.
pub(super) struct TokenResponse {
    pub(super) access_token: IssuedAccessToken,
    pub(super) refresh_token: Option<SecretString>,
    pub(super) id_token: Option<String>,
    pub(super) scopes: Scopes,
    /// Expiry time of the client's credential. RFC 7591 section 3.2.1 defines the name; its use here is our extension.
    pub(super) client_secret_expires_at: Option<UnixTime>,
}

impl TokenResponse {
    /// Signs the tokens of a user's grant: an access token and, with `openid`, an ID token.
    pub(super) fn sign(
        server: &AuthorizationServer,
        client: &Client,
        grant: &TokenGrant,
        nonce: Option<String>,
        refresh_token: Option<SecretString>,
    ) -> Result<Self, OAuthError> {
        let access_token = server.access.tokens().issue(grant)?;
        let id_token = if grant.scopes.contains(&Scope::OPENID) {
            Some(id_token::issue(server, client, grant, nonce, &access_token.token)?)
        } else {
            None
        };
        Ok(Self {
            access_token,
            refresh_token,
            id_token,
            scopes: grant.scopes.clone(),
            client_secret_expires_at: None,
        })
    }
}

/// The body of a response (RFC 6749 section 5.1). `expires_in` and `scope` are always present: the published client needs
/// the first, and the second says what was granted.
#[derive(Serialize)]
struct Body<'a> {
    access_token: &'a str,
    token_type: &'static str,
    expires_in: i64,
    #[serde(skip_serializing_if = "Option::is_none")]
    refresh_token: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    id_token: Option<&'a str>,
    #[serde(serialize_with = "space_separated::serialize")]
    scope: &'a Scopes,
    #[serde(skip_serializing_if = "Option::is_none")]
    client_secret_expires_at: Option<UnixTime>,
}

impl IntoResponse for TokenResponse {
    fn into_response(self) -> Response {
        let mut response = Json(Body {
            access_token: self.access_token.token.expose_secret(),
            token_type: "Bearer",
            expires_in: self.access_token.expires_in,
            refresh_token: self.refresh_token.as_ref().map(secrecy::ExposeSecret::expose_secret),
            id_token: self.id_token.as_deref(),
            scope: &self.scopes,
            client_secret_expires_at: self.client_secret_expires_at,
        })
        .into_response();
        error::no_store(response.headers_mut());
        response
    }
}
