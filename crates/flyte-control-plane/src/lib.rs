//! The control plane: one module for each flyteidl2 service, over Connect, gRPC and gRPC-Web alike.
//!
//! Authentication and the [door](flyte_access::door) check every call first. The table of RPCs lists the methods that need no
//! token. Every other method, known or not, rejects a call without a token.
#![forbid(unsafe_code)]

mod action_data;
mod actions;
mod actor;
mod api_key;
mod app;
mod app_logs;
mod apps;
mod audit;
mod cache_key;
mod cluster;
mod created_by;
mod dataproxy;
mod decoding;
mod door;
mod filter;
mod identity;
mod keys;
mod list_request;
mod logs;
pub mod objects;
mod project;
mod project_domain;
mod rights;
mod run;
mod secret;
mod settings;
mod state;
mod streams;
mod task;
#[cfg(test)]
mod testing;
#[cfg(test)]
mod tests;
mod timestamp;
mod trigger;
mod trust;
mod unsupported;

pub use self::state::ControlPlane;

use std::sync::Arc;

use axum::{
    Json, Router,
    extract::{Request, State},
    middleware::{self, Next},
    response::{IntoResponse, Response},
    routing::{any_service, get},
};
use connectrpc::{ConnectError, Limits, RequestContext};
use flyte_idl::{
    cloudidl::identity::AppsServiceExt as _,
    flyteauth::{ApiKeyServiceExt as _, AuditServiceExt as _, TrustServiceExt as _},
    flyteidl2::{
        actions::ActionsServiceExt as _,
        app::{AppLogsServiceExt as _, AppServiceExt as _},
        auth::IdentityServiceExt as _,
        cluster::ClusterServiceExt as _,
        dataproxy::DataProxyServiceExt as _,
        project::ProjectServiceExt as _,
        secret::SecretServiceExt as _,
        settings::SettingsServiceExt as _,
        task::TaskServiceExt as _,
        trigger::TriggerServiceExt as _,
        workflow::{RunLogsServiceExt as _, RunServiceExt as _},
    },
};
use http::{HeaderMap, StatusCode, header};
use serde::Serialize;

use flyte_access::{
    AccessError, Caller, RESOURCE_METADATA, Reason,
    door::{Door, RequiredScope},
    policy::{self, Denied},
    step_up_challenge,
};
use flyte_model::{ClientIdError, Scope};
use flyte_objects::ObjectError;
use flyte_settings::endpoints;
use flyte_store::{ApiKey, StoreError};

/// The longest request of an anonymous method, in bytes, as sent and as decompressed. These requests are small, and anyone can
/// send them.
const MAX_ANONYMOUS_REQUEST_BYTES: usize = 4 << 10;

