//! What tasks get beside their own libraries: the objects on this machine as a file system of fsspec's, which the published
//! runtime reads and writes by (`python/flyte_objects.py` tells why).

use std::{
    fs::DirBuilder,
    io,
    os::unix::fs::DirBuilderExt as _,
    path::{Path, PathBuf},
};

use flyte_objects::SCHEME;
use flyte_secrets::write_atomically;
use flyte_settings::Config;

/// Each file, below the directory. A directory with metadata and entry points is how Python knows an installed package.
const FILES: [(&str, &str); 3] = [
    ("flyte_objects.py", include_str!("python/flyte_objects.py")),
    ("flyte_objects-1.dist-info/METADATA", "Metadata-Version: 2.1\nName: flyte-objects\nVersion: 1\n"),
    (
        "flyte_objects-1.dist-info/entry_points.txt",
        "[fsspec.specs]\nobjects = flyte_objects:ObjectsFileSystem\n",
    ),
];

/// Where they are.
#[must_use]
pub fn directory(config: &Config) -> PathBuf {
    config.data_dir.join("python")
}

/// Writes them, as this version of the server has them.
///
/// # Errors
/// When the data directory cannot be written to.
pub fn install(data_dir: &Path) -> io::Result<()> {
    for (name, content) in FILES {
        let path = data_dir.join("python").join(name);
        if let Some(parent) = path.parent() {
            // As all of the data directory: for nobody else.
            DirBuilder::new().recursive(true).mode(0o700).create(parent)?;
        }
        write_atomically(&path, content.as_bytes())?;
    }
    Ok(())
}

/// A place for what a task gives back, told so that it is copied there. What lies elsewhere than on this machine is as it is.
pub(super) fn raw_data(prefix: String) -> String {
    if prefix.starts_with('/') { format!("{SCHEME}{prefix}") } else { prefix }
}
