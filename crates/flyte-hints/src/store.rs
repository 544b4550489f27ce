//! Next steps if tokens cannot be read or kept.

use flyte_auth::store::StoreError;

use crate::Hint;

/// The command that keeps the login in the encrypted file instead of the keyring.
const USE_THE_FILE: &str = "`flyte auth login --token-store file`";

impl Hint for StoreError {
    fn hint(&self) -> Option<String> {
        Some(match self {
            Self::KeyringLocked { .. } => {
                format!("Unlock it, or keep your login in an encrypted file instead: {USE_THE_FILE}.")
            }
            Self::KeyringSilent { .. } | Self::Keyring { .. } => format!(
                "Restart the keyring service, or keep your login in an encrypted file instead: {USE_THE_FILE}."
            ),
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
            _ => return None,
        })
    }
}
