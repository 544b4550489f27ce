//! Apps that are kept running on this machine.
//!
//! The database says which apps are wanted ([`flyte_store::AppStore`]). A `keeper` for each app sees to it: it gives
//! the app a port of the loopback interface (`port`), has its command started by a supervisor ([`super::process`]),
//! asks whether it answers, starts it again when it ends, and stops it when it is no longer wanted.

mod command;
mod keeper;
mod log;
mod place;
mod port;

use std::path::PathBuf;

use url::Host;

pub(super) use self::{keeper::run, log::log};

use self::port::Ports;
use flyte_runs::Changes;
use flyte_settings::Config;
use flyte_store::{AppId, AppRecord};

/// What the keepers of all apps share.
#[derive(Debug, Default)]
pub(super) struct Apps {
    /// Changes of any app.
    pub(super) changes: Changes,
    ports: Ports,
}

/// The URL on this machine of an app that was given this port. Its host is not that of the server itself: cookies do not
/// depend on ports, so the browser would send the app the session of its user.
pub(super) fn url(config: &Config, port: u16) -> String {
    let host = match config.public_url.host() {
        Some(Host::Ipv4(address)) if address.is_loopback() => "localhost",
        _ => "127.0.0.1",
    };
    format!("http://{host}:{port}")
}

/// The directory of an app's process: its log, its specification, its files.
#[must_use]
pub fn directory(config: &Config, app: &AppId, process: u64) -> PathBuf {
    place::of_process(&config.data_dir, app, process)
}

/// Removes the directory of a deleted app, unless its keeper does that: a keeper is there if the app was to run or has a process.
pub(super) fn remove(config: &Config, app: &AppRecord) {
    if app.wanted || app.process.is_some() {
        return;
    }
    if let Err(error) = place::remove(&place::of_app(&config.data_dir, &app.id)) {
        tracing::warn!(%error, app = %app.id.name, "the logs of a deleted app cannot be removed");
    }
}
