//! Pages of accounts, of all or of those that meet conditions.

use rusqlite::{Connection, params_from_iter, types::Value};

use super::{
    super::{
        one,
        page::{self, Key, Order},
    },
    COLUMNS, email_key, user,
};
use crate::error::SqliteError;
use flyte_store::{User, UserQuery};

/// The accounts that have a role somewhere: by themselves, by a group, by a policy, or by a policy of a group.
const WITH_ROLE: &str = "id IN (
    SELECT subject FROM bindings WHERE role = ? AND subject_kind = 0
    UNION SELECT m.user_id FROM bindings b JOIN group_members m ON m.group_id = b.subject
          WHERE b.role = ? AND b.subject_kind = 1
    UNION SELECT a.subject FROM bindings b JOIN policy_assignments a ON a.policy = b.subject AND a.subject_kind = 0
          WHERE b.role = ? AND b.subject_kind = 3
    UNION SELECT m.user_id FROM bindings b JOIN policy_assignments a ON a.policy = b.subject AND a.subject_kind = 1
          JOIN group_members m ON m.group_id = a.subject
          WHERE b.role = ? AND b.subject_kind = 3)";

/// Returns the name of a listing, which all pages of a search have in common.
fn listing(query: &UserQuery) -> String {
    page::listing(("users", email_key(&query.text), query.enabled, &query.role))
}

/// Returns the statement that reads a page, and its values. If a text is looked for, it reads all accounts from the page on.
pub(crate) fn statement(query: &UserQuery) -> Result<(String, Vec<Value>), SqliteError> {
    let (mut conditions, mut values) = (vec!["TRUE".to_owned()], Vec::new());
    match query.enabled {
        Some(true) => conditions.push("disabled_at IS NULL".to_owned()),
        Some(false) => conditions.push("disabled_at IS NOT NULL".to_owned()),
        None => {}
    }
    if !query.role.is_empty() {
        conditions.push(WITH_ROLE.to_owned());
        values.extend(std::iter::repeat_n(Value::Text(query.role.clone()), 4));
    }
    // A text is looked for by `matching`: SQLite knows no upper and lower case beyond ASCII.
    let (columns, limit) = match query.text.trim().is_empty() {
        true => (COLUMNS, query.limit),
        false => ("id, email_key, name", u32::MAX),
    };
    let order = Order {
        columns: &["email_key"],
        like: vec![Key::Text(String::new())],
        descending: false,
        listing: &listing(query),
        token: &query.page_token,
        limit,
    };
    let sql = order.complete(&format!("SELECT {columns} FROM users"), conditions, &mut values)?;
    Ok((sql, values))
}

/// Returns a page of the accounts that meet the conditions, by e-mail address.
pub(super) fn list(connection: &Connection, query: &UserQuery) -> Result<(Vec<User>, String), SqliteError> {
    let (sql, values) = statement(query)?;
    let text = email_key(&query.text);
    let users = if text.is_empty() {
        let mut statement = connection.prepare_cached(&sql)?;
        statement.query_map(params_from_iter(values), user)?.collect::<Result<_, _>>()?
    } else {
        matching(connection, &sql, values, &text, query.limit)?
    };
    page::cut(users, query.limit, &listing(query), |last: &User| vec![Key::Text(email_key(&last.email))])
}

/// Returns the first accounts with the text in their e-mail address or name: one more than the limit, if there are.
fn matching(
    connection: &Connection,
    sql: &str,
    values: Vec<Value>,
    text: &str,
    limit: u32,
) -> Result<Vec<User>, SqliteError> {
    let most = usize::try_from(limit).unwrap_or(usize::MAX).saturating_add(1);
    let by_id = format!("SELECT {COLUMNS} FROM users WHERE id = ?1");
    let mut users = Vec::new();
    let mut statement = connection.prepare_cached(sql)?;
    let mut rows = statement.query(params_from_iter(values))?;
    while let Some(row) = rows.next()? {
        let field = |at| row.get_ref(at)?.as_str().map_err(rusqlite::Error::from);
        if field(1)?.contains(text) || field(2)?.to_lowercase().contains(text) {
            let id: String = row.get(0)?;
            users.extend(one(connection, &by_id, [id], user)?);
            if users.len() == most {
                break;
            }
        }
    }
    Ok(users)
}
