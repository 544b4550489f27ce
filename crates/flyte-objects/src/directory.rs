//! Objects as files below a directory.
//!
//! Tasks write to this directory too, without restrictions. So symbolic links, pipes and devices are never followed or
//! opened: each path is walked from the directory's own descriptor, part by part.

use std::{
    fs::{self, DirBuilder, File},
    io::{self, Read as _},
    os::{
        fd::OwnedFd,
        unix::fs::{DirBuilderExt as _, FileExt as _},
    },
    path::{Path, PathBuf},
};

use bytes::Bytes;
use futures_util::{Stream, stream};
use rustix::{
    fs::{AtFlags, CWD, Dir, Mode, OFlags},
    io::Errno,
};
use tempfile::NamedTempFile;

use super::{Published, key::ObjectKey, staged::blocking};

const DIRECTORY: OFlags = OFlags::DIRECTORY.union(OFlags::CLOEXEC).union(OFlags::NOFOLLOW);
/// These flags do not wait for the other end of a pipe.
const FILE: OFlags = OFlags::RDONLY.union(OFlags::CLOEXEC).union(OFlags::NOFOLLOW).union(OFlags::NONBLOCK);
const CHUNK_SIZE: usize = 64 << 10;

/// A directory of objects.
#[derive(Clone, Debug)]
pub(super) struct Directory {
    root: PathBuf,
}

impl Directory {
    pub(super) fn new(root: PathBuf) -> Self {
        Self { root }
    }

    pub(super) fn root(&self) -> &Path {
        &self.root
    }

    /// Returns the object's file and its length, or `None` if there is no file.
    pub(super) fn open(&self, key: &ObjectKey) -> io::Result<Option<(File, u64)>> {
        match self.parent(key, false).and_then(|parent| open_in(&parent, key.file_name())) {
            Ok(file) => Ok(file),
            // A link in the place of a directory is ENOTDIR.
            Err(Errno::NOENT | Errno::NOTDIR | Errno::LOOP) => Ok(None),
            Err(error) => Err(error.into()),
        }
    }

