//! The pages for administrators, below `/admin`.
//!
//! Every page reads what it shows by RPCs of this server, as the user of the browser session ([`flyte_rpc::Local`]), and every
//! form changes something by an RPC. So the [door](flyte_access::door) decides about pages as it does about calls, and this crate
//! knows no store. Links that a user may not follow are left out, but that protects nothing: the RPC is refused anyway.
//! `flyte-pages` renders.
#![forbid(unsafe_code)]

mod act;
mod address;
mod api_key;
mod area;
mod audit;
mod cell;
mod client;
mod form;
mod given;
mod grant;
mod group;
mod permission;
mod place;
mod policy;
mod provider;
mod refusal;
mod role;
mod setting;
mod signing_key;
#[cfg(test)]
mod tests;
mod trust;
mod user;
mod visit;

use std::sync::Arc;

use axum::{Router, extract::DefaultBodyLimit, routing::get};

use flyte_access::Access;
use flyte_identity::session::Sessions;
use flyte_model::clock::Clock;
use flyte_rpc::Services;

/// The longest form, in bytes.
const MAX_FORM_BYTES: usize = 64 * 1024;

/// What the pages need.
#[derive(Clone, Debug)]
pub struct AdminPages {
    /// The sessions of browsers.
    pub sessions: Sessions,
    /// The rights of users.
    pub access: Arc<Access>,
    /// The services that the pages call.
    pub services: Services,
    /// The current time.
    pub clock: Clock,
}

/// The routes of the pages.
pub fn router(pages: Arc<AdminPages>) -> Router {
    Router::new()
        .route("/admin", get(area::show))
        .route("/admin/users", get(user::list::show))
        .route("/admin/users/new", get(user::new::show).post(user::new::create))
        .route("/admin/users/{id}", get(user::show).post(user::act::change))
        .route("/admin/groups", get(group::list))
        .route("/admin/groups/new", get(group::new).post(group::create))
        .route("/admin/groups/{id}", get(group::show).post(group::change::act))
        .route("/admin/roles", get(role::list))
        .route("/admin/roles/new", get(role::new).post(role::create))
        .route("/admin/roles/{name}", get(role::show).post(role::change))
        .route("/admin/policies", get(policy::list))
        .route("/admin/policies/new", get(policy::new).post(policy::create))
        .route("/admin/policies/{name}", get(policy::show).post(policy::change::act))
        .route("/admin/api-keys", get(api_key::list))
        .route("/admin/api-keys/{id}", get(api_key::show).post(api_key::change))
        .route("/admin/applications", get(client::list))
        .route("/admin/applications/{id}", get(client::show).post(client::change))
        .route("/admin/trust", get(trust::list))
        .route("/admin/trust/new", get(trust::new).post(trust::create))
        .route("/admin/trust/{name}", get(trust::show).post(trust::change))
        .route("/admin/providers", get(provider::show))
        .route("/admin/signing-keys", get(signing_key::show).post(signing_key::change))
        .route("/admin/settings", get(setting::show))
        .route("/admin/audit", get(audit::list))
        .route("/admin/audit/events/{id}", get(audit::event::show))
        .route("/admin/audit.csv", get(audit::csv::download))
        .layer(DefaultBodyLimit::max(MAX_FORM_BYTES))
        .with_state(pages)
}
