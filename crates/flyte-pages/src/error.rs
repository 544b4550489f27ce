//! The error page.

use askama::Template;
use axum::{http::StatusCode, response::Response};

use super::{form_action::FormAction, page::page};

#[derive(Template)]
#[template(path = "error.html")]
struct ErrorTemplate<'a> {
    title: &'a str,
    detail: &'a str,
    status: StatusCode,
}

/// A page that says what happened (`title`) and what to do next (`detail`, one or two sentences). The texts must not
/// contain a secret.
#[must_use]
pub fn error_page(status: StatusCode, title: &str, detail: &str) -> Response {
    page(status, &ErrorTemplate { title, detail, status }, &FormAction::own())
}

/// The page for an internal error. The cause is written to the log, not to the page.
#[must_use]
pub fn internal_error_page(error: &dyn std::error::Error) -> Response {
    tracing::error!(%error, "a page failed");
    error_page(
        StatusCode::INTERNAL_SERVER_ERROR,
        "Something went wrong",
        "Try again. If it happens again, ask the server's administrator: the cause is in the server's log.",
    )
}
