//! Turns: one task works at a time, and the tasks that waited share its failure.

use std::sync::atomic::{AtomicU64, Ordering};

use tokio::sync::{Mutex, MutexGuard};

/// Work that the tasks of one process do in turns.
#[derive(Debug)]
pub(super) struct Turns<E> {
    /// The last failure. Held by the task whose turn it is.
    last: Mutex<Option<E>>,
    /// The number of failures. If it has grown while a task waited, the task shares the last failure.
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
    /// The number of failures so far.
    pub(super) fn failures(&self) -> u64 {
        self.failures.load(Ordering::Acquire)
    }

    /// Waits for a turn.
    pub(super) async fn take(&self) -> Turn<'_, E> {
        Turn { last: self.last.lock().await, failures: &self.failures }
    }
}

impl<E: Clone> Turn<'_, E> {
    /// The last failure, if there was one after `failures` was read.
    pub(super) fn failure_since(&self, failures: u64) -> Option<E> {
        if self.failures.load(Ordering::Acquire) == failures { None } else { self.last.clone() }
    }

    /// Shares a failure with the tasks that wait.
    pub(super) fn fail(&mut self, error: E) {
        *self.last = Some(error);
        self.failures.fetch_add(1, Ordering::Release);
    }
}
