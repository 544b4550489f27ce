//! Tokens and the answers that bring them.

use std::{fmt, sync::Arc};

use aws_lc_rs::digest;
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use secrecy::{ExposeSecret as _, SecretString};
use serde::Deserialize;

use crate::{AuthError, clock::UnixTime};

/// An access token. Cloning shares it.
#[derive(Clone)]
pub struct AccessToken(Arc<Inner>);

struct Inner {
    secret: SecretString,
    expires_at: Option<UnixTime>,
    refresh_at: Option<UnixTime>,
}

/// The longest time before expiry at which a token is refreshed, in seconds.
const MAX_REFRESH_WINDOW: i64 = 300;

impl AccessToken {
    /// A token that expires at `expires_at` and lived for `lifetime` seconds from the start, as far as known. `jitter` in
    /// 0..=1 spreads the refreshes of many machines.
    pub(crate) fn new(
        secret: SecretString,
        expires_at: Option<UnixTime>,
        lifetime: Option<i64>,
        jitter: f64,
    ) -> Self {
        // A fifth of the life, at most five minutes; jitter moves the moment within the second half of that window.
        let window = lifetime.map_or(MAX_REFRESH_WINDOW, |life| (life / 5).clamp(0, MAX_REFRESH_WINDOW));
        #[allow(clippy::cast_possible_truncation, clippy::cast_precision_loss, reason = "at most 300")]
        let early = window / 2 + (window as f64 / 2.0 * jitter.clamp(0.0, 1.0)) as i64;
        let refresh_at = expires_at.map(|at| at - early);
        Self(Arc::new(Inner { secret, expires_at, refresh_at }))
    }

    /// The token itself, for the `Authorization` header only.
    #[must_use]
    pub fn secret(&self) -> &str {
        self.0.secret.expose_secret()
    }

    /// When it expires, Unix time in seconds; `None` where that is not known.
    #[must_use]
    pub fn expires_at(&self) -> Option<UnixTime> {
        self.0.expires_at
    }

    /// Whether it is still good at `now`, as far as this side knows.
    #[must_use]
    pub fn is_valid(&self, now: UnixTime) -> bool {
        self.0.expires_at.is_none_or(|at| now < at)
    }

    /// Whether it is good and not yet due for a refresh.
    pub(crate) fn is_fresh(&self, now: UnixTime) -> bool {
        self.0.refresh_at.is_none_or(|at| now < at)
    }
}

impl fmt::Debug for AccessToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AccessToken").field("expires_at", &self.0.expires_at).finish_non_exhaustive()
    }
}

/// A successful token response (RFC 6749 section 5.1).
#[derive(Debug, Deserialize)]
pub struct TokenResponse {
    /// The access token.
    pub access_token: SecretString,
    /// The refresh token; a refresh answer without one leaves the old one in force (RFC 6749 section 6).
    pub refresh_token: Option<SecretString>,
    /// Life of the access token in seconds; recommended, not required.
    #[serde(default, deserialize_with = "lenient_seconds")]
    pub expires_in: Option<i64>,
    /// The scopes granted, where they differ from those asked for.
    pub scope: Option<String>,
    /// How the token is to be used; only `Bearer` can be.
    pub token_type: Option<String>,
    /// When the client's secret ends, Unix time in seconds: our server says it to API keys, under the name of RFC 7591 section
    /// 3.2.1, where 0 means never.
    #[serde(default, deserialize_with = "lenient_seconds")]
    pub client_secret_expires_at: Option<UnixTime>,
    /// Who signed in (OpenID Connect Core section 3.1.3.3).
    pub id_token: Option<SecretString>,
}

/// The claims of an ID token that are looked at.
///
/// Its signature is not verified: it came from the token endpoint over TLS, which OpenID Connect Core section 3.1.3.7 allows
/// to go by, and nothing is granted because of it.
#[derive(Debug, Deserialize)]
pub(crate) struct IdClaims {
    /// The nonce of the authorization request that it answers.
    pub(crate) nonce: Option<String>,
    sub: Option<String>,
    email: Option<String>,
    preferred_username: Option<String>,
}

