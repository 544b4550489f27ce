//! The native half of the Python package `flyte_auth`: sessions, calls and the formats of the wire.
//!
//! Everything here is plain: text and bytes in, text and bytes out. What people see (classes, errors, tables) is written in
//! Python, in `flyte_auth/` and `python/sdk/flyte`. Nothing keeps the interpreter locked while it waits, and everything works again in a forked child.
#![forbid(unsafe_code)]

mod api_key;
mod awaiting;
mod bundle;
mod failure;
mod options;
mod password;
mod prompt;
mod qr;
mod runtime;
mod session;
mod settings;
mod stream;
mod wire;

use pyo3::prelude::*;

/// `flyte_auth._native`. The Python package defines the public interface.
#[pymodule]
mod _native {
    use pyo3::prelude::*;

    /// Runs when the module is imported.
    #[pymodule_init]
    fn init(module: &Bound<'_, PyModule>) -> PyResult<()> {
        super::runtime::follow_the_interpreter(module)
    }

    #[pymodule_export]
    use super::api_key::decode_api_key;
    #[pymodule_export]
    use super::bundle::pack;
    #[pymodule_export]
    use super::failure::CallError;
    #[pymodule_export]
    use super::failure::name_command;
    #[pymodule_export]
    use super::password::{get_password, remove_password, set_password};
    #[pymodule_export]
    use super::qr::qr;
    #[pymodule_export]
    use super::session::Session;
    #[pymodule_export]
    use super::settings::config;
    #[pymodule_export]
    use super::stream::Stream;
    #[pymodule_export]
    use super::wire::{decode, encode};
    #[pymodule_export]
    #[allow(non_upper_case_globals)]
    const __version__: &str = env!("CARGO_PKG_VERSION");
}
