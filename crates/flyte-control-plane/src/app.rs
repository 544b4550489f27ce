//! `flyteidl2.app.AppService`: apps. This server runs them itself ([`flyte_runs::AppHost`]).
//!
//! A hosted control plane leases its apps to clusters, and the clusters report the status. This server has one machine, so
//! `Lease` and `UpdateStatus` return an error.

mod message;
mod request;
mod watch;

use std::sync::Arc;

use buffa::MessageField;
use connectrpc::{
    ConnectError, Encodable, RequestContext, Response, ServiceRequest, ServiceResult, ServiceStream,
};
use flyte_idl::flyteidl2::app::{
    App as Message, AppService, CreateRequest, CreateResponse, DeleteRequest, DeleteResponse, GetRequest,
    GetResponse, Identifier, LeaseRequest, LeaseResponse, ListRequest, ListResponse, UpdateRequest,
    UpdateResponse, UpdateStatusRequest, UpdateStatusResponse, WatchRequest, WatchResponse, get_request,
    list_request::FilterBy, watch_request::Target,
};

use self::message::Messages;
use super::{
    caller, invalid,
    list_request::{self, Field},
    project_domain, store_error, task,
};
use crate::{ControlPlane, visible::Visible};
use flyte_access::Caller;
use flyte_audit::{Detail, Event, Kind};
use flyte_store::{AppField, AppId, AppQuery, AppRecord, AppUpdate};

pub(super) struct Service {
    plane: Arc<ControlPlane>,
}

impl Service {
    pub(super) fn new(plane: Arc<ControlPlane>) -> Self {
        Self { plane }
    }

    async fn message(&self, record: &AppRecord) -> Result<Message, ConnectError> {
        Messages::new(&self.plane).message(record).await
    }

    async fn record(&self, kind: Kind, caller: &Caller, id: &AppId, record: Option<&AppRecord>) {
        let mut event = Event::new(kind)
            .subject(&caller.subject)
            .client(&caller.client_id)
            .object(&id.name)
            .detail(Detail::Project, &id.project)
            .detail(Detail::Domain, &id.domain);
        if let Some(record) = record {
            let state = if record.wanted { "active" } else { "stopped" };
            event = event.detail(Detail::Version, record.revision).detail(Detail::State, state);
        }
        self.plane.audit.record(event).await;
        self.plane.apps.notify();
    }
}

/// The app that a request names, in a project and domain that exist.
pub(super) async fn id(
    plane: &ControlPlane,
    field: &str,
    id: Option<&Identifier>,
) -> Result<AppId, ConnectError> {
    let id = id.ok_or_else(|| invalid(field, "is missing"))?;
    project_domain::check(plane, field, &id.project, &id.domain).await?;
    if id.name.is_empty() {
        return Err(invalid(&format!("{field}.name"), "is missing"));
    }
    Ok(AppId { project: id.project.clone(), domain: id.domain.clone(), name: id.name.clone() })
}

pub(super) fn not_found(id: &AppId) -> ConnectError {
    ConnectError::not_found(format!(
        "there is no app {:?} in project {:?}, domain {:?}: `flyte get app` lists the apps",
        id.name, id.project, id.domain
    ))
}

/// The filter field with this name in requests.
fn field(name: &str) -> Option<Field<AppField>> {
    match name {
        "name" => Some(Field::Text(AppField::Name)),
        "created_by" => Some(Field::Text(AppField::CreatedBy)),
        "status_phase" => Some(Field::Text(AppField::Status)),
        _ => None,
    }
}

