//! The ways to get the first tokens, one module each.

pub mod pkce;

use crate::{AuthError, discovery::Provider, http::read, token::TokenResponse};
use reqwest::{Client, header};

/// The longest answer of a token endpoint that is read, in bytes.
const MAX_ANSWER: usize = 1024 * 1024;

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
    let body = read(response, MAX_ANSWER).await.map_err(|error| AuthError::unreachable(url, error))?;
    let body = body.ok_or_else(|| AuthError::BadAnswer {
        url: url.to_string(),
        reason: format!("it is longer than {MAX_ANSWER} bytes"),
    })?;
    TokenResponse::parse(url.as_str(), status, &body)
}
