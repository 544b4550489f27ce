//! A page as a response, and the headers that keep it safe.

use askama::Template;
use axum::{
    http::{HeaderName, HeaderValue, StatusCode, header},
    response::{Html, IntoResponse, Response},
};

use super::form_action::FormAction;
use flyte_settings::Config;

/// A page with its policy on what forms may lead to.
pub(super) fn page(status: StatusCode, template: &impl Template, forms: &FormAction) -> Response {
    match template.render() {
        Ok(html) => with_policy((status, Html(html)).into_response(), forms),
        Err(error) => {
            tracing::error!(%error, "a page could not be rendered");
            let text = "This page could not be made. The server's log says why.";
            with_policy((StatusCode::INTERNAL_SERVER_ERROR, text).into_response(), forms)
        }
    }
}

/// Where this is, as the address bar shows it: what to compare before typing a password.
pub(super) fn server_name(config: &Config) -> &str {
    let issuer = config.issuer();
    issuer.split_once("://").map_or(issuer, |(_, authority)| authority)
}

fn with_policy(mut response: Response, forms: &FormAction) -> Response {
    if let Ok(policy) = HeaderValue::from_str(&content_security_policy(forms)) {
        response.headers_mut().insert(header::CONTENT_SECURITY_POLICY, policy);
    }
    harden(response)
}

/// Nothing runs, nothing is inline, nothing comes from elsewhere, nobody frames it (Content Security Policy Level 3).
fn content_security_policy(forms: &FormAction) -> String {
    format!(
        "default-src 'none'; style-src 'self'; img-src 'self' data:; form-action {forms}; frame-ancestors 'none'; \
         base-uri 'none'"
    )
}

/// Adds the security headers to a response that does not set them itself; a layer, by `map_response`.
///
/// There is no `Strict-Transport-Security`: on `localhost` it would hold for every port, among them the one where the
/// client waits for its callback over plain HTTP (RFC 8252 section 7.3).
pub async fn security_headers(response: Response) -> Response {
    harden(response)
}

const HEADERS: [(HeaderName, HeaderValue); 8] = [
    (
        header::CONTENT_SECURITY_POLICY,
        HeaderValue::from_static(
            "default-src 'none'; form-action 'none'; frame-ancestors 'none'; base-uri 'none'",
        ),
    ),
    (header::X_FRAME_OPTIONS, HeaderValue::from_static("DENY")),
    (header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff")),
    // Not `no-referrer`: browsers would then send `Origin: null` with our own forms.
    (header::REFERRER_POLICY, HeaderValue::from_static("same-origin")),
    (header::CACHE_CONTROL, HeaderValue::from_static("no-store")),
    (HeaderName::from_static("cross-origin-opener-policy"), HeaderValue::from_static("same-origin")),
    (HeaderName::from_static("cross-origin-resource-policy"), HeaderValue::from_static("same-origin")),
    (
        HeaderName::from_static("permissions-policy"),
        HeaderValue::from_static(
            "camera=(), microphone=(), geolocation=(), payment=(), usb=(), display-capture=(), browsing-topics=()",
        ),
    ),
];

fn harden(mut response: Response) -> Response {
    let headers = response.headers_mut();
    for (name, value) in HEADERS {
        headers.entry(name).or_insert(value);
    }
    response
}
