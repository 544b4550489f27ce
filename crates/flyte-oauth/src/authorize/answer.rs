//! The redirect with the response to the client (RFC 6749 sections 4.1.2 and 4.1.2.1).

use axum::response::{IntoResponse, Response};
use http::{HeaderValue, StatusCode, header};
use secrecy::{ExposeSecret as _, SecretString};

use crate::{
    error::{self, OAuthError},
    parameters,
};
use flyte_pages;

/// The address of the response: a redirect URI that the client has registered.
#[derive(Clone, Copy, Debug)]
pub(super) struct Answer<'a> {
    /// `redirect_uri`, with the same bytes as in the request.
    pub(super) redirect_uri: &'a str,
    /// `state`, with the same bytes as in the request.
    pub(super) state: Option<&'a str>,
    /// `iss` (RFC 9207), with which the client recognizes the server.
    pub(super) issuer: &'a str,
}

impl Answer<'_> {
    /// The successful response.
    pub(super) fn code(&self, code: &SecretString) -> Response {
        self.redirect(&[("code", code.expose_secret())])
    }

    /// The error response.
    pub(super) fn error(&self, error: &OAuthError) -> Response {
        self.redirect(&[("error", error.code.as_str()), ("error_description", &error.description)])
    }

    fn redirect(&self, fields: &[(&str, &str)]) -> Response {
        let mut location = self.redirect_uri.to_owned();
        for (name, value) in fields {
            parameters::append(&mut location, name, value);
        }
        if let Some(state) = self.state {
            parameters::append(&mut location, "state", state);
        }
        parameters::append(&mut location, "iss", self.issuer);
        see_other(&location)
    }
}

/// Redirects the browser with GET for every method, without traces in caches or `Referer` headers.
pub(crate) fn see_other(location: &str) -> Response {
    let Ok(mut location) = HeaderValue::from_str(location) else {
        return flyte_pages::error_page(
            StatusCode::BAD_REQUEST,
            "The response could not be delivered",
            "The program gave an address that browsers do not accept. Tell its developers.",
        );
    };
    // The location may contain a code, so it must not be logged.
    location.set_sensitive(true);
    let mut response = (StatusCode::SEE_OTHER, [(header::LOCATION, location)]).into_response();
    error::no_store(response.headers_mut());
    response.headers_mut().insert(header::REFERRER_POLICY, HeaderValue::from_static("no-referrer"));
    response
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::ErrorCode;

    const ISSUER: &str = "https://localhost:8443";

    fn location(response: &Response) -> &str {
        assert_eq!(response.status(), 303);
        assert_eq!(response.headers()[header::CACHE_CONTROL], "no-store");
        assert_eq!(response.headers()[header::REFERRER_POLICY], "no-referrer");
        response.headers()[header::LOCATION].to_str().unwrap()
    }

    #[test]
    fn a_code_comes_with_state_and_issuer() {
        let answer =
            Answer { redirect_uri: "http://localhost:53593", state: Some("a+b&c=d é"), issuer: ISSUER };
        assert_eq!(
            location(&answer.code(&"flc_x".into())),
            "http://localhost:53593?code=flc_x&state=a%2Bb%26c%3Dd%20%C3%A9&iss=https%3A%2F%2Flocalhost%3A8443"
        );
    }

    #[test]
    fn an_error_comes_with_the_issuer_and_keeps_the_query() {
        let answer = Answer { redirect_uri: "https://app.example/cb?x=1", state: None, issuer: ISSUER };
        let error = OAuthError::new(ErrorCode::AccessDenied, "no way");
        assert_eq!(
            location(&answer.error(&error)),
            "https://app.example/cb?x=1&error=access_denied&error_description=no%20way\
             &iss=https%3A%2F%2Flocalhost%3A8443"
        );
    }

    #[test]
    fn an_invalid_location_gives_a_page() {
        assert_eq!(see_other("http://localhost/\r\nSet-Cookie: a=b").status(), 400);
    }
}
