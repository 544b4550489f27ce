//! Storage for tokens between commands.
//!
//! Each endpoint has one [`Login`]. Its two secrets are stored where the published Python client stores them, so that both tools
//! share a login. Everything else that is known about the tokens is in a separate entry.

mod error;
mod file;
mod file_or_memory;
mod keyring;
mod keyring_with_file;
mod memory;
#[cfg(not(target_os = "linux"))]
mod native;
mod other;
mod passwords;
#[cfg(target_os = "linux")]
mod secret_service;

use std::{fmt, path::PathBuf, sync::Arc, time::Duration};

use async_trait::async_trait;
use flyte_config::StoreKind;
use secrecy::SecretString;
use serde::{Deserialize, Serialize};

pub(crate) use self::other::other_stores;
pub use self::{error::StoreError, passwords::Passwords};
use self::{
    file::EncryptedFile, file_or_memory::FileOrMemory, keyring::Keyring, keyring_with_file::KeyringWithFile,
    memory::Memory,
};
use crate::oauth::{ClientId, Scope};

/// The tokens of one endpoint.
#[derive(Clone, Debug)]
pub struct Login {
    /// The access token (RFC 6749 section 1.4).
    pub access_token: SecretString,
    /// The refresh token (RFC 6749 section 1.5); `None` if the server gave none.
    pub refresh_token: Option<SecretString>,
    /// What is known about the tokens; `None` if another tool wrote them, because other tools do not write details.
    pub details: Option<LoginDetails>,
}

/// What is known about stored tokens. Nothing in it is secret.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LoginDetails {
    /// SHA-256 of the access token, in lower-case hexadecimal. If the stored token is another one, the details are stale.
    pub access_token_sha256: String,
    /// The time at which the access token was received, Unix time in seconds by this machine's clock.
    #[serde(default)]
    pub issued_at: Option<i64>,
    /// The time at which the access token expires, Unix time in seconds by this machine's clock.
    pub expires_at: Option<i64>,
    /// The granted scopes.
    pub scopes: Vec<Scope>,
    /// The client that the tokens were issued to.
    pub client_id: ClientId,
    /// Issuer identifier of the authorization server.
    pub issuer: String,
    /// The person, as the ID token named them.
    #[serde(default)]
    pub subject: Option<String>,
    /// The flow that the person used, in the spelling of the configuration's `authType`.
    pub auth_type: String,
}

/// The kind of store in use.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Backend {
    /// The operating system's keyring of this name.
    Keyring(&'static str),
    /// The encrypted file at this path.
    EncryptedFile(PathBuf),
    /// Memory only, for this reason.
    Memory(MemoryReason),
    /// Nothing is stored: a machine's credentials give a new token at any time.
    Nowhere,
}

/// Why a login is kept in memory only, and ends with the process.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum MemoryReason {
    /// The configuration says so.
    Chosen,
    /// There is no keyring, and no home directory for a file.
    NoHome,
    /// There is no keyring, and the directory of the file cannot be written to.
    Unwritable {
        /// The directory.
        path: PathBuf,
        /// Why it cannot be written to.
        reason: String,
    },
}

impl fmt::Display for MemoryReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Chosen => f.write_str("the configuration says so"),
            Self::NoHome => f.write_str("there is no keyring and no home directory"),
            Self::Unwritable { path, reason } => {
                write!(f, "there is no keyring, and {} cannot be written to: {reason}", path.display())
            }
        }
    }
}

impl fmt::Display for Backend {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Keyring(name) => write!(f, "system keyring ({name})"),
            Self::EncryptedFile(path) => write!(f, "encrypted file ({})", path.display()),
            Self::Nowhere => f.write_str("memory only (a machine gets a new one with its own credentials)"),
            Self::Memory(reason) => write!(f, "memory only ({reason})"),
        }
    }
}

/// A store for the [`Login`] of one endpoint.
#[async_trait]
pub trait TokenStore: fmt::Debug + Send + Sync {
    /// Reads the stored login.
    async fn load(&self) -> Result<Option<Login>, StoreError>;
    /// Checks that a login can be saved now, so that no refresh token is used if the answer cannot be stored.
    async fn probe(&self) -> Result<(), StoreError> {
        Ok(())
    }
    /// Replaces the stored login. If this fails, the previous login is still there.
    async fn save(&self, login: &Login) -> Result<(), StoreError>;
    /// Removes the login, if there is one.
    async fn clear(&self) -> Result<(), StoreError>;
    /// The kind of this store.
    fn backend(&self) -> Backend;
    /// The longest secret that the store takes, in characters of UTF-16; `None` if there is no practical limit.
    fn max_secret_len(&self) -> Option<usize> {
        None
    }
}

