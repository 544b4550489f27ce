//! Projects.

use std::collections::BTreeMap;

use async_trait::async_trait;

use super::StoreError;
use flyte_model::clock::UnixTime;

/// Where a project stands; the numbers are those of `flyteidl2.project.ProjectState`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ProjectState {
    /// In use.
    Active = 0,
    /// Hidden unless asked for.
    Archived = 1,
    /// Made by the system.
    SystemGenerated = 2,
    /// Made, and archived, by the system.
    SystemArchived = 3,
}

/// A project.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Project {
    /// Identifier, unique in the server.
    pub id: String,
    /// Name for display.
    pub name: String,
    /// What it is for.
    pub description: String,
    /// Free-form labels.
    pub labels: BTreeMap<String, String>,
    /// Where it stands.
    pub state: ProjectState,
    /// When it was created.
    pub created_at: UnixTime,
    /// When it was last changed.
    pub updated_at: UnixTime,
}

/// What a listing can be sorted by; equal values are told apart by the identifier.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ProjectSortKey {
    /// By the time of creation.
    #[default]
    CreatedAt,
    /// By the time of the last change.
    UpdatedAt,
    /// By identifier.
    Id,
    /// By name.
    Name,
}

/// Which projects to list.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ProjectQuery {
    /// Only projects in one of these states; empty for all.
    pub states: Vec<ProjectState>,
    /// Only the project with this identifier.
    pub id: Option<String>,
    /// Only projects with this name.
    pub name: Option<String>,
    /// What to sort by.
    pub sort_key: ProjectSortKey,
    /// Highest first.
    pub descending: bool,
    /// The most projects to return.
    pub limit: u32,
    /// The page token of the page before; empty for the first page.
    pub page_token: String,
}

/// Storage of [`Project`]s.
#[async_trait]
pub trait ProjectStore: Send + Sync + 'static {
    /// Adds a project.
    ///
    /// # Errors
    /// [`StoreError::AlreadyExists`] where the identifier is taken.
    async fn create_project(&self, project: &Project) -> Result<(), StoreError>;
    /// Replaces name, description, labels, state and the time of change; `false` where there is no such project.
    async fn update_project(&self, project: &Project) -> Result<bool, StoreError>;
    /// The project with this identifier.
    async fn project_by_id(&self, id: &str) -> Result<Option<Project>, StoreError>;
    /// A page of projects and the next page's token, empty on the last page. Pages are keyed by position in the order,
    /// not by number, so that a project created meanwhile neither repeats nor hides another.
    ///
    /// # Errors
    /// [`StoreError::InvalidPageToken`] for a token of another listing.
    async fn list_projects(&self, query: &ProjectQuery) -> Result<(Vec<Project>, String), StoreError>;
}
