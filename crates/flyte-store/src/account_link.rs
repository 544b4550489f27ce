//! One-time links for accounts: to set a password, to accept an invitation, to confirm a new e-mail address.

use async_trait::async_trait;

use super::{OutsideIdentity, RoleIn, StoreError, User};
use flyte_model::clock::UnixTime;
use flyte_secrets::SecretHash;

/// The purpose of an [`AccountLink`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LinkPurpose {
    /// Sets a new password.
    Password,
    /// Sets the first password of an account that was created for its user, or connects a user of a provider with it.
    Invitation,
    /// Replaces the e-mail address.
    Email,
}

/// A link that its user has not used yet. An account has at most one for each purpose.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AccountLink {
    /// Public identifier; a UUID.
    pub id: String,
    /// What the link is for.
    pub purpose: LinkPurpose,
    /// The account.
    pub user_id: String,
    /// The address that the account had when the link was created. The link is invalid once the account has another one.
    pub email: String,
    /// The new address, for [`LinkPurpose::Email`].
    pub new_email: Option<String>,
    /// Whether only mail to the address has the link. Then its use proves that the user controls the address.
    pub mailed: bool,
    /// `sub` of the administrator that created the link; `None` for the account's own user, and for a command at the console.
    pub created_by: Option<String>,
    /// The time at which the link was created.
    pub created_at: UnixTime,
    /// The time at which the link expires.
    pub expires_at: UnixTime,
}

/// A query for links, by e-mail address.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AccountLinkQuery {
    /// The most links to return.
    pub limit: u32,
    /// The page token of the previous page; empty for the first page.
    pub page_token: String,
}

/// Storage of [`AccountLink`]s.
///
/// A link ends at its expiry, when it is used, when a newer one for the same purpose is created, and when its account is
/// disabled or gets another password or address. A sign-in ends those that set a password.
#[async_trait]
pub trait AccountLinkStore: Send + Sync + 'static {
    /// Adds a link in place of the older one for the same purpose. Returns `false` and changes nothing if the account does not
    /// exist, is disabled, or has another address.
    async fn create_account_link(
        &self,
        link: &AccountLink,
        token_hash: &SecretHash,
    ) -> Result<bool, StoreError>;
    /// Adds an account with these roles together with its invitation. [`User::admin`] is not looked at.
    ///
    /// # Errors
    /// [`StoreError::AlreadyExists`] if the identifier or the address of the account is taken, [`StoreError::Missing`] if a role
    /// does not exist.
    async fn create_invited_user(
        &self,
        user: &User,
        roles: &[RoleIn],
        link: &AccountLink,
        token_hash: &SecretHash,
    ) -> Result<(), StoreError>;
    /// Replaces the token of a valid link, for the mail that is about to be sent. Returns the link, or `None` if it has ended.
    async fn renew_account_link(
        &self,
        id: &str,
        token_hash: &SecretHash,
        now: UnixTime,
    ) -> Result<Option<AccountLink>, StoreError>;
    /// Returns the valid link with this token.
    async fn account_link_by_token(
        &self,
        token_hash: &SecretHash,
        now: UnixTime,
    ) -> Result<Option<AccountLink>, StoreError>;
    /// Returns a page of links that are valid at `now`, and the next page's token, which is empty on the last page.
    ///
    /// # Errors
    /// [`StoreError::InvalidPageToken`] for a token of another listing.
    async fn list_account_links(
        &self,
        query: &AccountLinkQuery,
        now: UnixTime,
    ) -> Result<(Vec<AccountLink>, String), StoreError>;
    /// Ends a link. Returns it, or `None` if it does not exist.
    async fn delete_account_link(&self, id: &str) -> Result<Option<AccountLink>, StoreError>;
    /// Uses a link that sets a password. The same transaction ends everything that the account has open, as
    /// [`UserStore::set_password_hash`](super::UserStore::set_password_hash) does, and records the proof of the address if the
    /// link was mailed. Returns the account, or `None` if the link is not valid or has another purpose.
    async fn set_password_by_link(
        &self,
        token_hash: &SecretHash,
        password_hash: &str,
        now: UnixTime,
    ) -> Result<Option<User>, StoreError>;
    /// Uses an invitation: connects the identity with the invited account, and records the proof of the address if the
    /// link was mailed. Returns the account, or `None` if the link is not a valid invitation.
    ///
    /// # Errors
    /// [`StoreError::AlreadyExists`] if the identity is connected already, to any account.
    async fn link_identity_by_invitation(
        &self,
        token_hash: &SecretHash,
        identity: &OutsideIdentity,
        now: UnixTime,
    ) -> Result<Option<User>, StoreError>;
    /// Uses a link that replaces the e-mail address of the account of this user. The new address is then proved, and all other
    /// links of the account end. Returns the account with its new address, or `None` if the link is not valid.
    ///
    /// # Errors
    /// [`StoreError::AlreadyExists`] if another account has the address.
    async fn set_email_by_link(
        &self,
        token_hash: &SecretHash,
        user_id: &str,
        now: UnixTime,
    ) -> Result<Option<User>, StoreError>;
    /// Removes links that ended before `now`; returns their number.
    async fn delete_expired_account_links(&self, now: UnixTime) -> Result<u64, StoreError>;
}
