//! Validation and comparison of redirect URIs (RFC 9700 section 2.1, RFC 8252 section 7.3).

/// Hosts that always refer to the user's own machine. RFC 8252 section 8.3 advises clients against `localhost`, but
/// the published `flyte` client uses it.
const LOOPBACK_HOSTS: [&str; 3] = ["localhost", "127.0.0.1", "[::1]"];

/// Whether `presented` is one of the `registered` redirect URIs.
#[must_use]
pub fn is_registered(registered: &[String], presented: &str) -> bool {
    registered.iter().any(|registered| matches(registered, presented))
}

/// Whether `presented` equals `registered`. All bytes must be equal, except that an `http` loopback address may have
/// any port: a program on the user's machine uses a free port.
///
/// URIs are not normalized: if the server parses a URI differently from the browser, an attacker can redirect the
/// code to another site.
#[must_use]
pub fn matches(registered: &str, presented: &str) -> bool {
    registered == presented
        || match (Loopback::parse(registered), Loopback::parse(presented)) {
            (Some(registered), Some(presented)) => registered == presented,
            _ => false,
        }
}

/// The reason why a client cannot register a redirect URI.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RegistrationError {
    /// It is not an absolute URI, or has characters that are not allowed.
    #[error("it is not an absolute URI, for example https://server.example/callback")]
    NotAbsolute,
    /// It has a fragment (RFC 6749 section 3.1.2) or a user name.
    #[error("it must not have a fragment or a user name")]
    Superfluous,
    /// Others could read the answer on the network, or a browser would run the URI as a script.
    #[error(
        "it must start with https://, or have the host localhost, 127.0.0.1 or [::1], or a scheme of the client's own, \
         for example com.example.app:/callback"
    )]
    Unsafe,
}

/// Checks a redirect URI for registration. Allowed are `https`, `http` on the user's own machine (RFC 8252 section
/// 7.3), and a private-use scheme that is a reversed domain name (RFC 8252 section 7.1).
///
/// # Errors
/// [`RegistrationError`] if the URI is not allowed.
pub fn check(uri: &str) -> Result<(), RegistrationError> {
    if !uri.bytes().all(|byte| byte.is_ascii_graphic()) {
        return Err(RegistrationError::NotAbsolute);
    }
    let url = url::Url::parse(uri).map_err(|_| RegistrationError::NotAbsolute)?;
    if url.fragment().is_some() || !url.username().is_empty() || url.password().is_some() {
        return Err(RegistrationError::Superfluous);
    }
    match url.scheme() {
        "https" => Ok(()),
        "http" if Loopback::parse(uri).is_some() => Ok(()),
        scheme if scheme.contains('.') => Ok(()),
        _ => Err(RegistrationError::Unsafe),
    }
}

/// A loopback redirect URI without its port.
#[derive(PartialEq, Eq)]
struct Loopback<'a> {
    host: &'static str,
    /// Path and query.
    rest: &'a str,
}

