//! A lock for file systems without locks: a file that exists while the lock is held.
//!
//! The file names the process that holds the lock. A killed process leaves the file behind. Another process takes it over if the
//! holder is gone (on this host), or has not touched the file for a while (on another host).

use std::{
    collections::HashMap,
    fs::{self, File, OpenOptions},
    io::{self, Write as _},
    path::{Path, PathBuf},
    sync::{LazyLock, Mutex, PoisonError, mpsc},
    time::{Duration, Instant, SystemTime},
};

use serde::{Deserialize, Serialize};
use tempfile::{NamedTempFile, PersistError};

use super::holder::{Activity, Holder};

/// The interval at which a holder touches the file.
const HEARTBEAT_INTERVAL: Duration = Duration::from_secs(5);
/// The time without a heartbeat after which a holder on another host counts as gone. Measured with this machine's clock, from the
/// first check on.
const MAX_SILENCE: Duration = Duration::from_secs(30);

/// A lock, held until dropped.
#[derive(Debug)]
pub(super) struct LockFile {
    path: PathBuf,
    id: String,
    /// Dropping it ends the heartbeat.
    _heartbeat: mpsc::Sender<()>,
}

/// The content of the file.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct Owner {
    id: String,
    holder: Holder,
}

/// The last heartbeat of each holder on another host, and the time at which this process first saw it.
static HEARTBEATS: LazyLock<Mutex<HashMap<PathBuf, (SystemTime, Instant)>>> = LazyLock::new(Mutex::default);

impl LockFile {
    /// Takes the lock next to `path` if it is free.
    pub(super) fn try_take(path: &Path) -> io::Result<Option<Self>> {
        Self::take(&path.with_extension("held"))
    }

    /// Takes the lock whose file is `path`.
    ///
    /// Only the process that holds a second lock, named after the abandoned one, may replace its file. The file is read again under
    /// that lock: an abandoned lock is taken over once, however many processes saw that it was abandoned, and `path` always exists
    /// meanwhile. The second lock can be abandoned too, and is taken over in the same way.
    fn take(path: &Path) -> io::Result<Option<Self>> {
        if let Some(lock) = Self::create(path, |file, path| file.persist_noclobber(path))? {
            return Ok(Some(lock));
        }
        let Some(abandoned) = abandoned_owner(path, MAX_SILENCE) else { return Ok(None) };
        let Some(_turn) = Self::take(&path.with_extension(format!("held-{abandoned}")))? else {
            return Ok(None);
        };
        if read_id(path) != Some(abandoned) {
            return Ok(None);
        }
        Self::create(path, |file, path| file.persist(path))
    }

    /// Writes the file and moves it to `path` when it is complete, so that no process reads a partial one.
    fn create(
        path: &Path,
        persist: impl FnOnce(NamedTempFile, &Path) -> Result<File, PersistError>,
    ) -> io::Result<Option<Self>> {
        let id = uuid::Uuid::new_v4().to_string();
        let owner = Owner { id: id.clone(), holder: Holder::this(Activity::Renewing) };
        let mut file = NamedTempFile::new_in(path.parent().unwrap_or(Path::new(".")))?;
        file.write_all(&serde_json::to_vec(&owner)?)?;
        match persist(file, path) {
            Ok(file) => {
                let (heartbeat, ended) = mpsc::channel();
                start_heartbeat(file, ended);
                Ok(Some(Self { path: path.to_owned(), id, _heartbeat: heartbeat }))
            }
            Err(error) if error.error.kind() == io::ErrorKind::AlreadyExists => Ok(None),
            Err(error) => Err(error.error),
        }
    }
}

impl Drop for LockFile {
    fn drop(&mut self) {
        // Another process may have taken the lock over.
        if read_owner(&self.path).is_some_and(|owner| owner.id == self.id) {
            let _ = fs::remove_file(&self.path);
        }
    }
}

/// Starts a thread that touches the file until the other end of `ended` is dropped.
#[expect(
    clippy::disallowed_methods,
    reason = "it is the file's time, which the kernel compares with its own"
)]
fn start_heartbeat(file: File, ended: mpsc::Receiver<()>) {
    std::thread::spawn(move || {
        while ended.recv_timeout(HEARTBEAT_INTERVAL) == Err(mpsc::RecvTimeoutError::Timeout) {
            let _ = file.set_modified(SystemTime::now());
        }
    });
}

