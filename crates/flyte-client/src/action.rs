//! Actions: a run has one action for each call of a task. Its first action is the root action.

use std::fmt;

use buffa::{Inline, MessageField};
use buffa_types::google::protobuf::Timestamp;
use flyte_config::Endpoint;
use flyte_idl::flyteidl2::common::{ActionIdentifier, RunIdentifier};
use flyte_idl::flyteidl2::core::CatalogCacheStatus;
use flyte_idl::flyteidl2::workflow as wire;
use flyte_idl::flyteidl2::workflow::action_details::Result as Outcome;
use flyte_idl::flyteidl2::workflow::action_metadata::Spec;
use flyte_idl::flyteidl2::workflow::error_info;
use serde::Serialize;

use crate::error::ClientError;
use crate::listing::{self, principal_name, unix_time};
use crate::pager::{Page, Pager, Source};
use crate::phase::Phase;
use crate::project_domain::ProjectDomain;
use crate::transport::Transport;
use crate::watch::Watch;

/// Name of the root action of each run, as the published client expects it.
pub const ROOT: &str = "a0";

/// The identifier of a run.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct RunId {
    /// The run's project and domain.
    pub project_domain: ProjectDomain,
    /// The run's name in its project and domain.
    pub name: String,
}

impl RunId {
    /// The run with this name.
    pub fn new(project_domain: ProjectDomain, name: impl Into<String>) -> Self {
        Self { project_domain, name: name.into() }
    }

    /// The identifier of one of the run's actions.
    pub fn action(&self, name: impl Into<String>) -> ActionId {
        ActionId { run: self.clone(), name: name.into() }
    }

    pub(crate) fn identifier(&self, org: Option<&str>) -> RunIdentifier {
        RunIdentifier {
            org: org.unwrap_or_default().to_owned(),
            project: self.project_domain.project.clone(),
            domain: self.project_domain.domain.clone(),
            name: self.name.clone(),
            ..Default::default()
        }
    }
}

impl From<RunIdentifier> for RunId {
    fn from(id: RunIdentifier) -> Self {
        Self::new(ProjectDomain::new(id.project, id.domain), id.name)
    }
}

/// The identifier of an action.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct ActionId {
    /// The run that the action belongs to.
    pub run: RunId,
    /// The action's name in the run.
    pub name: String,
}

impl ActionId {
    pub(crate) fn identifier(&self, org: Option<&str>) -> ActionIdentifier {
        ActionIdentifier {
            run: self.run.identifier(org).into(),
            name: self.name.clone(),
            ..Default::default()
        }
    }
}

impl fmt::Display for ActionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.run.name, self.name)
    }
}

/// An action and its state.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Action {
    /// The action's name, unique in the run.
    pub name: String,
    /// The run's name.
    pub run: String,
    /// The run's project and domain.
    #[serde(flatten)]
    pub project_domain: ProjectDomain,
    /// The name of the action that called this one; empty for the root action.
    pub parent: String,
    /// The group that the caller put the action in; empty if none.
    pub group: String,
    /// The full name of the action's task, or the name of the traced function.
    pub task: String,
    /// The task's version; empty for a traced function.
    pub version: String,
    /// The task's name for display.
    pub short_name: String,
    /// The action's phase.
    pub phase: Phase,
    /// The number of attempts.
    pub attempts: u32,
    /// The creation time, Unix time in seconds.
    pub started_at: Option<i64>,
    /// The end time, Unix time in seconds.
    pub ended_at: Option<i64>,
    /// The duration in milliseconds.
    pub duration_ms: Option<u64>,
    /// The name of the person or machine that started the action.
    pub created_by: String,
    /// Whether the result comes from an earlier call of the same task with the same inputs.
    pub cached: bool,
}

impl Action {
    /// The action's identifier.
    #[must_use]
    pub fn id(&self) -> ActionId {
        RunId::new(self.project_domain.clone(), &self.run).action(&self.name)
    }
}

/// The cause of a failure.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Blame {
    /// The server does not say.
    #[default]
    Unknown,
    /// The task's code.
    User,
    /// The system that runs the task.
    System,
}

/// Why an action failed.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Failure {
    /// An error code for programs; may be empty.
    pub code: String,
    /// The error message, with a traceback if there is one. The task writes it, so it may be any text.
    pub message: String,
    /// The cause of the failure.
    pub kind: Blame,
}

/// Why an action was stopped.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Abort {
    /// The reason that the caller gave.
    pub reason: String,
    /// The name of the person or machine that stopped the action.
    pub by: String,
}

