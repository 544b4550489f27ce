//! Runs, their actions, and the attempts at the actions.
//!
//! A *run* is what a principal started: one task, the root action, and everything that this task calls. An *action* is
//! one call of a task, a recorded step of a task (a trace), or a wait for a user's answer (a condition). An *attempt*
//! is one process that works on an action. Only the code that owns the life of runs changes these records. Each change
//! increments the run's version, and watchers use the version to read what is new.

use std::{collections::BTreeMap, fmt};

use async_trait::async_trait;
use bytes::Bytes;

use super::StoreError;
use flyte_model::clock::UnixMillis;
use flyte_model::{Limit, Role};

/// The name of a run's first action, which the published client expects.
pub const ROOT_ACTION: &str = "a0";

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

/// The identifier of an action.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ActionId {
    /// The run that it belongs to.
    pub run: RunId,
    /// Its name, unique in the run.
    pub name: String,
}

impl ActionId {
    /// Returns the identifier of the run's first action.
    #[must_use]
    pub fn root(run: RunId) -> Self {
        Self { run, name: ROOT_ACTION.to_owned() }
    }

    /// Returns whether this is the run's first action.
    #[must_use]
    pub fn is_root(&self) -> bool {
        self.name == ROOT_ACTION
    }
}

impl fmt::Display for ActionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.run, self.name)
    }
}

/// The phase of an action. The numbers are those of `flyteidl2.common.ActionPhase`, and are stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Phase {
    /// It waits for the runner.
    Queued = 1,
    /// It waits for free resources on the machine.
    WaitingForResources = 2,
    /// The runner prepares it.
    Initializing = 3,
    /// Its process runs.
    Running = 4,
    /// It succeeded.
    Succeeded = 5,
    /// It failed and is not retried.
    Failed = 6,
    /// It was ended by a principal, or because the action above it ended.
    Aborted = 7,
    /// It exceeded its time limit.
    TimedOut = 8,
    /// It waits for a user's answer.
    Paused = 9,
    /// It has the result of another run's action.
    Recovered = 10,
}

impl Phase {
    /// All phases.
    pub const ALL: [Self; 10] = [
        Self::Queued,
        Self::WaitingForResources,
        Self::Initializing,
        Self::Running,
        Self::Succeeded,
        Self::Failed,
        Self::Aborted,
        Self::TimedOut,
        Self::Paused,
        Self::Recovered,
    ];

    /// Returns the phase with this number, or `None` if no phase has it.
    #[must_use]
    pub fn from_number(number: i64) -> Option<Self> {
        Self::ALL.into_iter().find(|phase| *phase as i64 == number)
    }

    /// Returns whether this phase is final.
    #[must_use]
    pub fn is_terminal(self) -> bool {
        matches!(self, Self::Succeeded | Self::Failed | Self::Aborted | Self::TimedOut | Self::Recovered)
    }
}

/// The origin of a failure. The numbers are those of `flyteidl2.core.ExecutionError.ErrorKind`, and are stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FailureKind {
    /// The user's code.
    User = 1,
    /// The system that runs the code.
    System = 2,
}

/// The reason why an attempt or an action did not succeed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    /// The origin of the failure.
    pub kind: FailureKind,
    /// The sort of error, for example the name of an exception.
    pub code: String,
    /// The message, for people.
    pub message: String,
    /// Whether a retry could help.
    pub recoverable: bool,
}

impl Failure {
    /// The longest [`Failure::message`] that is stored, in bytes, without the note that the message was cut.
    pub const MAX_MESSAGE: usize = 64 << 10;
    /// The longest [`Failure::code`] that is stored, in bytes.
    pub const MAX_CODE: usize = 256;

    /// Creates a failure of the system that runs tasks; a retry could help.
    #[must_use]
    pub fn system(code: &str, message: String) -> Self {
        Self { kind: FailureKind::System, code: code.to_owned(), message, recoverable: true }
    }

