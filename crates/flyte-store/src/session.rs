//! Browser sessions of users.

use async_trait::async_trait;

use super::StoreError;
use flyte_model::clock::UnixTime;
use flyte_secrets::SecretHash;

/// A browser in which a user is signed in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BrowserSession {
    /// Public identifier, the `sid` of ID tokens (OpenID Connect Front-Channel Logout section 3); a UUID.
    pub id: String,
    /// SHA-256 of the cookie's secret.
    pub cookie_hash: SecretHash,
    /// The user of the session.
    pub user_id: String,
    /// The time at which the user authenticated, the `auth_time` of ID tokens.
    pub authenticated_at: UnixTime,
    /// The time at which the session expires.
    pub expires_at: UnixTime,
}

/// Storage of [`BrowserSession`]s.
#[async_trait]
pub trait SessionStore: Send + Sync + 'static {
    /// Adds a session for a user who has just authenticated. The account must be enabled, and its password hash must
    /// still be the one that the authentication was verified with (`None` if the account has no password). Otherwise
    /// returns `false` and adds nothing: the change of the password or the disabling of the account has ended all
    /// sessions, including this one.
    async fn create_session(
        &self,
        session: &BrowserSession,
        password_hash: Option<&str>,
    ) -> Result<bool, StoreError>;
    /// Returns the session with this cookie, unless it has ended by `now`.
    async fn session_by_cookie(
        &self,
        cookie_hash: &SecretHash,
        now: UnixTime,
    ) -> Result<Option<BrowserSession>, StoreError>;
    /// Returns the session with this identifier, unless it has ended by `now`.
    async fn session_by_id(&self, id: &str, now: UnixTime) -> Result<Option<BrowserSession>, StoreError>;
    /// Ends a session. If it does not exist, nothing changes.
    async fn delete_session(&self, id: &str) -> Result<(), StoreError>;
    /// Removes sessions that ended before `now`; returns their number.
    async fn delete_expired_sessions(&self, now: UnixTime) -> Result<u64, StoreError>;
}
