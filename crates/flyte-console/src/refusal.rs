//! Pages for calls that failed.

use axum::{
    http::StatusCode,
    response::{IntoResponse, Redirect, Response},
};
use connectrpc::{ConnectError, ErrorCode};
use flyte_pages::{encode, error_page, internal_error_page};
use flyte_settings::endpoints;
use flyte_store::StoreError;

/// Why there is no page.
#[derive(Debug)]
pub(crate) enum Refusal {
    /// A call failed.
    Call(ConnectError),
    /// The address has no page.
    NoPage,
    /// The user has to sign in first. Has the address of the page.
    SignIn(String),
    /// The request is not one for a page, and there is no session.
    Unauthenticated,
    /// The store failed.
    Store(StoreError),
}

impl From<ConnectError> for Refusal {
    fn from(error: ConnectError) -> Self {
        Self::Call(error)
    }
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        match self {
            Self::Call(error) => of_call(&error),
            Self::NoPage => not_found("This server has no page at this address."),
            Self::SignIn(path) => {
                Redirect::to(&format!("{}?return_to={}", endpoints::LOGIN, encode(&path))).into_response()
            }
            Self::Unauthenticated => {
                error_page(StatusCode::UNAUTHORIZED, "You are signed out", "Sign in again to see this page.")
            }
            Self::Store(error) => internal_error_page(&error),
        }
    }
}

fn not_found(detail: &str) -> Response {
    error_page(StatusCode::NOT_FOUND, "Page not found", detail)
}

fn of_call(error: &ConnectError) -> Response {
    match error.code {
        // The address named it, so its parts are not valid names either.
        ErrorCode::NotFound | ErrorCode::InvalidArgument => {
            not_found("It does not exist, or you have no access to its project.")
        }
        ErrorCode::PermissionDenied => error_page(
            StatusCode::FORBIDDEN,
            "You have no access",
            "Your account may not read this. Ask the server's administrator.",
        ),
        ErrorCode::Unauthenticated => {
            error_page(StatusCode::UNAUTHORIZED, "You are signed out", "Sign in again to see this page.")
        }
        ErrorCode::ResourceExhausted => error_page(
            StatusCode::TOO_MANY_REQUESTS,
            "Too much at once",
            "You have too many open pages that update themselves. Close some, and reload this page.",
        ),
        ErrorCode::Unavailable => error_page(
            StatusCode::SERVICE_UNAVAILABLE,
            "The server is busy",
            "It cannot show this page now. Reload the page in a moment.",
        ),
        _ => internal_error_page(error),
    }
}
