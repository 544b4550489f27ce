//! Revocations that consist of an identifier.

use crate::error::SqliteError;
use async_trait::async_trait;
use rusqlite::{Connection, params};

use super::{SqliteStore, change};
use flyte_model::clock::UnixTime;
use flyte_store::{FAMILY_RETENTION, RevocationStore, StoreError};

/// Revokes within the caller's transaction.
pub(super) fn revoke(connection: &Connection, id: &str, now: UnixTime) -> Result<(), SqliteError> {
    // The first revocation counts: repeating it does not keep the row longer.
    change(
        connection,
        "INSERT INTO revocations (id, revoked_at) VALUES (?1, ?2) ON CONFLICT (id) DO NOTHING",
        params![id, now],
    )?;
    Ok(())
}

#[async_trait]
impl RevocationStore for SqliteStore {
    async fn revoke_id(&self, id: &str, now: UnixTime) -> Result<(), StoreError> {
        let id = id.to_owned();
        self.write(move |connection| revoke(connection, &id, now)).await
    }

    async fn delete_expired_revocations(&self, now: UnixTime) -> Result<u64, StoreError> {
        self.write(move |connection| {
            let oldest = now.saturating_sub(FAMILY_RETENTION);
            let sql = "DELETE FROM revocations WHERE revoked_at < ?1";
            Ok(change(connection, sql, [oldest])? as u64)
        })
        .await
    }
}
