//! Listings of triggers and their revisions.

use rusqlite::{Connection, params, params_from_iter, types::Value};

use super::{COLUMNS, IS, number, revision, trigger};
use crate::{
    condition,
    error::SqliteError,
    page::{self, Key, Order},
};
use flyte_store::{StoreError, Trigger, TriggerField, TriggerId, TriggerQuery, TriggerRevision};

fn column(field: TriggerField) -> &'static str {
    match field {
        TriggerField::Name => "name",
        TriggerField::Task => "task",
        TriggerField::TaskVersion => "task_version",
    }
}

pub(super) fn list(
    connection: &Connection,
    query: &TriggerQuery,
) -> Result<(Vec<Trigger>, String), SqliteError> {
    let listing =
        page::listing(TriggerQuery { limit: 0, page_token: String::new(), only_in: None, ..query.clone() });
    let mut conditions = vec!["TRUE".to_owned()];
    let mut values = Vec::new();
    for (column, wanted) in [("project", &query.project), ("domain", &query.domain)] {
        if let Some(wanted) = wanted {
            conditions.push(format!("{column} = ?"));
            values.push(Value::Text(wanted.clone()));
        }
    }
    for given in &query.conditions {
        let column = column(given.field);
        conditions.push(condition::expression(column, &given.test, given.negated, &mut values));
    }
    if let Some(active) = query.active {
        conditions.push("active = ?".to_owned());
        values.push(Value::Integer(active.into()));
    }
    crate::only_in::add(query.only_in.as_deref(), ("project", "domain"), &mut conditions, &mut values)?;
    let (columns, like): (&[&str], _) = match query.by_name {
        true => (&["project", "domain", "task", "name"], vec![Key::Text(String::new()); 4]),
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
    let sql =
        order.complete(&format!("SELECT {COLUMNS}, due_at, id FROM triggers"), conditions, &mut values)?;
    let found = connection
        .prepare_cached(&sql)?
        .query_map(params_from_iter(values), |row| Ok((trigger(row)?, row.get::<_, i64>(17)?)))?
        .collect::<Result<Vec<_>, _>>()?;
    let (found, token) = page::cut(found, query.limit, &listing, |(trigger, id)| match query.by_name {
        true => {
            let TriggerId { project, domain, task, name } = &trigger.id;
            [project, domain, task, name].map(|text| Key::Text(text.clone())).to_vec()
        }
        false => vec![Key::Number(*id)],
    })?;
    Ok((found.into_iter().map(|(trigger, _)| trigger).collect(), token))
}

pub(super) fn list_revisions(
    connection: &Connection,
    id: &TriggerId,
    limit: u32,
    page_token: &str,
) -> Result<(Vec<TriggerRevision>, String), SqliteError> {
    let listing = page::listing(id);
    let before = match page_token {
        "" => Value::Integer(i64::MAX),
        token => match page::position(token, &listing, &[Key::Number(0)])?.pop() {
            Some(key) => key.into(),
            None => return Err(StoreError::InvalidPageToken.into()),
        },
    };
    let sql = format!(
        "SELECT {COLUMNS}, action FROM trigger_revisions WHERE {IS} AND revision < ?5
         ORDER BY revision DESC LIMIT ?6"
    );
    let found = connection
        .prepare_cached(&sql)?
        .query_map(
            params![id.project, id.domain, id.task, id.name, before, i64::from(limit).saturating_add(1)],
            revision,
        )?
        .collect::<Result<Vec<_>, _>>()?;
    page::cut(found, limit, &listing, |revision| vec![Key::Number(number(revision.trigger.revision))])
}
