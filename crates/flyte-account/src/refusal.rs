//! Pages in place of the one that was asked for.

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
    /// The user has to sign in first. Has the address of the page.
    SignIn(String),
    /// A form came without a session.
    Unauthenticated,
    /// A form is not from a page of this browser and session.
    OutOfDate,
    /// A form cannot be read.
    BadForm,
    /// A call failed.
    Call(ConnectError),
    /// The store failed.
    Store(StoreError),
}

impl From<StoreError> for Refusal {
    fn from(error: StoreError) -> Self {
        Self::Store(error)
    }
}

impl From<ConnectError> for Refusal {
    fn from(error: ConnectError) -> Self {
        Self::Call(error)
    }
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        match self {
            Self::SignIn(path) => {
                Redirect::to(&format!("{}?return_to={}", endpoints::LOGIN, encode(&path))).into_response()
            }
            Self::Unauthenticated => error_page(
                StatusCode::UNAUTHORIZED,
                "You are signed out",
                "Nothing was changed. Sign in again, and send the form once more.",
            ),
            Self::OutOfDate => error_page(
                StatusCode::FORBIDDEN,
                "This page is out of date",
                "You signed in or out after this page was opened, or another site sent the form. Nothing was changed: open \
                 the page again.",
            ),
            Self::BadForm => error_page(
                StatusCode::BAD_REQUEST,
                "The form is not valid",
                "A field is missing, too long, or has the wrong type. Nothing was changed: open the page again.",
            ),
            Self::Call(error) if error.code == ErrorCode::InvalidArgument => error_page(
                StatusCode::BAD_REQUEST,
                "The address is not valid",
                "It has a value that this page does not accept. Go back, and open the page again.",
            ),
            Self::Call(error) if error.code == ErrorCode::PermissionDenied => error_page(
                StatusCode::FORBIDDEN,
                "You may not see this",
                "Ask the server's administrator for a role.",
            ),
            Self::Call(error) => internal_error_page(&error),
            Self::Store(error) => internal_error_page(&error),
        }
    }
}
