//! The flows that get the first tokens, one module for each.

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
    oauth::GrantType,
    token::TokenResponse,
};
use reqwest::header::{self, HeaderValue};
use url::Url;

/// The longest answer of a token endpoint that is read, in bytes.
const MAX_ANSWER_BYTES: usize = 1024 * 1024;

/// The time that the token endpoint has to answer. A request is sent at most three times, and three times this is less than the
/// grace period in which servers accept a rotated refresh token again (usually a minute).
const TIMEOUT: Duration = Duration::from_secs(15);

/// Posts a form to the token endpoint and reads the answer (RFC 6749 section 3.2).
pub(crate) async fn token_request(
    http: &Http,
    provider: &Provider,
    grant_type: GrantType,
    form: &[(&str, &str)],
) -> Result<TokenResponse, AuthError> {
    authenticated_token_request(None, http, provider, grant_type, form).await
}

/// [`token_request`] of a client that authenticates with the `authorization` header.
pub(crate) async fn authenticated_token_request(
    authorization: Option<HeaderValue>,
    http: &Http,
    provider: &Provider,
    grant_type: GrantType,
    form: &[(&str, &str)],
) -> Result<TokenResponse, AuthError> {
    let url = &provider.token_endpoint;
    let form = [&[("grant_type", grant_type.as_str())], form].concat();
    let answer = submit(authorization, http, url, &form).await?;
    TokenResponse::parse(url.as_str(), answer.status, &answer.body).map_err(|error| answer.error(url, error))
}

/// The answer to a form.
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) body: Vec<u8>,
    /// The time after which to try again, in seconds.
    retry_after: Option<u64>,
    /// The `Server` header.
    server: Option<String>,
}

impl Answer {
    /// Adds what the answer says about an error.
    ///
    /// If the server is only busy (RFC 6585 section 4, RFC 9110 section 15.6.4), the error is [`AuthError::Busy`], which is no
    /// verdict about the credentials, whatever code the answer has. An unusable answer often comes from something in front of
    /// the server, so the error names the `Server` header.
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
    let body = read(response, MAX_ANSWER_BYTES).await.map_err(|error| http.unreachable(url, error))?;
    let body = body.ok_or_else(|| AuthError::BadAnswer {
        url: url.to_string(),
        reason: format!("it is longer than {MAX_ANSWER_BYTES} bytes"),
    })?;
    Ok(Answer { status, body, retry_after, server })
}
