//! Deployed tasks: versions that never change, and of each name the one deployed last.

use async_trait::async_trait;
use aws_lc_rs::digest;

use super::{Condition, NewTrigger, StoreError};
use flyte_model::Actor;
use flyte_model::clock::UnixTime;

/// Which version of which task.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TaskId {
    /// The project that it is in.
    pub project: String,
    /// The domain of the project.
    pub domain: String,
    /// The task's name, such as `environment.function`.
    pub name: String,
    /// The version.
    pub version: String,
}

/// A version of a task, without its specification.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Task {
    /// Which one.
    pub id: TaskId,
    /// The name without its environment.
    pub short_name: String,
    /// The environment that it is of.
    pub environment: String,
    /// What it does, in a line.
    pub short_description: String,
    /// Whether it is meant to be started by itself.
    pub entrypoint: bool,
    /// Who deployed it.
    pub deployed_by: Actor,
    /// When.
    pub deployed_at: UnixTime,
}

/// A version of a task that is to be deployed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewTask {
    /// All but the specification.
    pub task: Task,
    /// SHA-256 of what the specification says, the same for every encoding of it.
    pub digest: [u8; 32],
    /// The encoded `flyteidl2.task.TaskSpec`.
    pub spec: Vec<u8>,
}

/// A version of a task, and what it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DeployedTask {
    /// All but the specification.
    pub task: Task,
    /// The encoded `flyteidl2.task.TaskSpec`.
    pub spec: Vec<u8>,
    /// What triggers the task has, whichever version they start.
    pub triggers: TriggersSummary,
}

/// A task in a listing: the version deployed last.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ListedTask {
    /// The version deployed last.
    pub task: Task,
    /// What triggers the task has, whichever version they start.
    pub triggers: TriggersSummary,
}

/// What triggers a task has.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TriggersSummary {
    /// How many.
    pub total: u32,
    /// How many of them are active.
    pub active: u32,
    /// Name and encoded `flyteidl2.task.TriggerAutomationSpec` of the only one.
    pub only: Option<(String, Vec<u8>)>,
}

/// What came of deploying a task.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Deployed {
    /// The version is there, and the latest one.
    New,
    /// The version was there with the same specification, and stays where it is in the order.
    Same,
    /// The version was there with another specification. Nothing has changed, its triggers neither.
    Different,
}

/// What tasks are listed by.
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
    /// The subject of who deployed the latest version.
    DeployedBy,
    /// When the latest version was deployed.
    DeployedAt,
}

/// Which tasks to list, in which order.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TaskQuery {
    /// Only those of this project.
    pub project: Option<String>,
    /// Only those of this domain.
    pub domain: Option<String>,
    /// What all of them meet.
    pub conditions: Vec<Condition<TaskField>>,
    /// Only those that are, or are not, meant to be started by themselves.
    pub entrypoint: Option<bool>,
    /// By name, rather than by the deployment of the latest version.
    pub by_name: bool,
    /// Highest first.
    pub descending: bool,
    /// The most tasks to return.
    pub limit: u32,
    /// The page token of the page before; empty for the first page.
    pub page_token: String,
}

/// Which versions of a task to list: by deployment.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TaskVersionQuery {
    /// The task's project.
    pub project: String,
    /// The task's domain.
    pub domain: String,
    /// The task's name.
    pub name: String,
    /// Only versions that meet this; [`TaskField::Version`] and those of the deployment mean each version's own.
    pub conditions: Vec<Condition<TaskField>>,
    /// Last deployed first.
    pub descending: bool,
    /// The most versions to return.
    pub limit: u32,
    /// The page token of the page before; empty for the first page.
    pub page_token: String,
}

/// Storage of tasks.
#[async_trait]
pub trait TaskStore: Send + Sync + 'static {
    /// Adds a version of a task, and, where triggers are given, makes them the task's triggers: those of other names go.
    /// A version that is there with the same digest is left as it is; one with another digest is left, and the triggers too.
    async fn deploy_task(&self, task: &NewTask, triggers: &[NewTrigger]) -> Result<Deployed, StoreError>;
    /// This version of the task.
    async fn task_by_id(&self, id: &TaskId) -> Result<Option<DeployedTask>, StoreError>;
    /// The version of the task that was deployed last.
    async fn latest_task(
        &self,
        project: &str,
        domain: &str,
        name: &str,
    ) -> Result<Option<DeployedTask>, StoreError>;
    /// A page of tasks, each once with its latest version, and the next page's token, empty on the last page.
    ///
    /// # Errors
    /// [`StoreError::InvalidPageToken`] for a token of another listing.
    async fn list_tasks(&self, query: &TaskQuery) -> Result<(Vec<ListedTask>, String), StoreError>;
    /// How many tasks all pages of the listing hold.
    async fn count_tasks(&self, query: &TaskQuery) -> Result<u32, StoreError>;
    /// A page of a task's versions and the next page's token, empty on the last page.
    ///
    /// # Errors
    /// [`StoreError::InvalidPageToken`] for a token of another listing.
    async fn list_task_versions(&self, query: &TaskVersionQuery) -> Result<(Vec<Task>, String), StoreError>;
}

/// SHA-256 of what a specification says; `canonical` is its one form (`flyte_idl::canonical`), for in encodings the entries of
/// maps come in any order.
#[must_use]
pub fn task_digest(canonical: &[u8]) -> [u8; 32] {
    let mut hash = [0; 32];
    hash.copy_from_slice(digest::digest(&digest::SHA256, canonical).as_ref());
    hash
}
