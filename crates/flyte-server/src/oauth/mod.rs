//! The authorization server: OAuth 2 and OpenID Connect, a module for each endpoint.
//!
//! A sign-in walks `metadata` (the client finds the endpoints), `authorize` (and `consent`), `token`, then `refresh`
//! within `token` for as long as the client lives, and ends at `revoke` or `logout`. `docs/reference/oauth.md` says what
//! is refused and why, with the section of the RFC.

pub mod endpoints;
pub mod error;
pub mod metadata;
pub mod opaque_token;
pub mod parameters;
pub mod pkce;
pub mod redirect_uri;
pub mod scope;

use std::sync::Arc;

use axum::{Router, routing::get};
use http::{HeaderName, Method, header};
use tower_http::cors::{Any, CorsLayer};

use crate::app::App;

/// The routes of every endpoint.
pub fn router() -> Router<Arc<App>> {
    Router::new()
        .route(endpoints::AUTHORIZATION_SERVER_METADATA, get(metadata::get))
        .route(endpoints::OPENID_CONFIGURATION, get(metadata::get))
        .layer(cors())
}

/// Lets a client that runs in a browser call the endpoints that take no cookies. Any origin may: what is asked for there
/// is proved by what the client sends, never by what the browser adds, and credentials are not allowed.
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
        .max_age(std::time::Duration::from_secs(3600))
}
