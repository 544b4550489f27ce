//! The validation of ID tokens (OpenID Connect Core section 3.1.3.7), and of signed answers of UserInfo.

use aws_lc_rs::digest::{SHA256, SHA384, SHA512, digest};
use base64::{Engine as _, prelude::BASE64_URL_SAFE_NO_PAD};
use jsonwebtoken::Algorithm;
use secrecy::{ExposeSecret as _, SecretString};
use serde_json::{Map, Value};

use crate::{
    Attempt, Provider, ProviderError,
    metadata::{Metadata, TENANT},
};
use flyte_issuer::{ALGORITHMS, KeySource};
use flyte_model::clock::UnixTime;

/// The maximum length of a token in bytes. Tokens with many groups have some ten thousand.
const MAX_BYTES: usize = 128 * 1024;
/// The permitted difference between the provider's clock and ours, in seconds.
pub(crate) const LEEWAY_SECONDS: i64 = 60;
/// The maximum length of `sub` in bytes (Core section 2 has 255 characters).
const MAX_SUBJECT_BYTES: usize = 512;

impl Provider {
    /// Validates an ID token and returns its claims.
    pub(crate) async fn id_token(
        &self,
        metadata: &Metadata,
        token: &SecretString,
        access_token: &SecretString,
        attempt: &Attempt,
    ) -> Result<Map<String, Value>, ProviderError> {
        let (claims, algorithm) = self.signed(metadata, token.expose_secret()).await?;
        self.check_claims(metadata, &claims, algorithm, access_token)?;
        if claims.get("nonce").and_then(Value::as_str) != Some(attempt.nonce.as_str()) {
            return Err(ProviderError::Wrong("the ID token has another nonce"));
        }
        self.check_freshness(&claims, attempt)?;
        Ok(claims)
    }

    /// Validates the ID token of a refresh (Core section 12.2), which belongs to no sign-in.
    pub(crate) async fn refreshed_id_token(
        &self,
        metadata: &Metadata,
        token: &SecretString,
        access_token: &SecretString,
    ) -> Result<Map<String, Value>, ProviderError> {
        let (claims, algorithm) = self.signed(metadata, token.expose_secret()).await?;
        self.check_claims(metadata, &claims, algorithm, access_token)?;
        Ok(claims)
    }

    /// Checks the claims that every ID token has.
    fn check_claims(
        &self,
        metadata: &Metadata,
        claims: &Map<String, Value>,
        algorithm: Algorithm,
        access_token: &SecretString,
    ) -> Result<(), ProviderError> {
        let wrong = |what| Err(ProviderError::Wrong(what));
        self.check_issuer(metadata, claims)?;
        self.check_audience(claims)?;
        check_times(claims, self.clock.now())?;
        if subject(claims).is_none() {
            return wrong("the ID token has no usable sub");
        }
        // A logout token (Back-Channel Logout section 2.6) must not be mistaken for an ID token.
        if claims.contains_key("events") {
            return wrong("the token is not an ID token: it has events");
        }
        match claims.get("at_hash") {
            None => Ok(()),
            Some(hash) if hash.as_str() == Some(&half_hash(algorithm, access_token)) => Ok(()),
            Some(_) => wrong("the access token is not that of the ID token: at_hash differs"),
        }
    }

    /// Returns the claims of a token of no type that the provider signed, and the algorithm.
    pub(crate) async fn signed(
        &self,
        metadata: &Metadata,
        token: &str,
    ) -> Result<(Map<String, Value>, Algorithm), ProviderError> {
        self.signed_as(metadata, token, &["JWT"]).await
    }

    /// Returns the claims of a token of one of these types, or of none, that the provider signed, and the algorithm.
    pub(crate) async fn signed_as(
        &self,
        metadata: &Metadata,
        token: &str,
        types: &[&str],
    ) -> Result<(Map<String, Value>, Algorithm), ProviderError> {
        if token.len() > MAX_BYTES {
            return Err(ProviderError::Wrong("the token is too long"));
        }
        // The library refuses unknown values of `alg`, including `none`, here.
        let header = jsonwebtoken::decode_header(token)
            .map_err(|_| ProviderError::Wrong("the token is not a signed JWT"))?;
        if !ALGORITHMS.contains(&header.alg) {
            return Err(ProviderError::Wrong("the token is signed with an algorithm that is not accepted"));
        }
        let is_of = |typ: &String| types.iter().any(|expected| typ.eq_ignore_ascii_case(expected));
        if header.crit.is_some() || !header.typ.as_ref().is_none_or(is_of) {
            return Err(ProviderError::Wrong("the token is for another purpose"));
        }
        let source =
            KeySource { issuer: self.settings.issuer.clone(), jwks_uri: Some(metadata.jwks_uri.clone()) };
        let keys = self.keys.keys(source, header.kid.as_deref()).await?;
        let claims = keys
            .verify(token, header.kid.as_deref(), header.alg)
            .map_err(|_| ProviderError::Wrong("the token is not signed with a key of the provider"))?;
        Ok((claims, header.alg))
    }

