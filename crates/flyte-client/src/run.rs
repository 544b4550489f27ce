//! Runs: tasks that were started, and all the tasks that they called.

mod rerun;

use std::collections::BTreeMap;

use buffa_types::google::protobuf::BoolValue;
use connectrpc::{ConnectError, ErrorCode};
use flyte_config::Endpoint;
use flyte_idl::flyteidl2::common::{OffloadedInputData, ProjectIdentifier, RunIdentifier};
use flyte_idl::flyteidl2::core::{Identity, KeyValuePair, SecurityContext};
use flyte_idl::flyteidl2::dataproxy::{self, DataProxyServiceClient};
use flyte_idl::flyteidl2::task::{CacheConfig, Envs, Labels, RawDataStorage, RunSpec};
use flyte_idl::flyteidl2::workflow as wire;
use flyte_idl::flyteidl2::workflow::create_run_request as create;
use serde::Serialize;

pub use self::rerun::{Origin, RecoverOptions, RerunError, RerunOptions};
use crate::action::{Action, ActionDetails, ActionId, ROOT, RunId, answered};
use crate::data::Inputs;
use crate::error::ClientError;
use crate::listing::{self, TimeRange, equal};
use crate::pager::{Page, Pager, Source};
use crate::phase::Phase;
use crate::project_domain::ProjectDomain;
use crate::task::{Spec, TaskId};
use crate::transport::Transport;

/// A run and its state.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Run {
    /// The run's name, unique in its project and domain.
    pub name: String,
    /// The run's project and domain.
    #[serde(flatten)]
    pub project_domain: ProjectDomain,
    /// Full name of the run's task.
    pub task: String,
    /// The task's version.
    pub version: String,
    /// The run's phase.
    pub phase: Phase,
    /// The number of attempts of the root action.
    pub attempts: u32,
    /// The creation time, Unix time in seconds.
    pub started_at: Option<i64>,
    /// The end time, Unix time in seconds.
    pub ended_at: Option<i64>,
    /// The duration in milliseconds.
    pub duration_ms: Option<u64>,
    /// The name of the person or machine that started the run.
    pub created_by: String,
    /// The run's labels.
    pub labels: BTreeMap<String, String>,
}

impl Run {
    /// The run's identifier.
    #[must_use]
    pub fn id(&self) -> RunId {
        RunId::new(self.project_domain.clone(), &self.name)
    }

    /// The run with this root action.
    #[must_use]
    pub fn of(action: Action, labels: BTreeMap<String, String>) -> Self {
        Self {
            name: action.run,
            project_domain: action.project_domain,
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

/// The details of a run.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct RunDetails {
    /// The run.
    #[serde(flatten)]
    pub run: Run,
    /// The details of the root action.
    pub action: ActionDetails,
    /// The environment variables of the run's tasks.
    pub env: BTreeMap<String, String>,
}

/// The runs to list, newest first.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ListOptions {
    /// Runs in one of these phases; empty for all phases.
    pub phases: Vec<Phase>,
    /// Runs of this task.
    pub task: Option<String>,
    /// Runs of this version of the task.
    pub version: Option<String>,
    /// Runs with these labels.
    pub labels: BTreeMap<String, String>,
    /// Runs that have labels with these keys.
    pub label_keys: Vec<String>,
    /// Runs that this subject started.
    pub created_by: Option<String>,
    /// Runs that were created in this time.
    pub created: TimeRange,
    /// Runs whose state last changed in this time.
    pub updated: TimeRange,
    /// Runs in which an action waits for a signal.
    pub paused: bool,
    /// The most runs to return; `None` for all.
    pub limit: Option<u32>,
}

/// The task of a new run.
#[derive(Clone, Debug)]
pub enum Program {
    /// A deployed task.
    Deployed(TaskId),
    /// A task with this specification, which is not deployed.
    Spec(Box<Spec>),
}

/// A run to start.
#[derive(Clone, Debug)]
pub struct NewRun {
    /// The project and domain.
    pub project_domain: ProjectDomain,
    /// The name; `None` lets the server choose one.
    pub name: Option<String>,
    /// The task.
    pub program: Program,
    /// The inputs.
    pub inputs: Inputs,
    /// The options.
    pub options: RunOptions,
}

/// The options of a new run.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RunOptions {
    /// Environment variables for the tasks.
    pub env: BTreeMap<String, String>,
    /// The run's labels.
    pub labels: BTreeMap<String, String>,
    /// Whether the tasks may run on interruptible machines; `None` for the tasks' own setting.
    pub interruptible: Option<bool>,
    /// Ignore and replace cached results.
    pub overwrite_cache: bool,
    /// The Kubernetes service account of the tasks; empty for their own or the server's.
    pub service_account: String,
    /// The queue; empty for the default one.
    pub queue: String,
    /// The storage prefix for the tasks' large data; empty for the server's default.
    pub raw_data_prefix: String,
    /// The most concurrent actions; 0 for the server's default.
    pub max_action_concurrency: u32,
}

