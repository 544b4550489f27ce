//! Runs: tasks that were started, with all that they called.

use std::collections::BTreeMap;

use buffa_types::google::protobuf::BoolValue;
use connectrpc::{ConnectError, ErrorCode};
use flyte_config::Endpoint;
use flyte_idl::flyteidl2::common::{OffloadedInputData, ProjectIdentifier, RunIdentifier};
use flyte_idl::flyteidl2::core::KeyValuePair;
use flyte_idl::flyteidl2::dataproxy::{self, DataProxyServiceClient};
use flyte_idl::flyteidl2::task::{CacheConfig, Envs, Labels, RawDataStorage, RunSpec};
use flyte_idl::flyteidl2::workflow as wire;
use flyte_idl::flyteidl2::workflow::create_run_request as create;
use serde::Serialize;

use crate::action::{Action, ActionDetails, ActionId, ROOT, RunId, answered};
use crate::client::Transport;
use crate::data::Inputs;
use crate::error::ClientError;
use crate::listing::{self, equal};
use crate::pager::{Page, Pager, Source};
use crate::phase::Phase;
use crate::place::Place;
use crate::task::{Spec, TaskId};

/// A run and where it stands.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Run {
    /// Its name, unique in its project and domain.
    pub name: String,
    /// Where it is.
    #[serde(flatten)]
    pub place: Place,
    /// Full name of its task.
    pub task: String,
    /// The task's version.
    pub version: String,
    /// Where it stands.
    pub phase: Phase,
    /// How many times its own action was started.
    pub attempts: u32,
    /// When it was made, Unix time in seconds.
    pub started_at: Option<i64>,
    /// When it ended, Unix time in seconds.
    pub ended_at: Option<i64>,
    /// How long it took, in milliseconds.
    pub duration_ms: Option<u64>,
    /// Who started it, as people call them.
    pub created_by: String,
    /// What it is labelled with.
    pub labels: BTreeMap<String, String>,
}

impl Run {
    /// Which run this is.
    #[must_use]
    pub fn id(&self) -> RunId {
        RunId::new(self.place.clone(), &self.name)
    }

    /// The run whose own action is this.
    #[must_use]
    pub fn of(action: Action, labels: BTreeMap<String, String>) -> Self {
        Self {
            name: action.run,
            place: action.place,
            task: action.task,
            version: action.version,
            phase: action.phase,
            attempts: action.attempts,
            started_at: action.started_at,
            ended_at: action.ended_at,
            duration_ms: action.duration_ms,
            created_by: action.created_by,
            labels,
        }
    }
}

/// All about a run.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct RunDetails {
    /// The run.
    #[serde(flatten)]
    pub run: Run,
    /// Its own action in detail.
    pub action: ActionDetails,
    /// Environment variables that its tasks are given.
    pub env: BTreeMap<String, String>,
}

/// Which runs to list, newest first.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ListOptions {
    /// Those in one of these phases; all where it is empty.
    pub phases: Vec<Phase>,
    /// Those of this task.
    pub task: Option<String>,
    /// Those of this version of the task.
    pub version: Option<String>,
    /// Those with these labels.
    pub labels: BTreeMap<String, String>,
    /// Those that this subject has started.
    pub created_by: Option<String>,
    /// The most to return; `None` for all.
    pub limit: Option<u32>,
}

/// What a run is of.
#[derive(Clone, Debug)]
pub enum Program {
    /// A task that is deployed.
    Deployed(TaskId),
    /// A task as it is here.
    Spec(Box<Spec>),
}

/// A run to start.
#[derive(Clone, Debug)]
pub struct NewRun {
    /// Where.
    pub place: Place,
    /// Its name; the server makes one where there is none.
    pub name: Option<String>,
    /// What is run.
    pub program: Program,
    /// What it is given.
    pub inputs: Inputs,
    /// How it is run.
    pub options: RunOptions,
}

/// How a run is run.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RunOptions {
    /// Environment variables for its tasks.
    pub env: BTreeMap<String, String>,
    /// What it is labelled with.
    pub labels: BTreeMap<String, String>,
    /// Whether its tasks may run where they can be interrupted; `None` as they are defined.
    pub interruptible: Option<bool>,
    /// Compute again what a cache has.
    pub overwrite_cache: bool,
    /// The queue it waits in; empty for the default one.
    pub queue: String,
    /// Where its tasks put large data; empty for the server's place.
    pub raw_data_prefix: String,
    /// How many of its actions run at a time; 0 as the server has it.
    pub max_action_concurrency: u32,
}