    /// Returns whether there is a file with this key, or a directory that is not empty.
    pub(super) fn exists(&self, key: &ObjectKey) -> io::Result<bool> {
        if self.open(key)?.is_some() {
            return Ok(true);
        }
        let directory = match self.walk(key.segments(), false) {
            Ok(directory) => directory,
            Err(Errno::NOENT | Errno::NOTDIR | Errno::LOOP) => return Ok(false),
            Err(error) => return Err(error.into()),
        };
        for entry in Dir::new(directory)? {
            if !matches!(entry?.file_name().to_bytes(), b"." | b"..") {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Publishes a complete and synchronized file as the object. `replace` decides whether an existing object is
    /// replaced.
    pub(super) fn publish(
        &self,
        file: &NamedTempFile,
        key: &ObjectKey,
        replace: bool,
    ) -> io::Result<Published> {
        let parent = self.parent(key, true)?;
        let name = key.file_name();
        match rustix::fs::linkat(CWD, file.path(), &parent, name, AtFlags::empty()) {
            Ok(()) => {}
            Err(Errno::EXIST) if replace => {
                // The temporary name disappears here, so removing it afterwards finds nothing.
                rustix::fs::renameat(CWD, file.path(), &parent, name)?;
            }
            Err(Errno::EXIST) => {
                let existing = open_in(&parent, name).or_else(|error| match error {
                    Errno::LOOP => Ok(None),
                    error => Err(error),
                })?;
                let Some((existing, length)) = existing else { return Ok(Published::Taken) };
                let same = length == file.as_file().metadata()?.len() && same_content(existing, file.path())?;
                return Ok(if same { Published::Yes } else { Published::Taken });
            }
            Err(error) => return Err(error.into()),
        }
        rustix::fs::fsync(&parent)?;
        Ok(Published::Yes)
    }

    /// Makes durable all earlier writes to the file system, by any process.
    pub(super) fn synchronize(&self) -> io::Result<()> {
        let root = rustix::fs::open(&self.root, DIRECTORY.difference(OFlags::NOFOLLOW), Mode::empty())?;
        Ok(rustix::fs::syncfs(&root)?)
    }

    /// Creates the directory of this key, and those above it, if they do not exist.
    pub(super) fn make(&self, key: &ObjectKey) -> io::Result<()> {
        self.walk(key.segments(), true)?;
        Ok(())
    }

    /// Returns the directory that contains the object.
    fn parent(&self, key: &ObjectKey, make: bool) -> Result<OwnedFd, Errno> {
        let depth = key.segments().count().saturating_sub(1);
        self.walk(key.segments().take(depth), make)
    }

    /// Returns the directory at the end of these names.
    fn walk<'a>(&self, names: impl Iterator<Item = &'a str>, make: bool) -> Result<OwnedFd, Errno> {
        // The path to the root belongs to the administrator, who may use links in it.
        let mut directory =
            rustix::fs::open(&self.root, DIRECTORY.difference(OFlags::NOFOLLOW), Mode::empty())?;
        for segment in names {
            directory = match rustix::fs::openat(&directory, segment, DIRECTORY, Mode::empty()) {
                Err(Errno::NOENT) if make => {
                    match rustix::fs::mkdirat(&directory, segment, Mode::RWXU) {
                        Ok(()) => rustix::fs::fsync(&directory)?,
                        // Another upload has created it in the meantime.
                        Err(Errno::EXIST) => {}
                        Err(error) => return Err(error),
                    }
                    rustix::fs::openat(&directory, segment, DIRECTORY, Mode::empty())?
                }
                opened => opened?,
            };
        }
        Ok(directory)
    }
}

/// Creates a directory of the administrator, which only its owner can read, if it does not exist.
pub(super) fn make(directory: &Path) -> io::Result<()> {
    DirBuilder::new().mode(0o700).recursive(true).create(directory)
}

/// Reads `length` bytes of a file in chunks, beginning at `from`. It reads fewer if the file became shorter.
pub(super) fn stream(
    file: File,
    from: u64,
    length: u64,
    chunk: usize,
) -> impl Stream<Item = io::Result<Bytes>> + Send + 'static {
    stream::try_unfold((file, from, length), move |(file, at, rest)| async move {
        let most = usize::try_from(rest).unwrap_or(usize::MAX).min(chunk);
        if most == 0 {
            return Ok(None);
        }
        let (file, read) = blocking(move || {
            let mut buffer = vec![0; most];
            let read = file.read_at(&mut buffer, at)?;
            buffer.truncate(read);
            Ok((file, Bytes::from(buffer)))
        })
        .await?;
        let length = read.len() as u64;
        Ok((length > 0).then_some((read, (file, at + length, rest - length))))
    })
}

fn open_in(parent: &OwnedFd, name: &str) -> Result<Option<(File, u64)>, Errno> {
    let file = File::from(rustix::fs::openat(parent, name, FILE, Mode::empty())?);
    let metadata = file.metadata().map_err(|error| Errno::from_io_error(&error).unwrap_or(Errno::IO))?;
    Ok(metadata.is_file().then_some((file, metadata.len())))
}

fn same_content(mut one: File, other: &Path) -> io::Result<bool> {
    let mut other = fs::File::open(other)?;
    let (mut left, mut right) = (Vec::new(), Vec::new());
    loop {
        left.clear();
        right.clear();
        one.by_ref().take(CHUNK_SIZE as u64).read_to_end(&mut left)?;
        other.by_ref().take(CHUNK_SIZE as u64).read_to_end(&mut right)?;
        if left != right {
            return Ok(false);
        }
        if left.is_empty() {
            return Ok(true);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::{
        io::Write as _,
        os::unix::fs::{PermissionsExt as _, symlink},
    };

    use super::*;

    fn directory() -> (tempfile::TempDir, Directory) {
        let home = tempfile::tempdir().unwrap();
        let directory = Directory::new(home.path().join("objects"));
        make(directory.root()).unwrap();
        (home, directory)
    }

    fn file(home: &Path, content: &[u8]) -> NamedTempFile {
        let mut file = NamedTempFile::new_in(home).unwrap();
        file.write_all(content).unwrap();
        file
    }

    fn key(path: &str) -> ObjectKey {
        ObjectKey::new("p", "d", path).unwrap()
    }

    fn content(directory: &Directory, path: &str) -> Option<String> {
        let (mut file, length) = directory.open(&key(path)).unwrap()?;
        let mut text = String::new();
        file.read_to_string(&mut text).unwrap();
        assert_eq!(text.len() as u64, length);
        Some(text)
    }

    #[test]
    fn an_object_is_replaced_only_on_request() {
        let (home, directory) = directory();
        let put = |text: &str, replace| {
            directory.publish(&file(home.path(), text.as_bytes()), &key("a/b"), replace).unwrap()
        };
        assert_eq!(content(&directory, "a/b"), None);
        assert_eq!(put("one", false), Published::Yes);
        assert_eq!(put("one", false), Published::Yes, "the same content again");
        assert_eq!(put("two", false), Published::Taken);
        assert_eq!(put("longer", false), Published::Taken);
        assert_eq!(content(&directory, "a/b").unwrap(), "one");
        assert_eq!(put("two", true), Published::Yes);
        assert_eq!(content(&directory, "a/b").unwrap(), "two");
        let mode =
            |path: &str| fs::metadata(directory.root().join(path)).unwrap().permissions().mode() & 0o777;
        assert_eq!((mode("p/d/a"), mode("p/d/a/b")), (0o700, 0o600));
    }

    #[test]
    fn links_and_pipes_of_tasks_are_not_followed() {
        let (home, directory) = directory();
        let secret = home.path().join("sealing.key");
        fs::write(&secret, "secret").unwrap();
        let own = directory.root().join("p/d");
        fs::create_dir_all(&own).unwrap();
        symlink(&secret, own.join("file")).unwrap();
        symlink(home.path(), own.join("folder")).unwrap();
        rustix::fs::mknodat(CWD, own.join("pipe"), rustix::fs::FileType::Fifo, Mode::RUSR, 0).unwrap();
        fs::create_dir(own.join("directory")).unwrap();
        for path in ["file", "folder/sealing.key", "pipe", "directory", "file/x"] {
            assert_eq!(content(&directory, path), None, "{path}");
        }
        for path in ["file", "folder", "folder/a0/1", "pipe", "pipe/1"] {
            assert!(directory.make(&key(path)).is_err(), "{path}");
        }
        assert!(!home.path().join("a0").exists());
        directory.make(&key("directory/a0/1")).unwrap();
        directory.make(&key("directory/a0/1")).unwrap();
        assert!(own.join("directory/a0/1").is_dir());
        let planted = file(home.path(), b"planted");
        assert_eq!(directory.publish(&planted, &key("file"), false).unwrap(), Published::Taken);
        assert!(directory.publish(&planted, &key("folder/sealing.key"), true).is_err());
        assert_eq!(fs::read_to_string(&secret).unwrap(), "secret");
        // Replacing a link replaces the link itself, not its target.
        directory.publish(&planted, &key("file"), true).unwrap();
        assert_eq!(fs::read_to_string(&secret).unwrap(), "secret");
        assert_eq!(content(&directory, "file").unwrap(), "planted");
    }
}
