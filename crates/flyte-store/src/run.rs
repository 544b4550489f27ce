//! Runs, their actions, and the attempts at the actions.
//!
//! A *run* is what a principal started: one task, the root action, and everything that this task calls. An *action* is
//! one call of a task, a recorded step of a task (a trace), or a wait for a user's answer (a condition). An *attempt*
//! is one process that works on an action. Only the code that owns the life of runs changes these records. Each change
//! increments the run's version, and watchers use the version to read what is new.

mod action;
mod attempt;
mod cache;
mod failure;
mod phase;
mod query;

use std::{collections::BTreeMap, fmt};

use async_trait::async_trait;
use bytes::Bytes;

pub use self::{
    action::{Action, ActionId, ActionKind, Enqueued, NewAction, Overdue, ROOT_ACTION, TaskRef},
    attempt::{Attempt, AttemptEnd, QueuedAttempt},
    cache::{CacheStatus, Caching},
    failure::{Failure, FailureKind},
    phase::Phase,
    query::{ActionQuery, LabelCondition, RunQuery, RunSortKey, Span},
};
use super::StoreError;
use flyte_model::{ClientId, Limit, Role, clock::UnixMillis};

/// The identifier of a run.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct RunId {
    /// The project that it runs in.
    pub project: String,
    /// The domain of that project.
    pub domain: String,
    /// Its name, unique in the domain.
    pub name: String,
}

impl fmt::Display for RunId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}/{}", self.project, self.domain, self.name)
    }
}

/// The kind of principal that started a run; the number is stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CreatorKind {
    /// A user.
    Person = 0,
    /// An API key.
    ApiKey = 1,
    /// A job of a trusted CI system.
    Federated = 2,
}

/// The principal that started a run, and its rights at that time.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Creator {
    /// `sub`.
    pub subject: String,
    /// The kind of principal.
    pub kind: CreatorKind,
    /// The client that it used.
    pub client_id: ClientId,
    /// The family of its token.
    pub family_id: String,
    /// Its role.
    pub role: Role,
    /// Its part of the control plane.
    pub limit: Limit,
}

/// A run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Run {
    /// The identifier.
    pub id: RunId,
    /// The principal that started it.
    pub creator: Creator,
    /// `flyteidl2.task.RunSpec`, encoded.
    pub spec: Bytes,
    /// Its labels, as in the specification.
    pub labels: BTreeMap<String, String>,
    /// `flyteidl2.workflow.RunSource`.
    pub source: i32,
    /// The trigger that started it, as `task/trigger`.
    pub trigger: Option<String>,
    /// The family of all tokens of the run's identity; a UUID.
    pub family_id: String,
    /// The prefix of the inputs and outputs of all its actions, without a slash at the end.
    pub output_base: String,
    /// The most actions of the run that are worked on at the same time; 0 for no limit.
    pub max_concurrency: u32,
    /// The time at which it was started.
    pub created_at: UnixMillis,
    /// The time at which it ended.
    pub ended_at: Option<UnixMillis>,
}

/// The result of ending something.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Ended {
    /// Whether anything changed.
    pub changed: bool,
    /// The family that was revoked because the run ended too.
    pub revoked_family: Option<String>,
}

