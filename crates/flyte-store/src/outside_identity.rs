//! Users of outside providers, and the accounts that they sign in to.

use async_trait::async_trait;

use super::{EndedSessions, RoleIn, StoreError, User};
use flyte_model::clock::UnixTime;

/// A user of an outside provider that is connected to an account.
///
/// Issuer and subject identify it (OpenID Connect Core section 2), never a name or an e-mail address: those are changed and
/// given to other people.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OutsideIdentity {
    /// `iss` of the provider's tokens.
    pub issuer: String,
    /// The identifier at the issuer: `sub`, or the provider's own immutable identifier.
    pub subject: String,
    /// The section of the settings through which the user last signed in.
    pub provider: String,
    /// The account.
    pub user_id: String,
    /// The e-mail address at the provider at the last sign-in, verified or not. For display only.
    pub email: Option<String>,
    /// The time at which it was connected.
    pub linked_at: UnixTime,
    /// The time of the last sign-in through it.
    pub last_sign_in_at: Option<UnixTime>,
}

/// Whether the last way to sign in to an account may be removed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LastWay {
    /// It may, for example by an operator.
    MayGo,
    /// It must stay.
    MustStay {
        /// Whether a password is a way to sign in.
        passwords: bool,
    },
}

/// A proof that the user of an account controls its e-mail address.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EmailProof {
    /// The issuer of the provider that vouches for it; `None` if the user has proved it to this server.
    pub issuer: Option<String>,
    /// The time of the proof.
    pub proved_at: UnixTime,
}

/// Storage of [`OutsideIdentity`]s, and of the proofs that users control their e-mail addresses.
#[async_trait]
pub trait OutsideIdentityStore: Send + Sync + 'static {
    /// Returns the identity with this issuer and subject.
    async fn outside_identity(
        &self,
        issuer: &str,
        subject: &str,
    ) -> Result<Option<OutsideIdentity>, StoreError>;
    /// Returns the identities of an account, oldest first.
    async fn outside_identities_of(&self, user_id: &str) -> Result<Vec<OutsideIdentity>, StoreError>;
    /// Connects an identity to its account. Returns `false` if the account does not exist or is disabled.
    ///
    /// # Errors
    /// [`StoreError::AlreadyExists`] if the identity is connected already, to any account.
    async fn link_outside_identity(&self, identity: &OutsideIdentity) -> Result<bool, StoreError>;
    /// Connects an identity to an account that has none yet. Returns `false` if it has one, had one of this issuer that was removed,
    /// does not exist or is disabled.
    ///
    /// # Errors
    /// [`StoreError::AlreadyExists`] if the identity is connected already, to any account.
    async fn link_first_outside_identity(&self, identity: &OutsideIdentity) -> Result<bool, StoreError>;
    /// Creates an account with these roles together with its identity. With `vouches`, the identity's issuer vouches for the
    /// address of the account. [`User::admin`] is not looked at.
    ///
    /// # Errors
    /// [`StoreError::AlreadyExists`] if the identifier or the address of the account is taken, or the identity is connected
    /// already, [`StoreError::Missing`] if a role does not exist.
    async fn create_user_of_identity(
        &self,
        user: &User,
        roles: &[RoleIn],
        identity: &OutsideIdentity,
        vouches: bool,
    ) -> Result<(), StoreError>;
    /// Disconnects an identity, and ends the sessions that began with it. Afterwards, the account is connected to a user of the
    /// issuer only by its own user. Returns `None` if the identity does not belong to the account.
    ///
    /// # Errors
    /// [`StoreError::InUse`] if it is the last way to sign in to the account, which must stay.
    async fn unlink_outside_identity(
        &self,
        user_id: &str,
        issuer: &str,
        subject: &str,
        last: LastWay,
        now: UnixTime,
    ) -> Result<Option<EndedSessions>, StoreError>;
    /// Records a sign-in: its provider, the address that the provider has now, and the time.
    async fn note_outside_sign_in(&self, identity: &OutsideIdentity, now: UnixTime)
    -> Result<(), StoreError>;
    /// Records a proof that a user controls an address, in place of the last one. A provider's word does not replace a proof
    /// to this server. Returns `false` if it is not the account's address.
    async fn prove_email(&self, user_id: &str, email: &str, proof: &EmailProof) -> Result<bool, StoreError>;
    /// Returns the proof that the user controls the address that the account has now.
    async fn email_proof(&self, user_id: &str) -> Result<Option<EmailProof>, StoreError>;
}
