//! The names that calls are about. The backend finds some objects by a name alone, and replaces what has the name. So a call that
//! creates, changes or deletes something has its name alone, from the question whose it is until the answer.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use tokio::sync::OwnedMutexGuard;

type Lock = tokio::sync::Mutex<()>;

/// The names that are reserved, or waited for. There are never more than calls.
#[derive(Clone, Debug, Default)]
pub(crate) struct Reservations(Arc<Mutex<HashMap<String, Arc<Lock>>>>);

/// A name that no other call has. It is free again when this is dropped.
#[derive(Debug)]
pub(crate) struct Reservation {
    /// Dropped before the entry, which looks for others.
    _guard: OwnedMutexGuard<()>,
    _entry: Entry,
}

/// Keeps the lock of a name in the map.
#[derive(Debug)]
struct Entry {
    name: String,
    lock: Option<Arc<Lock>>,
    all: Reservations,
}

impl Reservations {
    /// Waits until no other call has this name. Calls get it in the order in which they have asked.
    pub(crate) async fn reserve(&self, name: String) -> Reservation {
        let lock = Arc::clone(self.locks().entry(name.clone()).or_default());
        let entry = Entry { name, lock: Some(Arc::clone(&lock)), all: self.clone() };
        Reservation { _guard: lock.lock_owned().await, _entry: entry }
    }

    fn locks(&self) -> MutexGuard<'_, HashMap<String, Arc<Lock>>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Entry {
    fn drop(&mut self) {
        let mut locks = self.all.locks();
        // With the map locked, so that the last one sees that it is the last.
        self.lock = None;
        if locks.get(&self.name).is_some_and(|lock| Arc::strong_count(lock) == 1) {
            locks.remove(&self.name);
        }
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt as _;

    use super::*;

    #[tokio::test]
    async fn a_name_is_had_by_one_call_at_a_time_and_forgotten() {
        let all = Reservations::default();
        let first = all.reserve("a".to_owned()).await;
        assert!(all.reserve("b".to_owned()).now_or_never().is_some());
        let mut second = Box::pin(all.reserve("a".to_owned()));
        let third = Box::pin(all.reserve("a".to_owned()));
        assert!((&mut second).now_or_never().is_none());
        // One that does not wait any more.
        assert!(third.now_or_never().is_none());
        drop(first);
        let second = second.await;
        assert!(all.reserve("a".to_owned()).now_or_never().is_none());
        assert_eq!(all.locks().len(), 1);
        drop(second);
        assert_eq!(all.locks().len(), 0);
    }
}
