//! The life of runs: they are created, their actions are enqueued, worked on in attempts, tried again, aborted, and end.
//!
//! [`Runs`] alone changes what [`flyte_store::RunStore`] keeps, and reads it for others (`read`). Each change is one
//! transaction; when it is durable, `feed` wakes all who watch, and they read what is new. A runner takes attempts by
//! [`Runs::claim`], reports on them by [`Runs::started`] and [`Runs::ended`], and learns by [`Runs::aborted_attempts`] which of
//! them it must kill; [`Runs::changed`] says when to look.
//!
//! What is not in the database is among the objects: [`data`] names an action's outputs, [`result`] reads how an attempt ended,
//! and [`cached`] finds out whether an earlier result can be taken.
//!
//! What runs tasks and apps is behind traits: [`Runner`], [`AppHost`] and [`LogSource`]. They are all that the control plane
//! knows of it.
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

/// How long a cached result is kept that no call takes, in milliseconds: 90 days.
const UNUSED_RESULTS: i64 = 90 * 86_400_000;
/// The most cached results that are kept.
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
    /// The runs that `store` keeps; the tokens of those that end are refused by `access` at once.
    #[must_use]
    pub fn new(store: Arc<dyn Store>, clock: Clock, access: Arc<Access>) -> Self {
        Self { store, clock, access, feed: Feed::default() }
    }

    /// Begins a run; returns it with its root action.
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

    /// Adds an action to a run; the action of the same name that is there already is left as it is.
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

    /// Takes queued tasks, in fair turns, so that no more than `slots` are worked on at once, and begins an attempt at each. An
    /// action whose children have not ended waits for them and takes no slot. One that comes with the outputs of another
    /// ([`Action::cached_outputs`]) takes none either: [`Runs::cached`] or [`Runs::not_cached`] is told of it.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn claim(&self, slots: u32) -> Result<Vec<QueuedAttempt>, StoreError> {
        // Nothing to write, as nearly always: the writer is left alone.
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

    /// An attempt's process has started.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn started(&self, action: &ActionId, attempt: u32) -> Result<(), StoreError> {
        if self.store.start_attempt(action, attempt, self.clock.now_millis()).await? {
            self.feed.tell(&action.run);
        }
        Ok(())
    }

    /// An attempt has ended; its process, and all that this had started, is gone. Either another attempt follows or the
    /// action ends with it. Telling it twice changes nothing.
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

    /// An attempt that was begun with a cached result has it; its action ends with that.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn cached(&self, action: &ActionId, attempt: u32) -> Result<(), StoreError> {
        let ended = self.store.take_cached(action, attempt, self.clock.now_millis()).await?;
        self.after(&action.run, &ended);
        Ok(())
    }

    /// An attempt that was begun with a cached result cannot have it: its action is queued again. If the result is `gone`,
    /// it is forgotten.
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

    /// Forgets cached results that nobody has used for long. Returns how many.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn clean_up(&self) -> Result<u64, StoreError> {
        let since = self.clock.now_millis().saturating_sub(UNUSED_RESULTS);
        self.store.delete_unused_results(since, MOST_RESULTS).await
    }

    /// Aborts an action with all that it called; the root action's abort is the run's. `subject` is who did. `false` where
    /// it has ended already, or there is none.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn abort(&self, action: &ActionId, reason: &str, subject: &str) -> Result<bool, StoreError> {
        let ended = self.store.abort_action(action, reason, subject, self.clock.now_millis()).await?;
        self.after(&action.run, &ended);
        Ok(ended.changed)
    }

    /// Answers a condition that waits, with an encoded `flyteidl2.core.Literal`; `false` where it does not.
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

    /// Times out what has taken too long: actions past their deadlines, whose processes are then among
    /// [`Runs::aborted_attempts`], those that waited too long for an attempt, and conditions that nobody has answered. To be
    /// called about once a second.
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

    /// Attempts that have not ended, as a runner that starts finds them.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn running(&self) -> Result<Vec<(ActionId, u32)>, StoreError> {
        self.store.running_attempts().await
    }

    /// Attempts that must be killed, and then [`Runs::ended`]: their actions have ended without them.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn aborted_attempts(&self) -> Result<Vec<(ActionId, u32)>, StoreError> {
        self.store.aborted_attempts().await
    }

    /// Waits until there may be something to claim or to kill. For one runner; what happened since it last waited is not
    /// missed.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn changed(&self) -> Result<(), StoreError> {
        let now = self.clock.now_millis();
        // What is due already waits for room, and room is told.
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

    /// Hears of changes to a run from now on: subscribe, read, wait, read again.
    #[must_use]
    pub fn watch(&self, run: &RunId) -> Watcher {
        self.feed.watch(run)
    }

    /// Hears of changes to any run from now on.
    #[must_use]
    pub fn watch_all(&self) -> Watcher {
        self.feed.watch_all()
    }

    /// Tells of what ended.
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
