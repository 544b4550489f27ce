//! Actions: what a run consists of, one for each call of a task. The first is the run's own.

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

use crate::client::Transport;
use crate::error::ClientError;
use crate::listing::{self, moment, somebody};
use crate::pager::{Page, Pager, Source};
use crate::phase::Phase;
use crate::place::Place;
use crate::watch::Watch;

/// Name of a run's own action, as the published client expects it.
pub const ROOT: &str = "a0";

/// Which run.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct RunId {
    /// Where it is.
    pub place: Place,
    /// Its name there.
    pub name: String,
}

impl RunId {
    /// The run of a name.
    pub fn new(place: Place, name: impl Into<String>) -> Self {
        Self { place, name: name.into() }
    }

    /// An action of it.
    pub fn action(&self, name: impl Into<String>) -> ActionId {
        ActionId { run: self.clone(), name: name.into() }
    }

    pub(crate) fn identifier(&self, org: Option<&str>) -> RunIdentifier {
        RunIdentifier {
            org: org.unwrap_or_default().to_owned(),
            project: self.place.project.clone(),
            domain: self.place.domain.clone(),
            name: self.name.clone(),
            ..Default::default()
        }
    }
}

impl From<RunIdentifier> for RunId {
    fn from(id: RunIdentifier) -> Self {
        Self::new(Place::new(id.project, id.domain), id.name)
    }
}

/// Which action.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct ActionId {
    /// The run that it belongs to.
    pub run: RunId,
    /// Its name there.
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

/// An action and where it stands.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Action {
    /// Its name, unique in the run.
    pub name: String,
    /// The run's name.
    pub run: String,
    /// Where the run is.
    #[serde(flatten)]
    pub place: Place,
    /// Name of the action that called it; empty for the run's own.
    pub parent: String,
    /// The group that the caller put it in; empty for none.
    pub group: String,
    /// Full name of its task, or the name of what was traced.
    pub task: String,
    /// The task's version; empty for what has none.
    pub version: String,
    /// The task's name for people.
    pub short_name: String,
    /// Where it stands.
    pub phase: Phase,
    /// How many times it was started.
    pub attempts: u32,
    /// When it was made, Unix time in seconds.
    pub started_at: Option<i64>,
    /// When it ended, Unix time in seconds.
    pub ended_at: Option<i64>,
    /// How long it took, in milliseconds.
    pub duration_ms: Option<u64>,
    /// Who started it, as people call them.
    pub created_by: String,
    /// Whether its result was taken over from an earlier call of the same task with the same inputs.
    pub cached: bool,
}

impl Action {
    /// Which action this is.
    #[must_use]
    pub fn id(&self) -> ActionId {
        RunId::new(self.place.clone(), &self.run).action(&self.name)
    }
}

/// Whose fault a failure is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Blame {
    /// Not told.
    #[default]
    Unknown,
    /// The task's code.
    User,
    /// What runs it.
    System,
}

/// Why an action failed.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Failure {
    /// A word for programs; empty where there is none.
    pub code: String,
    /// What happened, with a traceback where there is one. It comes from the task: any text.
    pub message: String,
    /// Whose fault it is.
    pub kind: Blame,
}

/// Why an action was stopped.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Abort {
    /// What whoever stopped it says.
    pub reason: String,
    /// Who it was, as people call them.
    pub by: String,
}

/// One attempt of an action.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Attempt {
    /// Which one, from 1.
    pub attempt: u32,
    /// Where it stands.
    pub phase: Phase,
    /// When it started, Unix time in seconds.
    pub started_at: Option<i64>,
    /// When it ended, Unix time in seconds.
    pub ended_at: Option<i64>,
    /// Why it failed.
    pub error: Option<Failure>,
    /// Whether there is something in its log.
    pub has_logs: bool,
    /// Where its outputs are; empty while there are none.
    pub outputs_uri: String,
}

/// All about an action.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct ActionDetails {
    /// The action.
    #[serde(flatten)]
    pub action: Action,
    /// Why it failed.
    pub error: Option<Failure>,
    /// Why it was stopped.
    pub abort: Option<Abort>,
    /// What was tried, first one first.
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

    /// One action.
    ///
    /// # Errors
    /// [`ClientError::NotFound`] where there is no such run or action.
    pub async fn get(&self, id: &ActionId) -> Result<ActionDetails, ClientError> {
        let action_id = id.identifier(self.org.as_deref()).into();
        let request = wire::GetActionDetailsRequest { action_id, ..Default::default() };
        let answer = self.service.get_action_details(request).await.map_err(|error| self.error(error))?;
        answered(answer.into_owned().details.into_option())
    }

    /// The actions of a run, oldest first, fetched page by page as they are asked for; those in `phases`, or all where it
    /// is empty.
    pub fn list(&self, run: RunId, phases: Vec<Phase>, limit: Option<u32>) -> Pager<Listing<T>> {
        Pager::new(Listing { actions: self.clone(), run, phases }, limit)
    }

    /// Follows an action: how it is now, then how it is after each change, until it is over.
    ///
    /// # Errors
    /// [`ClientError::NotFound`] where there is no such run or action.
    pub async fn watch(
        &self,
        id: &ActionId,
    ) -> Result<Watch<T, wire::WatchActionDetailsResponse>, ClientError> {
        let action_id = id.identifier(self.org.as_deref()).into();
        let request = wire::WatchActionDetailsRequest { action_id, ..Default::default() };
        let stream = self.service.watch_action_details(request).await.map_err(|error| self.error(error))?;
        Ok(Watch::new(stream, self.endpoint.clone()))
    }

    /// Stops an action, and with it those that it has called.
    ///
    /// # Errors
    /// [`ClientError::NotFound`] where there is no such run or action.
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
    /// The next change; `None` where the server has no more to tell.
    ///
    /// # Errors
    /// Those of a call.
    pub async fn next(&mut self) -> Result<Option<ActionDetails>, ClientError> {
        let Some(message) = self.message().await? else { return Ok(None) };
        answered(message.details.into_option()).map(Some)
    }
}

pub(crate) fn answered(details: Option<wire::ActionDetails>) -> Result<ActionDetails, ClientError> {
    details.map(ActionDetails::from).ok_or_else(|| ClientError::Server {
        code: "internal",
        message: "the server answered without the action".to_owned(),
    })
}

/// Actions that a listing is of.
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
            place: run.place,
            parent: metadata.parent,
            group: metadata.group,
            task,
            version,
            short_name,
            phase: status.phase.as_known().into(),
            attempts: status.attempts,
            started_at: moment(status.start_time),
            ended_at: moment(status.end_time),
            duration_ms,
            cached: status.cache_status.as_known() == Some(CatalogCacheStatus::CACHE_HIT),
            created_by: somebody(metadata.executed_by.into_option()),
        }
    }
}

type Moment = MessageField<Timestamp, Inline<Timestamp>>;

/// Milliseconds from one moment to another.
fn elapsed(start: &Moment, end: &Moment) -> Option<u64> {
    let milliseconds = |moment: &Moment| {
        moment
            .is_set()
            .then(|| moment.seconds.saturating_mul(1000).saturating_add(i64::from(moment.nanos) / 1_000_000))
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
            started_at: moment(message.start_time),
            ended_at: moment(message.end_time),
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
                let by = somebody(abort.aborted_by.into_option());
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
