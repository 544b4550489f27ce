//! The code that a run takes along: which files, and the archive that they make.
//!
//! The same files make the same archive, byte for byte, on any machine and at any time; so its hash is a version, and what was
//! uploaded once need not be uploaded again.

use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};

use bytes::Bytes;
use flate2::{Compression, GzBuilder};
use ignore::{DirEntry, WalkBuilder};
use md5::{Digest as _, Md5};

/// Names of files and directories that hold secrets, in lower case.
const SECRET: [&str; 4] = [".env", ".aws", ".ssh", ".netrc"];

/// The most bytes that the files of a bundle have together, where nothing else is said: 256 MiB.
pub const LIMIT: u64 = 256 << 20;
/// Files that leave out others, besides `.gitignore`, in the same way.
pub const IGNORE_FILE: &str = ".flyteignore";
/// The files that a message about a bundle that is too large names.
const NAMED: usize = 5;
/// When every file in an archive was changed: the first moment of 1980, in Unix time in seconds.
const CHANGED: u64 = 315_532_800;
/// Directories that hold nothing which a run needs: what tools keep for themselves.
const LEFT_OUT: [&str; 10] = [
    ".git",
    ".hg",
    ".svn",
    "__pycache__",
    ".cache",
    ".ruff_cache",
    ".mypy_cache",
    ".pytest_cache",
    ".ipynb_checkpoints",
    "node_modules",
];

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
    /// There is nothing to bundle.
    #[error("there are no files in {} that are not left out", root.display())]
    Empty {
        /// The directory.
        root: PathBuf,
    },
    /// The files are too large.
    #[error("the files in {} have {} together, and {} are taken; the largest are {}", root.display(), bytes(*size), bytes(*limit),
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

impl BundleError {
    /// What the person can do next.
    pub fn hint(&self) -> String {
        match self {
            Self::Read { .. } => format!("Make it readable, or leave it out: name it in {IGNORE_FILE}."),
            Self::Empty { .. } => {
                format!(
                    "Look at .gitignore and {IGNORE_FILE}, or give the directory of the code: --root-dir DIR."
                )
            }
            Self::TooLarge { .. } => format!(
                "Name what the run does not need in {IGNORE_FILE} (written as .gitignore), or give a smaller directory: --root-dir DIR."
            ),
        }
    }
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

/// A file of a bundle.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct File {
    /// Its path below the root, with `/` between its parts.
    pub path: String,
    /// Its size in bytes.
    pub size: u64,
}

/// Files in an archive.
#[derive(Clone, Debug)]
pub struct Bundle {
    /// The files, sorted by their paths.
    pub files: Vec<File>,
    /// What they have together, in bytes.
    pub size: u64,
    /// The archive: tar, compressed by gzip.
    pub archive: Bytes,
    /// The archive's MD5, as it is asked for by uploads.
    pub md5: [u8; 16],
}

impl Bundle {
    /// The files below `root` that are not left out, in an archive.
    ///
    /// Left out is what `.gitignore` and `.flyteignore` files say, here and above as far as the repository goes, version
    /// control's own directories, virtual environments, what Python and its tools keep, files that hold secrets by their
    /// names, and symbolic links out of `root`: whoever may see the project can read the archive. Other links are followed.
    ///
    /// # Errors
    /// [`BundleError`]; the files may have `limit` bytes together.
    pub fn pack(root: &Path, limit: u64) -> Result<Self, BundleError> {
        let files = files(root)?;
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
        Ok(Self { files, size, archive: archive.into(), md5 })
    }

    /// The version of what is in it: the archive's MD5 in hexadecimal digits, as with the published client.
    #[must_use]
    pub fn version(&self) -> String {
        self.md5.iter().map(|byte| format!("{byte:02x}")).collect()
    }
}

/// The files below `root` that are not left out, sorted by their paths.
///
/// # Errors
/// [`BundleError::Read`] and [`BundleError::Empty`].
pub fn files(root: &Path) -> Result<Vec<File>, BundleError> {
    let real = fs::canonicalize(root).map_err(|error| unreadable(root, &error))?;
    let walk = WalkBuilder::new(root)
        .hidden(false)
        .ignore(false)
        .require_git(false)
        .follow_links(true)
        .add_custom_ignore_filename(IGNORE_FILE)
        .filter_entry(move |entry| is_wanted(entry) && !leads_out(entry, &real))
        .build();
    let mut files = Vec::new();
    for entry in walk {
        let entry = match entry {
            Ok(entry) => entry,
            Err(error) if is_a_dead_end(&error) => continue,
            Err(error) => return Err(BundleError::Read { path: root.to_owned(), reason: error.to_string() }),
        };
        // Neither directories nor sockets, pipes and devices.
        if !entry.file_type().is_some_and(|kind| kind.is_file()) {
            continue;
        }
        let metadata = fs::metadata(entry.path()).map_err(|error| unreadable(entry.path(), &error))?;
        let below = entry.path().strip_prefix(root).unwrap_or(entry.path());
        let parts: Vec<_> = below.components().map(|part| part.as_os_str().to_string_lossy()).collect();
        files.push(File { path: parts.join("/"), size: metadata.len() });
    }
    if files.is_empty() {
        return Err(BundleError::Empty { root: root.to_owned() });
    }
    files.sort_by(|one, other| one.path.cmp(&other.path));
    Ok(files)
}

/// A link that leads nowhere, or back to where it is: no file of the bundle.
fn is_a_dead_end(error: &ignore::Error) -> bool {
    match error {
        ignore::Error::Loop { .. } => true,
        ignore::Error::WithPath { err, path } => {
            is_a_dead_end(err) || (path.is_symlink() && fs::metadata(path).is_err())
        }
        ignore::Error::WithDepth { err, .. } | ignore::Error::WithLineNumber { err, .. } => {
            is_a_dead_end(err)
        }
        _ => false,
    }
}

/// A link to something that is not below `root`: a checkout may have one to a file of whoever runs it.
fn leads_out(entry: &DirEntry, root: &Path) -> bool {
    entry.depth() > 0
        && entry.path_is_symlink()
        && fs::canonicalize(entry.path()).is_ok_and(|target| !target.starts_with(root))
}

/// Whether what is called so holds a secret: what no task should get, and no reader of the project.
fn is_secret(name: &str) -> bool {
    let name = name.to_ascii_lowercase();
    SECRET.contains(&name.as_str())
        || name.starts_with(".env.")
        || name.ends_with(".pem")
        || name.ends_with(".key")
}

fn is_wanted(entry: &DirEntry) -> bool {
    let name = entry.file_name().to_string_lossy();
    if entry.depth() == 0 {
        return true;
    }
    if is_secret(&name) {
        return false;
    }
    if entry.file_type().is_some_and(|kind| kind.is_dir()) {
        let is_left_out = LEFT_OUT.contains(&name.as_ref()) || name == ".venv" || name.ends_with(".egg-info");
        return !is_left_out && !entry.path().join("pyvenv.cfg").is_file();
    }
    !(name.ends_with(".pyc") || name == ".git" || name == ".DS_Store")
}

fn archive(root: &Path, files: &[File]) -> Result<Vec<u8>, BundleError> {
    // Nothing of this machine: neither the moment nor its system.
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

/// Who may do what with a file: as the file says for its owner, and reading for others. Two people's `umask` make no two bundles.
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

#[cfg(test)]
#[path = "bundle_tests.rs"]
mod tests;
