//! Triggers and their revisions.

mod list;

use crate::error::SqliteError;
use async_trait::async_trait;
use rusqlite::{Connection, Row, params};

use self::list::{list, list_revisions};
use super::{SqliteStore, actor, change, one, unexpected_value};
use flyte_model::{Actor, clock::UnixTime};
use flyte_store::{
    NewTrigger, StoreError, TaskId, Trigger, TriggerChange, TriggerDeployment, TriggerId, TriggerQuery,
    TriggerRevision, TriggerStore, TriggersSummary,
};

/// The columns that both tables have.
const COLUMNS: &str =
    "project, domain, task, name, revision, task_version, active, spec, automation, deployed_by,
     deployed_by_kind, deployed_at, updated_by, updated_by_kind, updated_at, triggered_at";
const IS: &str = "project = ?1 AND domain = ?2 AND task = ?3 AND name = ?4";

fn common(row: &Row<'_>) -> rusqlite::Result<Trigger> {
    let revision: i64 = row.get(4)?;
    Ok(Trigger {
        id: TriggerId { project: row.get(0)?, domain: row.get(1)?, task: row.get(2)?, name: row.get(3)? },
        revision: u64::try_from(revision).map_err(|_| unexpected_value(4, revision))?,
        task_version: row.get(5)?,
        active: row.get(6)?,
        spec: row.get(7)?,
        automation: row.get(8)?,
        deployed_by: actor::actor(row, 9)?,
        deployed_at: row.get(11)?,
        updated_by: actor::actor(row, 12)?,
        updated_at: row.get(14)?,
        triggered_at: row.get(15)?,
        due_at: None,
    })
}

fn trigger(row: &Row<'_>) -> rusqlite::Result<Trigger> {
    Ok(Trigger { due_at: row.get(16)?, ..common(row)? })
}

fn revision(row: &Row<'_>) -> rusqlite::Result<TriggerRevision> {
    let change = match row.get(16)? {
        1 => TriggerChange::Deployed,
        2 => TriggerChange::Activated,
        3 => TriggerChange::Deactivated,
        4 => TriggerChange::Deleted,
        other => return Err(unexpected_value(16, other)),
    };
    Ok(TriggerRevision { trigger: common(row)?, change })
}

fn number(revision: u64) -> i64 {
    i64::try_from(revision).unwrap_or(i64::MAX)
}

fn find(connection: &Connection, id: &TriggerId) -> Result<Option<Trigger>, SqliteError> {
    let sql = format!("SELECT {COLUMNS}, due_at FROM triggers WHERE {IS}");
    one(connection, &sql, [&id.project, &id.domain, &id.task, &id.name], trigger)
}

/// Returns a summary of a task's triggers.
pub(super) fn summary(
    connection: &Connection,
    project: &str,
    domain: &str,
    task: &str,
) -> Result<TriggersSummary, SqliteError> {
    let mut statement = connection.prepare_cached(
        "SELECT name, active, automation FROM triggers WHERE project = ?1 AND domain = ?2 AND task = ?3",
    )?;
    let mut rows = statement.query([project, domain, task])?;
    let mut summary = TriggersSummary::default();
    while let Some(row) = rows.next()? {
        summary.total += 1;
        summary.active += u32::from(row.get::<_, bool>(1)?);
        summary.only = if summary.total == 1 { Some((row.get(0)?, row.get(2)?)) } else { None };
    }
    Ok(summary)
}

/// Makes `triggers` the task's triggers, and deletes triggers of other names.
pub(super) fn replace_all(
    connection: &Connection,
    task: &TaskId,
    triggers: &[NewTrigger],
) -> Result<(), SqliteError> {
    let Some(NewTrigger { by, at, .. }) = triggers.first() else { return Ok(()) };
    let there = connection
        .prepare_cached("SELECT name FROM triggers WHERE project = ?1 AND domain = ?2 AND task = ?3")?
        .query_map([&task.project, &task.domain, &task.name], |row| row.get::<_, String>(0))?
        .collect::<Result<Vec<_>, _>>()?;
    for name in there.into_iter().filter(|name| triggers.iter().all(|trigger| trigger.id.name != *name)) {
        let id = TriggerId {
            project: task.project.clone(),
            domain: task.domain.clone(),
            task: task.name.clone(),
            name,
        };
        delete(connection, &id, by, *at)?;
    }
    for new in triggers {
        let same = find(connection, &new.id)?.is_some_and(|there| {
            there.task_version == new.task_version
                && there.active == new.active
                && there.spec == new.spec
                && there.automation == new.automation
        });
        // Deployed again by a client that got no response: there is no new revision.
        if !same {
            deploy(connection, new, 0)?;
        }
    }
    Ok(())
}

