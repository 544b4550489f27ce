//! The server's signing keys, encrypted.

use async_trait::async_trait;

use super::StoreError;
use flyte_model::clock::UnixTime;

/// The state of a signing key. It is published before its first use, and kept until its last token has expired.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KeyState {
    /// The key is in the JWKS but does not sign yet, so that every verifier has it in time.
    Published,
    /// The key signs new tokens. Each algorithm has one active key.
    Active,
    /// The key no longer signs. It stays in the JWKS until its last token has expired.
    Retired,
}

/// A signing key whose private part is encrypted with the server's key file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SealedSigningKey {
    /// `kid`.
    pub id: String,
    /// `alg` (RFC 7518 section 3.1), for example `ES256`.
    pub algorithm: String,
    /// PKCS#8 private key, encrypted with AES-256-GCM; the `kid` is the associated data.
    pub sealed_private_key: Vec<u8>,
    /// The state.
    pub state: KeyState,
    /// The time at which the key was generated.
    pub created_at: UnixTime,
    /// The time of the last change of the state.
    pub state_since: UnixTime,
}

/// Storage of [`SealedSigningKey`]s.
#[async_trait]
pub trait SigningKeyStore: Send + Sync + 'static {
    /// Returns all keys, the oldest first.
    async fn signing_keys(&self) -> Result<Vec<SealedSigningKey>, StoreError>;
    /// Replaces the whole set in one transaction, if the stored set still has the identifiers and states in `expected`.
    /// Returns `false` if another replica has changed it in the meantime.
    async fn replace_signing_keys(
        &self,
        expected: &[(String, KeyState)],
        keys: &[SealedSigningKey],
    ) -> Result<bool, StoreError>;
}
