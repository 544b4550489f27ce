//! JSON Web Key Sets of others (RFC 7517): those of client registrations, and those of trusted issuers.

use jsonwebtoken::{
    Algorithm, DecodingKey, Validation,
    jwk::{AlgorithmParameters, EllipticCurve, Jwk, JwkSet, KeyOperations, PublicKeyUse},
};
use serde::{Deserialize, de::DeserializeOwned};
use serde_json::Value;

/// The longest JWKS, in bytes.
const MAX_JWKS: usize = 16 * 1024;
/// The most keys in a JWKS: enough for a rotation.
const MAX_KEYS: usize = 8;
/// The smallest RSA modulus, in bytes.
const MIN_MODULUS: usize = 256;

/// Parses the public keys of a registration (RFC 7591 section 2, `jwks`).
///
/// # Errors
/// The problem, worded to follow the name of the field.
pub fn parse(text: &str) -> Result<Vec<Jwk>, &'static str> {
    if text.len() > MAX_JWKS {
        return Err("is longer than 16 KiB");
    }
    let set: JwkSet = serde_json::from_str(text).map_err(|_| "is not a JSON Web Key Set (RFC 7517)")?;
    let raw: serde_json::Value = serde_json::from_str(text).map_err(|_| "is not JSON")?;
    let members = raw["keys"].as_array().map(Vec::as_slice).unwrap_or_default();
    if members.iter().any(|key| key.get("d").is_some() || key.get("k").is_some()) {
        return Err(
            "contains a private or shared key: register only the public key, and treat the other one as leaked",
        );
    }
    if set.keys.is_empty() || set.keys.len() > MAX_KEYS || members.len() != set.keys.len() {
        return Err("must have 1 to 8 keys of known types");
    }
    for (key, raw) in set.keys.iter().zip(members) {
        if key.common.public_key_use.as_ref().is_some_and(|purpose| *purpose != PublicKeyUse::Signature) {
            return Err("has a key that is not for signatures");
        }
        let good = match &key.algorithm {
            AlgorithmParameters::EllipticCurve(key) => key.curve == EllipticCurve::P256,
            AlgorithmParameters::OctetKeyPair(key) => key.curve == EllipticCurve::Ed25519,
            AlgorithmParameters::RSA(_) => {
                // In base64url, four characters encode three bytes.
                raw["n"].as_str().is_some_and(|n| n.len() * 3 / 4 >= MIN_MODULUS)
            }
            _ => false,
        };
        if !good || DecodingKey::from_jwk(key).is_err() {
            return Err("has a key other than P-256, Ed25519, or RSA with at least 2048 bits");
        }
    }
    Ok(set.keys)
}

/// Why no key of a set verifies a token.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum JwksError {
    /// No key has the `kid` of the token.
    #[error("no key has the kid of the token")]
    UnknownKey,
    /// No key that has the `kid` is for the algorithm of the token.
    #[error("no key is for the algorithm of the token")]
    WrongAlgorithm,
    /// The token has no `kid`, and several keys are for its algorithm.
    #[error("the token has no kid, and several keys are for its algorithm")]
    Ambiguous,
    /// The key did not sign the token.
    #[error("the signature does not verify")]
    BadSignature,
}

/// Verifies the signature of a token by the key that its header names, and returns its claims. The claims are not checked.
///
/// If several keys could have signed a token that has no `kid`, it is refused (OpenID Connect Core section 10.1 requires the
/// `kid` then). Trying one key after the other would let an issuer's test key sign for its real one unnoticed.
///
/// # Errors
/// [`JwksError`].
pub fn verify<C: DeserializeOwned>(
    keys: &[Jwk],
    token: &str,
    kid: Option<&str>,
    algorithm: Algorithm,
) -> Result<C, JwksError> {
    let key = DecodingKey::from_jwk(choose(keys, kid, algorithm)?).map_err(|_| JwksError::UnknownKey)?;
    let mut validation = Validation::new(algorithm);
    // The caller checks the claims, against the injected clock.
    validation.required_spec_claims.clear();
    validation.validate_exp = false;
    validation.validate_nbf = false;
    validation.validate_aud = false;
    jsonwebtoken::decode(token, &key, &validation)
        .map(|token| token.claims)
        .map_err(|_| JwksError::BadSignature)
}

