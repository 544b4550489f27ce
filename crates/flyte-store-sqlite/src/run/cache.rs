//! Cached results. They are stored when a task succeeds, and used by queued actions with the same key.
//!
//! An entry belongs to a domain of a project and to a task; the key, which clients make, is valid only within those. A
//! queued action gets a reference to its result (`cached_from`) when it is queued or when the result is stored, so
//! later steps need no search.

use crate::error::SqliteError;
use rusqlite::{Connection, params};

use super::{
    super::{change, one},
    ending,
    row::{Keys, keys, next_version},
};
use flyte_model::clock::UnixMillis;
use flyte_store::{ActionId, CacheStatus, Ended, Phase};

/// The name of the task of an action `a`, which the entries and actions for the same result have in common.
const TASK: &str = "a.task_project || '/' || a.task_domain || '/' || a.task_name";

/// Sets the result that a queued action can use, if there is one.
pub(super) fn look_up(connection: &Connection, action: i64, now: UnixMillis) -> Result<(), SqliteError> {
    change(
        connection,
        &format!(
            "UPDATE actions SET cached_from = (
                 SELECT c.action FROM actions a JOIN runs r ON r.pk = a.run
                 JOIN cached_results c ON c.project = r.project AND c.domain = r.domain AND c.task = {TASK}
                     AND c.key = a.cache_key
                 WHERE a.pk = ?1 AND (a.cache_max_age IS NULL OR c.created_at >= ?2 - a.cache_max_age))
             WHERE pk = ?1 AND phase = 1 AND cache_key IS NOT NULL AND cache_lookup = 1"
        ),
        params![action, now],
    )?;
    Ok(())
}

/// Stores the result of an action that has succeeded, and sets it on the actions that wait for it.
pub(super) fn keep(connection: &Connection, action: i64, now: UnixMillis) -> Result<(), SqliteError> {
    let kept = change(
        connection,
        &format!(
            "INSERT INTO cached_results (project, domain, task, key, action, created_at, used_at)
             SELECT r.project, r.domain, {TASK}, a.cache_key, a.pk, ?2, ?2
             FROM actions a JOIN runs r ON r.pk = a.run WHERE a.pk = ?1 AND a.cache_key IS NOT NULL
             ON CONFLICT (project, domain, task, key) DO UPDATE
             SET action = excluded.action, created_at = excluded.created_at, used_at = excluded.used_at"
        ),
        params![action, now],
    )?;
    if kept == 0 {
        return Ok(());
    }
    change(
        connection,
        "UPDATE actions SET cache_status = ?2 WHERE pk = ?1",
        params![action, CacheStatus::Populated as i64],
    )?;
    let same: Vec<i64> = connection
        .prepare_cached(&format!(
            "SELECT a.pk FROM actions o JOIN runs q ON q.pk = o.run
             JOIN actions a ON a.cache_key = o.cache_key AND a.ended_at IS NULL JOIN runs r ON r.pk = a.run
             WHERE o.pk = ?1 AND a.phase = 1 AND a.cache_lookup = 1 AND r.project = q.project
               AND r.domain = q.domain AND {TASK} = o.task_project || '/' || o.task_domain || '/' || o.task_name"
        ))?
        .query_map([action], |row| row.get(0))?
        .collect::<Result<_, _>>()?;
    for waiting in same {
        look_up(connection, waiting, now)?;
    }
    Ok(())
}

/// Ends an action with its cached result.
pub(super) fn take(
    connection: &Connection,
    id: &ActionId,
    attempt: u32,
    now: UnixMillis,
) -> Result<Ended, SqliteError> {
    let Some(keys) = keys(connection, id)? else { return Ok(Ended::default()) };
    let ended = change(
        connection,
        "UPDATE attempts SET phase = ?3, ended_at = ?4 WHERE action = ?1 AND number = ?2 AND ended_at IS NULL",
        params![keys.action, attempt, Phase::Succeeded as i64, now],
    )?;
    if ended == 0 {
        return Ok(Ended::default());
    }
    if keys.ended {
        return Ok(Ended { changed: true, revoked_family: None });
    }
    change(
        connection,
        "UPDATE actions SET cache_status = ?2, output_uri = (SELECT s.output_uri FROM actions s WHERE s.pk = actions.cached_from)
         WHERE pk = ?1",
        params![keys.action, CacheStatus::Hit as i64],
    )?;
    change(
        connection,
        "UPDATE cached_results SET used_at = ?2 WHERE action = (SELECT cached_from FROM actions WHERE pk = ?1)",
        params![keys.action, now],
    )?;
    ending::end(connection, id, &keys, Phase::Succeeded, now)
}

/// Queues an action again that cannot use its cached result. If the result is `gone`, it is also removed from all other
/// actions.
pub(super) fn requeue(
    connection: &Connection,
    id: &ActionId,
    attempt: u32,
    gone: bool,
    now: UnixMillis,
) -> Result<bool, SqliteError> {
    let Some(keys) = keys(connection, id)?.filter(|keys| !keys.ended) else { return Ok(false) };
    let removed = change(
        connection,
        "DELETE FROM attempts WHERE action = ?1 AND number = ?2 AND ended_at IS NULL",
        params![keys.action, attempt],
    )?;
    if removed == 0 {
        return Ok(false);
    }
    if gone {
        forget(connection, &keys)?;
    }
    change(
        connection,
        "UPDATE actions SET phase = ?2, attempts = attempts - 1, cached_from = NULL, updated_at = ?3, version = ?4,
             started_at = CASE attempts WHEN 1 THEN NULL ELSE started_at END
         WHERE pk = ?1",
        params![keys.action, Phase::Queued as i64, now, next_version(connection, keys.run)?],
    )?;
    ending::show_root(connection, keys.run)?;
    Ok(true)
}

fn forget(connection: &Connection, keys: &Keys) -> Result<(), SqliteError> {
    let sql = "SELECT cached_from FROM actions WHERE pk = ?1 AND cached_from IS NOT NULL";
    let Some(source): Option<i64> = one(connection, sql, [keys.action], |row| row.get(0))? else {
        return Ok(());
    };
    change(connection, "DELETE FROM cached_results WHERE action = ?1", [source])?;
    let sql = "UPDATE actions SET cached_from = NULL WHERE phase = 1 AND cached_from IS NOT NULL AND cached_from = ?1";
    change(connection, sql, [source])?;
    Ok(())
}

/// Removes the entries that were not used since `since`, and all but the `most` that were used last.
pub(super) fn clean_up(connection: &Connection, since: UnixMillis, most: u32) -> Result<u64, SqliteError> {
    let unused = change(connection, "DELETE FROM cached_results WHERE used_at < ?1", [since])?;
    let beyond = change(
        connection,
        "DELETE FROM cached_results WHERE (project, domain, task, key) IN
             (SELECT project, domain, task, key FROM cached_results ORDER BY used_at DESC LIMIT -1 OFFSET ?1)",
        [most],
    )?;
    Ok(u64::try_from(unused + beyond).unwrap_or(u64::MAX))
}
