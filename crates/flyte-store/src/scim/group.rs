//! Groups that a SCIM client provisioned.

use async_trait::async_trait;

use super::{ScimOutcome, ScimQuery};
use crate::StoreError;
use flyte_model::clock::UnixTime;

/// A group that a SCIM client provisioned. Its [origin](crate::Group::origin) is the client.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ScimGroup {
    /// The identifier of the group, which is the resource's `id`.
    pub id: String,
    /// The client.
    pub client: String,
    /// `displayName`.
    pub name: String,
    /// `externalId`, unique in the client.
    pub external_id: Option<String>,
    /// Grows with each change of the group and of its members.
    pub version: i64,
    /// The time at which the client provisioned it.
    pub created_at: UnixTime,
    /// The time of the client's last change.
    pub updated_at: UnixTime,
}

/// What a client says about a new group.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ScimGroupData {
    /// `displayName`.
    pub name: String,
    /// `externalId`.
    pub external_id: Option<String>,
    /// The identifiers of its members.
    pub members: Vec<String>,
}

/// A change of the members of a group. Only the rows of the named members change.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ScimMemberChange {
    /// These become members, if they are not yet.
    Add(Vec<String>),
    /// These are no longer members.
    Remove(Vec<String>),
    /// Exactly these are members.
    Set(Vec<String>),
}

/// A change of a group. What is not named stays as it is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ScimGroupChange {
    /// Another `displayName`.
    pub name: Option<String>,
    /// Another `externalId`, or none.
    pub external_id: Option<Option<String>>,
    /// Changes of the members, in this order.
    pub members: Vec<ScimMemberChange>,
}

/// A group that was created or changed, and what this did.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ScimGroupChanged {
    /// The group as it is now.
    pub group: ScimGroup,
    /// Whether the group itself was changed, apart from its members.
    pub changed: bool,
    /// The identifiers of those who became members.
    pub added: Vec<String>,
    /// The identifiers of those who are no longer members.
    pub removed: Vec<String>,
}

/// A member of a group.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ScimMember {
    /// The group.
    pub group_id: String,
    /// The account.
    pub user_id: String,
    /// The name of the account.
    pub name: String,
}

/// A group of a user.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ScimMembership {
    /// The account.
    pub user_id: String,
    /// The group.
    pub group_id: String,
    /// The name of the group.
    pub name: String,
}

/// Storage of [`ScimGroup`]s.
#[async_trait]
pub trait ScimGroupStore: Send + Sync + 'static {
    /// Creates a group with this identifier. Another group of the client may have the same name only if both have an
    /// `externalId`, and these differ.
    ///
    /// # Errors
    /// [`StoreError::AlreadyExists`] if the identifier is taken.
    async fn create_scim_group(
        &self,
        client: &str,
        id: &str,
        data: &ScimGroupData,
        now: UnixTime,
    ) -> Result<ScimOutcome<ScimGroupChanged>, StoreError>;
    /// Returns the client's group with this identifier.
    async fn scim_group(&self, client: &str, id: &str) -> Result<Option<ScimGroup>, StoreError>;
    /// Returns a part of a listing, and the number of all groups that meet its condition.
    async fn list_scim_groups(&self, query: &ScimQuery) -> Result<(Vec<ScimGroup>, u64), StoreError>;
    /// Changes a group, if it has this version or `version` is `None`.
    ///
    /// # Errors
    /// [`StoreError::LastAdministrator`].
    async fn change_scim_group(
        &self,
        client: &str,
        id: &str,
        change: &ScimGroupChange,
        version: Option<i64>,
        now: UnixTime,
    ) -> Result<ScimOutcome<ScimGroupChanged>, StoreError>;
    /// Deletes a group with its memberships, roles and assignments, if it has this version or `version` is `None`. Returns the
    /// group as it was.
    ///
    /// # Errors
    /// [`StoreError::LastAdministrator`].
    async fn delete_scim_group(
        &self,
        client: &str,
        id: &str,
        version: Option<i64>,
    ) -> Result<ScimOutcome<ScimGroup>, StoreError>;
    /// Returns the members of these groups, by one statement, sorted by group and user.
    async fn scim_members(&self, group_ids: &[String]) -> Result<Vec<ScimMember>, StoreError>;
    /// Returns the client's groups of these users, by one statement, sorted by user and group.
    async fn scim_memberships(
        &self,
        client: &str,
        user_ids: &[String],
    ) -> Result<Vec<ScimMembership>, StoreError>;
}
