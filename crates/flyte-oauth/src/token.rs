//! The token endpoint (RFC 6749 section 3.2), a module for each grant.
//!
//! To add a grant: its module here with an `exchange` like the others', its name in [`GRANTS`] and in `post`.

mod authorization_code;
mod client_credentials;
pub(super) mod device_code;
mod refresh_token;
#[cfg(test)]
mod tests;
mod token_exchange;

use std::sync::Arc;

use axum::{
    Json,
    extract::State,
    response::{IntoResponse, Response},
};
use http::HeaderMap;
use secrecy::{ExposeSecret as _, SecretString};
use serde::Serialize;

use super::{
    client, client_throttle,
    error::{self, ErrorCode, OAuthError},
    form::Form,
    id_token,
};
use crate::AuthorizationServer;
use flyte_access::token::{IssuedAccessToken, TokenGrant};
use flyte_model::{GrantType, UnknownGrantType, clock::UnixTime, scope};
use flyte_secrets::opaque_token;
use flyte_store::{Client, NewRefreshToken};

/// The grant types that a client can be registered for. Only API keys have `client_credentials`.
pub const REGISTRABLE_GRANTS: [GrantType; 4] =
    [GrantType::AuthorizationCode, GrantType::RefreshToken, GrantType::DeviceCode, GrantType::TokenExchange];

/// Answers a token request.
pub(super) async fn post(
    State(server): State<Arc<AuthorizationServer>>,
    headers: HeaderMap,
    form: Form,
) -> Result<Response, OAuthError> {
    let form = form.parameters()?;
    let grant = form.one("grant_type")?.map(str::parse::<GrantType>);
    if grant == Some(Ok(GrantType::TokenExchange)) {
        // Its client need not say who it is.
        return Ok(match token_exchange::exchange(&server, &headers, &form).await {
            Ok(exchanged) => exchanged.into_response(),
            Err(error) => refused_exchange(error),
        });
    }
    let client = client::authenticate(&server, &headers, &form).await?;
    let tokens = match grant {
        Some(Ok(GrantType::AuthorizationCode)) => {
            authorization_code::exchange(&server, &client, &form).await?
        }
        Some(Ok(GrantType::RefreshToken)) => refresh_token::exchange(&server, &client, &form).await?,
        Some(Ok(GrantType::DeviceCode)) => device_code::exchange(&server, &client, &form).await?,
        Some(Ok(GrantType::ClientCredentials)) => client_credentials::exchange(&server, &client, &form)?,
        Some(_) => {
            let description = format!("grant_type {UnknownGrantType}");
            return Err(OAuthError::new(ErrorCode::UnsupportedGrantType, description));
        }
        None => return Err(OAuthError::invalid_request("grant_type is missing")),
    };
    Ok(tokens.into_response())
}

/// The answer to a refused exchange, which counts against the address that asked unless the fault is elsewhere.
fn refused_exchange(error: OAuthError) -> Response {
    let mut response = error.into_response();
    if response.status().is_client_error() {
        response.extensions_mut().insert(client_throttle::Failed);
    }
    response
}

/// What a grant gives.
struct Tokens {
    access_token: IssuedAccessToken,
    refresh_token: Option<SecretString>,
    id_token: Option<String>,
    scope: String,
    /// When what the client proved itself with ends: the name is that of RFC 7591 section 3.2.1, the place is ours.
    client_secret_expires_at: Option<UnixTime>,
}

impl Tokens {
    /// Signs the tokens of a grant: an access token and, with `openid`, an ID token.
    fn sign(
        server: &AuthorizationServer,
        client: &Client,
        grant: &TokenGrant,
        nonce: Option<String>,
        refresh_token: Option<SecretString>,
    ) -> Result<Self, OAuthError> {
        let access_token = server.access.tokens().issue(grant)?;
        let id_token = if scope::contains(&grant.scopes, scope::OPENID) {
            Some(id_token::issue(server, client, grant, nonce, &access_token.token)?)
        } else {
            None
        };
        Ok(Self {
            access_token,
            refresh_token,
            id_token,
            scope: scope::join(&grant.scopes),
            client_secret_expires_at: None,
        })
    }
}

/// The body of an answer (RFC 6749 section 5.1). `expires_in` and `scope` are always there: the published client needs
/// the one, and the other tells what was granted.
#[derive(Serialize)]
struct Body<'a> {
    access_token: &'a str,
    token_type: &'static str,
    expires_in: i64,
    #[serde(skip_serializing_if = "Option::is_none")]
    refresh_token: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    id_token: Option<&'a str>,
    scope: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    client_secret_expires_at: Option<UnixTime>,
}

impl IntoResponse for Tokens {
    fn into_response(self) -> Response {
        let mut response = Json(Body {
            access_token: self.access_token.token.expose_secret(),
            token_type: "Bearer",
            expires_in: self.access_token.expires_in,
            refresh_token: self.refresh_token.as_ref().map(secrecy::ExposeSecret::expose_secret),
            id_token: self.id_token.as_deref(),
            scope: &self.scope,
            client_secret_expires_at: self.client_secret_expires_at,
        })
        .into_response();
        error::no_store(response.headers_mut());
        response
    }
}

/// A new refresh token, and what is stored of it.
fn new_refresh_token(server: &AuthorizationServer) -> Result<(SecretString, NewRefreshToken), OAuthError> {
    let token = opaque_token::generate(opaque_token::Kind::RefreshToken)?;
    let record = NewRefreshToken {
        token_hash: opaque_token::hash(token.expose_secret()),
        expires_at: server.clock.now().saturating_add(server.config.tokens.refresh_token_ttl),
    };
    Ok((token, record))
}

/// Whether a client gets a refresh token: it must be registered for the grant, and either the person granted
/// `offline_access` (OpenID Connect Core section 11) or the client is ours, which the published one is and does not ask.
fn may_refresh(client: &Client, scopes: &[String]) -> bool {
    client.grant_types.contains(&GrantType::RefreshToken)
        && (client.first_party || scope::contains(scopes, scope::OFFLINE_ACCESS))
}

/// Refuses a client that is not registered for a grant.
pub(super) fn require_grant(client: &Client, grant: GrantType) -> Result<(), OAuthError> {
    if client.grant_types.contains(&grant) {
        return Ok(());
    }
    let description = format!("the client is not registered for {grant}");
    Err(OAuthError::new(ErrorCode::UnauthorizedClient, description))
}

/// Refuses a person whose account is gone or disabled.
async fn require_active(server: &AuthorizationServer, user_id: &str) -> Result<(), OAuthError> {
    match server.store.user_by_id(user_id).await? {
        Some(user) if user.disabled_at.is_none() => Ok(()),
        _ => Err(OAuthError::invalid_grant("the account is disabled")),
    }
}
