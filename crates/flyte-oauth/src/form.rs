//! Request bodies: only `application/x-www-form-urlencoded` is accepted.

use axum::{
    body::Bytes,
    extract::{FromRequest, Request},
};
use http::{HeaderMap, header};

use super::{
    error::OAuthError,
    parameters::{ParameterError, Parameters},
};

/// The maximum size of a form in bytes, also on the pages: forms have a few short fields. The router enforces it.
pub const MAX_BYTES: usize = 64 * 1024;

/// The encoded form of a request. It has no `Debug`, because it contains secrets.
pub struct Form(Bytes);

impl Form {
    /// Parses the form's parameters.
    ///
    /// # Errors
    /// See [`Parameters::parse`].
    pub fn parameters(&self) -> Result<Parameters<'_>, ParameterError> {
        Parameters::parse(&self.0)
    }
}

impl<S: Send + Sync> FromRequest<S> for Form {
    type Rejection = OAuthError;

    async fn from_request(request: Request, state: &S) -> Result<Self, Self::Rejection> {
        if !is_form(request.headers()) {
            return Err(OAuthError::invalid_request("the body must be application/x-www-form-urlencoded"));
        }
        match Bytes::from_request(request, state).await {
            Ok(body) => Ok(Self(body)),
            Err(_) => Err(unreadable()),
        }
    }
}

/// The error for a body that could not be read.
pub(super) fn unreadable() -> OAuthError {
    OAuthError::invalid_request("the body is too large or incomplete")
}

fn is_form(headers: &HeaderMap) -> bool {
    headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok()).is_some_and(|value| {
        let kind = value.split(';').next().unwrap_or_default().trim();
        kind.eq_ignore_ascii_case("application/x-www-form-urlencoded")
    })
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    #[test]
    fn only_forms_are_accepted() {
        for (value, expected) in [
            ("application/x-www-form-urlencoded", true),
            ("Application/X-WWW-Form-Urlencoded; charset=UTF-8", true),
            ("application/json", false),
            ("application/x-www-form-urlencodedx", false),
            ("multipart/form-data; boundary=x", false),
            ("", false),
        ] {
            let headers = [(header::CONTENT_TYPE, HeaderValue::from_static(value))].into_iter().collect();
            assert_eq!(is_form(&headers), expected, "{value}");
        }
        assert!(!is_form(&HeaderMap::new()));
    }
}