impl<'a> Loopback<'a> {
    fn parse(uri: &'a str) -> Option<Self> {
        let uri = uri.strip_prefix("http://")?;
        let (host, rest) = LOOPBACK_HOSTS.iter().find_map(|host| Some((*host, uri.strip_prefix(*host)?)))?;
        let rest = match rest.strip_prefix(':') {
            Some(rest) => {
                let end = rest.find(|c: char| !c.is_ascii_digit()).unwrap_or(rest.len());
                let (port, rest) = rest.split_at(end);
                // `080` and `80` are the same port; only the second spelling is accepted.
                if port.starts_with('0') || port.parse::<u16>().is_err() {
                    return None;
                }
                rest
            }
            None => rest,
        };
        // Anything else belongs to the authority, as in `http://localhost.example` and `http://localhost:1@example`.
        let plain = rest.is_empty() || rest.starts_with(['/', '?']);
        (plain && !rest.contains('#')).then_some(Self { host, rest })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_redirect_uri_is_compared_byte_for_byte() {
        let registered = "https://app.example/cb?x=1";
        assert!(matches(registered, registered));
        for other in [
            "https://app.example/cb",
            "https://app.example/cb?x=1&y=2",
            "https://app.example/cb?x=1#f",
            "https://app.example:443/cb?x=1",
            "https://APP.example/cb?x=1",
            "HTTPS://app.example/cb?x=1",
            "https://app.example/./cb?x=1",
            "https://app.example/%63b?x=1",
            "https://app.example/cb/?x=1",
            "https://app.example.evil.example/cb?x=1",
            "https://user@app.example/cb?x=1",
            "http://app.example/cb?x=1",
            " https://app.example/cb?x=1",
            "https://app.example/cb?x=1\0",
            "",
        ] {
            assert!(!matches(registered, other), "{other}");
        }
    }

    #[test]
    fn a_loopback_address_may_have_any_port() {
        for (registered, presented, same) in [
            ("http://127.0.0.1/cb", "http://127.0.0.1:1/cb", true),
            ("http://127.0.0.1:9/cb", "http://127.0.0.1:65535/cb", true),
            ("http://127.0.0.1:9/cb", "http://127.0.0.1/cb", true),
            ("http://[::1]/cb", "http://[::1]:49152/cb", true),
            ("http://localhost:53593/callback", "http://localhost:53594/callback", true),
            ("http://localhost:53593", "http://localhost:1", true),
            ("http://localhost/cb?x=1", "http://localhost:80/cb?x=1", true),
            // Another loopback host needs another registration.
            ("http://127.0.0.1/cb", "http://localhost/cb", false),
            ("http://localhost/cb", "http://127.0.0.1:5/cb", false),
            ("http://127.0.0.1/cb", "http://127.0.0.2:5/cb", false),
            ("http://127.0.0.1/cb", "http://127.1:5/cb", false),
            ("http://[::1]/cb", "http://[0:0:0:0:0:0:0:1]:5/cb", false),
            // Only the port may differ.
            ("http://127.0.0.1/cb", "https://127.0.0.1:5/cb", false),
            ("https://localhost:1/cb", "https://localhost:2/cb", false),
            ("http://127.0.0.1/cb", "http://127.0.0.1:5/cb2", false),
            ("http://127.0.0.1/cb", "http://127.0.0.1:5/cb?x=1", false),
            ("http://127.0.0.1/cb", "http://127.0.0.1:5/", false),
            ("http://localhost", "http://localhost:5/", false),
            ("http://127.0.0.1/cb", "http://127.0.0.1:5/cb#f", false),
            // Invalid ports.
            ("http://127.0.0.1/cb", "http://127.0.0.1:/cb", false),
            ("http://127.0.0.1/cb", "http://127.0.0.1:0/cb", false),
            ("http://127.0.0.1/cb", "http://127.0.0.1:08/cb", false),
            ("http://127.0.0.1/cb", "http://127.0.0.1:65536/cb", false),
            ("http://127.0.0.1/cb", "http://127.0.0.1:+5/cb", false),
            ("http://127.0.0.1/cb", "http://127.0.0.1:5 /cb", false),
            // These look like loopback addresses but are not.
            ("http://localhost/cb", "http://localhost.evil.example/cb", false),
            ("http://localhost/cb", "http://localhost:1@evil.example/cb", false),
            ("http://localhost/cb", "http://localhost@evil.example/cb", false),
            ("http://localhost/cb", "http://localhost:1.evil.example/cb", false),
            ("http://localhost/cb", "http://localhost\\@evil.example/cb", false),
            ("http://localhost/cb", "http://LOCALHOST:1/cb", false),
            ("http://evil.example/cb", "http://evil.example:5/cb", false),
        ] {
            assert_eq!(matches(registered, presented), same, "{registered} {presented}");
        }
    }

    #[test]
    fn only_safe_redirect_uris_can_be_registered() {
        for uri in [
            "https://app.example/cb?x=1",
            "http://localhost:53593/callback",
            "http://127.0.0.1",
            "http://[::1]/cb",
            "com.example.app:/callback",
        ] {
            assert_eq!(check(uri), Ok(()), "{uri}");
        }
        for (uri, why) in [
            ("", RegistrationError::NotAbsolute),
            ("/callback", RegistrationError::NotAbsolute),
            ("app.example/callback", RegistrationError::NotAbsolute),
            ("https://", RegistrationError::NotAbsolute),
            ("https://app.example/a b", RegistrationError::NotAbsolute),
            ("https://app.example/cb#f", RegistrationError::Superfluous),
            ("https://user@app.example/cb", RegistrationError::Superfluous),
            ("http://app.example/cb", RegistrationError::Unsafe),
            ("http://localhost.example/cb", RegistrationError::Unsafe),
            ("javascript:alert(1)", RegistrationError::Unsafe),
            ("data:text/html,x", RegistrationError::Unsafe),
            ("myapp:/callback", RegistrationError::Unsafe),
        ] {
            assert_eq!(check(uri), Err(why), "{uri}");
        }
    }

    proptest! {
        #[test]
        fn a_registered_uri_matches_itself(uri in "(https?|com\\.example|[a-z]{1,9})://?[ -~]{0,30}") {
            if check(&uri).is_ok() {
                prop_assert!(matches(&uri, &uri));
                prop_assert!(url::Url::parse(&uri).is_ok());
            }
        }

        #[test]
        fn only_the_port_of_a_loopback_address_may_differ(
            host in proptest::sample::select(LOOPBACK_HOSTS.to_vec()),
            port in 1..=u16::MAX,
            path in "(/[a-z0-9]{0,8}){0,3}",
        ) {
            let registered = format!("http://{host}{path}");
            let presented = format!("http://{host}:{port}{path}");
            prop_assert!(matches(&registered, &presented));
            let longer = format!("{presented}x");
            prop_assert!(!matches(&registered, &longer));
        }

        #[test]
        fn other_matches_have_the_same_loopback_host(presented in "http://(localhost|127\\.0\\.0\\.1)[:@./\\\\?#0-9a-z]{0,12}") {
            for registered in ["http://localhost/cb", "http://127.0.0.1/", "http://localhost"] {
                if matches(registered, &presented) {
                    let (registered, presented) =
                        (url::Url::parse(registered).unwrap(), url::Url::parse(&presented).unwrap());
                    prop_assert_eq!(registered.host_str(), presented.host_str());
                    prop_assert_eq!(registered.path(), presented.path());
                    prop_assert_eq!(presented.username(), "");
                }
            }
        }

        #[test]
        fn comparing_is_symmetric(a in ".{0,40}", b in ".{0,40}") {
            prop_assert_eq!(matches(&a, &b), matches(&b, &a));
            prop_assert!(matches(&a, &a));
        }
    }
}
