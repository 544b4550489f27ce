//! One refresh or sign-in at a time, across processes.

use std::{
    fs::{self, File, OpenOptions, TryLockError},
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use crate::{AuthError, Interaction};

/// How long to wait before saying that one waits.
const QUIET: Duration = Duration::from_secs(1);

/// The lock of one login, held until dropped. The operating system frees it when the process dies, so that no `kill -9`
/// leaves it behind. The file itself stays: removing it would let two processes lock two files of one name.
#[derive(Debug)]
pub(super) struct Lock {
    _file: File,
}

impl Lock {
    /// Takes the lock if nobody has it.
    pub(super) fn try_take(path: &Path) -> Result<Option<Self>, AuthError> {
        let file = open(path)?;
        match file.try_lock() {
            Ok(()) => Ok(Some(Self { _file: file })),
            Err(TryLockError::WouldBlock) => Ok(None),
            Err(TryLockError::Error(source)) => Err(state("lock", path, source)),
        }
    }

    /// Takes the lock, waiting for whoever has it; says so after a second.
    pub(super) async fn take(path: &Path, interaction: &dyn Interaction) -> Result<Self, AuthError> {
        if let Some(lock) = Self::try_take(path)? {
            return Ok(lock);
        }
        // A thread of its own, which neither the end of the process nor the end of the runtime waits for. A lock that nobody
        // waits for any more is given up as soon as it is had.
        let (sender, mut waiting) = tokio::sync::oneshot::channel();
        let owned: PathBuf = path.to_owned();
        std::thread::spawn(move || {
            let taken = open(&owned)
                .and_then(|file| file.lock().map(|()| file).map_err(|source| state("lock", &owned, source)))
                .map(|file| Self { _file: file });
            let _ = sender.send(taken);
        });
        let outcome = match tokio::time::timeout(QUIET, &mut waiting).await {
            Ok(outcome) => outcome,
            Err(_) => {
                interaction.waiting();
                waiting.await
            }
        };
        outcome.map_err(|_| AuthError::Interrupted)?
    }
}

fn open(path: &Path) -> Result<File, AuthError> {
    if let Some(directory) = path.parent() {
        create_private_directory(directory)?;
    }
    let mut options = OpenOptions::new();
    options.read(true).write(true).create(true).truncate(false);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options.open(path).map_err(|source| state("open", path, source))
}

/// Creates a directory that only its owner can look into.
pub(crate) fn create_private_directory(path: &Path) -> Result<(), AuthError> {
    let mut builder = fs::DirBuilder::new();
    builder.recursive(true);
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut builder, 0o700);
    builder.create(path).map_err(|source| state("create", path, source))
}

fn state(action: &'static str, path: &Path, source: std::io::Error) -> AuthError {
    AuthError::State { action, path: path.to_owned(), source: Arc::new(source) }
}
