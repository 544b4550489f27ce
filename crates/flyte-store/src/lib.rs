//! The interface to everything that the server stores: traits over plain data.
//!
//! Each method is one transaction: it happens completely or not at all, even if the process is killed. "Not found" is
//! `Option`; failure is [`StoreError`]. Time is a parameter and never comes from the system. Secrets are hashed
//! ([`SecretHash`](flyte_secrets::SecretHash)); a store contains nothing that grants access.
//!
//! To add a kind of record, write: its data in a module here and its trait beside the data, the trait in the bounds of
//! [`Store`], the implementation in the file of the same name in `flyte-store-sqlite`, a migration, and tests in
//! `contract/`, which run on every backend.
#![forbid(unsafe_code)]

mod account_link;
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
mod group;
mod outside_identity;
mod outside_session;
mod policy;
mod project;
mod revocation;
mod role;
mod run;
mod run_starter;
mod scim;
mod session;
mod sign_in;
mod signing_key;
mod task;
mod trigger;
mod trust;
mod user;

pub use account_link::{AccountLink, AccountLinkQuery, AccountLinkStore, LinkPurpose};
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
pub use group::{Group, GroupOrigin, GroupQuery, GroupStore, MemberQuery, ProviderGroup};
pub use outside_identity::{EmailProof, LastWay, OutsideIdentity, OutsideIdentityStore};
pub use outside_session::{
    EndedAtProvider, EndedSessions, OutsideSession, OutsideSessionStore, ProviderGrant,
};
pub use policy::{AssigneeQuery, Policy, PolicyStore, RoleHolder, RoleHolderQuery, RoleIn};
pub use project::{Project, ProjectQuery, ProjectSortKey, ProjectState, ProjectStore};
pub use revocation::RevocationStore;
pub use role::{CustomRole, NameQuery, RoleStore};
pub use run::{
    Action, ActionId, ActionKind, ActionQuery, Attempt, AttemptEnd, CacheStatus, Caching, Creator,
    CreatorKind, Ended, Enqueued, Failure, FailureKind, LabelCondition, NewAction, Overdue, Phase,
    QueuedAttempt, ROOT_ACTION, Run, RunId, RunQuery, RunSortKey, RunStore, Span, TaskRef,
};
pub use run_starter::{RUN_STARTER_RETENTION, RunStarter, RunStarterStore};
pub use scim::{
    SCIM_ORIGIN, ScimCondition, ScimField, ScimGroup, ScimGroupChange, ScimGroupChanged, ScimGroupData,
    ScimGroupStore, ScimKey, ScimKeyStore, ScimMember, ScimMemberChange, ScimMembership, ScimOperator,
    ScimOrder, ScimOutcome, ScimQuery, ScimRefusal, ScimRules, ScimSortKey, ScimUser, ScimUserChanged,
    ScimUserData, ScimUserFilter, ScimUserStore, ScimValue,
};
pub use session::{BrowserSession, SessionStore};
pub use sign_in::{EndedSignIns, SignIn, SignInKind, SignInQuery, SignInStore, SignInUse, UnwrittenUses};
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
pub use user::{DeletedUser, User, UserQuery, UserStore};

/// The reason why a store operation failed.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The identifier of the new record is taken.
    #[error("{kind} {id:?} already exists")]
    AlreadyExists {
        /// The kind of record.
        kind: &'static str,
        /// The identifier that is taken.
        id: String,
    },
    /// The new record needs another one that does not exist.
    #[error("there is no {kind} {id:?}")]
    Missing {
        /// The kind of record.
        kind: &'static str,
        /// The identifier that does not exist.
        id: String,
    },
    /// The record cannot be deleted while others need it.
    #[error("{kind} {id:?} is in use")]
    InUse {
        /// The kind of record.
        kind: &'static str,
        /// The identifier of the record.
        id: String,
    },
    /// The change would leave no enabled account with the role `admin` everywhere.
    #[error("the last administrator would lose the role; make another account an administrator first")]
    LastAdministrator,
    /// The page token is not from this store, or is from another query.
    #[error("the page token belongs to another listing")]
    InvalidPageToken,
    /// The backend failed; for example, the disk is full, or the database is locked or damaged.
    #[error("the database failed: {0}")]
    Backend(#[source] Box<dyn std::error::Error + Send + Sync>),
}

/// Defines [`Store`] as all these traits together, for every type that implements them.
macro_rules! store {
    ($($part:path),* $(,)?) => {
        /// Everything that a backend provides.
        pub trait Store: $($part +)* std::fmt::Debug {}

        impl<T: $($part +)* std::fmt::Debug> Store for T {}
    };
}

store! {
    UserStore,
    SessionStore,
    SignInStore,
    OutsideIdentityStore,
    AccountLinkStore,
    OutsideSessionStore,
    ClientStore,
    GrantStore,
    DeviceStore,
    SigningKeyStore,
    ProjectStore,
    RevocationStore,
    ApiKeyStore,
    AssertionStore,
    AuditStore,
    TrustStore,
    RunStore,
    RunStarterStore,
    AppStore,
    TaskStore,
    TriggerStore,
    GroupStore,
    RoleStore,
    PolicyStore,
    ScimKeyStore,
    ScimUserStore,
    ScimGroupStore,
}
