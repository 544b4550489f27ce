//! `flyteidl2.trigger.TriggerService`: triggers, which start tasks automatically.

use std::sync::Arc;

use buffa::{EnumValue, Message as _, MessageField};
use connectrpc::{ConnectError, Encodable, RequestContext, Response, ServiceRequest, ServiceResult};
use flyte_idl::flyteidl2::{
    common::{TriggerIdentifier, TriggerName},
    task::{TaskIdentifier, TriggerAutomationSpec},
    trigger::{
        DeleteTriggersRequest, DeleteTriggersResponse, DeployTriggerRequest, DeployTriggerResponse,
        GetTriggerDetailsRequest, GetTriggerDetailsResponse, GetTriggerRevisionDetailsRequest,
        GetTriggerRevisionDetailsResponse, GetTriggerRevisionHistoryRequest,
        GetTriggerRevisionHistoryResponse, ListTriggersRequest, ListTriggersResponse, Trigger as Message,
        TriggerDetails, TriggerMetadata, TriggerRevision as RevisionMessage, TriggerRevisionAction,
        TriggerService, TriggerSpec, TriggerStatus, UpdateTriggersRequest, UpdateTriggersResponse,
        list_triggers_request::ScopeBy,
    },
};

use super::{
    actor::{self, Actors},
    caller, invalid,
    list_request::{self, Field},
    project_domain, store_error,
    task::{self, decode},
    timestamp, unsupported,
};
use crate::{ControlPlane, visible::Visible};
use flyte_access::Caller;
use flyte_audit::{Detail, Event, Kind};
use flyte_model::clock::UnixTime;
use flyte_store::{
    Condition, NewTrigger, TaskId, Test, Trigger, TriggerChange, TriggerDeployment, TriggerField, TriggerId,
    TriggerQuery,
};

/// The most triggers that are changed at once.
const MAX_NAMES: usize = 100;

pub(super) struct Service {
    plane: Arc<ControlPlane>,
}

impl Service {
    pub(super) fn new(plane: Arc<ControlPlane>) -> Self {
        Self { plane }
    }

    /// The trigger that a request names, in a project and domain that exist.
    async fn id(&self, field: &str, name: Option<&TriggerName>) -> Result<TriggerId, ConnectError> {
        let name = name.ok_or_else(|| invalid(field, "is missing"))?;
        project_domain::check(&self.plane, field, &name.project, &name.domain).await?;
        project_domain::check_name(&format!("{field}.task_name"), &name.task_name)?;
        project_domain::check_name(&format!("{field}.name"), &name.name)?;
        Ok(TriggerId {
            project: name.project.clone(),
            domain: name.domain.clone(),
            task: name.task_name.clone(),
            name: name.name.clone(),
        })
    }

    async fn ids(&self, names: &[TriggerName]) -> Result<Vec<TriggerId>, ConnectError> {
        if names.is_empty() {
            return Err(invalid("names", "is empty"));
        }
        if names.len() > MAX_NAMES {
            return Err(invalid("names", &format!("has more than {MAX_NAMES} triggers")));
        }
        let mut ids: Vec<TriggerId> = Vec::with_capacity(names.len());
        for (n, name) in names.iter().enumerate() {
            let id = self.id(&format!("names[{n}]"), Some(name)).await?;
            if !ids.contains(&id) {
                ids.push(id);
            }
        }
        Ok(ids)
    }

    async fn record(&self, kind: Kind, caller: &Caller, id: &TriggerId) {
        let event = Event::new(kind)
            .subject(&caller.subject)
            .client(&caller.client_id)
            .object(&format!("{}/{}", id.task, id.name))
            .detail(Detail::Project, &id.project)
            .detail(Detail::Domain, &id.domain);
        self.plane.audit.record(event).await;
    }

    fn identifier(&self, trigger: &Trigger) -> TriggerIdentifier {
        let TriggerId { project, domain, task, name } = trigger.id.clone();
        let name = TriggerName {
            org: self.plane.config.org.clone(),
            project,
            domain,
            name,
            task_name: task,
            ..TriggerName::default()
        };
        TriggerIdentifier {
            name: MessageField::some(name),
            revision: trigger.revision,
            ..TriggerIdentifier::default()
        }
    }

