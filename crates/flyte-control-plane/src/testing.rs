//! An in-memory control plane for tests. It runs tasks and apps on this machine.

use std::sync::Arc;

use axum::{
    Extension, Router,
    extract::DefaultBodyLimit,
    middleware::{from_fn, from_fn_with_state},
};
use flyte_administration::Administration;
use flyte_console::Console;
use flyte_http::{edge, finish};
use flyte_model::Stopping;
use flyte_oauth::{AuthorizationServer, OverviewSource, testing::authorization_server};
use flyte_rpc::{Entrance, Services};
use flyte_runner_local::{LocalRunner, State};
use flyte_runs::testing::Server;
use flyte_settings::Config;

use crate::{ControlPlane, LocatedObjects};

/// An empty control plane of the server at `https://localhost:8443/`.
pub(crate) async fn control_plane(change: impl FnOnce(&mut Config)) -> ControlPlane {
    let server = Server::new(change).await;
    let stopping = Stopping::default();
    let local = Arc::new(LocalRunner::new(State {
        config: Arc::clone(&server.config),
        clock: server.clock.clone(),
        store: Arc::clone(&server.store),
        runs: Arc::clone(&server.runs),
        identities: server.identities(),
        objects: Arc::clone(&server.objects),
        stopping: stopping.clone(),
        backups: |_| Vec::new(),
    }));
    ControlPlane {
        config: server.config,
        clock: server.clock,
        store: server.store,
        keys: server.keys,
        audit: server.audit,
        access: server.access,
        runs: server.runs,
        runner: local.clone(),
        apps: local.clone(),
        logs: local,
        objects: server.objects,
        stopping,
    }
}

/// The routes of the control plane, its pages and the authorization server, with the layers that a call needs.
pub(crate) fn router(plane: &Arc<ControlPlane>) -> Router {
    let server = oauth(plane);
    let services = services(plane, &server);
    let console = Arc::new(Console {
        sessions: server.sessions.clone(),
        access: Arc::clone(&plane.access),
        services: services.clone(),
        clock: plane.clock.clone(),
        has_control_plane: true,
    });
    let known = Arc::clone(&console);
    let overview =
        OverviewSource(Arc::new(move |who| Box::pin(flyte_console::overview(Arc::clone(&known), who))));
    let trusted_proxies: Arc<[_]> = plane.config.http.trusted_proxies.as_slice().into();
    flyte_rpc::router(&services, crate::unsupported(&plane.config))
        .layer(DefaultBodyLimit::disable())
        .merge(crate::objects::downloads(Arc::clone(plane)))
        .merge(crate::objects::uploads(Arc::clone(plane)))
        .merge(flyte_console::router(console))
        .merge(flyte_oauth::router(&server).with_state(server).layer(Extension(overview)))
        .layer(from_fn(finish::finish))
        .layer(from_fn_with_state(trusted_proxies, edge::identify))
}

pub(crate) fn oauth(plane: &ControlPlane) -> Arc<AuthorizationServer> {
    Arc::new(authorization_server(
        &plane.config,
        &plane.clock,
        &plane.store,
        &plane.keys,
        &plane.audit,
        &plane.access,
    ))
}

/// All services, behind the checks.
pub(crate) fn services(plane: &Arc<ControlPlane>, server: &Arc<AuthorizationServer>) -> Services {
    let services = flyte_oauth::auth_metadata(Arc::clone(server), connectrpc::Router::new());
    let storage = Arc::new(LocatedObjects(Arc::clone(&plane.objects)));
    let administration = Arc::new(Administration {
        config: Arc::clone(&plane.config),
        clock: plane.clock.clone(),
        store: Arc::clone(&plane.store),
        audit: plane.audit.clone(),
        access: Arc::clone(&plane.access),
        storage: storage.clone(),
        passwords: flyte_identity::Passwords::new(1, flyte_identity::PasswordRules::default()),
        keys: Arc::clone(&plane.keys),
        providers: server.outside.providers.clone(),
        settings: Vec::new(),
    });
    let services = flyte_administration::register(&administration, services);
    let entrance = Arc::new(Entrance {
        config: Arc::clone(&plane.config),
        audit: plane.audit.clone(),
        access: Arc::clone(&plane.access),
        storage,
        sessions: Some(server.sessions.clone()),
    });
    Services::new(&entrance, crate::register(plane, services))
}
