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

use crate::client::Transport;
use crate::error::ClientError;
use crate::listing::{self, equal, moment, somebody};
use crate::literal;
use crate::pager::{Page, Pager, Source};
use crate::place::Place;
use crate::types;

/// Which task, in which version.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TaskId {
    /// Where it is.
    pub place: Place,
    /// Its full name, such as `env.main`.
    pub name: String,
    /// Its version.
    pub version: String,
}

impl TaskId {
    pub(crate) fn identifier(&self, org: Option<&str>) -> wire::TaskIdentifier {
        wire::TaskIdentifier {
            org: org.unwrap_or_default().to_owned(),
            project: self.place.project.clone(),
            domain: self.place.domain.clone(),
            name: self.name.clone(),
            version: self.version.clone(),
            ..Default::default()
        }
    }
}

/// A task in one version.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Task {
    /// Its full name, such as `env.main`.
    pub name: String,
    /// Its version.
    pub version: String,
    /// Where it is.
    #[serde(flatten)]
    pub place: Place,
    /// Its name for people.
    pub short_name: String,
    /// The environment that it belongs to.
    pub environment: String,
    /// What it does, in a line.
    pub description: String,
    /// When it was deployed, Unix time in seconds.
    pub deployed_at: Option<i64>,
    /// Who deployed it, as people call them.
    pub deployed_by: String,
}

impl Task {
    /// Which task this is.
    #[must_use]
    pub fn id(&self) -> TaskId {
        let Self { place, name, version, .. } = self;
        TaskId { place: place.clone(), name: name.clone(), version: version.clone() }
    }
}

/// Something that a task takes or returns.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Variable {
    /// Its name.
    pub name: String,
    /// Its type, in words of Python.
    #[serde(rename = "type")]
    pub type_name: String,
    /// What it is.
    pub description: String,
    /// Whether it must be given.
    pub required: bool,
    /// What it is where it is not given.
    pub default: Option<Value>,
    /// Whether it is a list.
    #[serde(skip)]
    pub is_list: bool,
    /// The only texts that it can be; empty where it can be any.
    #[serde(skip)]
    pub choices: Vec<String>,
    /// Its type as the server has it.
    #[serde(skip)]
    pub(crate) literal_type: LiteralType,
    /// What it is where it is not given, as the server has it.
    #[serde(skip)]
    pub(crate) default_literal: Option<Literal>,
}

/// All about a task in one version.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct TaskDetails {
    /// The task.
    #[serde(flatten)]
    pub task: Task,
    /// What it does.
    pub documentation: String,
    /// Its kind, such as `python`.
    #[serde(rename = "type")]
    pub task_type: String,
    /// The image of its container; empty where it has none.
    pub image: String,
    /// How many times it is tried again after an error of its own.
    pub retries: u32,
    /// What it takes.
    pub inputs: Vec<Variable>,
    /// What it returns.
    pub outputs: Vec<Variable>,
}

/// What a task is made of: its template, its interface and its defaults.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Spec(pub(crate) wire::TaskSpec);

impl Spec {
    /// A `flyteidl2.task.TaskSpec` as it was encoded.
    ///
    /// # Errors
    /// What makes it none, in words.
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

/// What starts a task by itself.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Trigger(wire::TaskTrigger);

impl Trigger {
    /// A `flyteidl2.task.TaskTrigger` as it was encoded.
    ///
    /// # Errors
    /// What makes it none, in words.
    pub fn decode(bytes: &[u8]) -> Result<Self, String> {
        wire::TaskTrigger::decode_from_slice(bytes).map(Self).map_err(|error| error.to_string())
    }
}

/// Which tasks to list, in their latest version unless the server has another view.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ListOptions {
    /// All versions of the task of this full name.
    pub name: Option<String>,
    /// Only tasks that are meant to be started by people.
    pub entrypoints: bool,
    /// The most to return; `None` for all.
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

    /// One task in one version.
    ///
    /// # Errors
    /// [`ClientError::NotFound`] where there is none.
    pub async fn get(&self, id: &TaskId) -> Result<TaskDetails, ClientError> {
        let task_id = id.identifier(self.org.as_deref()).into();
        let request = wire::GetTaskDetailsRequest { task_id, ..Default::default() };
        let answer = self.service.get_task_details(request).await.map_err(|error| self.error(error))?;
        answer.into_owned().details.into_option().map(TaskDetails::from).ok_or_else(|| ClientError::Server {
            code: "internal",
            message: format!("the server answered without the task {}", id.name),
        })
    }

    /// Which version of a task was deployed last.
    ///
    /// # Errors
    /// [`ClientError::NotFound`] where there is no such task.
    pub async fn latest(&self, place: &Place, name: &str) -> Result<TaskId, ClientError> {
        let options = ListOptions { name: Some(name.to_owned()), limit: Some(1), ..ListOptions::default() };
        let found = self.list(place.clone(), options).next().await?;
        found
            .map(|task| task.id())
            .ok_or_else(|| ClientError::NotFound { message: format!("there is no task {name} in {place}") })
    }

    /// The tasks of a project and domain, those that were deployed last first, fetched page by page as they are asked for.
    pub fn list(&self, place: Place, options: ListOptions) -> Pager<Listing<T>> {
        let limit = options.limit;
        Pager::new(Listing { tasks: self.clone(), place, options }, limit)
    }

    /// Deploys a task with its triggers. Deploying the same again changes nothing.
    ///
    /// # Errors
    /// [`ClientError::AlreadyExists`] where the version is there already (with other content, unless the server is strict).
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

/// Tasks that a listing is of.
pub struct Listing<T> {
    tasks: Tasks<T>,
    place: Place,
    options: ListOptions,
}

impl<T: Transport> Source for Listing<T> {
    type Item = Task;

    async fn page(&self, limit: u32, token: &str) -> Result<Page<Task>, ClientError> {
        use wire::list_tasks_request::{KnownFilter, ScopeBy, known_filter};
        let filters = self.options.name.iter().map(|name| equal("name", name)).collect();
        let place = self.place.identifier(self.tasks.org.as_deref());
        let entrypoints = self.options.entrypoints.then(|| KnownFilter {
            filter_by: Some(known_filter::FilterBy::IsEntrypoint(true)),
            ..Default::default()
        });
        let request = wire::ListTasksRequest {
            request: listing::page(limit, token, filters, false).into(),
            scope_by: Some(ScopeBy::ProjectId(Box::new(place))),
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
            place: Place::new(id.project, id.domain),
            short_name: metadata.short_name,
            environment: metadata.environment_name,
            description: metadata.short_description,
            deployed_at: moment(metadata.deployed_at),
            deployed_by: somebody(metadata.deployed_by.into_option()),
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
                        input.default = Some(literal::value(&value));
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
            type_name: types::words(&literal_type),
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