    async fn metadata(
        &self,
        actors: &mut Actors<'_>,
        trigger: &Trigger,
    ) -> Result<TriggerMetadata, ConnectError> {
        Ok(TriggerMetadata {
            deployed_by: MessageField::some(actors.identity(&trigger.deployed_by).await?),
            updated_by: MessageField::some(actors.identity(&trigger.updated_by).await?),
            ..TriggerMetadata::default()
        })
    }

    async fn details(
        &self,
        trigger: &Trigger,
        deleted_at: Option<UnixTime>,
    ) -> Result<TriggerDetails, ConnectError> {
        let mut spec = decode::<TriggerSpec>(&trigger.spec)?;
        spec.active = trigger.active;
        spec.task_version.clone_from(&trigger.task_version);
        let description = Some(spec.description.clone()).filter(|description| !description.is_empty());
        Ok(TriggerDetails {
            id: MessageField::some(self.identifier(trigger)),
            metadata: MessageField::some(self.metadata(&mut Actors::new(&self.plane), trigger).await?),
            spec: MessageField::some(spec),
            status: MessageField::some(status(trigger, deleted_at)),
            automation_spec: MessageField::some(decode::<TriggerAutomationSpec>(&trigger.automation)?),
            description,
            ..TriggerDetails::default()
        })
    }
}

fn status(trigger: &Trigger, deleted_at: Option<UnixTime>) -> TriggerStatus {
    let maybe = |at: Option<UnixTime>| at.map_or_else(MessageField::none, timestamp::at);
    TriggerStatus {
        deployed_at: timestamp::at(trigger.deployed_at),
        updated_at: timestamp::at(trigger.updated_at),
        triggered_at: maybe(trigger.triggered_at),
        deleted_at: maybe(deleted_at),
        ..TriggerStatus::default()
    }
}

fn not_found(id: &TriggerId) -> ConnectError {
    ConnectError::not_found(format!(
        "task {:?} has no trigger {:?} in project {:?}, domain {:?}: `flyte get trigger` lists the triggers",
        id.task, id.name, id.project, id.domain
    ))
}

fn is(field: TriggerField, value: &str) -> Condition<TriggerField> {
    Condition { field, test: Test::OneOf(vec![value.to_owned()]), negated: false }
}

