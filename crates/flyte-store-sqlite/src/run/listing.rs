//! Listings of runs and actions, in pages that begin at a position.

use crate::error::SqliteError;
use base64::{Engine as _, prelude::BASE64_URL_SAFE_NO_PAD};
use rusqlite::{Connection, Row, params_from_iter, types::Value};
use serde::{Deserialize, Serialize};

use super::{
    super::to_json,
    row::{self, ACTION_COLUMNS, RUN_COLUMNS, RUN_WIDTH},
};
use flyte_store::{Action, ActionQuery, Phase, Run, RunId, RunQuery, RunSortKey, Span, StoreError};

/// The content of a page token: the listing, and the end of the previous page.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Position {
    /// SHA-256 of the order and the conditions, which must be the same for all pages of a listing.
    q: String,
    /// The last row's sort value.
    v: SortValue,
    /// The last row's key.
    i: i64,
}

/// A value by which rows are sorted.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
enum SortValue {
    Number(i64),
    Text(String),
}

impl From<SortValue> for Value {
    fn from(value: SortValue) -> Self {
        match value {
            SortValue::Number(number) => Self::Integer(number),
            SortValue::Text(text) => Self::Text(text),
        }
    }
}

impl Position {
    fn decode(token: &str, listing: &str) -> Result<Self, SqliteError> {
        BASE64_URL_SAFE_NO_PAD
            .decode(token)
            .ok()
            .and_then(|json| serde_json::from_slice::<Self>(&json).ok())
            .filter(|position| position.q == listing)
            .ok_or_else(|| StoreError::InvalidPageToken.into())
    }
}

/// Conditions of a `WHERE` clause, and their values.
struct Conditions {
    sql: Vec<String>,
    values: Vec<Value>,
}

impl Conditions {
    fn new() -> Self {
        Self { sql: vec!["TRUE".to_owned()], values: Vec::new() }
    }

    fn push(&mut self, sql: impl Into<String>, values: impl IntoIterator<Item = Value>) {
        self.sql.push(sql.into());
        self.values.extend(values);
    }

    fn equal(&mut self, column: &str, value: Option<&String>) {
        if let Some(value) = value {
            self.push(format!("{column} = ?"), [Value::Text(value.clone())]);
        }
    }

    fn phases(&mut self, column: &str, phases: &[Phase], not: bool) {
        if !phases.is_empty() {
            let marks = vec!["?"; phases.len()].join(", ");
            let values = phases.iter().map(|phase| Value::Integer(*phase as i64));
            self.push(format!("{column} {}IN ({marks})", if not { "NOT " } else { "" }), values);
        }
    }

    fn span(&mut self, column: &str, span: Span) {
        for (compare, bound) in [(">=", span.from), ("<", span.to)] {
            if let Some(bound) = bound {
                self.push(format!("{column} {compare} ?"), [Value::Integer(bound)]);
            }
        }
    }
}

/// Returns the SQL expression by which rows are sorted; it is never null.
fn column(key: RunSortKey, runs: bool) -> &'static str {
    match (key, runs) {
        (RunSortKey::CreatedAt, true) => "r.created_at",
        (RunSortKey::UpdatedAt, true) => "r.updated_at",
        (RunSortKey::EndedAt, true) => "coalesce(r.ended_at, 9223372036854775807)",
        (RunSortKey::Name, true) => "r.name",
        (RunSortKey::Phase, true) => "r.phase",
        (RunSortKey::TaskName, true) => "r.task_name",
        (RunSortKey::CreatedAt, false) => "a.created_at",
        (RunSortKey::UpdatedAt, false) => "a.updated_at",
        (RunSortKey::EndedAt, false) => "coalesce(a.ended_at, 9223372036854775807)",
        (RunSortKey::Name, false) => "a.name",
        (RunSortKey::Phase, false) => "a.phase",
        (RunSortKey::TaskName, false) => "a.task_name",
    }
}

/// The order, the position and the size of a page.
struct Page<'a> {
    sort: &'static str,
    key: &'static str,
    descending: bool,
    limit: u32,
    token: &'a str,
    /// The name of the order and the conditions.
    listing: String,
}

