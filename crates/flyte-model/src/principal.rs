//! The kinds of principals, and references to a principal in records.

use serde::{Deserialize, Serialize};

/// The kind of principal that a token's subject is: the private claim `principal`, which tokens of people omit.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PrincipalKind {
    /// A person with an account here; `sub` is the account's identifier.
    #[default]
    Person,
    /// An API key; `sub` is the key's `client_id`.
    ApiKey,
    /// A job of a trusted CI system. `sub` is the name of the trust rule, a colon, and the `sub` of the CI system's
    /// token.
    Federated,
    /// A run of this server; `sub` is `project/domain/name`.
    Run,
}

impl PrincipalKind {
    /// Returns whether this is the kind that tokens omit.
    #[must_use]
    pub fn is_person(&self) -> bool {
        *self == Self::Person
    }
}

/// A principal that deployed, changed or started something. Other facts about it are looked up when it is displayed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Actor {
    /// The `sub` of the principal's tokens.
    pub subject: String,
    /// The kind of principal.
    pub kind: PrincipalKind,
}