impl TriggerService for Service {
    async fn deploy_trigger<'a>(
        &'a self,
        context: RequestContext,
        request: ServiceRequest<'_, DeployTriggerRequest>,
    ) -> ServiceResult<impl Encodable<DeployTriggerResponse> + Send + use<'a>> {
        let caller = caller(&context)?;
        let request = request.to_owned_message();
        let id = self.id("name", request.name.as_option()).await?;
        let spec = request.spec.as_option().ok_or_else(|| invalid("spec", "is missing"))?;
        let automation =
            request.automation_spec.as_option().ok_or_else(|| invalid("automation_spec", "is missing"))?;
        project_domain::check_name("spec.task_version", &spec.task_version)?;
        unsupported::check_trigger("spec.active", spec.active, automation)?;
        let task = TaskId {
            project: id.project.clone(),
            domain: id.domain.clone(),
            name: id.task.clone(),
            version: spec.task_version.clone(),
        };
        if self.plane.store.task_by_id(&task).await.map_err(store_error)?.is_none() {
            return Err(ConnectError::not_found(format!(
                "there is no task {:?} in version {:?}: deploy it before its trigger",
                task.name, task.version
            )));
        }
        let new = NewTrigger {
            task_version: task.version,
            active: spec.active,
            spec: spec.encode_to_vec(),
            automation: automation.encode_to_vec(),
            due_at: None,
            by: actor::of(caller),
            at: self.plane.clock.now(),
            id,
        };
        let deployed = self.plane.store.deploy_trigger(&new, request.revision).await.map_err(store_error)?;
        let trigger = match deployed {
            TriggerDeployment::Deployed(trigger) => trigger,
            TriggerDeployment::OtherRevision { current } => {
                return Err(ConnectError::failed_precondition(format!(
                    "revision is {}, and trigger {:?} is at {current}: it was changed meanwhile",
                    request.revision, new.id.name
                )));
            }
        };
        self.record(Kind::TriggerDeployed, caller, &trigger.id).await;
        Response::ok(DeployTriggerResponse {
            trigger: MessageField::some(self.details(&trigger, None).await?),
            ..DeployTriggerResponse::default()
        })
    }

    async fn get_trigger_details<'a>(
        &'a self,
        _: RequestContext,
        request: ServiceRequest<'_, GetTriggerDetailsRequest>,
    ) -> ServiceResult<impl Encodable<GetTriggerDetailsResponse> + Send + use<'a>> {
        let request = request.to_owned_message();
        let id = self.id("name", request.name.as_option()).await?;
        let found = self.plane.store.trigger_by_id(&id).await.map_err(store_error)?;
        let trigger = found.ok_or_else(|| not_found(&id))?;
        Response::ok(GetTriggerDetailsResponse {
            trigger: MessageField::some(self.details(&trigger, None).await?),
            ..GetTriggerDetailsResponse::default()
        })
    }

    async fn get_trigger_revision_details<'a>(
        &'a self,
        _: RequestContext,
        request: ServiceRequest<'_, GetTriggerRevisionDetailsRequest>,
    ) -> ServiceResult<impl Encodable<GetTriggerRevisionDetailsResponse> + Send + use<'a>> {
        let request = request.to_owned_message();
        let wanted = request.id.as_option().ok_or_else(|| invalid("id", "is missing"))?;
        let id = self.id("id.name", wanted.name.as_option()).await?;
        let found = self.plane.store.trigger_revision(&id, wanted.revision).await.map_err(store_error)?;
        let revision = found.ok_or_else(|| {
            ConnectError::not_found(format!("trigger {:?} has no revision {}", id.name, wanted.revision))
        })?;
        let trigger = &revision.trigger;
        let deleted_at = (revision.change == TriggerChange::Deleted).then_some(trigger.updated_at);
        Response::ok(GetTriggerRevisionDetailsResponse {
            trigger: MessageField::some(self.details(trigger, deleted_at).await?),
            ..GetTriggerRevisionDetailsResponse::default()
        })
    }

    async fn list_triggers<'a>(
        &'a self,
        context: RequestContext,
        request: ServiceRequest<'_, ListTriggersRequest>,
    ) -> ServiceResult<impl Encodable<ListTriggersResponse> + Send + use<'a>> {
        let caller = caller(&context)?;
        let request = request.to_owned_message();
        let list = request.request.as_option().cloned().unwrap_or_default();
        let mut conditions =
            list_request::conditions(&list, "name, task_name, task_version", |name| match name {
                "name" => Some(Field::Text(TriggerField::Name)),
                "task_name" => Some(Field::Text(TriggerField::Task)),
                "task_version" => Some(Field::Text(TriggerField::TaskVersion)),
                _ => None,
            })?;
        let some = |text: &str| Some(text.to_owned());
        let Visible { project, domain, only_in } = match &request.scope_by {
            Some(ScopeBy::ProjectId(project)) => task::scope(&self.plane, caller, Some(project)).await?,
            Some(ScopeBy::TaskId(id)) => {
                let TaskIdentifier { project, domain, name, version, .. } = &**id;
                project_domain::check(&self.plane, "task_id", project, domain).await?;
                conditions.extend([is(TriggerField::Task, name), is(TriggerField::TaskVersion, version)]);
                Visible { project: some(project), domain: some(domain), only_in: None }
            }
            Some(ScopeBy::TaskName(id)) => {
                project_domain::check(&self.plane, "task_name", &id.project, &id.domain).await?;
                conditions.push(is(TriggerField::Task, &id.name));
                Visible { project: some(&id.project), domain: some(&id.domain), only_in: None }
            }
            Some(ScopeBy::Org(_)) | None => task::scope(&self.plane, caller, None).await?,
        };
        let order = list_request::order(&list, "created_at and name", |key| match key {
            "created_at" | "deployed_at" => Some(false),
            "name" | "task_name" => Some(true),
            _ => None,
        })?;
        let (by_name, descending) = order.unwrap_or((true, false));
        let query = TriggerQuery {
            only_in,
            project,
            domain,
            conditions,
            active: None,
            by_name,
            descending,
            limit: list_request::limit(&list),
            page_token: list.token.clone(),
        };
        let (found, token) = self.plane.store.list_triggers(&query).await.map_err(store_error)?;
        let mut actors = Actors::new(&self.plane);
        let mut triggers = Vec::with_capacity(found.len());
        for trigger in &found {
            triggers.push(Message {
                id: MessageField::some(self.identifier(trigger)),
                metadata: MessageField::some(self.metadata(&mut actors, trigger).await?),
                status: MessageField::some(status(trigger, None)),
                active: trigger.active,
                automation_spec: MessageField::some(decode::<TriggerAutomationSpec>(&trigger.automation)?),
                ..Message::default()
            });
        }
        Response::ok(ListTriggersResponse { triggers, token, ..ListTriggersResponse::default() })
    }

    async fn get_trigger_revision_history<'a>(
        &'a self,
        _: RequestContext,
        request: ServiceRequest<'_, GetTriggerRevisionHistoryRequest>,
    ) -> ServiceResult<impl Encodable<GetTriggerRevisionHistoryResponse> + Send + use<'a>> {
        let request = request.to_owned_message();
        let list = request.request.as_option().cloned().unwrap_or_default();
        let id = self.id("name", request.name.as_option()).await?;
        let (found, token) = self
            .plane
            .store
            .list_trigger_revisions(&id, list_request::limit(&list), &list.token)
            .await
            .map_err(store_error)?;
        let mut actors = Actors::new(&self.plane);
        let mut triggers = Vec::with_capacity(found.len());
        for revision in &found {
            let trigger = &revision.trigger;
            let action = match revision.change {
                TriggerChange::Deployed => TriggerRevisionAction::TRIGGER_REVISION_ACTION_DEPLOY,
                TriggerChange::Activated => TriggerRevisionAction::TRIGGER_REVISION_ACTION_ACTIVATE,
                TriggerChange::Deactivated => TriggerRevisionAction::TRIGGER_REVISION_ACTION_DEACTIVATE,
                TriggerChange::Deleted => TriggerRevisionAction::TRIGGER_REVISION_ACTION_DELETE,
            };
            let deleted_at = (revision.change == TriggerChange::Deleted).then_some(trigger.updated_at);
            triggers.push(RevisionMessage {
                id: MessageField::some(self.identifier(trigger)),
                metadata: MessageField::some(self.metadata(&mut actors, trigger).await?),
                status: MessageField::some(status(trigger, deleted_at)),
                action: EnumValue::from(action),
                created_at: timestamp::at(trigger.updated_at),
                ..RevisionMessage::default()
            });
        }
        Response::ok(GetTriggerRevisionHistoryResponse {
            triggers,
            token,
            ..GetTriggerRevisionHistoryResponse::default()
        })
    }

    async fn update_triggers<'a>(
        &'a self,
        context: RequestContext,
        request: ServiceRequest<'_, UpdateTriggersRequest>,
    ) -> ServiceResult<impl Encodable<UpdateTriggersResponse> + Send + use<'a>> {
        let caller = caller(&context)?;
        let request = request.to_owned_message();
        let ids = self.ids(&request.names).await?;
        if request.active {
            for id in &ids {
                let found = self.plane.store.trigger_by_id(id).await.map_err(store_error)?;
                let trigger = found.ok_or_else(|| not_found(id))?;
                let automation = decode::<TriggerAutomationSpec>(&trigger.automation)?;
                unsupported::check_trigger("active", true, &automation)?;
            }
        }
        let due: Vec<_> = ids.iter().map(|id| (id.clone(), None)).collect();
        let (by, now) = (actor::of(caller), self.plane.clock.now());
        let missing =
            self.plane.store.switch_triggers(&due, request.active, &by, now).await.map_err(store_error)?;
        if let Some(missing) = missing {
            return Err(not_found(&missing));
        }
        for id in &ids {
            self.record(Kind::TriggerSwitched, caller, id).await;
        }
        Response::ok(UpdateTriggersResponse::default())
    }

    async fn delete_triggers<'a>(
        &'a self,
        context: RequestContext,
        request: ServiceRequest<'_, DeleteTriggersRequest>,
    ) -> ServiceResult<impl Encodable<DeleteTriggersResponse> + Send + use<'a>> {
        let caller = caller(&context)?;
        let request = request.to_owned_message();
        let ids = self.ids(&request.names).await?;
        let (by, now) = (actor::of(caller), self.plane.clock.now());
        let missing = self.plane.store.delete_triggers(&ids, &by, now).await.map_err(store_error)?;
        if let Some(missing) = missing {
            return Err(not_found(&missing));
        }
        for id in &ids {
            self.record(Kind::TriggerDeleted, caller, id).await;
        }
        Response::ok(DeleteTriggersResponse::default())
    }
}
