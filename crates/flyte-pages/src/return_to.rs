//! The page that a browser opens after a sign-in.

use std::fmt;

use axum::http::HeaderValue;
use url::form_urlencoded;

const AUTHORIZE: &str = "/oauth2/authorize?";
const DEVICE: &str = "/device";
/// The console of a Flyte 2 backend.
const CONSOLE: &str = "/v2";
/// The pages of the user's own account.
const ACCOUNT: &str = "/account";
/// The pages for administrators.
const ADMIN: &str = "/admin";
/// The sign-in of an app at another host.
const APP: &str = "/apps/sign-in?";

/// The page that connects an account with a user of an outside provider.
const CONNECT: &str = "/login/connect";

/// The page with the connections of an account.
const CONNECTIONS: &str = "/account/connections";

/// The maximum length of a request that is kept during the sign-in, in bytes.
const MAX_BYTES: usize = 8 * 1024;

/// Path and query of an authorization request to this server, of the device page, of a page of the console, of the own account
/// or for administrators, of the sign-in of an app, or of the page that connects an account. A sign-in leads only to these and to
/// the home page, so `/login` is not an open redirector (RFC 9700 section 4.11).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ReturnTo(String);

impl ReturnTo {
    /// Accepts only `/oauth2/authorize?...`, `/device`, `/device?...`, `/apps/sign-in?...`, `/login/connect`, and `/v2`,
    /// `/account` and `/admin` with what is below them.
    /// Refuses every other path, a scheme or host, a fragment, and characters that are not allowed in a request line.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let is_query = |query: &str| query.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'#');
        let accepted = if text == CONNECT {
            true
        } else if let Some(rest) = text.strip_prefix(DEVICE) {
            rest.is_empty() || rest.strip_prefix('?').is_some_and(is_query)
        } else if let Some(rest) =
            [CONSOLE, ACCOUNT, ADMIN].iter().find_map(|prefix| text.strip_prefix(prefix))
        {
            is_below(rest) && is_query(rest)
        } else {
            [AUTHORIZE, APP].iter().any(|prefix| text.strip_prefix(prefix).is_some_and(is_query))
        };
        (accepted && text.len() <= MAX_BYTES).then(|| Self(text.to_owned()))
    }

    /// The value for a `Location` header. Never `None`, because `parse` has checked every character.
    #[must_use]
    pub fn location(&self) -> Option<HeaderValue> {
        HeaderValue::from_str(&self.0).ok()
    }

    /// Whether this is the device page.
    #[must_use]
    pub fn is_device(&self) -> bool {
        self.0.starts_with(DEVICE)
    }

    /// Whether this is a page that needs a recent sign-in: it connects an account, or removes a connection.
    #[must_use]
    pub fn needs_recent_sign_in(&self) -> bool {
        self.0 == CONNECT || self.0.split('?').next() == Some(CONNECTIONS)
    }

    /// Returns a parameter of the authorization request; `None` if it is missing or repeated (RFC 6749 section 3.1).
    #[must_use]
    pub fn parameter(&self, name: &str) -> Option<String> {
        let query = self.0.strip_prefix(AUTHORIZE)?;
        let mut values = form_urlencoded::parse(query.as_bytes()).filter(|(key, _)| key == name);
        values.next().filter(|_| values.next().is_none()).map(|(_, value)| value.into_owned())
    }
}

/// Whether the rest of a path stays below its beginning, for every reader of paths.
fn is_below(rest: &str) -> bool {
    let path = rest.split('?').next().unwrap_or_default();
    let is_plain = |segment: &str| !matches!(segment, "." | "..") && !segment.contains(['%', '\\', ';']);
    path.is_empty() || path.starts_with('/') && !path.contains("//") && path.split('/').all(is_plain)
}

impl fmt::Display for ReturnTo {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use url::Url;

    use super::*;

