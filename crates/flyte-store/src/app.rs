//! Apps: processes that run until they are stopped.

use async_trait::async_trait;
use serde::{Deserialize, Serialize};

use super::{Condition, StoreError};
use flyte_model::Actor;
use flyte_model::{Limit, clock::UnixTime};

/// The identifier of an app.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct AppId {
    /// The project of the app.
    pub project: String,
    /// The domain of the project.
    pub domain: String,
    /// The name of the app.
    pub name: String,
}

/// The status of an app.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AppStatus {
    /// The app should run, but the server has not started it yet.
    Pending,
    /// Its process was started but does not answer yet.
    Deploying,
    /// Its process answers at its port.
    Active,
    /// Its process has ended, or could not be started.
    Failed,
    /// The app should not run, and has no process.
    Stopped,
}

impl AppStatus {
    /// Returns the name in the database, which is also the name in the published API in lower case and without its
    /// prefix.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Deploying => "deploying",
            Self::Active => "active",
            Self::Failed => "failed",
            Self::Stopped => "stopped",
        }
    }
}

/// A change of an app's status.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AppCondition {
    /// The time of the change.
    pub at: UnixTime,
    /// The new status.
    pub status: AppStatus,
    /// The reason, for people.
    pub message: String,
    /// The app's revision at that time.
    pub revision: u64,
    /// The principal that caused the change; `None` for the server itself.
    pub actor: Option<Actor>,
}

/// An app.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AppRecord {
    /// The identifier.
    pub id: AppId,
    /// The number of changes by principals, including the creation.
    pub revision: u64,
    /// The encoded `flyteidl2.app.Meta`. Its identifier and revision are the fields of this record.
    pub metadata: Vec<u8>,
    /// The encoded `flyteidl2.app.Spec`.
    pub spec: Vec<u8>,
    /// Whether the app should run.
    pub wanted: bool,
    /// The changes of its status, the latest last; never empty.
    pub conditions: Vec<AppCondition>,
    /// The principal that created the app.
    pub created_by: Actor,
    /// The time at which it was created.
    pub created_at: UnixTime,
    /// The time of the last change.
    pub updated_at: UnixTime,
    /// The time at which its process was last started.
    pub started_at: Option<UnixTime>,
    /// The loopback port of its process.
    pub port: Option<u16>,
    /// The number of its process; `None` if it has none.
    pub process: Option<u64>,
    /// The revision that its process was started for.
    pub process_revision: Option<u64>,
    /// The number of processes so far, which is also the number of the last one.
    pub processes: u64,
}

impl AppRecord {
    /// Returns the current status.
    #[must_use]
    pub fn status(&self) -> AppStatus {
        self.conditions.last().map_or(AppStatus::Pending, |condition| condition.status)
    }
}

/// A change of an app by a principal.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewApp {
    /// The identifier.
    pub id: AppId,
    /// The encoded `flyteidl2.app.Meta`.
    pub metadata: Vec<u8>,
    /// The encoded `flyteidl2.app.Spec`.
    pub spec: Vec<u8>,
    /// Whether the app should run.
    pub wanted: bool,
    /// The reason, for people.
    pub reason: String,
    /// The principal.
    pub by: Actor,
    /// The time of the change.
    pub at: UnixTime,
}

/// The result of changing an app.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AppUpdate {
    /// The app was changed; this is its new state.
    Updated(Box<AppRecord>),
    /// Nothing has changed: the caller has seen another revision than the current one.
    OtherRevision {
        /// The current revision.
        current: u64,
    },
    /// The app does not exist.
    Unknown,
}

/// A report of the server about an app's process.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AppNote {
    /// The status of the app. It is added to the conditions unless the last one has the same status and message.
    pub status: AppStatus,
    /// The reason, for people.
    pub message: String,
    /// The change of the process.
    pub change: AppChange,
}

/// A change of an app's process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AppChange {
    /// The process did not change.
    None,
    /// The process is about to be started at this port. It gets the next number.
    Starts {
        /// The port.
        port: u16,
    },
    /// The process has ended.
    Gone,
}

/// The fields by which apps can be listed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AppField {
    /// The name.
    Name,
    /// The subject that created the app.
    CreatedBy,
    /// The status, by the names of [`AppStatus::as_str`].
    Status,
}

/// A query for apps.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AppQuery {
    /// Only what is in one of these parts of the control plane: what the caller may see. `None` for everything.
    pub only_in: Option<Vec<Limit>>,
    /// Only apps of this project.
    pub project: Option<String>,
    /// Only apps of this domain.
    pub domain: Option<String>,
    /// Conditions that each app must meet.
    pub conditions: Vec<Condition<AppField>>,
    /// Whether to sort by name, in place of the time of creation.
    pub by_name: bool,
    /// Whether to sort in descending order.
    pub descending: bool,
    /// The most apps to return.
    pub limit: u32,
    /// The page token of the previous page; empty for the first page.
    pub page_token: String,
}

/// Storage of apps.
#[async_trait]
pub trait AppStore: Send + Sync + 'static {
    /// Adds an app.
    ///
    /// # Errors
    /// [`StoreError::AlreadyExists`] if the domain has an app of that name.
    async fn create_app(&self, app: &NewApp) -> Result<AppRecord, StoreError>;
    /// Changes an app's definition and whether it should run. `seen` is the revision that the caller wants to change,
    /// or 0 for any revision.
    async fn update_app(&self, app: &NewApp, seen: u64) -> Result<AppUpdate, StoreError>;
    /// Removes an app and returns its last state.
    async fn delete_app(&self, id: &AppId) -> Result<Option<AppRecord>, StoreError>;
    /// Returns the app.
    async fn app_by_id(&self, id: &AppId) -> Result<Option<AppRecord>, StoreError>;
    /// Returns a page of apps and the next page's token, which is empty on the last page.
    ///
    /// # Errors
    /// [`StoreError::InvalidPageToken`] for a token of another listing.
    async fn list_apps(&self, query: &AppQuery) -> Result<(Vec<AppRecord>, String), StoreError>;
    /// Returns the number of apps on all pages of the listing.
    async fn count_apps(&self, query: &AppQuery) -> Result<u32, StoreError>;
    /// Returns the apps that should run or may have a process.
    async fn busy_apps(&self) -> Result<Vec<AppId>, StoreError>;
    /// Records a report about the process of an app at this revision. Returns `None`, and records nothing, if the app
    /// has another revision or no longer exists.
    async fn note_app(
        &self,
        id: &AppId,
        revision: u64,
        note: &AppNote,
        now: UnixTime,
    ) -> Result<Option<AppRecord>, StoreError>;
}
