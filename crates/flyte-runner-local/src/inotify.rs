//! Watches directories for changes (inotify(7)). A user can have only few inotify instances, so all followers share one. A
//! directory has one watch, even if it has many followers.
//!
//! Changes are gathered. A process that writes line by line wakes its followers at most ten times a second.

use std::{
    collections::{HashMap, HashSet},
    io,
    mem::MaybeUninit,
    os::fd::OwnedFd,
    path::Path,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use rustix::{
    fs::inotify::{self, CreateFlags, ReadFlags, WatchFlags},
    io::Errno,
};
use tokio::{
    io::{Interest, unix::AsyncFd},
    sync::watch,
    task::AbortHandle,
    time::sleep,
};

/// The minimum time between two notifications of changes.
pub(super) const GATHER_INTERVAL: Duration = Duration::from_millis(100);
/// The size of the buffer for one read of events, in bytes.
const BUFFER_SIZE: usize = 16 << 10;
/// The maximum number of reads before a notification.
const MAX_READS: usize = 64;

/// Watches directories.
#[derive(Debug, Default)]
pub(super) struct Inotify {
    /// Created when the first directory is watched.
    running: Mutex<Option<Running>>,
}

#[derive(Debug)]
struct Running {
    shared: Arc<Shared>,
    reader: AbortHandle,
}

#[derive(Debug)]
struct Shared {
    instance: AsyncFd<OwnedFd>,
    watched: Mutex<HashMap<i32, Watched>>,
}

/// A watched directory.
#[derive(Debug)]
struct Watched {
    changes: watch::Sender<()>,
    /// The number of watches that share the descriptor.
    watchers: usize,
}

/// A follower's watch of a directory. Dropping it ends the watch.
#[derive(Debug)]
pub(super) struct Watch {
    shared: Arc<Shared>,
    descriptor: i32,
    changes: watch::Receiver<()>,
}

impl Inotify {
    /// Watches `directory` for files that are created, moved into it or written from now on. A caller that reads the files
    /// afterwards misses no change. Must be called within a Tokio runtime.
    ///
    /// # Errors
    /// `NotFound` if the directory does not exist. `StorageFull` if this user has the maximum number of watches. Other errors of
    /// the system.
    pub(super) fn watch(&self, directory: &Path) -> io::Result<Watch> {
        let shared = self.shared()?;
        let flags = WatchFlags::CREATE
            | WatchFlags::MODIFY
            | WatchFlags::MOVED_TO
            | WatchFlags::DELETE_SELF
            | WatchFlags::MOVE_SELF
            | WatchFlags::ONLYDIR;
        // The guard is held during the system call, so that a drop of the last other watch does not remove this one.
        let mut watched = shared.watched();
        // The system returns the same descriptor for a directory that is already watched.
        let descriptor = inotify::add_watch(&shared.instance, directory, flags)?;
        let entry = watched
            .entry(descriptor)
            .or_insert_with(|| Watched { changes: watch::Sender::new(()), watchers: 0 });
        entry.watchers += 1;
        let changes = entry.changes.subscribe();
        drop(watched);
        Ok(Watch { shared, descriptor, changes })
    }

    fn shared(&self) -> io::Result<Arc<Shared>> {
        let mut running = self.running.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(running) = &*running {
            return Ok(Arc::clone(&running.shared));
        }
        let instance = inotify::init(CreateFlags::CLOEXEC | CreateFlags::NONBLOCK)?;
        #[expect(deprecated, reason = "the replacement is unsafe; an OwnedFd meets its requirement")]
        let instance = AsyncFd::with_interest(instance, Interest::READABLE)?;
        let shared = Arc::new(Shared { instance, watched: Mutex::default() });
        let reader = tokio::spawn(read(Arc::clone(&shared))).abort_handle();
        *running = Some(Running { shared: Arc::clone(&shared), reader });
        Ok(shared)
    }

    /// The number of watched directories.
    #[cfg(test)]
    pub(super) fn watch_count(&self) -> usize {
        self.shared().unwrap().watched().len()
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.reader.abort();
    }
}

impl Watch {
    /// Waits for a change since the last call, or since the watch was created. Returns `false` if the directory was removed:
    /// no further changes follow.
    pub(super) async fn changed(&mut self) -> bool {
        self.changes.changed().await.is_ok()
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        let mut watched = self.shared.watched();
        let Some(entry) = watched.get_mut(&self.descriptor) else { return };
        entry.watchers -= 1;
        if entry.watchers == 0 {
            watched.remove(&self.descriptor);
            // This fails if the directory was removed, because that also removes its watch.
            let _ = inotify::remove_watch(&self.shared.instance, self.descriptor);
        }
    }
}

impl Shared {
    fn watched(&self) -> MutexGuard<'_, HashMap<i32, Watched>> {
        self.watched.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Reads the events and notifies the followers.
    fn read_and_notify(&self) -> io::Result<()> {
        let mut changed = HashSet::new();
        let mut removed = HashSet::new();
        let mut all = false;
        let mut buffer = [MaybeUninit::uninit(); BUFFER_SIZE];
        let mut reads = 0;
        let mut events = inotify::Reader::new(&self.instance, &mut buffer);
        let outcome = loop {
            if events.is_buffer_empty() {
                reads += 1;
                if reads > MAX_READS {
                    break Ok(());
                }
            }
            match events.next() {
                // The system has dropped events.
                Ok(event) if event.events().contains(ReadFlags::QUEUE_OVERFLOW) => all = true,
                Ok(event) if event.events().contains(ReadFlags::IGNORED) => drop(removed.insert(event.wd())),
                Ok(event) => drop(changed.insert(event.wd())),
                Err(Errno::INTR) => {}
                Err(Errno::WOULDBLOCK) => break Err(io::ErrorKind::WouldBlock.into()),
                Err(error) => break Err(error.into()),
            }
        };
        let mut watched = self.watched();
        for (descriptor, entry) in &*watched {
            if all || changed.contains(descriptor) {
                entry.changes.send_replace(());
            }
        }
        // This ends the waits of the followers. Watches that this program removed are not in the map any more.
        watched.retain(|descriptor, _| !removed.contains(descriptor));
        outcome
    }
}

async fn read(shared: Arc<Shared>) {
    loop {
        let outcome = match shared.instance.readable().await {
            Ok(mut ready) => match shared.read_and_notify() {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    ready.clear_ready();
                    Ok(())
                }
                other => other,
            },
            Err(error) => Err(error),
        };
        if let Err(error) = outcome {
            tracing::error!(%error, "cannot read changes of directories, so logs are followed slowly");
            sleep(super::tail::UNWATCHED_POLL_INTERVAL).await;
        }
        sleep(GATHER_INTERVAL).await;
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use tokio::time::timeout;

    use super::*;

    const TIMEOUT: Duration = Duration::from_secs(60);

    #[tokio::test]
    async fn followers_of_a_directory_share_one_watch() {
        let home = tempfile::tempdir().unwrap();
        let (a, b) = (home.path().join("a"), home.path().join("b"));
        fs::create_dir_all(&a).unwrap();
        fs::create_dir_all(&b).unwrap();
        let inotify = Inotify::default();
        let mut of_a: Vec<_> = (0..200).map(|_| inotify.watch(&a).unwrap()).collect();
        let mut of_b = inotify.watch(&b).unwrap();
        assert_eq!(inotify.watch_count(), 2);
        fs::write(a.join("log"), "x").unwrap();
        for watch in &mut of_a {
            assert!(timeout(TIMEOUT, watch.changed()).await.expect("a notification"));
        }
        drop(of_a.split_off(1));
        assert_eq!(inotify.watch_count(), 2);
        fs::write(b.join("log"), "x").unwrap();
        assert!(timeout(TIMEOUT, of_b.changed()).await.expect("a notification"));
        drop(of_a);
        assert_eq!(inotify.watch_count(), 1);
        // A directory can be watched again after its last watch ended.
        let mut again = inotify.watch(&a).unwrap();
        fs::rename(b.join("log"), a.join("log")).unwrap();
        assert!(timeout(TIMEOUT, again.changed()).await.expect("a notification"));
    }

    #[tokio::test]
    async fn a_removed_directory_ends_its_watch_and_can_return() {
        let home = tempfile::tempdir().unwrap();
        let directory = home.path().join("a");
        let inotify = Inotify::default();
        assert_eq!(inotify.watch(&directory).unwrap_err().kind(), io::ErrorKind::NotFound);
        fs::create_dir(&directory).unwrap();
        let mut watch = inotify.watch(&directory).unwrap();
        fs::remove_dir(&directory).unwrap();
        fs::create_dir(&directory).unwrap();
        let mut next = inotify.watch(&directory).unwrap();
        while timeout(TIMEOUT, watch.changed()).await.expect("a notification") {}
        assert_eq!(inotify.watch_count(), 1, "the watch of the new directory");
        drop(watch);
        fs::write(directory.join("log"), "x").unwrap();
        assert!(timeout(TIMEOUT, next.changed()).await.expect("a notification"));
        drop(next);
        assert_eq!(inotify.watch_count(), 0);
    }
}
