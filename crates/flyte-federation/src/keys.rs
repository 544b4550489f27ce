//! The public keys of an issuer (RFC 7517), and signatures by them.

use jsonwebtoken::{
    Algorithm, DecodingKey, Validation,
    jwk::{AlgorithmParameters, EllipticCurve, Jwk, KeyOperations, PublicKeyUse},
};
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
            .filter(|key| ALGORITHMS.iter().any(|algorithm| is_for(key, *algorithm)))
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
        let mut named =
            self.0.iter().filter(|key| kid.is_none() || key.common.key_id.as_deref() == kid).peekable();
        if named.peek().is_none() {
            return Err(SubjectTokenError::UnknownKey);
        }
        let mut usable = named.filter(|key| is_for(key, algorithm));
        let key = usable.next().ok_or(SubjectTokenError::WrongAlgorithm)?;
        if kid.is_none() && usable.next().is_some() {
            // Trying one after the other would let an issuer's test key sign for its real one unnoticed.
            return Err(SubjectTokenError::UnknownKey);
        }
        let key = DecodingKey::from_jwk(key).map_err(|_| SubjectTokenError::UnknownKey)?;
        let mut validation = Validation::new(algorithm);
        // Claims are checked by the caller, against the injected clock.
        validation.required_spec_claims.clear();
        validation.validate_exp = false;
        validation.validate_nbf = false;
        validation.validate_aud = false;
        jsonwebtoken::decode(token, &key, &validation)
            .map(|token| token.claims)
            .map_err(|_| SubjectTokenError::BadSignature)
    }
}

/// Whether the key may verify signatures by `algorithm`. A key for several algorithms serves one at a time (RFC 8725
/// section 3.1): where it says which, that one only.
fn is_for(key: &Jwk, algorithm: Algorithm) -> bool {
    let fits = match (&key.algorithm, algorithm) {
        (AlgorithmParameters::RSA(_), Algorithm::RS256 | Algorithm::PS256) => true,
        (AlgorithmParameters::EllipticCurve(key), Algorithm::ES256) => key.curve == EllipticCurve::P256,
        (AlgorithmParameters::EllipticCurve(key), Algorithm::ES384) => key.curve == EllipticCurve::P384,
        (AlgorithmParameters::OctetKeyPair(key), Algorithm::EdDSA) => key.curve == EllipticCurve::Ed25519,
        _ => false,
    };
    let common = &key.common;
    fits && common.public_key_use.as_ref().is_none_or(|purpose| *purpose == PublicKeyUse::Signature)
        && common.key_operations.as_ref().is_none_or(|operations| operations.contains(&KeyOperations::Verify))
        && common.key_algorithm.is_none_or(|own| own == algorithm.into())
}
