//! Keys of SCIM clients.

use async_trait::async_trait;
use rusqlite::{Row, params};

use crate::{SqliteStore, already_exists, change, last_use, one};
use flyte_model::clock::UnixTime;
use flyte_secrets::SecretHash;
use flyte_store::{ScimKey, ScimKeyStore, ScimRules, StoreError};

const COLUMNS: &str =
    "name, client, secret_hash, adopts, role, issuer, created_by, created_at, expires_at, last_used_at";

fn key(row: &Row<'_>) -> rusqlite::Result<ScimKey> {
    Ok(ScimKey {
        name: row.get(0)?,
        client: row.get(1)?,
        secret_hash: row.get(2)?,
        rules: ScimRules { adopts: row.get(3)?, role: row.get(4)?, issuer: row.get(5)? },
        created_by: row.get(6)?,
        created_at: row.get(7)?,
        expires_at: row.get(8)?,
        last_used_at: row.get(9)?,
    })
}

#[async_trait]
impl ScimKeyStore for SqliteStore {
    async fn create_scim_key(&self, key: &ScimKey) -> Result<(), StoreError> {
        let key = key.clone();
        self.write(move |connection| {
            change(
                connection,
                &format!(
                    "INSERT INTO scim_keys ({COLUMNS}) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10)"
                ),
                params![
                    key.name,
                    key.client,
                    key.secret_hash,
                    key.rules.adopts,
                    key.rules.role,
                    key.rules.issuer,
                    key.created_by,
                    key.created_at,
                    key.expires_at,
                    key.last_used_at
                ],
            )
            .map_err(|error| already_exists(error, "SCIM key", &key.name))?;
            Ok(())
        })
        .await
    }

    async fn scim_key_by_hash(&self, hash: &SecretHash) -> Result<Option<ScimKey>, StoreError> {
        let hash = *hash;
        self.read(move |connection| {
            let sql = format!("SELECT {COLUMNS} FROM scim_keys WHERE secret_hash = ?1");
            one(connection, &sql, params![hash], key)
        })
        .await
    }

    async fn scim_keys(&self) -> Result<Vec<ScimKey>, StoreError> {
        self.read(|connection| {
            let sql = format!("SELECT {COLUMNS} FROM scim_keys ORDER BY name");
            let mut statement = connection.prepare_cached(&sql)?;
            let keys = statement.query_map([], key)?;
            Ok(keys.collect::<Result<_, _>>()?)
        })
        .await
    }

    async fn delete_scim_key(&self, name: &str) -> Result<Option<ScimKey>, StoreError> {
        let name = name.to_owned();
        self.write(move |connection| {
            let sql = format!("DELETE FROM scim_keys WHERE name = ?1 RETURNING {COLUMNS}");
            one(connection, &sql, [name], key)
        })
        .await
    }

    async fn note_scim_key_used(&self, name: &str, now: UnixTime) -> Result<(), StoreError> {
        let used = [(name.to_owned(), now)];
        self.write(move |connection| last_use::note(connection, "scim_keys", "name", &used)).await
    }
}
