//! Backups of a data directory: made while the server runs, checked, and restored elsewhere.
//!
//! ```text
//! manifest             which file has which content, under a line with the hash of the rest; replaced last, in one step
//! content/ab/abcd…     contents, named by their SHA-256
//! lock                 held by the command that writes
//! ```
//!
//! A content is written once, however many backups have it: the second backup reads and writes only what has changed. Until the
//! new manifest is in place the previous one counts, with all of its contents.

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

/// Why there is no backup, or none can be restored.
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
    /// The directory holds something else.
    #[error("{} is not a backup and not empty; choose another directory", .0.display())]
    NotABackup(PathBuf),
    /// There is no backup in the directory.
    #[error("there is no complete backup in {}", .0.display())]
    Missing(PathBuf),
    /// Others can read the directory.
    #[error(
        "other users can get into {path}, and a backup holds private keys; run: chmod 700 {path}",
        path = .0.display()
    )]
    Exposed(PathBuf),
    /// The backup would be a part of what is backed up, or the reverse.
    #[error("{} and the data directory {} must not contain each other", backup.display(), data.display())]
    Nested {
        /// The directory of the backup.
        backup: PathBuf,
        /// The data directory.
        data: PathBuf,
    },
    /// Another command writes to it.
    #[error("another command is using the backup {}; wait until it has ended", .0.display())]
    Busy(PathBuf),
    /// A content is not what the manifest says.
    #[error("the backup {} is damaged: {what}", path.display())]
    Damaged {
        /// The directory of the backup.
        path: PathBuf,
        /// What is wrong.
        what: String,
    },
    /// A later version of the server made it.
    #[error("the backup {} was made by a later flyte-server ({version}); restore it with that version", path.display())]
    Later {
        /// The directory of the backup.
        path: PathBuf,
        /// The version that made it.
        version: String,
    },
    /// The data directory is there already.
    #[error(
        "the data directory {} is not empty, and nothing in it is overwritten; give a new one with --data-dir DIRECTORY",
        .0.display()
    )]
    TargetNotEmpty(PathBuf),
}

/// Turns an error about a file into ours.
fn at(path: &Path) -> impl Fn(io::Error) -> BackupError + '_ {
    move |source| BackupError::File { path: path.to_owned(), source }
}
