//! Tells of changes in directories (inotify(7)): one instance for all who want to know, of which a user has few, and one watch
//! for each directory, however many follow it.
//!
//! Changes are gathered: a process that writes line by line wakes nobody more often than ten times a second.

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

/// How long changes are gathered before they are told, after the first one was told at once.
pub(super) const GATHER: Duration = Duration::from_millis(100);
/// Bytes of events that are read at a time, and how many of these before they are told.
const BUFFER: usize = 16 << 10;
const MOST_READS: usize = 64;

/// Watches directories.
#[derive(Debug, Default)]
pub(super) struct Inotify {
    /// Made when the first directory is watched.
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

/// A directory that is watched.
#[derive(Debug)]
struct Watched {
    changes: watch::Sender<()>,
    /// How many watch it.
    by: usize,
}

/// A directory that somebody watches; dropping it ends that.
#[derive(Debug)]
pub(super) struct Watch {
    shared: Arc<Shared>,
    descriptor: i32,
    changes: watch::Receiver<()>,
}

impl Inotify {
    /// Hears of files that are made, moved into or written in `directory` from now on: watch, read, wait, read again. To be
    /// called within a runtime.
    ///
    /// # Errors
    /// `NotFound` where there is no such directory; `StorageFull` where the system watches as much as it lets this user
    /// watch; and others.
    pub(super) fn watch(&self, directory: &Path) -> io::Result<Watch> {
        let shared = self.shared()?;
        let flags = WatchFlags::CREATE
            | WatchFlags::MODIFY
            | WatchFlags::MOVED_TO
            | WatchFlags::DELETE_SELF
            | WatchFlags::MOVE_SELF
            | WatchFlags::ONLYDIR;
        // Held while the system is asked: the last one to leave must not end the watch that this one joins.
        let mut watched = shared.watched();
        // For a directory that is watched already it is the same descriptor.
        let descriptor = inotify::add_watch(&shared.instance, directory, flags)?;
        let entry =
            watched.entry(descriptor).or_insert_with(|| Watched { changes: watch::Sender::new(()), by: 0 });
        entry.by += 1;
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
        #[expect(
            deprecated,
            reason = "what is to replace it is unsafe; an OwnedFd keeps the promise that it asks for"
        )]
        let instance = AsyncFd::with_interest(instance, Interest::READABLE)?;
        let shared = Arc::new(Shared { instance, watched: Mutex::default() });
        let reader = tokio::spawn(read(Arc::clone(&shared))).abort_handle();
        *running = Some(Running { shared: Arc::clone(&shared), reader });
        Ok(shared)
    }

    /// How many directories are watched.
    #[cfg(test)]
    pub(super) fn watches(&self) -> usize {
        self.shared().unwrap().watched().len()
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.reader.abort();
    }
}

impl Watch {
    /// Waits for a change since the last call, or since the watch was made. `false` where the directory is gone: nothing more
    /// is told of it.
    pub(super) async fn changed(&mut self) -> bool {
        self.changes.changed().await.is_ok()
    }
}

impl Drop for Watch {
    fn drop(&mut self) {
        let mut watched = self.shared.watched();
        let Some(entry) = watched.get_mut(&self.descriptor) else { return };
        entry.by -= 1;
        if entry.by == 0 {
            watched.remove(&self.descriptor);
            // It fails where the directory is gone, and the watch with it.
            let _ = inotify::remove_watch(&self.shared.instance, self.descriptor);
        }
    }
}

impl Shared {
    fn watched(&self) -> MutexGuard<'_, HashMap<i32, Watched>> {
        self.watched.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Reads what has happened, and tells of it.
    fn read_and_tell(&self) -> io::Result<()> {
        let mut changed = HashSet::new();
        let mut gone = HashSet::new();
        let mut all = false;
        let mut buffer = [MaybeUninit::uninit(); BUFFER];
        let mut reads = 0;
        let mut events = inotify::Reader::new(&self.instance, &mut buffer);
        let outcome = loop {
            if events.is_buffer_empty() {
                reads += 1;
                if reads > MOST_READS {
                    break Ok(());
                }
            }
            match events.next() {
                // More has happened than the system keeps.
                Ok(event) if event.events().contains(ReadFlags::QUEUE_OVERFLOW) => all = true,
                Ok(event) if event.events().contains(ReadFlags::IGNORED) => drop(gone.insert(event.wd())),
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
        // Those who wait hear that nothing more is told. A watch that was ended by us is no longer there.
        watched.retain(|descriptor, _| !gone.contains(descriptor));
        outcome
    }
}

async fn read(shared: Arc<Shared>) {
    loop {
        let outcome = match shared.instance.readable().await {
            Ok(mut ready) => match shared.read_and_tell() {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    ready.clear_ready();
                    Ok(())
                }
                other => other,
            },
            Err(error) => Err(error),
        };
        if let Err(error) = outcome {
            tracing::error!(%error, "changes in directories cannot be read: logs are followed slowly");
            sleep(super::tail::SLOW_LOOK).await;
        }
        sleep(GATHER).await;
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use tokio::time::timeout;

    use super::*;

    const END: Duration = Duration::from_secs(60);

    #[tokio::test]
    async fn a_directory_has_one_watch_however_many_follow_it() {
        let home = tempfile::tempdir().unwrap();
        let (a, b) = (home.path().join("a"), home.path().join("b"));
        fs::create_dir_all(&a).unwrap();
        fs::create_dir_all(&b).unwrap();
        let inotify = Inotify::default();
        let mut of_a: Vec<_> = (0..200).map(|_| inotify.watch(&a).unwrap()).collect();
        let mut of_b = inotify.watch(&b).unwrap();
        assert_eq!(inotify.watches(), 2);
        fs::write(a.join("log"), "x").unwrap();
        for watch in &mut of_a {
            assert!(timeout(END, watch.changed()).await.expect("it is told"));
        }
        drop(of_a.split_off(1));
        assert_eq!(inotify.watches(), 2);
        fs::write(b.join("log"), "x").unwrap();
        assert!(timeout(END, of_b.changed()).await.expect("it is told"));
        drop(of_a);
        assert_eq!(inotify.watches(), 1);
        // What is watched again after nobody did is told again.
        let mut again = inotify.watch(&a).unwrap();
        fs::rename(b.join("log"), a.join("log")).unwrap();
        assert!(timeout(END, again.changed()).await.expect("it is told"));
    }

    #[tokio::test]
    async fn a_directory_that_goes_is_told_and_can_come_back() {
        let home = tempfile::tempdir().unwrap();
        let directory = home.path().join("a");
        let inotify = Inotify::default();
        assert_eq!(inotify.watch(&directory).unwrap_err().kind(), io::ErrorKind::NotFound);
        fs::create_dir(&directory).unwrap();
        let mut watch = inotify.watch(&directory).unwrap();
        fs::remove_dir(&directory).unwrap();
        fs::create_dir(&directory).unwrap();
        let mut next = inotify.watch(&directory).unwrap();
        while timeout(END, watch.changed()).await.expect("it is told") {}
        assert_eq!(inotify.watches(), 1, "that of the new directory");
        drop(watch);
        fs::write(directory.join("log"), "x").unwrap();
        assert!(timeout(END, next.changed()).await.expect("it is told"));
        drop(next);
        assert_eq!(inotify.watches(), 0);
    }
}