/// The store to open.
#[derive(Clone, Debug)]
pub struct StoreOptions {
    /// The endpoint without its scheme: the service name of the keyring entry that all Flyte tools share.
    pub service: String,
    /// Directory of encrypted tokens; `None` if there is no home directory.
    pub data_dir: Option<PathBuf>,
    /// Directory of the key that encrypts the tokens. It differs from `data_dir`, so that a copy of one directory is useless.
    /// `None` if there is no home directory.
    pub state_dir: Option<PathBuf>,
    /// The store that the person chose; `None` for the keyring, or the file if there is no keyring.
    pub kind: Option<StoreKind>,
    /// The time that the keyring has for each answer.
    pub keyring_timeout: Duration,
    /// The time that a person has to unlock the keyring.
    pub unlock_timeout: Duration,
}

/// The time that the keyring has for each answer.
pub const KEYRING_TIMEOUT: Duration = Duration::from_secs(3);

/// Opens the store of an endpoint's tokens: the chosen one, otherwise the operating system's keyring, or the encrypted file if
/// there is no keyring. If no file can be written, the store is memory, and [`Backend::Memory`] says why. That also applies to a
/// first login on a full disk.
///
/// A locked or silent keyring is an error and never a reason to use the file, because the login would then be in two places. A
/// login that was stored in the file before the keyring existed is still used, and moves into the keyring with the next write.
///
/// # Errors
/// [`StoreError::KeyringLocked`], [`StoreError::KeyringSilent`], [`StoreError::Keyring`], [`StoreError::NoKeyring`] and
/// [`StoreError::NoHome`] if the chosen store cannot be used, and the errors of the file.
pub async fn open(options: &StoreOptions) -> Result<Arc<dyn TokenStore>, StoreError> {
    let keyring = match options.kind {
        Some(StoreKind::Memory) => return Ok(in_memory()),
        Some(StoreKind::File) => None,
        Some(StoreKind::Keyring) | None => {
            Keyring::open(&options.service, options.keyring_timeout, options.unlock_timeout).await?
        }
    };
    Ok(match (keyring, EncryptedFile::new(options)) {
        (Some(keyring), Some(file)) => Arc::new(KeyringWithFile::new(keyring, file)),
        (Some(keyring), None) => Arc::new(keyring),
        (None, _) if options.kind == Some(StoreKind::Keyring) => return Err(StoreError::NoKeyring),
        (None, Some(file)) if options.kind == Some(StoreKind::File) => Arc::new(file),
        (None, None) if options.kind == Some(StoreKind::File) => return Err(StoreError::NoHome),
        (None, Some(file)) => match file.find_unwritable_directory() {
            Some((path, reason)) => Arc::new(Memory::new(MemoryReason::Unwritable { path, reason })),
            None => Arc::new(FileOrMemory::new(file)),
        },
        (None, None) => Arc::new(Memory::new(MemoryReason::NoHome)),
    })
}

/// Creates a store that ends with the process.
pub(crate) fn in_memory() -> Arc<dyn TokenStore> {
    Arc::new(Memory::new(MemoryReason::Chosen))
}

/// Reads a secret that the person put into the keyring for `user`, or into the encrypted files if there is no keyring; `None` if
/// there is none.
pub(crate) async fn secret(options: &StoreOptions, user: &str) -> Result<Option<SecretString>, StoreError> {
    match Keyring::open(&options.service, options.keyring_timeout, options.unlock_timeout).await? {
        Some(keyring) => keyring.secret(user).await,
        None => passwords::secret(options, user).await,
    }
}

/// The encrypted file, even if there is a keyring.
#[cfg(test)]
pub(crate) fn encrypted_file(options: &StoreOptions) -> Arc<dyn TokenStore> {
    Arc::new(EncryptedFile::new(options).unwrap())
}

/// The shared entry, as the published client writes it.
#[derive(Serialize, Deserialize)]
struct SharedEntry {
    access_token: SecretText,
    #[serde(default)]
    refresh_token: Option<SecretText>,
}

/// A secret that can be serialized, for stores only.
#[derive(Clone, Deserialize)]
#[serde(transparent)]
struct SecretText(SecretString);

impl Serialize for SecretText {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(secrecy::ExposeSecret::expose_secret(&self.0))
    }
}

impl SharedEntry {
    fn of(login: &Login) -> Self {
        Self {
            access_token: SecretText(login.access_token.clone()),
            refresh_token: login.refresh_token.clone().map(SecretText),
        }
    }

    /// Combines the tokens with their details. Details of other tokens are dropped.
    fn into_login(self, details: Option<LoginDetails>) -> Login {
        let fingerprint =
            crate::token::fingerprint(secrecy::ExposeSecret::expose_secret(&self.access_token.0));
        Login {
            access_token: self.access_token.0,
            refresh_token: self.refresh_token.map(|token| token.0),
            details: details.filter(|details| details.access_token_sha256 == fingerprint),
        }
    }
}
