//! The ways to get the first tokens, one module each.

pub mod client_credentials;
pub mod device;
pub mod external_command;
pub mod pkce;
pub mod token_exchange;

use std::time::Duration;

use crate::{
    AuthError,
    discovery::Provider,
    http::{Http, read},
    token::TokenResponse,
};
use reqwest::header::{self, HeaderValue};
use url::Url;

/// The longest answer of a token endpoint that is read, in bytes.
const MAX_ANSWER: usize = 1024 * 1024;

/// How long an answer of the token endpoint is waited for. Three of these are less than the grace period in which servers
/// forgive a refresh token that is sent again, a minute usually.
const TIMEOUT: Duration = Duration::from_secs(15);

/// Posts a form to the token endpoint and reads the answer (RFC 6749 section 3.2).
pub(crate) async fn token_request(
    http: &Http,
    provider: &Provider,
    form: &[(&str, &str)],
) -> Result<TokenResponse, AuthError> {
    token_request_as(None, http, provider, form).await
}

/// [`token_request`] by a client that proves in the `authorization` header who it is.
pub(crate) async fn token_request_as(
    authorization: Option<HeaderValue>,
    http: &Http,
    provider: &Provider,
    form: &[(&str, &str)],
) -> Result<TokenResponse, AuthError> {
    let url = &provider.token_endpoint;
    let (status, body) = submit(authorization, http, url, form).await?;
    TokenResponse::parse(url.as_str(), status, &body)
}

/// Posts a form and returns status and body of the answer.
pub(crate) async fn submit(
    authorization: Option<HeaderValue>,
    http: &Http,
    url: &Url,
    form: &[(&str, &str)],
) -> Result<(u16, Vec<u8>), AuthError> {
    let mut request =
        http.post(url.clone()).header(header::ACCEPT, "application/json").timeout(TIMEOUT).form(form);
    if let Some(authorization) = authorization {
        request = request.header(header::AUTHORIZATION, authorization);
    }
    let response = request.send().await.map_err(|error| AuthError::unreachable(url, error))?;
    let status = response.status().as_u16();
    let body = read(response, MAX_ANSWER).await.map_err(|error| AuthError::unreachable(url, error))?;
    let body = body.ok_or_else(|| AuthError::BadAnswer {
        url: url.to_string(),
        reason: format!("it is longer than {MAX_ANSWER} bytes"),
    })?;
    Ok((status, body))
}
