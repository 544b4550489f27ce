//! Projects.

use std::collections::BTreeMap;

use async_trait::async_trait;

use super::StoreError;
use flyte_model::clock::UnixTime;

/// The state of a project; the numbers are those of `flyteidl2.project.ProjectState`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ProjectState {
    /// The project is in use.
    Active = 0,
    /// The project is hidden from listings that do not ask for archived projects.
    Archived = 1,
    /// The system created the project.
    SystemGenerated = 2,
    /// The system created the project and archived it.
    SystemArchived = 3,
}

/// A project.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Project {
    /// The identifier, unique on the server.
    pub id: String,
    /// The name for display.
    pub name: String,
    /// The purpose of the project.
    pub description: String,
    /// Free-form labels.
    pub labels: BTreeMap<String, String>,
    /// The state.
    pub state: ProjectState,
    /// The time at which it was created.
    pub created_at: UnixTime,
    /// The time of the last change.
    pub updated_at: UnixTime,
}

/// The sort key of a listing; projects with equal values are sorted by identifier.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ProjectSortKey {
    /// The time of creation.
    #[default]
    CreatedAt,
    /// The time of the last change.
    UpdatedAt,
    /// The identifier.
    Id,
    /// The name.
    Name,
}

/// A query for projects.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ProjectQuery {
    /// Only projects in one of these states; empty for all.
    pub states: Vec<ProjectState>,
    /// Only the project with this identifier.
    pub id: Option<String>,
    /// Only projects with one of these identifiers: those that the caller may see. `None` for all.
    pub only: Option<Vec<String>>,
    /// Only projects with this name.
    pub name: Option<String>,
    /// The sort key.
    pub sort_key: ProjectSortKey,
    /// Whether to sort in descending order.
    pub descending: bool,
    /// The most projects to return.
    pub limit: u32,
    /// The page token of the previous page; empty for the first page.
    pub page_token: String,
}

/// Storage of [`Project`]s.
#[async_trait]
pub trait ProjectStore: Send + Sync + 'static {
    /// Adds a project.
    ///
    /// # Errors
    /// [`StoreError::AlreadyExists`] if the identifier is taken.
    async fn create_project(&self, project: &Project) -> Result<(), StoreError>;
    /// Replaces name, description, labels, state and time of change. Returns `false` if the project does not exist.
    async fn update_project(&self, project: &Project) -> Result<bool, StoreError>;
    /// Returns the project with this identifier.
    async fn project_by_id(&self, id: &str) -> Result<Option<Project>, StoreError>;
    /// Returns a page of projects and the next page's token, which is empty on the last page. A page begins at a
    /// position in the order, not at a number, so a project created in the meantime neither repeats nor hides another
    /// one.
    ///
    /// # Errors
    /// [`StoreError::InvalidPageToken`] for a token of another listing.
    async fn list_projects(&self, query: &ProjectQuery) -> Result<(Vec<Project>, String), StoreError>;
}
