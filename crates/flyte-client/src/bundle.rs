//! Code bundles: the files that are sent with a run, and the archive that contains them.
//!
//! The archive depends only on the files: the same files give the same bytes on any machine and at any time. Its hash is therefore
//! the version of the code, and an archive that the server has is not uploaded again. The `flyte` command and the Python package
//! both use this module.

mod files;
#[cfg(test)]
mod tests;
pub mod unpack;

use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};

use bytes::Bytes;
use flate2::{Compression, GzBuilder};
use md5::{Digest as _, Md5};

pub use self::files::{File, IGNORE_FILE, Selection, select};

/// The default limit for the total size of a bundle's files, in bytes: 256 MiB.
pub const DEFAULT_LIMIT_BYTES: u64 = 256 << 20;
/// The number of files that [`BundleError::TooLarge`] names.
const NAMED_FILES: usize = 5;
/// The modification time of every file in an archive, Unix time in seconds: 1980-01-01, the earliest time that zip files support.
const MODIFICATION_TIME: u64 = 315_532_800;

/// Why a bundle cannot be made.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum BundleError {
    /// A file cannot be read.
    #[error("cannot read {}: {reason}", path.display())]
    Read {
        /// The file or directory.
        path: PathBuf,
        /// The reason.
        reason: String,
    },
    /// A named file is not below the root.
    #[error("{} is not below {}", path.display(), root.display())]
    Outside {
        /// The file.
        path: PathBuf,
        /// The directory.
        root: PathBuf,
    },
    /// There are no files to bundle.
    #[error("every file in {} is left out", root.display())]
    Empty {
        /// The directory.
        root: PathBuf,
    },
    /// The files are too large.
    #[error("the files in {} are {} in total, and the limit is {}; the largest are {}", root.display(), format_size(*size),
        format_size(*limit),
        largest.iter().map(|(path, size)| format!("{} ({})", path.display(), format_size(*size))).collect::<Vec<_>>().join(", "))]
    TooLarge {
        /// The directory.
        root: PathBuf,
        /// The total size of the files, in bytes.
        size: u64,
        /// The maximum total size, in bytes.
        limit: u64,
        /// The largest files with their sizes in bytes, the largest first.
        largest: Vec<(PathBuf, u64)>,
    },
}

/// Formats a number of bytes, for example `1.5 MiB`.
fn format_size(count: u64) -> String {
    const UNITS: [(u64, &str); 3] = [(1 << 30, "GiB"), (1 << 20, "MiB"), (1 << 10, "KiB")];
    for (size, unit) in UNITS {
        if count >= size {
            return format!("{}.{} {unit}", count / size, count % size * 10 / size);
        }
    }
    format!("{count} bytes")
}

/// Which files a bundle contains.
#[derive(Clone, Debug, Default)]
pub struct Contents {
    /// Whether to include all files below the root, except those that [`select`] leaves out.
    pub all: bool,
    /// Files below the root to include in any case, even if they may hold secrets. A path is absolute or relative to the root.
    pub named: Vec<PathBuf>,
}

/// An archive and the files in it.
#[derive(Clone, Debug)]
pub struct Bundle {
    /// The files, sorted by their paths.
    pub files: Vec<File>,
    /// Paths below the root that were left out because they may hold secrets or lead out of the root, sorted.
    pub kept_back: Vec<String>,
    /// The total size of the files, in bytes.
    pub size: u64,
    /// The archive: a tar file, compressed with gzip.
    pub archive: Bytes,
    /// The archive's MD5, which an upload sends first.
    pub md5: [u8; 16],
}

impl Bundle {
    /// Packs the files below `root` that `contents` selects. `limit` is their maximum total size in bytes.
    ///
    /// # Errors
    /// [`BundleError`].
    pub fn pack(root: &Path, contents: &Contents, limit: u64) -> Result<Self, BundleError> {
        let mut selection = if contents.all { select(root)? } else { Selection::default() };
        for path in &contents.named {
            selection.add(files::named(root, path)?);
        }
        if selection.files.is_empty() {
            return Err(BundleError::Empty { root: root.to_owned() });
        }
        let Selection { files, kept_back } = selection;
        let size = files.iter().map(|file| file.size).sum();
        if size > limit {
            let mut largest: Vec<_> =
                files.into_iter().map(|file| (PathBuf::from(file.path), file.size)).collect();
            largest.sort_by_key(|(_, size)| std::cmp::Reverse(*size));
            largest.truncate(NAMED_FILES);
            return Err(BundleError::TooLarge { root: root.to_owned(), size, limit, largest });
        }
        let archive = archive(root, &files)?;
        let md5 = Md5::digest(&archive).into();
        Ok(Self { files, kept_back, size, archive: archive.into(), md5 })
    }

    /// The version of the code: the archive's MD5 in hexadecimal digits, as in the published client.
    #[must_use]
    pub fn version(&self) -> String {
        self.md5.iter().map(|byte| format!("{byte:02x}")).collect()
    }
}

fn archive(root: &Path, files: &[File]) -> Result<Vec<u8>, BundleError> {
    // The archive does not contain the current time or the operating system, so that it is the same on every machine.
    let gzip = GzBuilder::new().mtime(0).operating_system(255).write(Vec::new(), Compression::default());
    let mut tar = tar::Builder::new(gzip);
    tar.mode(tar::HeaderMode::Deterministic);
    for file in files {
        let path = root.join(&file.path);
        let content = fs::read(&path).map_err(|error| unreadable(&path, &error))?;
        let mut header = tar::Header::new_gnu();
        header.set_size(content.len() as u64);
        header.set_mode(mode(&path));
        header.set_mtime(MODIFICATION_TIME);
        header.set_uid(0);
        header.set_gid(0);
        tar.append_data(&mut header, &file.path, content.as_slice())
            .map_err(|error| unreadable(&path, &error))?;
    }
    let finished = tar.into_inner().and_then(|mut gzip| {
        gzip.flush()?;
        gzip.finish()
    });
    finished.map_err(|error| unreadable(root, &error))
}

/// The mode of a file in the archive: 755 if its owner may execute it, otherwise 644. A person's `umask` therefore does not change
/// the archive.
#[cfg(unix)]
fn mode(path: &Path) -> u32 {
    use std::os::unix::fs::PermissionsExt as _;
    let executable = fs::metadata(path).is_ok_and(|metadata| metadata.permissions().mode() & 0o100 != 0);
    if executable { 0o755 } else { 0o644 }
}

#[cfg(not(unix))]
fn mode(_: &Path) -> u32 {
    0o644
}

fn unreadable(path: &Path, error: &std::io::Error) -> BundleError {
    BundleError::Read { path: path.to_owned(), reason: error.to_string() }
}
