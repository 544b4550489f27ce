//! Parses the addresses of proxies.

use url::Url;

/// The message about an invalid address. It does not contain the address, which may contain a password.
const EXPECTED: &str = "it is not the address of a proxy (for example http://proxy:3128)";

/// Parses the address of a proxy: `http://`, `https://`, `socks4://`, `socks4a://`, `socks5://` (or `socks://`) or `socks5h://`, by
/// default `http://`.
///
/// The text before the last `@` is the user name and, after the first `:`, the password. They may be percent-encoded (RFC 3986
/// section 2.1), but do not have to be. In the result, both are percent-encoded.
///
/// # Errors
/// The reason why the address is invalid, without any part of it.
pub fn parse_proxy(text: &str) -> Result<Url, String> {
    let text = text.trim();
    let is_scheme = |scheme: &str| {
        !scheme.is_empty()
            && scheme.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"+-.".contains(&byte))
    };
    let (scheme, rest) = match text.split_once("://") {
        Some((scheme, rest)) if is_scheme(scheme) => (scheme.to_ascii_lowercase(), rest),
        _ => ("http".to_owned(), text),
    };
    // GNOME writes this scheme into ALL_PROXY.
    let scheme = if scheme == "socks" { "socks5".to_owned() } else { scheme };
    if !matches!(scheme.as_str(), "http" | "https" | "socks4" | "socks4a" | "socks5" | "socks5h") {
        return Err("it has to start with http://, https:// or socks5://".to_owned());
    }
    let (credentials, authority) = match rest.rsplit_once('@') {
        Some((credentials, authority)) => (Some(credentials), authority),
        None => (None, rest),
    };
    let authority = authority.split(['/', '?', '#']).next().unwrap_or_default();
    // The parser checks the host only for special schemes, for example http (WHATWG URL, host parsing).
    let checked = Url::parse(&format!("http://{authority}")).map_err(|_| EXPECTED.to_owned())?;
    if !checked.has_host() || authority.contains(char::is_whitespace) {
        return Err(EXPECTED.to_owned());
    }
    let mut url = Url::parse(&format!("{scheme}://{authority}")).map_err(|_| EXPECTED.to_owned())?;
    if let Some(credentials) = credentials {
        let (user, password) = match credentials.split_once(':') {
            Some((user, password)) => (user, Some(password)),
            None => (credentials, None),
        };
        let password = password.map(percent_encode);
        url.set_username(&percent_encode(user))
            .and_then(|()| url.set_password(password.as_deref()))
            .map_err(|()| EXPECTED.to_owned())?;
    }
    Ok(url)
}

/// Percent-encodes everything except letters, digits and what is percent-encoded already.
fn percent_encode(text: &str) -> String {
    let bytes = text.as_bytes();
    let mut encoded = String::with_capacity(text.len());
    let mut at = 0;
    while let Some(&byte) = bytes.get(at) {
        let escape = bytes.get(at + 1..at + 3).filter(|digits| digits.iter().all(u8::is_ascii_hexdigit));
        match (byte, escape) {
            (b'%', Some(digits)) => {
                encoded.push('%');
                encoded.extend(digits.iter().map(|digit| char::from(*digit)));
                at += 2;
            }
            (byte, _) if byte.is_ascii_alphanumeric() => encoded.push(char::from(byte)),
            (byte, _) => encoded.push_str(&format!("%{byte:02X}")),
        }
        at += 1;
    }
    encoded
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_password_needs_no_percent_encoding() {
        for (text, expected) in [
            ("http://proxy:3128", "http://proxy:3128/"),
            ("proxy:3128", "http://proxy:3128/"),
            ("HTTP://Proxy", "http://proxy/"),
            (" https://proxy:3128/path?query ", "https://proxy:3128/"),
            ("socks5h://u:p@proxy:1080", "socks5h://u:p@proxy:1080"),
            ("socks://proxy:1080/", "socks5://proxy:1080"),
            ("http://[::1]:3128", "http://[::1]:3128/"),
            ("http://ada:p%40ss@proxy:3128", "http://ada:p%40ss@proxy:3128/"),
            ("http://ada:p@ss@proxy:3128", "http://ada:p%40ss@proxy:3128/"),
            ("http://ada:a/b#c?d:e%f g@proxy:3128", "http://ada:a%2Fb%23c%3Fd%3Ae%25f%20g@proxy:3128/"),
            ("http://corp\\ada:ü[]@proxy", "http://corp%5Cada:%C3%BC%5B%5D@proxy/"),
            ("ada:x://y@proxy:3128", "http://ada:x%3A%2F%2Fy@proxy:3128/"),
            ("hunter2@proxy", "http://hunter2@proxy/"),
        ] {
            assert_eq!(parse_proxy(text).unwrap().as_str(), expected, "{text}");
        }
    }

    #[test]
    fn errors_do_not_repeat_the_address() {
        for text in [
            "",
            "http://",
            "http://ada:hunter2@",
            "http://ada:hunter2",
            "ftp://ada:hunter2@proxy",
            "http://ada:hunter2@proxy:port",
            "http://ada:hunter2@:3128",
            "http://hunter2@pro xy:1",
        ] {
            let error = parse_proxy(text).unwrap_err();
            assert!(!error.contains("hunter2") && error.contains("http://"), "{text}: {error}");
        }
    }
}
