//! Projects and their domains.

use std::collections::BTreeMap;
use std::fmt;

use flyte_config::Endpoint;
use flyte_idl::flyteidl2::common::{Sort, sort};
use flyte_idl::flyteidl2::project as wire;
use flyte_idl::flyteidl2::task::Labels;
use serde::Serialize;

use crate::client::Transport;
use crate::error::ClientError;
use crate::pager::{Page, Pager, Source};

/// Where a project stands in its life.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum State {
    /// In use.
    #[default]
    Active,
    /// Hidden from listings unless they ask for archived projects.
    Archived,
    /// Made by the system.
    SystemGenerated,
    /// Made, and archived, by the system.
    SystemArchived,
    /// Something newer than this client.
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

/// The unit that runs, tasks and permissions belong to.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Project {
    /// Identifier, unique within the organization.
    pub id: String,
    /// Name for display.
    pub name: String,
    /// What it is for.
    pub description: String,
    /// Where it stands in its life.
    pub state: State,
    /// Its stages.
    pub domains: Vec<Domain>,
    /// Free-form labels.
    pub labels: BTreeMap<String, String>,
    /// The organization that it belongs to.
    pub org: String,
}

/// A project to create.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct NewProject {
    /// Identifier; it cannot be changed later.
    pub id: String,
    /// Name for display.
    pub name: String,
    /// What it is for.
    pub description: String,
    /// Free-form labels.
    pub labels: BTreeMap<String, String>,
}

/// Changes to a project; what is `None` stays.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Changes {
    /// Name for display.
    pub name: Option<String>,
    /// What it is for.
    pub description: Option<String>,
    /// All labels.
    pub labels: Option<BTreeMap<String, String>>,
    /// Whether it is archived.
    pub archived: Option<bool>,
}

/// Which projects to list, and in which order.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ListOptions {
    /// The archived ones instead of those in use.
    pub archived: bool,
    /// The field to sort by; empty for the time of creation.
    pub sort_by: String,
    /// Highest value first.
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

    /// One project.
    ///
    /// # Errors
    /// [`ClientError::NotFound`] where there is none of that identifier.
    pub async fn get(&self, id: &str) -> Result<Project, ClientError> {
        self.fetch(id).await.map(Project::from)
    }

    /// Projects, fetched page by page as they are asked for.
    pub fn list(&self, options: ListOptions) -> Pager<Listing<T>> {
        let limit = options.limit;
        Pager::new(Listing { projects: self.clone(), options }, limit)
    }

    /// Creates a project and returns it as the server has it.
    ///
    /// # Errors
    /// [`ClientError::AlreadyExists`] where its identifier is taken.
    pub async fn create(&self, project: NewProject) -> Result<Project, ClientError> {
        let NewProject { id, name, description, labels } = project;
        let message = wire::Project {
            id: id.clone(),
            name,
            description,
            labels: written(labels).into(),
            org: self.org.clone().unwrap_or_default(),
            ..Default::default()
        };
        let request = wire::CreateProjectRequest { project: message.into(), ..Default::default() };
        self.service.create_project(request).await.map_err(|error| self.error(error))?;
        self.get(&id).await
    }

    /// Changes a project and returns it as the server has it. What another client changes at the same time
    /// may be overwritten: the protocol has no versions.
    ///
    /// # Errors
    /// [`ClientError::NotFound`] where there is none of that identifier.
    pub async fn update(&self, id: &str, changes: Changes) -> Result<Project, ClientError> {
        let mut project = self.fetch(id).await?;
        // A request that names domains is refused by the published server.
        project.domains.clear();
        if let Some(name) = changes.name {
            project.name = name;
        }
        if let Some(description) = changes.description {
            project.description = description;
        }
        if let Some(labels) = changes.labels {
            project.labels = written(labels).into();
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
            message: format!("the server answered without the project {id}"),
        })
    }

    fn error(&self, error: connectrpc::ConnectError) -> ClientError {
        ClientError::from_connect(error, &self.endpoint)
    }
}

/// Projects that a listing is of.
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

fn written(labels: BTreeMap<String, String>) -> Labels {
    Labels { values: labels.into_iter().collect(), ..Default::default() }
}

#[cfg(test)]
mod tests;
