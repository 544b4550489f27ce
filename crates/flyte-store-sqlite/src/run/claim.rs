//! The choice of the next queued task: fair turns between principals, then between their runs, then the order of calls.

use crate::error::SqliteError;
use rusqlite::{Connection, params};

use super::{
    super::{change, one},
    ending,
    row::{self, ACTION_COLUMNS, RUN_COLUMNS, RUN_WIDTH, next_version},
};
use flyte_model::clock::UnixMillis;
use flyte_store::{CacheStatus, Phase, QueuedAttempt};

/// Attempts `t` at actions `a` that take a slot: unfinished attempts, without those whose actions wait for children or
/// use a cached result.
const BUSY: &str = "attempts t JOIN actions a ON a.pk = t.action
     WHERE t.ended_at IS NULL AND a.cached_from IS NULL
       AND NOT EXISTS (SELECT 1 FROM actions c WHERE c.run = a.run AND c.parent = a.name AND c.ended_at IS NULL)";
/// With this many slots or more, the last one is reserved for runs without a slot.
const RESERVE_ONE_FROM_SLOTS: u32 = 4;
/// With this many slots or more, the last one is reserved for principals without a slot, and the one before it for runs
/// without a slot.
const RESERVE_TWO_FROM_SLOTS: u32 = 8;
/// The most cached results that are used in one step.
const MAX_CACHED: u32 = 100;

/// True if an action calls the same task with the same inputs in the project's domain, and is worked on; a serialized
/// action waits for its result. An action does not wait for actions that wait for it.
const SAME_CALL_IN_PROGRESS: &str = "EXISTS (
    SELECT 1 FROM actions o JOIN runs q ON q.pk = o.run
    WHERE o.cache_key = a.cache_key AND o.ended_at IS NULL AND o.phase IN (3, 4)
      AND q.project = r.project AND q.domain = r.domain
      AND o.task_project = a.task_project AND o.task_domain = a.task_domain AND o.task_name = a.task_name
      AND o.pk NOT IN (
          WITH RECURSIVE above (name) AS (
              SELECT a.parent
              UNION
              SELECT p.parent FROM actions p JOIN above ON p.name = above.name WHERE p.run = a.run
          )
          SELECT p.pk FROM actions p WHERE p.run = a.run AND p.name IN (SELECT name FROM above)
      ))";

/// Claims queued actions; see [`flyte_store::RunStore::claim_actions`].
pub(super) fn claim(
    connection: &Connection,
    slots: u32,
    now: UnixMillis,
) -> Result<Vec<QueuedAttempt>, SqliteError> {
    let mut claimed = cached(connection, now)?;
    let taken: u32 = connection
        .prepare_cached(&format!("SELECT count(*) FROM {BUSY}"))?
        .query_row([], |row| row.get(0))?;
    for taken in taken..slots {
        match next(connection, slots, slots - taken, now)? {
            Some(attempt) => claimed.push(attempt),
            None => break,
        }
    }
    Ok(claimed)
}

/// Claims the actions that use cached results, which need no slot.
fn cached(connection: &Connection, now: UnixMillis) -> Result<Vec<QueuedAttempt>, SqliteError> {
    let found: Vec<(i64, i64)> = connection
        .prepare_cached(
            "SELECT pk, run FROM actions WHERE phase = 1 AND cached_from IS NOT NULL AND not_before <= ?1
             ORDER BY pk LIMIT ?2",
        )?
        .query_map(params![now, MAX_CACHED], |row| Ok((row.get(0)?, row.get(1)?)))?
        .collect::<Result<_, _>>()?;
    found.into_iter().filter_map(|(action, run)| begin(connection, action, run, now).transpose()).collect()
}

