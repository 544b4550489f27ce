//! API keys, listed in pages that begin at a position.

use crate::error::SqliteError;
use async_trait::async_trait;
use base64::{Engine as _, prelude::BASE64_URL_SAFE_NO_PAD};
use rusqlite::{Connection, Row, params, params_from_iter, types::Value};

use super::{
    SqliteStore, already_exists, change, client_id, from_json, last_use, one, revocation, to_json,
    unexpected_value,
};
use flyte_model::{ClientId, Limit, Rights, Role, clock::UnixTime};
use flyte_secrets::SecretHash;
use flyte_store::{
    ApiKey, ApiKeyQuery, ApiKeyStore, PreviousSecret, Retired, RetiredSecret, RotatedKey, Rotation,
    SecretRotation, StoreError,
};

/// How long the records of retired secrets are kept, in seconds.
const RETIRED_RETENTION: i64 = 365 * 86_400;

const COLUMNS: &str =
    "client_id, name, secret_hash, previous_hash, previous_expires_at, jwks, role, scopes, project,
     domain, created_by, created_at, expires_at, last_used_at, family_id";

fn api_key(row: &Row<'_>) -> rusqlite::Result<ApiKey> {
    let previous: (Option<SecretHash>, Option<UnixTime>) = (row.get(3)?, row.get(4)?);
    let role = row.get(6)?;
    Ok(ApiKey {
        client_id: client_id(row, 0)?,
        name: row.get(1)?,
        secret_hash: row.get(2)?,
        previous_secret: match previous {
            (Some(hash), Some(expires_at)) => Some(PreviousSecret { hash, expires_at }),
            _ => None,
        },
        jwks: row.get(5)?,
        rights: Rights {
            role: Role::from_number(role).ok_or_else(|| unexpected_value(6, role))?,
            scopes: from_json(row, 7)?,
            limit: Limit { project: row.get(8)?, domain: row.get(9)? },
        },
        created_by: row.get(10)?,
        created_at: row.get(11)?,
        expires_at: row.get(12)?,
        last_used_at: row.get(13)?,
        family_id: row.get(14)?,
    })
}

fn by_id(connection: &Connection, client_id: &ClientId) -> Result<Option<ApiKey>, SqliteError> {
    one(
        connection,
        &format!("SELECT {COLUMNS} FROM api_keys WHERE client_id = ?1"),
        [client_id.as_str()],
        api_key,
    )
}

fn insert(connection: &Connection, key: &ApiKey) -> Result<(), SqliteError> {
    let client =
        one(connection, "SELECT 1 FROM clients WHERE id = ?1", [key.client_id.as_str()], |_| Ok(()))?;
    if client.is_some() {
        return Err(StoreError::AlreadyExists { kind: "client", id: key.client_id.to_string() }.into());
    }
    // The subject would be that of a user, and the key would seem to act in the user's name.
    let account = one(connection, "SELECT 1 FROM users WHERE id = ?1", [key.client_id.as_str()], |_| Ok(()))?;
    if account.is_some() {
        return Err(StoreError::AlreadyExists { kind: "account", id: key.client_id.to_string() }.into());
    }
    change(
        connection,
        &format!(
            "INSERT INTO api_keys ({COLUMNS})
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15)"
        ),
        params![
            key.client_id.as_str(),
            key.name,
            key.secret_hash,
            key.previous_secret.as_ref().map(|previous| previous.hash),
            key.previous_secret.as_ref().map(|previous| previous.expires_at),
            key.jwks,
            key.rights.role as i64,
            to_json(&key.rights.scopes)?,
            key.rights.limit.project,
            key.rights.limit.domain,
            key.created_by,
            key.created_at,
            key.expires_at,
            key.last_used_at,
            key.family_id
        ],
    )
    .map_err(|error| already_exists(error, "API key", &key.name))?;
    Ok(())
}

fn rotate(
    connection: &Connection,
    client_id: &ClientId,
    rotation: SecretRotation,
    now: UnixTime,
) -> Result<Rotation, SqliteError> {
    let Some(mut key) = by_id(connection, client_id)? else { return Ok(Rotation::Unknown) };
    let Some(replaced) = key.secret_hash else { return Ok(Rotation::Unknown) };
    let overlaps = rotation.previous_until > now;
    let mut revoked_family = None;
    if let Some(previous) = key.previous_secret.take() {
        if overlaps && previous.expires_at > now {
            return Ok(Rotation::Overlapping { until: previous.expires_at });
        }
        retire(connection, &previous.hash, client_id, Retired::Rotated, previous.expires_at.min(now))?;
    }
    retire(connection, &replaced, client_id, Retired::Rotated, rotation.previous_until.max(now))?;
    if overlaps {
        key.previous_secret = Some(PreviousSecret { hash: replaced, expires_at: rotation.previous_until });
    } else {
        revocation::revoke(connection, &key.family_id, now)?;
        revoked_family = Some(std::mem::replace(&mut key.family_id, rotation.family_id));
    }
    key.secret_hash = Some(rotation.secret_hash);
    key.expires_at = rotation.expires_at;
    change(
        connection,
        "UPDATE api_keys SET secret_hash = ?2, previous_hash = ?3, previous_expires_at = ?4, family_id = ?5, expires_at = ?6
         WHERE client_id = ?1",
        params![
            key.client_id.as_str(),
            key.secret_hash,
            key.previous_secret.as_ref().map(|previous| previous.hash),
            key.previous_secret.as_ref().map(|previous| previous.expires_at),
            key.family_id,
            key.expires_at
        ],
    )?;
    forget_retired(connection, now)?;
    Ok(Rotation::Rotated(RotatedKey { key, revoked_family }))
}

