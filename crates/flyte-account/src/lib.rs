//! The pages on which users manage their own account: `/account` and the pages below it that need services of this server.
//!
//! `/account` lists the sections. Each page acts as the user of the browser session. What has an RPC is done by that RPC
//! ([`flyte_rpc::Local`]), so the [door](flyte_access::door) decides about pages as it does about calls.
#![forbid(unsafe_code)]

mod activity;
mod agent;
mod api_keys;
mod applications;
mod connections;
mod index;
mod profile;
mod refusal;
mod shown_once;
mod sign_ins;
#[cfg(test)]
mod tests;
mod visit;

use std::sync::Arc;

use axum::{Router, extract::DefaultBodyLimit, routing::get};

pub use self::shown_once::ShownOnce;
use flyte_access::Access;
use flyte_audit::Audit;
use flyte_identity::session::Sessions;
use flyte_model::clock::Clock;
use flyte_rpc::Services;
use flyte_settings::Config;
use flyte_store::Store;

/// The longest form, in bytes. The forms have a few short fields.
const MAX_FORM_BYTES: usize = 16 * 1024;

/// What the pages need.
#[derive(Clone, Debug)]
pub struct Account {
    /// The sessions of browsers.
    pub sessions: Sessions,
    /// The rights of users, and what ends tokens.
    pub access: Arc<Access>,
    /// The services that the pages call.
    pub services: Services,
    /// The settings.
    pub config: Arc<Config>,
    /// The store.
    pub store: Arc<dyn Store>,
    /// The audit log.
    pub audit: Audit,
    /// The current time.
    pub clock: Clock,
    /// Secrets that wait for the page that shows them.
    pub shown_once: ShownOnce,
}

/// The routes of the pages.
pub fn router(account: Arc<Account>) -> Router {
    Router::new()
        .route("/account", get(index::show))
        .route("/account/profile", get(profile::show).post(profile::change))
        .route("/account/sessions", get(sign_ins::show).post(sign_ins::end))
        .route("/account/applications", get(applications::show).post(applications::withdraw))
        .route("/account/connections", get(connections::show).post(connections::remove))
        .route("/account/keys", get(api_keys::show).post(api_keys::change))
        .route("/account/keys/secret", get(api_keys::show_secret))
        .route("/account/activity", get(activity::show))
        .route("/account/activity.csv", get(activity::export))
        .layer(DefaultBodyLimit::max(MAX_FORM_BYTES))
        .with_state(account)
}
