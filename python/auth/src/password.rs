//! The encrypted file as a backend of the Python package `keyring`.

use flyte_auth::AuthError;
use flyte_auth::store::{Passwords, StoreError};
use pyo3::prelude::*;
use secrecy::{ExposeSecret as _, SecretString};

use crate::failure::Failure;
use crate::options::environment;

/// Does file work without the interpreter.
fn with_passwords<T: Send>(
    py: Python<'_>,
    work: impl FnOnce(&Passwords) -> Result<T, StoreError> + Send,
) -> PyResult<T> {
    let environment = environment()?;
    let done = py.detach(|| work(&Passwords::new(&environment)));
    Ok(done.map_err(|error| Failure::from(&AuthError::from(error)))?)
}

/// Reads a password; None if there is none.
///
/// Raises `CallError` if its file cannot be read.
#[pyfunction]
pub(crate) fn get_password(py: Python<'_>, service: &str, user: &str) -> PyResult<Option<String>> {
    let found = with_passwords(py, |passwords| passwords.get(service, user))?;
    Ok(found.map(|found| found.expose_secret().to_owned()))
}

/// Writes a password.
///
/// Raises `CallError` if its file cannot be written.
#[pyfunction]
pub(crate) fn set_password(py: Python<'_>, service: &str, user: &str, password: String) -> PyResult<()> {
    let password = SecretString::from(password);
    with_passwords(py, |passwords| passwords.set(service, user, &password))
}

/// Removes a password, and returns whether there was one.
///
/// Raises `CallError` if its file cannot be removed.
#[pyfunction]
pub(crate) fn remove_password(py: Python<'_>, service: &str, user: &str) -> PyResult<bool> {
    with_passwords(py, |passwords| passwords.remove(service, user))
}
