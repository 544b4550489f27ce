//! The parts of the server, which the router and the periodic tasks share.

use std::sync::Arc;

use flyte_access::Access;
use flyte_audit::Audit;
use flyte_control_plane::ControlPlane;
use flyte_federation::TrustedIssuers;
use flyte_keys::SigningKeys;
use flyte_model::{Stopping, clock::Clock};
use flyte_oauth::AuthorizationServer;
use flyte_objects::Objects;
use flyte_runs::{AppHost, LogSource, Runner, Runs};
use flyte_settings::Config;
use flyte_store::Store;

/// The parts of the running server.
#[derive(Debug)]
pub struct App {
    /// The configuration.
    pub config: Arc<Config>,
    /// The current time.
    pub clock: Clock,
    /// The authorization server.
    pub authorization_server: Arc<AuthorizationServer>,
    /// The control plane.
    pub control_plane: Arc<ControlPlane>,
    /// The store.
    pub store: Arc<dyn Store>,
    /// The keys that sign tokens.
    pub keys: Arc<SigningKeys>,
    /// The audit log.
    pub audit: Audit,
    /// Issuers whose tokens can be exchanged.
    pub issuers: Arc<TrustedIssuers>,
    /// Authentication and authorization of callers.
    pub access: Arc<Access>,
    /// The life of runs.
    pub runs: Arc<Runs>,
    /// Runs tasks.
    pub runner: Arc<dyn Runner>,
    /// Runs apps.
    pub apps: Arc<dyn AppHost>,
    /// The logs of tasks and apps.
    pub logs: Arc<dyn LogSource>,
    /// Whether the server is stopping.
    pub stopping: Stopping,
    /// The objects of tasks.
    pub objects: Arc<Objects>,
}
