//! Signing in at a browser: the home page, the sign-in page, the certificate to trust.

mod authority;
mod home;
mod login;
#[cfg(test)]
mod tests;

use std::sync::Arc;

use axum::{Router, middleware::map_response, routing::get};
use flyte_pages::{asset, security_headers, signed_out_page};

use crate::AuthorizationServer;

/// The pages that people open themselves: `/`, `/login`, `/signed-out`, `/ca.pem` and `/assets/`.
pub(crate) fn router() -> Router<Arc<AuthorizationServer>> {
    Router::new()
        .route("/", get(home::show))
        .route("/login", get(login::show).post(login::submit).layer(login::body_limit()))
        .route("/signed-out", get(async || signed_out_page()))
        .route(authority::PATH, get(authority::serve))
        .route("/assets/{name}", get(asset))
        .layer(map_response(security_headers))
}
