//! Provisioning by SCIM 2.0.

mod condition;
mod group;
mod key;
mod user;
mod write;

#[cfg(test)]
pub(super) use self::condition::of_client;

use rusqlite::{Connection, params};

use super::{change, error::SqliteError};

/// Notes that an administrator of this server decided whether an account is enabled, so that a SCIM client no longer decides.
pub(super) fn note_local_decision(connection: &Connection, user_id: &str) -> Result<(), SqliteError> {
    change(connection, "UPDATE scim_users SET deactivated = 0 WHERE user_id = ?1", params![user_id])?;
    Ok(())
}
