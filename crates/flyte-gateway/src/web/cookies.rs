//! Cookies of this server, which the console and apps neither see nor set.

use http::{HeaderMap, HeaderValue, header};

/// How the names of all our cookies begin.
const OURS: &str = "__Host-flyte_";
/// The most cookies of one name that are looked at.
const MAX_VALUES: usize = 8;
/// Attributes that the prefix `__Host-` requires (RFC 6265bis section 4.1.3.2), so no other host can set or read them.
const ATTRIBUTES: &str = "; Path=/; Secure; HttpOnly; SameSite=Lax";

/// The values of all cookies of this name: a program may send one that a sibling domain has set beside the right one.
pub(super) fn values<'h>(headers: &'h HeaderMap, name: &str) -> Vec<&'h str> {
    let lines = headers.get_all(header::COOKIE).iter().filter_map(|value| value.to_str().ok());
    let pairs = lines.flat_map(|line| line.split(';')).filter_map(|pair| pair.trim().split_once('='));
    pairs.filter_map(|(key, value)| (key == name).then_some(value)).take(MAX_VALUES).collect()
}

/// `Set-Cookie` for one of our cookies, which lasts for `max_age` seconds; 0 removes it.
pub(super) fn set(name: &str, value: &str, max_age: i64) -> Option<HeaderValue> {
    let mut cookie = HeaderValue::from_str(&format!("{name}={value}{ATTRIBUTES}; Max-Age={max_age}")).ok()?;
    cookie.set_sensitive(true);
    Some(cookie)
}

/// Removes our cookies from a request. Lines that are not text are removed as a whole.
pub(super) fn strip(headers: &mut HeaderMap) {
    let kept: Vec<String> = headers
        .get_all(header::COOKIE)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|line| line.split(';'))
        .map(str::trim)
        .filter(|pair| !pair.is_empty() && !is_ours(pair))
        .map(str::to_owned)
        .collect();
    headers.remove(header::COOKIE);
    if let Ok(value) = HeaderValue::from_str(&kept.join("; "))
        && !kept.is_empty()
    {
        headers.insert(header::COOKIE, value);
    }
}

/// Removes cookies from an answer that are not for the host alone that has sent it: ours, and those of a whole domain, which
/// the other apps and this server would get.
pub(super) fn strip_response(headers: &mut HeaderMap) {
    let kept: Vec<HeaderValue> = headers
        .get_all(header::SET_COOKIE)
        .iter()
        .filter(|value| {
            value.to_str().is_ok_and(|text| {
                let mut parts = text.split(';').map(str::trim);
                let is_domain = |part: &str| {
                    let name = part.split('=').next().unwrap_or_default();
                    name.trim().eq_ignore_ascii_case("domain")
                };
                parts.next().is_some_and(|pair| !is_ours(pair)) && !parts.any(is_domain)
            })
        })
        .cloned()
        .collect();
    headers.remove(header::SET_COOKIE);
    for value in kept {
        headers.append(header::SET_COOKIE, value);
    }
}

fn is_ours(pair: &str) -> bool {
    let begin = pair.get(..OURS.len()).unwrap_or_default();
    begin.eq_ignore_ascii_case(OURS)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(headers: &HeaderMap, name: header::HeaderName) -> Vec<&str> {
        headers.get_all(name).iter().map(|value| value.to_str().unwrap()).collect()
    }

    #[test]
    fn our_cookies_are_neither_seen_nor_set_by_others() {
        let mut headers = HeaderMap::new();
        for line in ["a=b; __Host-flyte_session=x;c=d", "__Host-flyte_app=y", "__host-flyte_app=z; e", ""] {
            headers.append(header::COOKIE, line.parse().unwrap());
        }
        headers.append(header::COOKIE, HeaderValue::from_bytes(b"f=\xff; __Host-flyte_app=y").unwrap());
        strip(&mut headers);
        assert_eq!(lines(&headers, header::COOKIE), ["a=b; c=d; e"]);
        let mut alone = HeaderMap::new();
        alone.append(header::COOKIE, "__Host-flyte_session=x".parse().unwrap());
        strip(&mut alone);
        assert!(alone.is_empty());

        let mut answer = HeaderMap::new();
        for line in [
            "a=b; Path=/; HttpOnly",
            "__Host-flyte_session=x; Path=/; Secure",
            " __HOST-Flyte_session=x",
            "c=d; Domain=example.com",
            "c=d;domain = .example.com; Path=/",
        ] {
            answer.append(header::SET_COOKIE, line.parse().unwrap());
        }
        strip_response(&mut answer);
        assert_eq!(lines(&answer, header::SET_COOKIE), ["a=b; Path=/; HttpOnly"]);
    }
}