/// Records a secret that is retired at `at`.
fn retire(
    connection: &Connection,
    hash: &SecretHash,
    client_id: &ClientId,
    why: Retired,
    at: UnixTime,
) -> Result<(), SqliteError> {
    change(
        connection,
        "INSERT INTO deleted_api_keys (secret_hash, client_id, deleted_at, reason) VALUES (?1, ?2, ?3, ?4)
         ON CONFLICT (secret_hash) DO UPDATE SET deleted_at = excluded.deleted_at, reason = excluded.reason",
        params![hash, client_id.as_str(), at, why.as_str()],
    )?;
    Ok(())
}

/// Returns the keys that this subject created, and the keys that those created.
fn made_by(connection: &Connection, subject: &str) -> Result<Vec<ApiKey>, SqliteError> {
    // An identifier of a user is never that of a key: it is a UUID, and keys cannot have UUIDs.
    let sql = format!(
        "WITH RECURSIVE made (id) AS (
             SELECT client_id FROM api_keys WHERE created_by = ?1
             UNION SELECT client_id FROM api_keys JOIN made ON created_by = made.id)
         SELECT {COLUMNS} FROM api_keys WHERE client_id IN (SELECT id FROM made) ORDER BY created_at, client_id"
    );
    let mut statement = connection.prepare_cached(&sql)?;
    let keys = statement.query_map([subject], api_key)?;
    Ok(keys.collect::<Result<_, _>>()?)
}

/// Deletes keys and revokes the families of their tokens.
fn delete(connection: &Connection, keys: &[ApiKey], now: UnixTime) -> Result<(), SqliteError> {
    for key in keys {
        change(connection, "DELETE FROM api_keys WHERE client_id = ?1", [key.client_id.as_str()])?;
        revocation::revoke(connection, &key.family_id, now)?;
        let previous = key.previous_secret.as_ref().map(|previous| previous.hash);
        for hash in [key.secret_hash, previous].into_iter().flatten() {
            retire(connection, &hash, &key.client_id, Retired::Deleted, now)?;
        }
    }
    forget_retired(connection, now)
}

/// Deletes the keys that this subject created, and the keys that those created.
pub(super) fn delete_made_by(
    connection: &Connection,
    subject: &str,
    now: UnixTime,
) -> Result<Vec<ApiKey>, SqliteError> {
    let keys = made_by(connection, subject)?;
    delete(connection, &keys, now)?;
    Ok(keys)
}

fn forget_retired(connection: &Connection, now: UnixTime) -> Result<(), SqliteError> {
    let sql = "DELETE FROM deleted_api_keys WHERE deleted_at < ?1";
    change(connection, sql, [now.saturating_sub(RETIRED_RETENTION)])?;
    Ok(())
}

/// The content of a page token: the creator whose keys are listed, and the position of the last key of the previous
/// page.
type Position = (Option<String>, UnixTime, String);

fn decode(token: &str, query: &ApiKeyQuery) -> Result<Position, SqliteError> {
    BASE64_URL_SAFE_NO_PAD
        .decode(token)
        .ok()
        .and_then(|json| serde_json::from_slice::<Position>(&json).ok())
        .filter(|(created_by, _, _)| *created_by == query.created_by)
        .ok_or_else(|| StoreError::InvalidPageToken.into())
}

