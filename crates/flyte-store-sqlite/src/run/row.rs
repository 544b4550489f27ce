//! Rows of runs, actions and attempts.

use crate::error::SqliteError;
use bytes::Bytes;
use rusqlite::{Connection, Params, Row, params};

use super::super::{already_exists, change, client_id, from_json, one, to_json, unexpected_value};
use flyte_model::{Limit, Role, clock::UnixMillis};
use flyte_store::{
    Action, ActionId, ActionKind, Attempt, CacheStatus, Creator, CreatorKind, Failure, FailureKind,
    NewAction, Phase, Run, RunId, TaskRef,
};

pub(super) const RUN_COLUMNS: &str =
    "r.project, r.domain, r.name, r.creator, r.creator_kind, r.creator_client,
     r.creator_family, r.creator_role, r.creator_project, r.creator_domain, r.spec, r.labels, r.source,
     r.trigger_name, r.family_id, r.output_base, r.max_concurrency, r.created_at, r.ended_at";
/// The number of columns in [`RUN_COLUMNS`].
pub(super) const RUN_WIDTH: usize = 19;

/// The columns of an action `a` and its run `r`.
pub(super) const ACTION_COLUMNS: &str = "r.project, r.domain, r.name, a.name, a.parent, a.\"group\", a.kind,
     a.task_project, a.task_domain, a.task_name, a.task_version, a.task_type, a.short_name, a.environment,
     a.input_uri, a.output_base, a.output_uri, a.cache_key, a.phase, a.attempts, a.user_failures,
     a.system_failures, a.error_kind, a.error_code, a.error_message, a.error_recoverable, a.abort_reason,
     a.aborted_by, a.signal, a.signalled_by, a.subject, a.created_at, a.queued_at, a.started_at, a.ended_at,
     a.updated_at, a.version, a.cache_status,
     (SELECT s.output_uri FROM actions s WHERE s.pk = a.cached_from)";

pub(super) fn run(row: &Row<'_>) -> rusqlite::Result<Run> {
    let role: i64 = row.get(7)?;
    Ok(Run {
        id: RunId { project: row.get(0)?, domain: row.get(1)?, name: row.get(2)? },
        creator: Creator {
            subject: row.get(3)?,
            kind: match row.get::<_, i64>(4)? {
                0 => CreatorKind::Person,
                1 => CreatorKind::ApiKey,
                2 => CreatorKind::Federated,
                other => return Err(unexpected_value(4, other)),
            },
            client_id: client_id(row, 5)?,
            family_id: row.get(6)?,
            role: Role::from_number(role).ok_or_else(|| unexpected_value(7, role))?,
            limit: Limit { project: row.get(8)?, domain: row.get(9)? },
        },
        spec: bytes(row, 10)?,
        labels: from_json(row, 11)?,
        source: row.get(12)?,
        trigger: row.get(13)?,
        family_id: row.get(14)?,
        output_base: row.get(15)?,
        max_concurrency: row.get(16)?,
        created_at: row.get(17)?,
        ended_at: row.get(18)?,
    })
}

pub(super) fn action(row: &Row<'_>) -> rusqlite::Result<Action> {
    action_from(row, 0)
}

/// Reads an action whose columns begin at `at`.
pub(super) fn action_from(row: &Row<'_>, at: usize) -> rusqlite::Result<Action> {
    Ok(Action {
        id: ActionId {
            run: RunId { project: row.get(at)?, domain: row.get(at + 1)?, name: row.get(at + 2)? },
            name: row.get(at + 3)?,
        },
        parent: row.get(at + 4)?,
        group: row.get(at + 5)?,
        kind: match row.get(at + 6)? {
            1 => ActionKind::Task,
            2 => ActionKind::Trace,
            3 => ActionKind::Condition,
            other => return Err(unexpected_value(at + 6, other)),
        },
        task: TaskRef {
            project: row.get(at + 7)?,
            domain: row.get(at + 8)?,
            name: row.get(at + 9)?,
            version: row.get(at + 10)?,
        },
        task_type: row.get(at + 11)?,
        short_name: row.get(at + 12)?,
        environment: row.get(at + 13)?,
        input_uri: row.get(at + 14)?,
        output_base: row.get(at + 15)?,
        output_uri: row.get(at + 16)?,
        cache_key: row.get(at + 17)?,
        phase: phase(row, at + 18)?,
        attempts: row.get(at + 19)?,
        user_failures: row.get(at + 20)?,
        system_failures: row.get(at + 21)?,
        failure: failure(row, at + 22)?,
        abort_reason: row.get(at + 26)?,
        aborted_by: row.get(at + 27)?,
        signal: row.get::<_, Option<Vec<u8>>>(at + 28)?.map(Bytes::from),
        signalled_by: row.get(at + 29)?,
        subject: row.get(at + 30)?,
        created_at: row.get(at + 31)?,
        queued_at: row.get(at + 32)?,
        started_at: row.get(at + 33)?,
        ended_at: row.get(at + 34)?,
        updated_at: row.get(at + 35)?,
        version: row.get(at + 36)?,
        cache_status: cache_status(row, at + 37)?,
        cached_outputs: row.get(at + 38)?,
    })
}

