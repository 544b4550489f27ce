//! Python packages that this server adds to those of a task: an fsspec file system for the objects on this machine. The
//! published runtime reads and writes objects with it (`python/flyte_objects.py` explains why).

use std::{
    fs::DirBuilder,
    io,
    os::unix::fs::DirBuilderExt as _,
    path::{Path, PathBuf},
};

use flyte_objects::SCHEME;
use flyte_secrets::write_atomically;
use flyte_settings::Config;

/// The path and content of each file. Python recognizes an installed package by its directory of metadata and entry points.
const FILES: [(&str, &str); 3] = [
    ("flyte_objects.py", include_str!("python/flyte_objects.py")),
    ("flyte_objects-1.dist-info/METADATA", "Metadata-Version: 2.1\nName: flyte-objects\nVersion: 1\n"),
    (
        "flyte_objects-1.dist-info/entry_points.txt",
        "[fsspec.specs]\nobjects = flyte_objects:ObjectsFileSystem\n",
    ),
];

/// The directory of the packages.
#[must_use]
pub fn directory(config: &Config) -> PathBuf {
    config.data_dir.join("python")
}

/// Writes the packages of this version of the server.
///
/// # Errors
/// If the data directory cannot be written to.
pub fn install(data_dir: &Path) -> io::Result<()> {
    for (name, content) in FILES {
        let path = data_dir.join("python").join(name);
        if let Some(parent) = path.parent() {
            // Only the server's user can read the data directory.
            DirBuilder::new().recursive(true).mode(0o700).create(parent)?;
        }
        write_atomically(&path, content.as_bytes())?;
    }
    Ok(())
}

/// Converts the prefix of raw data. A local path becomes an `objects` URL, so that the runtime copies files there. Other
/// prefixes do not change.
pub(super) fn raw_data_url(prefix: String) -> String {
    if prefix.starts_with('/') { format!("{SCHEME}{prefix}") } else { prefix }
}
