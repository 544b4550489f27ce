//! Why tokens could not be read or kept.

use std::{io, path::PathBuf, sync::Arc};

/// Why tokens could not be read or kept. No message holds a secret.
#[derive(Clone, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StoreError {
    /// The keyring is locked and nobody unlocked it.
    #[error("the system keyring is locked, and {}", unanswered(*.seconds))]
    KeyringLocked {
        /// How long it was waited for; 0 where the question was turned down, or nothing was there to show it.
        seconds: u64,
    },
    /// The keyring is there but does not answer.
    #[error("the system keyring does not answer (it was asked and waited for {seconds} seconds)")]
    KeyringSilent {
        /// How long it was waited for.
        seconds: u64,
    },
    /// The keyring was chosen, and this machine has none.
    #[error("this machine has no keyring, and the configuration asks for it (admin.tokenStore)")]
    NoKeyring,
    /// The file was chosen, and there is no home directory for it.
    #[error(
        "there is no home directory to keep the encrypted file in, and the configuration asks for it (admin.tokenStore)"
    )]
    NoHome,
    /// The keyring does not take secrets of this length.
    #[error("the system keyring takes no more than {limit} bytes, and the tokens are longer")]
    TooLarge {
        /// The longest that it takes, in bytes.
        limit: usize,
    },
    /// The keyring failed.
    #[error("the system keyring failed: {reason}")]
    Keyring {
        /// What it said.
        reason: String,
    },
    /// There is no room for the tokens. The ones before are still there.
    #[error("there is no room left to keep the tokens in {}: the disk is full", .path.display())]
    DiskFull {
        /// The file.
        path: PathBuf,
    },
    /// A file cannot be used.
    #[error("cannot {action} {}: {source}", .path.display())]
    File {
        /// What was tried.
        action: &'static str,
        /// The file.
        path: PathBuf,
        /// Why it failed.
        source: Arc<io::Error>,
    },
    /// Others can read a file, and it is not ours to change that.
    #[error("{} can be read by others, and it belongs to somebody else", .path.display())]
    Permissions {
        /// The file.
        path: PathBuf,
    },
    /// The cryptographic library failed.
    #[error("the tokens could not be {0}")]
    Crypto(&'static str),
}

/// The command that takes the keyring out of the way.
const USE_THE_FILE: &str = "`flyte auth login --token-store file`";

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

    /// What to do next.
    #[must_use]
    pub fn hint(&self) -> Option<String> {
        Some(match self {
            Self::KeyringLocked { .. } => {
                format!("Unlock it, or keep your login in an encrypted file instead: {USE_THE_FILE}.")
            }
            Self::KeyringSilent { .. } | Self::Keyring { .. } => {
                format!(
                    "Restart the keyring service, or keep your login in an encrypted file instead: {USE_THE_FILE}."
                )
            }
            Self::NoKeyring | Self::TooLarge { .. } => {
                format!("Keep your login in an encrypted file instead: {USE_THE_FILE}.")
            }
            Self::NoHome => "Set HOME, or keep the login in memory: FLYTE_TOKEN_STORE=memory.".to_owned(),
            Self::DiskFull { path } => format!(
                "Make room on that disk (`df -h {}`), then run the command again. Your login was kept.",
                path.parent().unwrap_or(path).display()
            ),
            Self::File { path, .. } => format!(
                "Check that {} is yours and can be written to, or keep the login in memory: FLYTE_TOKEN_STORE=memory.",
                path.parent().unwrap_or(path).display()
            ),
            Self::Permissions { path } => {
                format!("Move {} away, then run `flyte auth login` to sign in again.", path.display())
            }
            Self::Crypto(_) => return None,
        })
    }
}

fn unanswered(seconds: u64) -> String {
    match seconds {
        0 => "could not be unlocked".to_owned(),
        seconds => format!("nobody unlocked it within {seconds} seconds"),
    }
}
