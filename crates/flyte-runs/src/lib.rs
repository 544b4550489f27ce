//! The life of runs: they are created, their actions are enqueued, worked on in attempts, tried again, aborted, and end.
//!
//! Only [`Runs`] changes the records in [`flyte_store::RunStore`], and others read them through it (`read`). Each change is one
//! transaction. When it is durable, `feed` wakes the watchers, and they read what is new. A runner takes attempts with
//! [`Runs::claim`] and reports on them with [`Runs::started`] and [`Runs::ended`]. [`Runs::aborted_attempts`] lists the attempts
//! that it must kill. [`Runs::changed`] waits until there is something to do.
//!
//! Everything else is stored in objects: [`data`] has the URL of an action's outputs, [`result`] reads the result of an attempt,
//! and [`cached`] checks whether an earlier result still exists.
//!
//! The control plane uses what runs tasks and apps only through the traits [`Runner`], [`AppHost`] and [`LogSource`].
#![forbid(unsafe_code)]

pub mod app_host;
pub mod cached;
mod create;
pub mod data;
mod feed;
pub mod identity;
pub mod log_source;
mod read;
pub mod result;
mod retry;
pub mod runner;
#[cfg(any(test, feature = "testing"))]
pub mod testing;
#[cfg(test)]
mod tests;
mod time_limit;

use std::{sync::Arc, time::Duration};

use buffa::Message as _;
use bytes::Bytes;
use flyte_idl::flyteidl2::task::TaskSpec;

pub use self::{
    app_host::AppHost,
    create::{NewRun, NewTask, random_name},
    feed::{Changes, Watcher},
    identity::RunIdentities,
    log_source::LogSource,
    retry::Outcome,
    runner::Runner,
};

pub use self::time_limit::TimeLimits;

use self::feed::Feed;
use flyte_access::Access;
use flyte_model::clock::Clock;
use flyte_store::{
    Action, ActionId, Ended, Enqueued, NewAction, QueuedAttempt, Run, RunId, Store, StoreError,
};

/// The time after which an unused cached result is deleted, in milliseconds: 90 days.
const UNUSED_RESULTS: i64 = 90 * 86_400_000;
/// The maximum number of cached results.
const MOST_RESULTS: u32 = 100_000;

/// The runs of this server.
#[derive(Debug)]
pub struct Runs {
    store: Arc<dyn Store>,
    clock: Clock,
    access: Arc<Access>,
    feed: Feed,
}

impl Runs {
    /// The runs in `store`. When a run ends, `access` rejects its tokens at once.
    #[must_use]
    pub fn new(store: Arc<dyn Store>, clock: Clock, access: Arc<Access>) -> Self {
        Self { store, clock, access, feed: Feed::default() }
    }

    /// Creates a run, and returns it with its root action.
    ///
    /// # Errors
    /// [`StoreError::AlreadyExists`] if there is a run of that name in the domain.
    pub async fn create(&self, new: NewRun) -> Result<(Run, Action), StoreError> {
        let (run, root) = new.into_records(self.clock.now_millis());
        let root = self.store.create_run(&run, &root).await?;
        self.feed.tell(&run.id);
        self.feed.tell_runner();
        Ok((run, root))
    }

