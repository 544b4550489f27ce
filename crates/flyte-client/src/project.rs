//! Projects and their domains.

use std::collections::BTreeMap;
use std::fmt;

use flyte_config::Endpoint;
use flyte_idl::flyteidl2::common::{Sort, sort};
use flyte_idl::flyteidl2::project as wire;
use flyte_idl::flyteidl2::task::Labels;
use serde::Serialize;

use crate::error::ClientError;
use crate::pager::{Page, Pager, Source};
use crate::transport::Transport;

/// The state of a project.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum State {
    /// In use.
    #[default]
    Active,
    /// Archived. Listings leave it out unless they request archived projects.
    Archived,
    /// Created by the system.
    SystemGenerated,
    /// Created and archived by the system.
    SystemArchived,
    /// A state that this client does not know.
    Unknown,
}

impl fmt::Display for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Active => "active",
            Self::Archived => "archived",
            Self::SystemGenerated => "system generated",
            Self::SystemArchived => "system archived",
            Self::Unknown => "unknown",
        })
    }
}

/// A stage within a project.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Domain {
    /// Identifier.
    pub id: String,
    /// Name for display.
    pub name: String,
}

/// A project, to which runs, tasks and permissions belong.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Project {
    /// Identifier, unique within the organization.
    pub id: String,
    /// Name for display.
    pub name: String,
    /// Description.
    pub description: String,
    /// State.
    pub state: State,
    /// The project's domains.
    pub domains: Vec<Domain>,
    /// Free-form labels.
    pub labels: BTreeMap<String, String>,
    /// The project's organization.
    pub org: String,
}

/// A project to create.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct NewProject {
    /// Identifier; it cannot be changed later.
    pub id: String,
    /// Name for display.
    pub name: String,
    /// Description.
    pub description: String,
    /// Free-form labels.
    pub labels: BTreeMap<String, String>,
}

/// Changes to a project. Fields that are `None` stay unchanged.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Changes {
    /// Name for display.
    pub name: Option<String>,
    /// Description.
    pub description: Option<String>,
    /// The labels, which replace all present ones.
    pub labels: Option<BTreeMap<String, String>>,
    /// Whether the project is archived.
    pub archived: Option<bool>,
}

/// The projects to list, and their order.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ListOptions {
    /// List archived projects instead of active ones.
    pub archived: bool,
    /// The field to sort by; empty for the creation time.
    pub sort_by: String,
    /// Sort in descending order.
    pub descending: bool,
    /// The most projects to return; `None` for all.
    pub limit: Option<u32>,
}

/// Calls of `flyteidl2.project.ProjectService`.
#[derive(Clone)]
pub struct Projects<T> {
    service: wire::ProjectServiceClient<T>,
    endpoint: Endpoint,
    org: Option<String>,
}

impl<T: Transport> Projects<T> {
    pub(crate) fn new(
        service: wire::ProjectServiceClient<T>,
        endpoint: Endpoint,
        org: Option<String>,
    ) -> Self {
        Self { service, endpoint, org }
    }

    /// Fetches a project.
    ///
    /// # Errors
    /// [`ClientError::NotFound`] if it does not exist.
    pub async fn get(&self, id: &str) -> Result<Project, ClientError> {
        self.fetch(id).await.map(Project::from)
    }

    /// Lists projects. Pages are fetched as needed.
    pub fn list(&self, options: ListOptions) -> Pager<Listing<T>> {
        let limit = options.limit;
        Pager::new(Listing { projects: self.clone(), options }, limit)
    }

    /// Creates a project, and returns the server's copy of it.
    ///
    /// # Errors
    /// [`ClientError::AlreadyExists`] if the identifier is in use.
    pub async fn create(&self, project: NewProject) -> Result<Project, ClientError> {
        let NewProject { id, name, description, labels } = project;
        let message = wire::Project {
            id: id.clone(),
            name,
            description,
            labels: to_wire_labels(labels).into(),
            org: self.org.clone().unwrap_or_default(),
            ..Default::default()
        };
        let request = wire::CreateProjectRequest { project: message.into(), ..Default::default() };
        self.service.create_project(request).await.map_err(|error| self.error(error))?;
        self.get(&id).await
    }