/// The key that signed a token with this header, if any did.
fn choose<'k>(keys: &'k [Jwk], kid: Option<&str>, algorithm: Algorithm) -> Result<&'k Jwk, JwksError> {
    // A key without an ID can be any.
    let fits =
        |key: &&Jwk| kid.is_none() || key.common.key_id.is_none() || key.common.key_id.as_deref() == kid;
    let mut named = keys.iter().filter(fits).peekable();
    if named.peek().is_none() {
        return Err(JwksError::UnknownKey);
    }
    let usable: Vec<_> = named.filter(|key| is_for(key, algorithm)).collect();
    let exact = usable.iter().find(|key| kid.is_some() && key.common.key_id.as_deref() == kid);
    match (exact, usable.as_slice()) {
        (Some(key), _) | (None, [key]) => Ok(key),
        (None, []) => Err(JwksError::WrongAlgorithm),
        (None, _) => Err(JwksError::Ambiguous),
    }
}

/// The algorithms that are accepted of other issuers. Symmetric ones are excluded: they would use a public key as a secret.
pub const ACCEPTED: [Algorithm; 5] =
    [Algorithm::RS256, Algorithm::PS256, Algorithm::ES256, Algorithm::ES384, Algorithm::EdDSA];

/// The most keys of another issuer.
const MAX_KEYS_OF_ISSUER: usize = 100;

/// Reads the key set of another issuer. Keys of unknown types are ignored (RFC 7517 section 5). `None` if no key is usable.
#[must_use]
pub fn of_issuer(document: &[u8]) -> Option<Vec<Jwk>> {
    #[derive(Deserialize)]
    struct Document {
        keys: Vec<Value>,
    }
    let document: Document = serde_json::from_slice(document).ok()?;
    let keys: Vec<Jwk> = document
        .keys
        .into_iter()
        .take(MAX_KEYS_OF_ISSUER)
        .filter_map(|key| serde_json::from_value(key).ok())
        .filter(|key| ACCEPTED.iter().any(|algorithm| is_for(key, *algorithm)))
        .collect();
    Some(keys).filter(|keys| !keys.is_empty())
}

/// Whether the key may verify signatures by `algorithm`. If a key for several algorithms says which, it serves only that one
/// (RFC 8725 section 3.1).
#[must_use]
pub fn is_for(key: &Jwk, algorithm: Algorithm) -> bool {
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

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    /// The first example of RFC 7517 appendix A.1, under another name and algorithm.
    fn key(kid: Option<&str>, alg: Option<&str>) -> Jwk {
        let mut key = json!({
            "kty": "EC", "crv": "P-256", "use": "sig",
            "x": "MKBCTNIcKUSDii11ySs3526iDZ8AiTo7Tu6KPAqv7D4",
            "y": "4Etl6SRW2YiLUrN5vfvVHuhp7x8PxltmWWlbbM4IFyM",
        });
        for (name, value) in [("kid", kid), ("alg", alg)] {
            if let Some(value) = value {
                key[name] = json!(value);
            }
        }
        serde_json::from_value(key).unwrap()
    }

    #[test]
    fn a_token_is_verified_by_the_one_key_that_it_means() {
        let (a, b, nameless) = (key(Some("a"), None), key(Some("b"), None), key(None, None));
        let with_alg = key(Some("a"), Some("ES384"));
        let name = |keys: &[Jwk], kid, algorithm| {
            choose(keys, kid, algorithm).map(|key| key.common.key_id.clone().unwrap_or_default())
        };
        let both = [a.clone(), b];
        assert_eq!(name(&both, Some("b"), Algorithm::ES256), Ok("b".to_owned()));
        assert_eq!(name(&both, Some("c"), Algorithm::ES256), Err(JwksError::UnknownKey));
        assert_eq!(name(&both, None, Algorithm::ES256), Err(JwksError::Ambiguous));
        assert_eq!(name(&both, Some("a"), Algorithm::RS256), Err(JwksError::WrongAlgorithm));
        assert_eq!(name(&both[..1], None, Algorithm::ES256), Ok("a".to_owned()));
        assert_eq!(name(&[nameless.clone(), a], Some("a"), Algorithm::ES256), Ok("a".to_owned()));
        assert_eq!(name(&[nameless], Some("a"), Algorithm::ES256), Ok(String::new()));
        assert_eq!(name(&[with_alg], Some("a"), Algorithm::ES256), Err(JwksError::WrongAlgorithm));
        assert_eq!(name(&[], None, Algorithm::ES256), Err(JwksError::UnknownKey));
    }
}
