//! The directory with all data of the server.
//!
//! ```text
//! lock                 held by the running server; has its process ID and version
//! ca.pem               certificate of the local authority, for clients to trust
//! authorities.pem      authorities that tasks trust: the system's and the local one (runner::authorities)
//! tls/authority.pem    the local authority: certificate and private key
//! tls/server.pem       the certificate that it gave this server: chain and private key
//! sealing.key          encrypts the signing keys in the database
//! attempts/            a directory for each attempt of a task: its specification, log and result (runner::process)
//! flyte.db             the database, with -wal and -shm beside it
//! objects/             objects of tasks, as files; see `objects`
//! python/              what tasks get beside their own libraries (runner::libraries)
//! apps/                the processes of apps; see `runner::apps`
//! first-admin-password the first administrator's password, until they have signed in
//! backups              the paths of backups, to which tasks get no access
//! restoring            exists during a restore: no server starts
//! ```

use flyte_secrets::{UNFINISHED, write_atomically};
use std::{
    fs::{self, DirBuilder, File, OpenOptions, TryLockError},
    io::{self, Read, Seek, Write},
    os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt},
    path::{Path, PathBuf},
};

/// The mark of an incomplete restore.
pub(crate) const RESTORING: &str = "restoring";
/// The file with the paths of backups, one on each line.
const BACKUPS: &str = "backups";

/// The reason why the data directory cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum DataDirError {
    /// The directory cannot be created or read.
    #[error(
        "cannot use the data directory {}: {source}; use another one with --data-dir DIRECTORY",
        path.display()
    )]
    Unusable {
        /// The directory.
        path: PathBuf,
        /// The cause.
        source: io::Error,
    },
    /// The directory does not exist.
    #[error("there is no data directory {}; start flyte-server once to create it", path.display())]
    Missing {
        /// The directory.
        path: PathBuf,
    },
    /// Other users can read the directory.
    #[error(
        "other users can get into the data directory {path} (mode {mode:04o}), which holds private keys; run: chmod 700 {path}",
        path = path.display()
    )]
    Exposed {
        /// The directory.
        path: PathBuf,
        /// Its permission bits.
        mode: u32,
    },
    /// A server uses the directory.
    #[error(
        "another flyte-server{} uses the data directory {}; stop it first, or use another directory with --data-dir DIRECTORY",
        process_note(*process), path.display()
    )]
    InUse {
        /// The directory.
        path: PathBuf,
        /// The server's process.
        process: Option<u32>,
    },
    /// A restore was interrupted.
    #[error(
        "restoring a backup to the data directory {path} was interrupted; run flyte-server restore again, or remove {path}",
        path = path.display()
    )]
    Incomplete {
        /// The directory.
        path: PathBuf,
    },
    /// A server of another version uses the directory.
    #[error(
        "flyte-server {theirs} is running on {}, but this is version {}: run this command with the same version, or \
         stop the server first",
        path.display(), env!("CARGO_PKG_VERSION")
    )]
    OtherVersion {
        /// The directory.
        path: PathBuf,
        /// The version of the running server.
        theirs: String,
    },
}

fn process_note(process: Option<u32>) -> String {
    process.map(|id| format!(" (process {id})")).unwrap_or_default()
}

/// The data directory. The process has exclusive use of it until the value is dropped.
#[derive(Debug)]
pub struct DataDir {
    path: PathBuf,
    _lock: File,
}

impl DataDir {
    /// Creates the directory if it is missing, checks that only its owner has access, and locks it.
    ///
    /// # Errors
    /// [`DataDirError`] if the directory cannot be used.
    pub fn open(path: &Path) -> Result<Self, DataDirError> {
        if path.join(RESTORING).exists() {
            return Err(DataDirError::Incomplete { path: path.to_owned() });
        }
        Self::lock(path)
    }

    /// Opens the target directory of a restore. No other process can open it before [`DataDir::restored`].
    ///
    /// # Errors
    /// [`DataDirError`] if the directory cannot be used.
    pub fn open_for_restore(path: &Path) -> Result<Self, DataDirError> {
        let directory = Self::lock(path)?;
        write_atomically(&directory.file(RESTORING), b"")
            .map_err(|source| DataDirError::Unusable { path: path.to_owned(), source })?;
        Ok(directory)
    }

