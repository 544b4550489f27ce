//! The page for what cannot be done.

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

/// A page that says what happened (`title`) and what to do (`detail`, a sentence or two for a person). Neither may
/// contain a secret.
#[must_use]
pub fn error_page(status: StatusCode, title: &str, detail: &str) -> Response {
    page(status, &ErrorTemplate { title, detail, status }, &FormAction::own())
}

/// The page for a failure that the person cannot do anything about; the cause goes to the log.
#[must_use]
pub fn failed(error: &dyn std::error::Error) -> Response {
    tracing::error!(%error, "a page failed");
    error_page(
        StatusCode::INTERNAL_SERVER_ERROR,
        "Something went wrong",
        "The server could not do this. Try again; if it keeps happening, its administrator finds the cause in its log.",
    )
}
