//! Locks between processes: one process at a time renews a login, and one at a time signs in.
//!
//! A lock ends with its process, even after `kill -9`. If the file system has locks (`flock`), the operating system ensures that;
//! otherwise (Lustre, some NFS), [`lock_file`](super::lock_file) does. Without a writable directory there is no lock, and work
//! continues without it: a missing lock must not stop the commands of a machine.

use std::{
    fs::{self, File, OpenOptions, TryLockError},
    io,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use tokio::time::{Instant, sleep};

use super::{
    holder::{Activity, Holder, LockNote, SignInOutcome},
    lock_file::LockFile,
};
use crate::AuthError;

/// The waiting time after which the person is notified.
pub(super) const NOTICE_DELAY: Duration = Duration::from_secs(1);
/// The first pause between two tries. Each further pause is longer, up to [`MAX_PAUSE`].
const FIRST_PAUSE: Duration = Duration::from_millis(10);
/// The longest pause between two tries.
const MAX_PAUSE: Duration = Duration::from_millis(100);
/// The longest wait for a suspended process, which does not resume by itself.
const SUSPENDED_PATIENCE: Duration = Duration::from_secs(3);

/// A lock, held until dropped.
#[derive(Debug)]
pub(super) enum Lock {
    /// A lock of the operating system. Its file is never removed: otherwise two processes could lock two files of one name.
    System(File),
    /// A file that exists while the lock is held, on file systems without locks.
    Created {
        /// Dropping it removes the file.
        _file: LockFile,
    },
    /// No lock, because there is no directory for one.
    Missing,
}

impl Drop for Lock {
    fn drop(&mut self) {
        if let Self::System(file) = self {
            // A child that was forked meanwhile has the file open too. It must not keep the lock.
            let _ = file.unlock();
        }
    }
}

/// Why a lock was not acquired.
#[derive(Debug)]
pub(super) enum LockError {
    /// A process holds it, perhaps this one.
    Held(Option<Holder>),
    /// The lock cannot be used.
    Error(AuthError),
}

impl Lock {
    /// Takes the lock at `path` if it is free. Without a path or a writable directory, returns [`Lock::Missing`].
    pub(super) fn try_take(path: Option<&Path>) -> Result<Option<Self>, AuthError> {
        let Some(path) = path else { return Ok(Some(Self::Missing)) };
        let file = match open(path) {
            Ok(file) => file,
            Err(error) if is_unwritable(&error) => {
                tracing::debug!(%error, path = %path.display(), "cannot create a lock, so the work continues without one");
                return Ok(Some(Self::Missing));
            }
            Err(source) => return Err(state("open", path, source)),
        };
        match file.try_lock() {
            Ok(()) => Ok(Some(Self::System(file))),
            Err(TryLockError::WouldBlock) => Ok(None),
            Err(TryLockError::Error(error)) if has_no_locks(&error) => match LockFile::try_take(path) {
                Err(error) if is_unwritable(&error) => Ok(Some(Self::Missing)),
                Err(source) => Err(state("lock", path, source)),
                Ok(lock) => Ok(lock.map(|file| Self::Created { _file: file })),
            },
            Err(TryLockError::Error(source)) => Err(state("lock", path, source)),
        }
    }

    /// Takes the lock like [`Self::take_without_note`], and writes the note.
    pub(super) async fn take(
        path: Option<&Path>,
        activity: Activity,
        patience: Duration,
        waiting: impl Fn(Option<&Holder>) + Send,
    ) -> Result<Self, LockError> {
        let lock = Self::take_without_note(path, patience, waiting).await?;
        lock.note_activity(path, activity);
        Ok(lock)
    }

    /// Takes the lock. Waits for its holder up to `patience`, or shorter if the holder is suspended. Calls `waiting` once after
    /// [`NOTICE_DELAY`]. The note of the previous holder stays.
    pub(super) async fn take_without_note(
        path: Option<&Path>,
        patience: Duration,
        waiting: impl Fn(Option<&Holder>) + Send,
    ) -> Result<Self, LockError> {
        let started = Instant::now();
        let (mut pause, mut notified) = (FIRST_PAUSE, false);
        loop {
            if let Some(lock) = Self::try_take(path).map_err(LockError::Error)? {
                return Ok(lock);
            }
            let waited = started.elapsed();
            if waited >= NOTICE_DELAY {
                let holder = path.and_then(LockNote::holder);
                let suspended = holder.as_ref().is_some_and(Holder::is_suspended);
                if waited >= patience || (suspended && waited >= SUSPENDED_PATIENCE) {
                    return Err(LockError::Held(holder));
                }
                if !notified {
                    waiting(holder.as_ref());
                    notified = true;
                }
            }
            sleep(pause.min(patience.saturating_sub(waited).max(FIRST_PAUSE))).await;
            pause = (pause * 2).min(MAX_PAUSE);
        }
    }

    /// Notes the holder of the lock for the processes that wait. Without a note, they do not know its name.
    pub(super) fn note_activity(&self, path: Option<&Path>, activity: Activity) {
        if let (Some(path), false) = (path, matches!(self, Self::Missing)) {
            LockNote::begin(path, activity);
        }
    }

    /// Notes how a sign-in ended for the processes that wait.
    pub(super) fn note_outcome(&self, path: Option<&Path>, outcome: SignInOutcome) {
        if let (Some(path), false) = (path, matches!(self, Self::Missing)) {
            LockNote::end(path, outcome);
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

/// Whether an error means that files cannot be created there. Too many open files, for example, does not.
fn is_unwritable(error: &io::Error) -> bool {
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

/// Whether an error means that the file system has no locks: `ENOSYS`, `EOPNOTSUPP` (Lustre without `-o flock`) or `ENOLCK` (NFS
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

/// Creates a directory that only its owner can read.
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
    fn a_lock_is_exclusive_until_it_is_dropped() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("locks/a.lock");
        let lock = Lock::try_take(Some(&path)).unwrap().unwrap();
        assert!(matches!(lock, Lock::System(_)));
        assert!(Lock::try_take(Some(&path)).unwrap().is_none());
        drop(lock);
        assert!(Lock::try_take(Some(&path)).unwrap().is_some());
    }

    #[test]
    fn without_a_writable_directory_there_is_no_lock_and_no_error() {
        let directory = tempfile::tempdir().unwrap();
        let file = directory.path().join("file");
        fs::write(&file, "").unwrap();
        for path in [None, Some(file.join("locks/a.lock"))] {
            assert!(matches!(Lock::try_take(path.as_deref()), Ok(Some(Lock::Missing))), "{path:?}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_wait_ends_and_names_the_process() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("a.lock");
        let never = |_: Option<&Holder>| {};
        let _lock = Lock::take(Some(&path), Activity::SigningIn, Duration::ZERO, never).await.unwrap();
        let notified = std::sync::atomic::AtomicBool::new(false);
        let patience = NOTICE_DELAY * 2;
        let held = Lock::take(Some(&path), Activity::SigningIn, patience, |_| {
            notified.store(true, std::sync::atomic::Ordering::Relaxed);
        })
        .await;
        let Err(LockError::Held(Some(holder))) = held else { panic!("{held:?}") };
        assert_eq!((holder.pid, holder.activity), (std::process::id(), Activity::SigningIn));
        assert!(notified.into_inner());
    }

    #[test]
    #[cfg(unix)]
    fn a_missing_lock_service_is_distinguished_from_other_errors() {
        use rustix::io::Errno;
        for errno in [Errno::NOLCK, Errno::NOSYS, Errno::OPNOTSUPP] {
            assert!(has_no_locks(&io::Error::from_raw_os_error(errno.raw_os_error())), "{errno}");
        }
        for errno in [Errno::IO, Errno::INTR, Errno::BADF] {
            assert!(!has_no_locks(&io::Error::from_raw_os_error(errno.raw_os_error())), "{errno}");
        }
    }
}
