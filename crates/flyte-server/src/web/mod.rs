//! The pages that people see: rendered here, complete without JavaScript, and with nothing from elsewhere.
//!
//! Every form carries a [`csrf`] token in the field [`csrf::FIELD`]. Forms that other endpoints answer post to
//! - `/oauth2/consent`: `request` (the query of the authorization request) and `decision` (`allow` or `deny`);
//! - `/oauth2/account`: `request` (the same) and `decision` (`continue` or `another-account`);
//! - `/oauth2/logout`: `request` (the query of the logout request, empty from the home page) and `decision`
//!   (`sign-out`);
//! - `/device`: `user_code` and `decision` (`approve` or `deny`).

mod account;
mod assets;
mod authority;
mod consent;
pub mod csrf;
mod device;
mod error;
mod form_action;
mod home;
mod login;
mod logout;
mod page;
mod return_to;
#[cfg(test)]
mod tests;

use std::sync::Arc;

use axum::{Router, middleware::map_response, routing::get};

pub use account::{AccountView, account_page};
pub use consent::{ConsentView, consent_page};
pub use device::{CodeRefusal, DeviceView, confirm_device_page, device_decided_page, enter_code_page};
pub use error::error_page;
pub use logout::{LogoutView, confirm_logout_page, signed_out_page};
pub use page::security_headers;
pub use return_to::ReturnTo;

use crate::app::App;

/// The pages that this module answers for: `/`, `/login`, `/signed-out`, `/ca.pem` and `/assets/`.
pub fn router() -> Router<Arc<App>> {
    Router::new()
        .route("/", get(home::show))
        .route("/login", get(login::show).post(login::submit).layer(login::body_limit()))
        .route("/signed-out", get(async || signed_out_page()))
        .route(authority::PATH, get(authority::serve))
        .route("/assets/{name}", get(assets::serve))
        .layer(map_response(security_headers))
}
