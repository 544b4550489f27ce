//! The audit log: who did what, from where, and when.
//!
//! Every event is a line of the log on standard error (target `audit`, see `logging`) and a record in the database, which
//! administrators read by `flyteauth.AuditService`; what strangers can make happen as often as they like is a line alone.
//! [`Audit::record`] is all that the rest of the server calls.
//!
//! Records go to the database through a bounded queue and one task, so that those of many requests share a commit. An
//! event that changes what somebody may do is in the database when [`Audit::record`] returns, and thereby before the
//! request is answered; any other follows within the commit. Nothing is dropped: who records waits while the queue is full,
//! the task tries again while the database fails, and a graceful stop waits for the rest ([`Audit::flush`]).
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

/// The most events that wait for the database; who records beyond that waits.
const QUEUE: usize = 1024;
/// The most records of one write.
const MOST_PER_WRITE: usize = 256;
/// How often the counts of repeats whose window is over are recorded.
const SWEEP: Duration = Duration::from_secs(30);
/// How long the task waits after the database failed.
const RETRY: Duration = Duration::from_secs(1);

/// The way into the audit log; clones share it.
#[derive(Clone, Debug)]
pub struct Audit {
    clock: Clock,
    queue: mpsc::Sender<Entry>,
    repeats: Arc<Fold>,
}

/// What goes to the task.
#[derive(Debug)]
struct Entry {
    /// `None` only asks to be told that all before it is stored.
    record: Option<AuditRecord>,
    stored: Option<oneshot::Sender<()>>,
}

impl Audit {
    /// Starts the task that writes to `store`; it ends when the last clone is dropped and the queue is empty. To be called
    /// within a Tokio runtime.
    #[must_use]
    pub fn start(store: Arc<dyn Store>, clock: Clock) -> Self {
        let (queue, entries) = mpsc::channel(QUEUE);
        tokio::spawn(write(store, entries));
        let repeats = Arc::new(Fold::default());
        tokio::spawn(sweep(Arc::clone(&repeats), queue.downgrade(), clock.clone()));
        Self { clock, queue, repeats }
    }

    /// Records an event: in the log at once, and in the database as the module says.
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

    /// Waits until everything that was recorded before is in the database, counts of repeats too.
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

/// Records the counts of repeats in their time, until the last [`Audit`] is dropped.
async fn sweep(repeats: Arc<Fold>, queue: mpsc::WeakSender<Entry>, clock: Clock) {
    loop {
        tokio::time::sleep(SWEEP).await;
        let Some(queue) = queue.upgrade() else { return };
        for (kind, record) in repeats.take(clock.now(), false) {
            line::write(kind, &record);
            enqueue(&queue, record).await;
        }
    }
}

/// The task is gone, which happens only where the runtime is.
fn lost() {
    tracing::error!("the audit log's database is closed: the event above stands in this log only");
}

async fn write(store: Arc<dyn Store>, mut entries: mpsc::Receiver<Entry>) {
    let mut batch = Vec::with_capacity(MOST_PER_WRITE);
    while entries.recv_many(&mut batch, MOST_PER_WRITE).await > 0 {
        let (records, waiting): (Vec<_>, Vec<_>) =
            batch.drain(..).map(|entry| (entry.record, entry.stored)).unzip();
        let records: Vec<_> = records.into_iter().flatten().collect();
        while !records.is_empty() {
            match store.append_audit_records(&records).await {
                Ok(()) => break,
                Err(error) => {
                    tracing::error!(%error, events = records.len(), "audit events wait for the database");
                    tokio::time::sleep(RETRY).await;
                }
            }
        }
        for stored in waiting.into_iter().flatten() {
            // Whose request has timed out meanwhile need not be told.
            let _ = stored.send(());
        }
    }
}
