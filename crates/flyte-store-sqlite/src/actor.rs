//! Principals in two columns: the subject, and the kind as tokens name it.

use crate::error::SqliteError;
use rusqlite::{Row, types::Type};

use flyte_model::Actor;

/// Returns the name of the kind.
pub(super) fn kind(actor: &Actor) -> Result<String, SqliteError> {
    match serde_json::to_value(actor.kind) {
        Ok(serde_json::Value::String(name)) => Ok(name),
        Ok(other) => Err(SqliteError::backend(format!("a kind of principal cannot be {other}"))),
        Err(error) => Err(SqliteError::backend(error)),
    }
}

/// Reads a principal: the subject from `column`, the kind from the next column.
pub(super) fn actor(row: &Row<'_>, column: usize) -> rusqlite::Result<Actor> {
    let kind: String = row.get(column + 1)?;
    let kind = serde_json::from_value(serde_json::Value::String(kind)).map_err(|error| {
        rusqlite::Error::FromSqlConversionFailure(column + 1, Type::Text, Box::new(error))
    })?;
    Ok(Actor { subject: row.get(column)?, kind })
}
