//! Deployed tasks. A task's row names its latest version, so listings never read the other versions.

use crate::error::SqliteError;
use async_trait::async_trait;
use rusqlite::{Connection, Row, params, params_from_iter, types::Value};

use super::{
    SqliteStore, actor, change, condition, one,
    page::{self, Key, Order},
    trigger,
};
use flyte_store::{
    Condition, Deployed, DeployedTask, ListedTask, NewTask, NewTrigger, StoreError, Task, TaskField, TaskId,
    TaskQuery, TaskStore, TaskVersionQuery, TriggersSummary,
};

/// All columns of `task_versions` (as `v`) except digest and specification.
const COLUMNS: &str =
    "v.project, v.domain, v.name, v.version, v.short_name, v.environment, v.short_description,
     v.entrypoint, v.deployed_by, v.deployed_by_kind, v.deployed_at";

fn task(row: &Row<'_>) -> rusqlite::Result<Task> {
    Ok(Task {
        id: TaskId { project: row.get(0)?, domain: row.get(1)?, name: row.get(2)?, version: row.get(3)? },
        short_name: row.get(4)?,
        environment: row.get(5)?,
        short_description: row.get(6)?,
        entrypoint: row.get(7)?,
        deployed_by: actor::actor(row, 8)?,
        deployed_at: row.get(10)?,
    })
}

/// Reads a version and its position in the order of deployment.
fn ordered(row: &Row<'_>) -> rusqlite::Result<(Task, i64)> {
    Ok((task(row)?, row.get(11)?))
}

fn deployed(row: &Row<'_>) -> rusqlite::Result<(Task, Vec<u8>)> {
    Ok((task(row)?, row.get(11)?))
}

fn with_triggers(
    connection: &Connection,
    found: Option<(Task, Vec<u8>)>,
) -> Result<Option<DeployedTask>, SqliteError> {
    let Some((task, spec)) = found else { return Ok(None) };
    let triggers = triggers(connection, &task)?;
    Ok(Some(DeployedTask { task, spec, triggers }))
}

fn triggers(connection: &Connection, task: &Task) -> Result<TriggersSummary, SqliteError> {
    trigger::summary(connection, &task.id.project, &task.id.domain, &task.id.name)
}

fn deploy(connection: &Connection, new: &NewTask, triggers: &[NewTrigger]) -> Result<Deployed, SqliteError> {
    let Task { id, short_name, environment, short_description, entrypoint, deployed_by, deployed_at } =
        &new.task;
    let known = one(
        connection,
        "SELECT digest FROM task_versions WHERE project = ?1 AND domain = ?2 AND name = ?3 AND version = ?4",
        [&id.project, &id.domain, &id.name, &id.version],
        |row| row.get::<_, [u8; 32]>(0),
    )?;
    let outcome = match known {
        Some(digest) if digest == new.digest => Deployed::Same,
        Some(_) => return Ok(Deployed::Different),
        None => {
            change(
                connection,
                "INSERT INTO task_versions (project, domain, name, version, short_name, environment,
                     short_description, entrypoint, deployed_by, deployed_by_kind, deployed_at, digest, spec)
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13)",
                params![
                    id.project,
                    id.domain,
                    id.name,
                    id.version,
                    short_name,
                    environment,
                    short_description,
                    entrypoint,
                    deployed_by.subject,
                    actor::kind(deployed_by)?,
                    deployed_at,
                    new.digest,
                    new.spec
                ],
            )?;
            change(
                connection,
                "INSERT INTO tasks (project, domain, name, latest) VALUES (?1, ?2, ?3, ?4)
                 ON CONFLICT (project, domain, name) DO UPDATE SET latest = excluded.latest",
                params![id.project, id.domain, id.name, connection.last_insert_rowid()],
            )?;
            Deployed::New
        }
    };
    if !triggers.is_empty() {
        trigger::replace_all(connection, id, triggers)?;
    }
    Ok(outcome)
}

