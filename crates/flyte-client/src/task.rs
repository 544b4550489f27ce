//! Tasks that are deployed.

use buffa::Message as _;
use connectrpc::ConnectError;
use flyte_config::Endpoint;
use flyte_idl::flyteidl2::core::literal_type::Type;
use flyte_idl::flyteidl2::core::parameter::Behavior;
use flyte_idl::flyteidl2::core::task_template::Target;
use flyte_idl::flyteidl2::core::{Literal, LiteralType, VariableMap};
use flyte_idl::flyteidl2::task as wire;
use serde::Serialize;
use serde_json::Value;

use crate::error::ClientError;
use crate::listing::{self, equal, principal_name, unix_time};
use crate::pager::{Page, Pager, Source};
use crate::project_domain::ProjectDomain;
use crate::transport::Transport;

/// Which task, in which version.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TaskId {
    /// The task's project and domain.
    pub project_domain: ProjectDomain,
    /// The task's full name, for example `env.main`.
    pub name: String,
    /// The task's version.
    pub version: String,
}

impl TaskId {
    pub(crate) fn identifier(&self, org: Option<&str>) -> wire::TaskIdentifier {
        wire::TaskIdentifier {
            org: org.unwrap_or_default().to_owned(),
            project: self.project_domain.project.clone(),
            domain: self.project_domain.domain.clone(),
            name: self.name.clone(),
            version: self.version.clone(),
            ..Default::default()
        }
    }
}

/// A task in one version.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Task {
    /// The task's full name, for example `env.main`.
    pub name: String,
    /// The task's version.
    pub version: String,
    /// The task's project and domain.
    #[serde(flatten)]
    pub project_domain: ProjectDomain,
    /// The task's name for display.
    pub short_name: String,
    /// The task's environment.
    pub environment: String,
    /// A one-line description.
    pub description: String,
    /// The deployment time, Unix time in seconds.
    pub deployed_at: Option<i64>,
    /// The name of the person or machine that deployed the task.
    pub deployed_by: String,
}

impl Task {
    /// The task's identifier.
    #[must_use]
    pub fn id(&self) -> TaskId {
        let Self { project_domain, name, version, .. } = self;
        TaskId { project_domain: project_domain.clone(), name: name.clone(), version: version.clone() }
    }
}

/// An input or output of a task.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Variable {
    /// The variable's name.
    pub name: String,
    /// The variable's type in Python notation.
    #[serde(rename = "type")]
    pub type_name: String,
    /// The variable's description.
    pub description: String,
    /// Whether a value is required.
    pub required: bool,
    /// The default value.
    pub default: Option<Value>,
    /// Whether the type is a list.
    #[serde(skip)]
    pub is_list: bool,
    /// The allowed texts of an enum; empty for other types.
    #[serde(skip)]
    pub choices: Vec<String>,
    /// The type in the server's representation.
    #[serde(skip)]
    pub(crate) literal_type: LiteralType,
    /// The default value in the server's representation.
    #[serde(skip)]
    pub(crate) default_literal: Option<Literal>,
}

/// The details of a task in one version.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct TaskDetails {
    /// The task.
    #[serde(flatten)]
    pub task: Task,
    /// The documentation, for example the docstring of the function.
    pub documentation: String,
    /// The task type, for example `python`.
    #[serde(rename = "type")]
    pub task_type: String,
    /// The container image; empty without a container.
    pub image: String,
    /// The number of retries after an error of the task's code.
    pub retries: u32,
    /// The inputs.
    pub inputs: Vec<Variable>,
    /// The outputs.
    pub outputs: Vec<Variable>,
}

/// The specification of a task: its template, its interface and its defaults.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Spec(pub(crate) wire::TaskSpec);

impl Spec {
    /// Decodes a `flyteidl2.task.TaskSpec`.
    ///
    /// # Errors
    /// The reason why the bytes are not an encoded specification.
    pub fn decode(bytes: &[u8]) -> Result<Self, String> {
        wire::TaskSpec::decode_from_slice(bytes).map(Self).map_err(|error| error.to_string())
    }

    /// The task's full name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.0.task_template.id.name
    }

    /// The task's version.
    #[must_use]
    pub fn version(&self) -> &str {
        &self.0.task_template.id.version
    }
}

