//! What a failure is told as: its first cause, not what came of that.

use super::Session;
use crate::AuthError;

impl Session {
    /// Why there is no token where nobody can sign in. A control plane that cannot be reached, or that has no sign-in, is the
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
            _ => over,
        }
    }

    /// Whether the control plane has no sign-in at all, as it tells now.
    pub(crate) async fn has_no_sign_in(&self) -> bool {
        matches!(self.discover().await, Err(AuthError::NoSignIn { .. }))
    }
}
