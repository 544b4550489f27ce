//! The parts of the server, which the router and the periodic tasks share.

use std::sync::Arc;

use crate::{data_dir, upstream};
use flyte_access::{
    Access,
    door::{self, Storage},
};
use flyte_administration::Administration;
use flyte_audit::Audit;
use flyte_control_plane::{ControlPlane, LocatedObjects};
use flyte_federation::TrustedIssuers;
use flyte_gateway::{Gateway, web::Web};
use flyte_identity::{Passwords, Throttle, known_browser::KnownBrowsers, session::Sessions};
use flyte_keys::SigningKeys;
use flyte_model::{Stopping, clock::Clock};
use flyte_oauth::{AuthorizationServer, OutsideSignIns};
use flyte_objects::Objects;
use flyte_rpc::Entrance;
use flyte_runner_local::LocalRunner;
use flyte_runs::{AppHost, RunIdentities, Runner, Runs};
use flyte_settings::{Config, ShownSetting, UpstreamConfig};
use flyte_store::{Store, StoreError};

/// The parts of the running server.
#[derive(Debug)]
pub struct App {
    /// The configuration.
    pub config: Arc<Config>,
    /// The current time.
    pub clock: Clock,
    /// The authorization server.
    pub authorization_server: Arc<AuthorizationServer>,
    /// What every call of an RPC passes.
    pub entrance: Arc<Entrance>,
    /// The services of access itself, for example API keys, trust rules and the audit log.
    pub administration: Arc<Administration>,
    /// The store.
    pub store: Arc<dyn Store>,
    /// The keys that sign tokens.
    pub keys: Arc<SigningKeys>,
    /// The audit log.
    pub audit: Audit,
    /// Authentication and authorization of callers.
    pub access: Arc<Access>,
    /// Whether the server is stopping.
    pub stopping: Stopping,
    /// What answers the calls of Flyte's services.
    pub backend: Backend,
    /// The console and the apps of a backend, if there are any.
    pub web: Option<Arc<Web>>,
}

/// What answers the calls of Flyte's services.
#[derive(Debug)]
pub enum Backend {
    /// The embedded control plane.
    Embedded(Embedded),
    /// Flyte 2 backends behind the gateway.
    Upstream(Arc<Gateway>),
}

/// The embedded control plane with what it needs.
#[derive(Debug)]
pub struct Embedded {
    /// The services.
    pub control_plane: Arc<ControlPlane>,
    /// The life of runs.
    pub runs: Arc<Runs>,
    /// Runs tasks.
    pub runner: Arc<dyn Runner>,
    /// Runs apps.
    pub apps: Arc<dyn AppHost>,
    /// The objects of tasks.
    pub objects: Arc<Objects>,
}

/// What the server is assembled from.
#[derive(Debug)]
pub struct Parts {
    /// The configuration.
    pub config: Arc<Config>,
    /// The current time.
    pub clock: Clock,
    /// The store.
    pub store: Arc<dyn Store>,
    /// The keys that sign tokens.
    pub keys: Arc<SigningKeys>,
    /// The audit log.
    pub audit: Audit,
    /// Authentication and authorization of callers.
    pub access: Arc<Access>,
    /// Issuers whose tokens can be exchanged.
    pub issuers: Arc<TrustedIssuers>,
    /// Sign-in through outside providers.
    pub outside: OutsideSignIns,
    /// Hashes and verifies the passwords of sign-ins.
    pub passwords: Passwords,
    /// Hashes the passwords that administrators create.
    pub administrative: Passwords,
    /// Whose services the server offers.
    pub serves: Serves,
    /// The settings with their sources, for administrators.
    pub settings: Vec<ShownSetting>,
}

/// Whose services the server offers.
#[derive(Debug)]
pub enum Serves {
    /// Its own, with these objects of tasks.
    Embedded(Arc<Objects>),
    /// Those of backends, with what the door knows of them.
    Upstream(Box<UpstreamConfig>, Arc<door::Backend>),
}

