//! The start and the end of attempts.

use crate::error::SqliteError;
use rusqlite::{Connection, params};

use super::{
    super::change,
    cache, ending,
    row::{Keys, keys, next_version},
};
use flyte_model::clock::UnixMillis;
use flyte_store::{ActionId, AttemptEnd, Ended, Failure, FailureKind, Phase, RunId};

pub(super) fn start(
    connection: &Connection,
    id: &ActionId,
    attempt: u32,
    now: UnixMillis,
) -> Result<bool, SqliteError> {
    let Some(keys) = keys(connection, id)? else { return Ok(false) };
    let started = change(
        connection,
        "UPDATE attempts SET phase = ?3, started_at = ?4
         WHERE action = ?1 AND number = ?2 AND ended_at IS NULL AND started_at IS NULL",
        params![keys.action, attempt, Phase::Running as i64, now],
    )?;
    if started == 0 {
        return Ok(false);
    }
    if !keys.ended {
        change(
            connection,
            "UPDATE actions SET phase = ?2, updated_at = ?3, version = ?4 WHERE pk = ?1",
            params![keys.action, Phase::Running as i64, now, next_version(connection, keys.run)?],
        )?;
        ending::show_root(connection, keys.run)?;
    }
    Ok(true)
}

pub(super) fn end(
    connection: &Connection,
    id: &ActionId,
    attempt: u32,
    end: &AttemptEnd,
    now: UnixMillis,
) -> Result<Ended, SqliteError> {
    let Some(keys) = keys(connection, id)? else { return Ok(Ended::default()) };
    let failure = end.failure.as_ref();
    let ended = change(
        connection,
        "UPDATE attempts SET phase = ?3, ended_at = ?4, error_kind = ?5, error_code = ?6, error_message = ?7,
             error_recoverable = ?8
         WHERE action = ?1 AND number = ?2 AND ended_at IS NULL",
        params![
            keys.action,
            attempt,
            end.phase as i64,
            now,
            failure.map(|failure| failure.kind as i64),
            failure.map(|failure| &failure.code),
            failure.map(|failure| &failure.message),
            failure.map(|failure| failure.recoverable),
        ],
    )?;
    if ended == 0 {
        return Ok(Ended::default());
    }
    if keys.ended {
        // The action was aborted before, and now its process has ended too. Watchers see the end of the attempt.
        touch(connection, &keys, now)?;
        return Ok(Ended { changed: true, revoked_family: None });
    }
    set_failure(connection, &keys, failure)?;
    match end.retry_at {
        Some(retry_at) => {
            change(
                connection,
                "UPDATE actions SET phase = ?2, queued_at = ?3, not_before = ?4, updated_at = ?3, version = ?5
                 WHERE pk = ?1",
                params![
                    keys.action,
                    Phase::Queued as i64,
                    now,
                    retry_at,
                    next_version(connection, keys.run)?
                ],
            )?;
            ending::show_root(connection, keys.run)?;
            // Another action may have stored the result in the meantime.
            cache::look_up(connection, keys.action, now)?;
            Ok(Ended { changed: true, revoked_family: None })
        }
        None => {
            if end.phase == Phase::Succeeded {
                change(
                    connection,
                    "UPDATE actions SET output_uri = output_base || '/' || name || '/' || ?2 WHERE pk = ?1",
                    params![keys.action, attempt.to_string()],
                )?;
                cache::keep(connection, keys.action, now)?;
            }
            ending::end(connection, id, &keys, end.phase, now)
        }
    }
}

/// Sets the action's failure to that of its last attempt.
pub(super) fn set_failure(
    connection: &Connection,
    keys: &Keys,
    failure: Option<&Failure>,
) -> Result<(), SqliteError> {
    let by = |kind| u32::from(failure.is_some_and(|failure| failure.kind == kind));
    change(
        connection,
        "UPDATE actions SET error_kind = ?2, error_code = ?3, error_message = ?4, error_recoverable = ?5,
             user_failures = user_failures + ?6, system_failures = system_failures + ?7
         WHERE pk = ?1",
        params![
            keys.action,
            failure.map(|failure| failure.kind as i64),
            failure.map(|failure| &failure.code),
            failure.map(|failure| &failure.message),
            failure.map(|failure| failure.recoverable),
            by(FailureKind::User),
            by(FailureKind::System),
        ],
    )?;
    Ok(())
}

fn touch(connection: &Connection, keys: &Keys, now: UnixMillis) -> Result<(), SqliteError> {
    change(
        connection,
        "UPDATE actions SET updated_at = ?2, version = ?3 WHERE pk = ?1",
        params![keys.action, now, next_version(connection, keys.run)?],
    )?;
    Ok(())
}

/// Returns unfinished attempts of actions that meet `condition`.
pub(super) fn unfinished(
    connection: &Connection,
    condition: &str,
) -> Result<Vec<(ActionId, u32)>, SqliteError> {
    let sql = format!(
        "SELECT r.project, r.domain, r.name, a.name, t.number
         FROM attempts t JOIN actions a ON a.pk = t.action JOIN runs r ON r.pk = a.run
         WHERE t.ended_at IS NULL AND {condition} ORDER BY a.run, a.pk"
    );
    let attempts = connection
        .prepare_cached(&sql)?
        .query_map([], |row| {
            let run = RunId { project: row.get(0)?, domain: row.get(1)?, name: row.get(2)? };
            Ok((ActionId { run, name: row.get(3)? }, row.get(4)?))
        })?
        .collect::<Result<_, _>>()?;
    Ok(attempts)
}
