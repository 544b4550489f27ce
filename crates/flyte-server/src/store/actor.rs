//! Who did something, as records name them.

use serde::{Deserialize, Serialize};

use crate::access::PrincipalKind;

/// A principal that deployed, changed or started something. What else is known of it is looked up by whoever shows it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Actor {
    /// `sub` of its tokens.
    pub subject: String,
    /// What kind of principal that is.
    pub kind: PrincipalKind,
}
