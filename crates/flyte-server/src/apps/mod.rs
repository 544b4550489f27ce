//! Apps that are kept running on this machine.
//!
//! What somebody wants stands in the database ([`flyte_store::AppStore`]). A `keeper` for each app sees to it: it gives
//! the app a port of the loopback interface (`port`), has its command started by a supervisor ([`crate::runner::process`]),
//! asks whether it answers, starts it again when it ends, and stops it when it is not wanted any more.

mod command;
mod keeper;
mod place;
mod port;

use std::path::PathBuf;

use tokio::sync::watch;
use url::Host;

pub use self::keeper::run;

use self::port::Ports;
use flyte_settings::Config;
use flyte_store::AppId;

/// The apps of this server.
#[derive(Debug)]
pub struct Apps {
    changes: watch::Sender<u64>,
    ports: Ports,
}

impl Default for Apps {
    fn default() -> Self {
        Self { changes: watch::Sender::new(0), ports: Ports::default() }
    }
}

impl Apps {
    /// Something of an app has changed.
    pub fn tell(&self) {
        self.changes.send_modify(|changes| *changes = changes.wrapping_add(1));
    }

    /// Tells of each change from now on.
    #[must_use]
    pub fn changed(&self) -> watch::Receiver<u64> {
        self.changes.subscribe()
    }
}

/// Where an app that was given this port is reached, on this machine. By another name than the server itself: cookies do not
/// tell ports apart, and the browser would send the app the session of who looks at it.
#[must_use]
pub fn url(config: &Config, port: u16) -> String {
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

/// Removes what a deleted app that no keeper sees to has left behind.
///
/// # Errors
/// When its directory cannot be removed.
pub fn forget(config: &Config, app: &AppId) -> std::io::Result<()> {
    place::remove(&place::of_app(&config.data_dir, app))
}
