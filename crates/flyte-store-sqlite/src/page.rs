//! Pages keyed by position: a token says where the page before ended, and which listing it belongs to.

use crate::error::SqliteError;
use std::fmt;

use aws_lc_rs::digest;
use base64::{Engine as _, prelude::BASE64_URL_SAFE_NO_PAD};
use rusqlite::types::Value;
use serde::{Deserialize, Serialize};

use super::to_json;
use flyte_store::StoreError;

/// A value that items are sorted by.
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

/// What a page token says.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Position {
    /// The listing's name.
    q: String,
    /// The sort values of the last item of the page before.
    k: Vec<Key>,
}

/// The name of a listing: of its order and conditions, which must be the same for all its pages.
pub(super) fn listing(query: impl fmt::Debug) -> String {
    let hash = digest::digest(&digest::SHA256, format!("{query:?}").as_bytes());
    BASE64_URL_SAFE_NO_PAD.encode(&hash.as_ref()[..12])
}

/// The token of the page after the item with these sort values.
pub(super) fn token(listing: &str, keys: Vec<Key>) -> Result<String, SqliteError> {
    Ok(BASE64_URL_SAFE_NO_PAD.encode(to_json(&Position { q: listing.to_owned(), k: keys })?))
}

/// The sort values of a token, of the same types as those of an item such as `like`.
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

/// The items of a page, of which one more than `limit` were read, and the token of the next page, empty on the last one.
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
