//! Unpacks the archive of a code bundle that another person may have made.

use std::fs::{self, File};
use std::io::{self, BufReader, Read, Seek as _, SeekFrom};
use std::path::{Component, Path, PathBuf};

use flate2::read::MultiGzDecoder;
use tar::{Archive, EntryType};

/// The first bytes of gzip data (RFC 1952 section 2.3.1).
const GZIP: [u8; 2] = [0x1f, 0x8b];
/// The number of files that [`UnpackError::Different`] names.
const NAMED_FILES: usize = 3;

/// Why an archive cannot be unpacked.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum UnpackError {
    /// It is not a readable archive.
    #[error("the archive cannot be read: {0}")]
    Read(#[source] io::Error),
    /// A file cannot be written.
    #[error("cannot write {}: {error}", path.display())]
    Write {
        /// The file.
        path: PathBuf,
        /// The reason.
        error: io::Error,
    },
    /// A path in the archive leads out of the directory.
    #[error("the archive has a file outside of the directory: {0:?}")]
    Outside(PathBuf),
    /// The directory has other files with these names.
    #[error("{} different {} there already: {}", .0.len(), if .0.len() == 1 { "file is" } else { "files are" },
        .0.iter().take(NAMED_FILES).map(|path| path.display().to_string()).collect::<Vec<_>>().join(", "))]
    Different(Vec<PathBuf>),
}

/// Lists the files in an archive, sorted.
///
/// # Errors
/// [`UnpackError::Read`].
pub fn list(archive: &Path) -> Result<Vec<String>, UnpackError> {
    let mut files = Vec::new();
    for entry in open(archive)?.entries().map_err(UnpackError::Read)? {
        let entry = entry.map_err(UnpackError::Read)?;
        if entry.header().entry_type().is_file() {
            files.push(entry.path().map_err(UnpackError::Read)?.to_string_lossy().into_owned());
        }
    }
    files.sort();
    Ok(files)
}

/// Unpacks the files and directories of an archive into a directory, and returns the number of files. Links are left out. Unless
/// `replace` is set, a file with other content is not replaced, and then nothing is written.
///
/// # Errors
/// [`UnpackError`].
pub fn unpack(archive: &Path, into: &Path, replace: bool) -> Result<usize, UnpackError> {
    let mut different = Vec::new();
    // The first pass writes nothing, so that an error leaves the directory unchanged.
    for entry in open(archive)?.entries().map_err(UnpackError::Read)? {
        let mut entry = entry.map_err(UnpackError::Read)?;
        let path = inside(&entry.path().map_err(UnpackError::Read)?)?;
        let target = into.join(&path);
        if entry.header().entry_type().is_file() && !replace && differs(&target, &mut entry)? {
            different.push(path);
        }
    }
    if !different.is_empty() {
        return Err(UnpackError::Different(different));
    }
    let mut count = 0;
    for entry in open(archive)?.entries().map_err(UnpackError::Read)? {
        let mut entry = entry.map_err(UnpackError::Read)?;
        let path = inside(&entry.path().map_err(UnpackError::Read)?)?;
        if !matches!(entry.header().entry_type(), EntryType::Regular | EntryType::Directory) {
            continue;
        }
        entry.set_preserve_mtime(false);
        // This also refuses a path through a symbolic link that leads out of the directory.
        let written = entry.unpack_in(into);
        if !written.map_err(|error| UnpackError::Write { path: into.join(&path), error })? {
            return Err(UnpackError::Outside(path));
        }
        count += usize::from(entry.header().entry_type().is_file());
    }
    Ok(count)
}

fn open(archive: &Path) -> Result<Archive<Box<dyn Read>>, UnpackError> {
    let mut file = File::open(archive).map_err(UnpackError::Read)?;
    let mut start = Vec::new();
    (&mut file).take(2).read_to_end(&mut start).map_err(UnpackError::Read)?;
    file.seek(SeekFrom::Start(0)).map_err(UnpackError::Read)?;
    let file = BufReader::new(file);
    let reader: Box<dyn Read> =
        if start == GZIP { Box::new(MultiGzDecoder::new(file)) } else { Box::new(file) };
    Ok(Archive::new(reader))
}

