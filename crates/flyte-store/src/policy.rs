//! Bindings of roles, and policies: named lists of bindings.

use async_trait::async_trait;

use super::{NameQuery, StoreError};
use flyte_model::{Limit, Role, clock::UnixTime};
use flyte_policy::{Binding, PolicyRows, Subject};

/// A policy. Its bindings are those of the [subject](Subject::policy) with its name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Policy {
    /// The name, which is its identifier.
    pub name: String,
    /// The purpose of the policy.
    pub description: String,
    /// The time at which it was created.
    pub created_at: UnixTime,
}

/// A role in a part of the control plane, for an account that is created.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RoleIn {
    /// The name of a built-in or custom role.
    pub role: String,
    /// Where.
    pub limit: Limit,
}

impl RoleIn {
    /// A built-in role in all projects and domains.
    #[must_use]
    pub fn everywhere(role: Role) -> Self {
        Self { role: role.to_string(), limit: Limit::default() }
    }
}

/// What has a role, with its name for people.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RoleHolder {
    /// The binding.
    pub binding: Binding,
    /// The e-mail address of a user, or the name of a group, an API key or a policy. Empty if it does not exist any more.
    pub name: String,
}

/// A query for what has a role itself.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RoleHolderQuery {
    /// The name of the role.
    pub role: String,
    /// The most to return.
    pub limit: u32,
    /// The page token of the previous page; empty for the first page.
    pub page_token: String,
}

/// A query for the subjects that have a policy.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AssigneeQuery {
    /// The name of the policy.
    pub policy: String,
    /// The most to return.
    pub limit: u32,
    /// The page token of the previous page; empty for the first page.
    pub page_token: String,
}

/// Storage of bindings, policies and their assignments.
///
/// At least one enabled account always has the built-in role `admin` everywhere: by itself, by a group or by a policy. What would
/// take it from the last one fails with [`StoreError::LastAdministrator`], in the same transaction, so two administrators cannot
/// demote each other at the same moment.
#[async_trait]
pub trait PolicyStore: Send + Sync + 'static {
    /// Gives a subject a role. Returns `false` if it has the role there already.
    ///
    /// # Errors
    /// [`StoreError::Missing`] if the subject or the role does not exist.
    async fn bind_role(&self, binding: &Binding, now: UnixTime) -> Result<bool, StoreError>;
    /// Takes a role from a subject. Returns `false` if it does not have it there.
    ///
    /// # Errors
    /// [`StoreError::LastAdministrator`].
    async fn unbind_role(&self, binding: &Binding) -> Result<bool, StoreError>;
    /// Returns the bindings of a subject itself, by role, project and domain.
    async fn bindings_of(&self, subject: &Subject) -> Result<Vec<Binding>, StoreError>;
    /// Returns a page of what has a role itself, by project, domain and subject, and the next page's token, which is empty on the
    /// last page.
    ///
    /// # Errors
    /// [`StoreError::InvalidPageToken`] for a token of another listing.
    async fn list_role_holders(
        &self,
        query: &RoleHolderQuery,
    ) -> Result<(Vec<RoleHolder>, String), StoreError>;
    /// Adds a policy with its bindings, whose subject is replaced by the policy.
    ///
    /// # Errors
    /// [`StoreError::AlreadyExists`] if the name is taken, [`StoreError::Missing`] if a role does not exist.
    async fn create_policy(&self, policy: &Policy, bindings: &[RoleIn]) -> Result<(), StoreError>;
    /// Replaces the description. Returns `false` if the policy does not exist.
    async fn update_policy(&self, name: &str, description: &str) -> Result<bool, StoreError>;
    /// Returns the policy with this name.
    async fn policy_by_name(&self, name: &str) -> Result<Option<Policy>, StoreError>;
    /// Returns a page of policies and the next page's token, which is empty on the last page.
    ///
    /// # Errors
    /// [`StoreError::InvalidPageToken`] for a token of another listing.
    async fn list_policies(&self, query: &NameQuery) -> Result<(Vec<Policy>, String), StoreError>;
    /// Deletes a policy with its bindings and assignments. Returns `false` if it does not exist.
    ///
    /// # Errors
    /// [`StoreError::LastAdministrator`].
    async fn delete_policy(&self, name: &str) -> Result<bool, StoreError>;
    /// Assigns a policy to a user, a group or an application. Returns `false` if it has the policy already.
    ///
    /// # Errors
    /// [`StoreError::Missing`] if the subject or the policy does not exist.
    async fn assign_policy(&self, subject: &Subject, policy: &str, now: UnixTime)
    -> Result<bool, StoreError>;
    /// Takes a policy from a subject. Returns `false` if it does not have it.
    ///
    /// # Errors
    /// [`StoreError::LastAdministrator`].
    async fn unassign_policy(&self, subject: &Subject, policy: &str) -> Result<bool, StoreError>;
    /// Returns the policies that are assigned to a subject itself, by name.
    async fn policies_of(&self, subject: &Subject) -> Result<Vec<Policy>, StoreError>;
    /// Returns a page of the subjects that have a policy, by kind and identifier, and the next page's token, which is empty on
    /// the last page.
    ///
    /// # Errors
    /// [`StoreError::InvalidPageToken`] for a token of another listing.
    async fn list_assignees(&self, query: &AssigneeQuery) -> Result<(Vec<Subject>, String), StoreError>;
    /// Returns a number that grows with each change of bindings, policies, assignments, roles and members of groups.
    async fn policy_generation(&self) -> Result<i64, StoreError>;
    /// Returns all rows that decide about rights, as they are at one moment.
    async fn policy_rows(&self) -> Result<PolicyRows, StoreError>;
}
