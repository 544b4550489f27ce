//! Where tokens are kept between commands.
//!
//! A login is one [`Login`] for each endpoint. The two secrets are kept exactly where the published Python client keeps
//! them, so that a login by one tool is a login for the other; what else is known about them stands in an entry of our
//! own beside it.

use std::fmt;

use async_trait::async_trait;
use secrecy::SecretString;
use serde::{Deserialize, Serialize};

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
    /// The flow that the person signed in by, in the spelling of the configuration's `authType`.
    pub auth_type: String,
}

/// Which kind of store is in use.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Backend {
    /// The operating system's keyring, by its name.
    Keyring(&'static str),
    /// The encrypted file at this path.
    EncryptedFile(std::path::PathBuf),
    /// Memory only: the configuration turned the keyring off.
    Memory,
}

impl fmt::Display for Backend {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Keyring(name) => write!(f, "system keyring ({name})"),
            Self::EncryptedFile(path) => write!(f, "encrypted file ({})", path.display()),
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

/// What is wrong with a store.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// placeholder
    #[error("locked")]
    KeyringLocked,
}
impl StoreError {
    /// h
    pub fn hint(&self) -> Option<String> {
        None
    }
}
/// o
pub struct StoreOptions {
    #[allow(missing_docs)]
    pub service: String,
    #[allow(missing_docs)]
    pub data_dir: std::path::PathBuf,
    #[allow(missing_docs)]
    pub state_dir: std::path::PathBuf,
    #[allow(missing_docs)]
    pub disable_keyring: bool,
    #[allow(missing_docs)]
    pub keyring_timeout: std::time::Duration,
}
/// o
pub async fn open(_: &StoreOptions) -> Result<std::sync::Arc<dyn TokenStore>, StoreError> {
    Err(StoreError::KeyringLocked)
}