    /// `iss` is the issuer; for several tenants of Entra ID, that of the tenant in `tid`.
    pub(crate) fn check_issuer(
        &self,
        metadata: &Metadata,
        claims: &Map<String, Value>,
    ) -> Result<(), ProviderError> {
        let text = |name: &str| claims.get(name).and_then(Value::as_str);
        let expected = if metadata.issuer.contains(TENANT) {
            let is_id =
                |tid: &&str| !tid.is_empty() && tid.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-');
            let Some(tid) = text("tid").filter(is_id) else {
                return Err(ProviderError::Wrong("the ID token has no tid"));
            };
            metadata.issuer.replace(TENANT, tid)
        } else {
            metadata.issuer.clone()
        };
        if text("iss") == Some(expected.as_str()) {
            return Ok(());
        }
        Err(ProviderError::Wrong("the token is of another issuer"))
    }

    /// `aud` contains this client. If there are several audiences, the token was issued to this client (`azp`).
    pub(crate) fn check_audience(&self, claims: &Map<String, Value>) -> Result<(), ProviderError> {
        let own = self.settings.client_id.as_str();
        let authorized = claims.get("azp").map(Value::as_str);
        let is_good = match claims.get("aud") {
            Some(Value::String(one)) => one == own,
            Some(Value::Array(many)) => {
                many.iter().any(|one| one.as_str() == Some(own)) && (many.len() == 1 || authorized.is_some())
            }
            _ => false,
        };
        if is_good && authorized.is_none_or(|azp| azp == Some(own)) {
            return Ok(());
        }
        Err(ProviderError::Wrong("the token is for another audience"))
    }

    /// If a new sign-in was asked for, `auth_time` proves it (Core section 3.1.2.1, `max_age`).
    fn check_freshness(&self, claims: &Map<String, Value>, attempt: &Attempt) -> Result<(), ProviderError> {
        let Some(max_age) = attempt.max_age else { return Ok(()) };
        let signed_in_at = number(claims, "auth_time").ok().flatten().ok_or(ProviderError::NotFresh)?;
        let oldest = attempt.started_at.saturating_sub(max_age).saturating_sub(LEEWAY_SECONDS);
        if signed_in_at >= oldest { Ok(()) } else { Err(ProviderError::NotFresh) }
    }
}

/// Returns `sub`.
pub(crate) fn subject(claims: &Map<String, Value>) -> Option<&str> {
    identifier(claims, "sub")
}

/// Returns a claim that identifies something.
pub(crate) fn identifier<'a>(claims: &'a Map<String, Value>, name: &str) -> Option<&'a str> {
    let text = claims.get(name)?.as_str()?;
    let is_good = !text.is_empty() && text.len() <= MAX_SUBJECT_BYTES && !text.contains(char::is_control);
    is_good.then_some(text)
}

pub(crate) fn check_times(claims: &Map<String, Value>, now: UnixTime) -> Result<(), ProviderError> {
    let time =
        |name| number(claims, name).map_err(|()| ProviderError::Wrong("a time in the token is not a number"));
    let Some(expires_at) = time("exp")? else { return Err(ProviderError::Wrong("the ID token has no exp")) };
    if expires_at <= now.saturating_sub(LEEWAY_SECONDS) {
        return Err(ProviderError::Wrong("the ID token has expired: compare the clocks"));
    }
    if time("iat")?.is_none() {
        return Err(ProviderError::Wrong("the ID token has no iat"));
    }
    for name in ["nbf", "iat"] {
        if time(name)?.is_some_and(|at| at > now.saturating_add(LEEWAY_SECONDS)) {
            return Err(ProviderError::Wrong("the ID token is not valid yet: compare the clocks"));
        }
    }
    Ok(())
}

/// Returns a NumericDate (RFC 7519 section 2), which may have a fraction.
pub(crate) fn number(claims: &Map<String, Value>, name: &str) -> Result<Option<UnixTime>, ()> {
    let Some(value) = claims.get(name) else { return Ok(None) };
    if let Some(seconds) = value.as_i64() {
        return Ok(Some(seconds));
    }
    let seconds = value.as_f64().filter(|seconds| seconds.abs() < 1e15).ok_or(())?;
    #[allow(clippy::cast_possible_truncation, reason = "fractions of a second do not matter")]
    Ok(Some(seconds as i64))
}

/// The left half of a hash, with the hash of the algorithm of the signature (Core section 3.1.3.6).
pub(crate) fn half_hash(algorithm: Algorithm, token: &SecretString) -> String {
    let hash = match algorithm {
        Algorithm::ES384 => &SHA384,
        Algorithm::EdDSA => &SHA512,
        _ => &SHA256,
    };
    let hash = digest(hash, token.expose_secret().as_bytes());
    let hash = hash.as_ref();
    BASE64_URL_SAFE_NO_PAD.encode(&hash[..hash.len() / 2])
}
