//! The public keys of an issuer (RFC 7517), and the verification of signatures.

use flyte_keys::jwks::{self, JwksError};
use jsonwebtoken::{Algorithm, jwk::Jwk};
use serde_json::{Map, Value};

/// The keys of an issuer that this server can use.
#[derive(Clone, Debug, Default)]
pub struct KeySet(Vec<Jwk>);

/// The document is not a key set.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("this is not a JSON Web Key Set with a signing key")]
pub struct NoKeySet;

impl KeySet {
    /// Parses a key set. Keys of unknown types are ignored (RFC 7517 section 5).
    ///
    /// # Errors
    /// [`NoKeySet`] if the document is not a key set or has no usable key.
    pub fn parse(document: &[u8]) -> Result<Self, NoKeySet> {
        jwks::of_issuer(document).map(Self).ok_or(NoKeySet)
    }

    /// Whether the set has a key `kid`; without `kid`, whether it has any key.
    #[must_use]
    pub fn has(&self, kid: Option<&str>) -> bool {
        self.0.iter().any(|key| kid.is_none() || key.common.key_id.as_deref() == kid)
    }

    /// The identifiers (`kid`) of the keys that have one.
    pub fn ids(&self) -> impl Iterator<Item = &str> {
        self.0.iter().filter_map(|key| key.common.key_id.as_deref())
    }

    /// The number of keys.
    #[must_use]
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there is no key.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Returns the claims of a token that one of these keys signed.
    ///
    /// # Errors
    /// [`JwksError`] if the key is unknown, is for another algorithm, or did not sign the token.
    pub fn verify(
        &self,
        token: &str,
        kid: Option<&str>,
        algorithm: Algorithm,
    ) -> Result<Map<String, Value>, JwksError> {
        jwks::verify(&self.0, token, kid, algorithm)
    }
}
