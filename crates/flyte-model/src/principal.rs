//! The kinds of principals, and how records name one.

use serde::{Deserialize, Serialize};

/// The kind of principal that the subject of a token is: the private claim `principal`, left out for people.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum PrincipalKind {
    /// A person with an account here; `sub` is the account's identifier.
    #[default]
    Person,
    /// An API key; `sub` is its `client_id`.
    ApiKey,
    /// A job of a trusted CI system; `sub` is the name of the trust rule, a colon, and the `sub` of the CI system's token.
    Federated,
    /// A run of this server; `sub` is `project/domain/name`.
    Run,
}

impl PrincipalKind {
    /// Whether it is the kind that tokens do not name.
    #[must_use]
    pub fn is_person(&self) -> bool {
        *self == Self::Person
    }
}

/// A principal that deployed, changed or started something. Other facts about it are looked up when it is shown.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Actor {
    /// `sub` of its tokens.
    pub subject: String,
    /// What kind of principal that is.
    pub kind: PrincipalKind,
}
