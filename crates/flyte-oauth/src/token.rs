//! The token endpoint (RFC 6749 section 3.2). Each grant has a module.
//!
//! To add a grant, add its variant to [`GrantType`], a module here with an `exchange` function, and an arm in `post`.

mod authorization_code;
mod client_credentials;
mod device_code;
mod refresh_token;
mod request;
mod response;
#[cfg(test)]
mod tests;
mod token_exchange;

use std::sync::Arc;

use axum::{
    extract::State,
    response::{IntoResponse, Response},
};
use http::HeaderMap;

use self::request::TokenRequest;
use super::{
    client, client_throttle,
    error::{ErrorCode, OAuthError},
    form::Form,
};
use crate::AuthorizationServer;
use flyte_model::{GrantType, UnknownGrantType};

/// The grant types that a client can be registered for. Only API keys have `client_credentials`.
pub const REGISTRABLE_GRANTS: [GrantType; 4] =
    [GrantType::AuthorizationCode, GrantType::RefreshToken, GrantType::DeviceCode, GrantType::TokenExchange];

/// Handles a token request.
pub(super) async fn post(
    State(server): State<Arc<AuthorizationServer>>,
    headers: HeaderMap,
    form: Form,
) -> Result<Response, OAuthError> {
    let form = form.parameters()?;
    let grant_type = form.one("grant_type")?.map(str::parse::<GrantType>);
    if grant_type == Some(Ok(GrantType::TokenExchange)) {
        // This grant needs no client authentication.
        return Ok(match token_exchange::exchange(&server, &headers, &form).await {
            Ok(exchanged) => exchanged.into_response(),
            Err(error) => refused_exchange(error),
        });
    }
    let client = client::authenticate(&server, &headers, &form).await?;
    let request = TokenRequest { server: &server, client: &client, form: &form, headers: &headers };
    let tokens = match grant_type {
        Some(Ok(GrantType::AuthorizationCode)) => authorization_code::exchange(&request).await?,
        Some(Ok(GrantType::RefreshToken)) => refresh_token::exchange(&request).await?,
        Some(Ok(GrantType::DeviceCode)) => device_code::exchange(&request).await?,
        Some(Ok(GrantType::ClientCredentials)) => client_credentials::exchange(&request)?,
        Some(Ok(GrantType::TokenExchange) | Err(UnknownGrantType)) => {
            let description = format!("grant_type {UnknownGrantType}");
            return Err(OAuthError::new(ErrorCode::UnsupportedGrantType, description));
        }
        None => return Err(OAuthError::invalid_request("grant_type is missing")),
    };
    Ok(tokens.into_response())
}

/// The response to a refused exchange. It counts as a failure of the address, unless the server or the issuer failed.
fn refused_exchange(error: OAuthError) -> Response {
    let mut response = error.into_response();
    if response.status().is_client_error() {
        response.extensions_mut().insert(client_throttle::Failed);
    }
    response
}