fn deploy(connection: &Connection, new: &NewTrigger, seen: u64) -> Result<TriggerDeployment, SqliteError> {
    let there = find(connection, &new.id)?;
    let current = there.as_ref().map_or(0, |trigger| trigger.revision);
    if seen != 0 && seen != current {
        return Ok(TriggerDeployment::OtherRevision { current });
    }
    let trigger = Trigger {
        id: new.id.clone(),
        revision: last_revision(connection, &new.id)? + 1,
        task_version: new.task_version.clone(),
        active: new.active,
        spec: new.spec.clone(),
        automation: new.automation.clone(),
        deployed_by: new.by.clone(),
        deployed_at: new.at,
        updated_by: new.by.clone(),
        updated_at: new.at,
        triggered_at: there.and_then(|trigger| trigger.triggered_at),
        due_at: new.due_at,
    };
    put(connection, &trigger)?;
    note(connection, &trigger, TriggerChange::Deployed)?;
    Ok(TriggerDeployment::Deployed(trigger))
}

fn last_revision(connection: &Connection, id: &TriggerId) -> Result<u64, SqliteError> {
    let sql = format!("SELECT max(revision) FROM trigger_revisions WHERE {IS}");
    let last = one(connection, &sql, [&id.project, &id.domain, &id.task, &id.name], |row| {
        row.get::<_, Option<i64>>(0)
    })?;
    Ok(last.flatten().and_then(|last| u64::try_from(last).ok()).unwrap_or(0))
}

fn put(connection: &Connection, trigger: &Trigger) -> Result<(), SqliteError> {
    let sql = format!(
        "INSERT INTO triggers ({COLUMNS}, due_at)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16, ?17)
         ON CONFLICT (project, domain, task, name) DO UPDATE SET revision = ?5, task_version = ?6, active = ?7,
             spec = ?8, automation = ?9, deployed_by = ?10, deployed_by_kind = ?11, deployed_at = ?12,
             updated_by = ?13, updated_by_kind = ?14, updated_at = ?15, triggered_at = ?16, due_at = ?17"
    );
    insert(connection, &sql, trigger, trigger.due_at)
}

/// Writes the trigger's current revision.
fn note(connection: &Connection, trigger: &Trigger, what: TriggerChange) -> Result<(), SqliteError> {
    let sql = format!(
        "INSERT INTO trigger_revisions ({COLUMNS}, action)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15, ?16, ?17)"
    );
    insert(connection, &sql, trigger, Some(what as i64))
}

fn insert(
    connection: &Connection,
    sql: &str,
    trigger: &Trigger,
    last: Option<i64>,
) -> Result<(), SqliteError> {
    change(
        connection,
        sql,
        params![
            trigger.id.project,
            trigger.id.domain,
            trigger.id.task,
            trigger.id.name,
            number(trigger.revision),
            trigger.task_version,
            trigger.active,
            trigger.spec,
            trigger.automation,
            trigger.deployed_by.subject,
            actor::kind(&trigger.deployed_by)?,
            trigger.deployed_at,
            trigger.updated_by.subject,
            actor::kind(&trigger.updated_by)?,
            trigger.updated_at,
            trigger.triggered_at,
            last
        ],
    )?;
    Ok(())
}

fn delete(connection: &Connection, id: &TriggerId, by: &Actor, now: UnixTime) -> Result<bool, SqliteError> {
    let Some(there) = find(connection, id)? else { return Ok(false) };
    let gone = Trigger {
        revision: there.revision + 1,
        active: false,
        updated_by: by.clone(),
        updated_at: now,
        ..there
    };
    note(connection, &gone, TriggerChange::Deleted)?;
    let sql = format!("DELETE FROM triggers WHERE {IS}");
    change(connection, &sql, [&id.project, &id.domain, &id.task, &id.name])?;
    Ok(true)
}

