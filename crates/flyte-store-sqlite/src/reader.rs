//! The threads that only read. Each has its own snapshot, so a read never waits for a write.

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

/// The handle of the reading threads. Dropping it waits until they have finished the queued work.
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
            // As with the writer: if a thread panicked, its callers have seen that their channels closed.
            let _ = thread.join();
        }
    }
}

fn run(connection: &Connection, jobs: &Queue) {
    loop {
        // The thread holds the lock while it waits. The other threads wait for the lock, which has the same effect as
        // waiting for the queue.
        let next = jobs.lock().unwrap_or_else(PoisonError::into_inner).recv();
        let Ok(mut job) = next else { return };
        if !job.abandoned() {
            job.run(connection);
            job.answer(None);
        }
    }
}
