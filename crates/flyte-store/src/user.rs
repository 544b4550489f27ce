//! User accounts.

use async_trait::async_trait;

use super::{ApiKey, RoleIn, StoreError};
use flyte_model::{Role, clock::UnixTime};

/// A user, who can sign in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct User {
    /// Stable identifier, the `sub` of every token (OpenID Connect Core section 2); a UUID.
    pub id: String,
    /// E-mail address as entered; case is ignored at the sign-in.
    pub email: String,
    /// Full name for display.
    pub name: String,
    /// Argon2id hash in PHC string format; `None` if the user signs in elsewhere.
    pub password_hash: Option<String>,
    /// Whether the user is an administrator of the server: whether the account itself has the role `admin` everywhere. Roles
    /// of groups and policies do not count here.
    pub admin: bool,
    /// The time at which the account was created.
    pub created_at: UnixTime,
    /// The time at which the account was disabled. A disabled account can do nothing.
    pub disabled_at: Option<UnixTime>,
}

/// Storage of [`User`]s.
#[async_trait]
pub trait UserStore: Send + Sync + 'static {
    /// Adds an account with the role `admin` everywhere if the user is an administrator, otherwise with `contributor`.
    ///
    /// # Errors
    /// [`StoreError::AlreadyExists`] if the identifier or the e-mail address (in any case) is taken.
    async fn create_user(&self, user: &User) -> Result<(), StoreError> {
        let role = if user.admin { Role::Admin } else { Role::Contributor };
        self.create_user_with(user, &[RoleIn::everywhere(role)]).await
    }
    /// Adds an account with these roles. [`User::admin`] is not looked at.
    ///
    /// # Errors
    /// [`StoreError::AlreadyExists`] if the identifier or the e-mail address (in any case) is taken, [`StoreError::Missing`] if
    /// a role does not exist.
    async fn create_user_with(&self, user: &User, roles: &[RoleIn]) -> Result<(), StoreError>;
    /// Returns the account with this identifier.
    async fn user_by_id(&self, id: &str) -> Result<Option<User>, StoreError>;
    /// Returns the account with this e-mail address, in any case.
    async fn user_by_email(&self, email: &str) -> Result<Option<User>, StoreError>;
    /// Replaces the password hash. The same transaction ends everything that the old password gave: browser sessions,
    /// unredeemed codes, and all families. Returns `false` if the account does not exist.
    async fn set_password_hash(&self, id: &str, hash: &str, now: UnixTime) -> Result<bool, StoreError>;
    /// Replaces the password hash `from` with `to`, another hash of the same password; sessions stay. Returns `false`
    /// if the hash is no longer `from`, because the password was changed in the meantime, or if the account does not
    /// exist.
    async fn upgrade_password_hash(&self, id: &str, from: &str, to: &str) -> Result<bool, StoreError>;
    /// Disables an account. The same transaction ends everything that it has: browser sessions, unredeemed codes, all
    /// families, and the API keys that it created (see
    /// [`ApiKeyStore::delete_api_keys_of`](super::ApiKeyStore::delete_api_keys_of)). An account that is already
    /// disabled keeps its time. Returns those keys, or `None` if the account does not exist.
    ///
    /// This also disables the last administrator: at the console, a stolen account must end at once, and another administrator can
    /// be created. All other callers use [`UserStore::deactivate_user`].
    async fn disable_user(&self, id: &str, now: UnixTime) -> Result<Option<Vec<ApiKey>>, StoreError>;
    /// Does the same, except to the last administrator.
    ///
    /// # Errors
    /// [`StoreError::LastAdministrator`].
    async fn deactivate_user(&self, id: &str, now: UnixTime) -> Result<Option<Vec<ApiKey>>, StoreError>;
    /// Enables an account again; what was ended does not come back. Returns `false` if the account does not exist.
    async fn enable_user(&self, id: &str) -> Result<bool, StoreError>;
    /// Returns all accounts, sorted by e-mail address.
    async fn users(&self) -> Result<Vec<User>, StoreError>;
    /// Returns whether any account exists. If none does, the server creates the first one.
    async fn any_user(&self) -> Result<bool, StoreError>;
}
