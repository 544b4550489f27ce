//! Writes files atomically.

use std::fs;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use crate::busy;
use crate::error::ConfigError;

/// The maximum number of symbolic links to follow, as in Linux.
const MAX_LINKS: usize = 40;

/// Replaces the content of `path` with `text`, or creates the file (mode 0600, missing directories with mode 0700).
///
/// Writes the text to a temporary file in the same directory, syncs it and renames it over the old file. After a crash, or if
/// the disk is full, the old content is therefore still there. Symbolic links are followed and kept. An existing file keeps its
/// mode, and its owner if this process may set it.
pub(crate) fn write(path: &Path, text: &str) -> Result<(), ConfigError> {
    let fail = |action, path: &Path| {
        let path = path.to_owned();
        move |source| ConfigError::Io { action, path, source }
    };
    let target = follow(path).map_err(fail("follow the link", path))?;
    let directory = target.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    create_private(directory).map_err(fail("create the directory", directory))?;
    let replace = || -> io::Result<()> {
        // `tempfile` creates the file with mode 0600, so other users cannot read it before its mode is set.
        let mut file = tempfile::Builder::new().prefix(".config-").suffix(".tmp").tempfile_in(directory)?;
        file.write_all(text.as_bytes())?;
        if let Ok(metadata) = fs::metadata(&target) {
            copy_owner(&metadata, file.path());
            file.as_file().set_permissions(metadata.permissions())?;
        }
        file.as_file().sync_all()?;
        busy::persist(file, &target)?;
        sync_directory(directory)
    };
    replace().map_err(fail("write", &target))
}

/// Follows symbolic links to the file at their end, which may not exist.
fn follow(path: &Path) -> io::Result<PathBuf> {
    let mut path = path.to_owned();
    for _ in 0..MAX_LINKS {
        match fs::read_link(&path) {
            Ok(target) => path = path.parent().unwrap_or(Path::new("")).join(target),
            // The path is not a link, or it does not exist.
            Err(_) => return Ok(path),
        }
    }
    Err(io::Error::other("too many symbolic links"))
}

#[cfg(unix)]
fn create_private(directory: &Path) -> io::Result<()> {
    use std::os::unix::fs::DirBuilderExt as _;
    fs::DirBuilder::new().recursive(true).mode(0o700).create(directory)
}

#[cfg(not(unix))]
fn create_private(directory: &Path) -> io::Result<()> {
    fs::create_dir_all(directory)
}

/// Copies the owner of a file. Only root can change the owner, so other users ignore the error.
#[cfg(unix)]
fn copy_owner(of: &fs::Metadata, to: &Path) {
    use std::os::unix::fs::{MetadataExt as _, chown};
    let _ = chown(to, Some(of.uid()), Some(of.gid()));
}

#[cfg(not(unix))]
fn copy_owner(_of: &fs::Metadata, _to: &Path) {}

/// Syncs the directory, so that the rename survives a crash.
#[cfg(unix)]
fn sync_directory(directory: &Path) -> io::Result<()> {
    fs::File::open(directory)?.sync_all()
}

#[cfg(not(unix))]
fn sync_directory(_directory: &Path) -> io::Result<()> {
    Ok(())
}

#[cfg(test)]
#[cfg(unix)]
mod tests {
    use std::os::unix::fs::{PermissionsExt as _, symlink};

    use super::*;

    fn mode(path: &Path) -> u32 {
        fs::metadata(path).unwrap().permissions().mode() & 0o777
    }

    fn names(directory: &Path) -> Vec<String> {
        fs::read_dir(directory)
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect()
    }

    #[test]
    fn a_new_file_is_private_and_so_are_its_directories() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("a/b/config.yaml");
        write(&path, "x").unwrap();
        assert_eq!(fs::read_to_string(&path).unwrap(), "x");
        assert_eq!((mode(&path), mode(path.parent().unwrap())), (0o600, 0o700));
        assert_eq!(mode(path.parent().unwrap().parent().unwrap()), 0o700);
    }

    #[test]
    fn mode_and_links_are_kept_and_no_temporary_file_is_left() {
        let directory = tempfile::tempdir().unwrap();
        let real = directory.path().join("real.yaml");
        fs::write(&real, "old").unwrap();
        fs::set_permissions(&real, fs::Permissions::from_mode(0o640)).unwrap();
        let link = directory.path().join("link.yaml");
        symlink("real.yaml", &link).unwrap();
        write(&link, "new").unwrap();
        assert_eq!(fs::read_to_string(&real).unwrap(), "new");
        assert_eq!(fs::read_link(&link).unwrap(), Path::new("real.yaml"));
        assert_eq!(mode(&real), 0o640);
        let mut names = names(directory.path());
        names.sort();
        assert_eq!(names, ["link.yaml", "real.yaml"]);
    }

    #[test]
    fn a_dangling_link_creates_its_target_and_a_loop_is_an_error() {
        let directory = tempfile::tempdir().unwrap();
        let link = directory.path().join("link.yaml");
        symlink("sub/real.yaml", &link).unwrap();
        write(&link, "new").unwrap();
        assert_eq!(fs::read_to_string(directory.path().join("sub/real.yaml")).unwrap(), "new");
        let circle = directory.path().join("circle.yaml");
        symlink("circle.yaml", &circle).unwrap();
        assert!(write(&circle, "new").is_err());
    }

    #[test]
    fn a_failed_write_leaves_the_old_content() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("config.yaml");
        // A file cannot replace a directory.
        fs::create_dir(&path).unwrap();
        let error = write(&path, "new").unwrap_err();
        assert!(error.to_string().starts_with("cannot write "), "{error}");
        assert_eq!(names(directory.path()), ["config.yaml"]);
    }
}
