//! Apps: processes that are kept running until somebody stops them.

use async_trait::async_trait;
use serde::{Deserialize, Serialize};

use super::{Condition, StoreError};
use flyte_model::Actor;
use flyte_model::clock::UnixTime;

/// Which app.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct AppId {
    /// The project that it is in.
    pub project: String,
    /// The domain of the project.
    pub domain: String,
    /// Its name.
    pub name: String,
}

/// Where an app stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AppStatus {
    /// It is to run, and nothing has been done about it.
    Pending,
    /// Its process was started and does not answer yet.
    Deploying,
    /// Its process answers at its port.
    Active,
    /// Its process has ended, or none could be started.
    Failed,
    /// It is not to run, and does not.
    Stopped,
}

impl AppStatus {
    /// The name in the database, and the published API's after its prefix in lower case.
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

/// A moment in an app's life.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AppCondition {
    /// When it came to it.
    pub at: UnixTime,
    /// Where the app stood then.
    pub status: AppStatus,
    /// Why, for people.
    pub message: String,
    /// The app's revision then.
    pub revision: u64,
    /// Who made it so; `None` for the server itself.
    pub actor: Option<Actor>,
}

/// An app.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AppRecord {
    /// Which one.
    pub id: AppId,
    /// How often it was changed by somebody, its creation included.
    pub revision: u64,
    /// The encoded `flyteidl2.app.Meta`, whose identifier and revision are the fields here.
    pub metadata: Vec<u8>,
    /// The encoded `flyteidl2.app.Spec`.
    pub spec: Vec<u8>,
    /// Whether it is to run.
    pub wanted: bool,
    /// What has become of it, the latest last; never empty.
    pub conditions: Vec<AppCondition>,
    /// Who created it.
    pub created_by: Actor,
    /// When.
    pub created_at: UnixTime,
    /// When anything of it last changed.
    pub updated_at: UnixTime,
    /// When its process was last started.
    pub started_at: Option<UnixTime>,
    /// The port of the loopback interface that its process was given.
    pub port: Option<u16>,
    /// The number of its process, where it may have one.
    pub process: Option<u64>,
    /// The revision that its process was started for.
    pub process_revision: Option<u64>,
    /// How many processes it has had: the number of the last one.
    pub processes: u64,
}

impl AppRecord {
    /// Where it stands.
    #[must_use]
    pub fn status(&self) -> AppStatus {
        self.conditions.last().map_or(AppStatus::Pending, |condition| condition.status)
    }
}

/// What somebody makes of an app.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewApp {
    /// Which one.
    pub id: AppId,
    /// The encoded `flyteidl2.app.Meta`.
    pub metadata: Vec<u8>,
    /// The encoded `flyteidl2.app.Spec`.
    pub spec: Vec<u8>,
    /// Whether it is to run.
    pub wanted: bool,
    /// Why, for people.
    pub reason: String,
    /// Who.
    pub by: Actor,
    /// When.
    pub at: UnixTime,
}

/// What came of changing an app.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum AppUpdate {
    /// This is it now.
    Updated(Box<AppRecord>),
    /// Nothing has changed: whoever changes it has seen another revision than there is.
    OtherRevision {
        /// The revision that there is.
        current: u64,
    },
    /// There is no such app.
    Unknown,
}

/// What the server notes of an app's process.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AppNote {
    /// Where the app stands now, and why. A condition of its own unless it says the same as the last one.
    pub status: AppStatus,
    /// Why, for people.
    pub message: String,
    /// What has become of the process.
    pub change: AppChange,
}

/// What has become of an app's process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AppChange {
    /// Nothing.
    None,
    /// It is about to be started, at this port. It gets the next number.
    Starts {
        /// The port.
        port: u16,
    },
    /// It is gone.
    Gone,
}

/// What apps are listed by.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AppField {
    /// The name.
    Name,
    /// The subject of who created it.
    CreatedBy,
    /// Where it stands, by the names of [`AppStatus::as_str`].
    Status,
}

/// Which apps to list.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AppQuery {
    /// Only those of this project.
    pub project: Option<String>,
    /// Only those of this domain.
    pub domain: Option<String>,
    /// What all of them meet.
    pub conditions: Vec<Condition<AppField>>,
    /// By name, rather than by when they were created.
    pub by_name: bool,
    /// Highest first.
    pub descending: bool,
    /// The most apps to return.
    pub limit: u32,
    /// The page token of the page before; empty for the first page.
    pub page_token: String,
}

/// Storage of apps.
#[async_trait]
pub trait AppStore: Send + Sync + 'static {
    /// Adds an app.
    ///
    /// # Errors
    /// [`StoreError::AlreadyExists`] where there is one of that name in the domain.
    async fn create_app(&self, app: &NewApp) -> Result<AppRecord, StoreError>;
    /// Changes what an app is, and whether it is to run. `seen` is the revision that the caller means to change; 0 for
    /// whichever.
    async fn update_app(&self, app: &NewApp, seen: u64) -> Result<AppUpdate, StoreError>;
    /// Removes an app, and returns what it was.
    async fn delete_app(&self, id: &AppId) -> Result<Option<AppRecord>, StoreError>;
    /// The app.
    async fn app_by_id(&self, id: &AppId) -> Result<Option<AppRecord>, StoreError>;
    /// A page of apps and the next page's token, empty on the last page.
    ///
    /// # Errors
    /// [`StoreError::InvalidPageToken`] for a token of another listing.
    async fn list_apps(&self, query: &AppQuery) -> Result<(Vec<AppRecord>, String), StoreError>;
    /// How many apps all pages of the listing hold.
    async fn count_apps(&self, query: &AppQuery) -> Result<u32, StoreError>;
    /// The apps that are to run or may have a process.
    async fn busy_apps(&self) -> Result<Vec<AppId>, StoreError>;
    /// Notes what has become of the process of an app at this revision; `None` where the app is at another one by now, or
    /// gone, and nothing is noted.
    async fn note_app(
        &self,
        id: &AppId,
        revision: u64,
        note: &AppNote,
        now: UnixTime,
    ) -> Result<Option<AppRecord>, StoreError>;
}
