//! The ways to get the first tokens, one module each.

pub mod pkce;

use crate::{AuthError, discovery::Provider, token::TokenResponse};
use reqwest::{Client, header};

/// Posts a form to the token endpoint and reads the answer (RFC 6749 section 3.2).
pub(crate) async fn token_request(
    http: &Client,
    provider: &Provider,
    form: &[(&str, &str)],
) -> Result<TokenResponse, AuthError> {
    let url = &provider.token_endpoint;
    let response = http
        .post(url.clone())
        .header(header::ACCEPT, "application/json")
        .timeout(std::time::Duration::from_secs(30))
        .form(form)
        .send()
        .await
        .map_err(|error| AuthError::unreachable(url, error))?;
    let status = response.status().as_u16();
    let body = response.bytes().await.map_err(|error| AuthError::unreachable(url, error))?;
    TokenResponse::parse(url.as_str(), status, &body)
}
