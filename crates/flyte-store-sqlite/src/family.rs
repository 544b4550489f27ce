//! Families: everything that came from one authorization. A code (`grant`) or a device (`device`) begins one.

use crate::error::SqliteError;
use rusqlite::{Connection, params, params_from_iter};

use super::{already_exists, change, one, to_json};
use flyte_model::{ClientId, Scopes, clock::UnixTime};
use flyte_secrets::SecretHash;
use flyte_store::{FAMILY_RETENTION, NewRefreshToken};

/// A family that is about to begin; the fields are those of [`RefreshToken`].
pub(super) struct NewFamily<'a> {
    pub(super) id: &'a str,
    /// The hash of the code that begins it.
    pub(super) code_hash: &'a SecretHash,
    pub(super) client_id: &'a ClientId,
    pub(super) user_id: &'a str,
    pub(super) session_id: &'a str,
    pub(super) authenticated_at: UnixTime,
    pub(super) scopes: &'a Scopes,
    pub(super) audience: Option<&'a str>,
}

/// Begins a family, with a refresh token if one is given.
pub(super) fn begin(
    connection: &Connection,
    family: &NewFamily<'_>,
    refresh: Option<&NewRefreshToken>,
    now: UnixTime,
) -> Result<(), SqliteError> {
    // A family without a refresh token has only access tokens: it can be deleted when those have expired.
    let ends_at = if refresh.is_none() { Some(now.saturating_add(FAMILY_RETENTION)) } else { None };
    change(
        connection,
        "INSERT INTO families (id, code_hash, client_id, user_id, session_id, authenticated_at, scopes, audience,
             created_at, ends_at)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10)",
        params![
            family.id,
            family.code_hash,
            family.client_id.as_str(),
            family.user_id,
            family.session_id,
            family.authenticated_at,
            to_json(&family.scopes)?,
            family.audience,
            now,
            ends_at
        ],
    )
    .map_err(|error| already_exists(error, "token family", family.id))?;
    if let Some(refresh) = refresh {
        insert_token(connection, connection.last_insert_rowid(), refresh)?;
    }
    Ok(())
}

/// Returns whether a refresh token of the family has been used, according to the rows that still exist.
pub(super) fn was_refreshed(connection: &Connection, family: i64) -> Result<bool, SqliteError> {
    let sql = "SELECT 1 FROM refresh_tokens WHERE family = ?1 AND successor IS NOT NULL LIMIT 1";
    Ok(one(connection, sql, [family], |_| Ok(()))?.is_some())
}

/// Replaces the family's refresh token, which is unused and void from now on, with `refresh`.
pub(super) fn replace_unused(
    connection: &Connection,
    family: i64,
    refresh: Option<&NewRefreshToken>,
    now: UnixTime,
) -> Result<(), SqliteError> {
    change(
        connection,
        "UPDATE refresh_tokens SET superseded_at = ?2 WHERE family = ?1 AND superseded_at IS NULL",
        params![family, now],
    )?;
    if let Some(refresh) = refresh {
        change(connection, "UPDATE families SET ends_at = NULL WHERE pk = ?1", [family])?;
        insert_token(connection, family, refresh)?;
    }
    Ok(())
}

/// Adds a refresh token to a family.
pub(super) fn insert_token(
    connection: &Connection,
    family: i64,
    token: &NewRefreshToken,
) -> Result<(), SqliteError> {
    change(
        connection,
        "INSERT INTO refresh_tokens (token_hash, family, expires_at) VALUES (?1, ?2, ?3)",
        params![token.token_hash, family, token.expires_at],
    )
    .map_err(|error| already_exists(error, "refresh token", "(its hash)"))?;
    Ok(())
}

/// Revokes a family unless it is already revoked, and deletes its refresh tokens.
pub(super) fn revoke(connection: &Connection, family: i64, now: UnixTime) -> Result<(), SqliteError> {
    let revoked = change(
        connection,
        "UPDATE families SET revoked_at = ?2, ends_at = ?3 WHERE pk = ?1 AND revoked_at IS NULL",
        params![family, now, now.saturating_add(FAMILY_RETENTION)],
    )?;
    if revoked > 0 {
        change(connection, "DELETE FROM refresh_tokens WHERE family = ?1", [family])?;
    }
    Ok(())
}

/// Revokes the families that the condition selects, and returns their identifiers.
pub(super) fn revoke_each(
    connection: &Connection,
    condition: &str,
    values: &[&str],
    now: UnixTime,
) -> Result<Vec<String>, SqliteError> {
    let sql = format!("SELECT pk, id FROM families WHERE revoked_at IS NULL AND {condition}");
    let families: Vec<(i64, String)> = connection
        .prepare_cached(&sql)?
        .query_map(params_from_iter(values), |row| Ok((row.get(0)?, row.get(1)?)))?
        .collect::<Result<_, _>>()?;
    for (family, _) in &families {
        revoke(connection, *family, now)?;
    }
    Ok(families.into_iter().map(|(_, id)| id).collect())
}
