//! Devices that wait for a user.
//!
//! A device is a row of `devices`. It *waits* (`decided_at` is null), is *approved* (by `user_id`) or *denied*
//! (decided, without `user_id`). Fetching the tokens turns an approved row into a row of `families`. That row keeps the
//! hash of the device code, so that a second presentation is recognised.

use crate::error::SqliteError;
use async_trait::async_trait;
use rusqlite::{Connection, Row, params};

use super::{
    SqliteStore, already_exists, change, client_id,
    family::{self, NewFamily},
    from_json, one, outside_session, to_json,
};
use flyte_model::{ClientId, clock::UnixTime};
use flyte_secrets::SecretHash;
use flyte_store::{
    DEVICE_RETENTION, DeviceAuthorization, DeviceDecision, DeviceGrant, DevicePoll, DeviceRedemption,
    DeviceStore, NewRefreshToken, SLOW_DOWN, StoreError,
};

const COLUMNS: &str = "device_code_hash, user_code_hash, family_id, client_id, scopes, audience, address,
     poll_interval, created_at, expires_at, max_age, match_number";

fn device(row: &Row<'_>) -> rusqlite::Result<DeviceAuthorization> {
    Ok(DeviceAuthorization {
        device_code_hash: row.get(0)?,
        user_code_hash: row.get(1)?,
        family_id: row.get(2)?,
        client_id: client_id(row, 3)?,
        scopes: from_json(row, 4)?,
        audience: row.get(5)?,
        address: row.get(6)?,
        interval: row.get(7)?,
        created_at: row.get(8)?,
        expires_at: row.get(9)?,
        max_age: row.get(10)?,
        match_number: row.get(11)?,
    })
}

/// The row of a device that polls.
struct Polled {
    device: DeviceAuthorization,
    polled_at: Option<UnixTime>,
    decided: bool,
    /// The user who approved, and the time of that user's authentication.
    approved: Option<(String, UnixTime)>,
}

fn polled(connection: &Connection, hash: &SecretHash) -> Result<Option<Polled>, SqliteError> {
    one(
        connection,
        &format!(
            "SELECT {COLUMNS}, polled_at, decided_at IS NOT NULL, user_id, authenticated_at
             FROM devices WHERE device_code_hash = ?1"
        ),
        [hash],
        |row| {
            let (user_id, authenticated_at): (Option<_>, Option<_>) = (row.get(14)?, row.get(15)?);
            Ok(Polled {
                device: device(row)?,
                polled_at: row.get(12)?,
                decided: row.get(13)?,
                approved: user_id.zip(authenticated_at),
            })
        },
    )
}

fn grant_of(device: DeviceAuthorization, (user_id, authenticated_at): (String, UnixTime)) -> DeviceGrant {
    DeviceGrant {
        family_id: device.family_id,
        client_id: device.client_id,
        user_id,
        authenticated_at,
        scopes: device.scopes,
        audience: device.audience,
    }
}

/// Returns the grant of a redeemed code, unless its family is revoked.
fn spent(connection: &Connection, hash: &SecretHash) -> Result<Option<DeviceGrant>, SqliteError> {
    one(
        connection,
        "SELECT id, client_id, user_id, authenticated_at, scopes, audience FROM families
         WHERE code_hash = ?1 AND revoked_at IS NULL",
        [hash],
        |row| {
            Ok(DeviceGrant {
                family_id: row.get(0)?,
                client_id: client_id(row, 1)?,
                user_id: row.get(2)?,
                authenticated_at: row.get(3)?,
                scopes: from_json(row, 4)?,
                audience: row.get(5)?,
            })
        },
    )
}

