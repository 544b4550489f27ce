//! Queries for runs and actions.

use flyte_model::{Limit, clock::UnixMillis};

use super::{ActionKind, Phase};

/// A query for runs. Empty or absent conditions match all runs.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RunQuery {
    /// Only what is in one of these parts of the control plane: what the caller may see. `None` for everything.
    pub only_in: Option<Vec<Limit>>,
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

/// A period of time.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Span {
    /// The inclusive start.
    pub from: Option<UnixMillis>,
    /// The exclusive end.
    pub to: Option<UnixMillis>,
}