impl IdClaims {
    /// What a person recognises their account by, fit for a terminal.
    pub(crate) fn into_subject(self) -> Option<String> {
        self.email
            .or(self.preferred_username)
            .or(self.sub)
            .map(|name| clean(&name))
            .filter(|name| !name.is_empty())
    }
}

/// Some providers write `expires_in` as a string or a float.
fn lenient_seconds<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<Option<i64>, D::Error> {
    #[derive(Deserialize)]
    #[serde(untagged)]
    enum Seconds {
        Whole(i64),
        Fraction(f64),
        Text(String),
    }
    #[allow(clippy::cast_possible_truncation, reason = "seconds; a saturating cast is what is wanted")]
    Ok(match Option::<Seconds>::deserialize(deserializer)? {
        None => None,
        Some(Seconds::Whole(seconds)) => Some(seconds),
        Some(Seconds::Fraction(seconds)) => Some(seconds as i64),
        Some(Seconds::Text(text)) => text.trim().parse().ok(),
    }
    .filter(|seconds| *seconds >= 0))
}

/// An error response (RFC 6749 section 5.2).
#[derive(Debug, Deserialize)]
struct ErrorResponse {
    error: String,
    error_description: Option<String>,
}

impl TokenResponse {
    /// Reads the answer of a token endpoint.
    ///
    /// # Errors
    /// [`AuthError::Refused`] for an OAuth error, [`AuthError::BadAnswer`] for anything that is neither; no part of the body
    /// is in the message.
    pub fn parse(url: &str, status: u16, body: &[u8]) -> Result<Self, AuthError> {
        let bad = |reason: String| AuthError::BadAnswer { url: url.to_owned(), reason };
        if (200..300).contains(&status) {
            let response: Self = serde_json::from_slice(body).map_err(|error| bad(describe(&error, body)))?;
            if response.access_token.expose_secret().is_empty() {
                return Err(bad("its access_token is empty".to_owned()));
            }
            // A token that would break the header is not one; and only bearer tokens can be presented (RFC 6750).
            if !response.access_token.expose_secret().bytes().all(|byte| byte.is_ascii_graphic()) {
                return Err(bad("its access_token holds characters that no header can carry".to_owned()));
            }
            if let Some(kind) =
                response.token_type.as_deref().filter(|kind| !kind.eq_ignore_ascii_case("bearer"))
            {
                return Err(bad(format!("its token_type {kind:?} is not Bearer")));
            }
            return Ok(response);
        }
        // Server faults are never read as an OAuth verdict: a proxy's page must not end a session.
        if (400..500).contains(&status)
            && let Ok(error) = serde_json::from_slice::<ErrorResponse>(body)
        {
            return Err(AuthError::Refused {
                code: clean(&error.error),
                description: error.error_description.as_deref().map(clean),
            });
        }
        Err(bad(format!("HTTP status {status}")))
    }
}

impl TokenResponse {
    /// The claims of the ID token, where there is one that can be read.
    pub(crate) fn id_claims(&self) -> Option<IdClaims> {
        claims(self.id_token.as_ref()?.expose_secret())
    }
}

/// What is wrong with a body that is not a token response, without quoting it.
fn describe(error: &serde_json::Error, body: &[u8]) -> String {
    if body.trim_ascii_start().first() == Some(&b'<') {
        "it is a web page".to_owned()
    } else {
        format!("{:?} error at line {} column {}", error.classify(), error.line(), error.column())
    }
}

/// Text from a server made fit for a terminal: no control characters, bounded.
pub(crate) fn clean(text: &str) -> String {
    text.chars().filter(|c| !c.is_control()).take(300).collect()
}

/// SHA-256 in lower-case hexadecimal: names a token without telling it.
pub(crate) fn fingerprint(text: &str) -> String {
    digest::digest(&digest::SHA256, text.as_bytes())
        .as_ref()
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect()
}

