//! The two cookies of the pages, and nothing of cookies beyond what they need.
//!
//! Both carry 256 random bits and the attributes that the `__Host-` prefix demands (RFC 6265bis section 4.1.3.2), so
//! that no other host, not even a sibling domain, can set or read them.

use axum::http::{HeaderMap, HeaderValue, header};
use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use zeroize::Zeroizing;

/// The random content of a cookie.
pub type CookieSecret = Zeroizing<[u8; 32]>;

/// A new secret; `None` where the system has no randomness to give, in which case nothing may be issued.
#[must_use]
pub fn generate() -> Option<CookieSecret> {
    let mut secret = Zeroizing::new([0; 32]);
    aws_lc_rs::rand::fill(secret.as_mut()).ok()?;
    Some(secret)
}

/// The secret in the cookie called `name`; `None` where there is no such cookie, it is not one of ours, or there are two that
/// differ: of those, browsers never send a `__Host-` cookie.
#[must_use]
pub fn read(headers: &HeaderMap, name: &str) -> Option<CookieSecret> {
    // HTTP/2 may split the cookies over several header fields (RFC 9113 section 8.2.3).
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

/// `Set-Cookie` of a secret; without `max_age` (seconds) it lasts as long as the browser runs. `None` only for a name
/// that is not a token, which ours are.
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

/// `Lax`, not `Strict`: the person comes here from the client's page or terminal, and must then be known.
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
    fn what_is_set_is_read() {
        let secret = generate().unwrap();
        let set = set("__Host-x", &secret, Some(60)).unwrap();
        assert!(set.is_sensitive());
        let set = set.to_str().unwrap();
        assert!(set.ends_with("; Path=/; Secure; HttpOnly; SameSite=Lax; Max-Age=60"));
        let pair = set.split(';').next().unwrap();
        assert_eq!(read(&headers(&["a=b", &format!("c=d; {pair}; e")]), "__Host-x"), Some(secret));
    }

    #[test]
    fn what_is_not_ours_is_not_read() {
        let long = format!("__Host-x={}", "A".repeat(44));
        for cookies in [&[][..], &["__Host-x="], &["__Host-x=c2hvcnQ"], &["__Host-xx=a"], &[&long]] {
            assert_eq!(read(&headers(cookies), "__Host-x"), None, "{cookies:?}");
        }
        let [one, other] = ["A", "B"].map(|letter| format!("__Host-x={}", letter.repeat(42) + "A"));
        assert!(read(&headers(&[&one, &one]), "__Host-x").is_some());
        assert_eq!(read(&headers(&[&one, &other]), "__Host-x"), None, "which of them?");
        assert_eq!(read(&headers(&[&format!("{one}; {other}")]), "__Host-x"), None);
    }
}