/// The routes of all calls (`/package.Service/Method`) and of the protected resource metadata (RFC 9728). `services` has the
/// services of other crates; the same checks apply to them.
pub fn router(plane: Arc<ControlPlane>, services: connectrpc::Router) -> Router {
    let services = Arc::new(api_key::Service::new(Arc::clone(&plane))).register(services);
    let services = Arc::new(app::Service::new(Arc::clone(&plane))).register(services);
    let services = Arc::new(app_logs::Service::new(Arc::clone(&plane))).register(services);
    let services = Arc::new(apps::Service::new(Arc::clone(&plane))).register(services);
    let services = Arc::new(audit::Service::new(Arc::clone(&plane))).register(services);
    let services = Arc::new(cluster::Service).register(services);
    let services = Arc::new(dataproxy::Service::new(Arc::clone(&plane))).register(services);
    let services = Arc::new(identity::Service::new(Arc::clone(&plane))).register(services);
    let services = Arc::new(logs::Service::new(Arc::clone(&plane))).register(services);
    let services = Arc::new(project::Service::new(Arc::clone(&plane))).register(services);
    let services = Arc::new(secret::Service).register(services);
    let services = Arc::new(settings::Service::new(Arc::clone(&plane))).register(services);
    let services = Arc::new(task::Service::new(Arc::clone(&plane))).register(services);
    let services = Arc::new(actions::Service::new(Arc::clone(&plane))).register(services);
    let services = Arc::new(run::Service::new(Arc::clone(&plane))).register(services);
    let services = Arc::new(trigger::Service::new(Arc::clone(&plane))).register(services);
    let services = Arc::new(trust::Service::new(Arc::clone(&plane))).register(services);
    // The limit applies to the request as sent and as decompressed. An HTTP layer could not reject it in the caller's protocol.
    let most = plane.config.http.max_body_size;
    let limits = Limits::default().with_max_request_body_size(most).with_max_message_size(most);
    let service = limit_anonymous(services)
        .into_axum_service()
        .with_limits(limits)
        .with_interceptor(decoding::Frugal)
        .with_interceptor(door::Doorkeeper::new(Arc::clone(&plane)))
        .with_interceptor(streams::Guard::new(Arc::clone(&plane)));
    let calls = Router::new()
        .route("/{service}/{method}", any_service(service))
        .layer(middleware::from_fn_with_state(Arc::clone(&plane), authenticate));
    Router::new().route(RESOURCE_METADATA, get(resource_metadata)).with_state(plane).merge(calls)
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

/// Authenticates a call and adds its [`Caller`], or rejects the call in the caller's protocol.
async fn authenticate(State(plane): State<Arc<ControlPlane>>, mut request: Request, next: Next) -> Response {
    let path = request.uri().path();
    // Proto packages have dots; a path without one is a page that does not exist.
    if !path.split('/').nth(1).is_some_and(|service| service.contains('.')) {
        return StatusCode::NOT_FOUND.into_response();
    }
    if is_anonymous(path) {
        return next.run(request).await;
    }
    let service = service_of(path);
    match plane.access.authenticate(request.headers()).await {
        Ok(caller) => {
            let Some(service) = service else {
                return StatusCode::NOT_FOUND.into_response();
            };
            if let Err(refusal) = Door::published().admit(&caller, path) {
                let error = door::refuse(&plane.audit, &caller, path, refusal).await;
                return error.into_http_response(request.headers()).into_response();
            }
            if let Err(refusal) = unsupported::check_service(service) {
                return refusal.into_http_response(request.headers()).into_response();
            }
            request.extensions_mut().insert(caller);
            next.run(request).await
        }
        Err(error) => refuse(&error, request.headers()),
    }
}

/// Whether the RPC at this path needs no token.
fn is_anonymous(path: &str) -> bool {
    Door::published().rpc(path).is_some_and(|rpc| rpc.scope == RequiredScope::None)
}

/// The service of a path that is exactly `/package.Service/Method`. The path is not decoded or normalized, so that the checked
/// path is the called path.
fn service_of(path: &str) -> Option<&str> {
    let (service, method) = path.strip_prefix('/')?.split_once('/')?;
    let is_name = |name: &str| {
        !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
    };
    let is_service = service.contains('.') && service.split('.').all(is_name);
    (is_service && is_name(method)).then_some(service)
}

fn refuse(error: &AccessError, request: &HeaderMap) -> Response {
    let rpc = match error.reason {
        Reason::Missing | Reason::Invalid(_) => ConnectError::unauthenticated(error.to_string()),
        Reason::Store(_) => ConnectError::unavailable(error.to_string()),
    };
    let mut response = rpc.into_http_response(request).into_response();
    if let Some(challenge) = error.challenge() {
        response.headers_mut().insert(header::WWW_AUTHENTICATE, challenge);
    }
    response
}

/// Returns the verdict on a call as an error in the caller's protocol. A denial is recorded in the audit log.
async fn allow(
    plane: &ControlPlane,
    context: &RequestContext,
    verdict: Result<(), Denied>,
) -> Result<(), ConnectError> {
    match verdict {
        Ok(()) => Ok(()),
        Err(denied) => {
            let path = context.path().unwrap_or_default();
            Err(door::refuse(&plane.audit, caller(context)?, path, denied.into()).await)
        }
    }
}

/// The caller that [`authenticate`] has added.
fn caller(context: &RequestContext) -> Result<&Arc<Caller>, ConnectError> {
    context
        .extensions()
        .get::<Arc<Caller>>()
        .ok_or_else(|| ConnectError::unauthenticated("this call needs an access token"))
}

/// The error for a denied call. It has a step-up challenge if a recent sign-in is missing (RFC 9470).
fn denied(denied: Denied) -> ConnectError {
    if !matches!(denied, Denied::StepUp(_)) {
        return ConnectError::permission_denied(denied.to_string());
    }
    let mut error = ConnectError::unauthenticated(denied.to_string());
    let challenge = step_up_challenge(policy::RECENT_SIGN_IN);
    error.response_headers_mut().insert(header::WWW_AUTHENTICATE, challenge);
    error
}

/// Whether the user's client may create API keys and trust rules, which outlive its tokens.
async fn is_keeper(plane: &ControlPlane, caller: &Caller) -> Result<bool, ConnectError> {
    if !caller.principal.is_person() {
        return Ok(false);
    }
    let client = plane.store.client_by_id(&caller.client_id).await.map_err(store_error)?;
    Ok(client.is_some_and(|client| client.first_party || client.may_keep_api_keys))
}

/// The API key with this `client_id`, which is also the subject of its tokens (RFC 9068 section 2.2). A text that is not
/// a client identifier, for example the subject of another principal, is that of no key.
async fn find_api_key(plane: &ControlPlane, client_id: &str) -> Result<Option<ApiKey>, ConnectError> {
    match client_id.parse() {
        Ok(id) => plane.store.api_key_by_id(&id).await.map_err(store_error),
        Err(ClientIdError::Empty | ClientIdError::Malformed) => Ok(None),
    }
}

/// The error for an invalid field of a request.
fn invalid(field: &str, what: &str) -> ConnectError {
    ConnectError::invalid_argument(format!("{field} {what}"))
}

/// Converts an error of the store. The details go to the log, not to the caller.
fn store_error(error: StoreError) -> ConnectError {
    match error {
        StoreError::AlreadyExists { .. } => ConnectError::already_exists(error.to_string()),
        StoreError::InvalidPageToken => ConnectError::invalid_argument(format!("token: {error}")),
        StoreError::Backend(_) => {
            tracing::error!(%error, "a call failed");
            ConnectError::unavailable("the server's database failed; try again later")
        }
    }
}

/// Converts an error of the object store. The details go to the log, not to the caller.
fn object_error(error: ObjectError) -> ConnectError {
    match error {
        ObjectError::Io(_) | ObjectError::Bucket(_) => {
            tracing::error!(%error, "a call failed");
            ConnectError::unavailable("the server's object store failed; try again later")
        }
        ObjectError::Taken => ConnectError::already_exists(error.to_string()),
        ObjectError::TooLarge { .. } => ConnectError::resource_exhausted(error.to_string()),
        ObjectError::Undecodable(_) => ConnectError::data_loss(error.to_string()),
        ObjectError::Elsewhere(..) | ObjectError::Key(_) => ConnectError::invalid_argument(error.to_string()),
    }
}

/// The error if the object at `uri` cannot be returned. `what` names its content.
fn data_error(error: ObjectError, what: &str, uri: &str) -> ConnectError {
    match error {
        ObjectError::TooLarge { length, most } => ConnectError::resource_exhausted(format!(
            "{what} at {uri} are {length} bytes, and a response has at most {most}; download the file instead"
        )),
        ObjectError::Undecodable(error) => {
            ConnectError::data_loss(format!("{what} at {uri} cannot be read: {error}"))
        }
        error => object_error(error),
    }
}

/// RFC 9728 section 2.
#[derive(Serialize)]
struct ResourceMetadata<'a> {
    resource: &'a str,
    authorization_servers: [&'a str; 1],
    jwks_uri: String,
    scopes_supported: [Scope; 2],
    bearer_methods_supported: [&'static str; 1],
    resource_name: &'static str,
}

async fn resource_metadata(State(plane): State<Arc<ControlPlane>>) -> Response {
    let issuer = plane.config.issuer();
    Json(ResourceMetadata {
        resource: issuer,
        authorization_servers: [issuer],
        jwks_uri: plane.config.url(endpoints::JWKS),
        scopes_supported: [Scope::ALL, Scope::READ],
        bearer_methods_supported: ["header"],
        resource_name: "Flyte control plane",
    })
    .into_response()
}
