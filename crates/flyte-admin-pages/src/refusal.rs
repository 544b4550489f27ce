//! Pages for calls that failed.

use axum::{
    http::{HeaderMap, StatusCode},
    response::{IntoResponse, Redirect, Response},
};
use connectrpc::{ConnectError, ErrorCode};
use flyte_pages::{AdminView, Link, admin_page, encode, error_page, internal_error_page};
use flyte_settings::endpoints;
use flyte_store::StoreError;

/// Why there is no page, or why nothing was changed.
#[derive(Debug)]
pub(crate) enum Refusal {
    /// A call failed.
    Call(ConnectError),
    /// The address has no page.
    NoPage,
    /// The user has to sign in first. Has the address of the page.
    SignIn(String),
    /// The sign-in is too long ago for a change. Has the address of the page.
    SignInAgain(Box<(HeaderMap, String, String)>),
    /// The form is not from this server, or from another session.
    OutOfDate,
    /// The form cannot be read.
    Unreadable(StatusCode),
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
            Self::SignIn(path) => Redirect::to(&sign_in(&path)).into_response(),
            Self::SignInAgain(again) => {
                let (headers, email, path) = *again;
                sign_in_again(&headers, email, &path)
            }
            Self::OutOfDate => error_page(
                StatusCode::FORBIDDEN,
                "The form is out of date",
                "Nothing was changed. Go back, reload the page, and try again.",
            ),
            Self::Unreadable(status) => error_page(
                status,
                "The form could not be read",
                "Nothing was changed. Go back, reload the page, and try again.",
            ),
            Self::Store(error) => internal_error_page(&error),
        }
    }
}

/// The address of the sign-in that leads back to a page.
fn sign_in(path: &str) -> String {
    format!("{}?return_to={}", endpoints::LOGIN, encode(path))
}

/// Changes need a recent sign-in, so that a browser that is left open, or a stolen cookie, changes nothing (RFC 9470).
fn sign_in_again(headers: &HeaderMap, email: String, path: &str) -> Response {
    let view = AdminView {
        email,
        crumbs: vec![Link { href: path.to_owned(), text: "Back".to_owned() }],
        heading: "Sign in again".to_owned(),
        lead: "Nothing was changed: a change needs a sign-in of the last 15 minutes, with your second factor if your account \
               needs one. Sign in, then repeat the change."
            .to_owned(),
        open: Some(Link { href: sign_in(path), text: "Sign in again".to_owned() }),
        ..AdminView::default()
    };
    admin_page(headers, StatusCode::UNAUTHORIZED, &view)
}

fn not_found(detail: &str) -> Response {
    error_page(StatusCode::NOT_FOUND, "Page not found", detail)
}

fn of_call(error: &ConnectError) -> Response {
    match error.code {
        // The address named it, so its parts are not valid names either.
        ErrorCode::NotFound | ErrorCode::InvalidArgument => not_found("What it is about does not exist."),
        ErrorCode::PermissionDenied => error_page(
            StatusCode::FORBIDDEN,
            "You have no access",
            "This page is for administrators, and your account does not have the permission. Ask the server's administrator.",
        ),
        ErrorCode::Unauthenticated => {
            error_page(StatusCode::UNAUTHORIZED, "You are signed out", "Sign in again to see this page.")
        }
        ErrorCode::Unavailable | ErrorCode::ResourceExhausted => error_page(
            StatusCode::SERVICE_UNAVAILABLE,
            "The server is busy",
            "It cannot show this page now. Reload the page in a moment.",
        ),
        _ => internal_error_page(error),
    }
}

/// What a failed change says at the top of its page.
///
/// # Errors
/// The refusal that has a page of its own.
pub(crate) fn alert(error: ConnectError) -> Result<(StatusCode, String), Refusal> {
    let status = match error.code {
        ErrorCode::InvalidArgument => StatusCode::UNPROCESSABLE_ENTITY,
        ErrorCode::FailedPrecondition | ErrorCode::AlreadyExists | ErrorCode::NotFound => {
            StatusCode::CONFLICT
        }
        ErrorCode::PermissionDenied => StatusCode::FORBIDDEN,
        _ => return Err(Refusal::Call(error)),
    };
    let message = error.message.unwrap_or_default();
    let mut letters = message.chars();
    let sentence: String = letters.next().into_iter().flat_map(char::to_uppercase).chain(letters).collect();
    Ok((status, format!("{}.", sentence.trim_end_matches('.'))))
}
