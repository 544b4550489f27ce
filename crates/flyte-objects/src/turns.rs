//! Who may upload now.
//!
//! So many uploads are worked on at a time. Each of those who asked for URLs has a share of them, and each URL takes one
//! upload at a time: however many stall, others find a place.

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

/// Uploads worked on at a time.
pub const MOST: usize = 64;
/// A quarter for each of those who asked for URLs.
const MOST_OF_ONE: usize = MOST / 4;
/// How many of one owner wait, and of one URL.
const WAITING_OF_ONE: usize = 2 * MOST;
const WAITING_OF_URL: usize = 4;
/// How long an upload waits for its turn.
const PATIENCE: Duration = Duration::from_secs(60);
/// The least that comes in [`PACE`], in bytes: some 4 KiB a second.
const LEAST: u64 = 128 << 10;
/// How long an upload may take for [`LEAST`].
const PACE: Duration = Duration::from_secs(30);

/// Why an upload has no turn.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NoTurn {
    /// There are others to the same URL.
    Url,
    /// There are too many of the same owner.
    Owner,
    /// There are too many of all.
    All,
}

/// The turns of all uploads.
#[derive(Debug)]
pub struct Turns {
    all: Arc<Semaphore>,
    owners: Arc<Queues<Option<Owner>>>,
    urls: Arc<Queues<Permit>>,
    patience: Duration,
}

/// The turn of one upload; it ends when dropped.
#[derive(Debug)]
pub struct Turn {
    _all: OwnedSemaphorePermit,
    _owner: Place<Option<Owner>>,
    _url: Place<Permit>,
}

impl Default for Turns {
    fn default() -> Self {
        Self::with_patience(PATIENCE)
    }
}

impl Turns {
    fn with_patience(patience: Duration) -> Self {
        Self {
            patience,
            all: Arc::new(Semaphore::new(MOST)),
            owners: Queues::of(MOST_OF_ONE, WAITING_OF_ONE),
            urls: Queues::of(1, WAITING_OF_URL),
        }
    }

    /// Waits for a turn with this URL.
    pub async fn take(&self, permit: &Permit) -> Result<Turn, NoTurn> {
        let deadline = Instant::now() + self.patience;
        let url = self.urls.place(permit.clone(), deadline).await.ok_or(NoTurn::Url)?;
        let owner = self.owners.place(permit.owner, deadline).await.ok_or(NoTurn::Owner)?;
        match timeout_at(deadline, Arc::clone(&self.all).acquire_owned()).await {
            Ok(Ok(all)) => Ok(Turn { _all: all, _owner: owner, _url: url }),
            _ => Err(NoTurn::All),
        }
    }
}

/// A queue for each key that has one.
#[derive(Debug)]
struct Queues<K> {
    at_a_time: usize,
    waiting: usize,
    queues: Mutex<HashMap<K, Queue>>,
}

#[derive(Debug)]
struct Queue {
    turns: Arc<Semaphore>,
    /// Those who have a turn or wait.
    members: usize,
}

/// A place in a queue; left when dropped.
#[derive(Debug)]
struct Place<K: Eq + Hash> {
    queues: Arc<Queues<K>>,
    key: K,
    turn: Option<OwnedSemaphorePermit>,
}

impl<K: Clone + Eq + Hash> Queues<K> {
    fn of(at_a_time: usize, waiting: usize) -> Arc<Self> {
        Arc::new(Self { at_a_time, waiting, queues: Mutex::default() })
    }

    /// A turn in the queue of `key`; `None` where too many wait, or it did not come in time.
    async fn place(self: &Arc<Self>, key: K, deadline: Instant) -> Option<Place<K>> {
        let (turns, mut place) = {
            let mut queues = self.queues();
            let queue = queues
                .entry(key.clone())
                .or_insert_with(|| Queue { turns: Arc::new(Semaphore::new(self.at_a_time)), members: 0 });
            if queue.members >= self.at_a_time + self.waiting {
                return None;
            }
            queue.members += 1;
            (Arc::clone(&queue.turns), Place { queues: Arc::clone(self), key, turn: None })
        };
        place.turn = Some(timeout_at(deadline, turns.acquire_owned()).await.ok()?.ok()?);
        Some(place)
    }
}

impl<K> Queues<K> {
    fn queues(&self) -> MutexGuard<'_, HashMap<K, Queue>> {
        self.queues.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl<K: Eq + Hash> Drop for Place<K> {
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

/// How fast an upload comes. What the disk takes does not count.
#[derive(Debug)]
pub struct Pace {
    left: Duration,
    come: u64,
}

impl Default for Pace {
    fn default() -> Self {
        Self { left: PACE, come: 0 }
    }
}

impl Pace {
    /// How long the next bytes may take.
    pub fn left(&self) -> Duration {
        self.left
    }

    /// Notes that bytes came after this time.
    pub fn note(&mut self, waited: Duration, bytes: usize) {
        self.left = self.left.saturating_sub(waited);
        self.come += bytes as u64;
        if self.come >= LEAST {
            *self = Self::default();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{ObjectKey, signed_url::Method};

    /// How long the tests wait for a turn that does not come.
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
    async fn one_url_takes_one_upload_and_stalled_ones_keep_nobody_else_out() {
        let turns = Arc::new(Turns::with_patience(SHORT));
        let stalled = turns.take(&permit(1, 0)).await.unwrap();
        let waiting: Vec<_> = (0..100)
            .map(|_| {
                let turns = Arc::clone(&turns);
                tokio::spawn(async move { turns.take(&permit(1, 0)).await.map(drop) })
            })
            .collect();
        tokio::task::yield_now().await;
        // The stalled one has not ended.
        let other = turns.take(&permit(2, 1)).await.unwrap();
        let own = turns.take(&permit(1, 2)).await.unwrap();
        drop((other, own));
        let mut refused = 0;
        for waiting in waiting {
            refused += usize::from(waiting.await.unwrap() == Err(NoTurn::Url));
        }
        assert_eq!(refused, 100, "too many, or too long");
        drop(stalled);
        assert!(turns.take(&permit(1, 0)).await.is_ok());
        assert!(turns.urls.queues().is_empty() && turns.owners.queues().is_empty(), "nothing is kept");
    }

    #[tokio::test]
    async fn one_owner_has_a_share() {
        let turns = Turns::with_patience(SHORT);
        let mut held = Vec::new();
        for object in 0..MOST_OF_ONE {
            held.push(turns.take(&permit(1, object)).await.unwrap());
        }
        assert_eq!(turns.take(&permit(1, 1000)).await.unwrap_err(), NoTurn::Owner);
        for owner in 2..=4 {
            for object in 0..MOST_OF_ONE {
                held.push(turns.take(&permit(owner, 100 * usize::from(owner) + object)).await.unwrap());
            }
        }
        assert_eq!(turns.take(&permit(9, 2000)).await.unwrap_err(), NoTurn::All);
        held.pop();
        assert!(turns.take(&permit(9, 2000)).await.is_ok());
    }

    #[test]
    fn a_dribble_has_an_end_and_a_slow_line_has_none() {
        let mut dribble = Pace::default();
        let mut taken = Duration::ZERO;
        while dribble.left() > Duration::ZERO {
            dribble.note(Duration::from_secs(1), 1);
            taken += Duration::from_secs(1);
        }
        assert_eq!(taken, PACE);
        let mut slow = Pace::default();
        for _ in 0..10_000 {
            slow.note(Duration::from_secs(1), 8 << 10);
            assert!(slow.left() > Duration::ZERO);
        }
    }
}
