//! Devices that wait for a user to approve them on another device (RFC 8628).
//!
//! A record begins with the device's request and waits for a user's decision. When an approved device fetches its
//! tokens, the record becomes a token family, as an authorization code does.

use async_trait::async_trait;

use super::{NewRefreshToken, StoreError};
use flyte_model::{ClientId, Scopes, clock::UnixTime};
use flyte_secrets::SecretHash;

/// How long an expired record is kept, in seconds. During this time, a device that polls late learns that its code
/// expired or was denied, and not only that the code is unknown.
pub const DEVICE_RETENTION: i64 = 3600;

/// The seconds that are added to a device's poll interval if it polls too often (RFC 8628 section 3.5).
pub const SLOW_DOWN: i64 = 5;

/// A device's request (RFC 8628 section 3.1) that waits for a user's decision.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeviceAuthorization {
    /// SHA-256 of the device code.
    pub device_code_hash: SecretHash,
    /// SHA-256 of the user code.
    pub user_code_hash: SecretHash,
    /// The token family that begins when the approved code is redeemed; a UUID.
    pub family_id: String,
    /// The client that sent the request.
    pub client_id: ClientId,
    /// The requested scopes.
    pub scopes: Scopes,
    /// `resource` (RFC 8707) or `audience` that the access tokens are for.
    pub audience: Option<String>,
    /// `max_age`: how many seconds ago the approving user may have signed in at most. With `None`, any time is
    /// accepted.
    pub max_age: Option<i64>,
    /// The number that the device shows, and that the approving user has to enter; two digits. `None` if none is asked for.
    pub match_number: Option<u8>,
    /// The address of the device, for display.
    pub address: String,
    /// The first poll interval of the device, in seconds.
    pub interval: i64,
    /// The time of the request.
    pub created_at: UnixTime,
    /// The time at which both codes expire.
    pub expires_at: UnixTime,
}

/// A user's decision about a device.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum DeviceDecision {
    /// The device may act for this user.
    Approve {
        /// The user who approves.
        user_id: String,
        /// The browser session of the approval.
        session_id: String,
        /// The time at which the user authenticated.
        authenticated_at: UnixTime,
    },
    /// The device is denied.
    Deny,
}

/// The grant of an approved device.
///
/// The sign-in at a device is a session of its own, and its identifier is that of the family. It does not end with the
/// browser session that approved it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeviceGrant {
    /// The token family.
    pub family_id: String,
    /// The client that sent the request.
    pub client_id: ClientId,
    /// The user who approved.
    pub user_id: String,
    /// The time at which the user authenticated.
    pub authenticated_at: UnixTime,
    /// The scopes granted.
    pub scopes: Scopes,
    /// The audience of the access tokens.
    pub audience: Option<String>,
}

/// The result of a device's poll for its tokens.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum DevicePoll {
    /// No user has decided yet.
    Pending,
    /// No user has decided yet, and the device polled too soon. From now on it must wait [`SLOW_DOWN`] seconds longer.
    TooSoon,
    /// A user denied the request.
    Denied,
    /// The time for the decision, or for fetching the tokens, is over.
    Expired,
    /// A user approved the request. [`DeviceStore::redeem_device_code`] decides whether the device still gets its
    /// tokens.
    Granted(DeviceGrant),
    /// The code was never issued or is no longer stored, its family was revoked, or it belongs to another client.
    Unknown,
}

/// The result of redeeming a device code.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum DeviceRedemption {
    /// The family has begun, or a lost response is repeated.
    Redeemed,
    /// The code was redeemed before: everything that it gave is revoked now.
    Replayed {
        /// The family that was revoked.
        family_id: String,
    },
    /// The code is not that of an approved device, or it has expired since the poll.
    Unknown,
}

/// Storage of [`DeviceAuthorization`]s.
#[async_trait]
pub trait DeviceStore: Send + Sync + 'static {
    /// Adds a device that waits. [`StoreError::AlreadyExists`] if one of its codes is in use: generate new codes.
    async fn create_device(&self, device: &DeviceAuthorization) -> Result<(), StoreError>;
    /// Returns the device that waits with this user code. Returns `None` if the code is unknown or has expired, and if
    /// a user has already decided.
    async fn waiting_device(
        &self,
        user_code_hash: &SecretHash,
        now: UnixTime,
    ) -> Result<Option<DeviceAuthorization>, StoreError>;
    /// Records the final decision about the device that waits with this user code, and returns the device. Returns
    /// `None` in the cases of [`DeviceStore::waiting_device`]. It also returns `None` if the approving session has
    /// ended in the meantime, because its end would have revoked the approval too.
    async fn decide_device(
        &self,
        user_code_hash: &SecretHash,
        decision: &DeviceDecision,
        now: UnixTime,
    ) -> Result<Option<DeviceAuthorization>, StoreError>;
    /// Returns what to answer to the device with this device code, if the code belongs to `client_id`. The code is not
    /// redeemed; the time of the poll is recorded while the device waits.
    async fn poll_device(
        &self,
        device_code_hash: &SecretHash,
        client_id: &ClientId,
        now: UnixTime,
    ) -> Result<DevicePoll, StoreError>;
    /// Redeems the device code of an approved device and begins its family, with the refresh token `refresh` if there
    /// is one. This is one transaction, so a code is never redeemed without its family.
    ///
    /// A code that was redeemed less than `grace` seconds ago, and whose refresh token is unused, begins its family
    /// once more: the response was lost, and its refresh token becomes void. A later presentation is a replay and
    /// revokes the family.
    async fn redeem_device_code(
        &self,
        device_code_hash: &SecretHash,
        refresh: Option<&NewRefreshToken>,
        grace: i64,
        now: UnixTime,
    ) -> Result<DeviceRedemption, StoreError>;
    /// Removes the records that expired [`DEVICE_RETENTION`] ago; returns their number.
    async fn delete_expired_devices(&self, now: UnixTime) -> Result<u64, StoreError>;
}
