//! Runs, their actions, and the attempts at these.
//!
//! A *run* is what somebody started: one task, the root action, and whatever that calls. An *action* is one call of a task,
//! a recorded step of one (a trace), or a wait for a person (a condition). An *attempt* is one process that works on an
//! action. Only `crate::runs` changes what stands here; each change raises the run's version, by which watchers read what is
//! new.

use std::{collections::BTreeMap, fmt};

use async_trait::async_trait;
use bytes::Bytes;

use super::StoreError;
use flyte_model::clock::UnixMillis;
use flyte_model::{Limit, Role};

/// The name of a run's first action, as the published client expects it.
pub const ROOT_ACTION: &str = "a0";

/// Names a run.
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

/// Names an action.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct ActionId {
    /// The run that it belongs to.
    pub run: RunId,
    /// Its name, unique in the run.
    pub name: String,
}

impl ActionId {
    /// The run's first action.
    #[must_use]
    pub fn root(run: RunId) -> Self {
        Self { run, name: ROOT_ACTION.to_owned() }
    }

    /// Whether it is its run's first action.
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

/// Where an action stands; the numbers are those of `flyteidl2.common.ActionPhase`, and are stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Phase {
    /// Waits for the runner.
    Queued = 1,
    /// Waits for the machine to have room.
    WaitingForResources = 2,
    /// The runner prepares it.
    Initializing = 3,
    /// Its process runs.
    Running = 4,
    /// It ended well.
    Succeeded = 5,
    /// It failed for good.
    Failed = 6,
    /// Somebody ended it, or what it was a part of ended.
    Aborted = 7,
    /// It took longer than it may.
    TimedOut = 8,
    /// It waits for a person.
    Paused = 9,
    /// Its result is that of another run's action.
    Recovered = 10,
}

impl Phase {
    /// All of them.
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

    /// The phase with this number; `None` where there is none.
    #[must_use]
    pub fn from_number(number: i64) -> Option<Self> {
        Self::ALL.into_iter().find(|phase| *phase as i64 == number)
    }

    /// Whether nothing comes after it.
    #[must_use]
    pub fn is_terminal(self) -> bool {
        matches!(self, Self::Succeeded | Self::Failed | Self::Aborted | Self::TimedOut | Self::Recovered)
    }
}

/// Who is to blame; the numbers are those of `flyteidl2.core.ExecutionError.ErrorKind`, and are stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FailureKind {
    /// What was run.
    User = 1,
    /// What ran it.
    System = 2,
}

/// Why an attempt or an action did not succeed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    /// Who is to blame.
    pub kind: FailureKind,
    /// What sort of error, such as the name of an exception.
    pub code: String,
    /// What happened, for people.
    pub message: String,
    /// Whether trying again could help.
    pub recoverable: bool,
}

impl Failure {
    /// The longest [`Failure::message`] that is kept, in bytes, without the words that say that it was cut.
    pub const MAX_MESSAGE: usize = 64 << 10;
    /// The longest [`Failure::code`] that is kept, in bytes.
    pub const MAX_CODE: usize = 256;

    /// A failure of what runs tasks; trying again could help.
    #[must_use]
    pub fn system(code: &str, message: String) -> Self {
        Self { kind: FailureKind::System, code: code.to_owned(), message, recoverable: true }
    }

    /// As it is kept: tasks write their errors themselves, as long as they like.
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

/// What an action is; the numbers are those of `flyteidl2.workflow.ActionType`, and are stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ActionKind {
    /// A call of a task.
    Task = 1,
    /// A recorded step of a task.
    Trace = 2,
    /// A wait for a person.
    Condition = 3,
}

/// What kind of principal started a run; stored by number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CreatorKind {
    /// A person.
    Person = 0,
    /// An API key.
    ApiKey = 1,
    /// A job of a trusted CI system.
    Federated = 2,
}

/// Who started a run, and what they could do when they did.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Creator {
    /// `sub`.
    pub subject: String,
    /// What kind of principal that is.
    pub kind: CreatorKind,
    /// Through which client.
    pub client_id: String,
    /// The family of the token that they came with.
    pub family_id: String,
    /// What they could do at most.
    pub role: Role,
    /// Where.
    pub limit: Limit,
}