    /// Cuts the failure to the stored lengths. Tasks write their errors themselves, of any length.
    #[must_use]
    pub fn cut(mut self) -> Self {
        self.code.truncate(self.code.floor_char_boundary(Self::MAX_CODE));
        let length = self.message.len();
        if length > Self::MAX_MESSAGE {
            self.message.truncate(self.message.floor_char_boundary(Self::MAX_MESSAGE));
            self.message.push_str(&format!("\n[cut: the whole message is {length} bytes long]"));
            self.message.shrink_to_fit();
        }
        self
    }
}

/// The kind of an action. The numbers are those of `flyteidl2.workflow.ActionType`, and are stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ActionKind {
    /// A call of a task.
    Task = 1,
    /// A recorded step of a task.
    Trace = 2,
    /// A wait for a user's answer.
    Condition = 3,
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
    pub client_id: String,
    /// The family of its token.
    pub family_id: String,
    /// Its role.
    pub role: Role,
    /// Its part of the control plane.
    pub limit: Limit,
}

/// The identifier of a version of a task.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TaskRef {
    /// The project of the task, which can differ from the run's.
    pub project: String,
    /// The domain of that project.
    pub domain: String,
    /// Its name.
    pub name: String,
    /// Its version.
    pub version: String,
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

/// How the result of an action is cached for later calls of the same task with the same inputs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Caching {
    /// The cache key: a hash of the task, its version and interface, and the inputs.
    pub key: String,
    /// Whether a cached result may be used.
    pub lookup: bool,
    /// Whether the action waits while another action with the same key is worked on.
    pub serialize: bool,
    /// The maximum age of a cached result, in milliseconds.
    pub max_age: Option<i64>,
}

/// The result of the cache lookup. The numbers are those of `flyteidl2.core.CatalogCacheStatus`, and are stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CacheStatus {
    /// The task's results are not cached.
    Disabled = 0,
    /// The cache had no result.
    Miss = 1,
    /// The result of another action was used.
    Hit = 2,
    /// The action's result was put into the cache.
    Populated = 3,
    /// The lookup was skipped because the run asked for it.
    Skipped = 6,
}

impl CacheStatus {
    const ALL: [Self; 5] = [Self::Disabled, Self::Miss, Self::Hit, Self::Populated, Self::Skipped];

    /// Returns the status with this number, or `None` if no status has it.
    #[must_use]
    pub fn from_number(number: i64) -> Option<Self> {
        Self::ALL.into_iter().find(|status| *status as i64 == number)
    }
}

/// An action that is about to be added.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewAction {
    /// The identifier.
    pub id: ActionId,
    /// The name of the action that called it; empty for the root.
    pub parent: String,
    /// The group that the action is displayed in; empty if there is none.
    pub group: String,
    /// The kind of action.
    pub kind: ActionKind,
    /// The task. For a trace or a condition, `name` is its name.
    pub task: TaskRef,
    /// The task's type, for example `python`.
    pub task_type: String,
    /// The task's name for display.
    pub short_name: String,
    /// The environment that the task is defined in.
    pub environment: String,
    /// `TaskSpec`, `TraceSpec` or `ConditionAction`, encoded.
    pub spec: Bytes,
    /// The native URL of its `inputs.pb`.
    pub input_uri: String,
    /// The prefix of `<action>/<attempt>`.
    pub output_base: String,
    /// The location of a trace's outputs.
    pub output_uri: String,
    /// How its result is cached; `None` if it is not cached.
    pub caching: Option<Caching>,
    /// The first phase: queued for a task, paused for a condition, a final phase for a trace.
    pub phase: Phase,
    /// The failure of a failed trace.
    pub failure: Option<Failure>,
    /// The time at which a trace began.
    pub started_at: Option<UnixMillis>,
    /// The time at which a trace ended.
    pub ended_at: Option<UnixMillis>,
    /// The time until which a condition waits; `None` for no limit.
    pub waits_until: Option<UnixMillis>,
    /// The longest wait for the beginning of an attempt, in milliseconds.
    pub max_queued: Option<i64>,
    /// The deadline of a task, in milliseconds after its call.
    pub deadline: Option<i64>,
    /// The principal that called it: `sub`.
    pub subject: String,
}

