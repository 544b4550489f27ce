//! Files that only their owner can read.

use std::{
    fs::{File, Permissions},
    io::{self, Write},
    os::unix::fs::PermissionsExt,
    path::Path,
};

/// Prefix of files being written: an interrupted write leaves one behind, which the next start removes.
pub const UNFINISHED: &str = ".unfinished-";

/// Writes a file that only its owner can read so that, whenever the process or the machine dies, it has its old content
/// or its new one.
///
/// # Errors
/// When the directory cannot be written to, or the disk is full.
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
