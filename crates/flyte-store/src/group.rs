//! Groups of people.

use async_trait::async_trait;

use super::{StoreError, User};
use flyte_model::clock::UnixTime;

/// A group of people. Groups do not contain groups.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Group {
    /// Stable identifier; a UUID.
    pub id: String,
    /// The name for display. Names of groups that are made here are unique; those of a provider are what the provider says.
    pub name: String,
    /// The purpose of the group.
    pub description: String,
    /// The provider's group that this one mirrors; `None` if it is made here.
    pub origin: Option<GroupOrigin>,
    /// The time at which it was created.
    pub created_at: UnixTime,
}

/// The group of an outside provider that a group mirrors. The provider is part of the key, so a provider cannot claim a group
/// that was made here, or another provider's, by using its name. A provider is known by its issuer: a section of the settings can
/// be pointed at another one.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct GroupOrigin {
    /// The issuer of the provider (for Entra ID, that of the tenant), or the name of the SCIM client.
    pub provider: String,
    /// The provider's immutable identifier of the group.
    pub external_id: String,
}

/// A query for groups, by name.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct GroupQuery {
    /// Only groups of this provider ([`GroupOrigin::provider`]).
    pub provider: Option<String>,
    /// The most groups to return.
    pub limit: u32,
    /// The page token of the previous page; empty for the first page.
    pub page_token: String,
}

/// A query for the members of a group, by identifier.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct MemberQuery {
    /// The identifier of the group.
    pub group_id: String,
    /// The most members to return.
    pub limit: u32,
    /// The page token of the previous page; empty for the first page.
    pub page_token: String,
}

/// Storage of [`Group`]s and their members.
///
/// Each change of members adds or removes one row, so changes at the same time do not undo each other.
#[async_trait]
pub trait GroupStore: Send + Sync + 'static {
    /// Adds a group without members.
    ///
    /// # Errors
    /// [`StoreError::AlreadyExists`] if the identifier or the origin is taken or, for a group without an origin, the name in any
    /// case.
    async fn create_group(&self, group: &Group) -> Result<(), StoreError>;
    /// Replaces the name and the description. Members and roles stay. Returns `false` if the group does not exist.
    ///
    /// # Errors
    /// [`StoreError::AlreadyExists`] if the name is taken.
    async fn update_group(&self, id: &str, name: &str, description: &str) -> Result<bool, StoreError>;
    /// Returns the group with this identifier.
    async fn group_by_id(&self, id: &str) -> Result<Option<Group>, StoreError>;
    /// Returns the group with this name, in any case, that was made here.
    async fn group_by_name(&self, name: &str) -> Result<Option<Group>, StoreError>;
    /// Returns the group that mirrors a provider's group.
    async fn group_by_origin(&self, origin: &GroupOrigin) -> Result<Option<Group>, StoreError>;
    /// Returns a page of groups and the next page's token, which is empty on the last page.
    ///
    /// # Errors
    /// [`StoreError::InvalidPageToken`] for a token of another listing.
    async fn list_groups(&self, query: &GroupQuery) -> Result<(Vec<Group>, String), StoreError>;
    /// Deletes a group with its memberships, roles and assignments. Returns `false` if it does not exist.
    ///
    /// # Errors
    /// [`StoreError::LastAdministrator`].
    async fn delete_group(&self, id: &str) -> Result<bool, StoreError>;
    /// Adds a member. Returns `false` if the user is one already.
    ///
    /// # Errors
    /// [`StoreError::Missing`] if the group or the user does not exist.
    async fn add_group_member(&self, group_id: &str, user_id: &str) -> Result<bool, StoreError>;
    /// Removes a member. Returns `false` if the user is none.
    ///
    /// # Errors
    /// [`StoreError::LastAdministrator`].
    async fn remove_group_member(&self, group_id: &str, user_id: &str) -> Result<bool, StoreError>;
    /// Returns a page of members and the next page's token, which is empty on the last page.
    ///
    /// # Errors
    /// [`StoreError::InvalidPageToken`] for a token of another listing.
    async fn list_group_members(&self, query: &MemberQuery) -> Result<(Vec<User>, String), StoreError>;
    /// Returns the groups of a user, by name.
    async fn groups_of_user(&self, user_id: &str) -> Result<Vec<Group>, StoreError>;
    /// Makes a user a member of exactly these groups of one provider ([`GroupOrigin::provider`]). Groups that are not known yet are created, and get their new
    /// names if those have changed. Groups that were made here, or are of other providers, stay as they are. Returns whether a
    /// membership has changed.
    ///
    /// # Errors
    /// [`StoreError::Missing`] if the user does not exist, [`StoreError::LastAdministrator`].
    async fn set_provider_groups(
        &self,
        user_id: &str,
        provider: &str,
        groups: &[ProviderGroup],
        now: UnixTime,
    ) -> Result<bool, StoreError>;
}

/// A group that a provider says a user is in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProviderGroup {
    /// The provider's immutable identifier.
    pub external_id: String,
    /// Its name there.
    pub name: String,
}
