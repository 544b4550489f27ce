//! The addresses that a page's forms may lead to: `form-action` in the Content Security Policy.
//!
//! Browsers check `form-action` not only for the address of the form, but also for every redirect that follows
//! (Content Security Policy Level 3 section 6.3.1; Chromium and WebKit do so). A sign-in is `POST /login`, then 303
//! to `/oauth2/authorize`, then 303 to the client's redirect URI: with `'self'` alone the browser would block the
//! last step. Therefore the policy also contains the origin of the redirect URI, after that URI was validated.

use std::fmt;

use url::{Host, Url, form_urlencoded};

/// The sources of a `form-action` directive.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FormAction {
    /// The origin at the end of the redirects, if it is not this server.
    redirect: Option<String>,
}

impl FormAction {
    /// Allows this server only.
    #[must_use]
    pub fn own() -> Self {
        Self::default()
    }

    /// Allows this server and the redirect URI of a validated authorization request; `request` is its query.
    #[must_use]
    pub fn of_request(request: &str) -> Self {
        let redirect_uri =
            form_urlencoded::parse(request.as_bytes()).find(|(name, _)| name == "redirect_uri");
        redirect_uri.map_or_else(Self::own, |(_, uri)| Self::and_redirect(&uri))
    }

    /// Allows this server and the origin of a redirect URI that the client has registered.
    #[must_use]
    pub fn and_redirect(redirect_uri: &str) -> Self {
        Self { redirect: Url::parse(redirect_uri).ok().as_ref().and_then(source) }
    }
}

/// The narrowest source expression that matches a URL; `None` if the URL cannot be expressed.
fn source(url: &Url) -> Option<String> {
    let scheme = url.scheme();
    match url.host() {
        // A source expression cannot contain an IPv6 address (section 2.3.1, `host-char`), so it contains the scheme
        // only.
        Some(Host::Ipv6(_)) => Some(format!("{scheme}:")),
        Some(host) if matches!(scheme, "http" | "https") => {
            // The host of a URL may contain `;` and `,`, which would end the directive.
            let host = host.to_string();
            if !host.bytes().all(|byte| byte.is_ascii_alphanumeric() || b".-_".contains(&byte)) {
                return None;
            }
            let port = url.port().map_or_else(String::new, |port| format!(":{port}"));
            Some(format!("{scheme}://{host}{port}"))
        }
        // A private-use scheme of the client (RFC 8252 section 7.1). No scheme contains a character that ends the
        // directive.
        _ if !matches!(scheme, "javascript" | "data" | "blob" | "file") => Some(format!("{scheme}:")),
        _ => None,
    }
}

impl fmt::Display for FormAction {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("'self'")?;
        self.redirect.iter().try_for_each(|redirect| write!(f, " {redirect}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_source_is_the_origin_of_the_redirect_uri() {
        for (redirect, policy) in [
            ("http://localhost:53593/callback", "'self' http://localhost:53593"),
            ("http://127.0.0.1:8080/callback?a=b", "'self' http://127.0.0.1:8080"),
            ("https://app.example.com/cb", "'self' https://app.example.com"),
            ("https://app.example.com:443/cb", "'self' https://app.example.com"),
            ("https://user:pw@app.example.com:444/", "'self' https://app.example.com:444"),
            ("http://[::1]:53593/callback", "'self' http:"),
            ("com.example.app:/callback", "'self' com.example.app:"),
            ("com.example.app://host/callback", "'self' com.example.app:"),
            ("javascript:alert(1)", "'self'"),
            ("https://a.example;sandbox/", "'self'"),
            ("https://a.example,b.example/", "'self'"),
            ("not a url", "'self'"),
        ] {
            assert_eq!(FormAction::and_redirect(redirect).to_string(), policy, "{redirect}");
        }
        assert_eq!(FormAction::own().to_string(), "'self'");
    }
}
