//! Access tokens, and the answers of token endpoints.

use std::{fmt, sync::Arc};

use aws_lc_rs::digest;
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use secrecy::{ExposeSecret as _, SecretString};

use crate::{AuthError, answer::Members, clock::UnixTime, oauth::Scope};

/// An access token. Clones share the secret.
#[derive(Clone)]
pub struct AccessToken(Arc<Inner>);

struct Inner {
    secret: SecretString,
    expires_at: Option<UnixTime>,
    refresh_at: Option<UnixTime>,
}

/// The longest time before the expiry at which a token is refreshed, in seconds.
const MAX_REFRESH_WINDOW_SECONDS: i64 = 300;

impl AccessToken {
    /// Creates a token that expires at `expires_at` and has a whole lifetime of `lifetime` seconds, if they are known. `jitter` in
    /// 0..=1 spreads the refreshes of many machines.
    pub(crate) fn new(
        secret: SecretString,
        expires_at: Option<UnixTime>,
        lifetime: Option<i64>,
        jitter: f64,
    ) -> Self {
        // The window is a fifth of the lifetime, at most five minutes. The jitter moves the refresh within its first half.
        let window = lifetime.map_or(MAX_REFRESH_WINDOW_SECONDS, |lifetime| {
            (lifetime / 5).clamp(0, MAX_REFRESH_WINDOW_SECONDS)
        });
        #[allow(clippy::cast_possible_truncation, clippy::cast_precision_loss, reason = "at most 300")]
        let early = window / 2 + (window as f64 / 2.0 * jitter.clamp(0.0, 1.0)) as i64;
        let refresh_at = expires_at.map(|at| at - early);
        Self(Arc::new(Inner { secret, expires_at, refresh_at }))
    }

    /// A token that another program holds, for example to [invalidate](crate::Session::invalidate) it. Nothing is known of its expiry.
    #[must_use]
    pub fn from_secret(secret: SecretString) -> Self {
        Self::new(secret, None, None, 0.0)
    }

    /// The token, for the `Authorization` header only.
    #[must_use]
    pub fn secret(&self) -> &str {
        self.0.secret.expose_secret()
    }

    /// The time at which the token expires, Unix time in seconds; `None` if it is not known.
    #[must_use]
    pub fn expires_at(&self) -> Option<UnixTime> {
        self.0.expires_at
    }

    /// Whether the token has not expired at `now`, as far as this side knows.
    #[must_use]
    pub fn is_valid(&self, now: UnixTime) -> bool {
        self.0.expires_at.is_none_or(|at| now < at)
    }

    /// Whether the token is valid and not yet due for a refresh.
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
#[derive(Debug)]
pub struct TokenResponse {
    /// The access token.
    pub access_token: SecretString,
    /// The refresh token. After a refresh answer without one, the old one stays active (RFC 6749 section 6).
    pub refresh_token: Option<SecretString>,
    /// Lifetime of the access token in seconds. Servers should send it, but need not.
    pub expires_in: Option<i64>,
    /// The granted scopes; `None` if they are the requested ones.
    pub scopes: Option<Vec<Scope>>,
    /// The type of the token. Only `Bearer` is supported.
    pub token_type: Option<String>,
    /// The time at which the client's secret expires, Unix time in seconds; 0 means never. Our server sends it to API keys, under the
    /// name of RFC 7591 section 3.2.1.
    pub client_secret_expires_at: Option<UnixTime>,
    /// The ID token (OpenID Connect Core section 3.1.3.3).
    pub id_token: Option<SecretString>,
}

/// The claims of an ID token that are used.
///
/// The signature is not verified: the ID token comes from the token endpoint over TLS, which OpenID Connect Core section 3.1.3.7
/// permits, and it grants nothing.
#[derive(Debug)]
pub(crate) struct IdClaims {
    /// The nonce of the authorization request.
    pub(crate) nonce: Option<String>,
    /// The e-mail address, otherwise the user name.
    account: Option<String>,
    /// The account's identifier at the provider.
    subject: Option<String>,
}

impl IdClaims {
    /// The e-mail address, otherwise the user name, without unprintable characters.
    pub(crate) fn account(&self) -> Option<String> {
        self.account.as_deref().map(clean).filter(|name| !name.is_empty())
    }

