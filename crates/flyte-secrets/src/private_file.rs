//! Files that only their owner can read.

use std::{
    fs::{File, Permissions},
    io::{self, Write},
    os::unix::fs::PermissionsExt,
    path::Path,
};

/// Prefix of files that are being written. An interrupted write leaves one, and the next start removes it.
pub const UNFINISHED: &str = ".unfinished-";

/// Writes a file that only its owner can read. If the process or the machine dies during the write, the file has either
/// its old content or its new content.
///
/// # Errors
/// The directory is not writable, or the disk is full.
pub fn write_atomically(path: &Path, content: &[u8]) -> io::Result<()> {
    let directory = path.parent().unwrap_or(Path::new("."));
    let mut file = tempfile::Builder::new()
        .prefix(UNFINISHED)
        .permissions(Permissions::from_mode(0o600))
        .tempfile_in(directory)?;
    file.write_all(content)?;
    file.as_file().sync_all()?;
    file.persist(path).map_err(|error| error.error)?;
    File::open(directory)?.sync_all()
}
