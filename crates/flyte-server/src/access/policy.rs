//! What each caller may do.
//!
//! The control plane's calls need the scope `all`. Whoever has it may read projects; only administrators create and change
//! them.

use super::Caller;
use crate::oauth::scope;

/// A call that its caller may not make. The message says what is missing.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Denied {
    /// The token was not granted the scope that the call needs.
    #[error("this call needs a token with the scope {0:?}")]
    Scope(&'static str),
    /// The caller is no administrator.
    #[error("{0} needs an administrator of this server")]
    Admin(&'static str),
}

/// Calls of the control plane.
///
/// # Errors
/// [`Denied::Scope`].
pub fn may_call(caller: &Caller) -> Result<(), Denied> {
    if caller.scopes.iter().any(|granted| granted == scope::ALL) {
        Ok(())
    } else {
        Err(Denied::Scope(scope::ALL))
    }
}

/// What only administrators do; `what` names it in the message, such as `creating a project`.
///
/// # Errors
/// [`Denied::Admin`].
pub fn may_administer(caller: &Caller, what: &'static str) -> Result<(), Denied> {
    if caller.admin { Ok(()) } else { Err(Denied::Admin(what)) }
}
