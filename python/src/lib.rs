//! The native half of the Python package `flyte`: sessions, calls and the formats of the wire.

use pyo3::prelude::*;

/// `flyte._native`; what is public of it is told by the Python package.
#[pymodule]
fn _native(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add("__version__", env!("CARGO_PKG_VERSION"))
}
