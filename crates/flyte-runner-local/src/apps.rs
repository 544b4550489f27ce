//! Apps that are kept running on this machine.
//!
//! The database says which apps should run ([`flyte_store::AppStore`]). Each app has a `watchdog`. The watchdog assigns a
//! port of the loopback interface (`port`), starts the app under a supervisor ([`super::process`]), checks whether the
//! app answers, and restarts it after its end. It stops the app if the app should no longer run.

mod command;
mod directories;
mod log;
mod port;
mod watchdog;

use std::path::PathBuf;

use url::Host;

pub(super) use self::{log::log, watchdog::run};

use self::port::Ports;
use flyte_runs::Changes;
use flyte_settings::Config;
use flyte_store::{AppId, AppRecord};

/// The state that the watchdogs of all apps share.
#[derive(Debug, Default)]
pub(super) struct Apps {
    /// Changes of all apps.
    pub(super) changes: Changes,
    ports: Ports,
}

/// The URL on this machine of an app with this port. Its host differs from the server's host. Cookies do not depend on the
/// port, so the browser would otherwise send the user's session cookie to the app.
pub(super) fn url(config: &Config, port: u16) -> String {
    let host = match config.public_url.host() {
        Some(Host::Ipv4(address)) if address.is_loopback() => "localhost",
        _ => "127.0.0.1",
    };
    format!("http://{host}:{port}")
}

/// The directory of an app's process. It contains the log, the specification and the files of the process.
#[must_use]
pub fn directory(config: &Config, app: &AppId, process: u64) -> PathBuf {
    directories::of_process(&config.data_dir, app, process)
}

/// Removes the directory of a deleted app. An app that should run or has a process has a watchdog, which removes the
/// directory itself.
pub(super) fn remove(config: &Config, app: &AppRecord) {
    if app.wanted || app.process.is_some() {
        return;
    }
    if let Err(error) = directories::remove(&directories::of_app(&config.data_dir, &app.id)) {
        tracing::warn!(%error, app = %app.id.name, "cannot remove the logs of a deleted app");
    }
}