/// One attempt of an action.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Attempt {
    /// The number of the attempt, from 1.
    pub attempt: u32,
    /// The attempt's phase.
    pub phase: Phase,
    /// The start time, Unix time in seconds.
    pub started_at: Option<i64>,
    /// The end time, Unix time in seconds.
    pub ended_at: Option<i64>,
    /// Why the attempt failed.
    pub error: Option<Failure>,
    /// Whether the attempt's log has lines.
    pub has_logs: bool,
    /// The URI of the outputs; empty before there are any.
    pub outputs_uri: String,
}

/// The details of an action.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct ActionDetails {
    /// The action.
    #[serde(flatten)]
    pub action: Action,
    /// Why the action failed.
    pub error: Option<Failure>,
    /// Why the action was stopped.
    pub abort: Option<Abort>,
    /// The attempts, the first one first.
    pub history: Vec<Attempt>,
}

/// Calls of `flyteidl2.workflow.RunService` about actions.
#[derive(Clone)]
pub struct Actions<T> {
    service: wire::RunServiceClient<T>,
    endpoint: Endpoint,
    org: Option<String>,
}

impl<T: Transport> Actions<T> {
    pub(crate) fn new(service: wire::RunServiceClient<T>, endpoint: Endpoint, org: Option<String>) -> Self {
        Self { service, endpoint, org }
    }

    /// Returns one action.
    ///
    /// # Errors
    /// [`ClientError::NotFound`] if the run or the action does not exist.
    pub async fn get(&self, id: &ActionId) -> Result<ActionDetails, ClientError> {
        let action_id = id.identifier(self.org.as_deref()).into();
        let request = wire::GetActionDetailsRequest { action_id, ..Default::default() };
        let answer = self.service.get_action_details(request).await.map_err(|error| self.error(error))?;
        answered(answer.into_owned().details.into_option())
    }

    /// Lists the actions of a run, the oldest first. Pages are fetched on demand. If `phases` is not empty, only actions in one
    /// of them are listed.
    pub fn list(&self, run: RunId, phases: Vec<Phase>, limit: Option<u32>) -> Pager<Listing<T>> {
        Pager::new(Listing { actions: self.clone(), run, phases }, limit)
    }

    /// Watches an action: returns its current state, and then its state after each change, until the action ends.
    ///
    /// # Errors
    /// [`ClientError::NotFound`] if the run or the action does not exist.
    pub async fn watch(
        &self,
        id: &ActionId,
    ) -> Result<Watch<T, wire::WatchActionDetailsResponse>, ClientError> {
        let action_id = id.identifier(self.org.as_deref()).into();
        let request = wire::WatchActionDetailsRequest { action_id, ..Default::default() };
        let stream = self.service.watch_action_details(request).await.map_err(|error| self.error(error))?;
        Ok(Watch::new(stream, self.endpoint.clone()))
    }

    /// Stops an action and the actions that it called.
    ///
    /// # Errors
    /// [`ClientError::NotFound`] if the run or the action does not exist.
    pub async fn abort(&self, id: &ActionId, reason: &str) -> Result<(), ClientError> {
        let action_id = id.identifier(self.org.as_deref()).into();
        let request = wire::AbortActionRequest { action_id, reason: reason.to_owned(), ..Default::default() };
        self.service.abort_action(request).await.map_err(|error| self.error(error))?;
        Ok(())
    }

    fn error(&self, error: connectrpc::ConnectError) -> ClientError {
        ClientError::from_connect(error, &self.endpoint)
    }
}

impl<T: Transport> Watch<T, wire::WatchActionDetailsResponse> {
    /// Waits for the next state; `None` if the server ended the stream.
    ///
    /// # Errors
    /// The error of the call.
    pub async fn next(&mut self) -> Result<Option<ActionDetails>, ClientError> {
        let Some(message) = self.message().await? else { return Ok(None) };
        answered(message.details.into_option()).map(Some)
    }
}

pub(crate) fn answered(details: Option<wire::ActionDetails>) -> Result<ActionDetails, ClientError> {
    details.map(ActionDetails::from).ok_or_else(|| ClientError::Server {
        code: "internal",
        message: "the server's answer contains no action".to_owned(),
    })
}

/// The source of a list of actions.
pub struct Listing<T> {
    actions: Actions<T>,
    run: RunId,
    phases: Vec<Phase>,
}

impl<T: Transport> Source for Listing<T> {
    type Item = Action;