/// Names a version of a task.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TaskRef {
    /// The project that it is in; may be another than its run's.
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
    /// What it is called.
    pub id: RunId,
    /// Who started it.
    pub creator: Creator,
    /// `flyteidl2.task.RunSpec`, encoded.
    pub spec: Bytes,
    /// Its labels, as they stand in the specification.
    pub labels: BTreeMap<String, String>,
    /// `flyteidl2.workflow.RunSource`.
    pub source: i32,
    /// The trigger that started it, as `task/trigger`.
    pub trigger: Option<String>,
    /// All tokens of its identity; a UUID.
    pub family_id: String,
    /// The prefix that all its actions' inputs and outputs lie under; no slash at the end.
    pub output_base: String,
    /// The most actions of it that are worked on at once; 0 for no limit of its own.
    pub max_concurrency: u32,
    /// When it was started.
    pub created_at: UnixMillis,
    /// When it ended.
    pub ended_at: Option<UnixMillis>,
}

/// How the result of an action is kept for later calls of the same task with the same inputs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Caching {
    /// Names what is computed: a hash of the task, its version and interface, and the inputs.
    pub key: String,
    /// Whether a result that is kept is taken.
    pub lookup: bool,
    /// Whether it waits while another action of the same key is worked on.
    pub serialize: bool,
    /// How old a result may be that it takes, in milliseconds.
    pub max_age: Option<i64>,
}

/// What came of looking for a result in the cache; the numbers are those of `flyteidl2.core.CatalogCacheStatus`, and are
/// stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CacheStatus {
    /// The task's results are not kept.
    Disabled = 0,
    /// No result was there.
    Miss = 1,
    /// The result of another action was taken.
    Hit = 2,
    /// The action's result is kept.
    Populated = 3,
    /// No result was looked for, as the run asked.
    Skipped = 6,
}

impl CacheStatus {
    const ALL: [Self; 5] = [Self::Disabled, Self::Miss, Self::Hit, Self::Populated, Self::Skipped];

    /// The status with this number; `None` if there is none.
    #[must_use]
    pub fn from_number(number: i64) -> Option<Self> {
        Self::ALL.into_iter().find(|status| *status as i64 == number)
    }
}

/// An action about to be added.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewAction {
    /// What it is called.
    pub id: ActionId,
    /// The action that called it; empty for the root.
    pub parent: String,
    /// The group that it is shown in, where it is in one.
    pub group: String,
    /// What it is.
    pub kind: ActionKind,
    /// The task, or under `name` the name of a trace or condition.
    pub task: TaskRef,
    /// The task's type, such as `python`.
    pub task_type: String,
    /// The task's name for display.
    pub short_name: String,
    /// The environment that the task is defined in.
    pub environment: String,
    /// `TaskSpec`, `TraceSpec` or `ConditionAction`, encoded.
    pub spec: Bytes,
    /// Where its inputs are: the native URL of `inputs.pb`.
    pub input_uri: String,
    /// The prefix that `<action>/<attempt>` is put under.
    pub output_base: String,
    /// Where a trace's outputs are.
    pub output_uri: String,
    /// How its result is kept, for tasks whose results are.
    pub caching: Option<Caching>,
    /// Where it begins: queued for a task, paused for a condition, its end for a trace.
    pub phase: Phase,
    /// Why it failed, for a trace that did.
    pub failure: Option<Failure>,
    /// When it began, for a trace.
    pub started_at: Option<UnixMillis>,
    /// When it ended, for a trace.
    pub ended_at: Option<UnixMillis>,
    /// Until when a condition waits, where it does not wait for ever.
    pub waits_until: Option<UnixMillis>,
    /// How long a task waits at most for the beginning of an attempt, in milliseconds.
    pub max_queued: Option<i64>,
    /// How long after its call a task must have ended, in milliseconds.
    pub deadline: Option<i64>,
    /// Who called it: `sub`.
    pub subject: String,
}

