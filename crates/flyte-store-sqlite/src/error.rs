//! Errors inside a transaction.

use flyte_store::StoreError;

use crate::OpenError;

/// A [`StoreError`] that the `?` operator can create from an error of SQLite.
#[derive(Debug)]
pub(crate) struct SqliteError(StoreError);

impl SqliteError {
    /// Wraps an error of the database.
    pub(crate) fn backend(source: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Self {
        Self(StoreError::Backend(source.into()))
    }
}

impl From<StoreError> for SqliteError {
    fn from(error: StoreError) -> Self {
        Self(error)
    }
}

impl From<rusqlite::Error> for SqliteError {
    fn from(error: rusqlite::Error) -> Self {
        Self::backend(error)
    }
}

impl From<OpenError> for SqliteError {
    fn from(error: OpenError) -> Self {
        Self::backend(error)
    }
}

impl From<SqliteError> for StoreError {
    fn from(error: SqliteError) -> Self {
        error.0
    }
}