    /// Marks the restore as complete.
    ///
    /// # Errors
    /// [`DataDirError::Unusable`] if the mark cannot be removed.
    pub fn restored(self) -> Result<(), DataDirError> {
        fs::remove_file(self.file(RESTORING))
            .map_err(|source| DataDirError::Unusable { path: self.path.clone(), source })
    }

    fn lock(path: &Path) -> Result<Self, DataDirError> {
        let unusable = |source| DataDirError::Unusable { path: path.to_owned(), source };
        if let Some(parent) = path.parent() {
            fs::create_dir_all(parent).map_err(unusable)?;
        }
        match DirBuilder::new().mode(0o700).create(path) {
            Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(unusable(error)),
            _ => check_private(path)?,
        }
        let mut lock = open_lock(path).map_err(unusable)?;
        match lock.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                let process = holder(&mut lock).map(|(process, _)| process);
                return Err(DataDirError::InUse { path: path.to_owned(), process });
            }
            Err(TryLockError::Error(error)) => return Err(unusable(error)),
        }
        lock.set_len(0).map_err(unusable)?;
        writeln!(lock, "{} {}", std::process::id(), env!("CARGO_PKG_VERSION")).map_err(unusable)?;

        let directory = Self { path: path.to_owned(), _lock: lock };
        let tls = directory.file("tls");
        match DirBuilder::new().mode(0o700).create(&tls) {
            Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(unusable(error)),
            _ => {}
        }
        for directory in [path, &tls] {
            remove_unfinished(directory).map_err(unusable)?;
        }
        Ok(directory)
    }

    /// The path of the directory.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The path of a file in the directory.
    #[must_use]
    pub fn file(&self, name: &str) -> PathBuf {
        self.path.join(name)
    }
}

/// Checks that a command may use the directory while a server may be running. Processes of the same version can share
/// the database, because they use the same schema.
///
/// # Errors
/// [`DataDirError`] if it may not.
pub fn check_shared(path: &Path) -> Result<(), DataDirError> {
    let unusable = |source| DataDirError::Unusable { path: path.to_owned(), source };
    if !path.try_exists().map_err(unusable)? {
        return Err(DataDirError::Missing { path: path.to_owned() });
    }
    if path.join(RESTORING).exists() {
        return Err(DataDirError::Incomplete { path: path.to_owned() });
    }
    check_private(path)?;
    let mut lock = open_lock(path).map_err(unusable)?;
    match lock.try_lock_shared() {
        Ok(()) => Ok(()),
        Err(TryLockError::WouldBlock) => match holder(&mut lock) {
            Some((_, theirs)) if theirs != env!("CARGO_PKG_VERSION") => {
                Err(DataDirError::OtherVersion { path: path.to_owned(), theirs })
            }
            _ => Ok(()),
        },
        Err(TryLockError::Error(error)) => Err(unusable(error)),
    }
}

/// Checks that a server could use the directory. Neither creates nor locks anything.
///
/// # Errors
/// [`DataDirError`] if it could not.
pub fn check(path: &Path) -> Result<(), DataDirError> {
    let unusable = |source| DataDirError::Unusable { path: path.to_owned(), source };
    // The existing part of the path must be writable, so that the rest can be created.
    let existing = path.ancestors().find(|path| path.exists()).unwrap_or(Path::new("/"));
    if existing == path {
        check_private(path)?;
    }
    tempfile::Builder::new().prefix(UNFINISHED).tempfile_in(existing).map(drop).map_err(unusable)
}

/// Returns the paths of backups of the data directory.
#[must_use]
pub fn backups(path: &Path) -> Vec<PathBuf> {
    let text = fs::read_to_string(path.join(BACKUPS)).unwrap_or_default();
    text.lines().map(PathBuf::from).collect()
}

/// Notes the path of a new backup.
///
/// # Errors
/// The data directory cannot be written.
pub fn note_backup(path: &Path, backup: &Path) -> io::Result<()> {
    let mut known = backups(path);
    // A path with a line break could not be read back.
    if known.iter().any(|known| known == backup) || backup.display().to_string().contains('\n') {
        return Ok(());
    }
    known.push(backup.to_owned());
    let lines: String = known.iter().map(|path| format!("{}\n", path.display())).collect();
    write_atomically(&path.join(BACKUPS), lines.as_bytes())
}

/// Returns the process ID of the running server; `None` if there is none or it is unknown. Creates nothing.
#[must_use]
pub fn running_server(path: &Path) -> Option<u32> {
    let mut lock = File::open(path.join("lock")).ok()?;
    match lock.try_lock_shared() {
        Err(TryLockError::WouldBlock) => holder(&mut lock).map(|(process, _)| process),
        _ => None,
    }
}

