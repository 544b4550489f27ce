//! Provisioning by SCIM 2.0 (RFC 7643, RFC 7644): keys of clients, and the users and groups that each client provisioned.
//!
//! A client is an organization's directory, for example Okta. Its name owns what it provisions, so that a key can be replaced
//! without losing anything. No method shows or changes users and groups that another client or an administrator created.

mod group;
mod key;
mod query;
mod user;

pub use group::{
    ScimGroup, ScimGroupChange, ScimGroupChanged, ScimGroupData, ScimGroupStore, ScimMember,
    ScimMemberChange, ScimMembership,
};
pub use key::{ScimKey, ScimKeyStore, ScimRules};
pub use query::{ScimCondition, ScimField, ScimOperator, ScimOrder, ScimQuery, ScimSortKey, ScimValue};
pub use user::{ScimUser, ScimUserChanged, ScimUserData, ScimUserFilter, ScimUserStore};

/// The prefix of [`GroupOrigin::provider`](super::GroupOrigin::provider) for the groups of SCIM clients. Those of other providers
/// are issuers, which are URLs with another scheme.
pub const SCIM_ORIGIN: &str = "scim:";

/// The outcome of a change.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ScimOutcome<T> {
    /// It is done.
    Done(T),
    /// The client has no such resource.
    Unknown,
    /// The resource has another version than the client expects. Nothing has changed.
    Stale,
    /// A rule of this server does not allow it. Nothing has changed.
    Refused(ScimRefusal),
}

/// The rule that does not allow a change.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ScimRefusal {
    /// Another resource has the value of this attribute.
    Taken(&'static str),
    /// An account with the address exists, and the client may not adopt it.
    AccountExists,
    /// An administrator's account is not adopted, and keeps its address and its identity at the provider.
    Administrator,
    /// An adopted account keeps its address.
    Adopted,
    /// An administrator of this server disabled the account, so only an administrator enables it.
    DisabledHere,
    /// The client has no user with this identifier.
    UnknownMember(String),
}
