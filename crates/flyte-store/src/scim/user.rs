//! Users that a SCIM client provisioned.

use std::sync::Arc;

use async_trait::async_trait;

use super::{ScimOutcome, ScimQuery, ScimRules};
use crate::{ApiKey, DeletedUser, StoreError};
use flyte_model::clock::UnixTime;

/// A user that a SCIM client provisioned: an account, and what the client says about it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ScimUser {
    /// The identifier of the account, which is the resource's `id`.
    pub id: String,
    /// The client.
    pub client: String,
    /// The e-mail address of the account.
    pub email: String,
    /// The name of the account.
    pub name: String,
    /// Whether the account is enabled.
    pub active: bool,
    /// `userName`, unique in the client without regard to case.
    pub user_name: String,
    /// `externalId`, unique in the client.
    pub external_id: Option<String>,
    /// Whether the account existed before the client took it over.
    pub adopted: bool,
    /// All other attributes, as a JSON object.
    pub attributes: String,
    /// Grows with each change of the resource, apart from its memberships.
    pub version: i64,
    /// The time at which the client provisioned it.
    pub created_at: UnixTime,
    /// The time of the client's last change.
    pub updated_at: UnixTime,
}

/// What a client says about a user.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ScimUserData {
    /// `userName`.
    pub user_name: String,
    /// `externalId`.
    pub external_id: Option<String>,
    /// The e-mail address of the account.
    pub email: String,
    /// All e-mail addresses, for searches.
    pub emails: Vec<String>,
    /// The name of the account.
    pub name: String,
    /// `displayName`, for searches.
    pub display_name: Option<String>,
    /// Whether the account is enabled.
    pub active: bool,
    /// All other attributes, as a JSON object.
    pub attributes: String,
}

/// A user that was created or changed, and what this did.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ScimUserChanged {
    /// The user as it is now.
    pub user: ScimUser,
    /// The user as it was; `None` if the client did not have it.
    pub before: Option<ScimUser>,
    /// The API keys that ended because the account was disabled.
    pub ended: Vec<ApiKey>,
}

/// Decides whether a user is part of a listing.
pub type ScimUserFilter = Arc<dyn Fn(&ScimUser) -> bool + Send + Sync>;

/// Storage of [`ScimUser`]s.
#[async_trait]
pub trait ScimUserStore: Send + Sync + 'static {
    /// Provisions a user: creates an account with this identifier and with the rules' role, adopts an enabled account that has
    /// the address and belongs to no client, or revives the client's own inactive user with the same `externalId` under its old
    /// identifier.
    ///
    /// Only a new account is connected to the rules' issuer.
    ///
    /// # Errors
    /// [`StoreError::AlreadyExists`] if a unique value is taken, [`StoreError::Missing`] if the role does not exist.
    async fn create_scim_user(
        &self,
        client: &str,
        rules: &ScimRules,
        id: &str,
        data: &ScimUserData,
        now: UnixTime,
    ) -> Result<ScimOutcome<ScimUserChanged>, StoreError>;
    /// Returns the client's user with this identifier.
    async fn scim_user(&self, client: &str, id: &str) -> Result<Option<ScimUser>, StoreError>;
    /// Returns a part of a listing, and the number of all users that meet its condition and pass `filter`. With a filter, all
    /// users that meet the condition are read, by one statement.
    async fn list_scim_users(
        &self,
        query: &ScimQuery,
        filter: Option<ScimUserFilter>,
    ) -> Result<(Vec<ScimUser>, u64), StoreError>;
    /// Replaces what the client says about a user, if the user has this version. An account that becomes inactive ends as
    /// [`UserStore::deactivate_user`](crate::UserStore::deactivate_user) says.
    ///
    /// # Errors
    /// [`StoreError::AlreadyExists`] if a unique value is taken, [`StoreError::LastAdministrator`].
    async fn change_scim_user(
        &self,
        client: &str,
        rules: &ScimRules,
        id: &str,
        data: &ScimUserData,
        version: i64,
        now: UnixTime,
    ) -> Result<ScimOutcome<ScimUserChanged>, StoreError>;
    /// Deletes a user, if it has this version or `version` is `None`: the account with all that it has. An adopted account is
    /// disabled instead, leaves the client's groups, and no longer belongs to the client. Returns the user as it was, and what
    /// ended.
    ///
    /// # Errors
    /// [`StoreError::LastAdministrator`].
    async fn delete_scim_user(
        &self,
        client: &str,
        id: &str,
        version: Option<i64>,
        now: UnixTime,
    ) -> Result<ScimOutcome<(ScimUser, DeletedUser)>, StoreError>;
}