/// The `exp` of a JWT, unverified: only used to know when to refresh, never to trust the token.
pub(crate) fn jwt_expiry(token: &str) -> Option<UnixTime> {
    #[derive(Deserialize)]
    struct Claims {
        exp: f64,
    }
    let claims: Claims = claims(token)?;
    #[allow(clippy::cast_possible_truncation, reason = "a saturating cast is what is wanted")]
    Some(claims.exp as i64)
}

/// The claims of a JWT, unverified.
pub(crate) fn claims<T: serde::de::DeserializeOwned>(token: &str) -> Option<T> {
    serde_json::from_slice(&URL_SAFE_NO_PAD.decode(token.split('.').nth(1)?).ok()?).ok()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn parse(status: u16, body: &str) -> Result<TokenResponse, AuthError> {
        TokenResponse::parse("https://issuer.example/token", status, body.as_bytes())
    }

    #[test]
    fn a_whole_response_is_read() {
        let response = parse(
            200,
            r#"{"access_token":"a","token_type":"bearer","expires_in":"3600","refresh_token":"r","scope":"a b"}"#,
        )
        .unwrap();
        assert_eq!(response.expires_in, Some(3600));
        assert_eq!(response.refresh_token.unwrap().expose_secret(), "r");
    }

    #[test]
    fn only_client_errors_are_verdicts() {
        let refusal = r#"{"error":"invalid_grant","error_description":"gone\u001b[31m"}"#;
        match parse(400, refusal) {
            Err(AuthError::Refused { code, description }) => {
                assert_eq!(code, "invalid_grant");
                assert_eq!(description.as_deref(), Some("gone[31m"));
            }
            other => panic!("{other:?}"),
        }
        assert!(matches!(parse(503, refusal), Err(AuthError::BadAnswer { .. })));
        assert!(matches!(parse(200, "<html>"), Err(AuthError::BadAnswer { .. })));
        assert!(matches!(parse(200, r#"{"access_token":""}"#), Err(AuthError::BadAnswer { .. })));
        assert!(matches!(parse(200, r#"{"access_token":"a\nb"}"#), Err(AuthError::BadAnswer { .. })));
        assert!(matches!(
            parse(200, r#"{"access_token":"a","token_type":"mac"}"#),
            Err(AuthError::BadAnswer { .. })
        ));
    }

    #[test]
    fn no_secret_is_shown() {
        let response = parse(200, r#"{"access_token":"s3cret","refresh_token":"s3cret2"}"#).unwrap();
        let token = AccessToken::new(response.access_token.clone(), None, None, 0.5);
        let error = parse(200, r#"{"access_token":"s3cret","expires_in":{}}"#).unwrap_err();
        for shown in [format!("{response:?}"), format!("{token:?}"), format!("{error:?} {error}")] {
            assert!(!shown.contains("s3cret"), "{shown}");
        }
    }

    #[test]
    fn a_token_is_refreshed_within_the_window_before_it_expires() {
        let secret = || SecretString::from("t");
        for jitter in [0.0, 0.3, 1.0] {
            let token = AccessToken::new(secret(), Some(10_000), Some(3600), jitter);
            assert!(token.is_fresh(10_000 - 301) && !token.is_fresh(10_000 - 149) && token.is_valid(9_999));
            let short = AccessToken::new(secret(), Some(10_000), Some(10), jitter);
            assert!(short.is_fresh(10_000 - 3) && !short.is_fresh(9_999));
            assert!(!short.is_valid(10_000));
        }
        assert!(AccessToken::new(secret(), None, None, 0.5).is_fresh(i64::MAX));
    }

    #[test]
    fn the_expiry_of_a_jwt_is_read() {
        let claims = URL_SAFE_NO_PAD.encode(r#"{"exp":1700000000.5}"#);
        assert_eq!(jwt_expiry(&format!("e30.{claims}.sig")), Some(1_700_000_000));
        assert_eq!(jwt_expiry("opaque"), None);
    }

    proptest! {
        #[test]
        fn nothing_that_a_server_sends_panics(status in 100_u16..600, body in proptest::collection::vec(any::<u8>(), 0..200)) {
            let _ = TokenResponse::parse("https://issuer.example/token", status, &body);
            let _ = jwt_expiry(&String::from_utf8_lossy(&body));
        }
    }
}
