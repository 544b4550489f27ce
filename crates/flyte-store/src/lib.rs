//! What the server remembers, as traits over plain data.
//!
//! Each method is one transaction: it has happened whole or not at all, also when the process is killed. "Not found"
//! is `Option`, failure is [`StoreError`]. Time comes in as a parameter, never from the system. Secrets come in
//! hashed ([`SecretHash`](flyte_secrets::SecretHash)); nothing that grants access can be read back out of a store.
//!
//! To add a kind of record: its data in a module here, its trait beside it, the trait in [`Store`]'s bounds, the
//! implementation under `sqlite/` with the same file name, a migration, and a test in `contract.rs`, which every
//! backend runs.
#![forbid(unsafe_code)]

mod api_key;
mod app;
mod assertion;
mod audit;
mod client;
mod condition;
#[cfg(feature = "contract")]
pub mod contract;
mod device;
mod grant;
mod project;
mod revocation;
mod run;
mod session;
mod signing_key;
mod task;
mod trigger;
mod trust;
mod user;

pub use api_key::{
    ApiKey, ApiKeyQuery, ApiKeyStore, PreviousSecret, Retired, RetiredSecret, RotatedKey, Rotation,
    SecretRotation,
};
pub use app::{
    AppChange, AppCondition, AppField, AppId, AppNote, AppQuery, AppRecord, AppStatus, AppStore, AppUpdate,
    NewApp,
};
pub use assertion::AssertionStore;
pub use audit::{AuditQuery, AuditRecord, AuditStore, StoredAuditRecord};
pub use client::{Client, ClientKind, ClientStore, Consent};
pub use condition::{Condition, Test};
pub use device::{
    DEVICE_RETENTION, DeviceAuthorization, DeviceDecision, DeviceGrant, DevicePoll, DeviceRedemption,
    DeviceStore, SLOW_DOWN,
};
pub use grant::{
    AuthorizationCode, CodeRedemption, FAMILY_RETENTION, GrantStore, NewRefreshToken, RefreshRotation,
    RefreshToken, RevokedBy,
};
pub use project::{Project, ProjectQuery, ProjectSortKey, ProjectState, ProjectStore};
pub use revocation::RevocationStore;
pub use run::{
    Action, ActionId, ActionKind, ActionQuery, Attempt, AttemptEnd, CacheStatus, Caching, Creator,
    CreatorKind, Ended, Enqueued, Failure, FailureKind, LabelCondition, Late, NewAction, Phase,
    QueuedAttempt, ROOT_ACTION, Run, RunId, RunQuery, RunSortKey, RunStore, Span, TaskRef,
};
pub use session::{BrowserSession, SessionStore};
pub use signing_key::{KeyState, SealedSigningKey, SigningKeyStore};
pub use task::{
    Deployed, DeployedTask, ListedTask, NewTask, Task, TaskField, TaskId, TaskQuery, TaskStore,
    TaskVersionQuery, TriggersSummary, task_digest,
};
pub use trigger::{
    NewTrigger, Trigger, TriggerChange, TriggerDeployment, TriggerField, TriggerId, TriggerQuery,
    TriggerRevision, TriggerStore,
};
pub use trust::{TrustRule, TrustStore};
pub use user::{User, UserStore};

/// Why a store could not do as asked.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The identifier that a new record should have is taken.
    #[error("{kind} {id:?} already exists")]
    AlreadyExists {
        /// What kind of record.
        kind: &'static str,
        /// The identifier that is taken.
        id: String,
    },
    /// A page token that this store did not issue, or issued for another query.
    #[error("the page token is not one of this listing's")]
    InvalidPageToken,
    /// The backend failed: disk full, database locked or damaged.
    #[error("the database failed: {0}")]
    Backend(#[source] Box<dyn std::error::Error + Send + Sync>),
}

/// Everything that a backend provides.
pub trait Store:
    UserStore
    + SessionStore
    + ClientStore
    + GrantStore
    + DeviceStore
    + SigningKeyStore
    + ProjectStore
    + RevocationStore
    + ApiKeyStore
    + AssertionStore
    + AuditStore
    + TrustStore
    + RunStore
    + AppStore
    + TaskStore
    + TriggerStore
    + std::fmt::Debug
{
}

impl<T> Store for T where
    T: UserStore
        + SessionStore
        + ClientStore
        + GrantStore
        + DeviceStore
        + SigningKeyStore
        + ProjectStore
        + RevocationStore
        + ApiKeyStore
        + AssertionStore
        + AuditStore
        + TrustStore
        + RunStore
        + AppStore
        + TaskStore
        + TriggerStore
        + std::fmt::Debug
{
}
