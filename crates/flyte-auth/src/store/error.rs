//! Why tokens could not be read or stored.

use std::{io, path::PathBuf, sync::Arc};

/// Why tokens could not be read or stored. No message holds a secret.
#[derive(Clone, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StoreError {
    /// The keyring is locked, and the person did not unlock it.
    #[error("the system keyring is locked, and {}", describe_unlocking(*.seconds))]
    KeyringLocked {
        /// The time that the person had; 0 if they closed the prompt, or if the system could not show one.
        seconds: u64,
    },
    /// The keyring exists but does not answer.
    #[error("the system keyring did not answer within {seconds} seconds")]
    KeyringSilent {
        /// The time limit.
        seconds: u64,
    },
    /// The configuration asks for the keyring, and this machine has none.
    #[error("this machine has no keyring, and the configuration asks for it (admin.tokenStore)")]
    NoKeyring,
    /// The configuration asks for the file, and there is no home directory for it.
    #[error(
        "there is no home directory to keep the encrypted file in, and the configuration asks for it (admin.tokenStore)"
    )]
    NoHome,
    /// The tokens are too long for the keyring.
    #[error("the system keyring takes at most {limit} characters, and the tokens are longer")]
    TooLarge {
        /// The longest secret that the keyring takes, in characters of UTF-16.
        limit: usize,
    },
    /// The keyring failed.
    #[error("the system keyring failed: {reason}")]
    Keyring {
        /// The keyring's message.
        reason: String,
    },
    /// There is no room for the new tokens. The stored ones are unchanged.
    #[error("there is no room left to keep the tokens in {}: the disk is full", .path.display())]
    DiskFull {
        /// The file.
        path: PathBuf,
    },
    /// A file cannot be used.
    #[error("cannot {action} {}: {source}", .path.display())]
    File {
        /// The attempted action, a verb.
        action: &'static str,
        /// The file.
        path: PathBuf,
        /// The file system's error.
        source: Arc<io::Error>,
    },
    /// Other users can read a file, and this user may not change its mode.
    #[error("other users can read {}, and another user owns it", .path.display())]
    Permissions {
        /// The file.
        path: PathBuf,
    },
    /// The cryptographic library failed.
    #[error("the tokens could not be {0}")]
    Crypto(&'static str),
}

impl StoreError {
    pub(super) fn file(action: &'static str, path: impl Into<PathBuf>, source: io::Error) -> Self {
        let path = path.into();
        match source.kind() {
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded | io::ErrorKind::FileTooLarge => {
                Self::DiskFull { path }
            }
            _ => Self::File { action, path, source: Arc::new(source) },
        }
    }
}

fn describe_unlocking(seconds: u64) -> String {
    match seconds {
        0 => "could not be unlocked".to_owned(),
        seconds => format!("was not unlocked within {seconds} seconds"),
    }
}
