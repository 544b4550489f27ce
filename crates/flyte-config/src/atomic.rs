//! Writing a file whole or not at all.

use std::fs::{self, File};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use crate::error::ConfigError;

/// Longest chain of symbolic links that is followed, as in Linux.
const MAX_LINKS: usize = 40;

/// Replaces the content of `path` by `text`, or creates it (0600, in directories of 0700).
///
/// The text is written to a temporary file in the same directory, synced and renamed over the old one, so
/// that a crash or a full disk leaves the old content. Symbolic links are followed and kept, and so are the
/// mode and, where this process may set it, the owner of an existing file.
pub(crate) fn write(path: &Path, text: &str) -> Result<(), ConfigError> {
    let fail = |action, path: &Path| {
        let path = path.to_owned();
        move |source| ConfigError::Io { action, path, source }
    };
    let target = follow(path).map_err(fail("follow the link", path))?;
    let directory = target.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    create_private(directory).map_err(fail("create the directory", directory))?;
    let replace = || -> io::Result<()> {
        // Created 0600 by the crate, so that nobody reads it before its mode is set.
        let mut file = tempfile::Builder::new().prefix(".config-").suffix(".tmp").tempfile_in(directory)?;
        file.write_all(text.as_bytes())?;
        if let Ok(metadata) = fs::metadata(&target) {
            copy_owner(&metadata, file.path());
            file.as_file().set_permissions(metadata.permissions())?;
        }
        file.as_file().sync_all()?;
        file.persist(&target)?;
        sync_directory(directory)
    };
    replace().map_err(fail("write", &target))
}

/// The file that a chain of symbolic links ends at; it need not exist.
fn follow(path: &Path) -> io::Result<PathBuf> {
    let mut path = path.to_owned();
    for _ in 0..MAX_LINKS {
        match fs::read_link(&path) {
            Ok(target) => path = path.parent().unwrap_or(Path::new("")).join(target),
            // No link, or nothing there.
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

/// Only root can give files away; for everybody else the owner is the same already or cannot be kept.
#[cfg(unix)]
fn copy_owner(of: &fs::Metadata, to: &Path) {
    use std::os::unix::fs::{MetadataExt as _, chown};
    let _ = chown(to, Some(of.uid()), Some(of.gid()));
}

#[cfg(not(unix))]
fn copy_owner(_of: &fs::Metadata, _to: &Path) {}

/// Makes the rename itself durable.
#[cfg(unix)]
fn sync_directory(directory: &Path) -> io::Result<()> {
    File::open(directory)?.sync_all()
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
    fn mode_and_links_are_kept_and_no_temporary_file_stays() {
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
    fn a_link_to_nothing_creates_its_target_and_a_circle_is_an_error() {
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
        // A directory cannot be replaced by a file.
        fs::create_dir(&path).unwrap();
        let error = write(&path, "new").unwrap_err();
        assert!(error.to_string().starts_with("cannot write "), "{error}");
        assert_eq!(names(directory.path()), ["config.yaml"]);
    }
}
