//! The pages at the addresses that clients print: projects, runs, tasks, triggers and apps, read-only.
//!
//! Every page reads what it shows by RPCs of this server, as the user of the browser session ([`flyte_rpc::Local`]). So the
//! [door](flyte_access::door) decides about pages as it does about calls, and this crate knows no store. `flyte-pages` renders.
#![forbid(unsafe_code)]

mod address;
mod ansi;
mod app;
mod cut;
mod log;
mod overview;
mod phase;
mod place;
mod project;
mod refusal;
mod run;
mod task;
mod time;
mod trigger;
mod visit;
mod who;

use std::sync::Arc;

use axum::{Router, response::Redirect, routing::get};

pub use self::overview::overview;
use flyte_access::Access;
use flyte_identity::session::Sessions;
use flyte_model::clock::Clock;
use flyte_rpc::Services;

/// What the pages need.
#[derive(Clone, Debug)]
pub struct Console {
    /// The sessions of browsers.
    pub sessions: Sessions,
    /// The rights of users.
    pub access: Arc<Access>,
    /// The services that the pages call.
    pub services: Services,
    /// The current time.
    pub clock: Clock,
    /// Whether the services have runs and projects. Otherwise they are only those of access itself.
    pub has_control_plane: bool,
}

/// The routes of the pages.
pub fn router(console: Arc<Console>) -> Router {
    let home = get(async || Redirect::to("/"));
    Router::new()
        .route("/v2", home.clone())
        .route("/v2/", home)
        .route("/v2/domain/{domain}/project/{project}", get(project::show))
        .route("/v2/domain/{domain}/project/{project}/runs", get(project::runs))
        .route("/v2/domain/{domain}/project/{project}/tasks", get(project::tasks))
        .route("/v2/domain/{domain}/project/{project}/triggers", get(project::triggers))
        .route("/v2/domain/{domain}/project/{project}/apps", get(project::apps))
        .route("/v2/domain/{domain}/project/{project}/runs/{name}", get(run::show))
        .route("/v2/domain/{domain}/project/{project}/runs/{name}/events", get(run::events::follow))
        .route("/v2/domain/{domain}/project/{project}/runs/{name}/log", get(run::download))
        .route("/v2/domain/{domain}/project/{project}/runs/{name}/report", get(run::report))
        .route("/v2/domain/{domain}/project/{project}/tasks/{name}", get(task::show))
        .route("/v2/domain/{domain}/project/{project}/triggers/{task}/{name}", get(trigger::show))
        .route("/v2/domain/{domain}/project/{project}/apps/{name}", get(app::show))
        .route("/v2/domain/{domain}/project/{project}/apps/{name}/log", get(app::download))
        .with_state(console)
}
