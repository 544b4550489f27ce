//! Selects the files of a bundle.

use std::collections::{BTreeSet, HashSet};
use std::ffi::OsStr;
use std::fs;
use std::path::{Component, Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::{Arc, Mutex, PoisonError};

use ignore::{DirEntry, WalkBuilder};

use super::{BundleError, unreadable};

/// The name of files that leave out other files, with the same syntax as `.gitignore`.
pub const IGNORE_FILE: &str = ".flyteignore";
/// Names of files and directories that hold secrets, in lower case.
const SECRET_NAMES: [&str; 4] = [".env", ".aws", ".ssh", ".netrc"];
/// Directories of tools, which no run needs.
const TOOL_DIRECTORIES: [&str; 17] = [
    ".cache",
    ".eggs",
    ".flyte",
    ".git",
    ".hg",
    ".idea",
    ".ipynb_checkpoints",
    ".mypy_cache",
    ".nox",
    ".pytest_cache",
    ".ruff_cache",
    ".svn",
    ".tox",
    ".venv",
    "__pycache__",
    "node_modules",
    "venv",
];

/// A file of a bundle.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct File {
    /// The path below the root, with `/` between its parts.
    pub path: String,
    /// The size in bytes.
    pub size: u64,
}

/// The files of a bundle, and the files that are kept back although no ignore file names them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Selection {
    /// The files, sorted by their paths.
    pub files: Vec<File>,
    /// Paths below the root that may hold secrets or lead out of the root, sorted.
    pub kept_back: Vec<String>,
}

impl Selection {
    /// Adds a file, even if it was kept back.
    pub(super) fn add(&mut self, file: File) {
        self.kept_back.retain(|path| *path != file.path);
        if let Err(at) = self.files.binary_search_by(|other| other.path.cmp(&file.path)) {
            self.files.insert(at, file);
        }
    }
}

/// Selects the files below `root`. These are left out:
///
/// - files that `.gitignore` and `.flyteignore` files name, in `root` or in a directory above it in the same repository; as in git,
///   a tracked file is included even if a `.gitignore` names it
/// - directories of version control and of Python's tools, and virtual environments of any name
/// - files whose names say that they hold secrets
/// - symbolic links out of `root`, because everyone who can see the project can read the archive
///
/// Other symbolic links are followed.
///
/// # Errors
/// [`BundleError::Read`] and [`BundleError::Empty`].
pub fn select(root: &Path) -> Result<Selection, BundleError> {
    let real = fs::canonicalize(root).map_err(|error| unreadable(root, &error))?;
    let kept_back = KeptBack::default();
    let mut found = walk(root, &real, &kept_back, None)?;
    let paths: HashSet<_> = found.iter().map(|file| Path::new(&file.path)).collect();
    let tracked = tracked_files(&real).into_iter();
    let missing: Vec<_> = tracked.filter(|path| !paths.contains(path.as_path())).collect();
    if !missing.is_empty() {
        // The directories above the files are needed to reach them.
        let only = missing.iter().flat_map(|path| path.ancestors()).map(Path::to_owned).collect();
        found.extend(walk(root, &real, &kept_back, Some(only))?);
    }
    if found.is_empty() {
        return Err(BundleError::Empty { root: root.to_owned() });
    }
    Ok(Selection { files: found.into_iter().collect(), kept_back: kept_back.paths() })
}

/// The file at `path`, which is absolute or relative to `root`.
///
/// # Errors
/// [`BundleError::Read`] and [`BundleError::Outside`].
pub(super) fn named(root: &Path, path: &Path) -> Result<File, BundleError> {
    let outside = || BundleError::Outside { path: path.to_owned(), root: root.to_owned() };
    let full = root.join(path);
    let below = full.strip_prefix(root).map_err(|_| outside())?;
    if !below.components().all(|part| matches!(part, Component::Normal(_))) {
        return Err(outside());
    }
    let real_root = fs::canonicalize(root).map_err(|error| unreadable(root, &error))?;
    let real = fs::canonicalize(&full).map_err(|error| unreadable(&full, &error))?;
    if !real.starts_with(&real_root) {
        return Err(outside());
    }
    let metadata = fs::metadata(&real).map_err(|error| unreadable(&full, &error))?;
    if !metadata.is_file() {
        return Err(BundleError::Read { path: full, reason: "it is not a file".to_owned() });
    }
    Ok(File { path: joined(&full, below)?, size: metadata.len() })
}

/// Paths below the root that must not leave this machine.
#[derive(Clone, Debug, Default)]
struct KeptBack(Arc<Mutex<BTreeSet<String>>>);

impl KeptBack {
    fn note(&self, path: &Path) {
        self.0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .insert(path.to_string_lossy().replace('\\', "/"));
    }

    fn paths(&self) -> Vec<String> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).iter().cloned().collect()
    }
}

