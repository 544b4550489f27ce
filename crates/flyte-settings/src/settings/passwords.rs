//! `passwords`: rules for new passwords.

use std::path::PathBuf;

use super::check::any;
use crate::setting::{
    Default::{Depends, Value},
    Setting,
};

/// [`PasswordsConfig::min_length`](crate::PasswordsConfig::min_length).
pub static PASSWORDS_MIN_LENGTH: Setting<usize> = Setting {
    key: "passwords.min-length",
    flag: None,
    placeholder: "NUMBER",
    default: Value("15"),
    help: "The minimum length of a new password, in characters. NIST SP 800-63B asks for 15 if a password alone is enough to \
           sign in, and for 8 if everybody also has a second factor. Existing passwords stay valid.",
    check: |length| match length {
        8..=64 => Ok(()),
        _ => Err("a number from 8 to 64 is expected".to_owned()),
    },
};

/// [`PasswordsConfig::breached_file`](crate::PasswordsConfig::breached_file).
pub static PASSWORDS_BREACHED_FILE: Setting<PathBuf> = Setting {
    key: "passwords.breached-file",
    flag: None,
    placeholder: "FILE",
    default: Depends("none: only the most common leaked passwords are known"),
    help: "File of passwords that have leaked, which new passwords must not be in: lines with a SHA-1 hash, and perhaps a colon \
           and a count, sorted by the hash. It is the format of the list of Have I Been Pwned. The server searches the file \
           where it is; nothing is sent anywhere.",
    check: any,
};