fn column(field: TaskField) -> &'static str {
    match field {
        TaskField::Name => "v.name",
        TaskField::Version => "v.version",
        TaskField::ShortName => "v.short_name",
        TaskField::Environment => "v.environment",
        TaskField::DeployedBy => "v.deployed_by",
        TaskField::DeployedAt => "v.deployed_at",
    }
}

fn add_conditions(given: &[Condition<TaskField>], conditions: &mut Vec<String>, values: &mut Vec<Value>) {
    for condition in given {
        // If both give the same result, the index of names is used and not the versions.
        let column = match condition.field {
            TaskField::Name => "t.name",
            field => column(field),
        };
        conditions.push(condition::expression(column, &condition.test, condition.negated, values));
    }
}

/// Returns the conditions of a listing and, if there is a page token, of its page.
fn conditions(query: &TaskQuery) -> Result<(Vec<String>, Vec<Value>), SqliteError> {
    let mut conditions = vec!["TRUE".to_owned()];
    let mut values = Vec::new();
    for (column, wanted) in [("t.project", &query.project), ("t.domain", &query.domain)] {
        if let Some(wanted) = wanted {
            conditions.push(format!("{column} = ?"));
            values.push(Value::Text(wanted.clone()));
        }
    }
    add_conditions(&query.conditions, &mut conditions, &mut values);
    if let Some(entrypoint) = query.entrypoint {
        conditions.push("v.entrypoint = ?".to_owned());
        values.push(Value::Integer(entrypoint.into()));
    }
    crate::only_in::add(query.only_in.as_deref(), ("t.project", "t.domain"), &mut conditions, &mut values)?;
    Ok((conditions, values))
}

/// Returns the values by which a task is sorted.
fn keys(query: &TaskQuery, task: &Task, latest: i64) -> Vec<Key> {
    let TaskId { project, domain, name, .. } = &task.id;
    match query.by_name {
        true => [name, project, domain].map(|text| Key::Text(text.clone())).to_vec(),
        false => vec![Key::Number(latest)],
    }
}

fn list(connection: &Connection, query: &TaskQuery) -> Result<(Vec<ListedTask>, String), SqliteError> {
    let listing =
        page::listing(TaskQuery { limit: 0, page_token: String::new(), only_in: None, ..query.clone() });
    let (conditions, mut values) = conditions(query)?;
    let (columns, like): (&[&str], _) = match query.by_name {
        true => (&["t.name", "t.project", "t.domain"], vec![Key::Text(String::new()); 3]),
        false => (&["t.latest"], vec![Key::Number(0)]),
    };
    let order = Order {
        columns,
        like,
        descending: query.descending,
        listing: &listing,
        token: &query.page_token,
        limit: query.limit,
    };
    let select =
        format!("SELECT {COLUMNS}, t.latest FROM tasks t CROSS JOIN task_versions v ON v.id = t.latest");
    let sql = order.complete(&select, conditions, &mut values)?;
    let found = connection
        .prepare_cached(&sql)?
        .query_map(params_from_iter(values), ordered)?
        .collect::<Result<Vec<_>, _>>()?;
    let (found, token) =
        page::cut(found, query.limit, &listing, |(task, latest)| keys(query, task, *latest))?;
    let tasks = found
        .into_iter()
        .map(|(task, _)| Ok(ListedTask { triggers: triggers(connection, &task)?, task }))
        .collect::<Result<_, SqliteError>>()?;
    Ok((tasks, token))
}

fn count(connection: &Connection, query: &TaskQuery) -> Result<u32, SqliteError> {
    let (conditions, values) = conditions(query)?;
    let only_names = query.entrypoint.is_none()
        && query.conditions.iter().all(|condition| condition.field == TaskField::Name);
    let versions = if only_names { "" } else { " CROSS JOIN task_versions v ON v.id = t.latest" };
    let sql = format!("SELECT count(*) FROM tasks t{versions} WHERE {}", conditions.join(" AND "));
    let count = connection.prepare_cached(&sql)?.query_row(params_from_iter(values), |row| row.get(0))?;
    Ok(count)
}