/// Finds the files below `root`. `only` restricts the search to these files, which must be listed with the directories above them;
/// the ignore files of git then do not count.
fn walk(
    root: &Path,
    real: &Path,
    kept_back: &KeptBack,
    only: Option<HashSet<PathBuf>>,
) -> Result<BTreeSet<File>, BundleError> {
    let git_decides = only.is_none();
    let (top, real, kept_back) = (root.to_owned(), real.to_owned(), kept_back.clone());
    let walk = WalkBuilder::new(root)
        .hidden(false)
        .ignore(false)
        .require_git(false)
        .git_ignore(git_decides)
        .git_global(git_decides)
        .git_exclude(git_decides)
        .follow_links(true)
        .add_custom_ignore_filename(IGNORE_FILE)
        .filter_entry(move |entry| {
            let Ok(below) = entry.path().strip_prefix(&top) else { return true };
            if entry.depth() == 0 {
                return true;
            }
            if only.as_ref().is_some_and(|only| !only.contains(below)) {
                return false;
            }
            if is_secret(entry.file_name()) || is_unsafe_link(entry, &real) {
                kept_back.note(below);
                return false;
            }
            is_source(entry)
        })
        .build();
    let mut files = BTreeSet::new();
    for entry in walk {
        let entry = match entry {
            Ok(entry) => entry,
            Err(error) if is_broken_link(&error) => continue,
            Err(error) => return Err(BundleError::Read { path: root.to_owned(), reason: error.to_string() }),
        };
        // Skip directories, sockets, pipes and devices.
        if !entry.file_type().is_some_and(|kind| kind.is_file()) {
            continue;
        }
        let metadata = fs::metadata(entry.path()).map_err(|error| unreadable(entry.path(), &error))?;
        let below = entry.path().strip_prefix(root).unwrap_or(entry.path());
        files.insert(File { path: joined(entry.path(), below)?, size: metadata.len() });
    }
    Ok(files)
}

/// The files below `root` that are in git's index. Empty if there is no repository or git is not installed.
fn tracked_files(root: &Path) -> Vec<PathBuf> {
    if !root.ancestors().any(|directory| directory.join(".git").exists()) {
        return Vec::new();
    }
    // The setting `core.fsmonitor` of a repository would start a program.
    let listed = Command::new("git")
        .args(["-c", "core.fsmonitor=false", "ls-files", "-z", "--cached"])
        .current_dir(root)
        .stdin(Stdio::null())
        .stderr(Stdio::null())
        .output();
    let listed = match listed {
        Ok(output) if output.status.success() => output.stdout,
        _ => return Vec::new(),
    };
    listed.split(|byte| *byte == 0).filter(|name| !name.is_empty()).filter_map(path_of).collect()
}

#[cfg(unix)]
fn path_of(name: &[u8]) -> Option<PathBuf> {
    use std::os::unix::ffi::OsStrExt as _;
    Some(PathBuf::from(OsStr::from_bytes(name)))
}

#[cfg(not(unix))]
fn path_of(name: &[u8]) -> Option<PathBuf> {
    std::str::from_utf8(name).ok().map(PathBuf::from)
}

/// Joins the parts of a path below the root with `/`.
fn joined(full: &Path, below: &Path) -> Result<String, BundleError> {
    let not_text = || BundleError::Read { path: full.to_owned(), reason: "its name is not UTF-8".to_owned() };
    let parts: Option<Vec<_>> = below.components().map(|part| part.as_os_str().to_str()).collect();
    Ok(parts.ok_or_else(not_text)?.join("/"))
}

/// Whether an error is about a symbolic link without a target, or about a loop of links. These are not in the bundle.
fn is_broken_link(error: &ignore::Error) -> bool {
    match error {
        ignore::Error::Loop { .. } => true,
        ignore::Error::WithPath { err, path } => {
            is_broken_link(err) || (path.is_symlink() && fs::metadata(path).is_err())
        }
        ignore::Error::WithDepth { err, .. } | ignore::Error::WithLineNumber { err, .. } => {
            is_broken_link(err)
        }
        _ => false,
    }
}

/// Whether an entry is a symbolic link to a file outside `root`, or to a file that is left out under its own name. A checkout may
/// contain a link to any file of the person who checked it out.
fn is_unsafe_link(entry: &DirEntry, root: &Path) -> bool {
    if !entry.path_is_symlink() {
        return false;
    }
    let Ok(target) = fs::canonicalize(entry.path()) else { return false };
    match target.strip_prefix(root) {
        Err(_) => true,
        Ok(below) => below.components().any(|part| {
            let name = part.as_os_str();
            is_secret(name) || name.to_str().is_some_and(|name| TOOL_DIRECTORIES.contains(&name))
        }),
    }
}

/// Whether the name of a file or directory says that it holds a secret.
fn is_secret(name: &OsStr) -> bool {
    let name = name.to_string_lossy().to_ascii_lowercase();
    SECRET_NAMES.contains(&name.as_str())
        || name.starts_with(".env.")
        || name.ends_with(".pem")
        || name.ends_with(".key")
}

/// Whether an entry is not made by a tool or the system.
fn is_source(entry: &DirEntry) -> bool {
    let name = entry.file_name().to_string_lossy();
    if entry.file_type().is_some_and(|kind| kind.is_dir()) {
        let is_of_a_tool = TOOL_DIRECTORIES.contains(&name.as_ref()) || name.ends_with(".egg-info");
        return !is_of_a_tool && !entry.path().join("pyvenv.cfg").is_file();
    }
    !(name.ends_with(".pyc") || name == ".git" || name == ".DS_Store")
}
