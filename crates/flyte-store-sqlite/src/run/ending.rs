//! The end of an action, of all actions that it called, and of the run.

use crate::error::SqliteError;
use rusqlite::{Connection, params};

use super::{
    super::{change, one, revocation},
    row::{Keys, keys, next_version},
};
use flyte_model::clock::UnixMillis;
use flyte_store::{ActionId, Ended, Phase};

/// Milliseconds per second.
const MILLIS_PER_SECOND: i64 = 1000;

/// All actions below the action `?2` of the run `?1`.
const DESCENDANTS: &str = "WITH RECURSIVE below (name) AS (
         SELECT name FROM actions WHERE run = ?1 AND parent = ?2
         UNION
         SELECT c.name FROM actions c JOIN below ON c.parent = below.name WHERE c.run = ?1
     )";

/// Ends an unfinished action in `phase`, with all actions that it called.
pub(super) fn end(
    connection: &Connection,
    id: &ActionId,
    keys: &Keys,
    phase: Phase,
    now: UnixMillis,
) -> Result<Ended, SqliteError> {
    let version = next_version(connection, keys.run)?;
    change(
        connection,
        "UPDATE actions SET phase = ?2, ended_at = ?3, updated_at = ?3, version = ?4 WHERE pk = ?1",
        params![keys.action, phase as i64, now, version],
    )?;
    // Each change has its own number, so that a client that reads a limited number at a time misses none.
    let unfinished: Vec<i64> = connection
        .prepare_cached(&format!(
            "{DESCENDANTS} SELECT pk FROM actions
             WHERE run = ?1 AND name IN (SELECT name FROM below) AND ended_at IS NULL"
        ))?
        .query_map(params![keys.run, id.name], |row| row.get(0))?
        .collect::<Result<_, _>>()?;
    let reason = format!("the action that called it, {}, has ended", id.name);
    for action in unfinished {
        change(
            connection,
            "UPDATE actions SET phase = ?2, ended_at = ?3, updated_at = ?3, version = ?4, abort_reason = ?5
             WHERE pk = ?1",
            params![action, Phase::Aborted as i64, now, next_version(connection, keys.run)?, reason],
        )?;
    }
    show_root(connection, keys.run)?;
    let mut ended = Ended { changed: true, revoked_family: None };
    if id.is_root() {
        let sql = "UPDATE runs SET ended_at = ?2 WHERE pk = ?1 RETURNING family_id";
        let family: String =
            connection.prepare_cached(sql)?.query_row(params![keys.run, now], |row| row.get(0))?;
        revocation::revoke(connection, &family, now / MILLIS_PER_SECOND)?;
        ended.revoked_family = Some(family);
    }
    Ok(ended)
}

pub(super) fn abort(
    connection: &Connection,
    id: &ActionId,
    reason: &str,
    subject: &str,
    now: UnixMillis,
) -> Result<Ended, SqliteError> {
    let Some(keys) = keys(connection, id)?.filter(|keys| !keys.ended) else { return Ok(Ended::default()) };
    change(
        connection,
        "UPDATE actions SET abort_reason = ?2, aborted_by = ?3 WHERE pk = ?1",
        params![keys.action, reason, subject],
    )?;
    end(connection, id, &keys, Phase::Aborted, now)
}

/// Copies the columns of the root action that listings display to its run.
pub(super) fn show_root(connection: &Connection, run: i64) -> Result<(), SqliteError> {
    change(
        connection,
        "UPDATE runs SET (phase, updated_at) =
             (SELECT phase, updated_at FROM actions WHERE run = ?1 AND parent = '' LIMIT 1)
         WHERE pk = ?1",
        [run],
    )?;
    Ok(())
}

/// Returns the time at which the next queued task is due.
pub(super) fn next_due(connection: &Connection) -> Result<Option<UnixMillis>, SqliteError> {
    let sql = "SELECT not_before FROM actions WHERE phase = 1 ORDER BY not_before LIMIT 1";
    one(connection, sql, [], |row| row.get(0))
}