    /// The account, otherwise the identifier, without unprintable characters.
    pub(crate) fn into_subject(self) -> Option<String> {
        self.account().or_else(|| self.subject.as_deref().map(clean)).filter(|name| !name.is_empty())
    }
}

/// Converts a number of seconds; `None` if it is negative.
#[allow(clippy::cast_possible_truncation, reason = "the cast is meant to saturate")]
fn seconds(number: f64) -> Option<i64> {
    (number >= 0.0).then_some(number as i64)
}

impl TokenResponse {
    /// Reads the answer of a token endpoint.
    ///
    /// # Errors
    /// [`AuthError::Refused`] for an OAuth error, even with status 200; [`AuthError::BadAnswer`] for any other answer. The message
    /// describes the answer without anything that may be a secret.
    pub fn parse(url: &str, status: u16, body: &[u8]) -> Result<Self, AuthError> {
        let bad = |reason: String| AuthError::BadAnswer { url: url.to_owned(), reason };
        let succeeded = (200..300).contains(&status);
        let answer = match Members::parse_or_form(body, &["access_token", "error"]) {
            Ok(answer) => answer,
            Err(found) if succeeded => return Err(bad(format!("it is {found}"))),
            Err(found) => return Err(bad(format!("HTTP status {status}; it is {found}"))),
        };
        // A server fault is never an OAuth error, so that a proxy's page does not end a session. GitHub sends OAuth errors with
        // status 200.
        if (succeeded || may_refuse(status))
            && let Some(refusal) = refusal(&answer)
        {
            return Err(refusal);
        }
        if !succeeded {
            return Err(bad(format!("HTTP status {status}; it is {}", answer.describe())));
        }
        let access_token = answer.secret(&["access_token"]).map_err(|error| bad(error.to_string()))?;
        let access_token = access_token
            .ok_or_else(|| bad(format!("it has no access_token: it is {}", answer.describe())))?;
        // A token has to fit into a header, and only bearer tokens are supported (RFC 6750).
        if !access_token.expose_secret().bytes().all(|byte| byte.is_ascii_graphic()) {
            return Err(bad("its access_token holds characters that no header can carry".to_owned()));
        }
        let token_type = answer.text(&["token_type"]).ok().flatten();
        if let Some(kind) = token_type.as_deref().filter(|kind| !kind.eq_ignore_ascii_case("bearer")) {
            return Err(bad(format!("its token_type is {:?}, not Bearer", clean(kind))));
        }
        Ok(Self {
            access_token,
            refresh_token: answer.secret(&["refresh_token"]).ok().flatten(),
            expires_in: answer.number(&["expires_in"]).ok().flatten().and_then(seconds),
            scopes: Some(Scope::parse_lists(answer.list(&["scope"]))).filter(|scopes| !scopes.is_empty()),
            token_type,
            client_secret_expires_at: answer
                .number(&["client_secret_expires_at"])
                .ok()
                .flatten()
                .and_then(seconds),
            id_token: answer.secret(&["id_token"]).ok().flatten(),
        })
    }

    /// The claims of the ID token; `None` if there is no readable ID token.
    pub(crate) fn id_claims(&self) -> Option<IdClaims> {
        let claims = claims(self.id_token.as_ref()?.expose_secret())?;
        let text = |name| claims.text(&[name]).ok().flatten();
        Some(IdClaims {
            nonce: text("nonce"),
            account: text("email").or_else(|| text("preferred_username")),
            subject: text("sub"),
        })
    }
}

/// Whether an answer with this status may be an OAuth error. Other statuses mean that the request did not reach the endpoint: not
/// found, too large, wrong method.
fn may_refuse(status: u16) -> bool {
    (400..500).contains(&status) && !matches!(status, 404..=408 | 411 | 413..=415 | 431)
}

/// The OAuth error in an answer (RFC 6749 section 5.2). Some servers write it as an object.
fn refusal(answer: &Members) -> Option<AuthError> {
    let text = |members: &Members, names| members.text(names).ok().flatten().map(|text| clean(&text));
    // The other names are Okta's.
    let described = text(answer, &["error_description", "error_summary", "error_message"]);
    let (code, description) = match answer.object("error") {
        Some(error) => {
            (text(&error, &["code", "type", "status"])?, text(&error, &["message", "description"]))
        }
        // An answer with an access token is a success.
        None if answer.secret(&["access_token"]).is_ok_and(|token| token.is_some()) => return None,
        None => (text(answer, &["error", "error_code"])?, text(answer, &["message"])),
    };
    // A text with white space ("Not Found") comes from a web framework, not from OAuth.
    let is_code = !code.contains(char::is_whitespace);
    is_code.then(|| AuthError::Refused { code, description: described.or(description) })
}

/// Makes a server's text safe for a terminal: removes unprintable characters, and limits the length.
pub(crate) fn clean(text: &str) -> String {
    text.chars().filter(|c| !is_unprintable(*c)).take(300).collect()
}

/// Whether a character moves the cursor, changes the text direction, or is invisible (Unicode's categories Cc, Cf, Zl and Zp). A text
/// with such characters may look different from what it is.
pub(crate) fn is_unprintable(c: char) -> bool {
    c.is_control()
        || matches!(c,
            '\u{ad}' | '\u{61c}' | '\u{180e}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}'
            | '\u{feff}' | '\u{fff9}'..='\u{fffb}' | '\u{1d173}'..='\u{1d17a}' | '\u{e0000}'..='\u{e007f}')
}

/// SHA-256 in lower-case hexadecimal. It identifies a token without revealing it.
pub(crate) fn fingerprint(text: &str) -> String {
    digest::digest(&digest::SHA256, text.as_bytes())
        .as_ref()
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect()
}

/// The `exp` claim of a JWT, not verified. It only decides when to refresh, never whether to trust the token.
pub(crate) fn jwt_expiry(token: &str) -> Option<UnixTime> {
    seconds(claims(token)?.number(&["exp"]).ok()??)
}

/// The claims of a JWT, not verified.
pub(crate) fn claims(token: &str) -> Option<Members> {
    let claims = token.split('.').nth(1)?.trim_end_matches('=');
    Members::parse(&URL_SAFE_NO_PAD.decode(claims).ok()?).ok()
}

#[cfg(test)]
mod tests;
