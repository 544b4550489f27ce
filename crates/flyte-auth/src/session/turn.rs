//! One task at a time: those that waited share how it failed.

use std::sync::atomic::{AtomicU64, Ordering};

use tokio::sync::{Mutex, MutexGuard};

/// What the tasks of one process take turns at.
#[derive(Debug)]
pub(super) struct Turns<E> {
    /// How the last one failed. Held by the task whose turn it is.
    last: Mutex<Option<E>>,
    /// How many have failed: a task that finds more than when it began to wait shares the last failure.
    failures: AtomicU64,
}

/// A task's turn.
#[derive(Debug)]
pub(super) struct Turn<'a, E> {
    last: MutexGuard<'a, Option<E>>,
    failures: &'a AtomicU64,
}

impl<E> Default for Turns<E> {
    fn default() -> Self {
        Self { last: Mutex::default(), failures: AtomicU64::new(0) }
    }
}

impl<E: Clone> Turns<E> {
    /// How many have failed up to now.
    pub(super) fn failures(&self) -> u64 {
        self.failures.load(Ordering::Acquire)
    }

    /// Waits for one's turn.
    pub(super) async fn take(&self) -> Turn<'_, E> {
        Turn { last: self.last.lock().await, failures: &self.failures }
    }
}

impl<E: Clone> Turn<'_, E> {
    /// The failure of a turn that ended after `seen` was counted.
    pub(super) fn shared(&self, seen: u64) -> Option<E> {
        if self.failures.load(Ordering::Acquire) == seen { None } else { self.last.clone() }
    }

    /// Shares a failure with those that wait.
    pub(super) fn fail(&mut self, error: E) {
        *self.last = Some(error);
        self.failures.fetch_add(1, Ordering::Release);
    }
}
