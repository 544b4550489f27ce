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
        let path = path.with_extension("held");
        if let Some(lock) = Self::create(&path)? {
            return Ok(Some(lock));
        }
        if !is_abandoned(&path, MAX_SILENCE) {
            return Ok(None);
        }
        let abandoned = read_owner(&path).map(|owner| owner.id);
        let aside = path.with_extension(format!("abandoned-{}", uuid::Uuid::new_v4()));
        match fs::rename(&path, &aside) {
            // Another process was faster.
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            outcome => outcome?,
        }
        // If another process took the lock over between the check and the rename, give it back.
        let taken_over = read_owner(&aside).map(|owner| owner.id) != abandoned;
        if taken_over {
            let _ = fs::hard_link(&aside, &path);
        }
        let _ = fs::remove_file(&aside);
        if taken_over { Ok(None) } else { Self::create(&path) }
    }

    fn create(path: &Path) -> io::Result<Option<Self>> {
        let id = uuid::Uuid::new_v4().to_string();
        let owner = Owner { id: id.clone(), holder: Holder::this(Activity::Renewing) };
        // The file is linked into place when it is complete, so that no process reads a partial one.
        let directory = path.parent().unwrap_or(Path::new("."));
        let mut file = tempfile::NamedTempFile::new_in(directory)?;
        file.write_all(&serde_json::to_vec(&owner)?)?;
        match file.persist_noclobber(path) {
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

/// Whether the process that created the file is gone, or has not touched the file for `max_silence`.
fn is_abandoned(path: &Path, max_silence: Duration) -> bool {
    let Ok(modified) = OpenOptions::new().read(true).open(path).and_then(|file| file.metadata()?.modified())
    else {
        return false;
    };
    if read_owner(path).is_some_and(|owner| owner.holder.is_gone()) {
        return true;
    }
    let mut heartbeats = HEARTBEATS.lock().unwrap_or_else(PoisonError::into_inner);
    let (last, first_seen) = heartbeats.entry(path.to_owned()).or_insert((modified, Instant::now()));
    if *last != modified {
        (*last, *first_seen) = (modified, Instant::now());
    }
    first_seen.elapsed() >= max_silence
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
        let left = Owner { id: "dead".to_owned(), holder };
        fs::write(path.with_extension("held"), serde_json::to_vec(&left).unwrap()).unwrap();
        let taken: Vec<_> = std::thread::scope(|scope| {
            let threads: Vec<_> =
                (0..8).map(|_| scope.spawn(|| LockFile::try_take(&path).unwrap())).collect();
            threads.into_iter().filter_map(|thread| thread.join().unwrap()).collect()
        });
        assert_eq!(taken.len(), 1);
        drop(taken);
        assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 0, "nothing is left");
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
        assert!(!is_abandoned(&path, MAX_SILENCE), "the clocks of the two hosts do not matter");
        assert!(is_abandoned(&path, Duration::ZERO), "no new heartbeat in that time");
        let later = SystemTime::now() + Duration::from_secs(5);
        File::options().write(true).open(&path).unwrap().set_modified(later).unwrap();
        assert!(!is_abandoned(&path, Duration::from_secs(1)), "a new heartbeat");
    }
}
