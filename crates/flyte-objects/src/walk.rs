//! Lists the files below a directory that tasks write to. Symbolic links, pipes and devices are not followed or opened
//! for reading.

use std::{
    ffi::{CString, OsStr},
    fs::File,
    io,
    os::{fd::OwnedFd, unix::ffi::OsStrExt as _},
    path::{Path, PathBuf},
};

use rustix::{
    fs::{Dir, FileType, Mode, OFlags},
    io::Errno,
};

/// The deepest level of directories that is read. Keys of objects have no more levels, and each level takes a file
/// descriptor.
const MAX_DEPTH: usize = 360;

/// A file below the directory.
#[derive(Debug)]
pub struct Found<'a> {
    /// The path below the directory.
    pub path: &'a Path,
    /// The open file, or the error that prevents opening it.
    pub file: io::Result<File>,
}

/// Calls `visit` for each regular file below `root`, in the order of their names. It skips files that disappear in the
/// meantime, and does nothing if `root` does not exist.
///
/// # Errors
/// A directory cannot be read, or `visit` fails.
pub fn files(root: &Path, visit: &mut dyn FnMut(Found<'_>) -> io::Result<()>) -> io::Result<()> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    match rustix::fs::open(root, flags, Mode::empty()) {
        Ok(directory) => descend(&directory, &mut PathBuf::new(), 0, visit),
        Err(Errno::NOENT) => Ok(()),
        Err(error) => Err(error.into()),
    }
}

fn descend(
    directory: &OwnedFd,
    at: &mut PathBuf,
    depth: usize,
    visit: &mut dyn FnMut(Found<'_>) -> io::Result<()>,
) -> io::Result<()> {
    let mut names: Vec<(CString, FileType)> = Dir::read_from(directory)?
        .map(|entry| entry.map(|entry| (entry.file_name().to_owned(), entry.file_type())))
        .collect::<Result<_, _>>()?;
    names.retain(|(name, _)| !matches!(name.to_bytes(), b"." | b".."));
    names.sort_by(|(one, _), (other, _)| one.cmp(other));
    for (name, kind) in names {
        if !matches!(kind, FileType::RegularFile | FileType::Directory | FileType::Unknown) {
            continue;
        }
        at.push(OsStr::from_bytes(name.to_bytes()));
        // This flag avoids waiting for the other end of a pipe.
        let flags = OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NOFOLLOW | OFlags::NONBLOCK;
        match rustix::fs::openat(directory, &name, flags, Mode::empty()) {
            Ok(opened) => match FileType::from_raw_mode(rustix::fs::fstat(&opened)?.st_mode) {
                FileType::Directory if depth < MAX_DEPTH => descend(&opened, at, depth + 1, visit)?,
                FileType::RegularFile => visit(Found { path: at, file: Ok(File::from(opened)) })?,
                _ => {}
            },
            // The file has disappeared, or is a link or socket.
            Err(Errno::NOENT | Errno::LOOP | Errno::NXIO) => {}
            Err(error) => visit(Found { path: at, file: Err(error.into()) })?,
        }
        at.pop();
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::{fs, io::Read as _, os::unix::fs::symlink};

    use super::*;

    #[test]
    fn links_and_pipes_are_skipped() {
        let home = tempfile::tempdir().unwrap();
        let root = home.path().join("root");
        fs::create_dir_all(root.join("a/b")).unwrap();
        fs::write(home.path().join("secret"), "secret").unwrap();
        fs::write(root.join("a/b/file"), "1").unwrap();
        fs::write(root.join("z"), "2").unwrap();
        symlink(home.path(), root.join("a/link")).unwrap();
        symlink(home.path().join("secret"), root.join("file")).unwrap();
        rustix::fs::mknodat(rustix::fs::CWD, root.join("pipe"), FileType::Fifo, Mode::RUSR, 0).unwrap();
        let mut found = Vec::new();
        files(&root, &mut |one| {
            let mut text = String::new();
            one.file?.read_to_string(&mut text)?;
            found.push((one.path.display().to_string(), text));
            Ok(())
        })
        .unwrap();
        assert_eq!(found, [("a/b/file".to_owned(), "1".to_owned()), ("z".to_owned(), "2".to_owned())]);
        files(&home.path().join("none"), &mut |_| panic!("the directory does not exist")).unwrap();
    }
}
