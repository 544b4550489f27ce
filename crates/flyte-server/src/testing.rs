//! The parts of a server in memory, for tests.

use std::sync::Arc;

use crate::{app::App, data_dir};
use flyte_access::testing::Parts;
use flyte_control_plane::ControlPlane;
use flyte_federation::TrustedIssuers;
use flyte_identity::{Passwords, Throttle, known_browser::KnownBrowsers, session::Sessions};
use flyte_model::Stopping;
use flyte_oauth::AuthorizationServer;
use flyte_objects::Objects;
use flyte_runner_local::{self, LocalRunner};
use flyte_runs::{RunIdentities, Runs};
use flyte_settings::Config;

pub(crate) use flyte_testing::{NOW, user};

/// An empty server at `https://localhost:8443/` with the clock at [`NOW`].
pub(crate) async fn app(change: impl FnOnce(&mut Config)) -> App {
    app_of(Parts::new(change).await)
}

/// Creates a server from these parts.
pub(crate) fn app_of(Parts { config, clock, store, keys, audit, access }: Parts) -> App {
    let runs = Arc::new(Runs::new(Arc::clone(&store), clock.clone(), Arc::clone(&access)));
    // The object store is not prepared; tests of objects use a data directory and prepare it.
    let objects = Arc::new(Objects::new(&config).unwrap());
    let stopping = Stopping::default();
    let local = Arc::new(LocalRunner::new(flyte_runner_local::State {
        config: Arc::clone(&config),
        clock: clock.clone(),
        store: Arc::clone(&store),
        runs: Arc::clone(&runs),
        identities: RunIdentities::new(access.tokens().clone()),
        objects: Arc::clone(&objects),
        stopping: stopping.clone(),
        backups: data_dir::backups,
    }));
    let issuers = Arc::new(TrustedIssuers::new(None, clock.clone()).unwrap());
    let authorization_server = Arc::new(AuthorizationServer {
        config: Arc::clone(&config),
        clock: clock.clone(),
        store: Arc::clone(&store),
        keys: Arc::clone(&keys),
        audit: audit.clone(),
        issuers: Arc::clone(&issuers),
        access: Arc::clone(&access),
        sessions: Sessions::new(Arc::clone(&store), clock.clone(), config.session_ttl),
        known_browsers: KnownBrowsers::new(Arc::clone(&keys)),
        passwords: Passwords::new(1),
        throttle: Throttle::new(clock.clone()),
    });
    let control_plane = Arc::new(ControlPlane {
        config: Arc::clone(&config),
        clock: clock.clone(),
        store: Arc::clone(&store),
        keys: Arc::clone(&keys),
        audit: audit.clone(),
        access: Arc::clone(&access),
        runs: Arc::clone(&runs),
        runner: local.clone(),
        apps: local.clone(),
        logs: local.clone(),
        objects: Arc::clone(&objects),
        stopping: stopping.clone(),
    });
    App {
        audit,
        issuers,
        objects,
        authorization_server,
        control_plane,
        config,
        keys,
        runs,
        runner: local.clone(),
        apps: local.clone(),
        logs: local,
        stopping,
        access,
        clock,
        store,
    }
}