    async fn page(&self, limit: u32, token: &str) -> Result<Page<Action>, ClientError> {
        let phases = self.phases.iter().map(|phase| phase.number().to_string()).collect();
        let filters = listing::one_of("phase", phases).into_iter().collect();
        let request = wire::ListActionsRequest {
            request: listing::page(limit, token, filters, true).into(),
            run_id: self.run.identifier(self.actions.org.as_deref()).into(),
            ..Default::default()
        };
        let answer = self.actions.service.list_actions(request).await;
        let answer = answer.map_err(|error| self.actions.error(error))?.into_owned();
        Ok(Page { items: answer.actions.into_iter().map(Action::from).collect(), next: answer.token })
    }
}

impl From<wire::Action> for Action {
    fn from(message: wire::Action) -> Self {
        let id = message.id.into_option().unwrap_or_default();
        let metadata = message.metadata.into_option().unwrap_or_default();
        let status = message.status.into_option().unwrap_or_default();
        Self::of(id, metadata, status)
    }
}

impl Action {
    fn of(id: ActionIdentifier, metadata: wire::ActionMetadata, status: wire::ActionStatus) -> Self {
        let run = RunId::from(id.run.into_option().unwrap_or_default());
        let (task, version, short_name) = match metadata.spec {
            Some(Spec::Task(task)) => {
                let id = task.id.into_option().unwrap_or_default();
                (id.name, id.version, task.short_name)
            }
            Some(Spec::Trace(trace)) => (trace.name, String::new(), String::new()),
            Some(Spec::Condition(condition)) => (condition.name, String::new(), String::new()),
            None => (metadata.funtion_name, String::new(), String::new()),
        };
        let duration_ms = status.duration_ms.or_else(|| elapsed(&status.start_time, &status.end_time));
        Self {
            name: id.name,
            run: run.name,
            project_domain: run.project_domain,
            parent: metadata.parent,
            group: metadata.group,
            task,
            version,
            short_name,
            phase: status.phase.as_known().into(),
            attempts: status.attempts,
            started_at: unix_time(status.start_time),
            ended_at: unix_time(status.end_time),
            duration_ms,
            cached: status.cache_status.as_known() == Some(CatalogCacheStatus::CACHE_HIT),
            created_by: principal_name(metadata.executed_by.into_option()),
        }
    }
}

type TimestampField = MessageField<Timestamp, Inline<Timestamp>>;

/// The milliseconds from `start` to `end`.
fn elapsed(start: &TimestampField, end: &TimestampField) -> Option<u64> {
    let milliseconds = |at: &TimestampField| {
        at.is_set().then(|| at.seconds.saturating_mul(1000).saturating_add(i64::from(at.nanos) / 1_000_000))
    };
    u64::try_from(milliseconds(end)?.saturating_sub(milliseconds(start)?)).ok()
}

impl From<wire::ErrorInfo> for Failure {
    fn from(message: wire::ErrorInfo) -> Self {
        let kind = match message.kind.as_known() {
            Some(error_info::Kind::KIND_USER) => Blame::User,
            Some(error_info::Kind::KIND_SYSTEM) => Blame::System,
            _ => Blame::Unknown,
        };
        Self { code: message.code, message: message.message, kind }
    }
}

impl From<wire::ActionAttempt> for Attempt {
    fn from(message: wire::ActionAttempt) -> Self {
        Self {
            attempt: message.attempt,
            phase: message.phase.as_known().into(),
            started_at: unix_time(message.start_time),
            ended_at: unix_time(message.end_time),
            error: message.error_info.into_option().map(Failure::from),
            has_logs: message.logs_available,
            outputs_uri: message.outputs.into_option().unwrap_or_default().output_uri,
        }
    }
}

impl From<wire::ActionDetails> for ActionDetails {
    fn from(message: wire::ActionDetails) -> Self {
        let id = message.id.into_option().unwrap_or_default();
        let metadata = message.metadata.into_option().unwrap_or_default();
        let status = message.status.into_option().unwrap_or_default();
        let (error, abort) = match message.result {
            Some(Outcome::ErrorInfo(error)) => (Some(Failure::from(*error)), None),
            Some(Outcome::AbortInfo(abort)) => {
                let by = principal_name(abort.aborted_by.into_option());
                (None, Some(Abort { reason: abort.reason, by }))
            }
            _ => (None, None),
        };
        Self {
            action: Action::of(id, metadata, status),
            error,
            abort,
            history: message.attempts.into_iter().map(Attempt::from).collect(),
        }
    }
}

#[cfg(test)]
mod tests;
