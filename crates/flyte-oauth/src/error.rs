//! OAuth error responses (RFC 6749 sections 4.1.2.1 and 5.2).

use std::borrow::Cow;

use axum::{
    Json,
    response::{IntoResponse, Response},
};
use http::{HeaderMap, HeaderValue, StatusCode, header};
use serde::Serialize;

use super::parameters::ParameterError;
use flyte_keys::KeyError;
use flyte_model::ScopeError;
use flyte_store::StoreError;

/// A registered error code. Each description starts with the specification that registers it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ErrorCode {
    /// RFC 6749: a parameter is missing, repeated or malformed.
    InvalidRequest,
    /// RFC 6749: the client is not authenticated.
    InvalidClient,
    /// RFC 6749: the code or refresh token is unknown, expired, revoked, or of another client.
    InvalidGrant,
    /// RFC 6749: the client may not use this grant.
    UnauthorizedClient,
    /// RFC 6749: the grant type is not supported.
    UnsupportedGrantType,
    /// RFC 6749: the response type is not supported.
    UnsupportedResponseType,
    /// RFC 6749: a scope is unknown or malformed, or the client may not have it.
    InvalidScope,
    /// RFC 6749: the user denied the request.
    AccessDenied,
    /// RFC 6749: the server failed.
    ServerError,
    /// RFC 8628: the device is not approved yet.
    AuthorizationPending,
    /// RFC 8628: the device polls too often.
    SlowDown,
    /// RFC 8628: the device's codes have expired.
    ExpiredToken,
    /// RFC 6749: there were too many failures, or another server does not answer; a later request may succeed.
    TemporarilyUnavailable,
    /// RFC 8707: the requested resource is not this server.
    InvalidTarget,
    /// OpenID Connect Core: the user must sign in, and `prompt=none` does not allow asking.
    LoginRequired,
    /// OpenID Connect Core: consent is missing, and `prompt=none` does not allow asking.
    ConsentRequired,
    /// OpenID Connect Core: the `request` parameter is not supported.
    RequestNotSupported,
    /// OpenID Connect Core: the `request_uri` parameter is not supported.
    RequestUriNotSupported,
    /// OpenID Connect Core: the `registration` parameter is not supported.
    RegistrationNotSupported,
    /// Our extension of RFC 8628: the server demands a number that the device shows, and the client did not ask for one.
    NumberMatchingRequired,
}

impl ErrorCode {
    /// The registered value.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::InvalidRequest => "invalid_request",
            Self::InvalidClient => "invalid_client",
            Self::InvalidGrant => "invalid_grant",
            Self::UnauthorizedClient => "unauthorized_client",
            Self::UnsupportedGrantType => "unsupported_grant_type",
            Self::UnsupportedResponseType => "unsupported_response_type",
            Self::InvalidScope => "invalid_scope",
            Self::AccessDenied => "access_denied",
            Self::ServerError => "server_error",
            Self::AuthorizationPending => "authorization_pending",
            Self::SlowDown => "slow_down",
            Self::ExpiredToken => "expired_token",
            Self::TemporarilyUnavailable => "temporarily_unavailable",
            Self::InvalidTarget => "invalid_target",
            Self::LoginRequired => "login_required",
            Self::ConsentRequired => "consent_required",
            Self::RequestNotSupported => "request_not_supported",
            Self::RequestUriNotSupported => "request_uri_not_supported",
            Self::RegistrationNotSupported => "registration_not_supported",
            Self::NumberMatchingRequired => "number_matching_required",
        }
    }
}

/// An error for a client: as JSON (this type's [`IntoResponse`]), or in a redirect (`authorize`).
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{}: {description}", code.as_str())]
pub struct OAuthError {
    /// The error code.
    pub code: ErrorCode,
    /// The reason, for the client's developers; never a secret.
    pub description: Cow<'static, str>,
}

impl OAuthError {
    /// Creates an error with a description.
    pub fn new(code: ErrorCode, description: impl Into<Cow<'static, str>>) -> Self {
        Self { code, description: description.into() }
    }

    /// Creates the error for a missing, repeated or malformed parameter.
    pub fn invalid_request(description: impl Into<Cow<'static, str>>) -> Self {
        Self::new(ErrorCode::InvalidRequest, description)
    }

    /// Creates the error for an invalid code or refresh token.
    pub fn invalid_grant(description: impl Into<Cow<'static, str>>) -> Self {
        Self::new(ErrorCode::InvalidGrant, description)
    }

