//! The audit log: principals, their actions, addresses and times.
//!
//! Every event is a line of the log on standard error (target `audit`) and a record in the database, which
//! administrators read with `flyteauth.AuditService`. Events that strangers can cause without limit are only lines of
//! the log. The rest of the server calls only [`Audit::record`].
//!
//! Records go to the database through a bounded queue and one task, so the records of many requests share a commit. An
//! event that changes what a principal may do is in the database when [`Audit::record`] returns, before the response is
//! sent. Other events follow with the next commit. No event is dropped: callers wait while the queue is full, the task
//! retries while the database fails, and a graceful stop waits for the rest ([`Audit::flush`]).
#![forbid(unsafe_code)]

mod event;
mod fold;
mod line;
mod query;
#[cfg(test)]
mod tests;

use std::{sync::Arc, time::Duration};

use tokio::sync::{mpsc, oneshot};

use self::fold::Fold;
pub use self::{
    event::{Detail, Event, Kind},
    query::{WrongCondition, check as check_query},
};
use flyte_model::clock::Clock;
use flyte_store::{AuditRecord, Store};

/// The most events that wait for the database. Beyond that, callers of [`Audit::record`] wait.
const QUEUE_LENGTH: usize = 1024;
/// The most records in one write.
const MAX_PER_WRITE: usize = 256;
/// How often the counts of repeats are recorded if their window is over.
const SWEEP_INTERVAL: Duration = Duration::from_secs(30);
/// How long the task waits after an error of the database.
const RETRY_INTERVAL: Duration = Duration::from_secs(1);

/// The handle of the audit log; clones share it.
#[derive(Clone, Debug)]
pub struct Audit {
    clock: Clock,
    queue: mpsc::Sender<Entry>,
    repeats: Arc<Fold>,
}

/// An entry of the queue to the task.
#[derive(Debug)]
struct Entry {
    /// The record. `None` only asks for a signal when everything before it is stored.
    record: Option<AuditRecord>,
    stored: Option<oneshot::Sender<()>>,
}

impl Audit {
    /// Starts the task that writes to `store`. The task ends when the last clone is dropped and the queue is empty. The
    /// caller must be in a Tokio runtime.
    #[must_use]
    pub fn start(store: Arc<dyn Store>, clock: Clock) -> Self {
        let (queue, entries) = mpsc::channel(QUEUE_LENGTH);
        tokio::spawn(write(store, entries));
        let repeats = Arc::new(Fold::default());
        tokio::spawn(sweep(Arc::clone(&repeats), queue.downgrade(), clock.clone()));
        Self { clock, queue, repeats }
    }

    /// Records an event: at once in the log, and in the database as the module documentation says.
    pub async fn record(&self, event: Event) {
        let kind = event.kind();
        let record = event.into_record(self.clock.now());
        if kind.is_repeatable() {
            for (kind, record) in self.repeats.admit(kind, record) {
                line::write(kind, &record);
                enqueue(&self.queue, record).await;
            }
            return;
        }
        line::write(kind, &record);
        if !kind.is_stored() {
            return;
        }
        if kind.changes_rights() {
            self.store(Some(record)).await;
        } else {
            enqueue(&self.queue, record).await;
        }
    }

    /// Waits until all earlier events are in the database, including the counts of repeats.
    pub async fn flush(&self) {
        for (kind, record) in self.repeats.take(self.clock.now(), true) {
            line::write(kind, &record);
            enqueue(&self.queue, record).await;
        }
        self.store(None).await;
    }

    async fn store(&self, record: Option<AuditRecord>) {
        let (stored, is_stored) = oneshot::channel();
        if self.queue.send(Entry { record, stored: Some(stored) }).await.is_err() || is_stored.await.is_err()
        {
            lost();
        }
    }
}

async fn enqueue(queue: &mpsc::Sender<Entry>, record: AuditRecord) {
    if queue.send(Entry { record: Some(record), stored: None }).await.is_err() {
        lost();
    }
}

/// Records the counts of repeats when their windows are over, until the last [`Audit`] is dropped.
async fn sweep(repeats: Arc<Fold>, queue: mpsc::WeakSender<Entry>, clock: Clock) {
    loop {
        tokio::time::sleep(SWEEP_INTERVAL).await;
        let Some(queue) = queue.upgrade() else { return };
        for (kind, record) in repeats.take(clock.now(), false) {
            line::write(kind, &record);
            enqueue(&queue, record).await;
        }
    }
}

/// Reports that the task has ended, which only happens if the runtime has.
fn lost() {
    tracing::error!("the database of the audit log is closed: the event above is only in this log");
}

async fn write(store: Arc<dyn Store>, mut entries: mpsc::Receiver<Entry>) {
    let mut batch = Vec::with_capacity(MAX_PER_WRITE);
    while entries.recv_many(&mut batch, MAX_PER_WRITE).await > 0 {
        let (records, waiting): (Vec<_>, Vec<_>) =
            batch.drain(..).map(|entry| (entry.record, entry.stored)).unzip();
        let records: Vec<_> = records.into_iter().flatten().collect();
        while !records.is_empty() {
            match store.append_audit_records(&records).await {
                Ok(()) => break,
                Err(error) => {
                    tracing::error!(%error, events = records.len(), "cannot store audit events yet; retrying");
                    tokio::time::sleep(RETRY_INTERVAL).await;
                }
            }
        }
        for stored in waiting.into_iter().flatten() {
            // A caller whose request has timed out no longer waits for the signal.
            let _ = stored.send(());
        }
    }
}