/// Calls of `flyteidl2.workflow.RunService` about runs.
#[derive(Clone)]
pub struct Runs<T> {
    service: wire::RunServiceClient<T>,
    data: DataProxyServiceClient<T>,
    endpoint: Endpoint,
    org: Option<String>,
}

impl<T: Transport> Runs<T> {
    pub(crate) fn new(
        service: wire::RunServiceClient<T>,
        data: DataProxyServiceClient<T>,
        endpoint: Endpoint,
        org: Option<String>,
    ) -> Self {
        Self { service, data, endpoint, org }
    }

    /// Starts a run.
    ///
    /// # Errors
    /// [`ClientError::AlreadyExists`] where its name is taken, [`ClientError::NotFound`] where its task is not deployed,
    /// [`ClientError::InvalidArgument`] where the inputs are not what the task takes.
    pub async fn create(&self, new: NewRun) -> Result<Run, ClientError> {
        let org = self.org.as_deref();
        let place = new.place.identifier(org);
        let named = new.name.map(|name| RunId::new(new.place, name).identifier(org));
        let inputs = match self.upload(&place, named.as_ref(), &new.program, &new.inputs).await? {
            Some(uploaded) => create::InputWrapper::OffloadedInputData(Box::new(uploaded)),
            None => create::InputWrapper::Inputs(Box::new(new.inputs.0)),
        };
        let request = wire::CreateRunRequest {
            id: Some(match named {
                Some(id) => create::Id::RunId(Box::new(id)),
                None => create::Id::ProjectId(Box::new(place)),
            }),
            task: Some(match new.program {
                Program::Deployed(task) => create::Task::TaskId(Box::new(task.identifier(org))),
                Program::Spec(spec) => create::Task::TaskSpec(Box::new(spec.0)),
            }),
            input_wrapper: Some(inputs),
            run_spec: RunSpec::from(new.options).into(),
            source: wire::RunSource::RUN_SOURCE_CLI.into(),
            ..Default::default()
        };
        let answer = self.service.create_run(request).await.map_err(|error| self.error(error))?;
        answer.into_owned().run.into_option().map(Run::from).ok_or_else(|| ClientError::Server {
            code: "internal",
            message: "the server answered without the run".to_owned(),
        })
    }

    /// Puts the inputs where the run's tasks read them, as the published client does; `None` where the server takes them only
    /// with the run itself.
    async fn upload(
        &self,
        place: &ProjectIdentifier,
        run: Option<&RunIdentifier>,
        program: &Program,
        inputs: &Inputs,
    ) -> Result<Option<OffloadedInputData>, ClientError> {
        use dataproxy::upload_inputs_request::{Id, Task};
        let request = dataproxy::UploadInputsRequest {
            id: Some(match run {
                Some(run) => Id::RunId(Box::new(run.clone())),
                None => Id::ProjectId(Box::new(place.clone())),
            }),
            task: Some(match program {
                Program::Deployed(task) => Task::TaskId(Box::new(task.identifier(self.org.as_deref()))),
                Program::Spec(spec) => Task::TaskSpec(Box::new(spec.0.clone())),
            }),
            inputs: inputs.0.clone().into(),
            ..Default::default()
        };
        match self.data.upload_inputs(request).await {
            Ok(answer) => Ok(answer.into_owned().offloaded_input_data.into_option()),
            Err(error) if error.code == ErrorCode::Unimplemented => Ok(None),
            Err(error) => Err(self.error(error)),
        }
    }

    /// One run.
    ///
    /// # Errors
    /// [`ClientError::NotFound`] where there is none of that name.
    pub async fn get(&self, id: &RunId) -> Result<RunDetails, ClientError> {
        let run_id = id.identifier(self.org.as_deref()).into();
        let request = wire::GetRunDetailsRequest { run_id, ..Default::default() };
        let answer = self.service.get_run_details(request).await.map_err(|error| self.error(error))?;
        let details = answer.into_owned().details.into_option().unwrap_or_default();
        let spec = details.run_spec.into_option().unwrap_or_default();
        let mut action = answered(details.action.into_option())?;
        // A run's details may leave out why its action failed; the action's own do not.
        if action.action.phase.is_over() && !action.action.phase.is_a_success() && action.error.is_none() {
            let request = wire::GetActionDetailsRequest {
                action_id: ActionId { run: id.clone(), name: ROOT.to_owned() }
                    .identifier(self.org.as_deref())
                    .into(),
                ..Default::default()
            };
            if let Ok(answer) = self.service.get_action_details(request).await {
                action = answered(answer.into_owned().details.into_option())?;
            }
        }
        let labels = spec.labels.into_option().unwrap_or_default().values.into_iter().collect();
        let env = spec.envs.into_option().unwrap_or_default().values;
        Ok(RunDetails {
            run: Run::of(action.action.clone(), labels),
            action,
            env: env.into_iter().map(|pair| (pair.key, pair.value)).collect(),
        })
    }

