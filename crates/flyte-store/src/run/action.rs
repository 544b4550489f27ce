//! Actions: calls of tasks, recorded steps, and waits for answers.

use std::fmt;

use bytes::Bytes;
use flyte_model::clock::UnixMillis;

use super::{CacheStatus, Caching, Failure, Phase, RunId};

/// The name of a run's first action, which the published client expects.
pub const ROOT_ACTION: &str = "a0";

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
