//! `flyteidl2.task.TaskService`: deployed tasks.
//!
//! A version never changes. Deploying a version again with the same content succeeds, because a client that got no response
//! tries again. Different content is rejected. Lists have each task once, with its latest version.

mod deploy;

use std::sync::Arc;

use buffa::MessageField;
use connectrpc::{ConnectError, Encodable, RequestContext, Response, ServiceRequest, ServiceResult};
use flyte_idl::flyteidl2::{
    common::ProjectIdentifier,
    task::{
        DeployTaskRequest, DeployTaskResponse, GetTaskDetailsRequest, GetTaskDetailsResponse,
        ListTasksRequest, ListTasksResponse, ListVersionsRequest, ListVersionsResponse, Task as Message,
        TaskDetails, TaskIdentifier, TaskMetadata, TaskService, TaskSpec, TaskTriggersSummary,
        TriggerAutomationSpec,
        list_tasks_request::{ScopeBy, known_filter::FilterBy},
        list_tasks_response::ListTasksMetadata,
        list_versions_response::VersionResponse,
        task_triggers_summary::{TriggerDetails, TriggerStats},
    },
};

use super::{
    actor::Actors,
    caller, invalid,
    list_request::{self, Field},
    project_domain, store_error, timestamp,
};
use crate::{ControlPlane, visible::Visible};
use flyte_access::Caller;
use flyte_audit::{Detail, Event, Kind};
use flyte_policy::Permission;
use flyte_store::{
    Condition, Deployed, DeployedTask, StoreError, Task, TaskField, TaskId, TaskQuery, TaskVersionQuery,
    Test, TriggersSummary,
};

pub(super) struct Service {
    plane: Arc<ControlPlane>,
}

impl Service {
    pub(super) fn new(plane: Arc<ControlPlane>) -> Self {
        Self { plane }
    }

    fn id(&self, id: TaskId) -> MessageField<TaskIdentifier, buffa::Inline<TaskIdentifier>> {
        MessageField::some(TaskIdentifier {
            org: self.plane.config.org.clone(),
            project: id.project,
            domain: id.domain,
            name: id.name,
            version: id.version,
            ..TaskIdentifier::default()
        })
    }

    async fn metadata(
        &self,
        actors: &mut Actors<'_>,
        task: &Task,
        triggers: TriggersSummary,
    ) -> Result<TaskMetadata, ConnectError> {
        Ok(TaskMetadata {
            deployed_by: MessageField::some(actors.identity(&task.deployed_by).await?),
            short_name: task.short_name.clone(),
            deployed_at: timestamp::at(task.deployed_at),
            environment_name: task.environment.clone(),
            triggers_summary: summary(triggers)?.map_or_else(MessageField::none, MessageField::some),
            short_description: task.short_description.clone(),
            ..TaskMetadata::default()
        })
    }

    async fn found(&self, id: &TaskIdentifier) -> Result<DeployedTask, ConnectError> {
        project_domain::check(&self.plane, "task_id", &id.project, &id.domain).await?;
        project_domain::check_name("task_id.name", &id.name)?;
        let store = &self.plane.store;
        let found = match id.version.as_str() {
            "" => store.latest_task(&id.project, &id.domain, &id.name).await,
            _ => store.task_by_id(&task_id(id)).await,
        };
        found.map_err(store_error)?.ok_or_else(|| {
            let version = match id.version.as_str() {
                "" => String::new(),
                version => format!(" in version {version:?}"),
            };
            ConnectError::not_found(format!(
                "there is no task {:?}{version} in project {:?}, domain {:?}: `flyte get task` lists the tasks",
                id.name, id.project, id.domain
            ))
        })
    }
}

fn task_id(id: &TaskIdentifier) -> TaskId {
    TaskId {
        project: id.project.clone(),
        domain: id.domain.clone(),
        name: id.name.clone(),
        version: id.version.clone(),
    }
}

fn summary(triggers: TriggersSummary) -> Result<Option<TaskTriggersSummary>, ConnectError> {
    let summary = match triggers {
        TriggersSummary { total: 0, .. } => return Ok(None),
        TriggersSummary { only: Some((name, automation)), active, .. } => {
            let automation_spec = decode::<TriggerAutomationSpec>(&automation)?;
            TriggerDetails {
                name,
                active: active > 0,
                automation_spec: MessageField::some(automation_spec),
                ..TriggerDetails::default()
            }
            .into()
        }
        TriggersSummary { total, active, .. } => {
            TriggerStats { total, active, ..TriggerStats::default() }.into()
        }
    };
    Ok(Some(TaskTriggersSummary { summary: Some(summary), ..TaskTriggersSummary::default() }))
}

