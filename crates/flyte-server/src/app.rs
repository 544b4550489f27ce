//! What every request handler shares.

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

/// The running server's parts; handlers get it as `State<Arc<App>>`.
#[derive(Debug)]
pub struct App {
    /// How the server was set up.
    pub config: Arc<Config>,
    /// What time it is.
    pub clock: Clock,
    /// Signs people in, and gives clients tokens.
    pub authorization_server: Arc<AuthorizationServer>,
    /// Answers Flyte's own calls.
    pub control_plane: Arc<ControlPlane>,
    /// What it remembers.
    pub store: Arc<dyn Store>,
    /// What it signs tokens with.
    pub keys: Arc<SigningKeys>,
    /// Who did what.
    pub audit: Audit,
    /// Whose tokens can be exchanged for ours.
    pub issuers: Arc<TrustedIssuers>,
    /// Who may call.
    pub access: Arc<Access>,
    /// What runs.
    pub runs: Arc<Runs>,
    /// Works on tasks.
    pub runner: Arc<dyn Runner>,
    /// Keeps apps running.
    pub apps: Arc<dyn AppHost>,
    /// The logs of tasks and apps.
    pub logs: Arc<dyn LogSource>,
    /// Whether the server is stopping.
    pub stopping: Stopping,
    /// The objects of tasks.
    pub objects: Arc<Objects>,
}
