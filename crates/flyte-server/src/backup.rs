//! Backups of a data directory: created while the server runs, checked, and restored to another place.
//!
//! ```text
//! manifest             the files and their contents, after a line with the hash of the rest; replaced last and atomically
//! content/ab/abcd…     contents, named by their SHA-256
//! lock                 held by the writing command
//! ```
//!
//! A content is stored once for all backups: the second backup reads and writes only changes. Until the new manifest
//! is in place, the previous backup with all its contents stays valid.

mod create;
mod manifest;
mod restore;
#[cfg(test)]
mod tests;

use std::{
    io,
    path::{Path, PathBuf},
};

pub use self::{
    create::{Created, create},
    manifest::Manifest,
    restore::{Restored, restore},
};
use crate::data_dir::DataDirError;
use flyte_store::StoreError;

/// The reason why a backup cannot be created or restored.
#[derive(Debug, thiserror::Error)]
pub enum BackupError {
    /// The data directory cannot be used.
    #[error(transparent)]
    DataDir(#[from] DataDirError),
    /// The database cannot be used.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// A file cannot be read or written.
    #[error("{}: {source}", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The directory contains something else.
    #[error("{} is neither empty nor a backup; choose another directory", .0.display())]
    NotABackup(PathBuf),
    /// The directory contains no complete backup.
    #[error("there is no complete backup in {}", .0.display())]
    Missing(PathBuf),
    /// Other users can read the directory.
    #[error(
        "other users have access to {path}, and a backup contains private keys; run: chmod 700 {path}",
        path = .0.display()
    )]
    Exposed(PathBuf),
    /// One of the two directories contains the other.
    #[error("{} and the data directory {} must not contain each other", backup.display(), data.display())]
    Nested {
        /// The directory of the backup.
        backup: PathBuf,
        /// The data directory.
        data: PathBuf,
    },
    /// Another command writes to it.
    #[error("another command uses the backup {}; wait until it has finished", .0.display())]
    Busy(PathBuf),
    /// A content does not match the manifest.
    #[error("the backup {} is damaged: {what}", path.display())]
    Damaged {
        /// The directory of the backup.
        path: PathBuf,
        /// The problem.
        what: String,
    },
    /// A later version of the server created the backup.
    #[error("the backup {} was created by a later flyte-server ({version}); restore it with that version", path.display())]
    Later {
        /// The directory of the backup.
        path: PathBuf,
        /// The version that created it.
        version: String,
    },
    /// The data directory already exists.
    #[error(
        "the data directory {} is not empty, and a restore does not overwrite it; use a new one with --data-dir DIRECTORY",
        .0.display()
    )]
    TargetNotEmpty(PathBuf),
}

/// Converts an I/O error about a file.
fn at(path: &Path) -> impl Fn(io::Error) -> BackupError + '_ {
    move |source| BackupError::File { path: path.to_owned(), source }
}
