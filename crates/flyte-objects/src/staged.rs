//! Staged uploads: content in a file of its own, which is not an object until it is complete.

use std::{
    io::{self, Write as _},
    path::{Path, PathBuf},
};

use bytes::Bytes;
use md5::{Digest as _, Md5};
use tempfile::NamedTempFile;

use super::signed_url::hex;
use flyte_secrets::UNFINISHED;

/// How many bytes are written at a time.
const CHUNK_SIZE: usize = 256 << 10;

/// An upload that is not an object yet. Dropping it removes its file. The next start removes the files of a killed
/// process (`clear`).
#[derive(Debug)]
pub struct Staged {
    file: NamedTempFile,
    buffer: Vec<u8>,
    md5: Md5,
    length: u64,
}

impl Staged {
    pub(super) async fn begin(directory: PathBuf) -> io::Result<Self> {
        let file = blocking(move || {
            // The file has mode 0600.
            tempfile::Builder::new().prefix(UNFINISHED).tempfile_in(directory)
        })
        .await?;
        Ok(Self { file, buffer: Vec::new(), md5: Md5::new(), length: 0 })
    }

    /// Appends a chunk. After an error, the upload cannot be continued.
    ///
    /// # Errors
    /// A disk error, for example a full disk.
    pub async fn write(mut self, chunk: &Bytes) -> io::Result<Self> {
        self.length += chunk.len() as u64;
        self.buffer.extend_from_slice(chunk);
        if self.buffer.len() < CHUNK_SIZE { Ok(self) } else { blocking(move || self.flush()).await }
    }

    /// Makes the content durable.
    ///
    /// # Errors
    /// When the disk fails.
    pub async fn finish(self) -> io::Result<Self> {
        blocking(move || {
            let staged = self.flush()?;
            staged.file.as_file().sync_all()?;
            Ok(staged)
        })
        .await
    }

    /// Returns the length so far, in bytes.
    #[must_use]
    pub fn length(&self) -> u64 {
        self.length
    }

    /// Returns the MD5 of the whole content, after [`Staged::finish`].
    #[must_use]
    pub fn md5(&self) -> [u8; 16] {
        self.md5.clone().finalize().into()
    }

    pub(super) fn file(&self) -> &NamedTempFile {
        &self.file
    }

    fn flush(mut self) -> io::Result<Self> {
        self.md5.update(&self.buffer);
        self.file.write_all(&self.buffer)?;
        self.buffer.clear();
        Ok(self)
    }
}

/// Returns an MD5 as text.
#[must_use]
pub fn etag(md5: &[u8; 16]) -> String {
    format!("\"{}\"", hex(md5))
}

/// Creates the directory of staged uploads, and removes what an earlier process left there.
pub(super) fn clear(directory: &Path) -> io::Result<()> {
    match std::fs::remove_dir_all(directory) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    use std::os::unix::fs::DirBuilderExt as _;
    std::fs::DirBuilder::new().mode(0o700).create(directory)
}

/// Runs work that waits for the disk on another thread than those that serve requests.
pub(super) async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> io::Result<T> + Send + 'static,
) -> io::Result<T> {
    tokio::task::spawn_blocking(work).await.map_err(io::Error::other)?
}
