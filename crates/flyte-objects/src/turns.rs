//! The turns of uploads.
//!
//! The number of concurrent uploads is limited. Each owner of URLs has a share of them, and each URL accepts one upload
//! at a time. So stalled uploads cannot block those of other owners.

use std::{
    collections::HashMap,
    hash::Hash,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore},
    time::{Instant, timeout_at},
};

use super::signed_url::{Owner, Permit};

/// The most concurrent uploads.
pub const MAX_UPLOADS: usize = 64;
/// The most concurrent uploads of one owner: a quarter.
const MAX_UPLOADS_PER_OWNER: usize = MAX_UPLOADS / 4;
/// The most uploads of one owner that wait.
const MAX_WAITING_PER_OWNER: usize = 2 * MAX_UPLOADS;
const MAX_WAITING_PER_URL: usize = 4;
/// How long an upload waits for its turn.
const WAIT_TIMEOUT: Duration = Duration::from_secs(60);
/// The least number of bytes that must arrive within [`MIN_BYTES_TIMEOUT`]: about 4 KiB per second.
const MIN_BYTES: u64 = 128 << 10;
/// How long an upload may take for [`MIN_BYTES`] bytes.
const MIN_BYTES_TIMEOUT: Duration = Duration::from_secs(30);

/// The reason why an upload gets no turn.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NoTurn {
    /// Too many other uploads use the same URL.
    Url,
    /// The owner has too many uploads.
    Owner,
    /// There are too many uploads in total.
    All,
}

/// The turns of all uploads.
#[derive(Debug)]
pub struct Turns {
    all: Arc<Semaphore>,
    owners: Arc<Queues<Option<Owner>>>,
    urls: Arc<Queues<Permit>>,
    wait_timeout: Duration,
}

/// The turn of one upload. Dropping it ends the turn.
#[derive(Debug)]
pub struct Turn {
    _all: OwnedSemaphorePermit,
    _owner: QueueSlot<Option<Owner>>,
    _url: QueueSlot<Permit>,
}

impl Default for Turns {
    fn default() -> Self {
        Self::with_wait_timeout(WAIT_TIMEOUT)
    }
}

impl Turns {
    fn with_wait_timeout(wait_timeout: Duration) -> Self {
        Self {
            wait_timeout,
            all: Arc::new(Semaphore::new(MAX_UPLOADS)),
            owners: Queues::of(MAX_UPLOADS_PER_OWNER, MAX_WAITING_PER_OWNER),
            urls: Queues::of(1, MAX_WAITING_PER_URL),
        }
    }

    /// Waits for a turn to upload with this URL.
    ///
    /// # Errors
    /// When there is no turn within the patience: which limit was reached.
    pub async fn take(&self, permit: &Permit) -> Result<Turn, NoTurn> {
        let deadline = Instant::now() + self.wait_timeout;
        let url = self.urls.enter(permit.clone(), deadline).await.ok_or(NoTurn::Url)?;
        let owner = self.owners.enter(permit.owner, deadline).await.ok_or(NoTurn::Owner)?;
        match timeout_at(deadline, Arc::clone(&self.all).acquire_owned()).await {
            Ok(Ok(all)) => Ok(Turn { _all: all, _owner: owner, _url: url }),
            _ => Err(NoTurn::All),
        }
    }
}

/// The queues of all keys that are in use.
#[derive(Debug)]
struct Queues<K> {
    at_a_time: usize,
    waiting: usize,
    queues: Mutex<HashMap<K, Queue>>,
}

#[derive(Debug)]
struct Queue {
    turns: Arc<Semaphore>,
    /// The number of members that have a turn or wait for one.
    members: usize,
}

/// A member's slot in a queue. Dropping it leaves the queue.
#[derive(Debug)]
struct QueueSlot<K: Eq + Hash> {
    queues: Arc<Queues<K>>,
    key: K,
    turn: Option<OwnedSemaphorePermit>,
}

impl<K: Clone + Eq + Hash> Queues<K> {
    fn of(at_a_time: usize, waiting: usize) -> Arc<Self> {
        Arc::new(Self { at_a_time, waiting, queues: Mutex::default() })
    }

    /// Waits for a turn in the queue of `key`. Returns `None` if too many members wait, or if the turn does not come in
    /// time.
    async fn enter(self: &Arc<Self>, key: K, deadline: Instant) -> Option<QueueSlot<K>> {
        let (turns, mut slot) = {
            let mut queues = self.queues();
            let queue = queues
                .entry(key.clone())
                .or_insert_with(|| Queue { turns: Arc::new(Semaphore::new(self.at_a_time)), members: 0 });
            if queue.members >= self.at_a_time + self.waiting {
                return None;
            }
            queue.members += 1;
            (Arc::clone(&queue.turns), QueueSlot { queues: Arc::clone(self), key, turn: None })
        };
        slot.turn = Some(timeout_at(deadline, turns.acquire_owned()).await.ok()?.ok()?);
        Some(slot)
    }
}

