//! A lock for file systems that have none: a file that exists as long as the lock is held.
//!
//! It names its process. One that has died, by `kill -9` too, leaves the file behind; it is taken over where the process is known
//! to be gone (on this host) or has shown no life for a while (on another one: the holder touches the file now and then).

use std::{
    collections::HashMap,
    fs::{self, File, OpenOptions},
    io::{self, Write as _},
    path::{Path, PathBuf},
    sync::{LazyLock, Mutex, PoisonError, mpsc},
    time::{Duration, Instant, SystemTime},
};

use serde::{Deserialize, Serialize};

use super::holder::{Doing, Holder};

/// How often a holder shows that it lives.
const HEARTBEAT: Duration = Duration::from_secs(5);
/// How long a holder on another host may show no life. Counted by this machine's clock from the first look on.
const SILENCE: Duration = Duration::from_secs(30);

/// A lock, held until dropped.
#[derive(Debug)]
pub(super) struct Created {
    path: PathBuf,
    id: String,
    /// Ends the heartbeat when it is dropped.
    _alive: mpsc::Sender<()>,
}

/// What the file says.
#[derive(Clone, Debug, Serialize, Deserialize)]
struct Owner {
    id: String,
    holder: Holder,
}

/// What was seen of a holder on another host: the file's last sign of life, and since when it is that one.
static SEEN: LazyLock<Mutex<HashMap<PathBuf, (SystemTime, Instant)>>> = LazyLock::new(Mutex::default);

impl Created {
    /// Takes the lock that belongs to the lock file at `path` if nobody has it.
    pub(super) fn try_take(path: &Path) -> io::Result<Option<Self>> {
        let path = path.with_extension("held");
        if let Some(lock) = Self::create(&path)? {
            return Ok(Some(lock));
        }
        if !is_abandoned(&path, SILENCE) {
            return Ok(None);
        }
        let judged = owner(&path).map(|owner| owner.id);
        let aside = path.with_extension(format!("abandoned-{}", uuid::Uuid::new_v4()));
        match fs::rename(&path, &aside) {
            // Another process was faster.
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            outcome => outcome?,
        }
        // Between the look and the renaming, another process may have taken it over: then it gets its own back.
        let taken_over = owner(&aside).map(|owner| owner.id) != judged;
        if taken_over {
            let _ = fs::hard_link(&aside, &path);
        }
        let _ = fs::remove_file(&aside);
        if taken_over { Ok(None) } else { Self::create(&path) }
    }

    fn create(path: &Path) -> io::Result<Option<Self>> {
        let id = uuid::Uuid::new_v4().to_string();
        let owner = Owner { id: id.clone(), holder: Holder::this(Doing::Renewing) };
        // Linked into place whole: nobody reads half of it.
        let directory = path.parent().unwrap_or(Path::new("."));
        let mut file = tempfile::NamedTempFile::new_in(directory)?;
        file.write_all(&serde_json::to_vec(&owner)?)?;
        match file.persist_noclobber(path) {
            Ok(file) => {
                let (alive, ended) = mpsc::channel();
                beat(file, ended);
                Ok(Some(Self { path: path.to_owned(), id, _alive: alive }))
            }
            Err(error) if error.error.kind() == io::ErrorKind::AlreadyExists => Ok(None),
            Err(error) => Err(error.error),
        }
    }
}

impl Drop for Created {
    fn drop(&mut self) {
        // Not one that has taken it over.
        if owner(&self.path).is_some_and(|owner| owner.id == self.id) {
            let _ = fs::remove_file(&self.path);
        }
    }
}

/// Touches the file until the other end of `ended` is dropped. A thread of its own, which nothing waits for.
#[expect(
    clippy::disallowed_methods,
    reason = "it is the file's time, which the kernel compares with its own"
)]
fn beat(file: File, ended: mpsc::Receiver<()>) {
    std::thread::spawn(move || {
        while ended.recv_timeout(HEARTBEAT) == Err(mpsc::RecvTimeoutError::Timeout) {
            let _ = file.set_modified(SystemTime::now());
        }
    });
}

fn owner(path: &Path) -> Option<Owner> {
    serde_json::from_slice(&fs::read(path).ok()?).ok()
}

/// Whether the process that made the file is gone, or has shown no life for so long.
fn is_abandoned(path: &Path, silence: Duration) -> bool {
    let Ok(modified) = OpenOptions::new().read(true).open(path).and_then(|file| file.metadata()?.modified())
    else {
        return false;
    };
    if owner(path).is_some_and(|owner| owner.holder.is_gone()) {
        return true;
    }
    let mut seen = SEEN.lock().unwrap_or_else(PoisonError::into_inner);
    let (last, since) = seen.entry(path.to_owned()).or_insert((modified, Instant::now()));
    if *last != modified {
        (*last, *since) = (modified, Instant::now());
    }
    since.elapsed() >= silence
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_has_it_and_the_next_one_after_that() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("a.lock");
        let lock = Created::try_take(&path).unwrap().unwrap();
        assert!(Created::try_take(&path).unwrap().is_none());
        drop(lock);
        assert!(Created::try_take(&path).unwrap().is_some());
    }

    #[test]
    fn what_a_dead_process_left_behind_is_taken_over_by_one() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("a.lock");
        let mut child = std::process::Command::new("true").spawn().unwrap();
        child.wait().unwrap();
        let holder = Holder { pid: child.id(), ..Holder::this(Doing::Renewing) };
        let left = Owner { id: "dead".to_owned(), holder };
        fs::write(path.with_extension("held"), serde_json::to_vec(&left).unwrap()).unwrap();
        let taken: Vec<_> = std::thread::scope(|scope| {
            let threads: Vec<_> = (0..8).map(|_| scope.spawn(|| Created::try_take(&path).unwrap())).collect();
            threads.into_iter().filter_map(|thread| thread.join().unwrap()).collect()
        });
        assert_eq!(taken.len(), 1);
        drop(taken);
        assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 0, "nothing is left");
    }

    #[test]
    #[cfg(target_os = "linux")]
    fn a_dead_process_whose_id_another_one_has_by_now_is_not_waited_for() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("a.lock");
        let this = Holder::this(Doing::SigningIn);
        let before = Holder { started: this.started.map(|started| started - 1), ..this.clone() };
        for (holder, taken) in [(before, true), (this, false)] {
            let left = Owner { id: "left".to_owned(), holder };
            fs::write(path.with_extension("held"), serde_json::to_vec(&left).unwrap()).unwrap();
            assert_eq!(Created::try_take(&path).unwrap().is_some(), taken);
        }
    }

    #[test]
    #[expect(clippy::disallowed_methods, reason = "it is the file's time")]
    fn a_holder_on_another_host_is_waited_for_while_it_shows_life() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("a.held");
        let holder = Holder { host: "another".to_owned(), ..Holder::this(Doing::Renewing) };
        let elsewhere = Owner { id: "elsewhere".to_owned(), holder };
        fs::write(&path, serde_json::to_vec(&elsewhere).unwrap()).unwrap();
        assert!(!is_abandoned(&path, SILENCE), "whatever the clocks say");
        assert!(is_abandoned(&path, Duration::ZERO), "the same sign of life for so long");
        let later = SystemTime::now() + Duration::from_secs(5);
        File::options().write(true).open(&path).unwrap().set_modified(later).unwrap();
        assert!(!is_abandoned(&path, Duration::from_secs(1)), "another one");
    }
}
