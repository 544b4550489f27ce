//! Encrypted signing keys.

use crate::error::SqliteError;
use async_trait::async_trait;
use rusqlite::{Connection, Row, params};

use super::{SqliteStore, change, unexpected_value};
use flyte_store::{KeyState, SealedSigningKey, SigningKeyStore, StoreError};

fn state_number(state: KeyState) -> i64 {
    match state {
        KeyState::Published => 0,
        KeyState::Active => 1,
        KeyState::Retired => 2,
    }
}

fn key(row: &Row<'_>) -> rusqlite::Result<SealedSigningKey> {
    Ok(SealedSigningKey {
        id: row.get(0)?,
        algorithm: row.get(1)?,
        sealed_private_key: row.get(2)?,
        state: match row.get(3)? {
            0 => KeyState::Published,
            1 => KeyState::Active,
            2 => KeyState::Retired,
            other => return Err(unexpected_value(3, other)),
        },
        created_at: row.get(4)?,
        state_since: row.get(5)?,
    })
}

fn all(connection: &Connection) -> Result<Vec<SealedSigningKey>, SqliteError> {
    let mut statement = connection.prepare_cached(
        "SELECT id, algorithm, sealed_private_key, state, created_at, state_since
         FROM signing_keys ORDER BY created_at, id",
    )?;
    let keys = statement.query_map([], key)?;
    Ok(keys.collect::<Result<_, _>>()?)
}

#[async_trait]
impl SigningKeyStore for SqliteStore {
    async fn signing_keys(&self) -> Result<Vec<SealedSigningKey>, StoreError> {
        self.read(all).await
    }

    async fn replace_signing_keys(
        &self,
        expected: &[(String, KeyState)],
        keys: &[SealedSigningKey],
    ) -> Result<bool, StoreError> {
        let (mut expected, keys) = (expected.to_vec(), keys.to_vec());
        self.write(move |connection| {
            let mut found: Vec<_> = all(connection)?.into_iter().map(|key| (key.id, key.state)).collect();
            found.sort_unstable_by(|a, b| a.0.cmp(&b.0));
            expected.sort_unstable_by(|a, b| a.0.cmp(&b.0));
            if found != expected {
                return Ok(false);
            }
            change(connection, "DELETE FROM signing_keys", [])?;
            for key in keys {
                change(
                    connection,
                    "INSERT INTO signing_keys
                         (id, algorithm, sealed_private_key, state, created_at, state_since)
                     VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
                    params![
                        key.id,
                        key.algorithm,
                        key.sealed_private_key,
                        state_number(key.state),
                        key.created_at,
                        key.state_since
                    ],
                )?;
            }
            Ok(true)
        })
        .await
    }
}