    /// Changes a project, and returns the server's copy of it. A concurrent change of another client may be overwritten, because the
    /// protocol has no versions.
    ///
    /// # Errors
    /// [`ClientError::NotFound`] if it does not exist.
    pub async fn update(&self, id: &str, changes: Changes) -> Result<Project, ClientError> {
        let mut project = self.fetch(id).await?;
        // The published server refuses requests that name domains.
        project.domains.clear();
        if let Some(name) = changes.name {
            project.name = name;
        }
        if let Some(description) = changes.description {
            project.description = description;
        }
        if let Some(labels) = changes.labels {
            project.labels = to_wire_labels(labels).into();
        }
        if let Some(archived) = changes.archived {
            let state = if archived { wire::ProjectState::Archived } else { wire::ProjectState::Active };
            project.state = state.into();
        }
        let request = wire::UpdateProjectRequest { project: project.into(), ..Default::default() };
        self.service.update_project(request).await.map_err(|error| self.error(error))?;
        self.get(id).await
    }

    async fn fetch(&self, id: &str) -> Result<wire::Project, ClientError> {
        let org = self.org.clone().unwrap_or_default();
        let request = wire::GetProjectRequest { id: id.to_owned(), org, ..Default::default() };
        let answer = self.service.get_project(request).await.map_err(|error| self.error(error))?;
        answer.into_owned().project.into_option().ok_or_else(|| ClientError::Server {
            code: "internal",
            message: format!("the server's answer does not contain the project {id}"),
        })
    }

    fn error(&self, error: connectrpc::ConnectError) -> ClientError {
        ClientError::from_connect(error, &self.endpoint)
    }
}

/// The source of a listing of projects.
pub struct Listing<T> {
    projects: Projects<T>,
    options: ListOptions,
}

impl<T: Transport> Source for Listing<T> {
    type Item = Project;

    async fn page(&self, limit: u32, token: &str) -> Result<Page<Project>, ClientError> {
        let state =
            if self.options.archived { wire::ProjectState::Archived } else { wire::ProjectState::Active };
        let key = if self.options.sort_by.is_empty() { "created_at" } else { &self.options.sort_by };
        let direction =
            if self.options.descending { sort::Direction::DESCENDING } else { sort::Direction::ASCENDING };
        let request = wire::ListProjectsRequest {
            limit,
            token: token.to_owned(),
            filters: format!("eq(state, {})", state as i32),
            sort_by: Sort { key: key.to_owned(), direction: direction.into(), ..Default::default() }.into(),
            org: self.projects.org.clone().unwrap_or_default(),
            ..Default::default()
        };
        let answer = self.projects.service.list_projects(request).await;
        let answer = answer.map_err(|error| self.projects.error(error))?.into_owned();
        let page = answer.projects.into_option().unwrap_or_default();
        Ok(Page { items: page.projects.into_iter().map(Project::from).collect(), next: page.token })
    }
}

impl From<wire::Project> for Project {
    fn from(message: wire::Project) -> Self {
        let state = match message.state.as_known() {
            Some(wire::ProjectState::PROJECT_STATE_ACTIVE) => State::Active,
            Some(wire::ProjectState::PROJECT_STATE_ARCHIVED) => State::Archived,
            Some(wire::ProjectState::PROJECT_STATE_SYSTEM_GENERATED) => State::SystemGenerated,
            Some(wire::ProjectState::PROJECT_STATE_SYSTEM_ARCHIVED) => State::SystemArchived,
            None => State::Unknown,
        };
        let domains = message.domains.into_iter().map(|domain| Domain { id: domain.id, name: domain.name });
        let labels = message.labels.into_option().unwrap_or_default().values;
        Self {
            id: message.id,
            name: message.name,
            description: message.description,
            state,
            domains: domains.collect(),
            labels: labels.into_iter().collect(),
            org: message.org,
        }
    }
}

fn to_wire_labels(labels: BTreeMap<String, String>) -> Labels {
    Labels { values: labels.into_iter().collect(), ..Default::default() }
}

#[cfg(test)]
mod tests;
