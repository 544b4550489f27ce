//! Reasons to refuse a call, and their HTTP responses (RFC 6750 section 3, RFC 9728 section 5.1).

use axum::response::{IntoResponse, Response};
use http::{HeaderValue, StatusCode, header};

use flyte_settings::Config;
use flyte_store::StoreError;

/// Path of the protected resource's metadata (RFC 9728 section 3).
pub const RESOURCE_METADATA: &str = "/.well-known/oauth-protected-resource";

/// The `WWW-Authenticate` challenge that requires a sign-in within the last `max_age` seconds (RFC 9470 section 3).
#[must_use]
pub fn step_up_challenge(max_age: i64) -> HeaderValue {
    let challenge = format!(
        "Bearer error=\"insufficient_user_authentication\", error_description=\"a more recent sign-in is required\", \
         max_age=\"{max_age}\""
    );
    // The challenge contains only visible ASCII characters.
    HeaderValue::from_str(&challenge).unwrap_or(HeaderValue::from_static("Bearer"))
}

/// The reason for refusing a call.
#[derive(Debug, thiserror::Error)]
pub enum Reason {
    /// The request has no bearer token.
    #[error("the request has no access token")]
    Missing,
    /// The token is invalid. The text helps a developer and gives an attacker no new information.
    #[error("{0}")]
    Invalid(&'static str),
    /// The store failed, so the caller could not be checked.
    #[error("the caller could not be checked")]
    Store(#[source] StoreError),
}

/// A refused call.
#[derive(Debug, thiserror::Error)]
#[error("{reason}")]
pub struct AccessError {
    /// The reason.
    pub reason: Reason,
    /// URL of the metadata that describes how to get a token.
    resource_metadata: String,
}

impl AccessError {
    pub(super) fn new(reason: Reason, config: &Config) -> Self {
        if let Reason::Store(error) = &reason {
            tracing::error!(%error, "a caller could not be checked");
        }
        Self { reason, resource_metadata: config.url(RESOURCE_METADATA) }
    }

    /// 401, or 503 if the store failed.
    #[must_use]
    pub fn status(&self) -> StatusCode {
        match self.reason {
            Reason::Missing | Reason::Invalid(_) => StatusCode::UNAUTHORIZED,
            Reason::Store(_) => StatusCode::SERVICE_UNAVAILABLE,
        }
    }

    /// The value of `WWW-Authenticate`; `None` if a token would not help.
    #[must_use]
    pub fn challenge(&self) -> Option<HeaderValue> {
        let metadata = &self.resource_metadata;
        let challenge = match self.reason {
            // RFC 6750 section 3.1: a request without a token gets no error code.
            Reason::Missing => format!("Bearer resource_metadata=\"{metadata}\""),
            Reason::Invalid(what) => format!(
                "Bearer error=\"invalid_token\", error_description=\"{what}\", resource_metadata=\"{metadata}\""
            ),
            Reason::Store(_) => return None,
        };
        HeaderValue::from_str(&challenge).ok()
    }
}

impl IntoResponse for AccessError {
    fn into_response(self) -> Response {
        let mut response = self.status().into_response();
        let headers = response.headers_mut();
        if let Some(challenge) = self.challenge() {
            headers.insert(header::WWW_AUTHENTICATE, challenge);
        }
        headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
        response
    }
}
