//! The ports that apps are given, of the loopback interface.

use std::{
    collections::BTreeMap,
    io,
    net::{Ipv4Addr, TcpListener},
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use tokio::{net::TcpStream, time::timeout};

use flyte_store::AppId;

/// How long an app may take to accept a connection.
const PATIENCE: Duration = Duration::from_secs(2);

/// Which port is whose.
#[derive(Debug, Default)]
pub(super) struct Ports(Mutex<BTreeMap<u16, AppId>>);

impl Ports {
    /// A port for the app: the one that it would like, or, where that is taken, another one.
    ///
    /// # Errors
    /// When there is none to be had.
    pub(super) fn give(&self, app: &AppId, liked: Option<u16>) -> io::Result<u16> {
        let mut given = self.lock();
        given.retain(|_, owner| owner != app);
        let is_free = |port: u16| TcpListener::bind((Ipv4Addr::LOCALHOST, port)).is_ok();
        let liked = liked.filter(|port| *port != 0 && !given.contains_key(port) && is_free(*port));
        let port = match liked {
            Some(port) => port,
            None => loop {
                let port = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?.port();
                // The system gives none that is listened on; one of an app that starts just now it may.
                if !given.contains_key(&port) {
                    break port;
                }
            },
        };
        given.insert(port, app.clone());
        Ok(port)
    }

    /// The app has this port already.
    pub(super) fn keep(&self, app: &AppId, port: u16) {
        self.lock().insert(port, app.clone());
    }

    /// The app has no process any more.
    pub(super) fn give_back(&self, app: &AppId) {
        self.lock().retain(|_, owner| owner != app);
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<u16, AppId>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Whether something accepts connections there.
pub(super) async fn answers(port: u16) -> bool {
    matches!(timeout(PATIENCE, TcpStream::connect((Ipv4Addr::LOCALHOST, port))).await, Ok(Ok(_)))
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
        let first = ports.give(&app("a"), Some(taken_port)).unwrap();
        assert_ne!(first, taken_port, "somebody listens there");
        assert!(!answers(first).await);
        let second = ports.give(&app("b"), Some(first)).unwrap();
        assert_ne!(second, first);
        assert_eq!(ports.give(&app("a"), Some(first)).unwrap(), first, "one's own is no obstacle");
        ports.give_back(&app("a"));
        assert_eq!(ports.give(&app("b"), Some(first)).unwrap(), first);
        ports.keep(&app("c"), second);
        assert_ne!(ports.give(&app("d"), Some(second)).unwrap(), second);
        assert_ne!(ports.give(&app("e"), None).unwrap(), 0);
    }
}
