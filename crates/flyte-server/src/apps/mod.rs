//! Apps that are kept running on this machine.
//!
//! What somebody wants stands in the database ([`crate::store::AppStore`]).

use tokio::sync::watch;
use url::Host;

use crate::config::Config;

/// The apps of this server.
#[derive(Debug)]
pub struct Apps {
    changes: watch::Sender<u64>,
}

impl Default for Apps {
    fn default() -> Self {
        Self { changes: watch::Sender::new(0) }
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