fn poll(
    connection: &Connection,
    hash: &SecretHash,
    client_id: &ClientId,
    now: UnixTime,
) -> Result<DevicePoll, SqliteError> {
    let Some(found) = polled(connection, hash)? else {
        let grant = spent(connection, hash)?.filter(|grant| grant.client_id == *client_id);
        return Ok(grant.map_or(DevicePoll::Unknown, DevicePoll::Granted));
    };
    if found.device.client_id != *client_id {
        return Ok(DevicePoll::Unknown);
    }
    let expired = found.device.expires_at <= now;
    match (found.decided, found.approved) {
        (true, None) => Ok(DevicePoll::Denied),
        _ if expired => Ok(DevicePoll::Expired),
        // An approved device gets its tokens, however fast it polls.
        (true, Some(approved)) => Ok(DevicePoll::Granted(grant_of(found.device, approved))),
        (false, _) => {
            // In whole seconds, two moments that are one interval apart can seem one second closer.
            let too_soon = found
                .polled_at
                .is_some_and(|polled_at| now.saturating_sub(polled_at) < found.device.interval - 1);
            change(
                connection,
                "UPDATE devices SET polled_at = ?2, poll_interval = poll_interval + ?3 WHERE device_code_hash = ?1",
                params![hash, now, if too_soon { SLOW_DOWN } else { 0 }],
            )?;
            Ok(if too_soon { DevicePoll::TooSoon } else { DevicePoll::Pending })
        }
    }
}

fn redeem(
    connection: &Connection,
    hash: &SecretHash,
    refresh: Option<&NewRefreshToken>,
    grace: i64,
    now: UnixTime,
) -> Result<DeviceRedemption, SqliteError> {
    let Some(found) = polled(connection, hash)? else {
        return redeem_again(connection, hash, refresh, grace, now);
    };
    let Some((user_id, authenticated_at)) = found.approved.filter(|_| found.device.expires_at > now) else {
        return Ok(DeviceRedemption::Unknown);
    };
    outside_session::pass_to_device(connection, &found.device.family_id)?;
    change(connection, "DELETE FROM devices WHERE device_code_hash = ?1", [hash])?;
    let device = found.device;
    let family = NewFamily {
        id: &device.family_id,
        code_hash: hash,
        client_id: &device.client_id,
        user_id: &user_id,
        session_id: &device.family_id,
        authenticated_at,
        scopes: &device.scopes,
        audience: device.audience.as_deref(),
    };
    family::begin(connection, &family, refresh, now)?;
    Ok(DeviceRedemption::Redeemed)
}

/// Handles a code that was already redeemed: its response was lost, or it is a replay.
fn redeem_again(
    connection: &Connection,
    hash: &SecretHash,
    refresh: Option<&NewRefreshToken>,
    grace: i64,
    now: UnixTime,
) -> Result<DeviceRedemption, SqliteError> {
    let spent = one(
        connection,
        "SELECT pk, id, created_at FROM families WHERE code_hash = ?1 AND revoked_at IS NULL",
        [hash],
        |row| Ok((row.get(0)?, row.get(1)?, row.get::<_, UnixTime>(2)?)),
    )?;
    let Some((pk, family_id, spent_at)) = spent else { return Ok(DeviceRedemption::Unknown) };
    let age = now.saturating_sub(spent_at);
    // Superseded tokens are deleted when they would have expired. Afterwards, no record shows that one was used.
    let known_for = refresh.map_or(i64::MAX, |refresh| refresh.expires_at.saturating_sub(now));
    if age >= grace.min(known_for) || family::was_refreshed(connection, pk)? {
        family::revoke(connection, pk, now)?;
        return Ok(DeviceRedemption::Replayed { family_id });
    }
    family::replace_unused(connection, pk, refresh, now)?;
    Ok(DeviceRedemption::Redeemed)
}

/// Denies the devices that the user approved and that have not fetched their tokens yet.
pub(super) fn deny_all_of(connection: &Connection, user_id: &str) -> Result<(), SqliteError> {
    change(
        connection,
        "UPDATE devices SET user_id = NULL, authenticated_at = NULL WHERE user_id = ?1",
        [user_id],
    )?;
    Ok(())
}

/// Denies the devices that a browser session approved and that have not fetched their tokens yet.
pub(super) fn deny_all_of_session(connection: &Connection, session_id: &str) -> Result<(), SqliteError> {
    change(
        connection,
        "UPDATE devices SET user_id = NULL, authenticated_at = NULL WHERE session_id = ?1",
        [session_id],
    )?;
    Ok(())
}

