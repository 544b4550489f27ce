//! Where tokens are kept between commands.
//!
//! A login is one [`Login`] for each endpoint. The two secrets are kept exactly where the published Python client keeps
//! them, so that a login by one tool is a login for the other; what else is known about them stands in an entry of our
//! own beside it.

mod error;
mod file;
mod keyring;
mod memory;
mod moving;
#[cfg(not(target_os = "linux"))]
mod native;
#[cfg(target_os = "linux")]
mod secret_service;

use std::{fmt, path::PathBuf, sync::Arc, time::Duration};

use async_trait::async_trait;
use secrecy::SecretString;
use serde::{Deserialize, Serialize};

pub use self::error::StoreError;
use self::{file::EncryptedFile, keyring::Keyring, memory::Memory, moving::Moving};

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
    /// Memory only: the configuration turned the keyring off.
    Memory,
    /// Nothing is kept: a machine's credentials give a new token at any time.
    Nowhere,
}

impl fmt::Display for Backend {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Keyring(name) => write!(f, "system keyring ({name})"),
            Self::EncryptedFile(path) => write!(f, "encrypted file ({})", path.display()),
            Self::Nowhere => f.write_str("memory only (a machine gets a new one with its own credentials)"),
            Self::Memory => f.write_str("memory only (admin.disableKeyring is set)"),
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
}

/// Which store to open.
#[derive(Clone, Debug)]
pub struct StoreOptions {
    /// The endpoint without its scheme: the service name of the keyring entry that all Flyte tools share.
    pub service: String,
    /// Directory of encrypted tokens.
    pub data_dir: PathBuf,
    /// Directory of the key that encrypts them: another one, so that a copy of one of them is worth nothing.
    pub state_dir: PathBuf,
    /// Keep tokens in memory only.
    pub disable_keyring: bool,
    /// How long the keyring may take, a person unlocking it included.
    pub keyring_timeout: Duration,
}

/// Opens the store of an endpoint's tokens: the operating system's keyring, or the encrypted file where there is none.
///
/// A keyring that is there but stays locked is an error and never a reason to use the file: the login would then be in two
/// places. A login that was kept in the file, before there was a keyring, is used, and moves into the keyring when it is
/// written next.
///
/// # Errors
/// [`StoreError::KeyringLocked`], [`StoreError::Keyring`], and those of the file.
pub async fn open(options: &StoreOptions) -> Result<Arc<dyn TokenStore>, StoreError> {
    if options.disable_keyring {
        return Ok(Arc::new(Memory::default()));
    }
    let file = EncryptedFile::new(options);
    Ok(match Keyring::open(&options.service, options.keyring_timeout).await? {
        None => Arc::new(file),
        Some(keyring) if file.exists() => Arc::new(Moving::new(keyring, file)),
        Some(keyring) => Arc::new(keyring),
    })
}

/// A store that ends with the process.
pub(crate) fn in_memory() -> Arc<dyn TokenStore> {
    Arc::new(Memory::default())
}

/// A secret that the person put into the keyring for `user`; `None` where there is none, or no keyring.
pub(crate) async fn secret(
    service: &str,
    user: &str,
    timeout: Duration,
) -> Result<Option<SecretString>, StoreError> {
    match Keyring::open(service, timeout).await? {
        Some(keyring) => keyring.secret(user).await,
        None => Ok(None),
    }
}

/// The encrypted file, whatever keyring there is.
#[cfg(test)]
pub(crate) fn encrypted_file(options: &StoreOptions) -> Arc<dyn TokenStore> {
    Arc::new(EncryptedFile::new(options))
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
