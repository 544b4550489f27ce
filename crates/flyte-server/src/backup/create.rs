//! Creating a backup.

use std::{
    collections::{HashMap, HashSet},
    fs::{self, DirBuilder, File, OpenOptions, TryLockError},
    io,
    os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _, PermissionsExt as _},
    path::{Path, PathBuf},
};

use super::{
    BackupError, at,
    manifest::{self, DATABASE, Entry, Manifest, content, escape, hash, stamp},
};
use crate::data_dir;
use flyte_model::clock::{Clock, rfc3339};
use flyte_objects::walk;
use flyte_secrets::UNFINISHED;
use flyte_settings::Config;

/// Top-level entries of the data directory that are not in a backup: the database is copied separately, and each
/// start creates the others.
const EXCLUDED: [&str; 7] =
    ["lock", "backups", DATABASE, "flyte.db-wal", "flyte.db-shm", "flyte.db-journal", "python"];
/// Entries of process directories that are not in a backup.
const EXCLUDED_FROM_PROCESSES: [&str; 5] = ["work", "tmp", "token", "flyte.yaml", "lock"];
/// Number of path components of an attempt's directory and of an app's process.
const PROCESSES: [(&str, usize); 2] = [("attempts", 6), ("apps", 5)];

/// The result of a backup.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Created {
    /// Number of files.
    pub files: usize,
    /// Total size in bytes.
    pub bytes: u64,
    /// Number of copied files: new, or changed since the last backup.
    pub copied: usize,
    /// Files that could not be read and are not in the backup.
    pub unreadable: Vec<String>,
}

/// Backs up the data directory of `config` to `directory`, also while the server runs.
///
/// The database is copied first, because objects exist before the database refers to them.
///
/// # Errors
/// [`BackupError`]; the previous backup in the directory is unchanged.
pub fn create(config: &Config, directory: &Path, clock: &Clock) -> Result<Created, BackupError> {
    data_dir::check_shared(&config.data_dir)?;
    let _lock = prepare(directory, &config.data_dir)?;
    let previous = Manifest::read(directory)?.unwrap_or_default();
    let mut writer = Writer::new(directory, &previous);
    let database = writer.database(&config.data_dir)?;
    let mut files = vec![database];
    let mut unreadable = Vec::new();
    let walked = walk::files(&config.data_dir, &mut |found| {
        if is_excluded(found.path) {
            return Ok(());
        }
        match found.file.and_then(|file| writer.file(found.path, file)) {
            Ok(entry) => files.push(entry),
            // A task may have made its files unreadable. The other files are backed up.
            Err(error) if error.kind() == io::ErrorKind::PermissionDenied => {
                unreadable.push(escape(found.path));
            }
            Err(error) => {
                return Err(io::Error::new(error.kind(), format!("{}: {error}", found.path.display())));
            }
        }
        Ok(())
    });
    walked.map_err(at(&config.data_dir))?;
    writer.check()?;
    let manifest = Manifest {
        version: env!("CARGO_PKG_VERSION").to_owned(),
        created_at: rfc3339(clock.now()),
        data_dir: std::path::absolute(&config.data_dir).unwrap_or_else(|_| config.data_dir.clone()),
        bucket: config.objects.url.as_ref().map(ToString::to_string),
        files,
    };
    let opened = File::open(directory).map_err(at(directory))?;
    rustix::fs::syncfs(&opened).map_err(io::Error::from).map_err(at(directory))?;
    manifest.write(directory)?;
    prune(directory, &manifest)?;
    Ok(Created {
        files: manifest.files.len(),
        bytes: manifest.files.iter().map(|entry| entry.size).sum(),
        copied: writer.copied.len(),
        unreadable,
    })
}

/// Creates the directory if it is missing, checks that it is a private backup directory, and locks it.
fn prepare(directory: &Path, data_dir: &Path) -> Result<File, BackupError> {
    match DirBuilder::new().mode(0o700).recursive(true).create(directory) {
        Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(at(directory)(error)),
        _ => {}
    }
    let (backup, data): (PathBuf, PathBuf) = (
        fs::canonicalize(directory).map_err(at(directory))?,
        fs::canonicalize(data_dir).map_err(at(data_dir))?,
    );
    if backup.starts_with(&data) || data.starts_with(&backup) {
        // Removes the directory if it was just created.
        let _ = fs::remove_dir(directory);
        return Err(BackupError::Nested { backup, data });
    }
    let is_empty = fs::read_dir(directory).map_err(at(directory))?.next().is_none();
    let is_ours = is_empty || directory.join("lock").exists() && directory.join("content").exists();
    if !is_ours {
        return Err(BackupError::NotABackup(directory.to_owned()));
    }
    let mode = fs::metadata(directory).map_err(at(directory))?.permissions().mode();
    if mode & 0o077 != 0 {
        if !is_empty {
            return Err(BackupError::Exposed(directory.to_owned()));
        }
        fs::set_permissions(directory, fs::Permissions::from_mode(0o700)).map_err(at(directory))?;
    }
    let path = directory.join("lock");
    let lock = OpenOptions::new().write(true).create(true).truncate(false).mode(0o600).open(&path);
    let lock = lock.map_err(at(&path))?;
    match lock.try_lock() {
        Ok(()) => {}
        Err(TryLockError::WouldBlock) => return Err(BackupError::Busy(directory.to_owned())),
        Err(TryLockError::Error(error)) => return Err(at(&path)(error)),
    }
    data_dir::note_backup(&data, &backup).map_err(at(data_dir))?;
    let content = directory.join("content");
    DirBuilder::new().mode(0o700).recursive(true).create(&content).map_err(at(&content))?;
    Ok(lock)
}

