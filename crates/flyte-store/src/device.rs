//! Devices that wait for a person to approve them on another one (RFC 8628).
//!
//! A record begins with the device's request and waits for a person's decision. An approved one becomes a token family
//! when the device fetches its tokens, as an authorization code does.

use async_trait::async_trait;

use super::{NewRefreshToken, StoreError};
use flyte_model::clock::UnixTime;
use flyte_secrets::SecretHash;

/// How long an expired record is remembered, in seconds: a device that asks late is told that its code has expired, or
/// that it was denied, rather than that there never was such a code.
pub const DEVICE_RETENTION: i64 = 3600;

/// By how many seconds a device that asks too often has to slow down (RFC 8628 section 3.5).
pub const SLOW_DOWN: i64 = 5;

/// A device's request (RFC 8628 section 3.1), waiting for a person.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeviceAuthorization {
    /// SHA-256 of the device code.
    pub device_code_hash: SecretHash,
    /// SHA-256 of the user code.
    pub user_code_hash: SecretHash,
    /// The family that approving and fetching it begins; a UUID.
    pub family_id: String,
    /// The client that asks.
    pub client_id: String,
    /// The scopes asked for.
    pub scopes: Vec<String>,
    /// `resource` (RFC 8707) or `audience` that the access tokens are for.
    pub audience: Option<String>,
    /// `max_age`: how many seconds ago whoever approves may have signed in; any time for `None`.
    pub max_age: Option<i64>,
    /// The address that the device asked from, for display.
    pub address: String,
    /// Seconds that the device must wait between two polls, before it was ever told to slow down.
    pub interval: i64,
    /// When it asked.
    pub created_at: UnixTime,
    /// When both codes cease to be good.
    pub expires_at: UnixTime,
}

/// What a person decides about a device.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum DeviceDecision {
    /// It may act for this person.
    Approve {
        /// Who approves.
        user_id: String,
        /// The browser session by which they do.
        session_id: String,
        /// When they proved who they are.
        authenticated_at: UnixTime,
    },
    /// It may not act for anybody.
    Deny,
}

/// What an approved device gets tokens for.
///
/// The sign-in at a device is a session of its own, named as its family is: it does not end with the browser session
/// that approved it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeviceGrant {
    /// The family.
    pub family_id: String,
    /// The client that asked.
    pub client_id: String,
    /// Who approved.
    pub user_id: String,
    /// When they proved who they are.
    pub authenticated_at: UnixTime,
    /// The scopes granted.
    pub scopes: Vec<String>,
    /// What the access tokens are for.
    pub audience: Option<String>,
}

/// What came of a device's asking for its tokens.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum DevicePoll {
    /// Nobody has decided yet.
    Pending,
    /// Nobody has decided yet, and it asked too soon: from now on it must wait [`SLOW_DOWN`] seconds longer.
    TooSoon,
    /// Somebody denied it.
    Denied,
    /// Nobody decided in time, or it did not fetch its tokens in time.
    Expired,
    /// Somebody approved it: it may have tokens, or had them, which [`DeviceStore::redeem_device_code`] tells.
    Granted(DeviceGrant),
    /// The code was never issued, was forgotten, gave what has been revoked since, or is another client's.
    Unknown,
}

/// What came of spending a device code.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum DeviceRedemption {
    /// The family has begun, or an answer that was lost is given again.
    Redeemed,
    /// It had been spent before: all that it gave is revoked now.
    Replayed {
        /// The family that was revoked.
        family_id: String,
    },
    /// It is not an approved one's, or has expired, since it was asked for.
    Unknown,
}

/// Storage of [`DeviceAuthorization`]s.
#[async_trait]
pub trait DeviceStore: Send + Sync + 'static {
    /// Adds a device that waits. [`StoreError::AlreadyExists`] where one of its codes is in use: make new ones.
    async fn create_device(&self, device: &DeviceAuthorization) -> Result<(), StoreError>;
    /// The device that waits with this user code; `None` alike where there never was one, it has expired, or somebody
    /// has decided.
    async fn waiting_device(
        &self,
        user_code_hash: &SecretHash,
        now: UnixTime,
    ) -> Result<Option<DeviceAuthorization>, StoreError>;
    /// Decides about the device that waits with this user code, once and for all; the device, `None` as with
    /// [`DeviceStore::waiting_device`], and where the session that approves has ended meanwhile: what ended it would have
    /// taken the approval back too.
    async fn decide_device(
        &self,
        user_code_hash: &SecretHash,
        decision: &DeviceDecision,
        now: UnixTime,
    ) -> Result<Option<DeviceAuthorization>, StoreError>;
    /// What the device with this device code is to be told, if it is `client_id`'s. Nothing is spent; that it asked is
    /// noted while it waits.
    async fn poll_device(
        &self,
        device_code_hash: &SecretHash,
        client_id: &str,
        now: UnixTime,
    ) -> Result<DevicePoll, StoreError>;
    /// Spends the device code of an approved device and begins its family, with `refresh` where it is given. One
    /// transaction: a code is never spent without its family being there.
    ///
    /// A code that was spent less than `grace` seconds ago, and whose refresh token has not been used, gives its
    /// family once more: the answer was lost, and the refresh token in it is then void. Presented later, it is a replay
    /// and revokes the family.
    async fn redeem_device_code(
        &self,
        device_code_hash: &SecretHash,
        refresh: Option<&NewRefreshToken>,
        grace: i64,
        now: UnixTime,
    ) -> Result<DeviceRedemption, StoreError>;
    /// Removes what expired [`DEVICE_RETENTION`] ago; returns how many.
    async fn delete_expired_devices(&self, now: UnixTime) -> Result<u64, StoreError>;
}