/// Returns the task whose turn it is, while `free` of the slots are free.
fn next(
    connection: &Connection,
    slots: u32,
    free: u32,
    now: UnixMillis,
) -> Result<Option<QueuedAttempt>, SqliteError> {
    let only_new_people = slots >= RESERVE_TWO_FROM_SLOTS && free == 1;
    let only_new_runs =
        slots >= RESERVE_TWO_FROM_SLOTS && free == 2 || slots >= RESERVE_ONE_FROM_SLOTS && free == 1;
    let sql = format!(
        "WITH busy (run, n) AS MATERIALIZED (SELECT a.run, count(*) FROM {BUSY} GROUP BY a.run),
              people (creator, n) AS MATERIALIZED (
                  SELECT r.creator, sum(b.n) FROM busy b JOIN runs r ON r.pk = b.run GROUP BY r.creator
              ),
              heads AS (
                  SELECT r.pk AS run, r.creator, r.served, coalesce(b.n, 0) AS n, (
                      SELECT a.pk FROM actions a
                      WHERE a.run = r.pk AND a.phase = 1 AND a.not_before <= ?1
                        AND (a.cache_serialize = 0 OR NOT {SAME_CALL_IN_PROGRESS})
                      ORDER BY a.pk LIMIT 1
                  ) AS action
                  FROM runs r LEFT JOIN busy b ON b.run = r.pk
                  WHERE r.ended_at IS NULL AND (r.max_concurrency = 0 OR coalesce(b.n, 0) < r.max_concurrency)
              )
         SELECT h.action, h.run, h.creator
         FROM heads h LEFT JOIN people p ON p.creator = h.creator LEFT JOIN turns t ON t.creator = h.creator
         WHERE h.action IS NOT NULL AND (?2 = 0 OR coalesce(p.n, 0) = 0) AND (?3 = 0 OR h.n = 0)
         ORDER BY coalesce(p.n, 0), coalesce(t.served, 0), h.n, h.served, h.run LIMIT 1"
    );
    let found: Option<(i64, i64, String)> =
        one(connection, &sql, params![now, only_new_people, only_new_runs], |row| {
            Ok((row.get(0)?, row.get(1)?, row.get(2)?))
        })?;
    let Some((action, run, creator)) = found else { return Ok(None) };
    serve(connection, run, &creator)?;
    begin(connection, action, run, now)
}

/// Records a turn of a run and of its creator.
fn serve(connection: &Connection, run: i64, creator: &str) -> Result<(), SqliteError> {
    let sql =
        "INSERT INTO turns (creator, served) VALUES (?1, (SELECT coalesce(max(served), 0) + 1 FROM turns))
         ON CONFLICT (creator) DO UPDATE SET served = excluded.served RETURNING served";
    let turn: i64 = connection.prepare_cached(sql)?.query_row([creator], |row| row.get(0))?;
    change(connection, "UPDATE runs SET served = ?2 WHERE pk = ?1", [run, turn])?;
    Ok(())
}

/// Puts a new run behind the runs that already wait for their turn.
pub(super) fn enter(connection: &Connection, run: i64, creator: &str) -> Result<(), SqliteError> {
    change(
        connection,
        "UPDATE runs SET served = (SELECT coalesce(max(served), 0) FROM turns) WHERE pk = ?1",
        [run],
    )?;
    change(
        connection,
        "INSERT INTO turns (creator, served) VALUES (?1, (SELECT coalesce(max(served), 0) FROM turns))
         ON CONFLICT (creator) DO NOTHING",
        [creator],
    )?;
    Ok(())
}

/// Deletes the turns of principals that have no unfinished runs.
pub(super) fn clean_up(connection: &Connection) -> Result<(), SqliteError> {
    change(
        connection,
        "DELETE FROM turns WHERE creator NOT IN (SELECT creator FROM runs WHERE ended_at IS NULL)
             AND served < (SELECT max(served) FROM turns)",
        [],
    )?;
    Ok(())
}

/// Begins an attempt at a queued action.
fn begin(
    connection: &Connection,
    action: i64,
    run: i64,
    now: UnixMillis,
) -> Result<Option<QueuedAttempt>, SqliteError> {
    change(
        connection,
        "UPDATE actions SET phase = ?2, attempts = attempts + 1, started_at = coalesce(started_at, ?3),
             updated_at = ?3, version = ?4,
             cache_status = CASE WHEN cache_key IS NULL THEN ?5 WHEN cache_lookup = 1 THEN ?6 ELSE ?7 END
         WHERE pk = ?1",
        params![
            action,
            Phase::Initializing as i64,
            now,
            next_version(connection, run)?,
            CacheStatus::Disabled as i64,
            CacheStatus::Miss as i64,
            CacheStatus::Skipped as i64,
        ],
    )?;
    change(
        connection,
        "INSERT INTO attempts (action, number, phase, queued_at, claimed_at)
         SELECT pk, attempts, phase, queued_at, ?2 FROM actions WHERE pk = ?1",
        params![action, now],
    )?;
    ending::show_root(connection, run)?;
    let sql = format!(
        "SELECT {RUN_COLUMNS}, {ACTION_COLUMNS}, s.spec FROM actions a JOIN runs r ON r.pk = a.run
         JOIN action_specs s ON s.hash = a.spec_hash WHERE a.pk = ?1"
    );
    one(connection, &sql, [action], |row| {
        let action = row::action_from(row, RUN_WIDTH)?;
        let spec = row::bytes(row, row.as_ref().column_count() - 1)?;
        Ok(QueuedAttempt { attempt: action.attempts, action, spec, run: row::run(row)? })
    })
}
