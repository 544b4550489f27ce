//! What a failure is told as: its first cause, not what came of that. And control planes that have no sign-in at all.

use std::sync::{Arc, atomic::Ordering};

use super::Session;
use crate::{Absence, AccessToken, AuthError};

impl Session {
    /// Why there is no token if no person can sign in. A control plane that cannot be reached, or that has no sign-in, is the
    /// cause of more than a missing login is, and no sign-in would help.
    pub(super) async fn cause_of(&self, over: AuthError) -> AuthError {
        // The server has just answered where a session has ended.
        if !matches!(over, AuthError::LoginRequired { .. }) {
            return over;
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
            _ => self.with_who_signs_in(over),
        }
    }

    /// The same error, naming the process where one is in the middle of a sign-in that nobody waits for here.
    fn with_who_signs_in(&self, over: AuthError) -> AuthError {
        match (over, self.signing_in()) {
            (AuthError::LoginRequired { endpoint, .. }, Some(holder)) => {
                AuthError::LoginRequired { endpoint, absence: Absence::SigningIn(Box::new(holder)) }
            }
            (over, _) => over,
        }
    }

    /// A token for a call; `None` for a person at a control plane without a sign-in, whose calls go without one. Credentials of
    /// a machine are never left out silently: there it is a failure.
    pub(crate) async fn token_if_asked_for(self: &Arc<Self>) -> Result<Option<AccessToken>, AuthError> {
        if self.no_sign_in.load(Ordering::Relaxed) {
            return Ok(None);
        }
        match self.token().await {
            Err(AuthError::NoSignIn { .. }) if self.options.auth_type.is_a_persons() => {
                tracing::info!("the control plane has no sign-in: calls go without a token");
                self.no_sign_in.store(true, Ordering::Relaxed);
                Ok(None)
            }
            outcome => outcome.map(Some),
        }
    }

    /// Whether the control plane has no sign-in at all, as it tells now. It did not like a call without a token.
    pub(crate) async fn has_no_sign_in(&self) -> bool {
        self.no_sign_in.store(false, Ordering::Relaxed);
        matches!(self.discover().await, Err(AuthError::NoSignIn { .. }))
    }
}