/// Decodes a stored message.
pub(super) fn decode<M: buffa::Message>(stored: &[u8]) -> Result<M, ConnectError> {
    M::decode_from_slice(stored).map_err(|error| store_error(StoreError::Backend(Box::new(error))))
}

/// The filter field of tasks and versions with this name in requests.
fn field(name: &str) -> Option<Field<TaskField>> {
    match name {
        "name" => Some(Field::Text(TaskField::Name)),
        "version" => Some(Field::Text(TaskField::Version)),
        "short_name" | "function_name" => Some(Field::Text(TaskField::ShortName)),
        "environment" | "environment_name" => Some(Field::Text(TaskField::Environment)),
        "deployed_by" | "created_by" => Some(Field::Text(TaskField::DeployedBy)),
        "deployed_at" | "created_at" => Some(Field::Time(TaskField::DeployedAt)),
        _ => None,
    }
}

const FIELDS: &str = "name, version, short_name, environment, deployed_by, created_at";

/// Where a list request looks, limited to what the caller may see.
pub(super) async fn scope(
    plane: &ControlPlane,
    caller: &Caller,
    project: Option<&ProjectIdentifier>,
) -> Result<Visible, ConnectError> {
    let (name, domain) = project.map_or(("", ""), |id| (&*id.name, &*id.domain));
    if !name.is_empty() && !domain.is_empty() {
        project_domain::check(plane, "project_id", name, domain).await?;
    }
    let visible = Visible::to(caller, Permission::ViewInventory, name, domain);
    let wanted = if name.is_empty() { domain } else { name };
    visible.or_else(|| wanted.is_empty().then(Visible::nothing)).ok_or_else(|| {
        ConnectError::not_found(format!("{wanted:?} is no project or domain that the caller may see"))
    })
}

