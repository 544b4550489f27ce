//! Reasons to refuse a call, and their HTTP responses (RFC 6750 section 3, RFC 9728 section 5.1).

use axum::response::{IntoResponse, Response};
use http::{HeaderValue, StatusCode, header};

use super::{
    principal::LookUpError,
    workload::{Unavailable, WorkloadError},
};
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
    /// The platform of a pod could not be asked, so the caller could not be checked.
    #[error("the caller could not be checked")]
    Unavailable(#[source] Unavailable),
}

impl From<&'static str> for Reason {
    fn from(why: &'static str) -> Self {
        Self::Invalid(why)
    }
}

impl From<LookUpError> for Reason {
    fn from(error: LookUpError) -> Self {
        match error {
            LookUpError::Store(error) => Self::Store(error),
            LookUpError::Unavailable(error) => Self::Unavailable(error),
        }
    }
}

impl From<WorkloadError> for Reason {
    fn from(error: WorkloadError) -> Self {
        match error {
            WorkloadError::Invalid(why) => Self::Invalid(why),
            WorkloadError::Unavailable(error) => Self::Unavailable(error),
        }
    }
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
        match &reason {
            Reason::Store(error) => tracing::error!(%error, "a caller could not be checked"),
            Reason::Unavailable(error) => tracing::error!(%error, "a pod could not be checked"),
            Reason::Missing | Reason::Invalid(_) => {}
        }
        Self { reason, resource_metadata: config.url(RESOURCE_METADATA) }
    }

    /// 401, or 503 if the caller could not be checked.
    #[must_use]
    pub fn status(&self) -> StatusCode {
        match self.reason {
            Reason::Missing | Reason::Invalid(_) => StatusCode::UNAUTHORIZED,
            Reason::Store(_) | Reason::Unavailable(_) => StatusCode::SERVICE_UNAVAILABLE,
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
            Reason::Store(_) | Reason::Unavailable(_) => return None,
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