/// An action.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Action {
    /// The identifier.
    pub id: ActionId,
    /// The name of the action that called it; empty for the root.
    pub parent: String,
    /// The group that the action is displayed in; empty if there is none.
    pub group: String,
    /// The kind of action.
    pub kind: ActionKind,
    /// The task. For a trace or a condition, `name` is its name.
    pub task: TaskRef,
    /// The task's type.
    pub task_type: String,
    /// The task's name for display.
    pub short_name: String,
    /// The environment that the task is defined in.
    pub environment: String,
    /// The native URL of its `inputs.pb`.
    pub input_uri: String,
    /// The prefix of `<action>/<attempt>`.
    pub output_base: String,
    /// For a trace, the location of its outputs. For a task that succeeded, the prefix of `outputs.pb`.
    pub output_uri: String,
    /// The cache key; `None` if the task's results are not cached.
    pub cache_key: Option<String>,
    /// The result of the cache lookup.
    pub cache_status: CacheStatus,
    /// The prefix of the outputs of the action whose cached result this one uses.
    pub cached_outputs: Option<String>,
    /// The current phase.
    pub phase: Phase,
    /// The number of attempts that were begun.
    pub attempts: u32,
    /// The number of attempts that failed because of the user's code.
    pub user_failures: u32,
    /// The number of attempts that failed because of the system.
    pub system_failures: u32,
    /// The failure of the action or, if another attempt follows, of the last attempt.
    pub failure: Option<Failure>,
    /// The reason for aborting it.
    pub abort_reason: Option<String>,
    /// The principal that aborted it: `sub`. It is `None` if the action ended because the action above it ended.
    pub aborted_by: Option<String>,
    /// The answer to a condition: `flyteidl2.core.Literal`, encoded.
    pub signal: Option<Bytes>,
    /// The principal that answered the condition.
    pub signalled_by: Option<String>,
    /// The principal that called it: `sub`.
    pub subject: String,
    /// The time of the call.
    pub created_at: UnixMillis,
    /// The time since which it waits, or last waited, for the runner.
    pub queued_at: UnixMillis,
    /// The time at which its first attempt began.
    pub started_at: Option<UnixMillis>,
    /// The time at which it ended.
    pub ended_at: Option<UnixMillis>,
    /// The time of the last change.
    pub updated_at: UnixMillis,
    /// The run's version at the last change.
    pub version: i64,
}

impl Action {
    /// Returns the prefix of an attempt's outputs, without a slash at the end.
    #[must_use]
    pub fn output_prefix(&self, attempt: u32) -> String {
        format!("{}/{}/{attempt}", self.output_base, self.id.name)
    }
}

/// An attempt at an action.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Attempt {
    /// The number, from 1.
    pub number: u32,
    /// The phase: initializing, running, or a final phase.
    pub phase: Phase,
    /// The time since which the action waited for this attempt.
    pub queued_at: UnixMillis,
    /// The time at which the runner claimed it.
    pub claimed_at: UnixMillis,
    /// The time at which its process started.
    pub started_at: Option<UnixMillis>,
    /// The time at which it ended.
    pub ended_at: Option<UnixMillis>,
    /// The failure, if it failed.
    pub failure: Option<Failure>,
}

/// An attempt that the runner has claimed and must work on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct QueuedAttempt {
    /// The action.
    pub action: Action,
    /// The attempt's number, from 1.
    pub attempt: u32,
    /// `flyteidl2.task.TaskSpec`, encoded.
    pub spec: Bytes,
    /// The run: its specification, creator, family and start.
    pub run: Run,
}

impl QueuedAttempt {
    /// Returns the prefix of the attempt's outputs, without a slash at the end.
    #[must_use]
    pub fn output_prefix(&self) -> String {
        self.action.output_prefix(self.attempt)
    }
}

