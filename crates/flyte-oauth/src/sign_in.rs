//! Sign-in in a browser: the home page, the sign-in page, outside providers, and the certificate to trust.

mod account_link;
mod authority;
mod change_password;
mod home;
mod login;
pub(crate) mod outside;
#[cfg(test)]
mod tests;

use std::sync::Arc;

use axum::{
    Router,
    middleware::map_response,
    routing::{get, post},
};
use flyte_pages::{security_headers, serve_asset, signed_out_page};

pub use self::home::OverviewSource;
use crate::AuthorizationServer;

/// The pages that users open themselves: `/`, `/login` and below, `/signed-out`, `/ca.pem` and `/assets/`.
pub(crate) fn router() -> Router<Arc<AuthorizationServer>> {
    Router::new()
        .route("/", get(home::show))
        .route("/login", get(login::show).post(login::submit).layer(login::body_limit()))
        .route("/login/with/{name}", get(outside::start))
        .route("/login/with/{name}/callback", get(outside::callback::get))
        .route(
            "/reset",
            get(account_link::show_reset).post(account_link::submit_reset).layer(login::body_limit()),
        )
        .route(
            "/invitation",
            get(account_link::show_invitation)
                .post(account_link::submit_invitation)
                .layer(login::body_limit()),
        )
        .route(
            change_password::PATH,
            get(change_password::show).post(change_password::submit).layer(login::body_limit()),
        )
        .route("/login/with/{name}/backchannel-logout", post(outside::backchannel::post))
        .route("/login/with/{name}/signed-out", get(outside::leave::left))
        .route("/login/connect", get(outside::connect::show).post(outside::connect::submit))
        .route("/signed-out", get(async || signed_out_page()))
        .route(authority::PATH, get(authority::serve))
        .route("/assets/{name}", get(serve_asset))
        .layer(map_response(security_headers))
}