pub(super) fn attempt(row: &Row<'_>) -> rusqlite::Result<Attempt> {
    Ok(Attempt {
        number: row.get(0)?,
        phase: phase(row, 1)?,
        queued_at: row.get(2)?,
        claimed_at: row.get(3)?,
        started_at: row.get(4)?,
        ended_at: row.get(5)?,
        failure: failure(row, 6)?,
    })
}

pub(super) fn phase(row: &Row<'_>, column: usize) -> rusqlite::Result<Phase> {
    let number = row.get(column)?;
    Phase::from_number(number).ok_or_else(|| unexpected_value(column, number))
}

fn cache_status(row: &Row<'_>, column: usize) -> rusqlite::Result<CacheStatus> {
    let number = row.get(column)?;
    CacheStatus::from_number(number).ok_or_else(|| unexpected_value(column, number))
}

/// Reads the four columns of a failure, beginning at `column`.
fn failure(row: &Row<'_>, column: usize) -> rusqlite::Result<Option<Failure>> {
    let Some(kind) = row.get(column)? else { return Ok(None) };
    Ok(Some(Failure {
        kind: match kind {
            1 => FailureKind::User,
            2 => FailureKind::System,
            other => return Err(unexpected_value(column, other)),
        },
        code: row.get::<_, Option<_>>(column + 1)?.unwrap_or_default(),
        message: row.get::<_, Option<_>>(column + 2)?.unwrap_or_default(),
        recoverable: row.get::<_, Option<_>>(column + 3)?.unwrap_or_default(),
    }))
}

pub(super) fn bytes(row: &Row<'_>, column: usize) -> rusqlite::Result<Bytes> {
    row.get::<_, Vec<u8>>(column).map(Bytes::from)
}

/// The primary keys of an action and its run, and whether the action has ended.
pub(super) struct Keys {
    pub(super) action: i64,
    pub(super) run: i64,
    pub(super) ended: bool,
}

pub(super) fn keys(connection: &Connection, id: &ActionId) -> Result<Option<Keys>, SqliteError> {
    one(
        connection,
        "SELECT a.pk, a.run, a.ended_at IS NOT NULL FROM actions a JOIN runs r ON r.pk = a.run
         WHERE r.project = ?1 AND r.domain = ?2 AND r.name = ?3 AND a.name = ?4",
        params![id.run.project, id.run.domain, id.run.name, id.name],
        |row| Ok(Keys { action: row.get(0)?, run: row.get(1)?, ended: row.get(2)? }),
    )
}

/// Returns a run's primary key, and whether the run has ended.
pub(super) fn run_key(connection: &Connection, id: &RunId) -> Result<Option<(i64, bool)>, SqliteError> {
    one(
        connection,
        "SELECT pk, ended_at IS NOT NULL FROM runs WHERE project = ?1 AND domain = ?2 AND name = ?3",
        params![id.project, id.domain, id.name],
        |row| Ok((row.get(0)?, row.get(1)?)),
    )
}

/// Returns a new version of the run, for a change.
pub(super) fn next_version(connection: &Connection, run: i64) -> Result<i64, SqliteError> {
    let sql = "UPDATE runs SET version = version + 1 WHERE pk = ?1 RETURNING version";
    Ok(connection.prepare_cached(sql)?.query_row([run], |row| row.get(0))?)
}

pub(super) fn actions(
    connection: &Connection,
    condition: &str,
    params: impl Params,
) -> Result<Vec<Action>, SqliteError> {
    let sql = format!("SELECT {ACTION_COLUMNS} FROM actions a JOIN runs r ON r.pk = a.run WHERE {condition}");
    let actions = connection.prepare_cached(&sql)?.query_map(params, action)?.collect::<Result<_, _>>()?;
    Ok(actions)
}

