//! Apps.

use crate::error::SqliteError;
use async_trait::async_trait;
use rusqlite::{Connection, Row, params, params_from_iter, types::Value};

use super::{
    SqliteStore, actor, already_exists, change, condition, from_json, one,
    page::{self, Key, Order},
    to_json, unexpected_value,
};
use flyte_model::clock::UnixTime;
use flyte_store::{
    AppChange, AppCondition, AppField, AppId, AppNote, AppQuery, AppRecord, AppStatus, AppStore, AppUpdate,
    NewApp, StoreError,
};

/// Reads a number that can be missing.
fn optional(row: &Row<'_>, column: usize) -> rusqlite::Result<Option<u64>> {
    let number: Option<i64> = row.get(column)?;
    number.map(|number| u64::try_from(number).map_err(|_| unexpected_value(column, number))).transpose()
}

/// The number of conditions that are kept for each app.
const MAX_CONDITIONS: usize = 20;
const COLUMNS: &str =
    "project, domain, name, revision, metadata, spec, wanted, conditions, created_by, created_by_kind,
     created_at, updated_at, started_at, port, process, process_revision, processes, id";
const IS: &str = "project = ?1 AND domain = ?2 AND name = ?3";

fn app(row: &Row<'_>) -> rusqlite::Result<AppRecord> {
    let revision: i64 = row.get(3)?;
    Ok(AppRecord {
        id: AppId { project: row.get(0)?, domain: row.get(1)?, name: row.get(2)? },
        revision: u64::try_from(revision).map_err(|_| unexpected_value(3, revision))?,
        metadata: row.get(4)?,
        spec: row.get(5)?,
        wanted: row.get(6)?,
        conditions: from_json(row, 7)?,
        created_by: actor::actor(row, 8)?,
        created_at: row.get(10)?,
        updated_at: row.get(11)?,
        started_at: row.get(12)?,
        port: row.get(13)?,
        process: optional(row, 14)?,
        process_revision: optional(row, 15)?,
        processes: optional(row, 16)?.unwrap_or(0),
    })
}

fn find(connection: &Connection, id: &AppId) -> Result<Option<AppRecord>, SqliteError> {
    let sql = format!("SELECT {COLUMNS} FROM apps WHERE {IS}");
    one(connection, &sql, [&id.project, &id.domain, &id.name], app)
}

fn add(conditions: &mut Vec<AppCondition>, condition: AppCondition) {
    conditions.push(condition);
    let surplus = conditions.len().saturating_sub(MAX_CONDITIONS);
    conditions.drain(..surplus);
}

fn asked(new: &NewApp, revision: u64) -> AppCondition {
    AppCondition {
        at: new.at,
        status: if new.wanted { AppStatus::Pending } else { AppStatus::Stopped },
        message: new.reason.clone(),
        revision,
        actor: Some(new.by.clone()),
    }
}

fn create(connection: &Connection, new: &NewApp) -> Result<AppRecord, SqliteError> {
    let condition = asked(new, 1);
    let status = condition.status.as_str();
    change(
        connection,
        "INSERT INTO apps (project, domain, name, revision, metadata, spec, wanted, status, conditions, created_by,
             created_by_kind, created_at, updated_at)
         VALUES (?1, ?2, ?3, 1, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?11)",
        params![
            new.id.project,
            new.id.domain,
            new.id.name,
            new.metadata,
            new.spec,
            new.wanted,
            status,
            to_json(&[condition])?,
            new.by.subject,
            actor::kind(&new.by)?,
            new.at
        ],
    )
    .map_err(|error| already_exists(error, "app", &new.id.name))?;
    find(connection, &new.id)?.ok_or_else(|| rusqlite::Error::QueryReturnedNoRows.into())
}

fn update(connection: &Connection, new: &NewApp, seen: u64) -> Result<AppUpdate, SqliteError> {
    let Some(mut there) = find(connection, &new.id)? else { return Ok(AppUpdate::Unknown) };
    if seen != 0 && seen != there.revision {
        return Ok(AppUpdate::OtherRevision { current: there.revision });
    }
    there.revision += 1;
    let mut condition = asked(new, there.revision);
    // It keeps running until its process has ended.
    if !new.wanted && there.process.is_some() {
        condition.status = there.status();
    }
    add(&mut there.conditions, condition);
    there = AppRecord {
        metadata: new.metadata.clone(),
        spec: new.spec.clone(),
        wanted: new.wanted,
        updated_at: new.at,
        ..there
    };
    put(connection, &there)?;
    Ok(AppUpdate::Updated(Box::new(there)))
}

