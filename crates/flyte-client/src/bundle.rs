//! The code that a run takes along: which files, and the archive that they make.
//!
//! The same files make the same archive, byte for byte, on any machine and at any time. Its hash is therefore a version, and
//! what was uploaded once need not be uploaded again. The `flyte` command and the Python package both pack by this module.

mod files;
#[cfg(test)]
mod tests;

use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};

use bytes::Bytes;
use flate2::{Compression, GzBuilder};
use md5::{Digest as _, Md5};

pub use self::files::{File, IGNORE_FILE, Selection, select};

/// The most bytes that the files of a bundle may have together unless the caller says otherwise: 256 MiB.
pub const LIMIT: u64 = 256 << 20;
/// The number of files that a message about a bundle that is too large names.
const NAMED: usize = 5;
/// The modification time of every file in an archive: the first moment of 1980, in Unix time in seconds.
const CHANGED: u64 = 315_532_800;

/// Why there is no bundle.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum BundleError {
    /// A file cannot be read.
    #[error("cannot read {}: {reason}", path.display())]
    Read {
        /// The file or directory.
        path: PathBuf,
        /// What happened.
        reason: String,
    },
    /// A file that was named is not below the root.
    #[error("{} is not below {}", path.display(), root.display())]
    Outside {
        /// The file.
        path: PathBuf,
        /// The directory.
        root: PathBuf,
    },
    /// There is nothing to bundle.
    #[error("every file in {} is left out", root.display())]
    Empty {
        /// The directory.
        root: PathBuf,
    },
    /// The files are too large.
    #[error("the files in {} have {} together, and the limit is {}; the largest are {}", root.display(), bytes(*size), bytes(*limit),
        largest.iter().map(|(path, size)| format!("{} ({})", path.display(), bytes(*size))).collect::<Vec<_>>().join(", "))]
    TooLarge {
        /// The directory.
        root: PathBuf,
        /// What the files have together, in bytes.
        size: u64,
        /// What they may have, in bytes.
        limit: u64,
        /// The largest of them with their sizes in bytes, largest first.
        largest: Vec<(PathBuf, u64)>,
    },
}

/// Bytes as people say them.
fn bytes(count: u64) -> String {
    const UNITS: [(u64, &str); 3] = [(1 << 30, "GiB"), (1 << 20, "MiB"), (1 << 10, "KiB")];
    for (size, unit) in UNITS {
        if count >= size {
            return format!("{}.{} {unit}", count / size, count % size * 10 / size);
        }
    }
    format!("{count} bytes")
}

/// What goes into a bundle.
#[derive(Clone, Debug, Default)]
pub struct Contents {
    /// Whether all files below the root go along that are not left out.
    pub all: bool,
    /// Files below the root that go along in any case, secrets too: absolute, or relative to the root.
    pub named: Vec<PathBuf>,
}

/// Files in an archive.
#[derive(Clone, Debug)]
pub struct Bundle {
    /// The files, sorted by their paths.
    pub files: Vec<File>,
    /// Paths below the root that were left out because they may hold secrets or lead out of the root, sorted.
    pub kept_back: Vec<String>,
    /// What the files have together, in bytes.
    pub size: u64,
    /// The archive: tar, compressed by gzip.
    pub archive: Bytes,
    /// The archive's MD5, which uploads announce.
    pub md5: [u8; 16],
}

impl Bundle {
    /// Packs the files below `root` that `contents` chooses.
    ///
    /// # Errors
    /// [`BundleError`]; the files may have `limit` bytes together.
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
            largest.truncate(NAMED);
            return Err(BundleError::TooLarge { root: root.to_owned(), size, limit, largest });
        }
        let archive = archive(root, &files)?;
        let md5 = Md5::digest(&archive).into();
        Ok(Self { files, kept_back, size, archive: archive.into(), md5 })
    }

    /// The version of the content: the archive's MD5 in hexadecimal digits, as with the published client.
    #[must_use]
    pub fn version(&self) -> String {
        self.md5.iter().map(|byte| format!("{byte:02x}")).collect()
    }
}

fn archive(root: &Path, files: &[File]) -> Result<Vec<u8>, BundleError> {
    // Nothing of this machine: neither the time nor its system.
    let gzip = GzBuilder::new().mtime(0).operating_system(255).write(Vec::new(), Compression::default());
    let mut tar = tar::Builder::new(gzip);
    tar.mode(tar::HeaderMode::Deterministic);
    for file in files {
        let path = root.join(&file.path);
        let content = fs::read(&path).map_err(|error| unreadable(&path, &error))?;
        let mut header = tar::Header::new_gnu();
        header.set_size(content.len() as u64);
        header.set_mode(mode(&path));
        header.set_mtime(CHANGED);
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

/// The mode of a file: executable if its owner may execute it, and readable for others. Two people's `umask` make no two bundles.
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