impl AppService for Service {
    async fn create<'a>(
        &'a self,
        context: RequestContext,
        request: ServiceRequest<'_, CreateRequest>,
    ) -> ServiceResult<impl Encodable<CreateResponse> + Send + use<'a>> {
        let caller = caller(&context)?;
        let request = request.to_owned_message();
        let (new, _) = request::read(&self.plane, caller, request.app.as_option(), "deployed").await?;
        let record = self.plane.store.create_app(&new).await.map_err(store_error)?;
        self.record(Kind::AppDeployed, caller, &record.id, Some(&record)).await;
        let app = MessageField::some(self.message(&record).await?);
        Response::ok(CreateResponse { app, ..CreateResponse::default() })
    }

    async fn get<'a>(
        &'a self,
        _: RequestContext,
        request: ServiceRequest<'_, GetRequest>,
    ) -> ServiceResult<impl Encodable<GetResponse> + Send + use<'a>> {
        let request = request.to_owned_message();
        let wanted = match &request.identifier {
            Some(get_request::Identifier::AppId(id)) => Some(&**id),
            Some(get_request::Identifier::Ingress(_)) => {
                return Err(invalid("ingress", "cannot be used to find an app on this server: give app_id"));
            }
            None => None,
        };
        let id = id(&self.plane, "app_id", wanted).await?;
        let record =
            self.plane.store.app_by_id(&id).await.map_err(store_error)?.ok_or_else(|| not_found(&id))?;
        let app = MessageField::some(self.message(&record).await?);
        Response::ok(GetResponse { app, ..GetResponse::default() })
    }

    async fn update<'a>(
        &'a self,
        context: RequestContext,
        request: ServiceRequest<'_, UpdateRequest>,
    ) -> ServiceResult<impl Encodable<UpdateResponse> + Send + use<'a>> {
        let caller = caller(&context)?;
        let request = request.to_owned_message();
        let reason = if request.reason.is_empty() { "changed" } else { &request.reason };
        let (new, seen) = request::read(&self.plane, caller, request.app.as_option(), reason).await?;
        let record = match self.plane.store.update_app(&new, seen).await.map_err(store_error)? {
            AppUpdate::Updated(record) => record,
            AppUpdate::Unknown => return Err(not_found(&new.id)),
            AppUpdate::OtherRevision { current } => {
                return Err(ConnectError::aborted(format!(
                    "app {:?} was changed meanwhile: it is at revision {current}, and this changes revision {seen}; \
                     read it again",
                    new.id.name
                )));
            }
        };
        self.record(Kind::AppChanged, caller, &record.id, Some(&record)).await;
        let app = MessageField::some(self.message(&record).await?);
        Response::ok(UpdateResponse { app, ..UpdateResponse::default() })
    }

    async fn update_status<'a>(
        &'a self,
        _: RequestContext,
        _: ServiceRequest<'_, UpdateStatusRequest>,
    ) -> ServiceResult<impl Encodable<UpdateStatusResponse> + Send + use<'a>> {
        Err::<Response<UpdateStatusResponse>, _>(ConnectError::failed_precondition(
            "this server runs its apps itself and keeps their status, so reports are not accepted",
        ))
    }

    async fn delete<'a>(
        &'a self,
        context: RequestContext,
        request: ServiceRequest<'_, DeleteRequest>,
    ) -> ServiceResult<impl Encodable<DeleteResponse> + Send + use<'a>> {
        let caller = caller(&context)?;
        let request = request.to_owned_message();
        let id = id(&self.plane, "app_id", request.app_id.as_option()).await?;
        let deleted =
            self.plane.store.delete_app(&id).await.map_err(store_error)?.ok_or_else(|| not_found(&id))?;
        self.plane.apps.remove(&deleted);
        self.record(Kind::AppDeleted, caller, &id, None).await;
        Response::ok(DeleteResponse::default())
    }

    async fn list<'a>(
        &'a self,
        context: RequestContext,
        request: ServiceRequest<'_, ListRequest>,
    ) -> ServiceResult<impl Encodable<ListResponse> + Send + use<'a>> {
        let caller = caller(&context)?;
        let request = request.to_owned_message();
        let list = request.request.as_option().cloned().unwrap_or_default();
        let project = match &request.filter_by {
            Some(FilterBy::Project(project)) => Some(&**project),
            // No app here consumes an artifact.
            Some(FilterBy::Artifact(_)) => return Response::ok(ListResponse::default()),
            // All apps run on this machine, so the cluster makes no difference.
            Some(FilterBy::Org(_) | FilterBy::ClusterId(_)) | None => None,
        };
        let Visible { project, domain, only_in } = task::scope(&self.plane, caller, project).await?;
        let order = list_request::order(&list, "created_at and name", |key| match key {
            "created_at" => Some(false),
            "name" => Some(true),
            _ => None,
        })?;
        let (by_name, descending) = order.unwrap_or((false, true));
        let mut conditions = list_request::conditions(&list, "name, created_by, status_phase", field)?;
        message::convert_status_names(&mut conditions);
        let query = AppQuery {
            only_in,
            project,
            domain,
            conditions,
            by_name,
            descending,
            limit: list_request::limit(&list),
            page_token: list.token.clone(),
        };
        let (found, token) = self.plane.store.list_apps(&query).await.map_err(store_error)?;
        let total_count = match request.include_total_count {
            true => self.plane.store.count_apps(&query).await.map_err(store_error)?.into(),
            false => 0,
        };
        let mut messages = Messages::new(&self.plane);
        let mut apps = Vec::with_capacity(found.len());
        for record in &found {
            apps.push(messages.message(record).await?);
        }
        Response::ok(ListResponse { apps, token, total_count, ..ListResponse::default() })
    }

    async fn watch(
        &self,
        context: RequestContext,
        request: ServiceRequest<'_, WatchRequest>,
    ) -> ServiceResult<ServiceStream<impl Encodable<WatchResponse> + Send + use<>>> {
        let caller = caller(&context)?;
        let request = request.to_owned_message();
        let watched = match &request.target {
            Some(Target::AppId(wanted)) => {
                watch::Watched::App(id(&self.plane, "app_id", Some(wanted)).await?)
            }
            Some(Target::Project(wanted)) => {
                watch::Watched::Visible(task::scope(&self.plane, caller, Some(wanted)).await?)
            }
            Some(Target::Org(_) | Target::ClusterId(_)) | None => {
                watch::Watched::Visible(task::scope(&self.plane, caller, None).await?)
            }
        };
        Response::stream_ok(watch::events(Arc::clone(&self.plane), watched))
    }

    async fn lease(
        &self,
        _: RequestContext,
        _: ServiceRequest<'_, LeaseRequest>,
    ) -> ServiceResult<ServiceStream<impl Encodable<LeaseResponse> + Send + use<>>> {
        Err::<Response<ServiceStream<LeaseResponse>>, _>(ConnectError::failed_precondition(
            "this server runs its apps itself: there is nothing to lease",
        ))
    }
}
