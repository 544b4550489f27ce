//! The cookies of the pages: reading, setting and removing them.
//!
//! Each cookie has 256 random bits and the attributes that the `__Host-` prefix requires (RFC 6265bis section
//! 4.1.3.2), so no other host, not even a sibling domain, can set or read it.

use axum::http::{HeaderMap, HeaderValue, header};
use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use zeroize::Zeroizing;

/// The random content of a cookie.
pub type CookieSecret = Zeroizing<[u8; 32]>;

/// Generates a secret; `None` if the system returns no random numbers. Then no cookie may be issued.
#[must_use]
pub fn generate() -> Option<CookieSecret> {
    let mut secret = Zeroizing::new([0; 32]);
    aws_lc_rs::rand::fill(secret.as_mut()).ok()?;
    Some(secret)
}

/// Returns the secret in the cookie `name`; `None` if the cookie is missing, has another format, or occurs twice with
/// different values. Browsers never send a `__Host-` cookie twice.
#[must_use]
pub fn read(headers: &HeaderMap, name: &str) -> Option<CookieSecret> {
    // HTTP/2 allows several header fields for cookies (RFC 9113 section 8.2.3).
    let mut values = headers
        .get_all(header::COOKIE)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(';'))
        .filter_map(|pair| pair.trim().split_once('='))
        .filter_map(|(key, value)| (key == name).then_some(value));
    let value = values.next()?;
    if values.any(|other| other != value) {
        return None;
    }
    let bytes = Zeroizing::new(URL_SAFE_NO_PAD.decode(value).ok()?);
    Some(Zeroizing::new(<[u8; 32]>::try_from(bytes.as_slice()).ok()?))
}

/// The most cookies of one name that are looked at.
const MAX_VALUES: usize = 8;

/// Returns the secrets in all cookies `name`, without those of another format. Old browsers and programs send cookies that
/// a sibling domain has set beside the right one.
#[must_use]
pub fn read_all(headers: &HeaderMap, name: &str) -> Vec<CookieSecret> {
    let values = headers
        .get_all(header::COOKIE)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(';'))
        .filter_map(|pair| pair.trim().split_once('='))
        .filter_map(|(key, value)| (key == name).then_some(value));
    let secrets = values.take(MAX_VALUES).filter_map(|value| {
        let bytes = Zeroizing::new(URL_SAFE_NO_PAD.decode(value).ok()?);
        Some(Zeroizing::new(<[u8; 32]>::try_from(bytes.as_slice()).ok()?))
    });
    secrets.collect()
}

/// `Set-Cookie` for a secret. Without `max_age` (seconds) the cookie lasts until the browser is closed. `None` only
/// if `name` is not a valid cookie name.
#[must_use]
pub fn set(name: &str, secret: &CookieSecret, max_age: Option<i64>) -> Option<HeaderValue> {
    let value = Zeroizing::new(URL_SAFE_NO_PAD.encode(secret.as_ref()));
    let life = max_age.map_or_else(String::new, |seconds| format!("; Max-Age={seconds}"));
    header_value(&format!("{name}={}{ATTRIBUTES}{life}", value.as_str()))
}

/// `Set-Cookie` that removes a cookie.
#[must_use]
pub fn clear(name: &str) -> Option<HeaderValue> {
    header_value(&format!("{name}={ATTRIBUTES}; Max-Age=0"))
}

/// `Lax`, not `Strict`: a person who follows a link from a client's page or terminal must still be signed in.
const ATTRIBUTES: &str = "; Path=/; Secure; HttpOnly; SameSite=Lax";

fn header_value(text: &str) -> Option<HeaderValue> {
    let mut value = HeaderValue::from_str(text).ok()?;
    value.set_sensitive(true);
    Some(value)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(cookies: &[&str]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for cookie in cookies {
            headers.append(header::COOKIE, cookie.parse().unwrap());
        }
        headers
    }

    #[test]
    fn a_cookie_that_was_set_is_read() {
        let secret = generate().unwrap();
        let set = set("__Host-x", &secret, Some(60)).unwrap();
        assert!(set.is_sensitive());
        let set = set.to_str().unwrap();
        assert!(set.ends_with("; Path=/; Secure; HttpOnly; SameSite=Lax; Max-Age=60"));
        let pair = set.split(';').next().unwrap();
        assert_eq!(read(&headers(&["a=b", &format!("c=d; {pair}; e")]), "__Host-x"), Some(secret));
    }

    #[test]
    fn other_cookies_are_ignored() {
        let long = format!("__Host-x={}", "A".repeat(44));
        for cookies in [&[][..], &["__Host-x="], &["__Host-x=c2hvcnQ"], &["__Host-xx=a"], &[&long]] {
            assert_eq!(read(&headers(cookies), "__Host-x"), None, "{cookies:?}");
        }
        let [one, other] = ["A", "B"].map(|letter| format!("__Host-x={}", letter.repeat(42) + "A"));
        assert!(read(&headers(&[&one, &one]), "__Host-x").is_some());
        assert_eq!(read(&headers(&[&one, &other]), "__Host-x"), None, "ambiguous");
        assert_eq!(read(&headers(&[&format!("{one}; {other}")]), "__Host-x"), None);
        assert_eq!(
            read_all(&headers(&["__Host-x=c2hvcnQ", &format!("{one}; {other}")]), "__Host-x").len(),
            2
        );
        assert_eq!(read_all(&headers(&[&format!("{one}; ").repeat(100)]), "__Host-x").len(), MAX_VALUES);
    }
}
