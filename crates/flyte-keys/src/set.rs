//! The decrypted keys in memory: never changed, only replaced.

use std::sync::Arc;

use base64::{Engine as _, prelude::BASE64_URL_SAFE_NO_PAD};
use bytes::Bytes;
use jsonwebtoken::{
    DecodingKey, Header, Validation,
    errors::ErrorKind,
    jwk::{Jwk, JwkSet},
};
use serde::{Serialize, de::DeserializeOwned};

use super::{KeyError, RS256, VerifyError, pair::KeyPair};
use flyte_store::{KeyState, SealedSigningKey};

/// One decrypted key.
pub(super) struct Key {
    id: String,
    state: KeyState,
    pair: Arc<KeyPair>,
    jwk: Jwk,
    decoding: DecodingKey,
    validation: Validation,
}

impl Key {
    pub(super) fn new(id: String, state: KeyState, pair: Arc<KeyPair>) -> Result<Self, KeyError> {
        let jwk = pair.jwk()?;
        let decoding = DecodingKey::from_jwk(&jwk).map_err(KeyError::Jwt)?;
        // The algorithm must be that of the key. The caller checks the claims against the injected clock.
        let mut validation = Validation::new(pair.algorithm());
        validation.required_spec_claims.clear();
        validation.validate_exp = false;
        validation.validate_nbf = false;
        validation.validate_aud = false;
        Ok(Self { id, state, pair, jwk, decoding, validation })
    }

    /// `alg`.
    fn algorithm(&self) -> &'static str {
        self.pair.name()
    }
}

/// All decrypted keys.
pub(super) struct KeySet {
    keys: Vec<Key>,
    /// Position of the key that signs if no algorithm is chosen.
    signing: Option<usize>,
    jwks: Bytes,
}

impl KeySet {
    /// Creates a set in which the active key for `algorithm` signs. While there is none yet, the key that is being
    /// replaced signs; the key for RS256 signs only if there is no other.
    pub(super) fn new(algorithm: &str, keys: Vec<Key>) -> Result<Self, KeyError> {
        let jwks = JwkSet { keys: keys.iter().map(|key| key.jwk.clone()).collect() };
        let active = keys.iter().enumerate().filter(|(_, key)| key.state == KeyState::Active);
        let preference = |key: &Key| match key.algorithm() {
            found if found == algorithm => 0,
            RS256 => 2,
            _ => 1,
        };
        let signing = active.min_by_key(|(_, key)| preference(key)).map(|(at, _)| at);
        Ok(Self { jwks: serde_json::to_vec(&jwks)?.into(), signing, keys })
    }

    /// Returns the `alg` of the key that signs if no algorithm is chosen.
    pub(super) fn algorithm(&self) -> Option<&'static str> {
        self.signing.and_then(|at| self.keys.get(at)).map(Key::algorithm)
    }

    /// Returns whether this is the stored set.
    pub(super) fn is(&self, stored: &[SealedSigningKey]) -> bool {
        !stored.is_empty()
            && self.keys.len() == stored.len()
            && self
                .keys
                .iter()
                .zip(stored)
                .all(|(key, stored)| key.id == stored.id && key.state == stored.state)
    }

    pub(super) fn pair(&self, id: &str) -> Option<Arc<KeyPair>> {
        self.keys.iter().find(|key| key.id == id).map(|key| Arc::clone(&key.pair))
    }

    pub(super) fn jwks(&self) -> Bytes {
        self.jwks.clone()
    }

    /// Signs with the active key, or with that for `algorithm` if it is set (RFC 7515 section 7.1, compact
    /// serialization).
    pub(super) fn sign(
        &self,
        algorithm: Option<&str>,
        typ: &str,
        claims: &impl Serialize,
    ) -> Result<String, KeyError> {
        let key = match algorithm {
            None => self
                .signing
                .and_then(|at| self.keys.get(at))
                .ok_or(KeyError::Crypto("finding an active signing key"))?,
            Some(chosen) => self
                .keys
                .iter()
                .find(|key| key.state == KeyState::Active && key.algorithm() == chosen)
                .ok_or_else(|| KeyError::NoKeyFor(chosen.to_owned()))?,
        };
        let mut header = Header::new(key.pair.algorithm());
        header.typ = Some(typ.to_owned());
        header.kid = Some(key.id.clone());
        // `jsonwebtoken::encode` would parse the private key again for each token, which costs more than the signature.
        let mut token = BASE64_URL_SAFE_NO_PAD.encode(serde_json::to_vec(&header)?);
        token.push('.');
        BASE64_URL_SAFE_NO_PAD.encode_string(serde_json::to_vec(claims)?, &mut token);
        let signature = key.pair.sign(token.as_bytes())?;
        token.push('.');
        BASE64_URL_SAFE_NO_PAD.encode_string(signature, &mut token);
        Ok(token)
    }

    pub(super) fn verify<T: DeserializeOwned>(&self, token: &str, typ: &str) -> Result<T, VerifyError> {
        // `alg` values that the library does not know, for example `none`, are rejected here.
        let header = jsonwebtoken::decode_header(token).map_err(|_| VerifyError::Malformed)?;
        // RFC 7515 section 4.1.11: a critical header that is not understood makes the token invalid.
        if header.crit.is_some() {
            return Err(VerifyError::Malformed);
        }
        if !header.typ.is_some_and(|found| is_type(&found, typ)) {
            return Err(VerifyError::WrongType);
        }
        let kid = header.kid.ok_or(VerifyError::UnknownKey)?;
        let key = self.keys.iter().find(|key| key.id == kid).ok_or(VerifyError::UnknownKey)?;
        if header.alg != key.pair.algorithm() {
            return Err(VerifyError::WrongAlgorithm);
        }
        jsonwebtoken::decode(token, &key.decoding, &key.validation).map(|token| token.claims).map_err(
            |error| match error.kind() {
                ErrorKind::Json(_) => VerifyError::BadClaims,
                ErrorKind::InvalidToken | ErrorKind::Base64(_) | ErrorKind::Utf8(_) => VerifyError::Malformed,
                _ => VerifyError::BadSignature,
            },
        )
    }
}

/// Returns whether a `typ` is the expected one. It is a media type: case is ignored, and `application/` may be omitted
/// (RFC 7515 section 4.1.9).
fn is_type(found: &str, wanted: &str) -> bool {
    let bare = match found.split_at_checked("application/".len()) {
        Some((prefix, rest)) if prefix.eq_ignore_ascii_case("application/") => rest,
        _ => found,
    };
    bare.eq_ignore_ascii_case(wanted)
}

impl std::fmt::Debug for KeySet {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_list()
            .entries(self.keys.iter().map(|key| (&key.id, key.pair.algorithm(), key.state)))
            .finish()
    }
}