#[async_trait]
impl TriggerStore for SqliteStore {
    async fn deploy_trigger(&self, trigger: &NewTrigger, seen: u64) -> Result<TriggerDeployment, StoreError> {
        let trigger = trigger.clone();
        self.write(move |connection| deploy(connection, &trigger, seen)).await
    }

    async fn trigger_by_id(&self, id: &TriggerId) -> Result<Option<Trigger>, StoreError> {
        let id = id.clone();
        self.read(move |connection| find(connection, &id)).await
    }

    async fn trigger_revision(
        &self,
        id: &TriggerId,
        wanted: u64,
    ) -> Result<Option<TriggerRevision>, StoreError> {
        let id = id.clone();
        self.read(move |connection| {
            let sql = format!("SELECT {COLUMNS}, action FROM trigger_revisions WHERE {IS} AND revision = ?5");
            let params = params![id.project, id.domain, id.task, id.name, number(wanted)];
            one(connection, &sql, params, revision)
        })
        .await
    }

    async fn list_triggers(&self, query: &TriggerQuery) -> Result<(Vec<Trigger>, String), StoreError> {
        let query = query.clone();
        self.read(move |connection| list(connection, &query)).await
    }

    async fn list_trigger_revisions(
        &self,
        id: &TriggerId,
        limit: u32,
        page_token: &str,
    ) -> Result<(Vec<TriggerRevision>, String), StoreError> {
        let (id, page_token) = (id.clone(), page_token.to_owned());
        self.read(move |connection| list_revisions(connection, &id, limit, &page_token)).await
    }

    async fn switch_triggers(
        &self,
        triggers: &[(TriggerId, Option<UnixTime>)],
        active: bool,
        by: &Actor,
        now: UnixTime,
    ) -> Result<Option<TriggerId>, StoreError> {
        let (triggers, by) = (triggers.to_vec(), by.clone());
        self.write(move |connection| {
            let mut found = Vec::new();
            for (id, due_at) in triggers {
                match find(connection, &id)? {
                    Some(there) => found.push((there, due_at)),
                    None => return Ok(Some(id)),
                }
            }
            for (there, due_at) in found.into_iter().filter(|(there, _)| there.active != active) {
                let switched = Trigger {
                    revision: there.revision + 1,
                    active,
                    updated_by: by.clone(),
                    updated_at: now,
                    due_at: due_at.filter(|_| active),
                    ..there
                };
                put(connection, &switched)?;
                let what = if active { TriggerChange::Activated } else { TriggerChange::Deactivated };
                note(connection, &switched, what)?;
            }
            Ok(None)
        })
        .await
    }

    async fn delete_triggers(
        &self,
        triggers: &[TriggerId],
        by: &Actor,
        now: UnixTime,
    ) -> Result<Option<TriggerId>, StoreError> {
        let (triggers, by) = (triggers.to_vec(), by.clone());
        self.write(move |connection| {
            for id in &triggers {
                if find(connection, id)?.is_none() {
                    return Ok(Some(id.clone()));
                }
            }
            for id in &triggers {
                delete(connection, id, &by, now)?;
            }
            Ok(None)
        })
        .await
    }

    async fn due_triggers(&self, now: UnixTime, limit: u32) -> Result<Vec<Trigger>, StoreError> {
        self.read(move |connection| {
            let sql = format!(
                "SELECT {COLUMNS}, due_at FROM triggers WHERE due_at <= ?1 AND active ORDER BY due_at LIMIT ?2"
            );
            let found = connection
                .prepare_cached(&sql)?
                .query_map(params![now, limit], trigger)?
                .collect::<Result<_, _>>()?;
            Ok(found)
        })
        .await
    }

    async fn note_trigger_fired(
        &self,
        trigger: &Trigger,
        fired_at: UnixTime,
        due_at: Option<UnixTime>,
    ) -> Result<bool, StoreError> {
        let Trigger { id, revision, due_at: was_due_at, .. } = trigger.clone();
        self.write(move |connection| {
            let sql = format!(
                "UPDATE triggers SET triggered_at = ?5, due_at = ?6
                 WHERE {IS} AND revision = ?7 AND due_at IS ?8"
            );
            let changed = change(
                connection,
                &sql,
                params![
                    id.project,
                    id.domain,
                    id.task,
                    id.name,
                    fired_at,
                    due_at,
                    number(revision),
                    was_due_at
                ],
            )?;
            Ok(changed > 0)
        })
        .await
    }
}