fn read_owner(path: &Path) -> Option<Owner> {
    serde_json::from_slice(&fs::read(path).ok()?).ok()
}

/// The identifier of the lock in a file, in the form in which it can be a part of a file's name. `None` if there is no file.
fn read_id(path: &Path) -> Option<String> {
    let text = fs::read(path).ok()?;
    let owner = serde_json::from_slice::<Owner>(&text).ok();
    let is_plain =
        |id: &String| !id.is_empty() && id.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-');
    Some(owner.map(|owner| owner.id).filter(is_plain).unwrap_or_else(|| "unreadable".to_owned()))
}

/// The identifier of the lock in the file, if the process that created the file is gone or has not touched it for `max_silence`.
fn abandoned_owner(path: &Path, max_silence: Duration) -> Option<String> {
    // Read first: what is judged below may only be newer.
    let id = read_id(path)?;
    let modified =
        OpenOptions::new().read(true).open(path).and_then(|file| file.metadata()?.modified()).ok()?;
    if let Some(owner) = read_owner(path).filter(|owner| owner.holder.is_gone()) {
        return (owner.id == id || id == "unreadable").then_some(id);
    }
    let mut heartbeats = HEARTBEATS.lock().unwrap_or_else(PoisonError::into_inner);
    let (last, first_seen) = heartbeats.entry(path.to_owned()).or_insert((modified, Instant::now()));
    if *last != modified {
        (*last, *first_seen) = (modified, Instant::now());
    }
    (first_seen.elapsed() >= max_silence).then_some(id)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_dropped_lock_can_be_taken_again() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("a.lock");
        let lock = LockFile::try_take(&path).unwrap().unwrap();
        assert!(LockFile::try_take(&path).unwrap().is_none());
        drop(lock);
        assert!(LockFile::try_take(&path).unwrap().is_some());
    }

    #[test]
    fn one_process_takes_over_the_lock_of_a_dead_process() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("a.lock");
        let mut child = std::process::Command::new("true").spawn().unwrap();
        child.wait().unwrap();
        let holder = Holder { pid: child.id(), ..Holder::this(Activity::Renewing) };
        for round in 0..100 {
            let left = Owner { id: format!("dead{round}"), holder: holder.clone() };
            fs::write(path.with_extension("held"), serde_json::to_vec(&left).unwrap()).unwrap();
            let taken: Vec<_> = std::thread::scope(|scope| {
                let threads: Vec<_> =
                    (0..8).map(|_| scope.spawn(|| LockFile::try_take(&path).unwrap())).collect();
                threads.into_iter().filter_map(|thread| thread.join().unwrap()).collect()
            });
            assert_eq!(taken.len(), 1, "round {round}");
            drop(taken);
            assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 0, "nothing is left");
        }
    }

    #[test]
    #[cfg(target_os = "linux")]
    fn a_reused_process_id_does_not_keep_the_lock() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("a.lock");
        let this = Holder::this(Activity::SigningIn);
        let before = Holder { started: this.started.map(|started| started - 1), ..this.clone() };
        for (holder, taken) in [(before, true), (this, false)] {
            let left = Owner { id: "left".to_owned(), holder };
            fs::write(path.with_extension("held"), serde_json::to_vec(&left).unwrap()).unwrap();
            assert_eq!(LockFile::try_take(&path).unwrap().is_some(), taken);
        }
    }

    #[test]
    #[expect(clippy::disallowed_methods, reason = "it is the file's time")]
    fn a_holder_on_another_host_keeps_the_lock_while_its_heartbeat_lasts() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("a.held");
        let holder = Holder { host: "another".to_owned(), ..Holder::this(Activity::Renewing) };
        let elsewhere = Owner { id: "elsewhere".to_owned(), holder };
        fs::write(&path, serde_json::to_vec(&elsewhere).unwrap()).unwrap();
        assert!(abandoned_owner(&path, MAX_SILENCE).is_none(), "the clocks of the two hosts do not matter");
        assert!(abandoned_owner(&path, Duration::ZERO).is_some(), "no new heartbeat in that time");
        let later = SystemTime::now() + Duration::from_secs(5);
        File::options().write(true).open(&path).unwrap().set_modified(later).unwrap();
        assert!(abandoned_owner(&path, Duration::from_secs(1)).is_none(), "a new heartbeat");
    }
}