/// A trigger, which starts a task automatically, for example on a schedule.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Trigger(wire::TaskTrigger);

impl Trigger {
    /// Decodes a `flyteidl2.task.TaskTrigger`.
    ///
    /// # Errors
    /// The reason why the bytes are not an encoded trigger.
    pub fn decode(bytes: &[u8]) -> Result<Self, String> {
        wire::TaskTrigger::decode_from_slice(bytes).map(Self).map_err(|error| error.to_string())
    }
}

/// Which tasks to list. Without a name, servers list the latest version of each task.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ListOptions {
    /// Lists all versions of the task with this full name.
    pub name: Option<String>,
    /// Lists only entry points: tasks that people start.
    pub entrypoints: bool,
    /// The maximum number of tasks; `None` for all.
    pub limit: Option<u32>,
}

/// Calls of `flyteidl2.task.TaskService`.
#[derive(Clone)]
pub struct Tasks<T> {
    service: wire::TaskServiceClient<T>,
    endpoint: Endpoint,
    org: Option<String>,
}

impl<T: Transport> Tasks<T> {
    pub(crate) fn new(service: wire::TaskServiceClient<T>, endpoint: Endpoint, org: Option<String>) -> Self {
        Self { service, endpoint, org }
    }

    /// Returns one task in one version.
    ///
    /// # Errors
    /// [`ClientError::NotFound`] if the task does not exist in this version.
    pub async fn get(&self, id: &TaskId) -> Result<TaskDetails, ClientError> {
        let task_id = id.identifier(self.org.as_deref()).into();
        let request = wire::GetTaskDetailsRequest { task_id, ..Default::default() };
        let answer = self.service.get_task_details(request).await.map_err(|error| self.error(error))?;
        answer.into_owned().details.into_option().map(TaskDetails::from).ok_or_else(|| ClientError::Server {
            code: "internal",
            message: format!("the server's answer does not contain the task {}", id.name),
        })
    }

    /// Finds the version of a task that was deployed last.
    ///
    /// # Errors
    /// [`ClientError::NotFound`] if the task does not exist.
    pub async fn latest(&self, project_domain: &ProjectDomain, name: &str) -> Result<TaskId, ClientError> {
        let options = ListOptions { name: Some(name.to_owned()), limit: Some(1), ..ListOptions::default() };
        let found = self.list(project_domain.clone(), options).next().await?;
        found.map(|task| task.id()).ok_or_else(|| ClientError::NotFound {
            message: format!("there is no task {name} in {project_domain}"),
        })
    }

    /// Lists the tasks of a project and domain, the last deployed first. Pages are fetched on demand.
    pub fn list(&self, project_domain: ProjectDomain, options: ListOptions) -> Pager<Listing<T>> {
        let limit = options.limit;
        Pager::new(Listing { tasks: self.clone(), project_domain, options }, limit)
    }

    /// Deploys a task with its triggers. A second deployment of the same content changes nothing.
    ///
    /// # Errors
    /// [`ClientError::AlreadyExists`] if the version exists with other content. A strict server also returns it for the same
    /// content.
    pub async fn deploy(&self, id: &TaskId, spec: Spec, triggers: Vec<Trigger>) -> Result<(), ClientError> {
        let request = wire::DeployTaskRequest {
            task_id: id.identifier(self.org.as_deref()).into(),
            spec: spec.0.into(),
            triggers: triggers.into_iter().map(|trigger| trigger.0).collect(),
            ..Default::default()
        };
        self.service.deploy_task(request).await.map_err(|error| self.error(error))?;
        Ok(())
    }

    fn error(&self, error: ConnectError) -> ClientError {
        ClientError::from_connect(error, &self.endpoint)
    }
}

/// The source of a list of tasks.
pub struct Listing<T> {
    tasks: Tasks<T>,
    project_domain: ProjectDomain,
    options: ListOptions,
}

impl<T: Transport> Source for Listing<T> {
    type Item = Task;

