//! Queries for the users and groups of a SCIM client.

use flyte_model::clock::UnixTime;

/// An attribute that is stored in a column.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ScimField {
    /// `id`.
    Id,
    /// `userName`, without regard to case.
    UserName,
    /// `externalId`.
    ExternalId,
    /// `emails.value`, without regard to case.
    Emails,
    /// `displayName`, without regard to case.
    DisplayName,
    /// `active`.
    Active,
    /// `members.value` of a group.
    Members,
    /// `groups.value` of a user.
    Groups,
    /// `meta.created`.
    Created,
    /// `meta.lastModified`.
    LastModified,
}

/// A comparison (RFC 7644 section 3.4.2.2).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ScimOperator {
    /// `eq`.
    Equal,
    /// `co`.
    Contains,
    /// `sw`.
    StartsWith,
    /// `ew`.
    EndsWith,
    /// `gt`.
    Greater,
    /// `ge`.
    GreaterOrEqual,
    /// `lt`.
    Less,
    /// `le`.
    LessOrEqual,
    /// `pr`. The value is not looked at.
    Present,
}

/// A value to compare with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ScimValue {
    /// A text.
    Text(String),
    /// A boolean.
    Flag(bool),
    /// A time.
    Time(UnixTime),
}

/// A condition on columns. A comparison with an attribute that is absent is false.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ScimCondition {
    /// All of these.
    All(Vec<Self>),
    /// Any of these.
    Any(Vec<Self>),
    /// Not this.
    Not(Box<Self>),
    /// A comparison. Resources without the field never match.
    Test(ScimField, ScimOperator, ScimValue),
}

/// What a listing is sorted by.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ScimSortKey {
    /// A column.
    Field(ScimField),
    /// A member of [`ScimUser::attributes`](super::ScimUser::attributes), by the names on the way to it.
    Attribute(Vec<String>),
}

/// The order of a listing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ScimOrder {
    /// What it is sorted by. Resources without it come last.
    pub by: ScimSortKey,
    /// Whether the order is descending.
    pub descending: bool,
}

/// A query for a part of a listing.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ScimQuery {
    /// The client.
    pub client: String,
    /// Only resources that meet this.
    pub condition: Option<ScimCondition>,
    /// The order; by creation if it is `None`.
    pub order: Option<ScimOrder>,
    /// The number of resources before the first one that is returned.
    pub skip: u64,
    /// The most resources to return.
    pub limit: u32,
}
