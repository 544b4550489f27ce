//! Runs, actions and attempts.

mod attempt;
mod cache;
mod claim;
mod ending;
mod listing;
mod overdue;
mod row;

use crate::error::SqliteError;
use async_trait::async_trait;
use bytes::Bytes;
use rusqlite::{Connection, params};

use self::row::{RUN_COLUMNS, keys, run_key};
use super::{SqliteStore, change, one};
use flyte_model::clock::UnixMillis;
use flyte_store::{
    Action, ActionId, ActionQuery, Attempt, AttemptEnd, Ended, Enqueued, Failure, NewAction, Overdue, Phase,
    QueuedAttempt, Run, RunId, RunQuery, RunStore, StoreError,
};

fn enqueue(connection: &Connection, action: &NewAction, now: UnixMillis) -> Result<Enqueued, SqliteError> {
    let Some((run, ended)) = run_key(connection, &action.id.run)? else { return Ok(Enqueued::NoRun) };
    if keys(connection, &action.id)?.is_some() {
        return Ok(Enqueued::Existing);
    }
    let parent = ActionId { run: action.id.run.clone(), name: action.parent.clone() };
    match keys(connection, &parent)? {
        None => Ok(Enqueued::NoParent),
        Some(parent) if ended || parent.ended => Ok(Enqueued::ParentEnded),
        Some(_) => {
            let action = row::insert_action(connection, run, action, now)?;
            cache::look_up(connection, action, now)?;
            Ok(Enqueued::Added)
        }
    }
}

fn signal(
    connection: &Connection,
    id: &ActionId,
    value: &[u8],
    subject: &str,
    now: UnixMillis,
) -> Result<bool, SqliteError> {
    let Some(keys) = keys(connection, id)?.filter(|keys| !keys.ended) else { return Ok(false) };
    let answered = change(
        connection,
        "UPDATE actions SET signal = ?2, signalled_by = ?3 WHERE pk = ?1 AND phase = ?4",
        params![keys.action, value, subject, Phase::Paused as i64],
    )?;
    if answered == 0 {
        return Ok(false);
    }
    ending::end(connection, id, &keys, Phase::Succeeded, now)?;
    Ok(true)
}

fn actions_since(
    connection: &Connection,
    run: &RunId,
    parent: Option<&str>,
    after: i64,
    limit: u32,
) -> Result<Vec<Action>, SqliteError> {
    let Some((run, _)) = run_key(connection, run)? else { return Ok(Vec::new()) };
    match parent {
        Some(parent) => row::actions(
            connection,
            "a.run = ?1 AND a.parent = ?2 AND a.version > ?3 ORDER BY a.version LIMIT ?4",
            params![run, parent, after, limit],
        ),
        None => row::actions(
            connection,
            "a.run = ?1 AND a.version > ?2 ORDER BY a.version LIMIT ?3",
            params![run, after, limit],
        ),
    }
}

fn count_children(connection: &Connection, id: &ActionId) -> Result<Vec<(Phase, u32)>, SqliteError> {
    let Some((run, _)) = run_key(connection, &id.run)? else { return Ok(Vec::new()) };
    let counts = connection
        .prepare_cached(
            "SELECT phase, count(*) FROM actions WHERE run = ?1 AND parent = ?2 GROUP BY phase ORDER BY phase",
        )?
        .query_map(params![run, id.name], |row| Ok((row::phase(row, 0)?, row.get(1)?)))?
        .collect::<Result<_, _>>()?;
    Ok(counts)
}

fn attempts(connection: &Connection, id: &ActionId) -> Result<Vec<Attempt>, SqliteError> {
    let Some(keys) = keys(connection, id)? else { return Ok(Vec::new()) };
    let attempts = connection
        .prepare_cached(
            "SELECT number, phase, queued_at, claimed_at, started_at, ended_at, error_kind, error_code,
                 error_message, error_recoverable
             FROM attempts WHERE action = ?1 ORDER BY number",
        )?
        .query_map([keys.action], row::attempt)?
        .collect::<Result<_, _>>()?;
    Ok(attempts)
}

fn action_spec(connection: &Connection, id: &ActionId) -> Result<Option<Bytes>, SqliteError> {
    let Some(keys) = keys(connection, id)? else { return Ok(None) };
    let sql = "SELECT s.spec FROM actions a JOIN action_specs s ON s.hash = a.spec_hash WHERE a.pk = ?1";
    one(connection, sql, [keys.action], |row| row::bytes(row, 0))
}

#[async_trait]
impl RunStore for SqliteStore {
    async fn create_run(&self, run: &Run, root: &NewAction) -> Result<Action, StoreError> {
        let (run, root) = (run.clone(), root.clone());
        self.write(move |connection| {
            let key = row::insert_run(connection, &run, &root)?;
            claim::enter(connection, key, &run.creator.subject)?;
            let root = row::insert_action(connection, key, &root, run.created_at)?;
            cache::look_up(connection, root, run.created_at)?;
            row::action_by_key(connection, root)
        })
        .await
    }

    async fn enqueue_action(&self, action: &NewAction, now: UnixMillis) -> Result<Enqueued, StoreError> {
        let action = action.clone();
        self.write(move |connection| enqueue(connection, &action, now)).await
    }

    async fn run_by_id(&self, id: &RunId) -> Result<Option<Run>, StoreError> {
        let id = id.clone();
        self.read(move |connection| {
            let sql = format!(
                "SELECT {RUN_COLUMNS} FROM runs r WHERE r.project = ?1 AND r.domain = ?2 AND r.name = ?3"
            );
            one(connection, &sql, params![id.project, id.domain, id.name], row::run)
        })
        .await
    }