/// Whether a file of the data directory is excluded from backups.
fn is_excluded(path: &Path) -> bool {
    let names: Vec<_> = path.iter().map(|name| name.to_string_lossy()).collect();
    let first = names.first().map_or("", |name| name);
    if names.iter().any(|name| name.starts_with(UNFINISHED)) || names.len() == 1 && EXCLUDED.contains(&first)
    {
        return true;
    }
    match (first, names.get(1)) {
        ("python", _) => true,
        ("objects", Some(second)) => second == ".unfinished",
        _ => PROCESSES.iter().any(|(kind, depth)| {
            first == *kind && names.get(*depth).is_some_and(|name| EXCLUDED_FROM_PROCESSES.contains(&&**name))
        }),
    }
}

/// Writes the contents of files.
struct Writer<'a> {
    directory: &'a Path,
    /// Files of the previous backup, by path.
    previous: HashMap<&'a str, &'a Entry>,
    /// Contents of the previous backup, which are safely on the disk.
    durable: HashSet<&'a str>,
    /// The files that this backup has written.
    copied: Vec<Entry>,
}

impl<'a> Writer<'a> {
    fn new(directory: &'a Path, previous: &'a Manifest) -> Self {
        Self {
            directory,
            previous: previous.files.iter().map(|entry| (entry.path.as_str(), entry)).collect(),
            durable: previous.files.iter().map(|entry| entry.sha256.as_str()).collect(),
            copied: Vec::new(),
        }
    }

    /// Copies a consistent snapshot of the database.
    fn database(&mut self, data_dir: &Path) -> Result<Entry, BackupError> {
        let scratch = tempfile::Builder::new().prefix(UNFINISHED).tempfile_in(self.directory);
        let scratch = scratch.map_err(at(self.directory))?;
        flyte_store_sqlite::snapshot(&data_dir.join(DATABASE), scratch.path())?;
        let file = File::open(scratch.path()).map_err(at(scratch.path()))?;
        self.content(DATABASE.to_owned(), None, file).map_err(at(self.directory))
    }

    /// Copies a file if it has changed since the previous backup.
    fn file(&mut self, path: &Path, file: File) -> io::Result<Entry> {
        let (path, metadata) = (escape(path), file.metadata()?);
        let stamp = stamp(&metadata);
        if let Some(known) = self.previous.get(path.as_str())
            && known.stamp == Some(stamp)
            && known.size == metadata.len()
            && self.has(&known.sha256, known.size)
        {
            return Ok((*known).clone());
        }
        self.content(path, Some(stamp), file)
    }

    /// Whether the content is in the backup, safely on the disk.
    fn has(&self, sha256: &str, size: u64) -> bool {
        self.durable.contains(sha256)
            && fs::metadata(content(self.directory, sha256)).is_ok_and(|found| found.len() == size)
    }

    fn content(&mut self, path: String, stamp: Option<manifest::Stamp>, file: File) -> io::Result<Entry> {
        let mut copy = tempfile::Builder::new().prefix(UNFINISHED).tempfile_in(self.directory)?;
        let (sha256, size) = hash(file, copy.as_file_mut())?;
        let entry = Entry { path, sha256, size, stamp };
        if !self.has(&entry.sha256, size) {
            let target = entry.content(self.directory);
            if let Some(parent) = target.parent() {
                DirBuilder::new().mode(0o700).recursive(true).create(parent)?;
            }
            copy.persist(&target).map_err(|error| error.error)?;
            self.copied.push(entry.clone());
        }
        Ok(entry)
    }

    /// Reads back and checks everything that was written.
    fn check(&self) -> Result<(), BackupError> {
        self.copied.iter().try_for_each(|entry| entry.verify(self.directory))
    }
}

/// Removes unused contents, and unfinished files of an interrupted backup.
fn prune(directory: &Path, manifest: &Manifest) -> Result<(), BackupError> {
    let kept: HashSet<PathBuf> = manifest.files.iter().map(|entry| entry.content(directory)).collect();
    let root = directory.join("content");
    let mut surplus = Vec::new();
    let walked = walk::files(&root, &mut |found| {
        let path = root.join(found.path);
        if !kept.contains(&path) {
            surplus.push(path);
        }
        Ok(())
    });
    walked.map_err(at(&root))?;
    for entry in fs::read_dir(directory).map_err(at(directory))?.flatten() {
        if entry.file_name().to_string_lossy().starts_with(UNFINISHED) {
            surplus.push(entry.path());
        }
    }
    for path in surplus {
        fs::remove_file(&path).map_err(at(&path))?;
    }
    Ok(())
}