/// The end of an attempt, and what follows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AttemptEnd {
    /// The final phase of the attempt.
    pub phase: Phase,
    /// The failure, if it failed.
    pub failure: Option<Failure>,
    /// The earliest time of the next attempt; `None` if there is none.
    pub retry_at: Option<UnixMillis>,
}

/// The time limit that an action has exceeded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Overdue {
    /// A condition that no user has answered.
    Condition,
    /// The action's deadline.
    Deadline,
    /// The wait for an attempt.
    Queue,
}

impl Overdue {
    /// All limits. If an action exceeds several, the first in this list counts.
    pub const ALL: [Self; 3] = [Self::Condition, Self::Deadline, Self::Queue];
}

/// The result of ending something.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Ended {
    /// Whether anything changed.
    pub changed: bool,
    /// The family that was revoked because the run ended too.
    pub revoked_family: Option<String>,
}

/// The result of adding an action to a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Enqueued {
    /// The action was added.
    Added,
    /// An action of that name already existed and was not changed.
    Existing,
    /// The run does not exist.
    NoRun,
    /// The run has no such parent action.
    NoParent,
    /// The run, or the parent, has ended.
    ParentEnded,
}

/// The sort key of a listing of runs or actions; items with equal values are sorted by age.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum RunSortKey {
    /// The time of creation.
    #[default]
    CreatedAt,
    /// The time of the last change.
    UpdatedAt,
    /// The time of the end; items that have not ended come last.
    EndedAt,
    /// The name.
    Name,
    /// The phase.
    Phase,
    /// The task's name.
    TaskName,
}

/// A condition on a label.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LabelCondition {
    /// The label.
    pub key: String,
    /// The value; `None` for any value.
    pub value: Option<String>,
}

/// A query for runs. Empty or absent conditions match all runs.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RunQuery {
    /// Only runs in this project.
    pub project: Option<String>,
    /// Only runs in this domain.
    pub domain: Option<String>,
    /// Only the run of this name.
    pub name: Option<String>,
    /// Only runs whose root action is in one of these phases.
    pub phases: Vec<Phase>,
    /// Only runs whose root action is in none of these phases.
    pub phases_not: Vec<Phase>,
    /// Only runs of the task of this name.
    pub task_name: Option<String>,
    /// Only runs of tasks of this version.
    pub task_version: Option<String>,
    /// Only runs that this subject started.
    pub created_by: Option<String>,
    /// Only runs that this trigger started, as `task/trigger`.
    pub trigger: Option<String>,
    /// Only runs created in this span.
    pub created: Span,
    /// Only runs last changed in this span.
    pub updated: Span,
    /// Only runs with these labels.
    pub labels: Vec<LabelCondition>,
    /// Only runs that wait for a user's answer.
    pub paused_only: bool,
    /// The sort key.
    pub sort_key: RunSortKey,
    /// Whether to sort in descending order.
    pub descending: bool,
    /// The most runs to return.
    pub limit: u32,
    /// The page token of the previous page; empty for the first page.
    pub page_token: String,
}

/// A period of time.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Span {
    /// The inclusive start.
    pub from: Option<UnixMillis>,
    /// The exclusive end.
    pub to: Option<UnixMillis>,
}

/// A query for actions of a run. Empty or absent conditions match all actions.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ActionQuery {
    /// Only actions in one of these phases.
    pub phases: Vec<Phase>,
    /// Only actions in none of these phases.
    pub phases_not: Vec<Phase>,
    /// Only actions that this one called.
    pub parent: Option<String>,
    /// Only actions of this kind.
    pub kind: Option<ActionKind>,
    /// Only the action of this name.
    pub name: Option<String>,
    /// Only calls of the task of this name.
    pub task_name: Option<String>,
    /// Only actions created in this span.
    pub created: Span,
    /// Only actions last changed in this span.
    pub updated: Span,
    /// The sort key.
    pub sort_key: RunSortKey,
    /// Whether to sort in descending order.
    pub descending: bool,
    /// The most actions to return.
    pub limit: u32,
    /// The page token of the previous page; empty for the first page.
    pub page_token: String,
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
