//! The public keys of an issuer (RFC 7517), and signatures by them.

use flyte_keys::jwks::{self, JwksError};
use jsonwebtoken::{Algorithm, jwk::Jwk};
use serde::Deserialize;
use serde_json::{Map, Value};

use super::SubjectTokenError;

/// What other issuers may sign with. Nothing symmetric, which would take a public key for a secret.
pub const ALGORITHMS: [Algorithm; 5] =
    [Algorithm::RS256, Algorithm::PS256, Algorithm::ES256, Algorithm::ES384, Algorithm::EdDSA];

/// The most keys of one issuer.
const MAX_KEYS: usize = 100;

/// The keys of an issuer, those that this server can use.
#[derive(Clone, Debug, Default)]
pub struct KeySet(Vec<Jwk>);

/// A document that is no key set.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("it is not a JSON Web Key Set with a key for signatures")]
pub struct NoKeySet;

impl KeySet {
    /// Reads a key set. Keys of kinds that are not known here are left out (RFC 7517 section 5).
    ///
    /// # Errors
    /// [`NoKeySet`], also where no key is left.
    pub fn parse(document: &[u8]) -> Result<Self, NoKeySet> {
        #[derive(Deserialize)]
        struct Document {
            keys: Vec<Value>,
        }
        let document: Document = serde_json::from_slice(document).map_err(|_| NoKeySet)?;
        let keys: Vec<Jwk> = document
            .keys
            .into_iter()
            .take(MAX_KEYS)
            .filter_map(|key| serde_json::from_value(key).ok())
            .filter(|key| ALGORITHMS.iter().any(|algorithm| jwks::is_for(key, *algorithm)))
            .collect();
        if keys.is_empty() { Err(NoKeySet) } else { Ok(Self(keys)) }
    }

    /// Whether there is a key with this name; without a name, whether there is any.
    #[must_use]
    pub fn has(&self, kid: Option<&str>) -> bool {
        self.0.iter().any(|key| kid.is_none() || key.common.key_id.as_deref() == kid)
    }

    /// The claims of a token that one of these keys signed.
    ///
    /// # Errors
    /// [`SubjectTokenError`] where the key is not here, is not for the algorithm, or did not sign it.
    pub fn verify(
        &self,
        token: &str,
        kid: Option<&str>,
        algorithm: Algorithm,
    ) -> Result<Map<String, Value>, SubjectTokenError> {
        jwks::verify(&self.0, token, kid, algorithm).map_err(|error| match error {
            JwksError::UnknownKey | JwksError::Ambiguous => SubjectTokenError::UnknownKey,
            JwksError::WrongAlgorithm => SubjectTokenError::WrongAlgorithm,
            JwksError::BadSignature => SubjectTokenError::BadSignature,
        })
    }
}
