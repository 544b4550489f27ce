//! What fails inside of a transaction.

use flyte_store::StoreError;

use crate::OpenError;

/// A [`StoreError`] that SQLite's own errors convert into by `?`.
#[derive(Debug)]
pub(crate) struct SqliteError(StoreError);

impl SqliteError {
    /// The database failed.
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