    /// Creates the error for a failure of the server. The cause is logged; the client does not get it.
    pub fn internal(error: &dyn std::error::Error) -> Self {
        tracing::error!(%error, "an OAuth request failed");
        Self::new(ErrorCode::ServerError, "the server failed; try again")
    }
}

impl From<ParameterError> for OAuthError {
    fn from(error: ParameterError) -> Self {
        Self::invalid_request(error.to_string())
    }
}

impl From<ScopeError> for OAuthError {
    fn from(error: ScopeError) -> Self {
        Self::new(ErrorCode::InvalidScope, error.to_string())
    }
}

impl From<StoreError> for OAuthError {
    fn from(error: StoreError) -> Self {
        Self::internal(&error)
    }
}

impl From<KeyError> for OAuthError {
    fn from(error: KeyError) -> Self {
        Self::internal(&error)
    }
}

impl From<aws_lc_rs::error::Unspecified> for OAuthError {
    fn from(error: aws_lc_rs::error::Unspecified) -> Self {
        Self::internal(&error)
    }
}

/// The body of an error response (RFC 6749 section 5.2).
#[derive(Serialize)]
struct Body<'a> {
    error: &'static str,
    error_description: &'a str,
}

impl IntoResponse for OAuthError {
    fn into_response(self) -> Response {
        let status = match self.code {
            ErrorCode::InvalidClient => StatusCode::UNAUTHORIZED,
            ErrorCode::ServerError => StatusCode::INTERNAL_SERVER_ERROR,
            ErrorCode::TemporarilyUnavailable => StatusCode::SERVICE_UNAVAILABLE,
            _ => StatusCode::BAD_REQUEST,
        };
        let body = Body { error: self.code.as_str(), error_description: &self.description };
        let mut response = (status, Json(body)).into_response();
        no_store(response.headers_mut());
        if status == StatusCode::UNAUTHORIZED {
            response.headers_mut().insert(
                header::WWW_AUTHENTICATE,
                HeaderValue::from_static("Basic realm=\"flyte\", charset=\"UTF-8\""),
            );
        }
        response
    }
}

/// Forbids caching of a response (RFC 6749 section 5.1).
pub fn no_store(headers: &mut HeaderMap) {
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(header::PRAGMA, HeaderValue::from_static("no-cache"));
}

#[cfg(test)]
mod tests {
    use http_body_util::BodyExt as _;

    use super::*;

    #[tokio::test]
    async fn an_error_is_json_and_not_cached() {
        for (code, status, challenge) in [
            (ErrorCode::InvalidGrant, 400, None),
            (ErrorCode::InvalidClient, 401, Some("Basic realm=\"flyte\", charset=\"UTF-8\"")),
            (ErrorCode::ServerError, 500, None),
        ] {
            let response = OAuthError::new(code, "why").into_response();
            assert_eq!(response.status(), status);
            let headers = response.headers();
            assert_eq!(headers[header::CACHE_CONTROL], "no-store");
            assert_eq!(headers[header::PRAGMA], "no-cache");
            assert_eq!(headers[header::CONTENT_TYPE], "application/json");
            assert_eq!(headers.get(header::WWW_AUTHENTICATE).map(|v| v.to_str().unwrap()), challenge);
            let body = response.into_body().collect().await.unwrap().to_bytes();
            let body: serde_json::Value = serde_json::from_slice(&body).unwrap();
            assert_eq!(body, serde_json::json!({"error": code.as_str(), "error_description": "why"}));
        }
    }

    #[test]
    fn internal_failures_are_not_sent_to_the_client() {
        let error = StoreError::Backend("disk /secret/path is full".into());
        assert!(!OAuthError::from(error).to_string().contains("secret"));
    }

    #[test]
    fn descriptions_use_only_the_characters_of_the_rfc() {
        let parse = |scope: &str| scope.parse::<flyte_model::Scopes>().unwrap_err();
        for error in [
            OAuthError::from(ParameterError::Repeated("state")),
            OAuthError::from(ParameterError::NotUtf8),
            OAuthError::from(parse("\"\\")),
            OAuthError::from(parse("")),
            OAuthError::from(ScopeError::Excessive("a/b".into())),
        ] {
            // %x20-21 / %x23-5B / %x5D-7E
            let allowed = |b: u8| matches!(b, 0x20..=0x21 | 0x23..=0x5B | 0x5D..=0x7E);
            assert!(error.description.bytes().all(allowed), "{error}");
        }
    }
}
