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
    check: |address| account_email(address),
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

/// The maximum length of an e-mail address in bytes (RFC 5321 section 4.5.3.1.3).
const MAX_EMAIL_BYTES: usize = 254;

/// Checks that the text can be the e-mail address of a new account. Letters outside of ASCII cannot: many look like others, and the
/// store compares only ASCII letters without case.
///
/// # Errors
/// The reason why it cannot.
pub fn account_email(address: &str) -> Result<(), String> {
    email(address)?;
    if address.len() > MAX_EMAIL_BYTES {
        return Err(format!("it must have at most {MAX_EMAIL_BYTES} bytes"));
    }
    match address.bytes().all(|byte| byte.is_ascii_graphic()) {
        true => Ok(()),
        false => {
            Err("it must have only letters, digits and signs of ASCII: others can look like them".to_owned())
        }
    }
}

/// Checks that the text has the form of an e-mail address.
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn new_accounts_have_addresses_that_look_like_no_other() {
        for good in ["ada@example.com", "admin@localhost", "A+tag@Example.COM", "o'hara@x"] {
            assert_eq!(account_email(good), Ok(()), "{good}");
        }
        let long = format!("{}@example.com", "a".repeat(250));
        for bad in [
            "",
            "ada",
            "@x",
            "a@",
            "a@b@c",
            "a b@c",
            "\u{430}da@example.com",
            "mi\u{212a}e@example.com",
            "ad\u{ff41}@x",
        ]
        .into_iter()
        .chain(["a\u{202e}@x", "a\u{200b}@x", "a\0@x", "\u{e9}@x", &long])
        {
            assert!(account_email(bad).is_err(), "{bad:?}");
        }
        // Those of older accounts still have the form.
        assert_eq!(email("\u{e9}@x"), Ok(()));
    }
}