/// The inputs of a new run.
enum Given {
    /// The values.
    Inputs(Inputs),
    /// Where the values are stored.
    Stored(OffloadedInputData),
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
    /// [`ClientError::AlreadyExists`] if the name is in use, [`ClientError::NotFound`] if the task is not deployed,
    /// [`ClientError::InvalidArgument`] if the inputs do not match the task.
    pub async fn create(&self, new: NewRun) -> Result<Run, ClientError> {
        let spec = RunSpec::from(new.options);
        self.submit(new.project_domain, new.name, new.program, Given::Inputs(new.inputs), spec).await
    }

    async fn submit(
        &self,
        project_domain: ProjectDomain,
        name: Option<String>,
        program: Program,
        inputs: Given,
        spec: RunSpec,
    ) -> Result<Run, ClientError> {
        let org = self.org.as_deref();
        let project_id = project_domain.identifier(org);
        let named = name.map(|name| RunId::new(project_domain, name).identifier(org));
        let inputs = match inputs {
            Given::Stored(stored) => create::InputWrapper::OffloadedInputData(Box::new(stored)),
            Given::Inputs(inputs) => match self.upload(&project_id, named.as_ref(), &program, &inputs).await?
            {
                Some(uploaded) => create::InputWrapper::OffloadedInputData(Box::new(uploaded)),
                None => create::InputWrapper::Inputs(Box::new(inputs.0)),
            },
        };
        let request = wire::CreateRunRequest {
            id: Some(match named {
                Some(id) => create::Id::RunId(Box::new(id)),
                None => create::Id::ProjectId(Box::new(project_id)),
            }),
            task: Some(match program {
                Program::Deployed(task) => create::Task::TaskId(Box::new(task.identifier(org))),
                Program::Spec(spec) => create::Task::TaskSpec(Box::new(spec.0)),
            }),
            input_wrapper: Some(inputs),
            run_spec: spec.into(),
            source: wire::RunSource::RUN_SOURCE_CLI.into(),
            ..Default::default()
        };
        let answer = self.service.create_run(request).await.map_err(|error| self.error(error))?;
        answer.into_owned().run.into_option().map(Run::from).ok_or_else(|| ClientError::Server {
            code: "internal",
            message: "the server's answer contains no run".to_owned(),
        })
    }

    /// Uploads the inputs to where the run's tasks read them, like the published client. `None` if the server accepts inputs only in
    /// the request that creates the run.
    async fn upload(
        &self,
        project_domain: &ProjectIdentifier,
        run: Option<&RunIdentifier>,
        program: &Program,
        inputs: &Inputs,
    ) -> Result<Option<OffloadedInputData>, ClientError> {
        use dataproxy::upload_inputs_request::{Id, Task};
        let request = dataproxy::UploadInputsRequest {
            id: Some(match run {
                Some(run) => Id::RunId(Box::new(run.clone())),
                None => Id::ProjectId(Box::new(project_domain.clone())),
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

    /// Fetches a run.
    ///
    /// # Errors
    /// [`ClientError::NotFound`] if it does not exist.
    pub async fn get(&self, id: &RunId) -> Result<RunDetails, ClientError> {
        let run_id = id.identifier(self.org.as_deref()).into();
        let request = wire::GetRunDetailsRequest { run_id, ..Default::default() };
        let answer = self.service.get_run_details(request).await.map_err(|error| self.error(error))?;
        let details = answer.into_owned().details.into_option().unwrap_or_default();
        let spec = details.run_spec.into_option().unwrap_or_default();
        let mut action = answered(details.action.into_option())?;
        // The details of a run may lack the error of its action. The action's own details have it.
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

    /// Lists the runs of a project and domain, newest first. Pages are fetched as needed.
    pub fn list(&self, project_domain: ProjectDomain, options: ListOptions) -> Pager<Listing<T>> {
        let limit = options.limit;
        Pager::new(Listing { runs: self.clone(), project_domain, options }, limit)
    }

    /// Stops a run and all its actions. Actions that have ended stay unchanged.
    ///
    /// # Errors
    /// [`ClientError::NotFound`] if it does not exist.
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

/// The source of a listing of runs.
pub struct Listing<T> {
    runs: Runs<T>,
    project_domain: ProjectDomain,
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
        filters.extend(options.label_keys.iter().map(|name| listing::exists(&format!("labels.{name}"))));
        filters.extend(options.created.filters("created_at").chain(options.updated.filters("updated_at")));
        let project_domain = self.project_domain.identifier(self.runs.org.as_deref());
        let request = wire::ListRunsRequest {
            request: listing::page(limit, token, filters, false).into(),
            scope_by: Some(wire::list_runs_request::ScopeBy::ProjectId(Box::new(project_domain))),
            paused_actions_only: options.paused,
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
        if !options.service_account.is_empty() {
            let run_as = Identity { k8s_service_account: options.service_account, ..Default::default() };
            spec.security_context = SecurityContext { run_as: run_as.into(), ..Default::default() }.into();
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
