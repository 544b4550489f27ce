//! The manifest: the list of a backup's files.

use std::{
    ffi::OsStr,
    fs,
    io::{self, Read},
    os::unix::{ffi::OsStrExt as _, fs::MetadataExt as _},
    path::{Component, Path, PathBuf},
};

use aws_lc_rs::digest::{Context, SHA256, digest};
use serde::{Deserialize, Serialize};

use super::{BackupError, at};
use flyte_objects::signed_url::hex;
use flyte_secrets::write_atomically;

/// The start of the file.
const MAGIC: &str = "flyte-server-backup 1 ";
const NAME: &str = "manifest";
/// The file name of the database in a data directory.
pub(super) const DATABASE: &str = "flyte.db";
/// The number of bytes in one read.
const CHUNK_BYTES: usize = 256 << 10;

/// The content of a backup.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Manifest {
    /// The version of the server that created it.
    pub version: String,
    /// Time of creation (RFC 3339).
    pub created_at: String,
    /// The backed-up data directory.
    pub data_dir: PathBuf,
    /// The bucket with the objects, which the backup does not include.
    pub bucket: Option<String>,
    /// The files.
    pub files: Vec<Entry>,
}

/// A file of a backup.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entry {
    /// The path in the data directory; `%` and bytes that are not UTF-8 are escaped as `%XX`.
    pub path: String,
    /// SHA-256 of the content.
    pub sha256: String,
    /// Size in bytes.
    pub size: u64,
    /// Shows whether the file has changed since the backup.
    pub stamp: Option<Stamp>,
}

/// Inode, modification time and change time (seconds and nanoseconds) of a file.
pub(super) type Stamp = (u64, i64, i64, i64, i64);

/// Returns the stamp of a file.
pub(super) fn stamp(metadata: &fs::Metadata) -> Stamp {
    (metadata.ino(), metadata.mtime(), metadata.mtime_nsec(), metadata.ctime(), metadata.ctime_nsec())
}

impl Manifest {
    /// Reads the manifest of the backup in `directory`; `None` if there is none.
    ///
    /// # Errors
    /// [`BackupError::Damaged`], [`BackupError::Later`] and [`BackupError::File`].
    pub fn read(directory: &Path) -> Result<Option<Self>, BackupError> {
        let path = directory.join(NAME);
        let text = match fs::read_to_string(&path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            other => other.map_err(at(&path))?,
        };
        let damaged = |what: &str| BackupError::Damaged { path: directory.to_owned(), what: what.to_owned() };
        let (first, json) = text.split_once('\n').ok_or_else(|| damaged("its manifest is incomplete"))?;
        let Some(expected) = first.strip_prefix(MAGIC) else {
            return Err(match first.strip_prefix("flyte-server-backup ") {
                Some(_) => BackupError::Later { path: directory.to_owned(), version: first.to_owned() },
                None => damaged("its manifest has another format"),
            });
        };
        if hex(digest(&SHA256, json.as_bytes()).as_ref()) != expected {
            return Err(damaged("its manifest has been changed"));
        }
        serde_json::from_str(json).map(Some).map_err(|error| damaged(&format!("its manifest: {error}")))
    }

    /// Writes the manifest atomically.
    pub(super) fn write(&self, directory: &Path) -> Result<(), BackupError> {
        let path = directory.join(NAME);
        let json = serde_json::to_string(self).map_err(io::Error::other).map_err(at(&path))?;
        let text = format!("{MAGIC}{}\n{json}", hex(digest(&SHA256, json.as_bytes()).as_ref()));
        write_atomically(&path, text.as_bytes()).map_err(at(&path))
    }

    /// Checks all contents of the backup in `directory` against the manifest.
    ///
    /// # Errors
    /// [`BackupError::Damaged`] with the first wrong file.
    pub fn verify(&self, directory: &Path) -> Result<(), BackupError> {
        for entry in &self.files {
            entry.verify(directory)?;
        }
        Ok(())
    }
}

impl Entry {
    /// The path of the content.
    pub(super) fn content(&self, directory: &Path) -> PathBuf {
        content(directory, &self.sha256)
    }

