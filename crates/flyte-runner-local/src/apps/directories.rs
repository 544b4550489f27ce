//! The directories of the processes of apps: `DATA/apps/PROJECT/DOMAIN/NAME/NUMBER`.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use crate::directory::component;
use flyte_store::AppId;

/// The directory of all apps.
pub(super) fn root(data_dir: &Path) -> PathBuf {
    data_dir.join("apps")
}

/// The directory of an app.
pub(super) fn of_app(data_dir: &Path, id: &AppId) -> PathBuf {
    let mut path = root(data_dir);
    for name in [&id.project, &id.domain, &id.name] {
        path.push(component(name));
    }
    path
}

/// The directory of an app's process.
pub(crate) fn of_process(data_dir: &Path, id: &AppId, number: u64) -> PathBuf {
    of_app(data_dir, id).join(number.to_string())
}

/// The directories that are `depth` levels below `path`. Empty if `path` does not exist.
pub(super) fn below(path: &Path, depth: usize) -> io::Result<Vec<PathBuf>> {
    let mut level = vec![path.to_owned()];
    for _ in 0..depth {
        let mut next = Vec::new();
        for path in level {
            match fs::read_dir(&path) {
                Ok(entries) => {
                    for entry in entries {
                        let entry = entry?;
                        if entry.file_type()?.is_dir() {
                            next.push(entry.path());
                        }
                    }
                }
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                Err(error) => return Err(error),
            }
        }
        level = next;
    }
    Ok(level)
}

/// Removes a directory and its contents. Does nothing if the directory does not exist.
pub(super) fn remove(path: &Path) -> io::Result<()> {
    match fs::remove_dir_all(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_process_has_its_own_directory() {
        let directory = tempfile::tempdir().unwrap();
        let id = AppId { project: "p".to_owned(), domain: "d".to_owned(), name: "../web".to_owned() };
        let path = of_process(directory.path(), &id, 7);
        assert_eq!(path, directory.path().join("apps/p/d/%2E.%2Fweb/7"));
        assert!(below(&root(directory.path()), 4).unwrap().is_empty());
        fs::create_dir_all(&path).unwrap();
        fs::write(path.with_file_name("8"), "a file").unwrap();
        assert_eq!(below(&root(directory.path()), 4).unwrap(), [path]);
        for _ in 0..2 {
            remove(&of_app(directory.path(), &id)).unwrap();
        }
        assert!(below(&root(directory.path()), 3).unwrap().is_empty());
    }
}
