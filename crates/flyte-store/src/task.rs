//! Deployed tasks. Versions never change; of each name, the version deployed last is the latest.

use async_trait::async_trait;
use aws_lc_rs::digest;

use super::{Condition, NewTrigger, StoreError};
use flyte_model::Actor;
use flyte_model::{Limit, clock::UnixTime};

/// The identifier of a version of a task.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TaskId {
    /// The project of the task.
    pub project: String,
    /// The domain of the project.
    pub domain: String,
    /// The task's name, for example `environment.function`.
    pub name: String,
    /// The version.
    pub version: String,
}

/// A version of a task, without its specification.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Task {
    /// The identifier.
    pub id: TaskId,
    /// The name without its environment.
    pub short_name: String,
    /// The environment of the task.
    pub environment: String,
    /// A description of one line.
    pub short_description: String,
    /// Whether the task is meant to be started directly.
    pub entrypoint: bool,
    /// The principal that deployed it.
    pub deployed_by: Actor,
    /// The time of the deployment.
    pub deployed_at: UnixTime,
}

/// A version of a task that is about to be deployed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewTask {
    /// Everything except the specification.
    pub task: Task,
    /// SHA-256 of the specification's content; all encodings of it have the same digest.
    pub digest: [u8; 32],
    /// The encoded `flyteidl2.task.TaskSpec`.
    pub spec: Vec<u8>,
}

/// A version of a task, with its specification.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeployedTask {
    /// Everything except the specification.
    pub task: Task,
    /// The encoded `flyteidl2.task.TaskSpec`.
    pub spec: Vec<u8>,
    /// The task's triggers, for all versions.
    pub triggers: TriggersSummary,
}

/// A task in a listing: the latest version.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ListedTask {
    /// The latest version.
    pub task: Task,
    /// The task's triggers, for all versions.
    pub triggers: TriggersSummary,
}

/// The triggers of a task.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TriggersSummary {
    /// The number of triggers.
    pub total: u32,
    /// The number of active triggers.
    pub active: u32,
    /// Name and encoded `flyteidl2.task.TriggerAutomationSpec`, if the task has exactly one trigger.
    pub only: Option<(String, Vec<u8>)>,
}

/// The result of deploying a task.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Deployed {
    /// The version was added and is the latest one.
    New,
    /// The version existed with the same specification, and keeps its position in the order.
    Same,
    /// The version existed with another specification. Nothing has changed, and the triggers have not changed either.
    Different,
}

/// The fields by which tasks can be listed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TaskField {
    /// The name.
    Name,
    /// The latest version.
    Version,
    /// The name without the environment.
    ShortName,
    /// The environment.
    Environment,
    /// The subject that deployed the latest version.
    DeployedBy,
    /// The time at which the latest version was deployed.
    DeployedAt,
}

/// A query for tasks.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TaskQuery {
    /// Only what is in one of these parts of the control plane: what the caller may see. `None` for everything.
    pub only_in: Option<Vec<Limit>>,
    /// Only tasks of this project.
    pub project: Option<String>,
    /// Only tasks of this domain.
    pub domain: Option<String>,
    /// Conditions that each task must meet.
    pub conditions: Vec<Condition<TaskField>>,
    /// Only tasks that are, or are not, meant to be started directly.
    pub entrypoint: Option<bool>,
    /// Whether to sort by name, in place of the deployment of the latest version.
    pub by_name: bool,
    /// Whether to sort in descending order.
    pub descending: bool,
    /// The most tasks to return.
    pub limit: u32,
    /// The page token of the previous page; empty for the first page.
    pub page_token: String,
}

/// A query for the versions of a task, sorted by deployment.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TaskVersionQuery {
    /// The task's project.
    pub project: String,
    /// The task's domain.
    pub domain: String,
    /// The task's name.
    pub name: String,
    /// Conditions that each version must meet. [`TaskField::Version`] and the fields of the deployment refer to the
    /// version itself.
    pub conditions: Vec<Condition<TaskField>>,
    /// Whether the latest deployment comes first.
    pub descending: bool,
    /// The most versions to return.
    pub limit: u32,
    /// The page token of the previous page; empty for the first page.
    pub page_token: String,
}

/// Storage of tasks.
#[async_trait]
pub trait TaskStore: Send + Sync + 'static {
    /// Adds a version of a task. If `triggers` is not empty, the task gets exactly these triggers, and others are
    /// removed. An existing version with the same digest does not change. If the digest differs, neither the version
    /// nor the triggers change.
    async fn deploy_task(&self, task: &NewTask, triggers: &[NewTrigger]) -> Result<Deployed, StoreError>;
    /// Returns this version of the task.
    async fn task_by_id(&self, id: &TaskId) -> Result<Option<DeployedTask>, StoreError>;
    /// Returns the latest version of the task.
    async fn latest_task(
        &self,
        project: &str,
        domain: &str,
        name: &str,
    ) -> Result<Option<DeployedTask>, StoreError>;
    /// Returns a page of tasks, each once with its latest version, and the next page's token, which is empty on the
    /// last page.
    ///
    /// # Errors
    /// [`StoreError::InvalidPageToken`] for a token of another listing.
    async fn list_tasks(&self, query: &TaskQuery) -> Result<(Vec<ListedTask>, String), StoreError>;
    /// Returns the number of tasks on all pages of the listing.
    async fn count_tasks(&self, query: &TaskQuery) -> Result<u32, StoreError>;
    /// Returns a page of a task's versions and the next page's token, which is empty on the last page.
    ///
    /// # Errors
    /// [`StoreError::InvalidPageToken`] for a token of another listing.
    async fn list_task_versions(&self, query: &TaskVersionQuery) -> Result<(Vec<Task>, String), StoreError>;
}

/// Returns SHA-256 of a specification. `canonical` is its canonical form (`flyte_idl::canonical`), because encodings
/// can have the entries of maps in any order.
#[must_use]
pub fn task_digest(canonical: &[u8]) -> [u8; 32] {
    let mut hash = [0; 32];
    hash.copy_from_slice(digest::digest(&digest::SHA256, canonical).as_ref());
    hash
}