    #[test]
    fn only_requests_to_this_server_are_accepted() {
        for accepted in [
            "/oauth2/authorize?client_id=flyte&redirect_uri=http%3A%2F%2Flocalhost%3A53593%2Fcallback",
            "/oauth2/authorize?redirect_uri=http://[::1]:53593/callback",
            "/oauth2/authorize?",
            "/login/connect",
            "/device",
            "/device?user_code=WDJB-MJH7",
            "/v2",
            "/v2/",
            "/v2?org=x",
            "/account",
            "/account/keys?token=a",
            "/admin",
            "/admin/users?q=ada%40example.com",
            "/admin/users/1b4e28ba-2fa1-11d2-883f-0016d3cca427",
            "/v2/domain/development/project/flytesnacks/runs?q=a%2Fb",
            "/apps/sign-in?host=a.apps.example.com&path=%2F&state=x",
        ] {
            assert_eq!(ReturnTo::parse(accepted).unwrap().to_string(), accepted);
        }
        for refused in [
            "",
            "/",
            "/accounts",
            "/account/../login",
            "/oauth2/authorize",
            "/oauth2/authorize/",
            "/oauth2/authorize#?",
            "/oauth2/authorize?a=b#fragment",
            "/oauth2/authorize/../logout?a=b",
            "/oauth2/authorize%3Fa=b",
            "/oauth2/logout?a=b",
            "//evil.example/oauth2/authorize?a=b",
            "///oauth2/authorize?a=b",
            "/\\evil.example/oauth2/authorize?a=b",
            "\\/oauth2/authorize?a=b",
            "https://localhost:8443/oauth2/authorize?a=b",
            "https://evil.example/oauth2/authorize?a=b",
            "oauth2/authorize?a=b",
            " /oauth2/authorize?a=b",
            "\t/oauth2/authorize?a=b",
            "/oauth2/authorize?a=b c",
            "/oauth2/authorize?a=b\r\nSet-Cookie: x=y",
            "/oauth2/authorize?a=b\u{0}",
            "/oauth2/authorize?a=\u{e9}",
            "/OAuth2/authorize?a=b",
            "javascript:alert(1)//oauth2/authorize?",
            "/devices",
            "/device/",
            "/administrator",
            "/admin/../login",
            "/device#?",
            "/login/connect?",
            "/login/connect/",
            "/login",
            "/login/with/corp",
            "//device?user_code=WDJB-MJH7",
            "/device?user_code=WDJB-MJH7#a",
            "/device/../oauth2/logout?",
            "/v2x",
            "/v2/../oauth2/logout",
            "/v2/%2e%2e/oauth2/logout",
            "/v2//evil.example",
            "/v2/\\evil.example",
            "/v2/a#b",
            "/v2@evil.example",
            "/v2.evil.example/",
            "/apps/sign-in",
            "/apps/sign-in/?host=x",
            "/apps/sign-in?host=x#y",
        ] {
            assert_eq!(ReturnTo::parse(refused), None, "{refused:?}");
        }
        assert_eq!(ReturnTo::parse(&format!("{AUTHORIZE}{}", "a".repeat(MAX_BYTES))), None);
    }

    #[test]
    fn parameters_are_decoded_and_repeated_ones_ignored() {
        let request = ReturnTo::parse("/oauth2/authorize?a=b%20c&d=1&d=2&e=+").unwrap();
        assert_eq!(request.parameter("a").as_deref(), Some("b c"));
        assert_eq!(request.parameter("d"), None);
        assert_eq!(request.parameter("e").as_deref(), Some(" "));
        assert_eq!(request.parameter("f"), None);
        let device = ReturnTo::parse("/device?client_id=flyte").unwrap();
        assert_eq!(device.parameter("client_id"), None, "the device page has no client");
        assert!(device.is_device() && !request.is_device());
    }

    proptest! {
        #[test]
        fn what_is_accepted_stays_on_this_server(text in "(/oauth2/authorize|/device|/v2|/apps/sign-in|/login/connect)?[?/\\\\]{0,3}\\PC*") {
            if let Some(request) = ReturnTo::parse(&text) {
                let here = Url::parse("https://localhost:8443/login").unwrap();
                let there = here.join(&request.to_string()).unwrap();
                prop_assert_eq!(there.origin(), here.origin());
                let path = there.path();
                let is_console = path == "/v2" || path.starts_with("/v2/");
                prop_assert!(is_console || matches!(path, "/oauth2/authorize" | "/device" | "/apps/sign-in" | "/login/connect"));
                prop_assert!(there.fragment().is_none() && there.username().is_empty());
                prop_assert!(request.location().is_some());
            }
        }

        #[test]
        fn every_encoded_query_is_accepted(pairs in proptest::collection::vec((".{0,20}", ".{0,40}"), 0..8)) {
            let query = form_urlencoded::Serializer::new(String::new()).extend_pairs(&pairs).finish();
            let request = ReturnTo::parse(&format!("/oauth2/authorize?{query}"));
            prop_assert!(request.is_some());
        }
    }
}