/// An action.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Action {
    /// What it is called.
    pub id: ActionId,
    /// The action that called it; empty for the root.
    pub parent: String,
    /// The group that it is shown in, where it is in one.
    pub group: String,
    /// What it is.
    pub kind: ActionKind,
    /// The task, or under `name` the name of a trace or condition.
    pub task: TaskRef,
    /// The task's type.
    pub task_type: String,
    /// The task's name for display.
    pub short_name: String,
    /// The environment that the task is defined in.
    pub environment: String,
    /// Where its inputs are: the native URL of `inputs.pb`.
    pub input_uri: String,
    /// The prefix that `<action>/<attempt>` is put under.
    pub output_base: String,
    /// For a trace where its outputs are, for a task that succeeded the prefix that `outputs.pb` is under.
    pub output_uri: String,
    /// Names what is computed, for tasks whose results are kept.
    pub cache_key: Option<String>,
    /// What came of looking for its result in the cache.
    pub cache_status: CacheStatus,
    /// The prefix of the outputs of the action whose result it takes, or took.
    pub cached_outputs: Option<String>,
    /// Where it stands.
    pub phase: Phase,
    /// How many attempts were begun.
    pub attempts: u32,
    /// How many of them failed through what was run.
    pub user_failures: u32,
    /// How many of them failed through what ran it.
    pub system_failures: u32,
    /// Why it failed, or why the last attempt did where another follows.
    pub failure: Option<Failure>,
    /// Why it was aborted.
    pub abort_reason: Option<String>,
    /// Who aborted it: `sub`; `None` where what it was a part of ended.
    pub aborted_by: Option<String>,
    /// What a condition was answered: `flyteidl2.core.Literal`, encoded.
    pub signal: Option<Bytes>,
    /// Who answered it.
    pub signalled_by: Option<String>,
    /// Who called it: `sub`.
    pub subject: String,
    /// When it was called.
    pub created_at: UnixMillis,
    /// Since when it waits, or last waited, for the runner.
    pub queued_at: UnixMillis,
    /// When its first attempt began.
    pub started_at: Option<UnixMillis>,
    /// When it ended.
    pub ended_at: Option<UnixMillis>,
    /// When it last changed.
    pub updated_at: UnixMillis,
    /// The run's version that it last changed with.
    pub version: i64,
}

impl Action {
    /// The prefix that an attempt's outputs are put under; no slash at the end.
    #[must_use]
    pub fn output_prefix(&self, attempt: u32) -> String {
        format!("{}/{}/{attempt}", self.output_base, self.id.name)
    }
}

/// An attempt at an action.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Attempt {
    /// Its number, from 1.
    pub number: u32,
    /// Where it stands: initializing, running, or its end.
    pub phase: Phase,
    /// Since when its action had waited for it.
    pub queued_at: UnixMillis,
    /// When the runner took it.
    pub claimed_at: UnixMillis,
    /// When its process started.
    pub started_at: Option<UnixMillis>,
    /// When it ended.
    pub ended_at: Option<UnixMillis>,
    /// Why it failed.
    pub failure: Option<Failure>,
}

/// An attempt that the runner has taken and is to work on.
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
    /// The prefix that the attempt's outputs are put under; no slash at the end.
    #[must_use]
    pub fn output_prefix(&self) -> String {
        self.action.output_prefix(self.attempt)
    }
}

/// How an attempt ended, and what follows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AttemptEnd {
    /// The attempt's end.
    pub phase: Phase,
    /// Why it failed.
    pub failure: Option<Failure>,
    /// Where another attempt is to follow: not before this moment.
    pub retry_at: Option<UnixMillis>,
}

/// Which time limit an action has passed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Late {
    /// A condition that nobody has answered.
    Condition,
    /// The action's deadline.
    Deadline,
    /// The wait for an attempt.
    Queue,
}

impl Late {
    /// All of them; an action that has passed several counts under the first.
    pub const ALL: [Self; 3] = [Self::Condition, Self::Deadline, Self::Queue];
}