    /// The runs of a project and domain, newest first, fetched page by page as they are asked for.
    pub fn list(&self, place: Place, options: ListOptions) -> Pager<Listing<T>> {
        let limit = options.limit;
        Pager::new(Listing { runs: self.clone(), place, options }, limit)
    }

    /// Stops a run with all its actions. What is over stays as it is.
    ///
    /// # Errors
    /// [`ClientError::NotFound`] where there is none of that name.
    pub async fn abort(&self, id: &RunId, reason: &str) -> Result<(), ClientError> {
        let request = wire::AbortRunRequest {
            run_id: id.identifier(self.org.as_deref()).into(),
            reason: Some(reason.to_owned()),
            ..Default::default()
        };
        self.service.abort_run(request).await.map_err(|error| self.error(error))?;
        Ok(())
    }

    fn error(&self, error: ConnectError) -> ClientError {
        ClientError::from_connect(error, &self.endpoint)
    }
}

/// Runs that a listing is of.
pub struct Listing<T> {
    runs: Runs<T>,
    place: Place,
    options: ListOptions,
}

impl<T: Transport> Source for Listing<T> {
    type Item = Run;

    async fn page(&self, limit: u32, token: &str) -> Result<Page<Run>, ClientError> {
        let options = &self.options;
        let phases = options.phases.iter().map(|phase| phase.number().to_string()).collect();
        let mut filters: Vec<_> = listing::one_of("phase", phases).into_iter().collect();
        for (field, value) in [
            ("task_name", &options.task),
            ("task_version", &options.version),
            ("created_by", &options.created_by),
        ] {
            filters.extend(value.as_ref().map(|value| equal(field, value)));
        }
        filters.extend(options.labels.iter().map(|(name, value)| equal(&format!("labels.{name}"), value)));
        let place = self.place.identifier(self.runs.org.as_deref());
        let request = wire::ListRunsRequest {
            request: listing::page(limit, token, filters, false).into(),
            scope_by: Some(wire::list_runs_request::ScopeBy::ProjectId(Box::new(place))),
            ..Default::default()
        };
        let answer = self.runs.service.list_runs(request).await;
        let answer = answer.map_err(|error| self.runs.error(error))?.into_owned();
        Ok(Page { items: answer.runs.into_iter().map(Run::from).collect(), next: answer.token })
    }
}

impl From<wire::Run> for Run {
    fn from(message: wire::Run) -> Self {
        let action = Action::from(message.action.into_option().unwrap_or_default());
        Self::of(action, message.labels.into_iter().collect())
    }
}

impl From<RunOptions> for RunSpec {
    fn from(options: RunOptions) -> Self {
        let pair = |(key, value)| KeyValuePair { key, value, ..Default::default() };
        let env = options.env.into_iter().map(pair).collect();
        let mut spec = Self {
            envs: Envs { values: env, ..Default::default() }.into(),
            labels: Labels { values: options.labels.into_iter().collect(), ..Default::default() }.into(),
            overwrite_cache: options.overwrite_cache,
            queue: options.queue,
            max_action_concurrency: options.max_action_concurrency,
            ..Default::default()
        };
        if let Some(value) = options.interruptible {
            spec.interruptible = BoolValue { value, ..Default::default() }.into();
        }
        if options.overwrite_cache {
            spec.cache_config = CacheConfig { overwrite_cache: true, ..Default::default() }.into();
        }
        if !options.raw_data_prefix.is_empty() {
            let storage = RawDataStorage { raw_data_prefix: options.raw_data_prefix, ..Default::default() };
            spec.raw_data_storage = storage.into();
        }
        spec
    }
}

#[cfg(test)]
mod tests;
