//! Presented assertions.

use async_trait::async_trait;
use rusqlite::params;

use super::{SqliteStore, change};
use flyte_model::clock::UnixTime;
use flyte_secrets::SecretHash;
use flyte_store::{AssertionStore, StoreError};

#[async_trait]
impl AssertionStore for SqliteStore {
    async fn consume_jti(&self, hash: &SecretHash, expires_at: UnixTime) -> Result<bool, StoreError> {
        let hash = *hash;
        self.write(move |connection| {
            let sql =
                "INSERT INTO spent_assertions (hash, expires_at) VALUES (?1, ?2) ON CONFLICT DO NOTHING";
            Ok(change(connection, sql, params![hash, expires_at])? > 0)
        })
        .await
    }

    async fn delete_expired_assertions(&self, now: UnixTime) -> Result<u64, StoreError> {
        self.write(move |connection| {
            Ok(change(connection, "DELETE FROM spent_assertions WHERE expires_at <= ?1", [now])? as u64)
        })
        .await
    }
}
