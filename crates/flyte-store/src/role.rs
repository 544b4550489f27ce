//! Custom roles.

use async_trait::async_trait;

use super::StoreError;
use flyte_model::clock::UnixTime;
use flyte_policy::{Permission, Permissions};

/// A role beside the built-in ones: a named set of permissions.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CustomRole {
    /// The name, which is its identifier. It is not that of a built-in role.
    pub name: String,
    /// The purpose of the role.
    pub description: String,
    /// What it allows.
    pub permissions: Permissions,
    /// The time at which it was created.
    pub created_at: UnixTime,
}

/// A query for roles or policies, by name.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct NameQuery {
    /// The most to return.
    pub limit: u32,
    /// The page token of the previous page; empty for the first page.
    pub page_token: String,
}

/// Storage of [`CustomRole`]s.
#[async_trait]
pub trait RoleStore: Send + Sync + 'static {
    /// Adds a role.
    ///
    /// # Errors
    /// [`StoreError::AlreadyExists`] if the name is taken, also by a built-in role.
    async fn create_role(&self, role: &CustomRole) -> Result<(), StoreError>;
    /// Replaces the description and the permissions. Returns `false` if the role does not exist.
    async fn update_role(
        &self,
        name: &str,
        description: &str,
        permissions: Permissions,
    ) -> Result<bool, StoreError>;
    /// Adds a permission. Returns `false` if the role has it already.
    ///
    /// # Errors
    /// [`StoreError::Missing`] if the role does not exist.
    async fn add_role_permission(&self, name: &str, permission: Permission) -> Result<bool, StoreError>;
    /// Removes a permission. Returns `false` if the role does not have it, or does not exist.
    async fn remove_role_permission(&self, name: &str, permission: Permission) -> Result<bool, StoreError>;
    /// Returns the custom role with this name.
    async fn role_by_name(&self, name: &str) -> Result<Option<CustomRole>, StoreError>;
    /// Returns a page of custom roles and the next page's token, which is empty on the last page.
    ///
    /// # Errors
    /// [`StoreError::InvalidPageToken`] for a token of another listing.
    async fn list_roles(&self, query: &NameQuery) -> Result<(Vec<CustomRole>, String), StoreError>;
    /// Deletes a role that no binding has. Returns `false` if it does not exist.
    ///
    /// # Errors
    /// [`StoreError::InUse`] if a binding has it.
    async fn delete_role(&self, name: &str) -> Result<bool, StoreError>;
}