/// What came of ending something.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Ended {
    /// Whether anything changed.
    pub changed: bool,
    /// The family that was revoked, where the run ended with it.
    pub revoked_family: Option<String>,
}

/// What came of adding an action to a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Enqueued {
    /// It is there now.
    Added,
    /// There was one of that name already; it was left as it is.
    Existing,
    /// There is no such run.
    NoRun,
    /// The run has no such parent action.
    NoParent,
    /// The run, or the parent, has ended.
    ParentEnded,
}

/// What a listing of runs or actions is sorted by; equal values are told apart by age.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum RunSortKey {
    /// By the time of creation.
    #[default]
    CreatedAt,
    /// By the time of the last change.
    UpdatedAt,
    /// By the time of the end; what has not ended comes last.
    EndedAt,
    /// By name.
    Name,
    /// By phase.
    Phase,
    /// By the task's name.
    TaskName,
}

/// What a label must be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LabelCondition {
    /// The label.
    pub key: String,
    /// Its value; `None` for any.
    pub value: Option<String>,
}

/// Which runs to list. An empty or absent condition lets all through.
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
    /// Only runs that wait for a person.
    pub paused_only: bool,
    /// What to sort by.
    pub sort_key: RunSortKey,
    /// Highest first.
    pub descending: bool,
    /// The most runs to return.
    pub limit: u32,
    /// The page token of the page before; empty for the first page.
    pub page_token: String,
}

/// A stretch of time.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Span {
    /// From this moment on.
    pub from: Option<UnixMillis>,
    /// To just before this moment.
    pub to: Option<UnixMillis>,
}

/// Which actions of a run to list. An empty or absent condition lets all through.
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
    /// What to sort by.
    pub sort_key: RunSortKey,
    /// Highest first.
    pub descending: bool,
    /// The most actions to return.
    pub limit: u32,
    /// The page token of the page before; empty for the first page.
    pub page_token: String,
}