impl<K> Queues<K> {
    fn queues(&self) -> MutexGuard<'_, HashMap<K, Queue>> {
        self.queues.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<K: Eq + Hash> Drop for QueueSlot<K> {
    fn drop(&mut self) {
        self.turn = None;
        let mut queues = self.queues.queues();
        if let Some(queue) = queues.get_mut(&self.key) {
            queue.members -= 1;
            if queue.members == 0 {
                queues.remove(&self.key);
            }
        }
    }
}

/// The speed of an upload. Time that the disk takes does not count.
#[derive(Debug)]
pub struct Pace {
    left: Duration,
    arrived: u64,
}

impl Default for Pace {
    fn default() -> Self {
        Self { left: MIN_BYTES_TIMEOUT, arrived: 0 }
    }
}

impl Pace {
    /// Returns how long the next bytes may take.
    #[must_use]
    pub fn left(&self) -> Duration {
        self.left
    }

    /// Records that bytes arrived after this time.
    pub fn note(&mut self, waited: Duration, bytes: usize) {
        self.left = self.left.saturating_sub(waited);
        self.arrived += bytes as u64;
        if self.arrived >= MIN_BYTES {
            *self = Self::default();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{ObjectKey, signed_url::Method};

    /// How long the tests wait for a turn that must not come.
    const SHORT: Duration = Duration::from_millis(100);

    fn permit(owner: u8, object: usize) -> Permit {
        Permit {
            method: Method::Put,
            key: ObjectKey::new("p", "d", &format!("content/{object}")).unwrap(),
            expires_at: 0,
            md5: None,
            length: None,
            owner: Some([owner; 12]),
        }
    }

    #[tokio::test]
    async fn stalled_uploads_of_one_url_do_not_block_others() {
        let turns = Arc::new(Turns::with_wait_timeout(SHORT));
        let stalled = turns.take(&permit(1, 0)).await.unwrap();
        let waiting: Vec<_> = (0..100)
            .map(|_| {
                let turns = Arc::clone(&turns);
                tokio::spawn(async move { turns.take(&permit(1, 0)).await.map(drop) })
            })
            .collect();
        tokio::task::yield_now().await;
        // The stalled upload has not ended.
        let other = turns.take(&permit(2, 1)).await.unwrap();
        let own = turns.take(&permit(1, 2)).await.unwrap();
        drop((other, own));
        let mut refused = 0;
        for waiting in waiting {
            refused += usize::from(waiting.await.unwrap() == Err(NoTurn::Url));
        }
        assert_eq!(refused, 100, "too many uploads, or too long a wait");
        drop(stalled);
        assert!(turns.take(&permit(1, 0)).await.is_ok());
        assert!(
            turns.urls.queues().is_empty() && turns.owners.queues().is_empty(),
            "unused queues are removed"
        );
    }

    #[tokio::test]
    async fn one_owner_has_a_share() {
        let turns = Turns::with_wait_timeout(SHORT);
        let mut held = Vec::new();
        for object in 0..MAX_UPLOADS_PER_OWNER {
            held.push(turns.take(&permit(1, object)).await.unwrap());
        }
        assert_eq!(turns.take(&permit(1, 1000)).await.unwrap_err(), NoTurn::Owner);
        for owner in 2..=4 {
            for object in 0..MAX_UPLOADS_PER_OWNER {
                held.push(turns.take(&permit(owner, 100 * usize::from(owner) + object)).await.unwrap());
            }
        }
        assert_eq!(turns.take(&permit(9, 2000)).await.unwrap_err(), NoTurn::All);
        held.pop();
        assert!(turns.take(&permit(9, 2000)).await.is_ok());
    }

    #[test]
    fn a_trickle_times_out_and_a_slow_upload_does_not() {
        let mut trickle = Pace::default();
        let mut taken = Duration::ZERO;
        while trickle.left() > Duration::ZERO {
            trickle.note(Duration::from_secs(1), 1);
            taken += Duration::from_secs(1);
        }
        assert_eq!(taken, MIN_BYTES_TIMEOUT);
        let mut slow = Pace::default();
        for _ in 0..10_000 {
            slow.note(Duration::from_secs(1), 8 << 10);
            assert!(slow.left() > Duration::ZERO);
        }
    }
}
