//! Wakes watchers: they learn that something changed, not what. A slow watcher finds the present state when it reads, however
//! many changes it missed.

use std::{
    collections::HashMap,
    sync::{Mutex, PoisonError},
    time::Duration,
};

use tokio::{
    sync::{Notify, watch},
    time::sleep,
};

use flyte_store::RunId;

/// The time for which changes of all runs, or of all apps, are gathered. A busy server has many changes a second, and each wake-up
/// reads some of them.
const GATHER: Duration = Duration::from_millis(100);

/// Wakes the watchers of one thing.
#[derive(Debug, Default)]
pub struct Changes(watch::Sender<()>);

impl Changes {
    /// Something has changed.
    pub fn notify(&self) {
        self.0.send_replace(());
    }

    /// Waits for each change from now on.
    #[must_use]
    pub fn watch(&self) -> Watcher {
        Watcher { changes: self.0.subscribe(), gather: None }
    }

    /// Waits for changes from now on. Several changes in a short time wake it once.
    #[must_use]
    pub fn watch_gathered(&self) -> Watcher {
        Watcher { changes: self.0.subscribe(), gather: Some(GATHER) }
    }
}

/// Waits for changes.
#[derive(Debug)]
pub struct Watcher {
    changes: watch::Receiver<()>,
    gather: Option<Duration>,
}

impl Watcher {
    /// Waits for a change since the last call, or since the watcher was made.
    pub async fn changed(&mut self) {
        if self.changes.changed().await.is_err() {
            // The server is stopping: there will be no more changes.
            std::future::pending::<()>().await;
        }
        if let Some(time) = self.gather {
            sleep(time).await;
            self.changes.mark_unchanged();
        }
    }

    /// Marks all changes up to now as seen: [`Watcher::changed`] then waits for a later one.
    pub fn mark_seen(&mut self) {
        self.changes.mark_unchanged();
    }
}

/// Announces changes.
#[derive(Debug, Default)]
pub(super) struct Feed {
    /// The runs that are watched.
    runs: Mutex<HashMap<RunId, watch::Sender<()>>>,
    all: Changes,
    runner: Notify,
}

impl Feed {
    pub(super) fn watch(&self, run: &RunId) -> Watcher {
        let mut runs = self.runs.lock().unwrap_or_else(PoisonError::into_inner);
        // Watchers that have ended are removed when new ones come.
        runs.retain(|_, sender| sender.receiver_count() > 0);
        Watcher { changes: runs.entry(run.clone()).or_default().subscribe(), gather: None }
    }

    pub(super) fn watch_all(&self) -> Watcher {
        self.all.watch_gathered()
    }

    pub(super) fn tell(&self, run: &RunId) {
        let runs = self.runs.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(sender) = runs.get(run) {
            sender.send_replace(());
        }
        self.all.notify();
    }

    pub(super) fn tell_runner(&self) {
        self.runner.notify_one();
    }

    pub(super) async fn runner_told(&self) {
        self.runner.notified().await;
    }
}
