//! Actions that have exceeded a time limit.

use crate::error::SqliteError;
use std::collections::HashSet;

use rusqlite::{Connection, params};

use super::{super::one, attempt::set_failure, ending, row::keys};
use flyte_model::clock::UnixMillis;
use flyte_store::{ActionId, Ended, Failure, Overdue, Phase, RunId};

/// Returns the condition on an action `a` that is overdue at `?1`, and the expression of the limit's length.
fn sql(overdue: Overdue) -> (&'static str, &'static str) {
    match overdue {
        Overdue::Condition => ("a.phase = 9 AND a.not_before <= ?1", "a.not_before - a.created_at"),
        Overdue::Deadline => ("a.deadline_at <= ?1 AND a.ended_at IS NULL", "a.deadline_at - a.created_at"),
        // A retry that waits for its backoff does not wait for a slot.
        Overdue::Queue => {
            ("a.phase = 1 AND a.max_queued IS NOT NULL AND a.not_before + a.max_queued <= ?1", "a.max_queued")
        }
    }
}

pub(super) fn find(
    connection: &Connection,
    now: UnixMillis,
) -> Result<Vec<(ActionId, Overdue, i64)>, SqliteError> {
    let mut found = Vec::new();
    let mut known = HashSet::new();
    for overdue in Overdue::ALL {
        let (condition, limit) = sql(overdue);
        let sql = format!(
            "SELECT r.project, r.domain, r.name, a.name, {limit} FROM actions a JOIN runs r ON r.pk = a.run
             WHERE {condition} ORDER BY a.pk"
        );
        let mut statement = connection.prepare_cached(&sql)?;
        let rows = statement.query_map([now], |row| {
            let run = RunId { project: row.get(0)?, domain: row.get(1)?, name: row.get(2)? };
            Ok((ActionId { run, name: row.get(3)? }, overdue, row.get(4)?))
        })?;
        for row in rows {
            let row: (ActionId, Overdue, i64) = row?;
            if known.insert(row.0.clone()) {
                found.push(row);
            }
        }
    }
    Ok(found)
}

pub(super) fn time_out(
    connection: &Connection,
    id: &ActionId,
    overdue: Overdue,
    failure: Option<&Failure>,
    now: UnixMillis,
) -> Result<Ended, SqliteError> {
    let Some(keys) = keys(connection, id)? else { return Ok(Ended::default()) };
    // Since the search, the action may have ended, or an attempt may have begun.
    let sql = format!("SELECT 1 FROM actions a WHERE {} AND a.pk = ?2", sql(overdue).0);
    if one(connection, &sql, params![now, keys.action], |_| Ok(()))?.is_none() {
        return Ok(Ended::default());
    }
    if failure.is_some() {
        set_failure(connection, &keys, failure)?;
    }
    ending::end(connection, id, &keys, Phase::TimedOut, now)
}
