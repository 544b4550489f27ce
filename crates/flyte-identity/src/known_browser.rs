//! Browsers that have been used to sign in before.
//!
//! A cookie identifies the browser. It is bound to the account and authenticated with the server's key file (a
//! "device cookie" of the OWASP Authentication Cheat Sheet). It does not sign anyone in. Failures in a known browser
//! are counted separately, so an attacker who guesses the password from many addresses does not lock the owner out.

use std::sync::Arc;

use aws_lc_rs::constant_time::verify_slices_are_equal;
use axum::http::{HeaderMap, HeaderValue};
use zeroize::Zeroizing;

use super::cookie::{self, CookieSecret};
use flyte_keys::SigningKeys;

/// Name of the cookie.
pub const COOKIE: &str = "__Host-flyte_known";

/// Lifetime of the cookie in seconds: the maximum that browsers allow (RFC 6265bis section 5.5).
const MAX_AGE_SECONDS: i64 = 400 * 86_400;

const ID_BYTES: usize = 16;

/// The identifier of a known browser: 128 random bits.
pub type BrowserId = [u8; ID_BYTES];

/// Creates and reads the cookies.
#[derive(Clone, Debug)]
pub struct KnownBrowsers {
    keys: Arc<SigningKeys>,
}

impl KnownBrowsers {
    /// Uses the server's key file to authenticate the cookies.
    #[must_use]
    pub fn new(keys: Arc<SigningKeys>) -> Self {
        Self { keys }
    }

    /// Returns the identifier of the browser that sent these headers; `None` if it has not been used to sign in to
    /// `account` (an e-mail address; case does not matter).
    #[must_use]
    pub fn recognize(&self, headers: &HeaderMap, account: &str) -> Option<BrowserId> {
        let content = cookie::read(headers, COOKIE)?;
        let (id, _) = content.split_first_chunk::<ID_BYTES>()?;
        verify_slices_are_equal(self.with_proof(*id, account).as_ref(), content.as_ref()).ok()?;
        Some(*id)
    }

    /// `Set-Cookie` for a browser after a sign-in to `account`. A known browser keeps its identifier. `None` if the
    /// system returns no random numbers; then the browser remains unknown.
    #[must_use]
    pub fn remember(&self, headers: &HeaderMap, account: &str) -> Option<HeaderValue> {
        let id = match self.recognize(headers, account) {
            Some(id) => id,
            None => *cookie::generate()?.first_chunk()?,
        };
        cookie::set(COOKIE, &self.with_proof(id, account), Some(MAX_AGE_SECONDS))
    }

    /// The content of the cookie: the identifier, and half of an HMAC over the identifier and the account (RFC 2104
    /// section 5).
    fn with_proof(&self, id: BrowserId, account: &str) -> CookieSecret {
        let message = [&id, account.trim().to_lowercase().as_bytes()].concat();
        let proof = self.keys.mac("known browser", &message);
        let mut content = Zeroizing::new([0; 32]);
        content[..ID_BYTES].copy_from_slice(&id);
        content[ID_BYTES..].copy_from_slice(&proof[..32 - ID_BYTES]);
        content
    }
}

#[cfg(test)]
mod tests {
    use axum::http::header;

    use flyte_model::clock::Clock;
    use flyte_settings::Config;
    use flyte_store_sqlite::SqliteStore;

    use super::*;
    use flyte_keys::SealingKey;

    async fn known_browsers() -> KnownBrowsers {
        let config = Config::for_test("/nonexistent".as_ref());
        let store = Arc::new(SqliteStore::in_memory().unwrap());
        let sealing = SealingKey::generate().unwrap();
        let keys = SigningKeys::load(store, sealing, Clock::manual(0), &config.tokens);
        KnownBrowsers::new(Arc::new(keys.await.unwrap()))
    }

    fn headers(set_cookie: &HeaderValue) -> HeaderMap {
        let pair = set_cookie.to_str().unwrap().split(';').next().unwrap().to_owned();
        HeaderMap::from_iter([(header::COOKIE, pair.parse().unwrap())])
    }

    #[tokio::test]
    async fn a_browser_is_known_only_for_its_account_and_server() {
        let (browsers, other) = (known_browsers().await, known_browsers().await);
        let nothing = HeaderMap::new();
        assert_eq!(browsers.recognize(&nothing, "ada@example.com"), None);
        let set_cookie = browsers.remember(&nothing, "Ada@example.com").unwrap();
        assert!(set_cookie.to_str().unwrap().ends_with("; HttpOnly; SameSite=Lax; Max-Age=34560000"));
        let known = headers(&set_cookie);
        let id = browsers.recognize(&known, " ada@EXAMPLE.com").unwrap();
        assert_eq!(browsers.recognize(&known, "bob@example.com"), None);
        assert_eq!(other.recognize(&known, "ada@example.com"), None, "another key file");
        let again = browsers.remember(&known, "ada@example.com").unwrap();
        assert_eq!(browsers.recognize(&headers(&again), "ada@example.com"), Some(id));
        let elsewhere = browsers.remember(&nothing, "ada@example.com").unwrap();
        assert_ne!(browsers.recognize(&headers(&elsewhere), "ada@example.com"), Some(id));
        // A cookie that the server did not issue.
        let forged = cookie::set(COOKIE, &cookie::generate().unwrap(), None).unwrap();
        assert_eq!(browsers.recognize(&headers(&forged), "ada@example.com"), None);
    }
}