/// A path without `.`; an error if it is absolute or has `..`.
fn inside(path: &Path) -> Result<PathBuf, UnpackError> {
    let mut inside = PathBuf::new();
    for component in path.components() {
        match component {
            Component::Normal(part) => inside.push(part),
            Component::CurDir => {}
            _ => return Err(UnpackError::Outside(path.to_owned())),
        }
    }
    Ok(inside)
}

/// Whether there is something else than a file with this content at a path.
fn differs(path: &Path, content: &mut impl Read) -> Result<bool, UnpackError> {
    let unreadable = |error| UnpackError::Write { path: path.to_owned(), error };
    match fs::symlink_metadata(path) {
        Ok(metadata) if metadata.is_file() => {
            let mut wanted = Vec::new();
            content.read_to_end(&mut wanted).map_err(UnpackError::Read)?;
            Ok(fs::read(path).map_err(unreadable)? != wanted)
        }
        Ok(_) => Ok(true),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
        Err(error) => Err(unreadable(error)),
    }
}

#[cfg(test)]
mod tests {
    use tempfile::TempDir;

    use super::*;
    use crate::bundle::{Bundle, Contents, DEFAULT_LIMIT_BYTES};

    fn packed(files: &[(&str, &str)]) -> (TempDir, PathBuf) {
        let directory = TempDir::new().unwrap();
        let root = directory.path().join("root");
        for (path, text) in files {
            let path = root.join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        }
        let contents = Contents { all: true, named: Vec::new() };
        let bundle = Bundle::pack(&root, &contents, DEFAULT_LIMIT_BYTES).unwrap();
        let archive = directory.path().join("code.tgz");
        fs::write(&archive, &bundle.archive).unwrap();
        (directory, archive)
    }

    #[test]
    fn bundle_is_listed_and_unpacked() {
        let (directory, archive) = packed(&[("app.py", "1"), ("lib/x.py", "2")]);
        assert_eq!(list(&archive).unwrap(), ["app.py", "lib/x.py"]);
        let into = directory.path().join("out");
        fs::create_dir(&into).unwrap();
        assert_eq!(unpack(&archive, &into, false).unwrap(), 2);
        assert_eq!(fs::read_to_string(into.join("lib/x.py")).unwrap(), "2");
        // Again: the same files are no conflict, changed ones are.
        assert_eq!(unpack(&archive, &into, false).unwrap(), 2);
        fs::write(into.join("lib/x.py"), "mine").unwrap();
        fs::remove_file(into.join("app.py")).unwrap();
        let error = unpack(&archive, &into, false).unwrap_err().to_string();
        assert_eq!(error, format!("1 different file is there already: {}", Path::new("lib/x.py").display()));
        assert!(!into.join("app.py").exists(), "nothing is written");
        assert_eq!(unpack(&archive, &into, true).unwrap(), 2);
        assert_eq!(fs::read_to_string(into.join("lib/x.py")).unwrap(), "2");
    }

    #[test]
    fn archive_cannot_write_outside_of_the_directory() {
        let directory = TempDir::new().unwrap();
        let into = directory.path().join("out");
        fs::create_dir(&into).unwrap();
        let archive = directory.path().join("evil.tar");
        for name in [&b"../evil"[..], b"/tmp/commands-evil", b"a/../../evil"] {
            let mut tar = tar::Builder::new(Vec::new());
            let mut header = tar::Header::new_gnu();
            // `set_path` refuses these names.
            header.as_gnu_mut().unwrap().name[..name.len()].copy_from_slice(name);
            header.set_size(1);
            header.set_mode(0o644);
            header.set_cksum();
            tar.append(&header, &b"x"[..]).unwrap();
            fs::write(&archive, tar.into_inner().unwrap()).unwrap();
            assert!(matches!(unpack(&archive, &into, true), Err(UnpackError::Outside(_))), "{name:?}");
        }
        assert!(!directory.path().join("evil").exists());
        fs::write(&archive, "no archive").unwrap();
        assert!(matches!(list(&archive), Err(UnpackError::Read(_))));
    }
}
