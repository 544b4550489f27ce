//! Sign-ins through outside providers that are in use, and what is needed to ask the providers again.

use async_trait::async_trait;

use super::StoreError;
use flyte_model::clock::UnixTime;

/// A browser session, or the family of a device, that began with a sign-in through an outside provider.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OutsideSession {
    /// The browser session, or the family of the device that it approved.
    pub session_id: String,
    /// `iss` of the provider's user.
    pub issuer: String,
    /// The identifier of the user at the issuer.
    pub subject: String,
    /// `sid` of the session at the provider. Devices have none: they stay when a browser's session ends.
    pub sid: Option<String>,
    /// The ID token of the sign-in, encrypted with the server's key file.
    pub hidden_id_token: Option<Vec<u8>>,
    /// The time of the sign-in.
    pub started_at: UnixTime,
}

/// Which outside sessions of an issuer end.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum EndedAtProvider {
    /// Those of a user that began until this time.
    User {
        /// The identifier of the user at the issuer.
        subject: String,
        /// The latest start.
        until: UnixTime,
    },
    /// Those of one session at the provider, of this user if one is named.
    Session {
        /// `sid`.
        sid: String,
        /// The identifier of the user at the issuer.
        subject: Option<String>,
    },
}

/// The outside sessions that have ended.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct EndedSessions {
    /// The identifiers of the sessions and of their accounts.
    pub sessions: Vec<(String, String)>,
    /// The families that were revoked.
    pub families: Vec<String>,
}

/// When a provider is asked again about a user who is signed in, and with which token. Each user of a provider has one, however
/// many browsers they use.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProviderGrant {
    /// `iss` of the provider's user.
    pub issuer: String,
    /// The identifier of the user at the issuer.
    pub subject: String,
    /// The provider's token, encrypted with the server's key file; `None` if the provider gave none, so that it cannot be asked.
    pub hidden_token: Option<Vec<u8>>,
    /// The time at which the provider last accepted the user.
    pub checked_at: UnixTime,
    /// The time of the next question.
    pub due_at: UnixTime,
    /// The time since which the provider cannot be asked; `None` if the last question was answered.
    pub failing_since: Option<UnixTime>,
}

/// Storage of [`OutsideSession`]s and [`ProviderGrant`]s. Both end with their identity.
#[async_trait]
pub trait OutsideSessionStore: Send + Sync + 'static {
    /// Adds a session of an identity. If the identity does not exist, nothing changes.
    async fn add_outside_session(&self, session: &OutsideSession) -> Result<(), StoreError>;
    /// Returns the outside session with this identifier.
    async fn outside_session(&self, session_id: &str) -> Result<Option<OutsideSession>, StoreError>;
    /// Returns the start of the oldest session of an identity.
    async fn oldest_outside_session(
        &self,
        issuer: &str,
        subject: &str,
    ) -> Result<Option<UnixTime>, StoreError>;
    /// Ends outside sessions: browser sessions, codes, devices that were approved and wait, and families.
    async fn end_outside_sessions(
        &self,
        issuer: &str,
        which: &EndedAtProvider,
        now: UnixTime,
    ) -> Result<EndedSessions, StoreError>;
    /// Stores the grant of an identity in place of the current one. If the identity does not exist, nothing changes.
    async fn put_provider_grant(&self, grant: &ProviderGrant) -> Result<(), StoreError>;
    /// Stores the grant of an identity that has none. If it has one, or does not exist, nothing changes.
    async fn add_provider_grant(&self, grant: &ProviderGrant) -> Result<(), StoreError>;
    /// Returns the grant of an identity.
    async fn provider_grant(&self, issuer: &str, subject: &str) -> Result<Option<ProviderGrant>, StoreError>;
    /// Replaces a grant whose token and next question are still those of `old`. Returns `false` if another process or a sign-in
    /// has replaced it.
    async fn replace_provider_grant(
        &self,
        old: &ProviderGrant,
        new: &ProviderGrant,
    ) -> Result<bool, StoreError>;
    /// Deletes a grant whose token and next question are still those of `old`. Returns `false` if it has been replaced.
    async fn delete_provider_grant(&self, old: &ProviderGrant) -> Result<bool, StoreError>;
    /// Returns at most `limit` grants that are due at `now`, the oldest first.
    async fn due_provider_grants(&self, now: UnixTime, limit: u32) -> Result<Vec<ProviderGrant>, StoreError>;
    /// Deletes outside sessions that have neither a browser session nor a family any more, and then grants without sessions.
    /// Returns their number.
    async fn delete_unused_outside_sessions(&self, now: UnixTime) -> Result<u64, StoreError>;
}
