//! The authorization server: OAuth 2 and OpenID Connect. Each endpoint has a module.
//!
//! A sign-in uses `metadata` (the client finds the endpoints), `authorize` and, if needed, `decision` (the user
//! consents), `token` (the client gets tokens and renews them), and ends with `revoke` or `logout`. A client without
//! a browser uses `device` instead of `authorize`, and the user approves it on another machine. Rules that several
//! endpoints share have their own modules: `parameters`, `redirect_uri`, `resource`, `pkce`, `client`.
//! `docs/reference/oauth.md` lists what is refused and why, with the sections of the RFCs.
#![forbid(unsafe_code)]

mod auth_metadata;
pub mod authorize;
pub mod client;
pub mod client_assertion;
mod client_throttle;
mod decision;
pub mod device;
pub mod error;
#[cfg(test)]
mod fixture;
pub mod form;
mod forward_auth;
pub mod id_token;
mod introspect;
mod jwks;
mod logout;
pub mod metadata;
pub mod parameters;
pub mod pkce;
pub mod redirect_uri;
pub mod resource;
mod revoke;
mod sign_in;
mod state;
#[cfg(any(test, feature = "testing"))]
pub mod testing;
#[cfg(test)]
mod tests;
pub mod token;
pub mod userinfo;

use std::{sync::Arc, time::Duration};

use axum::{
    Router,
    extract::DefaultBodyLimit,
    middleware,
    routing::{any, get, post},
};
use http::{HeaderName, Method, header};
use tower_http::cors::{Any, CorsLayer};

pub use self::{
    sign_in::{
        OverviewSource,
        outside::{OutsideSignIns, recheck::run as recheck_outside_users},
    },
    state::AuthorizationServer,
};
use flyte_identity::Failures;
use flyte_idl::flyteidl2::auth::AuthMetadataServiceExt as _;
use flyte_settings::endpoints;

/// Adds `flyteidl2.auth.AuthMetadataService` to the services that are called through the control plane.
pub fn auth_metadata(server: Arc<AuthorizationServer>, services: connectrpc::Router) -> connectrpc::Router {
    Arc::new(auth_metadata::Service::new(server)).register(services)
}

/// The routes of every endpoint.
pub fn router(server: &AuthorizationServer) -> Router<Arc<AuthorizationServer>> {
    programs(server).merge(people()).layer(DefaultBodyLimit::max(form::MAX_BYTES)).merge(sign_in::router())
}

/// The endpoints that programs call.
fn programs(server: &AuthorizationServer) -> Router<Arc<AuthorizationServer>> {
    clients(server)
        .route(endpoints::AUTHORIZATION_SERVER_METADATA, get(metadata::get))
        .route(endpoints::OPENID_CONFIGURATION, get(metadata::get))
        .route(endpoints::JWKS, get(jwks::get))
        .route(endpoints::USERINFO, get(userinfo::respond).post(userinfo::respond))
        .layer(cors())
        .route(endpoints::FORWARD_AUTH, any(forward_auth::respond))
        .route(&format!("{}/{{*path}}", endpoints::FORWARD_AUTH), any(forward_auth::respond))
}

/// The endpoints that authenticate clients.
fn clients(server: &AuthorizationServer) -> Router<Arc<AuthorizationServer>> {
    let failures = Arc::new(Failures::new(server.clock.clone()));
    Router::new()
        .route(endpoints::DEVICE_AUTHORIZATION, post(device::post))
        .route(endpoints::TOKEN, post(token::post))
        .route(endpoints::REVOKE, post(revoke::post))
        .route(endpoints::INTROSPECT, post(introspect::post))
        .layer(middleware::from_fn_with_state(failures, client_throttle::limit))
}

/// The endpoints that browsers open.
fn people() -> Router<Arc<AuthorizationServer>> {
    Router::new()
        .route(endpoints::AUTHORIZE, get(authorize::get).post(authorize::post))
        .route(endpoints::CONSENT, post(decision::post))
        .route(endpoints::ACCOUNT, post(decision::post))
        .route(endpoints::DEVICE, get(device::activate::get).post(device::activate::post))
        .route(endpoints::LOGOUT, get(logout::get).post(logout::post))
}

/// Allows clients in a browser to call the endpoints that use no cookies. Every origin is allowed: the client's own
/// data proves what these endpoints ask for, not something that the browser adds. Credentials are not allowed.
fn cors() -> CorsLayer {
    CorsLayer::new()
        .allow_origin(Any)
        .allow_methods([Method::GET, Method::POST])
        .allow_headers([
            header::AUTHORIZATION,
            header::CONTENT_TYPE,
            HeaderName::from_static("flyte-authorization"),
        ])
        .expose_headers([header::WWW_AUTHENTICATE])
        .max_age(Duration::from_secs(3600))
}
