//! Locks that processes share: one at a time renews a login, one at a time signs in.
//!
//! A lock belongs to its process: it is gone with it, also after `kill -9`. Where the file system has locks of its own (`flock`)
//! the operating system sees to that; where it has none (Lustre, some NFS), [`created`](super::created) does. Where there is no
//! directory for locks at all, there is none, and work goes on: what is only a lock for people must not end a machine's command.

use std::{
    fs::{self, File, OpenOptions, TryLockError},
    io,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use tokio::time::{Instant, sleep};

use super::{
    created::Created,
    holder::{Doing, Holder, Record, Verdict},
};
use crate::AuthError;

/// How long to wait before saying that one waits.
pub(super) const QUIET: Duration = Duration::from_secs(1);
/// The first pause between two tries; each further one is longer, up to [`MAX_PAUSE`].
const FIRST_PAUSE: Duration = Duration::from_millis(10);
/// The longest pause between two tries.
const MAX_PAUSE: Duration = Duration::from_millis(100);
/// How long a suspended process is waited for: it may be resumed, but not by itself.
const SUSPENDED: Duration = Duration::from_secs(3);

/// A lock, held until dropped.
#[derive(Debug)]
pub(super) enum Lock {
    /// The operating system's. The file stays: removing it would let two processes lock two files of one name.
    System(File),
    /// A file that exists as long as the lock is held, on file systems without locks.
    Created {
        /// Removed when it is dropped.
        _file: Created,
    },
    /// None: there is no directory where one could be.
    Missing,
}

impl Drop for Lock {
    fn drop(&mut self) {
        if let Self::System(file) = self {
            // A child that was forked meanwhile has the file open too, and must not keep the lock.
            let _ = file.unlock();
        }
    }
}

/// Why a lock was not had in time.
#[derive(Debug)]
pub(super) enum Failed {
    /// Somebody has it, perhaps this process.
    Held(Option<Holder>),
    /// It cannot be asked for.
    Error(AuthError),
}

impl Lock {
    /// Takes the lock at `path` if nobody has it. Without a path, or a directory that can be written to, there is none to take.
    pub(super) fn try_take(path: Option<&Path>) -> Result<Option<Self>, AuthError> {
        let Some(path) = path else { return Ok(Some(Self::Missing)) };
        let file = match open(path) {
            Ok(file) => file,
            Err(error) if has_no_place(&error) => {
                tracing::debug!(%error, path = %path.display(), "there is no place for a lock, so it goes on without one");
                return Ok(Some(Self::Missing));
            }
            Err(source) => return Err(state("open", path, source)),
        };
        match file.try_lock() {
            Ok(()) => Ok(Some(Self::System(file))),
            Err(TryLockError::WouldBlock) => Ok(None),
            Err(TryLockError::Error(error)) if has_no_locks(&error) => match Created::try_take(path) {
                Err(error) if has_no_place(&error) => Ok(Some(Self::Missing)),
                Err(source) => Err(state("lock", path, source)),
                Ok(lock) => Ok(lock.map(|file| Self::Created { _file: file })),
            },
            Err(TryLockError::Error(source)) => Err(state("lock", path, source)),
        }
    }

    /// [`Self::take_silently`], which is noted.
    pub(super) async fn take(
        path: Option<&Path>,
        doing: Doing,
        patience: Duration,
        waiting: impl Fn(Option<&Holder>) + Send,
    ) -> Result<Self, Failed> {
        let lock = Self::take_silently(path, patience, waiting).await?;
        lock.note(path, doing);
        Ok(lock)
    }

    /// Takes the lock. Waits for whoever has it, `patience` at most and less for one that is suspended, and calls `waiting` once
    /// after [`QUIET`]. What is noted about the holder before stays.
    pub(super) async fn take_silently(
        path: Option<&Path>,
        patience: Duration,
        waiting: impl Fn(Option<&Holder>) + Send,
    ) -> Result<Self, Failed> {
        let started = Instant::now();
        let (mut pause, mut said) = (FIRST_PAUSE, false);
        loop {
            if let Some(lock) = Self::try_take(path).map_err(Failed::Error)? {
                return Ok(lock);
            }
            let waited = started.elapsed();
            if waited >= QUIET {
                let holder = path.and_then(Record::holder);
                let suspended = holder.as_ref().is_some_and(Holder::is_suspended);
                if waited >= patience || (suspended && waited >= SUSPENDED) {
                    return Err(Failed::Held(holder));
                }
                if !said {
                    waiting(holder.as_ref());
                    said = true;
                }
            }
            sleep(pause.min(patience.saturating_sub(waited).max(FIRST_PAUSE))).await;
            pause = (pause * 2).min(MAX_PAUSE);
        }
    }

    /// Notes who has the lock, for those who wait. A note that cannot be written costs them the name, nothing more.
    pub(super) fn note(&self, path: Option<&Path>, doing: Doing) {
        if let (Some(path), false) = (path, matches!(self, Self::Missing)) {
            Record::begin(path, doing);
        }
    }

    /// Notes how a sign-in ended, for those who wait.
    pub(super) fn note_end(&self, path: Option<&Path>, verdict: Verdict) {
        if let (Some(path), false) = (path, matches!(self, Self::Missing)) {
            Record::end(path, verdict);
        }
    }
}

fn open(path: &Path) -> io::Result<File> {
    if let Some(directory) = path.parent() {
        private_directory(directory)?;
    }
    let mut options = OpenOptions::new();
    options.read(true).write(true).create(true).truncate(false);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options.open(path)
}

/// Whether an error says that nothing can be written there. Too many open files, for example, does not.
pub(super) fn has_no_place(error: &io::Error) -> bool {
    use io::ErrorKind as Kind;
    matches!(
        error.kind(),
        Kind::PermissionDenied
            | Kind::ReadOnlyFilesystem
            | Kind::NotADirectory
            | Kind::NotFound
            | Kind::AlreadyExists
            | Kind::StorageFull
            | Kind::QuotaExceeded
            | Kind::FileTooLarge
            | Kind::IsADirectory
            | Kind::InvalidFilename
    )
}

/// Whether an error says that the file system has no locks: `ENOSYS`, `EOPNOTSUPP` (Lustre without `-o flock`) or `ENOLCK` (NFS
/// without a lock service).
fn has_no_locks(error: &io::Error) -> bool {
    #[cfg(unix)]
    if error.raw_os_error() == Some(rustix::io::Errno::NOLCK.raw_os_error()) {
        return true;
    }
    error.kind() == io::ErrorKind::Unsupported
}

fn private_directory(path: &Path) -> io::Result<()> {
    let mut builder = fs::DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.create(path)
}

/// Creates a directory that only its owner can look into.
pub(crate) fn create_private_directory(path: &Path) -> Result<(), AuthError> {
    private_directory(path).map_err(|source| state("create", path, source))
}

fn state(action: &'static str, path: &Path, source: io::Error) -> AuthError {
    AuthError::State { action, path: PathBuf::from(path), source: Arc::new(source) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lock_is_one_process_at_a_time_and_gone_when_dropped() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("locks/a.lock");
        let lock = Lock::try_take(Some(&path)).unwrap().unwrap();
        assert!(matches!(lock, Lock::System(_)));
        assert!(Lock::try_take(Some(&path)).unwrap().is_none());
        drop(lock);
        assert!(Lock::try_take(Some(&path)).unwrap().is_some());
    }

    #[test]
    fn without_a_place_for_it_there_is_no_lock_and_no_error() {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("file");
        fs::write(&file, "").unwrap();
        for path in [None, Some(file.join("locks/a.lock"))] {
            assert!(matches!(Lock::try_take(path.as_deref()), Ok(Some(Lock::Missing))), "{path:?}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_wait_has_an_end_and_names_the_process() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("a.lock");
        let never = |_: Option<&Holder>| {};
        let _lock = Lock::take(Some(&path), Doing::SigningIn, Duration::ZERO, never).await.unwrap();
        let said = std::sync::atomic::AtomicBool::new(false);
        let patience = QUIET * 2;
        let held = Lock::take(Some(&path), Doing::SigningIn, patience, |_| {
            said.store(true, std::sync::atomic::Ordering::Relaxed);
        })
        .await;
        let Err(Failed::Held(Some(holder))) = held else { panic!("{held:?}") };
        assert_eq!((holder.pid, holder.doing), (std::process::id(), Doing::SigningIn));
        assert!(said.into_inner());
    }

    #[test]
    #[cfg(unix)]
    fn a_file_system_without_locks_is_told_from_one_in_trouble() {
        use rustix::io::Errno;
        for errno in [Errno::NOLCK, Errno::NOSYS, Errno::OPNOTSUPP] {
            assert!(has_no_locks(&io::Error::from_raw_os_error(errno.raw_os_error())), "{errno}");
        }
        for errno in [Errno::IO, Errno::INTR, Errno::BADF] {
            assert!(!has_no_locks(&io::Error::from_raw_os_error(errno.raw_os_error())), "{errno}");
        }
    }
}