    async fn run_by_family(&self, family_id: &str) -> Result<Option<Run>, StoreError> {
        let family_id = family_id.to_owned();
        self.read(move |connection| {
            let sql = format!("SELECT {RUN_COLUMNS} FROM runs r WHERE r.family_id = ?1");
            one(connection, &sql, [family_id], row::run)
        })
        .await
    }

    async fn action_by_id(&self, id: &ActionId) -> Result<Option<Action>, StoreError> {
        let id = id.clone();
        self.read(move |connection| {
            let condition = "r.project = ?1 AND r.domain = ?2 AND r.name = ?3 AND a.name = ?4";
            let params = params![id.run.project, id.run.domain, id.run.name, id.name];
            Ok(row::actions(connection, condition, params)?.pop())
        })
        .await
    }

    async fn action_spec(&self, id: &ActionId) -> Result<Option<Bytes>, StoreError> {
        let id = id.clone();
        self.read(move |connection| action_spec(connection, &id)).await
    }

    async fn attempts(&self, id: &ActionId) -> Result<Vec<Attempt>, StoreError> {
        let id = id.clone();
        self.read(move |connection| attempts(connection, &id)).await
    }

    async fn actions_since(
        &self,
        run: &RunId,
        parent: Option<&str>,
        after: i64,
        limit: u32,
    ) -> Result<Vec<Action>, StoreError> {
        let (run, parent) = (run.clone(), parent.map(str::to_owned));
        self.read(move |connection| actions_since(connection, &run, parent.as_deref(), after, limit)).await
    }

    async fn list_runs(&self, query: &RunQuery) -> Result<(Vec<(Run, Action)>, String), StoreError> {
        let query = query.clone();
        self.read(move |connection| listing::runs(connection, &query)).await
    }

    async fn list_actions(
        &self,
        run: &RunId,
        query: &ActionQuery,
    ) -> Result<(Vec<Action>, String), StoreError> {
        let (run, query) = (run.clone(), query.clone());
        self.read(move |connection| listing::actions(connection, &run, &query)).await
    }

    async fn count_children(&self, id: &ActionId) -> Result<Vec<(Phase, u32)>, StoreError> {
        let id = id.clone();
        self.read(move |connection| count_children(connection, &id)).await
    }

    async fn claim_actions(&self, slots: u32, now: UnixMillis) -> Result<Vec<QueuedAttempt>, StoreError> {
        self.write(move |connection| claim::claim(connection, slots, now)).await
    }

    async fn next_claim_at(&self) -> Result<Option<UnixMillis>, StoreError> {
        self.read(ending::next_due).await
    }

    async fn start_attempt(&self, id: &ActionId, attempt: u32, now: UnixMillis) -> Result<bool, StoreError> {
        let id = id.clone();
        self.write(move |connection| attempt::start(connection, &id, attempt, now)).await
    }

    async fn end_attempt(
        &self,
        id: &ActionId,
        attempt: u32,
        end: &AttemptEnd,
        now: UnixMillis,
    ) -> Result<Ended, StoreError> {
        let (id, end) = (id.clone(), end.clone());
        self.write(move |connection| attempt::end(connection, &id, attempt, &end, now)).await
    }

    async fn take_cached(&self, id: &ActionId, attempt: u32, now: UnixMillis) -> Result<Ended, StoreError> {
        let id = id.clone();
        self.write(move |connection| cache::take(connection, &id, attempt, now)).await
    }

    async fn requeue_uncached(
        &self,
        id: &ActionId,
        attempt: u32,
        gone: bool,
        now: UnixMillis,
    ) -> Result<bool, StoreError> {
        let id = id.clone();
        self.write(move |connection| cache::requeue(connection, &id, attempt, gone, now)).await
    }

    async fn delete_unused_results(&self, since: UnixMillis, most: u32) -> Result<u64, StoreError> {
        self.write(move |connection| {
            claim::clean_up(connection)?;
            cache::clean_up(connection, since, most)
        })
        .await
    }

    async fn abort_action(
        &self,
        id: &ActionId,
        reason: &str,
        subject: &str,
        now: UnixMillis,
    ) -> Result<Ended, StoreError> {
        let (id, reason, subject) = (id.clone(), reason.to_owned(), subject.to_owned());
        self.write(move |connection| ending::abort(connection, &id, &reason, &subject, now)).await
    }

    async fn signal_action(
        &self,
        id: &ActionId,
        value: &Bytes,
        subject: &str,
        now: UnixMillis,
    ) -> Result<bool, StoreError> {
        let (id, value, subject) = (id.clone(), value.clone(), subject.to_owned());
        self.write(move |connection| signal(connection, &id, &value, &subject, now)).await
    }

    async fn overdue_actions(&self, now: UnixMillis) -> Result<Vec<(ActionId, Overdue, i64)>, StoreError> {
        self.read(move |connection| overdue::find(connection, now)).await
    }

    async fn time_out_action(
        &self,
        id: &ActionId,
        overdue: Overdue,
        failure: Option<&Failure>,
        now: UnixMillis,
    ) -> Result<Ended, StoreError> {
        let (id, failure) = (id.clone(), failure.cloned());
        self.write(move |connection| overdue::time_out(connection, &id, overdue, failure.as_ref(), now)).await
    }

    async fn running_attempts(&self) -> Result<Vec<(ActionId, u32)>, StoreError> {
        self.read(|connection| attempt::unfinished(connection, "TRUE")).await
    }

    async fn aborted_attempts(&self) -> Result<Vec<(ActionId, u32)>, StoreError> {
        self.read(|connection| attempt::unfinished(connection, "a.ended_at IS NOT NULL")).await
    }
}