    /// Adds an action to a run. An existing action of the same name remains unchanged.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn enqueue(&self, action: &NewAction) -> Result<Enqueued, StoreError> {
        let outcome = self.store.enqueue_action(action, self.clock.now_millis()).await?;
        if outcome == Enqueued::Added {
            self.feed.tell(&action.id.run);
            self.feed.tell_runner();
        }
        Ok(outcome)
    }

    /// Takes queued tasks in fair turns and begins an attempt at each, so that at most `slots` attempts run at a time. An action
    /// that waits for its children takes no slot. An action with the outputs of another one ([`Action::cached_outputs`]) takes no
    /// slot either: report the outcome of its check with [`Runs::cached`] or [`Runs::not_cached`].
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn claim(&self, slots: u32) -> Result<Vec<QueuedAttempt>, StoreError> {
        // Usually there is nothing to claim. Then the writing thread is not needed.
        let now = self.clock.now_millis();
        if self.store.next_claim_at().await?.is_none_or(|due| due > now) {
            return Ok(Vec::new());
        }
        let claimed = self.store.claim_actions(slots, now).await?;
        for attempt in &claimed {
            self.feed.tell(&attempt.run.id);
        }
        Ok(claimed)
    }

    /// Records that an attempt's process has started.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn started(&self, action: &ActionId, attempt: u32) -> Result<(), StoreError> {
        if self.store.start_attempt(action, attempt, self.clock.now_millis()).await? {
            self.feed.tell(&action.run);
        }
        Ok(())
    }

    /// Records that an attempt has ended: its process and all processes that it started are gone. Either another attempt follows,
    /// or the action ends. A second report of the same attempt changes nothing.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn ended(&self, action: &ActionId, attempt: u32, outcome: Outcome) -> Result<(), StoreError> {
        let Some(known) = self.store.action_by_id(action).await? else { return Ok(()) };
        let spec = self.store.action_spec(action).await?.unwrap_or_default();
        let spec = TaskSpec::decode_from_slice(&spec).unwrap_or_default();
        let now = self.clock.now_millis();
        let end = retry::decide(&spec, &known, outcome, now);
        let ended = self.store.end_attempt(action, attempt, &end, now).await?;
        self.after(&action.run, &ended);
        Ok(())
    }

    /// Records that the cached result of an attempt exists: its action ends with that result.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn cached(&self, action: &ActionId, attempt: u32) -> Result<(), StoreError> {
        let ended = self.store.take_cached(action, attempt, self.clock.now_millis()).await?;
        self.after(&action.run, &ended);
        Ok(())
    }

    /// Records that the cached result of an attempt cannot be used: its action is queued again. If the result is `gone`, its cache
    /// entry is deleted.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn not_cached(&self, action: &ActionId, attempt: u32, gone: bool) -> Result<(), StoreError> {
        if self.store.requeue_uncached(action, attempt, gone, self.clock.now_millis()).await? {
            self.feed.tell(&action.run);
            self.feed.tell_runner();
        }
        Ok(())
    }

    /// Deletes cached results that have not been used for a long time. Returns their number.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn clean_up(&self) -> Result<u64, StoreError> {
        let since = self.clock.now_millis().saturating_sub(UNUSED_RESULTS);
        self.store.delete_unused_results(since, MOST_RESULTS).await
    }

    /// Aborts an action and all actions that it called. Aborting the root action aborts the run. `subject` is the principal that
    /// aborts. Returns `false` if the action has ended already or does not exist.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn abort(&self, action: &ActionId, reason: &str, subject: &str) -> Result<bool, StoreError> {
        let ended = self.store.abort_action(action, reason, subject, self.clock.now_millis()).await?;
        self.after(&action.run, &ended);
        Ok(ended.changed)
    }

    /// Answers a waiting condition with an encoded `flyteidl2.core.Literal`. Returns `false` if the condition does not wait.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn signal(&self, action: &ActionId, value: &Bytes, subject: &str) -> Result<bool, StoreError> {
        let answered = self.store.signal_action(action, value, subject, self.clock.now_millis()).await?;
        if answered {
            self.feed.tell(&action.run);
            self.feed.tell_runner();
        }
        Ok(answered)
    }

    /// Ends actions that took too long: actions past their deadlines, whose processes are then among [`Runs::aborted_attempts`],
    /// actions that waited too long for an attempt, and conditions without an answer. Call it about once a second.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn maintain(&self) -> Result<(), StoreError> {
        let now = self.clock.now_millis();
        for (action, overdue, limit) in self.store.overdue_actions(now).await? {
            let failure = retry::overdue_failure(overdue, limit);
            let ended = self.store.time_out_action(&action, overdue, failure.as_ref(), now).await?;
            self.after(&action.run, &ended);
        }
        Ok(())
    }

    /// The attempts that have not ended. A runner needs them when it starts.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn running(&self) -> Result<Vec<(ActionId, u32)>, StoreError> {
        self.store.running_attempts().await
    }

    /// The attempts whose actions have ended already. The runner must kill them and then report [`Runs::ended`].
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn aborted_attempts(&self) -> Result<Vec<(ActionId, u32)>, StoreError> {
        self.store.aborted_attempts().await
    }

    /// Waits until there may be something to claim or to kill. Only one runner can wait. It misses no change that happened since its
    /// last wait.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn changed(&self) -> Result<(), StoreError> {
        let now = self.clock.now_millis();
        // An action that is due already waits for a free slot, and a free slot wakes the runner.
        let due =
            self.store.next_claim_at().await?.map(|due| due.saturating_sub(now)).filter(|wait| *wait > 0);
        match due.and_then(|wait| u64::try_from(wait).ok()) {
            Some(wait) => tokio::select! {
                () = self.feed.runner_told() => {}
                () = tokio::time::sleep(Duration::from_millis(wait)) => {}
            },
            None => self.feed.runner_told().await,
        }
        Ok(())
    }

    /// Watches a run from now on. Subscribe first, then read, wait, and read again.
    #[must_use]
    pub fn watch(&self, run: &RunId) -> Watcher {
        self.feed.watch(run)
    }

    /// Watches all runs from now on.
    #[must_use]
    pub fn watch_all(&self) -> Watcher {
        self.feed.watch_all()
    }

    /// Revokes the identity of a run that ended, and announces the change.
    fn after(&self, run: &RunId, ended: &Ended) {
        if let Some(family) = &ended.revoked_family {
            self.access.revoke_family(family);
        }
        if ended.changed {
            self.feed.tell(run);
            self.feed.tell_runner();
        }
    }
}
