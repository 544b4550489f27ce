//! Browser sessions: who is signed in at the pages.

use async_trait::async_trait;

use super::StoreError;
use flyte_model::clock::UnixTime;
use flyte_secrets::SecretHash;

/// A signed-in browser.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BrowserSession {
    /// Public identifier, the `sid` of ID tokens (OpenID Connect Front-Channel Logout section 3); a UUID.
    pub id: String,
    /// SHA-256 of the cookie's secret.
    pub cookie_hash: SecretHash,
    /// Whose session it is.
    pub user_id: String,
    /// When the person proved who they are, the `auth_time` of ID tokens.
    pub authenticated_at: UnixTime,
    /// When it ends by itself.
    pub expires_at: UnixTime,
}

/// Storage of [`BrowserSession`]s.
#[async_trait]
pub trait SessionStore: Send + Sync + 'static {
    /// Adds a session for somebody who has just proved who they are, provided that the account is enabled and its password
    /// hash still is the one that the proof was verified with (`None` where it has no password). `false`, and no session,
    /// where the password was changed or the account disabled meanwhile: that ended all sessions, this one too.
    async fn create_session(
        &self,
        session: &BrowserSession,
        password_hash: Option<&str>,
    ) -> Result<bool, StoreError>;
    /// The session whose cookie this is, unless it has ended by `now`.
    async fn session_by_cookie(
        &self,
        cookie_hash: &SecretHash,
        now: UnixTime,
    ) -> Result<Option<BrowserSession>, StoreError>;
    /// Ends a session; ending one that is not there does nothing.
    async fn delete_session(&self, id: &str) -> Result<(), StoreError>;
    /// Removes what ended before `now`; returns how many.
    async fn delete_expired_sessions(&self, now: UnixTime) -> Result<u64, StoreError>;
}
