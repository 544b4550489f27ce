//! Work for a database thread: a closure and a channel for its result.

use std::{
    any::Any,
    panic::{AssertUnwindSafe, catch_unwind},
    sync::Arc,
};

use rusqlite::Connection;
use tokio::sync::oneshot;

use flyte_store::StoreError;

use crate::error::SqliteError;

/// A closure that waits for a connection, for any type of result.
pub(super) trait Job: Send {
    /// Returns whether the caller has gone away, so that the closure need not run.
    fn abandoned(&self) -> bool;
    /// Runs the closure. Returns `false` if it failed or panicked, and its changes must be undone.
    fn run(&mut self, connection: &Connection) -> bool;
    /// Sends the closure's result, or `failure` if its changes did not become durable.
    fn answer(self: Box<Self>, failure: Option<&SharedFailure>);
}

/// A failure that many callers receive, for example that of a shared commit.
#[derive(Clone, Debug, thiserror::Error)]
#[error("{0}")]
pub(super) struct SharedFailure(#[source] Arc<rusqlite::Error>);

impl From<rusqlite::Error> for SharedFailure {
    fn from(error: rusqlite::Error) -> Self {
        Self(Arc::new(error))
    }
}

/// A bug in a closure. It is reported and does not end the database thread.
#[derive(Debug, thiserror::Error)]
#[error("a database operation panicked: {0}")]
struct Panicked(String);

/// The database thread has ended, because the server is shutting down.
#[derive(Debug, thiserror::Error)]
#[error("the database has been closed")]
struct Closed;

/// Makes a job from a closure, and the future of its result.
pub(super) fn job<T, F>(work: F) -> (Box<dyn Job>, Answer<T>)
where
    T: Send + 'static,
    F: FnOnce(&Connection) -> Result<T, SqliteError> + Send + 'static,
{
    let (reply, answer) = oneshot::channel();
    (Box::new(Pending { work: Some(work), outcome: None, reply }), Answer(answer))
}

/// The future result of a job.
pub(super) struct Answer<T>(oneshot::Receiver<Result<T, SqliteError>>);

impl<T> Answer<T> {
    /// Waits for the result.
    pub(super) async fn wait(self) -> Result<T, StoreError> {
        Ok(self.0.await.unwrap_or_else(|_| Err(closed()))?)
    }
}

/// Returns the error of a store whose thread has ended.
pub(super) fn closed() -> SqliteError {
    SqliteError::backend(Closed)
}

struct Pending<F, T> {
    work: Option<F>,
    outcome: Option<Result<T, SqliteError>>,
    reply: oneshot::Sender<Result<T, SqliteError>>,
}

impl<F, T> Job for Pending<F, T>
where
    T: Send + 'static,
    F: FnOnce(&Connection) -> Result<T, SqliteError> + Send + 'static,
{
    fn abandoned(&self) -> bool {
        self.reply.is_closed()
    }

    fn run(&mut self, connection: &Connection) -> bool {
        let Some(work) = self.work.take() else { return false };
        // Unwind safety: a closure owns its captured values, and its changes to the database are rolled back.
        let outcome = catch_unwind(AssertUnwindSafe(|| work(connection)))
            .unwrap_or_else(|panic| Err(SqliteError::backend(Panicked(message(panic.as_ref())))));
        let succeeded = outcome.is_ok();
        self.outcome = Some(outcome);
        succeeded
    }

    fn answer(self: Box<Self>, failure: Option<&SharedFailure>) {
        let outcome = match (self.outcome, failure) {
            // The closure's own failure says more than that of the transaction.
            (Some(Err(error)), _) => Err(error),
            (_, Some(failure)) => Err(SqliteError::backend(failure.clone())),
            (Some(Ok(value)), None) => Ok(value),
            (None, None) => Err(closed()),
        };
        // A caller that has gone away needs no result.
        let _ = self.reply.send(outcome);
    }
}

fn message(panic: &(dyn Any + Send)) -> String {
    panic
        .downcast_ref::<&str>()
        .map(|text| (*text).to_owned())
        .or_else(|| panic.downcast_ref::<String>().cloned())
        .unwrap_or_else(|| "no message".to_owned())
}