impl App {
    /// Assembles the authorization server and either the control plane with the runner on this machine, or the gateway. Nothing
    /// runs yet.
    #[must_use]
    pub fn new(parts: Parts) -> Self {
        let stopping = Stopping::default();
        let storage: Arc<dyn Storage + Send + Sync> = match &parts.serves {
            Serves::Embedded(objects) => Arc::new(LocatedObjects(Arc::clone(objects))),
            Serves::Upstream(_, known) => known.clone(),
        };
        let backend = match &parts.serves {
            Serves::Embedded(objects) => Backend::Embedded(Embedded::new(&parts, objects, &stopping)),
            Serves::Upstream(upstream, _) => {
                let storage = Arc::clone(&storage);
                Backend::Upstream(upstream::gateway(&parts, upstream, storage, stopping.clone()))
            }
        };
        let sessions = Sessions::new(Arc::clone(&parts.store), parts.clock.clone(), parts.config.session_ttl);
        let upstream = match &parts.serves {
            Serves::Embedded(_) => None,
            Serves::Upstream(upstream, _) => Some(upstream),
        };
        let web = match (&backend, upstream) {
            (Backend::Upstream(gateway), Some(upstream)) => {
                upstream::web(&parts, upstream, gateway, sessions.clone(), stopping.clone())
            }
            _ => None,
        };
        // Pages of this server call RPCs if it has a console.
        let calling = upstream.and_then(|upstream| upstream.console_url.as_ref()).map(|_| sessions.clone());
        let Parts {
            config,
            clock,
            store,
            keys,
            audit,
            access,
            issuers,
            outside,
            passwords,
            administrative,
            settings,
            serves: _,
        } = parts;
        let providers = outside.providers.clone();
        let authorization_server = Arc::new(AuthorizationServer {
            config: Arc::clone(&config),
            clock: clock.clone(),
            store: Arc::clone(&store),
            keys: Arc::clone(&keys),
            audit: audit.clone(),
            issuers,
            outside,
            access: Arc::clone(&access),
            sessions,
            known_browsers: KnownBrowsers::new(Arc::clone(&keys)),
            passwords,
            throttle: Throttle::new(clock.clone()),
        });
        let entrance = Arc::new(Entrance {
            config: Arc::clone(&config),
            audit: audit.clone(),
            access: Arc::clone(&access),
            storage: Arc::clone(&storage),
            sessions: calling,
        });
        let administration = Arc::new(Administration {
            config: Arc::clone(&config),
            clock: clock.clone(),
            store: Arc::clone(&store),
            audit: audit.clone(),
            access: Arc::clone(&access),
            storage,
            passwords: administrative,
            keys: Arc::clone(&keys),
            providers,
            settings,
        });
        Self {
            config,
            clock,
            authorization_server,
            entrance,
            administration,
            store,
            keys,
            audit,
            access,
            stopping,
            backend,
            web,
        }
    }

    /// Writes the last uses of API keys, trust rules and sign-ins.
    ///
    /// # Errors
    /// [`StoreError`]; they are then kept for the next call.
    pub async fn write_usage(&self) -> Result<(), StoreError> {
        self.access.write_usage().await?;
        self.authorization_server.sessions.write_uses().await
    }

    /// The embedded control plane, if there is one.
    #[must_use]
    pub fn embedded(&self) -> Option<&Embedded> {
        match &self.backend {
            Backend::Embedded(embedded) => Some(embedded),
            Backend::Upstream(_) => None,
        }
    }
}

impl Embedded {
    fn new(parts: &Parts, objects: &Arc<Objects>, stopping: &Stopping) -> Self {
        let Parts { config, clock, store, keys, audit, access, .. } = parts;
        let runs = Arc::new(Runs::new(Arc::clone(store), clock.clone(), Arc::clone(access)));
        let local = Arc::new(LocalRunner::new(flyte_runner_local::State {
            config: Arc::clone(config),
            clock: clock.clone(),
            store: Arc::clone(store),
            runs: Arc::clone(&runs),
            identities: RunIdentities::new(access.tokens().clone()),
            objects: Arc::clone(objects),
            stopping: stopping.clone(),
            backups: data_dir::backups,
        }));
        let control_plane = Arc::new(ControlPlane {
            config: Arc::clone(config),
            clock: clock.clone(),
            store: Arc::clone(store),
            keys: Arc::clone(keys),
            audit: audit.clone(),
            access: Arc::clone(access),
            runs: Arc::clone(&runs),
            runner: local.clone(),
            apps: local.clone(),
            logs: local.clone(),
            objects: Arc::clone(objects),
            stopping: stopping.clone(),
        });
        Self { control_plane, runs, runner: local.clone(), apps: local, objects: Arc::clone(objects) }
    }
}
