//! `flyteidl2.project.ProjectService`.

use std::{collections::BTreeMap, sync::Arc};

use buffa::{EnumValue, MessageField};
use connectrpc::{ConnectError, Encodable, RequestContext, Response, ServiceRequest, ServiceResult};
use flyte_idl::flyteidl2::{
    common::{Sort, sort::Direction},
    project::{
        CreateProjectRequest, CreateProjectResponse, Domain, GetProjectRequest, GetProjectResponse,
        ListProjectsRequest, ListProjectsResponse, Project, ProjectService, ProjectState, Projects,
        UpdateProjectRequest, UpdateProjectResponse,
    },
    task::Labels,
};

use super::{caller, filter, invalid, store_error};
use crate::ControlPlane;
use flyte_access::{Caller, policy};
use flyte_audit::{Detail, Event, Kind};
use flyte_model::DOMAINS;
use flyte_policy::Permission;
use flyte_store::{self, ProjectQuery, ProjectSortKey};

/// The default page size.
const DEFAULT_PAGE: u32 = 100;
/// The most projects that a page has.
const MAX_PAGE: u32 = 1000;
/// The longest identifier, in bytes. It becomes a DNS label in clusters (RFC 1035 section 2.3.4).
const MAX_ID: usize = 63;
/// The longest name, in characters.
const MAX_NAME: usize = 255;
/// The longest description, in characters.
const MAX_DESCRIPTION: usize = 4096;
/// The most labels of one project.
const MAX_LABELS: usize = 64;

pub(super) struct Service {
    plane: Arc<ControlPlane>,
}

impl Service {
    pub(super) fn new(plane: Arc<ControlPlane>) -> Self {
        Self { plane }
    }

    /// The project with the domains that `caller` may see.
    fn message(&self, caller: &Caller, project: flyte_store::Project) -> Project {
        let domains = DOMAINS.iter().filter(|(id, _)| policy::may_see(caller, &project.id, Some(id)));
        Project {
            domains: domains
                .map(|(id, name)| Domain {
                    id: (*id).to_owned(),
                    name: (*name).to_owned(),
                    ..Domain::default()
                })
                .collect(),
            id: project.id,
            name: project.name,
            description: project.description,
            labels: MessageField::some(Labels {
                values: project.labels.into_iter().collect(),
                ..Labels::default()
            }),
            state: EnumValue::from(match project.state {
                flyte_store::ProjectState::Active => ProjectState::PROJECT_STATE_ACTIVE,
                flyte_store::ProjectState::Archived => ProjectState::PROJECT_STATE_ARCHIVED,
                flyte_store::ProjectState::SystemGenerated => ProjectState::PROJECT_STATE_SYSTEM_GENERATED,
                flyte_store::ProjectState::SystemArchived => ProjectState::PROJECT_STATE_SYSTEM_ARCHIVED,
            }),
            org: self.plane.config.org.clone(),
            ..Project::default()
        }
    }

    async fn record(&self, kind: Kind, caller: &Caller, id: &str) {
        let event = Event::new(kind).subject(&caller.subject).client(&caller.client_id).object(id);
        self.plane.audit.record(event.detail(Detail::Project, id)).await;
    }

    /// The project of a request, checked.
    fn project(
        &self,
        message: Option<&Project>,
        created_at: i64,
    ) -> Result<flyte_store::Project, ConnectError> {
        let message = message.ok_or_else(|| invalid("project", "is missing"))?;
        if !self.is_our_org(&message.org) {
            return Err(invalid("project.org", "is not this server's organization"));
        }
        check_id("project.id", &message.id)?;
        let name = if message.name.is_empty() { &message.id } else { &message.name };
        check_text("project.name", name, MAX_NAME)?;
        check_text("project.description", &message.description, MAX_DESCRIPTION)?;
        let labels: BTreeMap<_, _> = message
            .labels
            .as_option()
            .map(|labels| labels.values.iter().map(|(key, value)| (key.clone(), value.clone())).collect())
            .unwrap_or_default();
        if labels.len() > MAX_LABELS {
            return Err(invalid("project.labels", &format!("has more than {MAX_LABELS} labels")));
        }
        for (key, value) in &labels {
            if key.is_empty() {
                return Err(invalid("project.labels", "has a label without a name"));
            }
            check_text(&format!("project.labels[{key:?}]"), key, MAX_NAME)?;
            check_text(&format!("project.labels[{key:?}]"), value, MAX_NAME)?;
        }
        let state = match message.state.as_known() {
            Some(ProjectState::PROJECT_STATE_ACTIVE) => flyte_store::ProjectState::Active,
            Some(ProjectState::PROJECT_STATE_ARCHIVED) => flyte_store::ProjectState::Archived,
            Some(ProjectState::PROJECT_STATE_SYSTEM_GENERATED) => flyte_store::ProjectState::SystemGenerated,
            Some(ProjectState::PROJECT_STATE_SYSTEM_ARCHIVED) => flyte_store::ProjectState::SystemArchived,
            None => return Err(invalid("project.state", "is not a known state")),
        };
        Ok(flyte_store::Project {
            id: message.id.clone(),
            name: name.clone(),
            description: message.description.clone(),
            labels,
            state,
            created_at,
            updated_at: self.plane.clock.now(),
        })
    }

    /// Checks the organization. Clients guess it from the host name, so a server without an organization accepts any.
    fn is_our_org(&self, org: &str) -> bool {
        org.is_empty() || self.plane.config.org.is_empty() || org == self.plane.config.org
    }
}