/// Storage of runs.
#[async_trait]
pub trait RunStore: Send + Sync + 'static {
    /// Adds a run with its root action, and returns that.
    ///
    /// # Errors
    /// [`StoreError::AlreadyExists`] if there is a run of that name in the domain.
    async fn create_run(&self, run: &Run, root: &NewAction) -> Result<Action, StoreError>;
    /// Adds an action to a run that goes on; what is there already stays as it is.
    async fn enqueue_action(&self, action: &NewAction, now: UnixMillis) -> Result<Enqueued, StoreError>;
    /// The run of this name.
    async fn run_by_id(&self, id: &RunId) -> Result<Option<Run>, StoreError>;
    /// The run whose identity has this family.
    async fn run_by_family(&self, family_id: &str) -> Result<Option<Run>, StoreError>;
    /// The action of this name.
    async fn action_by_id(&self, id: &ActionId) -> Result<Option<Action>, StoreError>;
    /// The action's `TaskSpec`, `TraceSpec` or `ConditionAction`, encoded.
    async fn action_spec(&self, id: &ActionId) -> Result<Option<Bytes>, StoreError>;
    /// The attempts at an action, the first one first.
    async fn attempts(&self, id: &ActionId) -> Result<Vec<Attempt>, StoreError>;
    /// The run's actions that changed with a version above `after`, only those that `parent` called where one is given, in
    /// the order of their last changes; at most `limit`.
    async fn actions_since(
        &self,
        run: &RunId,
        parent: Option<&str>,
        after: i64,
        limit: u32,
    ) -> Result<Vec<Action>, StoreError>;
    /// A page of runs, each with its root action, and the next page's token, empty on the last page.
    ///
    /// # Errors
    /// [`StoreError::InvalidPageToken`] for a token of another listing.
    async fn list_runs(&self, query: &RunQuery) -> Result<(Vec<(Run, Action)>, String), StoreError>;
    /// A page of a run's actions and the next page's token, empty on the last page.
    ///
    /// # Errors
    /// [`StoreError::InvalidPageToken`] for a token of another listing.
    async fn list_actions(
        &self,
        run: &RunId,
        query: &ActionQuery,
    ) -> Result<(Vec<Action>, String), StoreError>;
    /// How many of an action's children are in which phase.
    async fn count_children(&self, id: &ActionId) -> Result<Vec<(Phase, u32)>, StoreError>;
    /// Begins attempts at queued tasks, so that no more than `slots` are worked on at once. An action with children that have
    /// not ended waits for them and takes no slot, nor does one that takes a cached result ([`Action::cached_outputs`]).
    ///
    /// The next slot goes to the person who has the fewest, then to whoever was served longest ago; among their runs in the
    /// same way; and within a run in the order of calls. Of eight slots or more the last goes only to a person who has none,
    /// and the one before it only to a run that has none; of four or more the last goes only to a run that has none.
    async fn claim_actions(&self, slots: u32, now: UnixMillis) -> Result<Vec<QueuedAttempt>, StoreError>;
    /// When the next queued task may be claimed at the earliest, room provided; `None` where none is queued.
    async fn next_claim_at(&self) -> Result<Option<UnixMillis>, StoreError>;
    /// Notes that an attempt's process has started; `false` where the attempt has ended or there is none.
    async fn start_attempt(&self, id: &ActionId, attempt: u32, now: UnixMillis) -> Result<bool, StoreError>;
    /// Ends an attempt, and with it its action, unless another one is to follow or the action has ended already. Where an
    /// action ends, what it called and has not ended is aborted; where the root ends, so does the run, and the run's family
    /// is revoked. Nothing changes where the attempt has ended.
    async fn end_attempt(
        &self,
        id: &ActionId,
        attempt: u32,
        end: &AttemptEnd,
        now: UnixMillis,
    ) -> Result<Ended, StoreError>;
    /// Ends an attempt and its action with the cached result that it was begun with.
    async fn take_cached(&self, id: &ActionId, attempt: u32, now: UnixMillis) -> Result<Ended, StoreError>;
    /// Queues an action again whose attempt was begun with a cached result that cannot be had; the attempt has not been. If
    /// the result is `gone`, no other action takes it either. `false` if the attempt or the action has ended.
    async fn give_up_cached(
        &self,
        id: &ActionId,
        attempt: u32,
        gone: bool,
        now: UnixMillis,
    ) -> Result<bool, StoreError>;
    /// Forgets cached results that were not used since `since`, and those used longest ago beyond the `most` latest. Returns
    /// how many.
    async fn delete_unused_results(&self, since: UnixMillis, most: u32) -> Result<u64, StoreError>;
    /// Aborts an action that has not ended, with all that it called, by `subject`. Attempts at them stay to be ended by who
    /// works on them, see [`RunStore::aborted_attempts`]. Nothing changes where the action has ended or there is none.
    async fn abort_action(
        &self,
        id: &ActionId,
        reason: &str,
        subject: &str,
        now: UnixMillis,
    ) -> Result<Ended, StoreError>;
    /// Answers a condition that waits; `false` where it does not.
    async fn signal_action(
        &self,
        id: &ActionId,
        value: &Bytes,
        subject: &str,
        now: UnixMillis,
    ) -> Result<bool, StoreError>;
    /// The actions that have passed a time limit but have not ended, each with the limit's length in milliseconds.
    async fn late_actions(&self, now: UnixMillis) -> Result<Vec<(ActionId, Late, i64)>, StoreError>;
    /// Times out an action, as [`RunStore::abort_action`] aborts one. Nothing changes if it has ended or is no longer late.
    async fn time_out_action(
        &self,
        id: &ActionId,
        late: Late,
        failure: Option<&Failure>,
        now: UnixMillis,
    ) -> Result<Ended, StoreError>;
    /// Attempts that have not ended.
    async fn running_attempts(&self) -> Result<Vec<(ActionId, u32)>, StoreError>;
    /// Attempts that have not ended although their actions have: they are to be killed.
    async fn aborted_attempts(&self) -> Result<Vec<(ActionId, u32)>, StoreError>;
}
