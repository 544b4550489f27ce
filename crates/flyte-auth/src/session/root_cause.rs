//! Finds the root cause of a missing token, and handles control planes that have no sign-in.

use std::sync::{Arc, atomic::Ordering};

use super::Session;
use crate::{Absence, AccessToken, AuthError};

impl Session {
    /// Finds the root cause of `error` if no person can sign in. An unreachable control plane, or one without a sign-in, is a better
    /// explanation than a missing login, because no sign-in would help.
    pub(super) async fn root_cause(&self, error: AuthError) -> AuthError {
        // If a session has ended, the server has just answered.
        if !matches!(error, AuthError::LoginRequired { .. }) {
            return error;
        }
        match self.discover().await {
            Err(
                error @ (AuthError::Unreachable { .. }
                | AuthError::WrongEndpoint { .. }
                | AuthError::Answered { .. }
                | AuthError::NoSignIn { .. }
                | AuthError::CaFile { .. }
                | AuthError::Proxy { .. }
                | AuthError::Tls { .. }),
            ) => error,
            _ => self.with_signing_in_process(error),
        }
    }

    /// Adds the other process that is signing the person in, if there is one.
    fn with_signing_in_process(&self, error: AuthError) -> AuthError {
        match (error, self.find_signing_in_process()) {
            (AuthError::LoginRequired { endpoint, .. }, Some(holder)) => {
                AuthError::LoginRequired { endpoint, absence: Absence::SigningIn(Box::new(holder)) }
            }
            (error, _) => error,
        }
    }

    /// Gets a token for a call; `None` for a person at a control plane without a sign-in, whose calls need no token. For a machine,
    /// that is an error: its credentials are never left out silently.
    pub(crate) async fn token_if_required(self: &Arc<Self>) -> Result<Option<AccessToken>, AuthError> {
        if self.no_sign_in.load(Ordering::Relaxed) {
            return Ok(None);
        }
        match self.token().await {
            Err(AuthError::NoSignIn { .. }) if self.options.auth_type.is_for_people() => {
                tracing::info!("the control plane has no sign-in: calls go without a token");
                self.no_sign_in.store(true, Ordering::Relaxed);
                Ok(None)
            }
            outcome => outcome.map(Some),
        }
    }

    /// Asks the control plane again whether it has no sign-in, after it rejected a call without a token.
    pub(crate) async fn has_no_sign_in(&self) -> bool {
        self.no_sign_in.store(false, Ordering::Relaxed);
        matches!(self.discover().await, Err(AuthError::NoSignIn { .. }))
    }
}
