//! A token of another issuer (`subject_token`, RFC 8693 section 2.1): parsing, and the checks that need no rule.

use jsonwebtoken::Algorithm;
use serde_json::{Map, Value};

use flyte_issuer::{ALGORITHMS, KeySet};
use flyte_keys::jwks::JwksError;
use flyte_model::clock::UnixTime;

/// The maximum length of a token in bytes. Tokens of CI systems have one or two thousand.
const MAX_BYTES: usize = 16 * 1024;
/// The permitted difference between the issuer's clock and ours, in seconds.
const LEEWAY_SECONDS: i64 = 60;
/// The maximum length of `sub`, in bytes.
const MAX_SUBJECT_BYTES: usize = 512;

/// The reason for refusing a token. The client gets the text, so it contains only the characters of RFC 6749 section
/// 5.2.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SubjectTokenError {
    /// The token does not have three base64url parts with JSON, or is too long.
    #[error("subject_token is not a signed JWT")]
    Malformed,
    /// The issuer signed the token for another purpose, for example as an access token or a logout token.
    #[error("subject_token is a JWT for another purpose: its typ is not JWT")]
    WrongType,
    /// The algorithm is not in [`ALGORITHMS`], or the key is for another algorithm.
    #[error(
        "subject_token must be signed with RS256, PS256, ES256, ES384 or EdDSA, and a key for that algorithm"
    )]
    WrongAlgorithm,
    /// The issuer does not publish the key.
    #[error("subject_token was signed by a key that its issuer does not publish")]
    UnknownKey,
    /// The signature does not match the token and the key.
    #[error("subject_token has an invalid signature")]
    BadSignature,
    /// The time in `exp` is in the past.
    #[error("subject_token has expired: get a new one from the CI system")]
    Expired,
    /// The time in `nbf` or `iat` is in the future.
    #[error("subject_token is not valid yet: check the clocks")]
    NotYet,
    /// `aud` has several values. Each of these audiences could send the token here, and this server could send it to
    /// them.
    #[error("subject_token must have one audience: its aud has several")]
    Audiences,
    /// A required claim is missing or has a wrong type.
    #[error("subject_token has no valid claim {0}")]
    Claim(&'static str),
}

impl From<JwksError> for SubjectTokenError {
    fn from(error: JwksError) -> Self {
        match error {
            JwksError::UnknownKey | JwksError::Ambiguous => Self::UnknownKey,
            JwksError::WrongAlgorithm => Self::WrongAlgorithm,
            JwksError::BadSignature => Self::BadSignature,
        }
    }
}

/// A parsed token. Its issuer and audience are not verified yet.
#[derive(Debug)]
pub struct SubjectToken<'a> {
    token: &'a str,
    algorithm: Algorithm,
    kid: Option<String>,
    /// `iss`.
    pub issuer: String,
    /// `aud`.
    pub audience: String,
}

/// A verified token.
#[derive(Clone, Debug)]
pub struct Verified {
    /// `sub`.
    pub subject: String,
    /// All claims.
    pub claims: Map<String, Value>,
}

impl<'a> SubjectToken<'a> {
    /// Parses a token.
    ///
    /// # Errors
    /// [`SubjectTokenError`] if it is not a JWT that this server accepts.
    pub fn parse(token: &'a str) -> Result<Self, SubjectTokenError> {
        if token.len() > MAX_BYTES {
            return Err(SubjectTokenError::Malformed);
        }
        // The library refuses unknown values of `alg`, including `none`, here.
        let header = jsonwebtoken::decode_header(token).map_err(|_| SubjectTokenError::Malformed)?;
        if !ALGORITHMS.contains(&header.alg) {
            return Err(SubjectTokenError::WrongAlgorithm);
        }
        // RFC 7515 section 4.1.11: a header that must be understood but is unknown makes the token invalid.
        if header.crit.is_some() {
            return Err(SubjectTokenError::Malformed);
        }
        if header.typ.is_some_and(|typ| !typ.eq_ignore_ascii_case("JWT")) {
            return Err(SubjectTokenError::WrongType);
        }
        let claims: Map<String, Value> = jsonwebtoken::dangerous::insecure_decode_claims(token)
            .map_err(|_| SubjectTokenError::Malformed)?;
        Ok(Self {
            token,
            algorithm: header.alg,
            kid: header.kid,
            issuer: text(&claims, "iss")?.to_owned(),
            audience: audience(&claims)?,
        })
    }

    /// The identifier of the signing key.
    #[must_use]
    pub fn kid(&self) -> Option<&str> {
        self.kid.as_deref()
    }

    /// Verifies the signature, and that the token is valid at `now`.
    ///
    /// # Errors
    /// [`SubjectTokenError`] if it is not valid.
    pub fn verify(&self, keys: &KeySet, now: UnixTime) -> Result<Verified, SubjectTokenError> {
        let claims = keys.verify(self.token, self.kid(), self.algorithm)?;
        let expires_at = time(&claims, "exp")?.ok_or(SubjectTokenError::Claim("exp"))?;
        if expires_at <= now.saturating_sub(LEEWAY_SECONDS) {
            return Err(SubjectTokenError::Expired);
        }
        for claim in ["nbf", "iat"] {
            if time(&claims, claim)?.is_some_and(|at| at > now.saturating_add(LEEWAY_SECONDS)) {
                return Err(SubjectTokenError::NotYet);
            }
        }
        let subject = text(&claims, "sub")?.to_owned();
        if subject.len() > MAX_SUBJECT_BYTES || subject.chars().any(char::is_control) {
            return Err(SubjectTokenError::Claim("sub"));
        }
        Ok(Verified { subject, claims })
    }
}

fn text<'a>(claims: &'a Map<String, Value>, name: &'static str) -> Result<&'a str, SubjectTokenError> {
    let text = claims.get(name).and_then(Value::as_str).filter(|text| !text.is_empty());
    text.ok_or(SubjectTokenError::Claim(name))
}

/// `aud`: one audience, or a list with one audience (RFC 7519 section 4.1.3).
fn audience(claims: &Map<String, Value>) -> Result<String, SubjectTokenError> {
    let found = match claims.get("aud") {
        Some(Value::Array(many)) => match many.as_slice() {
            [one] => Some(one),
            [] => None,
            _ => return Err(SubjectTokenError::Audiences),
        },
        other => other,
    };
    let audience = found.and_then(Value::as_str).filter(|text| !text.is_empty());
    audience.map(str::to_owned).ok_or(SubjectTokenError::Claim("aud"))
}

/// Returns a NumericDate (RFC 7519 section 2), which may have a fraction.
fn time(claims: &Map<String, Value>, name: &'static str) -> Result<Option<UnixTime>, SubjectTokenError> {
    let Some(value) = claims.get(name) else { return Ok(None) };
    if let Some(seconds) = value.as_i64() {
        return Ok(Some(seconds));
    }
    let seconds = value.as_f64().filter(|seconds| seconds.abs() < 1e15);
    #[allow(clippy::cast_possible_truncation, reason = "fractions of a second do not matter")]
    seconds.map(|seconds| Some(seconds as i64)).ok_or(SubjectTokenError::Claim(name))
}
