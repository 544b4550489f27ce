//! Packing code, as the `flyte` command does.

use std::path::{Path, PathBuf};

use flyte_client::bundle::{Bundle, BundleError, Contents, DEFAULT_LIMIT_BYTES, IGNORE_FILE};
use pyo3::prelude::*;
use pyo3::types::PyBytes;

use crate::failure::Failure;

/// The archive, its version, its files, and what was kept back.
type Packed<'py> = (Bound<'py, PyBytes>, String, Vec<String>, Vec<String>);

/// Packs the files below `root` that are named, and with `all` those that are not ignored.
///
/// Raises `CallError`.
#[pyfunction]
pub(crate) fn pack<'py>(
    py: Python<'py>,
    root: &str,
    all: bool,
    named: Vec<PathBuf>,
) -> Result<Packed<'py>, Failure> {
    let contents = Contents { all, named };
    let bundle = py.detach(|| Bundle::pack(Path::new(root), &contents, DEFAULT_LIMIT_BYTES))?;
    let files = bundle.files.into_iter().map(|file| file.path).collect();
    let version = bundle.md5.iter().map(|byte| format!("{byte:02x}")).collect();
    Ok((PyBytes::new(py, &bundle.archive), version, files, bundle.kept_back))
}

impl From<BundleError> for Failure {
    fn from(error: BundleError) -> Self {
        let hint = match &error {
            BundleError::Read { .. } => {
                format!("Make it readable, or exclude it in {IGNORE_FILE}.")
            }
            BundleError::Empty { .. } => {
                "Start from the directory of your code, or give root_dir to flyte.init.".to_owned()
            }
            BundleError::TooLarge { .. } => {
                format!("Name what is not needed in {IGNORE_FILE}, or give a smaller root_dir to flyte.init.")
            }
            _ => String::new(),
        };
        Self::new("invalid_argument", error.to_string(), hint)
    }
}
