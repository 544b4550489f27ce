//! Restoring a backup into a new data directory.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs::{self, DirBuilder, File},
    io,
    os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _},
    path::{Path, PathBuf},
};

use super::{
    BackupError, at,
    manifest::{DATABASE, Entry, Manifest, hash},
};
use crate::data_dir::{DataDir, RESTORING};
use flyte_audit::{Event, Kind};
use flyte_model::clock::Clock;
use flyte_runner_local::process;
use flyte_store::AuditStore as _;
use flyte_store_sqlite::{RestoreRevocations, SqliteStore};

/// The result of a restore.
#[derive(Clone, Debug)]
pub struct Restored {
    /// The manifest of the backup.
    pub manifest: Manifest,
    /// The data directory from which revocations since the backup were taken.
    pub revoked_in: Option<PathBuf>,
    /// The revoked tokens, keys and accounts.
    pub revoked: RestoreRevocations,
}

/// Restores the backup in `directory` to the data directory `target`, which must be new or empty.
///
/// All users must sign in again unless `keep_sessions` is set. Accounts and API keys that were disabled, deleted or
/// changed since the backup stay so, as far as `revoked_in` shows: the data directory in use until now.
///
/// # Errors
/// [`BackupError`]; nothing is created if the backup is damaged.
pub async fn restore(
    directory: &Path,
    target: &Path,
    revoked_in: Option<&Path>,
    keep_sessions: bool,
    clock: &Clock,
) -> Result<Restored, BackupError> {
    let manifest = Manifest::read(directory)?.ok_or_else(|| BackupError::Missing(directory.to_owned()))?;
    manifest.verify(directory)?;
    let files = places(directory, &manifest)?;
    let existing = fs::read_dir(target).ok().and_then(|mut entries| entries.next());
    if existing.is_some() && !target.join(RESTORING).exists() {
        return Err(BackupError::TargetNotEmpty(target.to_owned()));
    }
    let data_dir = DataDir::open_for_restore(target)?;
    // The database comes last, and no server starts before the mark is removed.
    let (database, others): (Vec<_>, Vec<_>) =
        files.iter().partition(|(path, _)| path.as_os_str() == DATABASE);
    for (path, entry) in others.into_iter().chain(database) {
        copy(directory, entry, &target.join(path))?;
    }
    for process in unfinished(files.keys().copied()) {
        let process = target.join(process);
        process::mark_lost(&process).map_err(at(&process))?;
    }
    let former = former(&manifest, target, revoked_in);
    let now = clock.now();
    let store = SqliteStore::open(&target.join(DATABASE))?;
    let revoked = store.revoke_after_restore(former.as_deref(), keep_sessions, now).await?;
    let event = Event::new(Kind::BackupRestored).object(&manifest.created_at).into_record(now);
    store.append_audit_records(&[event]).await?;
    drop(store);
    let opened = File::open(target).map_err(at(target))?;
    rustix::fs::syncfs(&opened).map_err(io::Error::from).map_err(at(target))?;
    data_dir.restored()?;
    Ok(Restored { manifest, revoked_in: former.filter(|_| revoked.former_read), revoked })
}

/// Returns the backup's files by their paths in the data directory.
fn places<'a>(
    directory: &Path,
    manifest: &'a Manifest,
) -> Result<BTreeMap<&'a Path, &'a Entry>, BackupError> {
    let mut files = BTreeMap::new();
    for entry in &manifest.files {
        if entry.relative().is_none() {
            let what = format!("{:?} is not a path in a data directory", entry.path);
            return Err(BackupError::Damaged { path: directory.to_owned(), what });
        }
        files.insert(Path::new(&entry.path), entry);
    }
    if files.contains_key(Path::new(DATABASE)) {
        return Ok(files);
    }
    Err(BackupError::Damaged { path: directory.to_owned(), what: "it has no database".to_owned() })
}

/// Writes a file of the backup.
fn copy(directory: &Path, entry: &Entry, target: &Path) -> Result<(), BackupError> {
    if let Some(parent) = target.parent() {
        DirBuilder::new().mode(0o700).recursive(true).create(parent).map_err(at(parent))?;
    }
    let content = entry.content(directory);
    let from = File::open(&content).map_err(at(&content))?;
    let to = fs::OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(target);
    let (sha256, size) = hash(from, &mut to.map_err(at(target))?).map_err(at(target))?;
    entry.check(directory, &sha256, size)
}

/// Returns the directories of unfinished processes, whose results are unknown here.
fn unfinished<'a>(files: impl Iterator<Item = &'a Path>) -> BTreeSet<PathBuf> {
    let (mut begun, mut ended) = (BTreeSet::new(), BTreeSet::new());
    for file in files {
        let depth = match file.iter().next().and_then(|first| first.to_str()) {
            Some("attempts") => 6,
            Some("apps") => 5,
            _ => continue,
        };
        if file.iter().count() <= depth {
            continue;
        }
        let process: PathBuf = file.iter().take(depth).collect();
        if file.strip_prefix(&process).is_ok_and(|rest| rest == Path::new("exit.json")) {
            ended.insert(process);
        } else {
            begun.insert(process);
        }
    }
    begun.difference(&ended).cloned().collect()
}

/// The data directory that shows what was revoked since the backup: the given one, or the backed-up one if it still
/// exists.
fn former(manifest: &Manifest, target: &Path, given: Option<&Path>) -> Option<PathBuf> {
    let former = given.unwrap_or(&manifest.data_dir);
    let same = fs::canonicalize(former).ok()? == fs::canonicalize(target).ok()?;
    let database = former.join(DATABASE);
    (!same && database.is_file()).then_some(database)
}