/// Deletes the client's devices, whatever was decided about them: a client that is registered under the same identifier
/// later is another client.
pub(super) fn delete_all_of_client(connection: &Connection, client_id: &ClientId) -> Result<(), SqliteError> {
    change(connection, "DELETE FROM devices WHERE client_id = ?1", [client_id.as_str()])?;
    Ok(())
}

#[async_trait]
impl DeviceStore for SqliteStore {
    async fn create_device(&self, device: &DeviceAuthorization) -> Result<(), StoreError> {
        let device = device.clone();
        self.write(move |connection| {
            change(
                connection,
                &format!(
                    "INSERT INTO devices ({COLUMNS}) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12)"
                ),
                params![
                    device.device_code_hash,
                    device.user_code_hash,
                    device.family_id,
                    device.client_id.as_str(),
                    to_json(&device.scopes)?,
                    device.audience,
                    device.address,
                    device.interval,
                    device.created_at,
                    device.expires_at,
                    device.max_age,
                    device.match_number
                ],
            )
            .map_err(|error| already_exists(error, "device", "(the hash of one of its codes)"))?;
            Ok(())
        })
        .await
    }

    async fn waiting_device(
        &self,
        user_code_hash: &SecretHash,
        now: UnixTime,
    ) -> Result<Option<DeviceAuthorization>, StoreError> {
        let user_code_hash = *user_code_hash;
        self.read(move |connection| {
            one(
                connection,
                &format!(
                    "SELECT {COLUMNS} FROM devices
                     WHERE user_code_hash = ?1 AND expires_at > ?2 AND decided_at IS NULL"
                ),
                params![user_code_hash, now],
                device,
            )
        })
        .await
    }

    async fn decide_device(
        &self,
        user_code_hash: &SecretHash,
        decision: &DeviceDecision,
        now: UnixTime,
    ) -> Result<Option<DeviceAuthorization>, StoreError> {
        let user_code_hash = *user_code_hash;
        let (user_id, session_id, authenticated_at) = match decision.clone() {
            DeviceDecision::Approve { user_id, session_id, authenticated_at } => {
                (Some(user_id), Some(session_id), Some(authenticated_at))
            }
            DeviceDecision::Deny => (None, None, None),
        };
        self.write(move |connection| {
            one(
                connection,
                &format!(
                    "UPDATE devices SET decided_at = ?2, user_id = ?3, authenticated_at = ?4, session_id = ?5
                     WHERE user_code_hash = ?1 AND expires_at > ?2 AND decided_at IS NULL
                     AND (?5 IS NULL OR EXISTS (SELECT 1 FROM sessions WHERE id = ?5 AND user_id = ?3))
                     RETURNING {COLUMNS}"
                ),
                params![user_code_hash, now, user_id, authenticated_at, session_id],
                device,
            )
        })
        .await
    }

    async fn poll_device(
        &self,
        device_code_hash: &SecretHash,
        client_id: &ClientId,
        now: UnixTime,
    ) -> Result<DevicePoll, StoreError> {
        let (hash, client_id) = (*device_code_hash, client_id.clone());
        self.write(move |connection| poll(connection, &hash, &client_id, now)).await
    }

    async fn redeem_device_code(
        &self,
        device_code_hash: &SecretHash,
        refresh: Option<&NewRefreshToken>,
        grace: i64,
        now: UnixTime,
    ) -> Result<DeviceRedemption, StoreError> {
        let (hash, refresh) = (*device_code_hash, refresh.cloned());
        self.write(move |connection| redeem(connection, &hash, refresh.as_ref(), grace, now)).await
    }

    async fn delete_expired_devices(&self, now: UnixTime) -> Result<u64, StoreError> {
        self.write(move |connection| {
            let sql = "DELETE FROM devices WHERE expires_at <= ?1";
            Ok(change(connection, sql, [now.saturating_sub(DEVICE_RETENTION)])? as u64)
        })
        .await
    }
}
