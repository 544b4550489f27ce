//! Pages that begin at a position. A token holds the end of the previous page and the name of its listing.

use crate::error::SqliteError;
use std::fmt;

use aws_lc_rs::digest;
use base64::{Engine as _, prelude::BASE64_URL_SAFE_NO_PAD};
use rusqlite::{Connection, Row, params_from_iter, types::Value};
use serde::{Deserialize, Serialize};

use super::to_json;
use flyte_store::StoreError;

/// A value by which items are sorted.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub(super) enum Key {
    Number(i64),
    Text(String),
}

impl From<Key> for Value {
    fn from(key: Key) -> Self {
        match key {
            Key::Number(number) => Self::Integer(number),
            Key::Text(text) => Self::Text(text),
        }
    }
}

/// The content of a page token.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Position {
    /// The listing's name.
    q: String,
    /// The sort values of the last item of the previous page.
    k: Vec<Key>,
}

/// Returns the name of a listing: its order and conditions, which must be the same for all pages.
pub(super) fn listing(query: impl fmt::Debug) -> String {
    let hash = digest::digest(&digest::SHA256, format!("{query:?}").as_bytes());
    BASE64_URL_SAFE_NO_PAD.encode(&hash.as_ref()[..12])
}

/// Returns the token of the page after the item with these sort values.
pub(super) fn token(listing: &str, keys: Vec<Key>) -> Result<String, SqliteError> {
    Ok(BASE64_URL_SAFE_NO_PAD.encode(to_json(&Position { q: listing.to_owned(), k: keys })?))
}

/// Returns the sort values in a token. They must have the same types as those in `like`.
pub(super) fn position(token: &str, listing: &str, like: &[Key]) -> Result<Vec<Key>, SqliteError> {
    let same = |keys: &[Key]| {
        keys.len() == like.len()
            && keys.iter().zip(like).all(|(a, b)| std::mem::discriminant(a) == std::mem::discriminant(b))
    };
    BASE64_URL_SAFE_NO_PAD
        .decode(token)
        .ok()
        .and_then(|json| serde_json::from_slice::<Position>(&json).ok())
        .filter(|position| position.q == listing && same(&position.k))
        .map(|position| position.k)
        .ok_or_else(|| StoreError::InvalidPageToken.into())
}

/// The order of a listing, and the position at which a page of it begins.
pub(super) struct Order<'a> {
    /// The columns that are sorted by.
    pub(super) columns: &'a [&'a str],
    /// A value of the type of each column.
    pub(super) like: Vec<Key>,
    /// Whether the order is descending.
    pub(super) descending: bool,
    /// The listing's name.
    pub(super) listing: &'a str,
    /// The page token of the previous page; empty for the first page.
    pub(super) token: &'a str,
    /// The most items of the page.
    pub(super) limit: u32,
}

impl Order<'_> {
    /// Completes `select`, a statement without conditions, so that it reads a page of the items that meet all
    /// `conditions`, and one more item for [`cut`]. `values` are the values of the conditions, and get those of the
    /// page.
    pub(super) fn complete(
        &self,
        select: &str,
        mut conditions: Vec<String>,
        values: &mut Vec<Value>,
    ) -> Result<String, SqliteError> {
        if !self.token.is_empty() {
            let after = position(self.token, self.listing, &self.like)?;
            let operator = if self.descending { "<" } else { ">" };
            let marks = vec!["?"; self.columns.len()].join(", ");
            conditions.push(format!("({}) {operator} ({marks})", self.columns.join(", ")));
            values.extend(after.into_iter().map(Value::from));
        }
        let direction = if self.descending { " DESC" } else { "" };
        let order: Vec<_> = self.columns.iter().map(|column| format!("{column}{direction}")).collect();
        values.push(Value::Integer(i64::from(self.limit).saturating_add(1)));
        Ok(format!("{select} WHERE {} ORDER BY {} LIMIT ?", conditions.join(" AND "), order.join(", ")))
    }
}

/// Reads a page of a whole table, sorted by a text column without duplicates. `page` is the page token of the previous page and the
/// most items, `key` returns an item's value of the column.
pub(super) fn of_table<T>(
    connection: &Connection,
    (table, columns, by): (&str, &str, &str),
    (token, limit): (&str, u32),
    item: impl FnMut(&Row<'_>) -> rusqlite::Result<T>,
    key: impl FnOnce(&T) -> String,
) -> Result<(Vec<T>, String), SqliteError> {
    let listing = listing(table);
    let like = vec![Key::Text(String::new())];
    let order = Order { columns: &[by], like, descending: false, listing: &listing, token, limit };
    let mut values = Vec::new();
    let select = format!("SELECT {columns} FROM {table}");
    let sql = order.complete(&select, vec!["TRUE".to_owned()], &mut values)?;
    let mut statement = connection.prepare_cached(&sql)?;
    let items = statement.query_map(params_from_iter(values), item)?.collect::<Result<_, _>>()?;
    cut(items, limit, &listing, |last: &T| vec![Key::Text(key(last))])
}

/// Cuts a page from items of which one more than `limit` were read. Returns the page and the next page's token, which
/// is empty on the last page.
pub(super) fn cut<T>(
    mut items: Vec<T>,
    limit: u32,
    listing: &str,
    keys: impl FnOnce(&T) -> Vec<Key>,
) -> Result<(Vec<T>, String), SqliteError> {
    let limit = usize::try_from(limit).unwrap_or(usize::MAX);
    let more = items.len() > limit;
    items.truncate(limit);
    let next = match items.last() {
        Some(last) if more => token(listing, keys(last))?,
        _ => String::new(),
    };
    Ok((items, next))
}
