//! Triggers: what starts a task by itself. Each change makes a revision, and revisions stay.

use async_trait::async_trait;

use super::{Condition, StoreError};
use flyte_model::Actor;
use flyte_model::clock::UnixTime;

/// Which trigger of which task.
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

/// A trigger that is to be deployed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewTrigger {
    /// Which one.
    pub id: TriggerId,
    /// The version of the task that it starts.
    pub task_version: String,
    /// Whether it fires.
    pub active: bool,
    /// The encoded `flyteidl2.trigger.TriggerSpec`.
    pub spec: Vec<u8>,
    /// The encoded `flyteidl2.task.TriggerAutomationSpec`.
    pub automation: Vec<u8>,
    /// When it is due first; `None` where it is not active, or is no schedule.
    pub due_at: Option<UnixTime>,
    /// Who deploys it.
    pub by: Actor,
    /// When.
    pub at: UnixTime,
}

/// A trigger.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Trigger {
    /// Which one.
    pub id: TriggerId,
    /// How often it was changed, itself included; goes on where a deleted trigger is deployed again.
    pub revision: u64,
    /// The version of the task that it starts.
    pub task_version: String,
    /// Whether it fires.
    pub active: bool,
    /// The encoded `flyteidl2.trigger.TriggerSpec`, whose `active` and `task_version` are the fields here.
    pub spec: Vec<u8>,
    /// The encoded `flyteidl2.task.TriggerAutomationSpec`.
    pub automation: Vec<u8>,
    /// Who deployed it last.
    pub deployed_by: Actor,
    /// When.
    pub deployed_at: UnixTime,
    /// Who changed it last.
    pub updated_by: Actor,
    /// When.
    pub updated_at: UnixTime,
    /// When it last fired.
    pub triggered_at: Option<UnixTime>,
    /// When it is due.
    pub due_at: Option<UnixTime>,
}

/// What made a revision; the numbers are those of `flyteidl2.trigger.TriggerRevisionAction`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TriggerChange {
    /// It was deployed.
    Deployed = 1,
    /// It was switched on.
    Activated = 2,
    /// It was switched off.
    Deactivated = 3,
    /// It was deleted.
    Deleted = 4,
}

/// What a trigger was.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TriggerRevision {
    /// The trigger after the change; `updated_at` and `updated_by` tell when and who.
    pub trigger: Trigger,
    /// What made it.
    pub change: TriggerChange,
}

/// What came of deploying a trigger.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TriggerDeployment {
    /// It is there.
    Deployed(Trigger),
    /// Nothing has changed: whoever deploys it has seen another revision than there is.
    OtherRevision {
        /// The revision that there is; 0 where there is no such trigger.
        current: u64,
    },
}

/// What triggers are listed by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TriggerField {
    /// The trigger's name.
    Name,
    /// The task's name.
    Task,
    /// The version of the task that it starts.
    TaskVersion,
}

/// Which triggers to list.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TriggerQuery {
    /// Only those of this project.
    pub project: Option<String>,
    /// Only those of this domain.
    pub domain: Option<String>,
    /// What all of them meet.
    pub conditions: Vec<Condition<TriggerField>>,
    /// Only those that fire, or only those that do not.
    pub active: Option<bool>,
    /// By task and name, rather than by when they were first deployed.
    pub by_name: bool,
    /// Highest first.
    pub descending: bool,
    /// The most triggers to return.
    pub limit: u32,
    /// The page token of the page before; empty for the first page.
    pub page_token: String,
}

/// Storage of [`Trigger`]s.
#[async_trait]
pub trait TriggerStore: Send + Sync + 'static {
    /// Adds a trigger or replaces what it is. `seen` is the revision that the caller means to replace; 0 for whichever.
    async fn deploy_trigger(&self, trigger: &NewTrigger, seen: u64) -> Result<TriggerDeployment, StoreError>;
    /// The trigger.
    async fn trigger_by_id(&self, id: &TriggerId) -> Result<Option<Trigger>, StoreError>;
    /// What the trigger was.
    async fn trigger_revision(
        &self,
        id: &TriggerId,
        revision: u64,
    ) -> Result<Option<TriggerRevision>, StoreError>;
    /// A page of triggers and the next page's token, empty on the last page.
    ///
    /// # Errors
    /// [`StoreError::InvalidPageToken`] for a token of another listing.
    async fn list_triggers(&self, query: &TriggerQuery) -> Result<(Vec<Trigger>, String), StoreError>;
    /// A page of what a trigger was, last first, and the next page's token, empty on the last page.
    ///
    /// # Errors
    /// [`StoreError::InvalidPageToken`] for a token of another listing.
    async fn list_trigger_revisions(
        &self,
        id: &TriggerId,
        limit: u32,
        page_token: &str,
    ) -> Result<(Vec<TriggerRevision>, String), StoreError>;
    /// Switches triggers on, to be due as given, or off; those that are so already stay as they are. All of them or, where
    /// one does not exist, none: then that one is returned.
    async fn switch_triggers(
        &self,
        triggers: &[(TriggerId, Option<UnixTime>)],
        active: bool,
        by: &Actor,
        now: UnixTime,
    ) -> Result<Option<TriggerId>, StoreError>;
    /// Deletes triggers. All of them or, where one does not exist, none: then that one is returned.
    async fn delete_triggers(
        &self,
        triggers: &[TriggerId],
        by: &Actor,
        now: UnixTime,
    ) -> Result<Option<TriggerId>, StoreError>;
    /// The active triggers that are due, longest due first.
    async fn due_triggers(&self, now: UnixTime, limit: u32) -> Result<Vec<Trigger>, StoreError>;
    /// Notes that a trigger fired, and when it is due next; `false` where it was changed meanwhile, or fired already, and
    /// nothing is noted.
    async fn note_trigger_fired(
        &self,
        trigger: &Trigger,
        fired_at: UnixTime,
        due_at: Option<UnixTime>,
    ) -> Result<bool, StoreError>;
}
