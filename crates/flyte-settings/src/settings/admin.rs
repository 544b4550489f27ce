//! `admin`: the first administrator.

use std::path::PathBuf;

use super::check::any;
use crate::setting::{
    Default::{Depends, Value},
    Setting,
};

/// [`AdminConfig::email`](crate::AdminConfig::email).
pub static ADMIN_EMAIL: Setting<String> = Setting {
    key: "admin.email",
    flag: Some("admin-email"),
    placeholder: "ADDRESS",
    default: Value("admin@localhost"),
    help: "E-mail address of the administrator that the first start creates. Ignored once an account exists.",
    check: |address| email(address),
};

/// [`AdminConfig::password_file`](crate::AdminConfig::password_file).
pub static ADMIN_PASSWORD_FILE: Setting<PathBuf> = Setting {
    key: "admin.password-file",
    flag: Some("admin-password-file"),
    placeholder: "FILE",
    default: Depends("none: the server generates a password and prints it once"),
    help: "File whose first line is the administrator's password. Ignored once an account exists.",
    check: any,
};

/// Checks that the text can be an account's e-mail address.
///
/// # Errors
/// The reason why it cannot.
pub fn email(address: &str) -> Result<(), String> {
    let parts = address.split_once('@');
    let good = parts.is_some_and(|(name, host)| !name.is_empty() && !host.is_empty() && !host.contains('@'));
    if good && !address.contains(char::is_whitespace) {
        Ok(())
    } else {
        Err("an e-mail address is expected".to_owned())
    }
}
