//! The exchange of a code for tokens (OpenID Connect Core section 3.1.3).

use http::{HeaderMap, HeaderValue, Method, header};
use secrecy::{ExposeSecret as _, SecretString};
use serde::Deserialize;
use url::form_urlencoded;

use crate::{Attempt, Provider, ProviderError, metadata::Metadata};
use flyte_issuer::{Answer, IssuerError};

/// The longest `error` of an answer that is logged.
const MAX_ERROR_BYTES: usize = 64;

/// A successful answer.
#[derive(Debug)]
pub(crate) struct Tokens {
    pub(crate) access_token: SecretString,
    /// Absent for GitHub.
    pub(crate) id_token: Option<SecretString>,
    pub(crate) refresh_token: Option<SecretString>,
}

#[derive(Deserialize)]
struct Success {
    access_token: SecretString,
    token_type: String,
    id_token: Option<SecretString>,
    refresh_token: Option<SecretString>,
}

#[derive(Deserialize)]
struct Failure {
    error: String,
}

impl Provider {
    /// Sends the code.
    pub(crate) async fn exchange(
        &self,
        metadata: &Metadata,
        code: &SecretString,
        attempt: &Attempt,
    ) -> Result<Tokens, ProviderError> {
        self.tokens(
            metadata,
            &[
                ("grant_type", "authorization_code"),
                ("code", code.expose_secret()),
                ("redirect_uri", &self.callback),
                ("code_verifier", attempt.verifier.expose_secret()),
            ],
        )
        .await
    }

    /// Sends a refresh token (OpenID Connect Core section 12).
    pub(crate) async fn refresh(&self, refresh_token: &SecretString) -> Result<Tokens, ProviderError> {
        let metadata = self.metadata().await?;
        let fields = [("grant_type", "refresh_token"), ("refresh_token", refresh_token.expose_secret())];
        self.tokens(&metadata, &fields).await
    }

    async fn tokens(&self, metadata: &Metadata, fields: &[(&str, &str)]) -> Result<Tokens, ProviderError> {
        let (headers, body) = self.token_request(metadata, fields)?;
        let url = &metadata.token_endpoint;
        let answer = self.fetcher.send(Method::POST, url, headers, body).await?;
        read(&answer).map_err(|error| match error {
            Misread::Refused(code) => ProviderError::Refused(code),
            Misread::Unavailable => {
                IssuerError::answer(url, format!("the answer has status {}", answer.status)).into()
            }
            Misread::Wrong(what) => ProviderError::Wrong(what),
        })
    }

    /// Returns headers and body of a token request.
    fn token_request(
        &self,
        metadata: &Metadata,
        fields: &[(&str, &str)],
    ) -> Result<(HeaderMap, Vec<u8>), ProviderError> {
        let mut form = form_urlencoded::Serializer::new(String::new());
        form.extend_pairs(fields);
        let mut headers = HeaderMap::from_iter([
            (header::CONTENT_TYPE, HeaderValue::from_static("application/x-www-form-urlencoded")),
            (header::ACCEPT, HeaderValue::from_static("application/json")),
        ]);
        self.authenticate(metadata, &mut headers, &mut form)?;
        Ok((headers, form.finish().into_bytes()))
    }
}

/// Why an answer has no tokens.
#[derive(Debug, PartialEq, Eq)]
enum Misread {
    /// The provider's error code.
    Refused(String),
    /// The provider does not work.
    Unavailable,
    /// It is neither.
    Wrong(&'static str),
}

fn read(answer: &Answer) -> Result<Tokens, Misread> {
    // GitHub answers 200 with an error.
    if let Ok(Failure { error }) = serde_json::from_slice(&answer.body) {
        let is_code = |byte: u8| byte.is_ascii_graphic() && !b"\"\\".contains(&byte);
        let is_code = error.len() <= MAX_ERROR_BYTES && error.bytes().all(is_code);
        return Err(Misread::Refused(if is_code { error } else { "unreadable".to_owned() }));
    }
    if answer.status.is_server_error() || answer.status.as_u16() == 429 {
        return Err(Misread::Unavailable);
    }
    if !answer.status.is_success() {
        return Err(Misread::Refused(format!("status {}", answer.status.as_u16())));
    }
    let success: Success = serde_json::from_slice(&answer.body)
        .map_err(|_| Misread::Wrong("the token endpoint's answer has no access token"))?;
    if !success.token_type.eq_ignore_ascii_case("bearer") {
        return Err(Misread::Wrong("the access token is of another type than Bearer"));
    }
    Ok(Tokens {
        access_token: success.access_token,
        id_token: success.id_token,
        refresh_token: success.refresh_token,
    })
}
