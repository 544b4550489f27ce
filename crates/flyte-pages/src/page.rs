//! Page responses and their security headers.

use askama::Template;
use axum::{
    http::{HeaderName, HeaderValue, StatusCode, header},
    response::{Html, IntoResponse, Response},
};

use super::form_action::FormAction;
use flyte_settings::Config;

/// Renders a page, with a policy that allows its forms to lead to `forms`.
pub(super) fn page(status: StatusCode, template: &impl Template, forms: &FormAction) -> Response {
    with_policy(render(status, template), &content_security_policy(forms, ""))
}

/// Renders a page that has our own script, which may read from this server.
pub(super) fn scripted_page(status: StatusCode, template: &impl Template) -> Response {
    let script = " script-src 'self'; connect-src 'self';";
    with_policy(render(status, template), &content_security_policy(&FormAction::own(), script))
}

fn render(status: StatusCode, template: &impl Template) -> Response {
    match template.render() {
        Ok(html) => (status, Html(html)).into_response(),
        Err(error) => {
            tracing::error!(%error, "a page could not be rendered");
            let text = "This page could not be rendered. The cause is in the server's log.";
            (StatusCode::INTERNAL_SERVER_ERROR, text).into_response()
        }
    }
}

/// The server's host and port as in the address bar, for comparison before a person types a password.
pub(super) fn server_name(config: &Config) -> &str {
    let issuer = config.issuer();
    issuer.split_once("://").map_or(issuer, |(_, authority)| authority)
}

fn with_policy(mut response: Response, policy: &str) -> Response {
    if let Ok(policy) = HeaderValue::from_str(policy) {
        response.headers_mut().insert(header::CONTENT_SECURITY_POLICY, policy);
    }
    harden(response)
}

/// The policy of a page: no scripts except what `script` allows, no inline content, nothing from other servers, no framing
/// (Content Security Policy Level 3).
fn content_security_policy(forms: &FormAction, script: &str) -> String {
    format!(
        "default-src 'none';{script} style-src 'self'; img-src 'self' data:; form-action {forms}; \
         frame-ancestors 'none'; base-uri 'none'"
    )
}

/// Adds the security headers that a response does not set itself. To be used with `map_response`.
///
/// `Strict-Transport-Security` is left out: on `localhost` it would apply to every port, also to the one on which the
/// client receives its callback over plain HTTP (RFC 8252 section 7.3).
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
