//! The state that the services share.

use std::sync::Arc;

use flyte_access::Access;
use flyte_audit::Audit;
use flyte_keys::SigningKeys;
use flyte_model::{Stopping, clock::Clock};
use flyte_objects::Objects;
use flyte_runs::{AppHost, LogSource, Runner, Runs};
use flyte_settings::Config;
use flyte_store::Store;

/// The parts of the control plane. Every service has a reference to it.
#[derive(Debug)]
pub struct ControlPlane {
    /// The settings.
    pub config: Arc<Config>,
    /// The time.
    pub clock: Clock,
    /// Everything that the server stores.
    pub store: Arc<dyn Store>,
    /// The keys that sign the URLs of objects.
    pub keys: Arc<SigningKeys>,
    /// The audit log.
    pub audit: Audit,
    /// Authenticates callers.
    pub access: Arc<Access>,
    /// The runs.
    pub runs: Arc<Runs>,
    /// Runs tasks.
    pub runner: Arc<dyn Runner>,
    /// Runs apps.
    pub apps: Arc<dyn AppHost>,
    /// The logs of tasks and apps.
    pub logs: Arc<dyn LogSource>,
    /// The objects of tasks.
    pub objects: Arc<Objects>,
    /// Whether the server is stopping.
    pub stopping: Stopping,
}
