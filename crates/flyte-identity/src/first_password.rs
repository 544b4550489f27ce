//! The file with the first administrator's password, which is generated at the first start.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use secrecy::{ExposeSecret as _, SecretString};

/// The file with the first administrator's password. It exists until the administrator has signed in.
pub const FILE: &str = "first-admin-password";
/// The mark of an earlier version: the first administrator's password may not have been shown yet.
pub const MARK: &str = "first-admin";

/// A file of the data directory could not be removed.
#[derive(Debug, thiserror::Error)]
#[error("cannot write {}: {source}", path.display())]
pub struct RemoveError {
    /// The file.
    pub path: PathBuf,
    /// The cause.
    pub source: io::Error,
}

/// The first administrator's account, whose password was generated.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FirstAdmin {
    /// The e-mail address for signing in.
    pub email: String,
    /// The file whose first line is the password. It is removed when the administrator has signed in.
    pub password_file: PathBuf,
}

/// Returns the administrator whose first password is still in a file of the data directory.
#[must_use]
pub fn read(data_dir: &Path) -> Option<FirstAdmin> {
    let password_file = data_dir.join(FILE);
    let text = fs::read_to_string(&password_file).map(SecretString::from).ok()?;
    let email = text.expose_secret().lines().nth(1)?.trim().to_owned();
    Some(FirstAdmin { email, password_file })
}

/// Removes the file with the first administrator's password if it belongs to this account: the administrator has
/// signed in or has another password.
///
/// # Errors
/// [`RemoveError`] if the file cannot be removed.
pub fn forget(data_dir: &Path, email: &str) -> Result<(), RemoveError> {
    let mark = data_dir.join(MARK);
    if fs::read_to_string(&mark).is_ok_and(|marked| marked.trim().eq_ignore_ascii_case(email)) {
        remove(&mark)?;
    }
    match read(data_dir) {
        Some(first) if first.email.eq_ignore_ascii_case(email) => remove(&first.password_file),
        _ => Ok(()),
    }
}

/// Removes one of the two files.
///
/// # Errors
/// [`RemoveError`] if the file cannot be removed.
pub fn remove(mark: &Path) -> Result<(), RemoveError> {
    match fs::remove_file(mark) {
        // A command that set the account's password may have removed it already.
        Err(source) if source.kind() != io::ErrorKind::NotFound => {
            Err(RemoveError { path: mark.to_owned(), source })
        }
        _ => Ok(()),
    }
}