    /// Checks the content.
    pub(super) fn verify(&self, directory: &Path) -> Result<(), BackupError> {
        let content = self.content(directory);
        let (sha256, size) = match fs::File::open(&content) {
            Ok(file) => hash(file, &mut io::sink()).map_err(at(&content))?,
            Err(error) if error.kind() == io::ErrorKind::NotFound => (String::new(), 0),
            Err(error) => return Err(at(&content)(error)),
        };
        self.check(directory, &sha256, size)
    }

    /// Compares a read content with the manifest.
    pub(super) fn check(&self, directory: &Path, sha256: &str, size: u64) -> Result<(), BackupError> {
        if sha256 == self.sha256 && size == self.size {
            return Ok(());
        }
        let what = format!("the content of {} is missing or has been changed", self.path);
        Err(BackupError::Damaged { path: directory.to_owned(), what })
    }

    /// Returns the path in the data directory; `None` if it would lead elsewhere.
    pub(super) fn relative(&self) -> Option<PathBuf> {
        let path = unescape(&self.path)?;
        let inside = path.components().all(|part| matches!(part, Component::Normal(_)));
        (inside && path.components().next().is_some()).then_some(path)
    }
}

/// Returns the path of the content with this hash. Only hexadecimal digits are used, so the path cannot lead
/// elsewhere.
pub(super) fn content(directory: &Path, sha256: &str) -> PathBuf {
    let name: String = sha256.chars().filter(char::is_ascii_hexdigit).collect();
    directory.join("content").join(name.get(..2).unwrap_or("00")).join(name)
}

/// Copies all of `from`; returns its SHA-256 and length.
pub(super) fn hash(mut from: impl Read, to: &mut dyn io::Write) -> io::Result<(String, u64)> {
    let (mut context, mut length, mut buffer) = (Context::new(&SHA256), 0, vec![0; CHUNK_BYTES]);
    loop {
        let read = match from.read(&mut buffer) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            other => other?,
        };
        let part = buffer.get(..read).unwrap_or_default();
        if part.is_empty() {
            return Ok((hex(context.finish().as_ref()), length));
        }
        context.update(part);
        to.write_all(part)?;
        length += part.len() as u64;
    }
}

/// Formats a path as text.
pub(super) fn escape(path: &Path) -> String {
    if let Some(text) = path.to_str().filter(|text| !text.contains('%')) {
        return text.to_owned();
    }
    path.as_os_str().as_bytes().iter().fold(String::new(), |mut text, byte| {
        match byte {
            b'%' | 0x80.. => text.push_str(&format!("%{byte:02X}")),
            _ => text.push(char::from(*byte)),
        }
        text
    })
}

/// Parses a path from [`escape`].
fn unescape(text: &str) -> Option<PathBuf> {
    let (mut bytes, mut rest) = (Vec::with_capacity(text.len()), text.as_bytes());
    while let Some((first, tail)) = rest.split_first() {
        rest = tail;
        if *first == b'%' {
            let (digits, tail) = rest.split_at_checked(2)?;
            bytes.push(u8::from_str_radix(std::str::from_utf8(digits).ok()?, 16).ok()?);
            rest = tail;
        } else {
            bytes.push(*first);
        }
    }
    Some(PathBuf::from(OsStr::from_bytes(&bytes)))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn every_path_is_parsed_back(bytes in prop::collection::vec(1_u8..=255, 1..24)) {
            let path = PathBuf::from(OsStr::from_bytes(&bytes));
            prop_assert_eq!(unescape(&escape(&path)), Some(path));
        }
    }

    #[test]
    fn no_file_is_restored_outside_the_target() {
        for (path, good) in [
            ("a/b", true),
            ("/a", false),
            ("../a", false),
            ("a/../b", false),
            ("", false),
            ("%2E%2E/a", false),
        ] {
            let entry = Entry { path: path.to_owned(), sha256: String::new(), size: 0, stamp: None };
            assert_eq!(entry.relative().is_some(), good, "{path}");
        }
    }
}