fn list_versions(
    connection: &Connection,
    query: &TaskVersionQuery,
) -> Result<(Vec<Task>, String), SqliteError> {
    let listing = page::listing(TaskVersionQuery { limit: 0, page_token: String::new(), ..query.clone() });
    let mut conditions = vec!["v.project = ? AND v.domain = ? AND v.name = ?".to_owned()];
    let mut values: Vec<_> =
        [&query.project, &query.domain, &query.name].map(|text| Value::Text(text.clone())).to_vec();
    for Condition { field, test, negated } in &query.conditions {
        conditions.push(condition::expression(column(*field), test, *negated, &mut values));
    }
    if !query.page_token.is_empty() {
        let after = page::position(&query.page_token, &listing, &[Key::Number(0)])?;
        conditions.push(format!("v.id {} ?", if query.descending { "<" } else { ">" }));
        values.extend(after.into_iter().map(Value::from));
    }
    values.push(Value::Integer(i64::from(query.limit).saturating_add(1)));
    let sql = format!(
        "SELECT {COLUMNS}, v.id FROM task_versions v WHERE {} ORDER BY v.id{} LIMIT ?",
        conditions.join(" AND "),
        if query.descending { " DESC" } else { "" }
    );
    let found = connection
        .prepare_cached(&sql)?
        .query_map(params_from_iter(values), ordered)?
        .collect::<Result<Vec<_>, _>>()?;
    let (found, token) = page::cut(found, query.limit, &listing, |(_, id)| vec![Key::Number(*id)])?;
    Ok((found.into_iter().map(|(task, _)| task).collect(), token))
}

#[async_trait]
impl TaskStore for SqliteStore {
    async fn deploy_task(&self, task: &NewTask, triggers: &[NewTrigger]) -> Result<Deployed, StoreError> {
        let (task, triggers) = (task.clone(), triggers.to_vec());
        self.write(move |connection| deploy(connection, &task, &triggers)).await
    }

    async fn task_by_id(&self, id: &TaskId) -> Result<Option<DeployedTask>, StoreError> {
        let id = id.clone();
        self.read(move |connection| {
            let sql = format!(
                "SELECT {COLUMNS}, v.spec FROM task_versions v
                 WHERE v.project = ?1 AND v.domain = ?2 AND v.name = ?3 AND v.version = ?4"
            );
            let found = one(connection, &sql, [id.project, id.domain, id.name, id.version], deployed)?;
            with_triggers(connection, found)
        })
        .await
    }

    async fn latest_task(
        &self,
        project: &str,
        domain: &str,
        name: &str,
    ) -> Result<Option<DeployedTask>, StoreError> {
        let id = [project, domain, name].map(str::to_owned);
        self.read(move |connection| {
            let sql = format!(
                "SELECT {COLUMNS}, v.spec FROM tasks t JOIN task_versions v ON v.id = t.latest
                 WHERE t.project = ?1 AND t.domain = ?2 AND t.name = ?3"
            );
            let found = one(connection, &sql, id, deployed)?;
            with_triggers(connection, found)
        })
        .await
    }

    async fn list_tasks(&self, query: &TaskQuery) -> Result<(Vec<ListedTask>, String), StoreError> {
        let query = query.clone();
        self.read(move |connection| list(connection, &query)).await
    }

    async fn count_tasks(&self, query: &TaskQuery) -> Result<u32, StoreError> {
        let query = query.clone();
        self.read(move |connection| count(connection, &query)).await
    }

    async fn list_task_versions(&self, query: &TaskVersionQuery) -> Result<(Vec<Task>, String), StoreError> {
        let query = query.clone();
        self.read(move |connection| list_versions(connection, &query)).await
    }
}
