//! Browsers in which somebody has signed in before.
//!
//! A cookie says so, bound to the account and authenticated by the server's key file (a "device cookie" of the OWASP
//! Authentication Cheat Sheet). It lets nobody in. It only has failures counted for this browser alone, so that whoever
//! guesses at the account elsewhere, from however many addresses, does not keep its owner out.

use aws_lc_rs::constant_time::verify_slices_are_equal;
use axum::http::{HeaderMap, HeaderValue};
use zeroize::Zeroizing;

use super::cookie::{self, CookieSecret};
use crate::app::App;

/// Name of the cookie.
pub const COOKIE: &str = "__Host-flyte_known";

/// Life of the cookie in seconds: the longest that browsers keep one (RFC 6265bis section 5.5).
const LIFE: i64 = 400 * 86_400;

const ID_BYTES: usize = 16;

/// What tells one such browser from another: 128 random bits.
pub type BrowserId = [u8; ID_BYTES];

/// The browser that sent these headers; `None` where nobody has signed in to `account` (an e-mail address in any case) there.
#[must_use]
pub fn recognize(app: &App, headers: &HeaderMap, account: &str) -> Option<BrowserId> {
    let content = cookie::read(headers, COOKIE)?;
    let (id, _) = content.split_first_chunk::<ID_BYTES>()?;
    verify_slices_are_equal(with_proof(app, *id, account).as_ref(), content.as_ref()).ok()?;
    Some(*id)
}

/// `Set-Cookie` for a browser in which somebody has just signed in to `account`. One that was known before stays the same.
/// `None` where the system has no randomness to give; the person then stays unknown.
#[must_use]
pub fn remember(app: &App, headers: &HeaderMap, account: &str) -> Option<HeaderValue> {
    let id = match recognize(app, headers, account) {
        Some(id) => id,
        None => *cookie::generate()?.first_chunk()?,
    };
    cookie::set(COOKIE, &with_proof(app, id, account), Some(LIFE))
}

/// The content of the cookie: the identifier and half of an HMAC over it and the account (RFC 2104 section 5).
fn with_proof(app: &App, id: BrowserId, account: &str) -> CookieSecret {
    let message = [&id, account.trim().to_lowercase().as_bytes()].concat();
    let proof = app.keys.mac("known browser", &message);
    let mut content = Zeroizing::new([0; 32]);
    content[..ID_BYTES].copy_from_slice(&id);
    content[ID_BYTES..].copy_from_slice(&proof[..32 - ID_BYTES]);
    content
}

#[cfg(test)]
mod tests {
    use axum::http::header;

    use super::*;
    use crate::testing;

    fn headers(set_cookie: &HeaderValue) -> HeaderMap {
        let pair = set_cookie.to_str().unwrap().split(';').next().unwrap().to_owned();
        HeaderMap::from_iter([(header::COOKIE, pair.parse().unwrap())])
    }

    #[tokio::test]
    async fn a_browser_is_known_to_the_account_and_the_server_that_it_signed_in_to() {
        let (app, other) = (testing::app(|_| {}).await, testing::app(|_| {}).await);
        let nothing = HeaderMap::new();
        assert_eq!(recognize(&app, &nothing, "ada@example.com"), None);
        let set_cookie = remember(&app, &nothing, "Ada@example.com").unwrap();
        assert!(set_cookie.to_str().unwrap().ends_with("; HttpOnly; SameSite=Lax; Max-Age=34560000"));
        let known = headers(&set_cookie);
        let id = recognize(&app, &known, " ada@EXAMPLE.com").unwrap();
        assert_eq!(recognize(&app, &known, "bob@example.com"), None);
        assert_eq!(recognize(&other, &known, "ada@example.com"), None, "another key file");
        let again = remember(&app, &known, "ada@example.com").unwrap();
        assert_eq!(recognize(&app, &headers(&again), "ada@example.com"), Some(id));
        let elsewhere = remember(&app, &nothing, "ada@example.com").unwrap();
        assert_ne!(recognize(&app, &headers(&elsewhere), "ada@example.com"), Some(id));
        // Made up.
        let forged = cookie::set(COOKIE, &cookie::generate().unwrap(), None).unwrap();
        assert_eq!(recognize(&app, &headers(&forged), "ada@example.com"), None);
    }
}
