//! The last use of API keys and trust rules.

use rusqlite::{Connection, ToSql, params};

use super::{change, error::SqliteError};
use flyte_model::clock::UnixTime;

/// Notes the last use of rows of `table`, which `column` identifies. An earlier time changes nothing.
pub(super) fn note(
    connection: &Connection,
    table: &str,
    column: &str,
    used: &[(impl ToSql, UnixTime)],
) -> Result<(), SqliteError> {
    let sql = format!(
        "UPDATE {table} SET last_used_at = ?2
         WHERE {column} = ?1 AND (last_used_at IS NULL OR last_used_at < ?2)"
    );
    for (id, at) in used {
        change(connection, &sql, params![id, at])?;
    }
    Ok(())
}
