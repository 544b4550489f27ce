//! Triggers, which start tasks automatically. Each change makes a revision, and revisions are kept.

use async_trait::async_trait;

use super::{Condition, StoreError};
use flyte_model::Actor;
use flyte_model::{Limit, clock::UnixTime};

/// The identifier of a trigger.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TriggerId {
    /// The task's project.
    pub project: String,
    /// The task's domain.
    pub domain: String,
    /// The task's name.
    pub task: String,
    /// The trigger's name, unique for the task.
    pub name: String,
}

/// A trigger that is about to be deployed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewTrigger {
    /// The identifier.
    pub id: TriggerId,
    /// The version of the task that it starts.
    pub task_version: String,
    /// Whether it is active.
    pub active: bool,
    /// The encoded `flyteidl2.trigger.TriggerSpec`.
    pub spec: Vec<u8>,
    /// The encoded `flyteidl2.task.TriggerAutomationSpec`.
    pub automation: Vec<u8>,
    /// The first due time; `None` if it is inactive or is not a schedule.
    pub due_at: Option<UnixTime>,
    /// The principal that deploys it.
    pub by: Actor,
    /// The time of the deployment.
    pub at: UnixTime,
}

/// A trigger.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Trigger {
    /// The identifier.
    pub id: TriggerId,
    /// The number of changes, including its creation. The count continues if a deleted trigger is deployed again.
    pub revision: u64,
    /// The version of the task that it starts.
    pub task_version: String,
    /// Whether it is active.
    pub active: bool,
    /// The encoded `flyteidl2.trigger.TriggerSpec`. Its `active` and `task_version` are the fields of this record.
    pub spec: Vec<u8>,
    /// The encoded `flyteidl2.task.TriggerAutomationSpec`.
    pub automation: Vec<u8>,
    /// The principal that last deployed it.
    pub deployed_by: Actor,
    /// The time of that deployment.
    pub deployed_at: UnixTime,
    /// The principal that last changed it.
    pub updated_by: Actor,
    /// The time of that change.
    pub updated_at: UnixTime,
    /// The time at which it last fired.
    pub triggered_at: Option<UnixTime>,
    /// The time at which it is due.
    pub due_at: Option<UnixTime>,
}

/// The change that made a revision. The numbers are those of `flyteidl2.trigger.TriggerRevisionAction`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TriggerChange {
    /// It was deployed.
    Deployed = 1,
    /// It was activated.
    Activated = 2,
    /// It was deactivated.
    Deactivated = 3,
    /// It was deleted.
    Deleted = 4,
}

/// A revision of a trigger.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TriggerRevision {
    /// The trigger after the change; `updated_at` and `updated_by` are the time and the principal of the change.
    pub trigger: Trigger,
    /// The change.
    pub change: TriggerChange,
}

/// The result of deploying a trigger.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TriggerDeployment {
    /// The trigger was deployed.
    Deployed(Trigger),
    /// Nothing has changed: the caller has seen another revision than the current one.
    OtherRevision {
        /// The current revision; 0 if the trigger does not exist.
        current: u64,
    },
}

/// The fields by which triggers can be listed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TriggerField {
    /// The trigger's name.
    Name,
    /// The task's name.
    Task,
    /// The version of the task that it starts.
    TaskVersion,
}

/// A query for triggers.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TriggerQuery {
    /// Only what is in one of these parts of the control plane: what the caller may see. `None` for everything.
    pub only_in: Option<Vec<Limit>>,
    /// Only triggers of this project.
    pub project: Option<String>,
    /// Only triggers of this domain.
    pub domain: Option<String>,
    /// Conditions that each trigger must meet.
    pub conditions: Vec<Condition<TriggerField>>,
    /// Only active triggers, or only inactive ones.
    pub active: Option<bool>,
    /// Whether to sort by task and name, in place of the time of the first deployment.
    pub by_name: bool,
    /// Whether to sort in descending order.
    pub descending: bool,
    /// The most triggers to return.
    pub limit: u32,
    /// The page token of the previous page; empty for the first page.
    pub page_token: String,
}

/// Storage of [`Trigger`]s.
#[async_trait]
pub trait TriggerStore: Send + Sync + 'static {
    /// Adds or replaces a trigger. `seen` is the revision that the caller wants to replace, or 0 for any revision.
    async fn deploy_trigger(&self, trigger: &NewTrigger, seen: u64) -> Result<TriggerDeployment, StoreError>;
    /// Returns the trigger.
    async fn trigger_by_id(&self, id: &TriggerId) -> Result<Option<Trigger>, StoreError>;
    /// Returns a revision of the trigger.
    async fn trigger_revision(
        &self,
        id: &TriggerId,
        revision: u64,
    ) -> Result<Option<TriggerRevision>, StoreError>;
    /// Returns a page of triggers and the next page's token, which is empty on the last page.
    ///
    /// # Errors
    /// [`StoreError::InvalidPageToken`] for a token of another listing.
    async fn list_triggers(&self, query: &TriggerQuery) -> Result<(Vec<Trigger>, String), StoreError>;
    /// Returns a page of a trigger's revisions, the latest first, and the next page's token, which is empty on the last
    /// page.
    ///
    /// # Errors
    /// [`StoreError::InvalidPageToken`] for a token of another listing.
    async fn list_trigger_revisions(
        &self,
        id: &TriggerId,
        limit: u32,
        page_token: &str,
    ) -> Result<(Vec<TriggerRevision>, String), StoreError>;
    /// Activates triggers with the given due times, or deactivates them. Triggers already in that state do not change.
    /// If one of the triggers does not exist, nothing changes, and the method returns that one.
    async fn switch_triggers(
        &self,
        triggers: &[(TriggerId, Option<UnixTime>)],
        active: bool,
        by: &Actor,
        now: UnixTime,
    ) -> Result<Option<TriggerId>, StoreError>;
    /// Deletes triggers. If one of them does not exist, nothing changes, and the method returns that one.
    async fn delete_triggers(
        &self,
        triggers: &[TriggerId],
        by: &Actor,
        now: UnixTime,
    ) -> Result<Option<TriggerId>, StoreError>;
    /// Returns the active triggers that are due, the longest overdue first.
    async fn due_triggers(&self, now: UnixTime, limit: u32) -> Result<Vec<Trigger>, StoreError>;
    /// Records that a trigger fired, and when it is due next. Returns `false`, and records nothing, if the trigger was
    /// changed in the meantime or has already fired.
    async fn note_trigger_fired(
        &self,
        trigger: &Trigger,
        fired_at: UnixTime,
        due_at: Option<UnixTime>,
    ) -> Result<bool, StoreError>;
}
