//! People who can sign in.

use async_trait::async_trait;

use super::{ApiKey, StoreError};
use flyte_model::clock::UnixTime;

/// A person who can sign in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct User {
    /// Stable identifier, the `sub` of every token (OpenID Connect Core section 2); a UUID.
    pub id: String,
    /// E-mail address as given; signing in compares it without regard to case.
    pub email: String,
    /// Full name for display.
    pub name: String,
    /// Argon2id hash in PHC string format; `None` where the person signs in elsewhere.
    pub password_hash: Option<String>,
    /// Whether the person administers the server.
    pub admin: bool,
    /// When the account was made.
    pub created_at: UnixTime,
    /// When the account was disabled; a disabled account can do nothing.
    pub disabled_at: Option<UnixTime>,
}

/// Storage of [`User`]s.
#[async_trait]
pub trait UserStore: Send + Sync + 'static {
    /// Adds an account.
    ///
    /// # Errors
    /// [`StoreError::AlreadyExists`] where the id or the e-mail address (in any case) is taken.
    async fn create_user(&self, user: &User) -> Result<(), StoreError>;
    /// The account with this identifier.
    async fn user_by_id(&self, id: &str) -> Result<Option<User>, StoreError>;
    /// The account with this e-mail address, in any case.
    async fn user_by_email(&self, email: &str) -> Result<Option<User>, StoreError>;
    /// Replaces the password hash and, in the same transaction, ends all that was had with the old password: browser
    /// sessions, codes on their way, and every family. `false` where there is no such account.
    async fn set_password_hash(&self, id: &str, hash: &str, now: UnixTime) -> Result<bool, StoreError>;
    /// Replaces the password hash `from` by `to`, another hash of the same password: sessions stay. `false` where the
    /// hash is not `from` any more, because the password was changed meanwhile, or there is no such account.
    async fn upgrade_password_hash(&self, id: &str, from: &str, to: &str) -> Result<bool, StoreError>;
    /// Disables an account and, in the same transaction, ends all that it has: browser sessions, codes on their way, every
    /// family, and the API keys that it made, as [`ApiKeyStore::delete_api_keys_of`](super::ApiKeyStore::delete_api_keys_of)
    /// does. One that is disabled already stays so since then. Those keys; `None` where there is no such account.
    async fn disable_user(&self, id: &str, now: UnixTime) -> Result<Option<Vec<ApiKey>>, StoreError>;
    /// Enables an account again; nothing that it had comes back. `false` where there is no such account.
    async fn enable_user(&self, id: &str) -> Result<bool, StoreError>;
    /// All accounts, by e-mail address.
    async fn users(&self) -> Result<Vec<User>, StoreError>;
    /// Whether any account exists: the server makes the first one when none does.
    async fn any_user(&self) -> Result<bool, StoreError>;
}
