//! Keys that sign tokens, sealed.

use async_trait::async_trait;

use super::StoreError;
use flyte_model::clock::UnixTime;

/// Where a signing key stands in its life: published before use, kept until the longest token has expired.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KeyState {
    /// In the JWKS, not signing yet, so that every verifier has it by the time it does.
    Published,
    /// Signs new tokens; one at a time for each algorithm.
    Active,
    /// Signs no more; in the JWKS until its last token has expired.
    Retired,
}

/// A signing key, its private part encrypted by the server's key file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SealedSigningKey {
    /// `kid`.
    pub id: String,
    /// `alg` (RFC 7518 section 3.1), such as `ES256`.
    pub algorithm: String,
    /// PKCS#8 private key, sealed (AES-256-GCM; the `kid` is the associated data).
    pub sealed_private_key: Vec<u8>,
    /// Where it stands.
    pub state: KeyState,
    /// When it was made.
    pub created_at: UnixTime,
    /// When it entered its state.
    pub state_since: UnixTime,
}

/// Storage of [`SealedSigningKey`]s.
#[async_trait]
pub trait SigningKeyStore: Send + Sync + 'static {
    /// All keys, oldest first.
    async fn signing_keys(&self) -> Result<Vec<SealedSigningKey>, StoreError>;
    /// Replaces the whole set in one transaction, provided that the set is still the one with identifiers and states
    /// `expected`; `false` where another replica changed it meanwhile.
    async fn replace_signing_keys(
        &self,
        expected: &[(String, KeyState)],
        keys: &[SealedSigningKey],
    ) -> Result<bool, StoreError>;
}
