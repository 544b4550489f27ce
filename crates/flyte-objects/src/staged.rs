//! Content on its way in: in a file that nobody reads, until it is whole.

use std::{
    io::{self, Write as _},
    path::{Path, PathBuf},
};

use bytes::Bytes;
use md5::{Digest as _, Md5};
use tempfile::NamedTempFile;

use super::signed_url::hex;
use flyte_secrets::UNFINISHED;

/// How much is written at a time, in bytes.
const CHUNK: usize = 256 << 10;

/// An upload that has not become an object yet. Dropped, it leaves nothing behind; what a killed process leaves is removed
/// by `clear` at the next start.
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
            // Mode 0600.
            tempfile::Builder::new().prefix(UNFINISHED).tempfile_in(directory)
        })
        .await?;
        Ok(Self { file, buffer: Vec::new(), md5: Md5::new(), length: 0 })
    }

    /// Adds to it. To be given up after an error.
    ///
    /// # Errors
    /// When the disk is full, for one.
    pub async fn write(mut self, chunk: &Bytes) -> io::Result<Self> {
        self.length += chunk.len() as u64;
        self.buffer.extend_from_slice(chunk);
        if self.buffer.len() < CHUNK { Ok(self) } else { blocking(move || self.flush()).await }
    }

    /// Makes it durable.
    pub async fn finish(self) -> io::Result<Self> {
        blocking(move || {
            let staged = self.flush()?;
            staged.file.as_file().sync_all()?;
            Ok(staged)
        })
        .await
    }

    /// Its length so far, in bytes.
    #[must_use]
    pub fn length(&self) -> u64 {
        self.length
    }

    /// The MD5 of all of it, once finished.
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

/// The text of an MD5.
pub fn etag(md5: &[u8; 16]) -> String {
    format!("\"{}\"", hex(md5))
}

/// Makes the directory of what is on its way, and removes what an earlier process left there.
pub(super) fn clear(directory: &Path) -> io::Result<()> {
    match std::fs::remove_dir_all(directory) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    use std::os::unix::fs::DirBuilderExt as _;
    std::fs::DirBuilder::new().mode(0o700).create(directory)
}

/// Runs what waits for the disk beside the threads that answer requests.
pub(super) async fn blocking<T: Send + 'static>(
    work: impl FnOnce() -> io::Result<T> + Send + 'static,
) -> io::Result<T> {
    tokio::task::spawn_blocking(work).await.map_err(io::Error::other)?
}
