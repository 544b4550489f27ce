//! Counters of failed attempts, one for each key, and the waits that follow from them.

use std::{collections::HashMap, hash::Hash};

use flyte_model::clock::UnixTime;

/// The rules for counting failures of one kind.
#[derive(Clone, Copy, Debug)]
pub(super) struct Policy {
    /// Failures without a wait.
    pub(super) free: u32,
    /// Seconds of the first wait. Each further failure doubles it.
    pub(super) first_wait: i64,
    /// Seconds of the longest wait.
    pub(super) longest_wait: i64,
    /// Seconds after which one failure is forgotten, counted from the end of the wait.
    pub(super) forget_after: i64,
    /// The maximum number of counters.
    pub(super) capacity: usize,
}

#[derive(Clone, Copy, Debug)]
struct Counter {
    failures: u32,
    /// No attempt is admitted before this time.
    wait_until: UnixTime,
    /// The time from which the next failure is being forgotten.
    forgetting_since: UnixTime,
}

/// The end of the wait before and after a failure was counted.
#[derive(Clone, Copy, Debug)]
pub(super) struct Wait {
    before: UnixTime,
    after: UnixTime,
    /// Whether the number of failures has increased. It does not increase beyond the longest wait.
    counted: bool,
}

/// The counters of one kind.
pub(super) struct Counters<K> {
    policy: Policy,
    entries: HashMap<K, Counter>,
}

impl<K: Copy + Eq + Hash> Counters<K> {
    pub(super) fn new(policy: Policy) -> Self {
        Self { policy, entries: HashMap::new() }
    }

    /// Returns the seconds that `key` must wait.
    pub(super) fn wait(&self, key: &K, now: UnixTime) -> i64 {
        let until = self.entries.get(key).map_or(now, |counter| counter.wait_until);
        // The wait is bounded even if the clock was set back.
        until.saturating_sub(now).clamp(0, self.policy.longest_wait)
    }

    /// Whether a failure of `key` is still counted.
    pub(super) fn has_failed(&self, key: &K, now: UnixTime) -> bool {
        self.entries.get(key).is_some_and(|counter| {
            let mut counter = *counter;
            counter.forget(&self.policy, now);
            counter.failures > 0
        })
    }

    /// Counts a failure and returns its effect on the wait.
    pub(super) fn count(&mut self, key: K, now: UnixTime) -> Wait {
        if !self.entries.contains_key(&key) && self.entries.len() >= self.policy.capacity {
            self.make_room(now);
        }
        let policy = self.policy;
        let counter = self.entries.entry(key).or_insert(Counter {
            failures: 0,
            wait_until: now,
            forgetting_since: now,
        });
        counter.forget(&policy, now);
        let before = counter.wait_until;
        let failures = counter.failures;
        counter.failures = (failures + 1).min(policy.max_failures());
        let counted = counter.failures > failures;
        if let Some(doublings) = counter.failures.checked_sub(policy.free) {
            counter.wait_until = now.saturating_add(policy.wait_after(doublings));
        }
        counter.forgetting_since = counter.wait_until.max(now);
        Wait { before, after: counter.wait_until, counted }
    }

    /// Removes one failure and the wait that it caused. A wait that a later failure caused remains.
    pub(super) fn forgive(&mut self, (key, wait): &(K, Wait)) {
        let Some(counter) = self.entries.get_mut(key) else { return };
        counter.failures = counter.failures.saturating_sub(u32::from(wait.counted));
        if counter.wait_until == wait.after {
            counter.wait_until = wait.before;
        }
        if counter.failures == 0 {
            self.entries.remove(key);
        }
    }

    /// Forgets all failures of `key`.
    pub(super) fn clear(&mut self, key: &K) {
        self.entries.remove(key);
    }

    /// The number of keys that have a counter.
    #[cfg(test)]
    pub(super) fn len(&self) -> usize {
        self.entries.len()
    }

    /// Removes expired counters. If that is not enough, removes the quarter with the fewest and oldest failures. So a
    /// flood of new names cannot remove the counter of an account under attack.
    fn make_room(&mut self, now: UnixTime) {
        let policy = self.policy;
        self.entries.retain(|_, counter| {
            counter.forget(&policy, now);
            counter.failures > 0
        });
        let quarter = policy.capacity / 4;
        if self.entries.len() + quarter <= policy.capacity {
            return;
        }
        let mut order: Vec<_> = self
            .entries
            .iter()
            .map(|(key, counter)| (counter.failures, counter.forgetting_since, *key))
            .collect();
        order.select_nth_unstable_by_key(quarter, |&(failures, since, _)| (failures, since));
        for (_, _, key) in order.iter().take(quarter.max(1)) {
            self.entries.remove(key);
        }
    }
}

impl Counter {
    fn forget(&mut self, policy: &Policy, now: UnixTime) {
        let forgotten = now.saturating_sub(self.forgetting_since).max(0) / policy.forget_after;
        self.failures = self.failures.saturating_sub(u32::try_from(forgotten).unwrap_or(u32::MAX));
        self.forgetting_since += forgotten * policy.forget_after;
    }
}

impl Policy {
    fn wait_after(&self, doublings: u32) -> i64 {
        1_i64
            .checked_shl(doublings)
            .filter(|factor| *factor > 0)
            .map_or(self.longest_wait, |factor| self.first_wait.saturating_mul(factor))
            .min(self.longest_wait)
    }

    /// The number of failures after which the wait no longer grows.
    fn max_failures(&self) -> u32 {
        self.free + (self.longest_wait / self.first_wait).max(1).ilog2() + 1
    }
}