    async fn page(&self, limit: u32, token: &str) -> Result<Page<Task>, ClientError> {
        use wire::list_tasks_request::{KnownFilter, ScopeBy, known_filter};
        let filters = self.options.name.iter().map(|name| equal("name", name)).collect();
        let project_domain = self.project_domain.identifier(self.tasks.org.as_deref());
        let entrypoints = self.options.entrypoints.then(|| KnownFilter {
            filter_by: Some(known_filter::FilterBy::IsEntrypoint(true)),
            ..Default::default()
        });
        let request = wire::ListTasksRequest {
            request: listing::page(limit, token, filters, false).into(),
            scope_by: Some(ScopeBy::ProjectId(Box::new(project_domain))),
            known_filters: entrypoints.into_iter().collect(),
            ..Default::default()
        };
        let answer = self.tasks.service.list_tasks(request).await;
        let answer = answer.map_err(|error| self.tasks.error(error))?.into_owned();
        let items = answer.tasks.into_iter().map(|task| {
            Task::of(task.task_id.into_option(), task.metadata.into_option().unwrap_or_default())
        });
        Ok(Page { items: items.collect(), next: answer.token })
    }
}

impl Task {
    fn of(id: Option<wire::TaskIdentifier>, metadata: wire::TaskMetadata) -> Self {
        let id = id.unwrap_or_default();
        Self {
            name: id.name,
            version: id.version,
            project_domain: ProjectDomain::new(id.project, id.domain),
            short_name: metadata.short_name,
            environment: metadata.environment_name,
            description: metadata.short_description,
            deployed_at: unix_time(metadata.deployed_at),
            deployed_by: principal_name(metadata.deployed_by.into_option()),
        }
    }
}

impl From<wire::TaskDetails> for TaskDetails {
    fn from(message: wire::TaskDetails) -> Self {
        let metadata = message.metadata.into_option().unwrap_or_default();
        let mut task = Task::of(message.task_id.into_option(), metadata);
        let spec = message.spec.into_option().unwrap_or_default();
        let documentation = spec.documentation.into_option().unwrap_or_default();
        let template = spec.task_template.into_option().unwrap_or_default();
        let interface = template.interface.into_option().unwrap_or_default();
        if task.short_name.is_empty() {
            task.short_name = spec.short_name;
        }
        if task.environment.is_empty() {
            task.environment = spec.environment.into_option().unwrap_or_default().name;
        }
        if task.description.is_empty() {
            task.description.clone_from(&documentation.short_description);
        }
        let long = documentation.long_description;
        let mut inputs = variables(interface.inputs.into_option());
        for parameter in spec.default_inputs {
            let behavior = parameter.parameter.into_option().unwrap_or_default().behavior;
            if let Some(input) = inputs.iter_mut().find(|input| input.name == parameter.name) {
                match behavior {
                    Some(Behavior::Default(value)) => {
                        input.default = Some(flyte_literal::value(&value));
                        input.default_literal = Some(*value);
                        input.required = false;
                    }
                    Some(Behavior::Required(required)) => input.required = required,
                    _ => {}
                }
            }
        }
        let image = match template.target {
            Some(Target::Container(container)) => container.image,
            _ => String::new(),
        };
        let retries = template.metadata.into_option().unwrap_or_default().retries.into_option();
        Self {
            task,
            documentation: if long.is_empty() { documentation.short_description } else { long },
            task_type: template.r#type,
            image,
            retries: retries.map_or(0, |strategy| strategy.retries),
            inputs,
            outputs: variables(interface.outputs.into_option()),
        }
    }
}

fn variables(map: Option<VariableMap>) -> Vec<Variable> {
    let entries = map.unwrap_or_default().variables.into_iter();
    let variables = entries.map(|entry| {
        let variable = entry.value.into_option().unwrap_or_default();
        let literal_type = variable.r#type.into_option().unwrap_or_default();
        Variable {
            name: entry.key,
            type_name: flyte_literal::python_name(&literal_type),
            description: variable.description,
            required: true,
            default: None,
            is_list: matches!(literal_type.r#type, Some(Type::CollectionType(_))),
            choices: match &literal_type.r#type {
                Some(Type::EnumType(choices)) => choices.values.clone(),
                _ => Vec::new(),
            },
            literal_type,
            default_literal: None,
        }
    });
    variables.collect()
}

#[cfg(test)]
mod tests;