/// Storage of runs.
#[async_trait]
pub trait RunStore: Send + Sync + 'static {
    /// Adds a run with its root action, and returns that action.
    ///
    /// # Errors
    /// [`StoreError::AlreadyExists`] if the domain has a run of that name.
    async fn create_run(&self, run: &Run, root: &NewAction) -> Result<Action, StoreError>;
    /// Adds an action to a run that has not ended. An existing action of that name does not change.
    async fn enqueue_action(&self, action: &NewAction, now: UnixMillis) -> Result<Enqueued, StoreError>;
    /// Returns the run of this name.
    async fn run_by_id(&self, id: &RunId) -> Result<Option<Run>, StoreError>;
    /// Returns the run whose identity has this family.
    async fn run_by_family(&self, family_id: &str) -> Result<Option<Run>, StoreError>;
    /// Returns the action of this name.
    async fn action_by_id(&self, id: &ActionId) -> Result<Option<Action>, StoreError>;
    /// Returns the action's `TaskSpec`, `TraceSpec` or `ConditionAction`, encoded.
    async fn action_spec(&self, id: &ActionId) -> Result<Option<Bytes>, StoreError>;
    /// Returns the attempts at an action, the first one first.
    async fn attempts(&self, id: &ActionId) -> Result<Vec<Attempt>, StoreError>;
    /// Returns at most `limit` of the run's actions that changed with a version above `after`, in the order of their
    /// last changes. With `parent`, it returns only actions that this one called.
    async fn actions_since(
        &self,
        run: &RunId,
        parent: Option<&str>,
        after: i64,
        limit: u32,
    ) -> Result<Vec<Action>, StoreError>;
    /// Returns a page of runs, each with its root action, and the next page's token, which is empty on the last page.
    ///
    /// # Errors
    /// [`StoreError::InvalidPageToken`] for a token of another listing.
    async fn list_runs(&self, query: &RunQuery) -> Result<(Vec<(Run, Action)>, String), StoreError>;
    /// Returns a page of a run's actions and the next page's token, which is empty on the last page.
    ///
    /// # Errors
    /// [`StoreError::InvalidPageToken`] for a token of another listing.
    async fn list_actions(
        &self,
        run: &RunId,
        query: &ActionQuery,
    ) -> Result<(Vec<Action>, String), StoreError>;
    /// Returns the number of an action's children in each phase.
    async fn count_children(&self, id: &ActionId) -> Result<Vec<(Phase, u32)>, StoreError>;
    /// Begins attempts at queued tasks, so that at most `slots` attempts are worked on at the same time. An action with
    /// unfinished children waits for them and takes no slot. An action that uses a cached result
    /// ([`Action::cached_outputs`]) takes no slot either.
    ///
    /// The next slot goes to the principal with the fewest slots, and among equals to the one served longest ago. The
    /// same rule applies to that principal's runs. Within a run, the order of calls decides. With eight or more slots,
    /// the last is reserved for principals without a slot, and the one before it for runs without a slot. With four to
    /// seven, the last is reserved for runs without a slot.
    async fn claim_actions(&self, slots: u32, now: UnixMillis) -> Result<Vec<QueuedAttempt>, StoreError>;
    /// Returns the earliest time at which a queued task may be claimed if a slot is free, or `None` if no task is
    /// queued.
    async fn next_claim_at(&self) -> Result<Option<UnixMillis>, StoreError>;
    /// Records that an attempt's process has started. Returns `false` if the attempt has ended or does not exist.
    async fn start_attempt(&self, id: &ActionId, attempt: u32, now: UnixMillis) -> Result<bool, StoreError>;
    /// Ends an attempt. The action ends too, unless another attempt follows or the action has already ended. When an
    /// action ends, the unfinished actions that it called are aborted. When the root ends, the run ends and its family
    /// is revoked. Nothing changes if the attempt has already ended.
    async fn end_attempt(
        &self,
        id: &ActionId,
        attempt: u32,
        end: &AttemptEnd,
        now: UnixMillis,
    ) -> Result<Ended, StoreError>;
    /// Ends an attempt and its action with the cached result that the attempt was begun with.
    async fn take_cached(&self, id: &ActionId, attempt: u32, now: UnixMillis) -> Result<Ended, StoreError>;
    /// Queues an action again if the cached result of its attempt cannot be read; that attempt does not count. If the
    /// result is `gone`, no other action uses it either. Returns `false` if the attempt or the action has ended.
    async fn requeue_uncached(
        &self,
        id: &ActionId,
        attempt: u32,
        gone: bool,
        now: UnixMillis,
    ) -> Result<bool, StoreError>;
    /// Removes cached results that were not used since `since`, and all but the `most` that were used last. Returns
    /// their number.
    async fn delete_unused_results(&self, since: UnixMillis, most: u32) -> Result<u64, StoreError>;
    /// Aborts an unfinished action, with all that it called, for `subject`. Their attempts stay until the process that
    /// works on them ends them; see [`RunStore::aborted_attempts`]. Nothing changes if the action has ended or does not
    /// exist.
    async fn abort_action(
        &self,
        id: &ActionId,
        reason: &str,
        subject: &str,
        now: UnixMillis,
    ) -> Result<Ended, StoreError>;
    /// Answers a condition that waits. Returns `false` if it does not wait.
    async fn signal_action(
        &self,
        id: &ActionId,
        value: &Bytes,
        subject: &str,
        now: UnixMillis,
    ) -> Result<bool, StoreError>;
    /// Returns the unfinished actions that have exceeded a time limit, each with the limit's length in milliseconds.
    async fn overdue_actions(&self, now: UnixMillis) -> Result<Vec<(ActionId, Overdue, i64)>, StoreError>;
    /// Times out an action, in the way of [`RunStore::abort_action`]. Nothing changes if it has ended or is not
    /// overdue.
    async fn time_out_action(
        &self,
        id: &ActionId,
        overdue: Overdue,
        failure: Option<&Failure>,
        now: UnixMillis,
    ) -> Result<Ended, StoreError>;
    /// Returns the attempts that have not ended.
    async fn running_attempts(&self) -> Result<Vec<(ActionId, u32)>, StoreError>;
    /// Returns the unfinished attempts whose actions have ended. Their processes must be killed.
    async fn aborted_attempts(&self) -> Result<Vec<(ActionId, u32)>, StoreError>;
}