fn check_private(path: &Path) -> Result<(), DataDirError> {
    let unusable = |source| DataDirError::Unusable { path: path.to_owned(), source };
    let metadata = fs::metadata(path).map_err(unusable)?;
    if !metadata.is_dir() {
        return Err(unusable(io::Error::from(io::ErrorKind::NotADirectory)));
    }
    let mode = metadata.permissions().mode() & 0o7777;
    if mode & 0o077 != 0 {
        return Err(DataDirError::Exposed { path: path.to_owned(), mode });
    }
    Ok(())
}

fn open_lock(path: &Path) -> io::Result<File> {
    OpenOptions::new().read(true).write(true).create(true).truncate(false).mode(0o600).open(path.join("lock"))
}

/// Returns process ID and version of the lock's holder, if it has written them.
fn holder(lock: &mut File) -> Option<(u32, String)> {
    let mut text = String::new();
    lock.rewind().ok()?;
    lock.read_to_string(&mut text).ok()?;
    let (process, version) = text.trim().split_once(' ')?;
    Some((process.parse().ok()?, version.to_owned()))
}

fn remove_unfinished(directory: &Path) -> io::Result<()> {
    for entry in fs::read_dir(directory)? {
        let entry = entry?;
        if entry.file_name().to_string_lossy().starts_with(UNFINISHED) {
            fs::remove_file(entry.path())?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mode(path: &Path) -> u32 {
        fs::metadata(path).unwrap().permissions().mode() & 0o777
    }

    #[test]
    fn only_the_owner_has_access() {
        let home = tempfile::tempdir().unwrap();
        let path = home.path().join("a/b/data");
        let directory = DataDir::open(&path).unwrap();
        write_atomically(&directory.file("x"), b"1").unwrap();
        write_atomically(&directory.file("x"), b"2").unwrap();
        assert_eq!(fs::read(directory.file("x")).unwrap(), b"2");
        assert_eq!(mode(&path), 0o700);
        assert_eq!(mode(&path.join("tls")), 0o700);
        assert_eq!(mode(&path.join("lock")), 0o600);
        assert_eq!(mode(&path.join("x")), 0o600);
        assert_eq!(fs::read_dir(&path).unwrap().count(), 3);
    }

    #[test]
    fn a_directory_that_others_can_read_is_refused() {
        let home = tempfile::tempdir().unwrap();
        let path = home.path().join("data");
        DirBuilder::new().mode(0o755).create(&path).unwrap();
        let message = DataDir::open(&path).unwrap_err().to_string();
        assert!(message.ends_with(&format!("chmod 700 {}", path.display())), "{message}");
        assert!(matches!(check(&path), Err(DataDirError::Exposed { mode: 0o755, .. })));
    }

    #[test]
    fn one_server_uses_a_directory() {
        let home = tempfile::tempdir().unwrap();
        let path = home.path().join("data");
        let first = DataDir::open(&path).unwrap();
        let message = DataDir::open(&path).unwrap_err().to_string();
        assert!(message.contains(&format!("(process {})", std::process::id())), "{message}");
        check_shared(&path).unwrap();
        assert_eq!(running_server(&path), Some(std::process::id()));
        drop(first);
        assert_eq!(running_server(&path), None);
        DataDir::open(&path).unwrap();
    }

    #[test]
    fn a_command_of_another_version_is_refused_while_the_server_runs() {
        let home = tempfile::tempdir().unwrap();
        let path = home.path().join("data");
        let server = DataDir::open(&path).unwrap();
        fs::write(path.join("lock"), "1 0.0.1-other\n").unwrap();
        assert!(matches!(check_shared(&path), Err(DataDirError::OtherVersion { .. })));
        drop(server);
        check_shared(&path).unwrap();
        assert!(matches!(check_shared(&home.path().join("none")), Err(DataDirError::Missing { .. })));
    }

    #[test]
    fn unfinished_files_are_removed() {
        let home = tempfile::tempdir().unwrap();
        let path = home.path().join("data");
        drop(DataDir::open(&path).unwrap());
        fs::write(path.join("tls/.unfinished-x"), "half").unwrap();
        let directory = DataDir::open(&path).unwrap();
        assert!(!directory.file("tls/.unfinished-x").exists());
    }
}