/// Returns the action with this primary key.
pub(super) fn action_by_key(connection: &Connection, key: i64) -> Result<Action, SqliteError> {
    let sql = format!("SELECT {ACTION_COLUMNS} FROM actions a JOIN runs r ON r.pk = a.run WHERE a.pk = ?1");
    Ok(connection.prepare_cached(&sql)?.query_row([key], action)?)
}

pub(super) fn insert_run(connection: &Connection, run: &Run, root: &NewAction) -> Result<i64, SqliteError> {
    change(
        connection,
        "INSERT INTO runs (project, domain, name, creator, creator_kind, creator_client, creator_family,
             creator_role, creator_project, creator_domain, spec, labels, source, trigger_name, family_id,
             output_base, max_concurrency, created_at, ended_at, version, phase, task_name, task_version,
             updated_at)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16, ?17, ?18, ?19, 0, ?20,
             ?21, ?22, ?18)",
        params![
            run.id.project,
            run.id.domain,
            run.id.name,
            run.creator.subject,
            run.creator.kind as i64,
            run.creator.client_id.as_str(),
            run.creator.family_id,
            run.creator.role as i64,
            run.creator.limit.project,
            run.creator.limit.domain,
            run.spec.as_ref(),
            to_json(&run.labels)?,
            run.source,
            run.trigger,
            run.family_id,
            run.output_base,
            run.max_concurrency,
            run.created_at,
            run.ended_at,
            root.phase as i64,
            root.task.name,
            root.task.version,
        ],
    )
    .map_err(|error| already_exists(error, "run", &run.id.name))?;
    Ok(connection.last_insert_rowid())
}

pub(super) fn insert_action(
    connection: &Connection,
    run: i64,
    action: &NewAction,
    now: UnixMillis,
) -> Result<i64, SqliteError> {
    let hash = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, &action.spec);
    change(
        connection,
        "INSERT INTO action_specs (hash, spec) VALUES (?1, ?2) ON CONFLICT (hash) DO NOTHING",
        params![hash.as_ref(), action.spec.as_ref()],
    )?;
    let (failure, caching) = (action.failure.as_ref(), action.caching.as_ref());
    change(
        connection,
        "INSERT INTO actions (run, name, parent, \"group\", kind, task_project, task_domain, task_name,
             task_version, task_type, short_name, environment, spec_hash, input_uri, output_base, output_uri,
             cache_key, phase, attempts, user_failures, system_failures, error_kind, error_code, error_message,
             error_recoverable, subject, created_at, queued_at, not_before, started_at, ended_at, updated_at,
             version, max_queued, deadline_at, cache_lookup, cache_serialize, cache_max_age)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16, ?17, ?18, 0, 0, 0, ?19,
             ?20, ?21, ?22, ?23, ?24, ?24, ?28, ?25, ?26, ?24, ?27, ?29, ?30, ?31, ?32, ?33)",
        params![
            run,
            action.id.name,
            action.parent,
            action.group,
            action.kind as i64,
            action.task.project,
            action.task.domain,
            action.task.name,
            action.task.version,
            action.task_type,
            action.short_name,
            action.environment,
            hash.as_ref(),
            action.input_uri,
            action.output_base,
            action.output_uri,
            caching.map(|caching| &caching.key),
            action.phase as i64,
            failure.map(|failure| failure.kind as i64),
            failure.map(|failure| &failure.code),
            failure.map(|failure| &failure.message),
            failure.map(|failure| failure.recoverable),
            action.subject,
            now,
            action.started_at,
            action.ended_at,
            next_version(connection, run)?,
            // A task may be claimed from this time on; a condition times out at it.
            match action.kind {
                ActionKind::Condition => action.waits_until.unwrap_or(UnixMillis::MAX),
                ActionKind::Task | ActionKind::Trace => now,
            },
            action.max_queued,
            action.deadline.map(|deadline| now.saturating_add(deadline)),
            caching.is_some_and(|caching| caching.lookup),
            caching.is_some_and(|caching| caching.serialize),
            caching.and_then(|caching| caching.max_age),
        ],
    )
    .map_err(|error| already_exists(error, "action", &action.id.name))?;
    Ok(connection.last_insert_rowid())
}
