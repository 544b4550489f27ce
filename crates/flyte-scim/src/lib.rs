//! SCIM 2.0 (RFC 7643, RFC 7644): an organization's directory, for example Okta or Entra ID, provisions users and groups.
//!
//! A client authenticates by a key of its own kind ([`keys`]) and sees only what it provisioned. The rules about accounts are in
//! the store's transactions (`flyte_store::ScimUserStore`); this crate reads requests, writes responses, records what happened
//! and puts it into effect at once.
#![forbid(unsafe_code)]

mod authentication;
mod body;
mod discovery;
mod document;
mod effect;
mod error;
/// Filters and paths; public for the fuzz targets.
pub mod filter;
mod group;
pub mod keys;
mod limits;
mod listing;
mod patch;
mod precondition;
mod projection;
mod response;
mod schema;
#[cfg(test)]
mod tests;
mod time;
mod user;

use std::{fmt, sync::Arc};

use axum::{
    Router,
    extract::DefaultBodyLimit,
    middleware,
    response::{IntoResponse as _, Response},
    routing::{any, get, post},
};
use http::StatusCode;

pub use self::error::ScimError;
use self::limits::Limits;
use flyte_access::Access;
use flyte_audit::Audit;
use flyte_model::clock::Clock;
use flyte_settings::Config;
use flyte_store::Store;

/// Where the service is.
pub const PATH: &str = "/scim/v2";
/// The most bytes of a request. A group of 50,000 members is smaller.
const MAX_BODY_BYTES: usize = 8 << 20;

/// The state of the service.
pub struct Scim {
    config: Arc<Config>,
    clock: Clock,
    store: Arc<dyn Store>,
    audit: Audit,
    access: Arc<Access>,
    limits: Limits,
}

impl Scim {
    /// Creates it.
    #[must_use]
    pub fn new(
        config: Arc<Config>,
        clock: Clock,
        store: Arc<dyn Store>,
        audit: Audit,
        access: Arc<Access>,
    ) -> Self {
        Self { config, clock, store, audit, access, limits: Limits::default() }
    }

    /// The address of the service.
    fn base(&self) -> String {
        format!("{}{PATH}", self.config.issuer())
    }
}

impl fmt::Debug for Scim {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Scim").finish_non_exhaustive()
    }
}

/// The routes of the service.
pub fn router<S: Clone + Send + Sync + 'static>(scim: Arc<Scim>) -> Router<S> {
    let routes = Router::new()
        .route("/ServiceProviderConfig", get(discovery::service_provider_config))
        .route("/ResourceTypes", get(discovery::resource_types))
        .route("/ResourceTypes/{id}", get(discovery::resource_type))
        .route("/Schemas", get(discovery::schemas))
        .route("/Schemas/{id}", get(discovery::schema))
        .route("/Users", get(user::list).post(user::create))
        .route("/Users/.search", post(user::search))
        .route("/Users/{id}", get(user::get).put(user::replace).patch(user::patch).delete(user::delete))
        .route("/Groups", get(group::list).post(group::create))
        .route("/Groups/.search", post(group::search))
        .route("/Groups/{id}", get(group::get).put(group::replace).patch(group::patch).delete(group::delete))
        .route("/.search", post(discovery::search))
        .route("/Me", any(|| async { not_implemented("a SCIM key is not a user, so there is no /Me") }))
        .route("/Bulk", any(|| async { not_implemented("bulk requests are not supported") }))
        .fallback(not_found)
        .method_not_allowed_fallback(method_not_allowed)
        .layer(middleware::from_fn_with_state(Arc::clone(&scim), authentication::require_key))
        .layer(DefaultBodyLimit::max(MAX_BODY_BYTES))
        .with_state(scim);
    Router::new().nest(PATH, routes)
}

/// The response after a panic in a handler.
#[must_use]
pub fn internal_error() -> Response {
    ScimError::new(StatusCode::INTERNAL_SERVER_ERROR, "internal error").into_response()
}

fn not_implemented(detail: &str) -> Response {
    ScimError::new(StatusCode::NOT_IMPLEMENTED, detail).into_response()
}

async fn not_found() -> ScimError {
    ScimError::new(StatusCode::NOT_FOUND, "there is nothing at this address")
}

async fn method_not_allowed() -> ScimError {
    ScimError::new(StatusCode::METHOD_NOT_ALLOWED, "this address does not support the method")
}
