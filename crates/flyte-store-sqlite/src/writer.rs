//! The only thread that changes the database, with group commit.
//!
//! A durable commit costs one `fsync`, however large it is. So the thread takes all closures that were queued during
//! the last `fsync`, runs each in a savepoint of one transaction, commits once, and only then sends the results. A
//! closure that fails undoes only its own savepoint.

use std::thread::{self, JoinHandle};

use rusqlite::Connection;
use tokio::sync::mpsc;

use flyte_store::StoreError;

use super::{
    error::SqliteError,
    job::{Job, SharedFailure, closed, job},
};

/// The most closures that share a commit. It limits how long the first of them waits for the others.
const MAX_PER_COMMIT: usize = 256;
/// The most closures in the queue. Further callers wait until there is room.
const QUEUE_LENGTH: usize = 1024;

/// The handle of the writing thread. Dropping it waits until the thread has finished the queued work.
pub(super) struct Writer {
    queue: Option<mpsc::Sender<Box<dyn Job>>>,
    thread: Option<JoinHandle<()>>,
}

impl Writer {
    /// Starts the thread, which owns the connection.
    pub(super) fn start(connection: Connection) -> Result<Self, SqliteError> {
        let (queue, jobs) = mpsc::channel(QUEUE_LENGTH);
        let thread = thread::Builder::new()
            .name("store-writer".to_owned())
            .spawn(move || run(&connection, jobs))
            .map_err(SqliteError::backend)?;
        Ok(Self { queue: Some(queue), thread: Some(thread) })
    }

    /// Runs `work` as one transaction, and returns when it is durable.
    pub(super) async fn call<T, F>(&self, work: F) -> Result<T, StoreError>
    where
        T: Send + 'static,
        F: FnOnce(&Connection) -> Result<T, SqliteError> + Send + 'static,
    {
        let (job, answer) = job(work);
        let queue = self.queue.as_ref().ok_or_else(closed)?;
        queue.send(job).await.map_err(|_| closed())?;
        answer.wait().await
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        self.queue.take();
        if let Some(thread) = self.thread.take() {
            // The thread catches panics of closures. If it panicked itself, its callers have seen that their channels
            // closed.
            let _ = thread.join();
        }
    }
}

fn run(connection: &Connection, mut jobs: mpsc::Receiver<Box<dyn Job>>) {
    let mut batch = Vec::with_capacity(MAX_PER_COMMIT);
    while jobs.blocking_recv_many(&mut batch, MAX_PER_COMMIT) > 0 {
        batch.retain(|job| !job.abandoned());
        commit(connection, &mut batch);
    }
    if let Err(error) = connection.execute_batch("PRAGMA optimize") {
        tracing::debug!(%error, "the database was not optimized at closing");
    }
}

/// Runs a batch in as few transactions as possible and sends all results. One transaction is enough unless the database
/// aborts it.
fn commit(connection: &Connection, batch: &mut Vec<Box<dyn Job>>) {
    let mut waiting = batch.drain(..);
    while waiting.len() > 0 {
        let mut done = Vec::with_capacity(waiting.len());
        let outcome = transaction(connection, &mut waiting, &mut done).map_err(SharedFailure::from);
        if let Err(failure) = &outcome {
            tracing::error!(error = %failure, operations = done.len(), "the database rolled back a transaction");
        }
        for job in done {
            job.answer(outcome.as_ref().err());
        }
    }
}

/// Moves jobs from `waiting` to `done` while it runs them in one transaction. On an error, none of `done` takes effect.
fn transaction(
    connection: &Connection,
    waiting: &mut impl Iterator<Item = Box<dyn Job>>,
    done: &mut Vec<Box<dyn Job>>,
) -> rusqlite::Result<()> {
    if let Err(error) = execute(connection, "BEGIN IMMEDIATE") {
        // No job can run: the disk is gone, or another process holds the lock longer than the busy timeout.
        done.extend(waiting);
        return Err(error);
    }
    for mut job in waiting {
        let outcome = savepoint(connection, job.as_mut());
        done.push(job);
        if let Err(error) = outcome {
            // On a full disk or an I/O error, SQLite may roll back the whole transaction
            // (https://sqlite.org/lang_transaction.html, "Response To Errors Within A Transaction"). The changes of the
            // jobs before are then lost.
            roll_back(connection);
            return Err(error);
        }
    }
    execute(connection, "COMMIT").inspect_err(|_| roll_back(connection))
}

fn savepoint(connection: &Connection, job: &mut dyn Job) -> rusqlite::Result<()> {
    execute(connection, "SAVEPOINT job")?;
    if !job.run(connection) {
        if connection.is_autocommit() {
            return Err(rusqlite::Error::SqliteFailure(
                rusqlite::ffi::Error::new(rusqlite::ffi::SQLITE_ABORT_ROLLBACK),
                Some("the transaction of this operation was rolled back".to_owned()),
            ));
        }
        execute(connection, "ROLLBACK TO job")?;
    }
    execute(connection, "RELEASE job")
}

fn roll_back(connection: &Connection) {
    if !connection.is_autocommit()
        && let Err(error) = execute(connection, "ROLLBACK")
    {
        tracing::error!(%error, "the database could not roll back");
    }
}

fn execute(connection: &Connection, sql: &str) -> rusqlite::Result<()> {
    connection.prepare_cached(sql)?.execute([]).map(drop)
}
