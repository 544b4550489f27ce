//! The ways to get the first tokens, one module each.

pub mod client_credentials;
pub mod device;
pub mod external_command;
pub mod pkce;
pub mod token_exchange;

use std::time::Duration;

use crate::{
    AuthError,
    answer::{retry_after, server},
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
    let answer = submit(authorization, http, url, form).await?;
    TokenResponse::parse(url.as_str(), answer.status, &answer.body).map_err(|error| answer.error(url, error))
}

/// The status and the body of an answer, and how long it asks to wait.
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) body: Vec<u8>,
    retry_after: Option<u64>,
    /// What the one that answered calls itself.
    server: Option<String>,
}

impl Answer {
    /// What it is where the server only has no time now (RFC 6585 section 4, RFC 9110 section 15.6.4): no verdict on anybody's
    /// credentials, whatever code comes with it.
    ///
    /// An answer that cannot be used is told with who gave it: often that is something in front of the server.
    pub(crate) fn error(&self, url: &Url, error: AuthError) -> AuthError {
        let code = match &error {
            AuthError::Refused { code, .. } => code.as_str(),
            _ => "",
        };
        let busy =
            matches!(self.status, 429 | 503) || matches!(code, "temporarily_unavailable" | "server_error");
        if !busy {
            return match (error, &self.server) {
                (AuthError::BadAnswer { url, reason }, Some(server)) => {
                    AuthError::BadAnswer { url, reason: format!("{reason} (from {server})") }
                }
                (error, _) => error,
            };
        }
        AuthError::Busy { url: url.to_string(), status: self.status, retry_after: self.retry_after }
    }
}

/// Posts a form and returns the answer.
pub(crate) async fn submit(
    authorization: Option<HeaderValue>,
    http: &Http,
    url: &Url,
    form: &[(&str, &str)],
) -> Result<Answer, AuthError> {
    let mut request =
        http.post(url.clone())?.header(header::ACCEPT, "application/json").timeout(TIMEOUT).form(form);
    if let Some(authorization) = authorization {
        request = request.header(header::AUTHORIZATION, authorization);
    }
    let response = request.send().await.map_err(|error| http.unreachable(url, error))?;
    let status = response.status().as_u16();
    let (retry_after, server) = (retry_after(response.headers()), server(response.headers()));
    let body = read(response, MAX_ANSWER).await.map_err(|error| http.unreachable(url, error))?;
    let body = body.ok_or_else(|| AuthError::BadAnswer {
        url: url.to_string(),
        reason: format!("it is longer than {MAX_ANSWER} bytes"),
    })?;
    Ok(Answer { status, body, retry_after, server })
}
