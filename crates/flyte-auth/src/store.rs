//! Where tokens are kept between commands.
//!
//! A login is one [`Login`] for each endpoint. The two secrets are kept exactly where the published Python client keeps
//! them, so that a login by one tool is a login for the other; what else is known about them stands in an entry of our
//! own beside it.

mod error;
mod file;
mod keyring;
mod memory;
#[cfg(not(target_os = "linux"))]
mod native;
mod other;
mod paired;
#[cfg(target_os = "linux")]
mod secret_service;
mod stand_in;

use std::{fmt, path::PathBuf, sync::Arc, time::Duration};

use async_trait::async_trait;
use flyte_config::StoreKind;
use secrecy::SecretString;
use serde::{Deserialize, Serialize};

pub use self::error::StoreError;
pub(crate) use self::other::others;
use self::{file::EncryptedFile, keyring::Keyring, memory::Memory, paired::Paired, stand_in::StandIn};

/// The tokens of one endpoint.
#[derive(Clone, Debug)]
pub struct Login {
    /// The access token (RFC 6749 section 1.4).
    pub access_token: SecretString,
    /// The refresh token (RFC 6749 section 1.5), where the server gave one.
    pub refresh_token: Option<SecretString>,
    /// What is known about them; `None` where another tool wrote the tokens and left no such notes, or wrote newer
    /// tokens than the notes are about.
    pub details: Option<LoginDetails>,
}

/// What is known about stored tokens; nothing of it is secret.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LoginDetails {
    /// SHA-256 of the access token that this is about, in lower-case hexadecimal: notes about any other are stale.
    pub access_token_sha256: String,
    /// When the access token was received, Unix time in seconds by this machine's clock.
    #[serde(default)]
    pub issued_at: Option<i64>,
    /// When the access token expires, Unix time in seconds by this machine's clock.
    pub expires_at: Option<i64>,
    /// The scopes granted.
    pub scopes: Vec<String>,
    /// The client that the tokens were issued to.
    pub client_id: String,
    /// Issuer identifier of the authorization server.
    pub issuer: String,
    /// Who signed in, as the ID token named them, for `flyte auth status`.
    #[serde(default)]
    pub subject: Option<String>,
    /// The flow that the person signed in by, in the spelling of the configuration's `authType`.
    pub auth_type: String,
}

/// Which kind of store is in use.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Backend {
    /// The operating system's keyring, by its name.
    Keyring(&'static str),
    /// The encrypted file at this path.
    EncryptedFile(PathBuf),
    /// Memory only, for this reason.
    Memory(MemoryReason),
    /// Nothing is kept: a machine's credentials give a new token at any time.
    Nowhere,
}

/// Why a login is kept in memory and ends with the process.
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
        /// Why not.
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

/// A place that keeps the [`Login`] of one endpoint.
#[async_trait]
pub trait TokenStore: fmt::Debug + Send + Sync {
    /// The stored login.
    async fn load(&self) -> Result<Option<Login>, StoreError>;
    /// Makes sure that a login could be saved now, so that no refresh token is spent on an answer that cannot be kept.
    async fn probe(&self) -> Result<(), StoreError> {
        Ok(())
    }
    /// Replaces the stored login; when this fails the one before is still there.
    async fn save(&self, login: &Login) -> Result<(), StoreError>;
    /// Removes the login; removing one that is not there does nothing.
    async fn clear(&self) -> Result<(), StoreError>;
    /// Which kind of store this is.
    fn backend(&self) -> Backend;
    /// The longest secret that it takes, in bytes; `None` where there is no limit to think of.
    fn max_secret_len(&self) -> Option<usize> {
        None
    }
}

/// Which store to open.
#[derive(Clone, Debug)]
pub struct StoreOptions {
    /// The endpoint without its scheme: the service name of the keyring entry that all Flyte tools share.
    pub service: String,
    /// Directory of encrypted tokens; `None` where there is no home directory.
    pub data_dir: Option<PathBuf>,
    /// Directory of the key that encrypts them: another one, so that a copy of one of them is worth nothing. `None` where
    /// there is no home directory.
    pub state_dir: Option<PathBuf>,
    /// Which store the person chose; `None` for the keyring, or the file where there is none.
    pub kind: Option<StoreKind>,
    /// How long each answer of the keyring may take.
    pub keyring_timeout: Duration,
    /// How long a person may take to unlock the keyring.
    pub unlock_timeout: Duration,
}

/// How long each answer of the keyring is waited for.
pub const KEYRING_TIMEOUT: Duration = Duration::from_secs(3);

/// Opens the store of an endpoint's tokens: the one that was chosen, else the operating system's keyring, or the encrypted file
/// where there is none. Without a place for a file it is memory, and [`Backend::Memory`] says why; so it is for a first login that
/// there turns out to be no room for.
///
/// A keyring that is there but locked or silent is an error and never a reason to use the file: the login would then be in two
/// places. A login that was kept in the file, before there was a keyring, is used, and moves into the keyring when it is
/// written next.
///
/// # Errors
/// [`StoreError::KeyringLocked`], [`StoreError::KeyringSilent`], [`StoreError::Keyring`], [`StoreError::NoKeyring`] and
/// [`StoreError::NoHome`] where the one that was chosen cannot be had, and those of the file.
pub async fn open(options: &StoreOptions) -> Result<Arc<dyn TokenStore>, StoreError> {
    let keyring = match options.kind {
        Some(StoreKind::Memory) => return Ok(in_memory()),
        Some(StoreKind::File) => None,
        Some(StoreKind::Keyring) | None => {
            Keyring::open(&options.service, options.keyring_timeout, options.unlock_timeout).await?
        }
    };
    Ok(match (keyring, EncryptedFile::new(options)) {
        (Some(keyring), Some(file)) => Arc::new(Paired::new(keyring, file)),
        (Some(keyring), None) => Arc::new(keyring),
        (None, _) if options.kind == Some(StoreKind::Keyring) => return Err(StoreError::NoKeyring),
        (None, Some(file)) if options.kind == Some(StoreKind::File) => Arc::new(file),
        (None, None) if options.kind == Some(StoreKind::File) => return Err(StoreError::NoHome),
        (None, Some(file)) => match file.unwritable() {
            Some((path, reason)) => Arc::new(Memory::new(MemoryReason::Unwritable { path, reason })),
            None => Arc::new(StandIn::new(file)),
        },
        (None, None) => Arc::new(Memory::new(MemoryReason::NoHome)),
    })
}

/// A store that ends with the process.
pub(crate) fn in_memory() -> Arc<dyn TokenStore> {
    Arc::new(Memory::new(MemoryReason::Chosen))
}

/// A secret that the person put into the keyring for `user`; `None` where there is none, or no keyring. A person has
/// `unlock_timeout` to unlock it.
pub(crate) async fn secret(
    service: &str,
    user: &str,
    unlock_timeout: Duration,
) -> Result<Option<SecretString>, StoreError> {
    match Keyring::open(service, KEYRING_TIMEOUT, unlock_timeout).await? {
        Some(keyring) => keyring.secret(user).await,
        None => Ok(None),
    }
}

/// The encrypted file, whatever keyring there is.
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

/// A secret that may be written, into stores only.
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

    /// The login with those notes that are about these tokens.
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
