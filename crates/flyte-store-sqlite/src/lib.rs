//! The embedded backend: one SQLite file in write-ahead-log mode.
//!
//! One thread writes (`writer`), a few threads read (`reader`), and each thread prepares a statement only once. When
//! the method of a write returns, the write is durable; `docs/reference/database.md` explains this.
#![forbid(unsafe_code)]

mod account_link;
mod actor;
mod administrator;
mod api_key;
mod app;
mod assertion;
mod audit;
mod backup;
mod client;
mod condition;
mod connection;
mod device;
mod error;
mod family;
mod grant;
mod group;
mod job;
mod last_use;
mod only_in;
mod outside_identity;
mod outside_session;
mod page;
mod policy;
mod project;
mod reader;
mod relative_urls;
mod revocation;
mod role;
mod run;
mod run_starter;
mod scim;
mod session;
mod sign_in;
mod signing_key;
mod task;
#[cfg(test)]
mod tests;
mod trigger;
mod trust;
mod user;
mod writer;

use std::{fmt, path::Path};

use rusqlite::{
    Connection, OptionalExtension, Params, Row,
    ffi::{SQLITE_CONSTRAINT_PRIMARYKEY, SQLITE_CONSTRAINT_UNIQUE},
};

pub use backup::{RestoreRevocations, snapshot};
pub use connection::OpenError;
pub use relative_urls::ObjectDirectories;

use self::{error::SqliteError, reader::Readers, writer::Writer};
use flyte_model::ClientId;
use flyte_store::StoreError;

/// The number of reading threads. Reads are short, so a few threads keep all cores busy.
const READERS: usize = 4;

/// The store in an SQLite database.
pub struct SqliteStore {
    // The readers come first: fields are dropped in order, and the last connection to close, that of the writer,
    // empties the WAL.
    readers: Option<Readers>,
    writer: Writer,
}

impl SqliteStore {
    /// Opens the database file, creating or migrating it as needed.
    ///
    /// # Errors
    /// [`OpenError`] inside [`StoreError::Backend`] if the file cannot be used.
    pub fn open(path: &Path) -> Result<Self, StoreError> {
        let writer = connection::open_writer(path).map_err(SqliteError::from)?;
        let readers = (0..READERS).map(|_| connection::open_reader(path)).collect::<Result<_, _>>();
        let readers = readers.map_err(SqliteError::from)?;
        Ok(Self { readers: Some(Readers::start(readers)?), writer: Writer::start(writer)? })
    }

    /// Creates a database in memory, for tests. One connection reads and writes it.
    ///
    /// # Errors
    /// [`StoreError::Backend`] if there is not enough memory, or no thread can be started.
    pub fn in_memory() -> Result<Self, StoreError> {
        Ok(Self {
            readers: None,
            writer: Writer::start(connection::open_in_memory().map_err(SqliteError::from)?)?,
        })
    }

    /// Runs `work` as one transaction, and returns when it is durable.
    async fn write<T, F>(&self, work: F) -> Result<T, StoreError>
    where
        T: Send + 'static,
        F: FnOnce(&Connection) -> Result<T, SqliteError> + Send + 'static,
    {
        self.writer.call(work).await
    }

    /// Runs `work`, which only reads.
    async fn read<T, F>(&self, work: F) -> Result<T, StoreError>
    where
        T: Send + 'static,
        F: FnOnce(&Connection) -> Result<T, SqliteError> + Send + 'static,
    {
        match &self.readers {
            Some(readers) => readers.call(work).await,
            None => self.writer.call(work).await,
        }
    }
}

impl fmt::Debug for SqliteStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SqliteStore").field("in_memory", &self.readers.is_none()).finish_non_exhaustive()
    }
}

/// Returns the statement's first row, if it has one.
fn one<T>(
    connection: &Connection,
    sql: &str,
    params: impl Params,
    row: impl FnOnce(&Row<'_>) -> rusqlite::Result<T>,
) -> Result<Option<T>, SqliteError> {
    Ok(connection.prepare_cached(sql)?.query_row(params, row).optional()?)
}

/// Runs a statement that changes rows; returns their number.
fn change(connection: &Connection, sql: &str, params: impl Params) -> Result<usize, rusqlite::Error> {
    connection.prepare_cached(sql)?.execute(params)
}

/// Returns [`StoreError::AlreadyExists`] if the error means that a unique value is taken.
fn already_exists(error: rusqlite::Error, kind: &'static str, id: &str) -> SqliteError {
    match error.sqlite_error().map(|error| error.extended_code) {
        Some(SQLITE_CONSTRAINT_PRIMARYKEY | SQLITE_CONSTRAINT_UNIQUE) => {
            StoreError::AlreadyExists { kind, id: id.to_owned() }.into()
        }
        _ => error.into(),
    }
}

/// Encodes a list or map as JSON, for a column.
fn to_json<T: serde::Serialize>(value: &T) -> Result<String, SqliteError> {
    serde_json::to_string(value).map_err(SqliteError::backend)
}

/// Decodes a column that [`to_json`] encoded.
fn from_json<T: serde::de::DeserializeOwned>(row: &Row<'_>, column: usize) -> rusqlite::Result<T> {
    serde_json::from_str(row.get_ref(column)?.as_str()?).map_err(|error| {
        rusqlite::Error::FromSqlConversionFailure(column, rusqlite::types::Type::Text, Box::new(error))
    })
}

/// Reads a client identifier.
fn client_id(row: &Row<'_>, column: usize) -> rusqlite::Result<ClientId> {
    row.get(column).map(ClientId::from_stored)
}

/// Returns the error for a number that no version of the server writes.
fn unexpected_value(column: usize, value: i64) -> rusqlite::Error {
    rusqlite::Error::IntegralValueOutOfRange(column, value)
}
