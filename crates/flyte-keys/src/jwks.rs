//! JSON Web Key Sets (RFC 7517) of client registrations.

use jsonwebtoken::{
    DecodingKey,
    jwk::{AlgorithmParameters, EllipticCurve, Jwk, JwkSet, PublicKeyUse},
};

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
