//! The ports of the loopback interface that apps listen on.

use std::{
    collections::BTreeMap,
    io,
    net::{Ipv4Addr, TcpListener},
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use tokio::{net::TcpStream, time::timeout};

use flyte_store::AppId;

/// The longest time that an app may take to accept a connection.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(2);

/// The assigned ports and the app of each.
#[derive(Debug, Default)]
pub(super) struct Ports(Mutex<BTreeMap<u16, AppId>>);

impl Ports {
    /// Assigns a port to the app: the preferred port if it is free, otherwise another one.
    ///
    /// # Errors
    /// If the system has no free port.
    pub(super) fn assign(&self, app: &AppId, preferred: Option<u16>) -> io::Result<u16> {
        let mut assigned = self.lock();
        assigned.retain(|_, owner| owner != app);
        let is_free = |port: u16| TcpListener::bind((Ipv4Addr::LOCALHOST, port)).is_ok();
        let preferred = preferred.filter(|port| *port != 0 && !assigned.contains_key(port) && is_free(*port));
        let port = match preferred {
            Some(port) => port,
            None => loop {
                let port = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?.port();
                // The system never offers a port that has a listener. It may offer the port of an app that has not
                // started to listen yet.
                if !assigned.contains_key(&port) {
                    break port;
                }
            },
        };
        assigned.insert(port, app.clone());
        Ok(port)
    }

    /// Records the port of an app that runs already.
    pub(super) fn record(&self, app: &AppId, port: u16) {
        self.lock().insert(port, app.clone());
    }

    /// Releases the port of an app whose process has ended.
    pub(super) fn release(&self, app: &AppId) {
        self.lock().retain(|_, owner| owner != app);
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<u16, AppId>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Whether a process on this machine accepts connections on `port`.
pub(super) async fn answers(port: u16) -> bool {
    matches!(timeout(CONNECT_TIMEOUT, TcpStream::connect((Ipv4Addr::LOCALHOST, port))).await, Ok(Ok(_)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn app(name: &str) -> AppId {
        AppId { project: "p".to_owned(), domain: "d".to_owned(), name: name.to_owned() }
    }

    #[tokio::test]
    async fn no_two_apps_have_the_same_port() {
        let ports = Ports::default();
        let taken = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let taken_port = taken.local_addr().unwrap().port();
        assert!(answers(taken_port).await);
        let first = ports.assign(&app("a"), Some(taken_port)).unwrap();
        assert_ne!(first, taken_port, "another process listens on this port");
        assert!(!answers(first).await);
        let second = ports.assign(&app("b"), Some(first)).unwrap();
        assert_ne!(second, first);
        assert_eq!(ports.assign(&app("a"), Some(first)).unwrap(), first, "the app's own port is free for it");
        ports.release(&app("a"));
        assert_eq!(ports.assign(&app("b"), Some(first)).unwrap(), first);
        ports.record(&app("c"), second);
        assert_ne!(ports.assign(&app("d"), Some(second)).unwrap(), second);
        assert_ne!(ports.assign(&app("e"), None).unwrap(), 0);
    }
}
