//! The threads that only read, each with a snapshot of its own, so that a read never waits for a write.

use std::{
    sync::{Arc, Mutex, PoisonError, mpsc},
    thread::{self, JoinHandle},
};

use rusqlite::Connection;

use flyte_store::StoreError;

use super::{
    error::SqliteError,
    job::{Job, closed, job},
};

type Queue = Arc<Mutex<mpsc::Receiver<Box<dyn Job>>>>;

/// The handle of the reading threads; dropping it lets them finish what is queued and waits for them.
pub(super) struct Readers {
    queue: Option<mpsc::Sender<Box<dyn Job>>>,
    threads: Vec<JoinHandle<()>>,
}

impl Readers {
    /// Starts a thread for each connection.
    pub(super) fn start(connections: Vec<Connection>) -> Result<Self, SqliteError> {
        let (queue, jobs) = mpsc::channel();
        let jobs: Queue = Arc::new(Mutex::new(jobs));
        let threads = connections
            .into_iter()
            .map(|connection| {
                let jobs = Arc::clone(&jobs);
                thread::Builder::new().name("store-reader".to_owned()).spawn(move || run(&connection, &jobs))
            })
            .collect::<Result<_, _>>()
            .map_err(SqliteError::backend)?;
        Ok(Self { queue: Some(queue), threads })
    }

    /// Runs `work`, which only reads.
    pub(super) async fn call<T, F>(&self, work: F) -> Result<T, StoreError>
    where
        T: Send + 'static,
        F: FnOnce(&Connection) -> Result<T, SqliteError> + Send + 'static,
    {
        let (job, answer) = job(work);
        let queue = self.queue.as_ref().ok_or_else(closed)?;
        queue.send(job).map_err(|_| closed())?;
        answer.wait().await
    }
}

impl Drop for Readers {
    fn drop(&mut self) {
        self.queue.take();
        for thread in self.threads.drain(..) {
            // As with the writer: callers of a thread that panicked have been told.
            let _ = thread.join();
        }
    }
}

fn run(connection: &Connection, jobs: &Queue) {
    loop {
        // The lock is held while waiting: the other threads then wait for the lock, in effect for the same queue.
        let next = jobs.lock().unwrap_or_else(PoisonError::into_inner).recv();
        let Ok(mut job) = next else { return };
        if !job.abandoned() {
            job.run(connection);
            job.answer(None);
        }
    }
}
