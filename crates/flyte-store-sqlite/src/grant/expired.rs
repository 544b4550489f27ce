//! Removes expired codes, refresh tokens and families.

use rusqlite::{Connection, params};

use crate::{change, error::SqliteError};
use flyte_model::clock::UnixTime;
use flyte_store::FAMILY_RETENTION;

/// The number of rows that one step of the clean-up removes, so that other writers get their turn between steps.
pub(super) const CLEAN_UP_STEP: u32 = 500;

/// Removes a limited number of expired rows; returns their number.
pub(super) fn clean_up(connection: &Connection, now: UnixTime) -> Result<usize, SqliteError> {
    let mut removed = change(
        connection,
        "DELETE FROM codes WHERE code_hash IN (SELECT code_hash FROM codes WHERE expires_at <= ?1 LIMIT ?2)",
        params![now, CLEAN_UP_STEP],
    )?;
    let mut families: Vec<i64> = connection
        .prepare_cached(
            "DELETE FROM refresh_tokens WHERE token_hash IN
                 (SELECT token_hash FROM refresh_tokens WHERE expires_at <= ?1 LIMIT ?2)
             RETURNING family",
        )?
        .query_map(params![now, CLEAN_UP_STEP], |row| row.get(0))?
        .collect::<Result<_, _>>()?;
    removed += families.len();
    families.sort_unstable();
    families.dedup();
    for family in families {
        change(
            connection,
            "UPDATE families SET ends_at = ?2 WHERE pk = ?1 AND ends_at IS NULL
             AND NOT EXISTS (SELECT 1 FROM refresh_tokens WHERE family = ?1)",
            params![family, now.saturating_add(FAMILY_RETENTION)],
        )?;
    }
    removed += change(
        connection,
        "DELETE FROM families WHERE pk IN (SELECT pk FROM families WHERE ends_at <= ?1 LIMIT ?2)",
        params![now, CLEAN_UP_STEP],
    )?;
    Ok(removed)
}