fn select<T>(
    connection: &Connection,
    what: &str,
    mut conditions: Conditions,
    page: &Page<'_>,
    read: impl Fn(&Row<'_>) -> rusqlite::Result<T>,
) -> Result<(Vec<T>, String), SqliteError> {
    let (sort, key) = (page.sort, page.key);
    if !page.token.is_empty() {
        let position = Position::decode(page.token, &page.listing)?;
        let compare = if page.descending { "<" } else { ">" };
        conditions.push(
            format!("({sort}, {key}) {compare} (?, ?)"),
            [position.v.into(), Value::Integer(position.i)],
        );
    }
    // One more row than requested shows whether there is a next page.
    conditions.values.push(Value::Integer(i64::from(page.limit).saturating_add(1)));
    let direction = if page.descending { "DESC" } else { "ASC" };
    let sql = format!(
        "SELECT {what}, {sort}, {key} FROM actions a JOIN runs r ON r.pk = a.run
         WHERE {} ORDER BY {sort} {direction}, {key} {direction} LIMIT ?",
        conditions.sql.join(" AND ")
    );
    let mut statement = connection.prepare_cached(&sql)?;
    let width = statement.column_count();
    let mut rows: Vec<(T, SortValue, i64)> = statement
        .query_map(params_from_iter(conditions.values), |row| {
            let value = match row.get_ref(width - 2)? {
                rusqlite::types::ValueRef::Integer(number) => SortValue::Number(number),
                _ => SortValue::Text(row.get(width - 2)?),
            };
            Ok((read(row)?, value, row.get(width - 1)?))
        })?
        .collect::<Result<_, _>>()?;
    let limit = usize::try_from(page.limit).unwrap_or(usize::MAX);
    let more = rows.len() > limit;
    rows.truncate(limit);
    let token = match rows.last() {
        Some((_, value, key)) if more => {
            let position = Position { q: page.listing.clone(), v: value.clone(), i: *key };
            BASE64_URL_SAFE_NO_PAD.encode(to_json(&position)?)
        }
        _ => String::new(),
    };
    Ok((rows.into_iter().map(|(row, _, _)| row).collect(), token))
}

/// Returns a short name for an order and conditions.
fn fingerprint(text: &str) -> String {
    let hash = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, text.as_bytes());
    BASE64_URL_SAFE_NO_PAD.encode(&hash.as_ref()[..12])
}

pub(super) fn runs(
    connection: &Connection,
    query: &RunQuery,
) -> Result<(Vec<(Run, Action)>, String), SqliteError> {
    let mut conditions = Conditions::new();
    conditions.push("a.parent = ''", []);
    conditions.equal("r.project", query.project.as_ref());
    conditions.equal("r.domain", query.domain.as_ref());
    crate::only_in::add(
        query.only_in.as_deref(),
        ("r.project", "r.domain"),
        &mut conditions.sql,
        &mut conditions.values,
    )?;
    conditions.equal("r.name", query.name.as_ref());
    conditions.equal("r.task_name", query.task_name.as_ref());
    conditions.equal("r.task_version", query.task_version.as_ref());
    conditions.equal("r.creator", query.created_by.as_ref());
    conditions.equal("r.trigger_name", query.trigger.as_ref());
    conditions.phases("r.phase", &query.phases, false);
    conditions.phases("r.phase", &query.phases_not, true);
    conditions.span("r.created_at", query.created);
    conditions.span("r.updated_at", query.updated);
    for label in &query.labels {
        let path = Value::Text(label.key.clone());
        match &label.value {
            Some(value) => conditions.push(
                "EXISTS (SELECT 1 FROM json_each(r.labels) l WHERE l.key = ? AND l.value = ?)",
                [path, Value::Text(value.clone())],
            ),
            None => conditions.push("EXISTS (SELECT 1 FROM json_each(r.labels) l WHERE l.key = ?)", [path]),
        }
    }
    if query.paused_only {
        conditions.push("EXISTS (SELECT 1 FROM actions p WHERE p.run = r.pk AND p.phase = 9)", []);
    }
    let unpaged = RunQuery { limit: 0, page_token: String::new(), only_in: None, ..query.clone() };
    let page = Page {
        sort: column(query.sort_key, true),
        key: "r.pk",
        descending: query.descending,
        limit: query.limit,
        token: &query.page_token,
        listing: fingerprint(&format!("runs {unpaged:?}")),
    };
    let what = format!("{RUN_COLUMNS}, {ACTION_COLUMNS}");
    select(connection, &what, conditions, &page, |row| {
        Ok((row::run(row)?, row::action_from(row, RUN_WIDTH)?))
    })
}

pub(super) fn actions(
    connection: &Connection,
    run: &RunId,
    query: &ActionQuery,
) -> Result<(Vec<Action>, String), SqliteError> {
    let mut conditions = Conditions::new();
    conditions.equal("r.project", Some(&run.project));
    conditions.equal("r.domain", Some(&run.domain));
    conditions.equal("r.name", Some(&run.name));
    conditions.equal("a.parent", query.parent.as_ref());
    conditions.equal("a.name", query.name.as_ref());
    if let Some(kind) = query.kind {
        conditions.push("a.kind = ?", [Value::Integer(kind as i64)]);
    }
    conditions.equal("a.task_name", query.task_name.as_ref());
    conditions.phases("a.phase", &query.phases, false);
    conditions.phases("a.phase", &query.phases_not, true);
    conditions.span("a.created_at", query.created);
    conditions.span("a.updated_at", query.updated);
    let unpaged = ActionQuery { limit: 0, page_token: String::new(), ..query.clone() };
    let page = Page {
        sort: column(query.sort_key, false),
        key: "a.pk",
        descending: query.descending,
        limit: query.limit,
        token: &query.page_token,
        listing: fingerprint(&format!("actions of {run} {unpaged:?}")),
    };
    select(connection, ACTION_COLUMNS, conditions, &page, row::action)
}
