//! User accounts.

use async_trait::async_trait;

use super::{ApiKey, RoleIn, StoreError, TrustRule};
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

/// What ended with a deleted account.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct DeletedUser {
    /// The API keys that it created, and those that these created.
    pub api_keys: Vec<ApiKey>,
    /// The trust rules that it created, by name.
    pub trust_rules: Vec<TrustRule>,
}

/// A query for accounts, by e-mail address.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct UserQuery {
    /// The most accounts to return.
    pub limit: u32,
    /// The page token of the previous page; empty for the first page.
    pub page_token: String,
    /// Only accounts whose e-mail address or name contains this text, in any case. Empty for all.
    pub text: String,
    /// Only accounts that are enabled, or only those that are not.
    pub enabled: Option<bool>,
    /// Only accounts that have this role somewhere: by themselves, by a group or by a policy. Empty for all.
    pub role: String,
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
    /// Replaces the password hash `from` with `to`, the hash of another password, and ends the links of the account. With
    /// `ends_sign_ins`, it also ends everything else that [`UserStore::set_password_hash`] ends. Returns `false` and changes nothing if the hash is no longer `from`, or if the
    /// account does not exist or is disabled.
    async fn change_password_hash(
        &self,
        id: &str,
        from: &str,
        to: &str,
        ends_sign_ins: bool,
        now: UnixTime,
    ) -> Result<bool, StoreError>;
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
    /// Replaces the name. Returns `false` if the account does not exist.
    async fn rename_user(&self, id: &str, name: &str) -> Result<bool, StoreError>;
    /// Deletes an account with its roles, policies and memberships. The same transaction ends everything that it has, as
    /// [`UserStore::disable_user`] does, and deletes its trust rules: they may do no more than their creator. Records of the
    /// audit log keep its identifier. Returns what ended, or `None` if the account does not exist.
    ///
    /// # Errors
    /// [`StoreError::LastAdministrator`].
    async fn delete_user(&self, id: &str, now: UnixTime) -> Result<Option<DeletedUser>, StoreError>;
    /// Returns a page of accounts and the next page's token, which is empty on the last page.
    ///
    /// # Errors
    /// [`StoreError::InvalidPageToken`] for a token of another listing.
    async fn list_users(&self, query: &UserQuery) -> Result<(Vec<User>, String), StoreError>;
    /// Returns the number of accounts.
    async fn user_count(&self) -> Result<i64, StoreError>;
    /// Returns all accounts, sorted by e-mail address.
    async fn users(&self) -> Result<Vec<User>, StoreError>;
    /// Returns whether any account exists. If none does, the server creates the first one.
    async fn any_user(&self) -> Result<bool, StoreError>;
}