fn number(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

fn put(connection: &Connection, app: &AppRecord) -> Result<(), SqliteError> {
    change(
        connection,
        &format!(
            "UPDATE apps SET revision = ?4, metadata = ?5, spec = ?6, wanted = ?7, status = ?8, conditions = ?9,
                 updated_at = ?10, started_at = ?11, port = ?12, process = ?13,
                 process_revision = ?14, processes = ?15
             WHERE {IS}"
        ),
        params![
            app.id.project,
            app.id.domain,
            app.id.name,
            number(app.revision),
            app.metadata,
            app.spec,
            app.wanted,
            app.status().as_str(),
            to_json(&app.conditions)?,
            app.updated_at,
            app.started_at,
            app.port,
            app.process.map(number),
            app.process_revision.map(number),
            number(app.processes)
        ],
    )?;
    Ok(())
}

fn note(
    connection: &Connection,
    id: &AppId,
    revision: u64,
    note: &AppNote,
    now: UnixTime,
) -> Result<Option<AppRecord>, SqliteError> {
    let Some(mut there) = find(connection, id)?.filter(|there| there.revision == revision) else {
        return Ok(None);
    };
    let same = there
        .conditions
        .last()
        .is_some_and(|last| last.status == note.status && last.message == note.message);
    if !same {
        let condition = AppCondition {
            at: now,
            status: note.status,
            message: note.message.clone(),
            revision,
            actor: None,
        };
        add(&mut there.conditions, condition);
    }
    match note.change {
        AppChange::None => {}
        AppChange::Starts { port } => {
            there.processes += 1;
            there.process = Some(there.processes);
            there.process_revision = Some(revision);
            there.port = Some(port);
            there.started_at = Some(now);
        }
        AppChange::Gone => {
            there.process = None;
            there.process_revision = None;
            there.port = None;
        }
    }
    if !same || note.change != AppChange::None {
        there.updated_at = now;
        put(connection, &there)?;
    }
    Ok(Some(there))
}

fn conditions(query: &AppQuery) -> Result<(Vec<String>, Vec<Value>), SqliteError> {
    let mut conditions = vec!["TRUE".to_owned()];
    let mut values = Vec::new();
    for (column, wanted) in [("project", &query.project), ("domain", &query.domain)] {
        if let Some(wanted) = wanted {
            conditions.push(format!("{column} = ?"));
            values.push(Value::Text(wanted.clone()));
        }
    }
    for given in &query.conditions {
        let column = match given.field {
            AppField::Name => "name",
            AppField::CreatedBy => "created_by",
            AppField::Status => "status",
        };
        conditions.push(condition::expression(column, &given.test, given.negated, &mut values));
    }
    crate::only_in::add(query.only_in.as_deref(), ("project", "domain"), &mut conditions, &mut values)?;
    Ok((conditions, values))
}

fn list(connection: &Connection, query: &AppQuery) -> Result<(Vec<AppRecord>, String), SqliteError> {
    let listing =
        page::listing(AppQuery { limit: 0, page_token: String::new(), only_in: None, ..query.clone() });
    let (conditions, mut values) = conditions(query)?;
    let (columns, like): (&[&str], _) = match query.by_name {
        true => (&["name", "project", "domain"], vec![Key::Text(String::new()); 3]),
        false => (&["id"], vec![Key::Number(0)]),
    };
    let order = Order {
        columns,
        like,
        descending: query.descending,
        listing: &listing,
        token: &query.page_token,
        limit: query.limit,
    };
    let sql = order.complete(&format!("SELECT {COLUMNS} FROM apps"), conditions, &mut values)?;
    let found = connection
        .prepare_cached(&sql)?
        .query_map(params_from_iter(values), |row| Ok((app(row)?, row.get::<_, i64>(17)?)))?
        .collect::<Result<Vec<_>, _>>()?;
    let (found, token) = page::cut(found, query.limit, &listing, |(app, id)| match query.by_name {
        true => {
            let AppId { project, domain, name } = &app.id;
            [name, project, domain].map(|text| Key::Text(text.clone())).to_vec()
        }
        false => vec![Key::Number(*id)],
    })?;
    Ok((found.into_iter().map(|(app, _)| app).collect(), token))
}

#[async_trait]
impl AppStore for SqliteStore {
    async fn create_app(&self, app: &NewApp) -> Result<AppRecord, StoreError> {
        let app = app.clone();
        self.write(move |connection| create(connection, &app)).await
    }

    async fn update_app(&self, app: &NewApp, seen: u64) -> Result<AppUpdate, StoreError> {
        let app = app.clone();
        self.write(move |connection| update(connection, &app, seen)).await
    }

    async fn delete_app(&self, id: &AppId) -> Result<Option<AppRecord>, StoreError> {
        let id = id.clone();
        self.write(move |connection| {
            let there = find(connection, &id)?;
            change(connection, &format!("DELETE FROM apps WHERE {IS}"), [id.project, id.domain, id.name])?;
            Ok(there)
        })
        .await
    }

    async fn app_by_id(&self, id: &AppId) -> Result<Option<AppRecord>, StoreError> {
        let id = id.clone();
        self.read(move |connection| find(connection, &id)).await
    }

    async fn list_apps(&self, query: &AppQuery) -> Result<(Vec<AppRecord>, String), StoreError> {
        let query = query.clone();
        self.read(move |connection| list(connection, &query)).await
    }

    async fn count_apps(&self, query: &AppQuery) -> Result<u32, StoreError> {
        let query = query.clone();
        self.read(move |connection| {
            let (conditions, values) = conditions(&query)?;
            let sql = format!("SELECT count(*) FROM apps WHERE {}", conditions.join(" AND "));
            Ok(connection.prepare_cached(&sql)?.query_row(params_from_iter(values), |row| row.get(0))?)
        })
        .await
    }

    async fn busy_apps(&self) -> Result<Vec<AppId>, StoreError> {
        self.read(|connection| {
            let found = connection
                .prepare_cached(
                    "SELECT project, domain, name FROM apps WHERE wanted OR process IS NOT NULL ORDER BY id",
                )?
                .query_map([], |row| {
                    Ok(AppId { project: row.get(0)?, domain: row.get(1)?, name: row.get(2)? })
                })?
                .collect::<Result<_, _>>()?;
            Ok(found)
        })
        .await
    }

    async fn note_app(
        &self,
        id: &AppId,
        revision: u64,
        what: &AppNote,
        now: UnixTime,
    ) -> Result<Option<AppRecord>, StoreError> {
        let (id, what) = (id.clone(), what.clone());
        self.write(move |connection| note(connection, &id, revision, &what, now)).await
    }
}
