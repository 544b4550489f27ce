//! What every RPC passes before its service: one of our own, or one of a backend behind the gateway.
//!
//! [`router`] authenticates each call and asks the [door](flyte_access::door) whether its caller may make it. The call then has
//! its [`Caller`] in its extensions, as an `Arc`. Our own services are connectrpc services; the door also
//! sees each of their requests, and their streams end when the caller loses access.
#![forbid(unsafe_code)]

mod authentication;
mod browser;
mod compression;
mod decoding;
mod door;
mod error;
mod local;
mod resource_metadata;
mod streams;

use std::sync::Arc;

use axum::{
    Router, middleware,
    routing::{any_service, get},
};
use connectrpc::{ConnectRpcService, Limits};

pub use self::{
    door::{allow, caller},
    error::{invalid, store_error},
    local::Local,
};
use flyte_access::{
    Access, Caller, RESOURCE_METADATA,
    door::{Door, RequiredScope, Storage},
};
use flyte_audit::Audit;
use flyte_identity::session::Sessions;
use flyte_settings::Config;

/// The longest request of an anonymous method, in bytes, as sent and as decompressed. These requests are small, and anyone can
/// send them.
const MAX_ANONYMOUS_REQUEST_BYTES: usize = 4 << 10;

/// What the checks of a call need.
pub struct Entrance {
    /// The settings.
    pub config: Arc<Config>,
    /// The audit log, which gets the denied calls.
    pub audit: Audit,
    /// Authenticates callers.
    pub access: Arc<Access>,
    /// Finds the project of an object.
    pub storage: Arc<dyn Storage + Send + Sync>,
    /// The sessions of browsers, if there are pages of this server that call RPCs. Otherwise cookies are ignored.
    pub sessions: Option<Sessions>,
}

impl std::fmt::Debug for Entrance {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Entrance").finish_non_exhaustive()
    }
}

/// Our own services, behind the checks of their requests and streams.
#[derive(Clone)]
pub struct Services {
    entrance: Arc<Entrance>,
    service: ConnectRpcService,
    paths: Arc<[String]>,
}

impl std::fmt::Debug for Services {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Services").field("paths", &self.paths).finish_non_exhaustive()
    }
}

impl Services {
    /// Puts the checks in front of `services`.
    #[must_use]
    pub fn new(entrance: &Arc<Entrance>, services: connectrpc::Router) -> Self {
        let paths = services.methods().map(|path| format!("/{path}")).collect();
        // The limit applies to the request as sent and as decompressed. An HTTP layer could not reject it in the caller's protocol.
        let service = limit_anonymous(services)
            .into_axum_service()
            .with_limits(limits(entrance))
            .with_compression(compression::encodings())
            .with_interceptor(decoding::Frugal)
            .with_interceptor(door::Doorkeeper::new(Arc::clone(entrance)))
            .with_interceptor(streams::Guard::new(Arc::clone(entrance)));
        Self { entrance: Arc::clone(entrance), service, paths }
    }

    /// Calls the services within this process, for a caller that has been authenticated already.
    #[must_use]
    pub fn by(&self, caller: Arc<Caller>) -> Local {
        Local::new(self.clone(), caller)
    }
}

/// The routes of all calls (`/package.Service/Method`) and of the protected resource metadata (RFC 9728), each behind the checks.
/// `rest` gets the calls of RPCs that `services` does not have, with the [`Caller`] in their extensions: it has to show the door
/// their requests itself.
pub fn router(services: &Services, rest: Router) -> Router {
    let entrance = &services.entrance;
    let mut calls = Router::new();
    for path in &*services.paths {
        calls = calls.route(path, any_service(services.service.clone()));
    }
    Router::new()
        .route(RESOURCE_METADATA, get(resource_metadata::resource_metadata))
        .with_state(Arc::clone(entrance))
        .merge(authenticated(entrance, calls.merge(rest)))
}

/// Routes of calls behind authentication and the part of the door that needs no request. Each call then has its
/// [`Caller`] in its extensions; the service has to show the door its request.
pub fn authenticated(entrance: &Arc<Entrance>, calls: Router) -> Router {
    let authenticate = middleware::from_fn_with_state(Arc::clone(entrance), authentication::authenticate);
    calls.layer((browser::cors(), authenticate))
}

/// The limits of the requests of a service: the setting `http.max-body-size`.
fn limits(entrance: &Entrance) -> Limits {
    let most = entrance.config.http.max_body_size;
    Limits::default().with_max_request_body_size(most).with_max_message_size(most)
}

/// Limits the requests of methods that need no token to [`MAX_ANONYMOUS_REQUEST_BYTES`].
fn limit_anonymous(mut services: connectrpc::Router) -> connectrpc::Router {
    let least = Limits::default()
        .with_max_request_body_size(MAX_ANONYMOUS_REQUEST_BYTES)
        .with_max_message_size(MAX_ANONYMOUS_REQUEST_BYTES);
    let anonymous: Vec<String> =
        services.methods().filter(|path| is_anonymous(&format!("/{path}"))).map(str::to_owned).collect();
    for path in &anonymous {
        services = services.with_route_limits(path, least);
    }
    services
}

/// Whether the RPC at this path needs no token.
fn is_anonymous(path: &str) -> bool {
    Door::published().rpc(path).is_some_and(|rpc| rpc.scope == RequiredScope::None)
}
