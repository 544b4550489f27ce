//! Projects, listed in pages that begin at a position.

use crate::error::SqliteError;
use async_trait::async_trait;
use base64::{Engine as _, prelude::BASE64_URL_SAFE_NO_PAD};
use rusqlite::{Connection, Row, params, params_from_iter, types::Value};
use serde::{Deserialize, Serialize};

use super::{SqliteStore, already_exists, change, from_json, one, to_json, unexpected_value};
use flyte_store::{Project, ProjectQuery, ProjectSortKey, ProjectState, ProjectStore, StoreError};

const COLUMNS: &str = "id, name, description, labels, state, created_at, updated_at";

fn project(row: &Row<'_>) -> rusqlite::Result<Project> {
    Ok(Project {
        id: row.get(0)?,
        name: row.get(1)?,
        description: row.get(2)?,
        labels: from_json(row, 3)?,
        state: match row.get(4)? {
            0 => ProjectState::Active,
            1 => ProjectState::Archived,
            2 => ProjectState::SystemGenerated,
            3 => ProjectState::SystemArchived,
            other => return Err(unexpected_value(4, other)),
        },
        created_at: row.get(5)?,
        updated_at: row.get(6)?,
    })
}

/// A value by which projects are sorted.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
enum SortValue {
    Time(i64),
    Text(String),
}

impl SortValue {
    fn of(project: &Project, key: ProjectSortKey) -> Self {
        match key {
            ProjectSortKey::CreatedAt => Self::Time(project.created_at),
            ProjectSortKey::UpdatedAt => Self::Time(project.updated_at),
            ProjectSortKey::Id => Self::Text(project.id.clone()),
            ProjectSortKey::Name => Self::Text(project.name.clone()),
        }
    }

    fn fits(&self, key: ProjectSortKey) -> bool {
        match key {
            ProjectSortKey::CreatedAt | ProjectSortKey::UpdatedAt => matches!(self, Self::Time(_)),
            ProjectSortKey::Id | ProjectSortKey::Name => matches!(self, Self::Text(_)),
        }
    }
}

impl From<SortValue> for Value {
    fn from(value: SortValue) -> Self {
        match value {
            SortValue::Time(time) => Self::Integer(time),
            SortValue::Text(text) => Self::Text(text),
        }
    }
}

/// The content of a page token: the name of the listing, and the last project of the previous page.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Position {
    /// The order and the conditions, which must be the same for all pages of a listing.
    q: String,
    /// The last project's sort value.
    v: SortValue,
    /// The last project's identifier.
    i: String,
}

impl Position {
    fn encode(&self) -> Result<String, SqliteError> {
        Ok(BASE64_URL_SAFE_NO_PAD.encode(to_json(self)?))
    }

    fn decode(token: &str, query: &ProjectQuery) -> Result<Self, SqliteError> {
        BASE64_URL_SAFE_NO_PAD
            .decode(token)
            .ok()
            .and_then(|json| serde_json::from_slice::<Self>(&json).ok())
            .filter(|position| position.q == listing(query) && position.v.fits(query.sort_key))
            .ok_or_else(|| StoreError::InvalidPageToken.into())
    }
}

/// Returns the order and the conditions of a query in the form of its page tokens.
fn listing(query: &ProjectQuery) -> String {
    let states: Vec<_> = query.states.iter().map(|state| (*state as i64).to_string()).collect();
    format!(
        "{}{} {} {:?} {:?}",
        column(query.sort_key),
        if query.descending { "-" } else { "+" },
        states.join(";"),
        query.id,
        query.name
    )
}

fn column(key: ProjectSortKey) -> &'static str {
    match key {
        ProjectSortKey::CreatedAt => "created_at",
        ProjectSortKey::UpdatedAt => "updated_at",
        ProjectSortKey::Id => "id",
        ProjectSortKey::Name => "name",
    }
}

fn list(connection: &Connection, query: &ProjectQuery) -> Result<(Vec<Project>, String), SqliteError> {
    let mut conditions = vec!["TRUE".to_owned()];
    let mut values: Vec<Value> = Vec::new();
    if !query.states.is_empty() {
        conditions.push(format!("state IN ({})", vec!["?"; query.states.len()].join(", ")));
        values.extend(query.states.iter().map(|state| Value::Integer(*state as i64)));
    }
    for (name, wanted) in [("id", &query.id), ("name", &query.name)] {
        if let Some(wanted) = wanted {
            conditions.push(format!("{name} = ?"));
            values.push(Value::Text(wanted.clone()));
        }
    }
    if let Some(only) = &query.only {
        conditions.push("id IN (SELECT value FROM json_each(?))".to_owned());
        values.push(Value::Text(to_json(only)?));
    }
    let column = column(query.sort_key);
    if !query.page_token.is_empty() {
        let position = Position::decode(&query.page_token, query)?;
        conditions.push(format!("({column}, id) {} (?, ?)", if query.descending { "<" } else { ">" }));
        values.extend([position.v.into(), Value::Text(position.i)]);
    }
    // One more row than requested shows whether there is a next page.
    values.push(Value::Integer(i64::from(query.limit).saturating_add(1)));
    let direction = if query.descending { "DESC" } else { "ASC" };
    let sql = format!(
        "SELECT {COLUMNS} FROM projects WHERE {} ORDER BY {column} {direction}, id {direction} LIMIT ?",
        conditions.join(" AND ")
    );
    let mut projects: Vec<Project> = connection
        .prepare_cached(&sql)?
        .query_map(params_from_iter(values), project)?
        .collect::<Result<_, _>>()?;
    let limit = usize::try_from(query.limit).unwrap_or(usize::MAX);
    let more = projects.len() > limit;
    projects.truncate(limit);
    let token = match projects.last() {
        Some(last) if more => {
            Position { q: listing(query), v: SortValue::of(last, query.sort_key), i: last.id.clone() }
                .encode()?
        }
        _ => String::new(),
    };
    Ok((projects, token))
}

#[async_trait]
impl ProjectStore for SqliteStore {
    async fn create_project(&self, project: &Project) -> Result<(), StoreError> {
        let project = project.clone();
        self.write(move |connection| {
            change(
                connection,
                &format!("INSERT INTO projects ({COLUMNS}) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)"),
                params![
                    project.id,
                    project.name,
                    project.description,
                    to_json(&project.labels)?,
                    project.state as i64,
                    project.created_at,
                    project.updated_at
                ],
            )
            .map_err(|error| already_exists(error, "project", &project.id))?;
            Ok(())
        })
        .await
    }

    async fn update_project(&self, project: &Project) -> Result<bool, StoreError> {
        let project = project.clone();
        self.write(move |connection| {
            let changed = change(
                connection,
                "UPDATE projects SET name = ?2, description = ?3, labels = ?4, state = ?5, updated_at = ?6
                 WHERE id = ?1",
                params![
                    project.id,
                    project.name,
                    project.description,
                    to_json(&project.labels)?,
                    project.state as i64,
                    project.updated_at
                ],
            )?;
            Ok(changed > 0)
        })
        .await
    }

    async fn project_by_id(&self, id: &str) -> Result<Option<Project>, StoreError> {
        let id = id.to_owned();
        self.read(move |connection| {
            one(connection, &format!("SELECT {COLUMNS} FROM projects WHERE id = ?1"), [id], project)
        })
        .await
    }

    async fn list_projects(&self, query: &ProjectQuery) -> Result<(Vec<Project>, String), StoreError> {
        let query = query.clone();
        self.read(move |connection| list(connection, &query)).await
    }
}