fn list(connection: &Connection, query: &ApiKeyQuery) -> Result<(Vec<ApiKey>, String), SqliteError> {
    let mut conditions = vec!["TRUE"];
    let mut values: Vec<Value> = Vec::new();
    if let Some(created_by) = &query.created_by {
        conditions.push("created_by = ?");
        values.push(Value::Text(created_by.clone()));
    }
    if !query.page_token.is_empty() {
        let (_, created_at, client_id) = decode(&query.page_token, query)?;
        conditions.push("(created_at, client_id) < (?, ?)");
        values.extend([Value::Integer(created_at), Value::Text(client_id)]);
    }
    // One more row than requested shows whether there is a next page.
    values.push(Value::Integer(i64::from(query.limit).saturating_add(1)));
    let sql = format!(
        "SELECT {COLUMNS} FROM api_keys WHERE {} ORDER BY created_at DESC, client_id DESC LIMIT ?",
        conditions.join(" AND ")
    );
    let mut keys: Vec<ApiKey> = connection
        .prepare_cached(&sql)?
        .query_map(params_from_iter(values), api_key)?
        .collect::<Result<_, _>>()?;
    let limit = usize::try_from(query.limit).unwrap_or(usize::MAX);
    let more = keys.len() > limit;
    keys.truncate(limit);
    let token = match keys.last() {
        Some(last) if more => {
            let position: Position = (query.created_by.clone(), last.created_at, last.client_id.to_string());
            BASE64_URL_SAFE_NO_PAD.encode(to_json(&position)?)
        }
        _ => String::new(),
    };
    Ok((keys, token))
}

#[async_trait]
impl ApiKeyStore for SqliteStore {
    async fn create_api_key(&self, key: &ApiKey) -> Result<(), StoreError> {
        let key = key.clone();
        self.write(move |connection| insert(connection, &key)).await
    }

    async fn api_key_by_id(&self, client_id: &ClientId) -> Result<Option<ApiKey>, StoreError> {
        let client_id = client_id.clone();
        self.read(move |connection| by_id(connection, &client_id)).await
    }

    async fn api_keys_by_id_or_name(&self, text: &str) -> Result<Vec<ApiKey>, StoreError> {
        let text = text.to_owned();
        self.read(move |connection| {
            let sql = format!("SELECT {COLUMNS} FROM api_keys WHERE client_id = ?1 OR name = ?1");
            let mut statement = connection.prepare_cached(&sql)?;
            let keys = statement.query_map([text], api_key)?;
            Ok(keys.collect::<Result<_, _>>()?)
        })
        .await
    }

    async fn list_api_keys(&self, query: &ApiKeyQuery) -> Result<(Vec<ApiKey>, String), StoreError> {
        let query = query.clone();
        self.read(move |connection| list(connection, &query)).await
    }

    async fn rename_api_key(&self, client_id: &ClientId, name: &str) -> Result<bool, StoreError> {
        let (client_id, name) = (client_id.clone(), name.to_owned());
        self.write(move |connection| {
            let sql = "UPDATE api_keys SET name = ?2 WHERE client_id = ?1";
            let changed = change(connection, sql, params![client_id.as_str(), name])
                .map_err(|error| already_exists(error, "API key", &name))?;
            Ok(changed > 0)
        })
        .await
    }

    async fn rotate_api_key(
        &self,
        client_id: &ClientId,
        rotation: &SecretRotation,
        now: UnixTime,
    ) -> Result<Rotation, StoreError> {
        let (client_id, rotation) = (client_id.clone(), rotation.clone());
        self.write(move |connection| rotate(connection, &client_id, rotation, now)).await
    }

    async fn delete_api_key(&self, client_id: &ClientId, now: UnixTime) -> Result<Vec<ApiKey>, StoreError> {
        let client_id = client_id.clone();
        self.write(move |connection| {
            let Some(key) = by_id(connection, &client_id)? else { return Ok(Vec::new()) };
            let mut keys = vec![key];
            keys.extend(
                made_by(connection, client_id.as_str())?.into_iter().filter(|key| key.client_id != client_id),
            );
            delete(connection, &keys, now)?;
            Ok(keys)
        })
        .await
    }

    async fn api_keys_of(&self, subject: &str) -> Result<Vec<ApiKey>, StoreError> {
        let subject = subject.to_owned();
        self.read(move |connection| made_by(connection, &subject)).await
    }

    async fn delete_api_keys_of(&self, subject: &str, now: UnixTime) -> Result<Vec<ApiKey>, StoreError> {
        let subject = subject.to_owned();
        self.write(move |connection| delete_made_by(connection, &subject, now)).await
    }

    async fn retired_secret(&self, secret_hash: &SecretHash) -> Result<Option<RetiredSecret>, StoreError> {
        let hash = *secret_hash;
        self.read(move |connection| {
            let sql = "SELECT client_id, reason = 'deleted' FROM deleted_api_keys WHERE secret_hash = ?1";
            one(connection, sql, [hash], |row| {
                let why = if row.get(1)? { Retired::Deleted } else { Retired::Rotated };
                Ok(RetiredSecret { client_id: client_id(row, 0)?, why })
            })
        })
        .await
    }

    async fn note_api_keys_used(&self, used: &[(ClientId, UnixTime)]) -> Result<(), StoreError> {
        let used: Vec<_> = used.iter().map(|(client_id, at)| (client_id.to_string(), *at)).collect();
        self.write(move |connection| last_use::note(connection, "api_keys", "client_id", &used)).await
    }
}
