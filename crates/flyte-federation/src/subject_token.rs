//! A token of another issuer (`subject_token`, RFC 8693 section 2.1): read, and checked as far as no rule is needed.

use jsonwebtoken::Algorithm;
use serde_json::{Map, Value};

use super::keys::{ALGORITHMS, KeySet};
use flyte_model::clock::UnixTime;

/// The longest token, in bytes; those of CI systems have one or two thousand.
const MAX_BYTES: usize = 16 * 1024;
/// How far the issuer's clock and ours may differ, in seconds.
const LEEWAY: i64 = 60;
/// The longest `sub`, in bytes.
const MAX_SUBJECT: usize = 512;

/// Why a token is not taken. The texts are for whoever sent it, and keep to the characters of RFC 6749 section 5.2.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum SubjectTokenError {
    /// Not three parts of base64url with JSON in them, or far too long.
    #[error("subject_token is not a signed JWT")]
    Malformed,
    /// An access token, a logout token: signed by the issuer too, but not to say who somebody is.
    #[error("subject_token is a JWT for another purpose: its typ is not JWT")]
    WrongType,
    /// Not one of [`ALGORITHMS`], or not that of the key.
    #[error("subject_token must be signed by RS256, PS256, ES256, ES384 or EdDSA, with a key for it")]
    WrongAlgorithm,
    /// The issuer does not publish the key.
    #[error("subject_token was signed by a key that its issuer does not publish")]
    UnknownKey,
    /// Somebody else signed it, or it was changed.
    #[error("subject_token has a signature that does not verify")]
    BadSignature,
    /// `exp` is over.
    #[error("subject_token has expired: get a new one from the CI system")]
    Expired,
    /// `nbf` or `iat` is to come.
    #[error("subject_token is not valid yet: check the clocks")]
    NotYet,
    /// `aud` names several: each of them could present the token here, and we could present it to them.
    #[error("subject_token must be for one audience only: its aud names several")]
    Audiences,
    /// A claim that must be there is not, or is not what it should be.
    #[error("subject_token lacks the claim {0}, or has something else in it")]
    Claim(&'static str),
}

/// A token that says of itself who issued it for whom; nothing of it is verified.
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

/// What a verified token says.
#[derive(Clone, Debug)]
pub struct Verified {
    /// `sub`.
    pub subject: String,
    /// All claims.
    pub claims: Map<String, Value>,
}

impl<'a> SubjectToken<'a> {
    /// Reads a token.
    ///
    /// # Errors
    /// [`SubjectTokenError`].
    pub fn parse(token: &'a str) -> Result<Self, SubjectTokenError> {
        if token.len() > MAX_BYTES {
            return Err(SubjectTokenError::Malformed);
        }
        // `alg` values that the library does not know, `none` among them, do not get past this line.
        let header = jsonwebtoken::decode_header(token).map_err(|_| SubjectTokenError::Malformed)?;
        if !ALGORITHMS.contains(&header.alg) {
            return Err(SubjectTokenError::WrongAlgorithm);
        }
        // RFC 7515 section 4.1.11: what must be understood, and is not, makes the token invalid.
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

    /// The name of the key that it was signed with.
    #[must_use]
    pub fn kid(&self) -> Option<&str> {
        self.kid.as_deref()
    }

    /// Verifies the signature, and that `now` lies within its life.
    ///
    /// # Errors
    /// [`SubjectTokenError`].
    pub fn verify(&self, keys: &KeySet, now: UnixTime) -> Result<Verified, SubjectTokenError> {
        let claims = keys.verify(self.token, self.kid(), self.algorithm)?;
        let expires_at = time(&claims, "exp")?.ok_or(SubjectTokenError::Claim("exp"))?;
        if expires_at <= now.saturating_sub(LEEWAY) {
            return Err(SubjectTokenError::Expired);
        }
        for claim in ["nbf", "iat"] {
            if time(&claims, claim)?.is_some_and(|at| at > now.saturating_add(LEEWAY)) {
                return Err(SubjectTokenError::NotYet);
            }
        }
        let subject = text(&claims, "sub")?.to_owned();
        if subject.len() > MAX_SUBJECT || subject.chars().any(char::is_control) {
            return Err(SubjectTokenError::Claim("sub"));
        }
        Ok(Verified { subject, claims })
    }
}

fn text<'a>(claims: &'a Map<String, Value>, name: &'static str) -> Result<&'a str, SubjectTokenError> {
    let text = claims.get(name).and_then(Value::as_str).filter(|text| !text.is_empty());
    text.ok_or(SubjectTokenError::Claim(name))
}

/// `aud`: one audience, also as a list of one (RFC 7519 section 4.1.3).
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

/// A NumericDate (RFC 7519 section 2), which may have a fraction.
fn time(claims: &Map<String, Value>, name: &'static str) -> Result<Option<UnixTime>, SubjectTokenError> {
    let Some(value) = claims.get(name) else { return Ok(None) };
    if let Some(seconds) = value.as_i64() {
        return Ok(Some(seconds));
    }
    let seconds = value.as_f64().filter(|seconds| seconds.abs() < 1e15);
    #[allow(clippy::cast_possible_truncation, reason = "fractions of a second do not matter")]
    seconds.map(|seconds| Some(seconds as i64)).ok_or(SubjectTokenError::Claim(name))
}
