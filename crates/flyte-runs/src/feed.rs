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

/// How long changes of all runs, or all apps, are gathered: a busy server has many in a second, and each look reads some of all
/// of them.
const GATHER: Duration = Duration::from_millis(100);

/// Wakes those who watch one thing.
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

    /// Waits for changes from now on, gathered for a moment.
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
            // The server is going: there will be no change.
            std::future::pending::<()>().await;
        }
        if let Some(time) = self.gather {
            sleep(time).await;
            self.changes.mark_unchanged();
        }
    }

    /// Takes all changes up to now as seen: [`Watcher::changed`] waits for a later one.
    pub fn mark_seen(&mut self) {
        self.changes.mark_unchanged();
    }
}

/// Tells of changes.
#[derive(Debug, Default)]
pub(super) struct Feed {
    /// Those that are watched.
    runs: Mutex<HashMap<RunId, watch::Sender<()>>>,
    all: Changes,
    runner: Notify,
}

impl Feed {
    pub(super) fn watch(&self, run: &RunId) -> Watcher {
        let mut runs = self.runs.lock().unwrap_or_else(PoisonError::into_inner);
        // Watchers that have left are forgotten when others come.
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
