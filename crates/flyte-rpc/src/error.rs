//! The errors that many services answer.

use connectrpc::ConnectError;
use http::header;

use flyte_access::{
    policy::{self, Denied},
    step_up_challenge,
};
use flyte_store::StoreError;

/// The error for a denied call. It has a step-up challenge if a recent sign-in is missing (RFC 9470).
pub(crate) fn denied(denied: Denied) -> ConnectError {
    if !matches!(denied, Denied::StepUp(_)) {
        return ConnectError::permission_denied(denied.to_string());
    }
    let mut error = ConnectError::unauthenticated(denied.to_string());
    let challenge = step_up_challenge(policy::RECENT_SIGN_IN);
    error.response_headers_mut().insert(header::WWW_AUTHENTICATE, challenge);
    error
}

/// The error for an invalid field of a request.
#[must_use]
pub fn invalid(field: &str, what: &str) -> ConnectError {
    ConnectError::invalid_argument(format!("{field} {what}"))
}

/// Converts an error of the store. The details go to the log, not to the caller.
#[must_use]
pub fn store_error(error: StoreError) -> ConnectError {
    match error {
        StoreError::AlreadyExists { .. } => ConnectError::already_exists(error.to_string()),
        StoreError::Missing { .. } => ConnectError::not_found(error.to_string()),
        StoreError::InUse { .. } | StoreError::LastAdministrator => {
            ConnectError::failed_precondition(error.to_string())
        }
        StoreError::InvalidPageToken => ConnectError::invalid_argument(format!("token: {error}")),
        StoreError::Backend(_) => {
            tracing::error!(%error, "a call failed");
            ConnectError::unavailable("the server's database failed; try again later")
        }
    }
}