impl TaskService for Service {
    async fn deploy_task<'a>(
        &'a self,
        context: RequestContext,
        request: ServiceRequest<'_, DeployTaskRequest>,
    ) -> ServiceResult<impl Encodable<DeployTaskResponse> + Send + use<'a>> {
        let caller = caller(&context)?;
        let request = request.to_owned_message();
        let new = deploy::NewDeployment::read(&self.plane, caller, &request).await?;
        let id = &new.task.task.id;
        let deployed = self.plane.store.deploy_task(&new.task, &new.triggers).await.map_err(store_error)?;
        if deployed == Deployed::Different {
            return Err(ConnectError::already_exists(format!(
                "version {:?} of task {:?} is deployed with different content: deploy the change as a new version",
                id.version, id.name
            )));
        }
        if deployed == Deployed::New || !new.triggers.is_empty() {
            let event = Event::new(Kind::TaskDeployed)
                .subject(&caller.subject)
                .client(&caller.client_id)
                .object(&format!("{}:{}", id.name, id.version))
                .detail(Detail::Project, &id.project)
                .detail(Detail::Domain, &id.domain);
            self.plane.audit.record(event).await;
        }
        Response::ok(DeployTaskResponse::default())
    }

    async fn get_task_details<'a>(
        &'a self,
        _: RequestContext,
        request: ServiceRequest<'_, GetTaskDetailsRequest>,
    ) -> ServiceResult<impl Encodable<GetTaskDetailsResponse> + Send + use<'a>> {
        let request = request.to_owned_message();
        let id = request.task_id.as_option().ok_or_else(|| invalid("task_id", "is missing"))?;
        let DeployedTask { task, spec, triggers } = self.found(id).await?;
        let metadata = self.metadata(&mut Actors::new(&self.plane), &task, triggers).await?;
        let details = TaskDetails {
            task_id: self.id(task.id),
            metadata: MessageField::some(metadata),
            spec: MessageField::some(decode::<TaskSpec>(&spec)?),
            ..TaskDetails::default()
        };
        Response::ok(GetTaskDetailsResponse {
            details: MessageField::some(details),
            ..GetTaskDetailsResponse::default()
        })
    }

    async fn list_tasks<'a>(
        &'a self,
        context: RequestContext,
        request: ServiceRequest<'_, ListTasksRequest>,
    ) -> ServiceResult<impl Encodable<ListTasksResponse> + Send + use<'a>> {
        let caller = caller(&context)?;
        let request = request.to_owned_message();
        let list = request.request.as_option().cloned().unwrap_or_default();
        let project = match &request.scope_by {
            Some(ScopeBy::ProjectId(id)) => Some(&**id),
            Some(ScopeBy::Org(_)) | None => None,
        };
        let Visible { project, domain, only_in } = scope(&self.plane, caller, project).await?;
        let order = list_request::order(&list, "created_at and name", |key| match key {
            "created_at" | "deployed_at" | "updated_at" => Some(false),
            "name" => Some(true),
            _ => None,
        })?;
        let (by_name, descending) = order.unwrap_or((false, true));
        let mut query = TaskQuery {
            only_in,
            project,
            domain,
            conditions: list_request::conditions(&list, FIELDS, field)?,
            entrypoint: None,
            by_name,
            descending,
            limit: list_request::limit(&list),
            page_token: list.token.clone(),
        };
        for filter in request.known_filters {
            match filter.filter_by {
                Some(FilterBy::DeployedBy(subject)) => query.conditions.push(Condition {
                    field: TaskField::DeployedBy,
                    test: Test::OneOf(vec![subject]),
                    negated: false,
                }),
                Some(FilterBy::IsEntrypoint(entrypoint)) => query.entrypoint = Some(entrypoint),
                None => {}
            }
        }
        let (found, token) = self.plane.store.list_tasks(&query).await.map_err(store_error)?;
        let filtered_total = self.plane.store.count_tasks(&query).await.map_err(store_error)?;
        let all = TaskQuery { conditions: Vec::new(), entrypoint: None, ..query };
        let total = self.plane.store.count_tasks(&all).await.map_err(store_error)?;
        let mut actors = Actors::new(&self.plane);
        let mut tasks = Vec::with_capacity(found.len());
        for found in found {
            let metadata = self.metadata(&mut actors, &found.task, found.triggers).await?;
            tasks.push(Message {
                task_id: self.id(found.task.id),
                metadata: MessageField::some(metadata),
                ..Message::default()
            });
        }
        let metadata = ListTasksMetadata { total, filtered_total, ..ListTasksMetadata::default() };
        Response::ok(ListTasksResponse {
            tasks,
            token,
            metadata: MessageField::some(metadata),
            ..ListTasksResponse::default()
        })
    }

    async fn list_versions<'a>(
        &'a self,
        _: RequestContext,
        request: ServiceRequest<'_, ListVersionsRequest>,
    ) -> ServiceResult<impl Encodable<ListVersionsResponse> + Send + use<'a>> {
        let request = request.to_owned_message();
        let list = request.request.as_option().cloned().unwrap_or_default();
        let name = request.task_name.as_option().ok_or_else(|| invalid("task_name", "is missing"))?;
        project_domain::check(&self.plane, "task_name", &name.project, &name.domain).await?;
        project_domain::check_name("task_name.name", &name.name)?;
        let order = list_request::order(&list, "created_at", |key| {
            matches!(key, "created_at" | "deployed_at").then_some(())
        })?;
        let query = TaskVersionQuery {
            project: name.project.clone(),
            domain: name.domain.clone(),
            name: name.name.clone(),
            conditions: list_request::conditions(&list, FIELDS, field)?,
            descending: order.is_none_or(|((), descending)| descending),
            limit: list_request::limit(&list),
            page_token: list.token.clone(),
        };
        let (found, token) = self.plane.store.list_task_versions(&query).await.map_err(store_error)?;
        let mut actors = Actors::new(&self.plane);
        let mut versions = Vec::with_capacity(found.len());
        for task in found {
            versions.push(VersionResponse {
                deployed_at: timestamp::at(task.deployed_at),
                deployed_by: MessageField::some(actors.identity(&task.deployed_by).await?),
                version: task.id.version,
                ..VersionResponse::default()
            });
        }
        Response::ok(ListVersionsResponse { versions, token, ..ListVersionsResponse::default() })
    }
}
