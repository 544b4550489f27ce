//! The one thread that changes the database, with group commit.
//!
//! Making a commit durable costs one `fsync` however much it holds. So the thread takes all the closures that queued up
//! while the last `fsync` ran, runs each in a savepoint of one transaction, commits once, and only then answers. A
//! closure that fails undoes its own savepoint and nothing else.

use std::thread::{self, JoinHandle};

use rusqlite::Connection;
use tokio::sync::mpsc;

use flyte_store::StoreError;

use super::{
    error::SqliteError,
    job::{Job, SharedFailure, closed, job},
};

/// The most closures that share a commit: bounds how long the first of them waits for the others.
const MOST_PER_COMMIT: usize = 256;
/// The most closures that wait; callers beyond it wait to queue.
const QUEUE: usize = 1024;

/// The handle of the writing thread; dropping it lets the thread finish what is queued and waits for it.
pub(super) struct Writer {
    queue: Option<mpsc::Sender<Box<dyn Job>>>,
    thread: Option<JoinHandle<()>>,
}

impl Writer {
    /// Starts the thread, which owns the connection.
    pub(super) fn start(connection: Connection) -> Result<Self, SqliteError> {
        let (queue, jobs) = mpsc::channel(QUEUE);
        let thread = thread::Builder::new()
            .name("store-writer".to_owned())
            .spawn(move || run(&connection, jobs))
            .map_err(SqliteError::backend)?;
        Ok(Self { queue: Some(queue), thread: Some(thread) })
    }

    /// Runs `work` in a transaction of its own as far as it can tell, and answers once that is durable.
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
            // The thread catches panics of closures; were it to panic itself, callers have been told by their channels.
            let _ = thread.join();
        }
    }
}

fn run(connection: &Connection, mut jobs: mpsc::Receiver<Box<dyn Job>>) {
    let mut batch = Vec::with_capacity(MOST_PER_COMMIT);
    while jobs.blocking_recv_many(&mut batch, MOST_PER_COMMIT) > 0 {
        batch.retain(|job| !job.abandoned());
        commit(connection, &mut batch);
    }
    if let Err(error) = connection.execute_batch("PRAGMA optimize") {
        tracing::debug!(%error, "the database was not optimized on closing");
    }
}

/// Runs a batch in as few transactions as it takes (one, unless the database gives up on one midway) and answers all.
fn commit(connection: &Connection, batch: &mut Vec<Box<dyn Job>>) {
    let mut waiting = batch.drain(..);
    while waiting.len() > 0 {
        let mut done = Vec::with_capacity(waiting.len());
        let outcome = transaction(connection, &mut waiting, &mut done).map_err(SharedFailure::from);
        if let Err(failure) = &outcome {
            tracing::error!(error = %failure, operations = done.len(), "the database undid a transaction");
        }
        for job in done {
            job.answer(outcome.as_ref().err());
        }
    }
}

/// Moves jobs from `waiting` to `done` while it runs them in one transaction. On an error, none of `done` has happened.
fn transaction(
    connection: &Connection,
    waiting: &mut impl Iterator<Item = Box<dyn Job>>,
    done: &mut Vec<Box<dyn Job>>,
) -> rusqlite::Result<()> {
    if let Err(error) = execute(connection, "BEGIN IMMEDIATE") {
        // Nothing can be run: the disk is gone, or another process holds the lock for longer than the busy timeout.
        done.extend(waiting);
        return Err(error);
    }
    for mut job in waiting {
        let outcome = savepoint(connection, job.as_mut());
        done.push(job);
        if let Err(error) = outcome {
            // On a full disk or an I/O error SQLite may drop the whole transaction (https://sqlite.org/lang_transaction.html,
            // "Response To Errors Within A Transaction"); what ran before in it is gone then.
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
                Some("the transaction that this operation shared was undone".to_owned()),
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
        tracing::error!(%error, "the database did not roll back");
    }
}

fn execute(connection: &Connection, sql: &str) -> rusqlite::Result<()> {
    connection.prepare_cached(sql)?.execute([]).map(drop)
}