/// Whether this is the ID of a domain.
pub(super) fn is_domain(id: &str) -> bool {
    DOMAINS.iter().any(|(domain, _)| *domain == id)
}

pub(super) fn check_id(field: &str, id: &str) -> Result<(), ConnectError> {
    let allowed = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    if id.is_empty()
        || id.len() > MAX_ID
        || !id.bytes().all(allowed)
        || id.starts_with('-')
        || id.ends_with('-')
    {
        return Err(invalid(
            field,
            "must be 1 to 63 of a-z, 0-9 and -, and not begin or end with - (a DNS label)",
        ));
    }
    Ok(())
}

fn check_text(field: &str, text: &str, most: usize) -> Result<(), ConnectError> {
    if text.chars().count() > most {
        return Err(invalid(field, &format!("is longer than {most} characters")));
    }
    if text.chars().any(|c| c.is_control() && c != '\n' && c != '\t') {
        return Err(invalid(field, "has control characters"));
    }
    Ok(())
}

fn sort(sort: Option<&Sort>, query: &mut ProjectQuery) -> Result<(), ConnectError> {
    let Some(sort) = sort.filter(|sort| !sort.key.is_empty()) else { return Ok(()) };
    query.sort_key = match sort.key.as_str() {
        "created_at" => ProjectSortKey::CreatedAt,
        "updated_at" => ProjectSortKey::UpdatedAt,
        "id" | "identifier" => ProjectSortKey::Id,
        "name" => ProjectSortKey::Name,
        _ => {
            return Err(invalid("sort_by.key", "is not one of created_at, updated_at, id and name"));
        }
    };
    query.descending = match sort.direction.as_known() {
        Some(Direction::DESCENDING) => true,
        Some(Direction::ASCENDING) => false,
        None => return Err(invalid("sort_by.direction", "is not a known direction")),
    };
    Ok(())
}

impl ProjectService for Service {
    async fn create_project<'a>(
        &'a self,
        context: RequestContext,
        request: ServiceRequest<'_, CreateProjectRequest>,
    ) -> ServiceResult<impl Encodable<CreateProjectResponse> + Send + use<'a>> {
        let caller = caller(&context)?;
        let request = request.to_owned_message();
        let project = self.project(request.project.as_option(), self.plane.clock.now())?;
        self.plane.store.create_project(&project).await.map_err(store_error)?;
        self.record(Kind::ProjectCreated, caller, &project.id).await;
        Response::ok(CreateProjectResponse::default())
    }

    async fn update_project<'a>(
        &'a self,
        context: RequestContext,
        request: ServiceRequest<'_, UpdateProjectRequest>,
    ) -> ServiceResult<impl Encodable<UpdateProjectResponse> + Send + use<'a>> {
        let caller = caller(&context)?;
        let request = request.to_owned_message();
        let project = self.project(request.project.as_option(), 0)?;
        if !self.plane.store.update_project(&project).await.map_err(store_error)? {
            return Err(not_found(&project.id));
        }
        self.record(Kind::ProjectChanged, caller, &project.id).await;
        Response::ok(UpdateProjectResponse::default())
    }

    async fn get_project<'a>(
        &'a self,
        context: RequestContext,
        request: ServiceRequest<'_, GetProjectRequest>,
    ) -> ServiceResult<impl Encodable<GetProjectResponse> + Send + use<'a>> {
        let caller = caller(&context)?;
        let request = request.to_owned_message();
        let found = match self.is_our_org(&request.org) {
            true => self.plane.store.project_by_id(&request.id).await.map_err(store_error)?,
            false => None,
        };
        let project = found.ok_or_else(|| not_found(&request.id))?;
        Response::ok(GetProjectResponse {
            project: MessageField::some(self.message(caller, project)),
            ..GetProjectResponse::default()
        })
    }

    async fn list_projects<'a>(
        &'a self,
        context: RequestContext,
        request: ServiceRequest<'_, ListProjectsRequest>,
    ) -> ServiceResult<impl Encodable<ListProjectsResponse> + Send + use<'a>> {
        let caller = caller(&context)?;
        let request = request.to_owned_message();
        let mut query = ProjectQuery {
            limit: match request.limit {
                0 => DEFAULT_PAGE,
                limit => limit.min(MAX_PAGE),
            },
            page_token: request.token.clone(),
            ..ProjectQuery::default()
        };
        filter::apply(&request.filters, &mut query)?;
        if query.states.is_empty() && query.id.is_none() {
            query.states =
                vec![flyte_store::ProjectState::Active, flyte_store::ProjectState::SystemGenerated];
        }
        sort(request.sort_by.as_option(), &mut query)?;
        query.only = visible_projects(caller);
        let (projects, token) = match self.is_our_org(&request.org) {
            true => self.plane.store.list_projects(&query).await.map_err(store_error)?,
            false => (Vec::new(), String::new()),
        };
        let projects = projects.into_iter().map(|project| self.message(caller, project)).collect();
        Response::ok(ListProjectsResponse {
            projects: MessageField::some(Projects { projects, token, ..Projects::default() }),
            ..ListProjectsResponse::default()
        })
    }
}

/// The projects that the caller may see; `None` for all.
fn visible_projects(caller: &Caller) -> Option<Vec<String>> {
    let limits = caller.grants.limits(Permission::ViewInventory);
    let projects = limits.into_iter().map(|limit| limit.project).collect::<Option<Vec<_>>>()?;
    Some(projects)
}

fn not_found(id: &str) -> ConnectError {
    ConnectError::not_found(format!("there is no project {id:?}"))
}
