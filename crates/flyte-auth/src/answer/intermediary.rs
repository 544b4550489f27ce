//! Answers of what stands between this machine and the control plane (RFC 9110 section 3.7): proxies, gateways, firewalls.

use std::{fmt, time::Duration};

use http::{HeaderMap, StatusCode, header};

use super::excerpt::{first_words, words};

/// How much of an answer that is none of the control plane's is read, in bytes.
pub(crate) const MAX_PAGE: usize = 16 * 1024;

/// An answer that does not come from the control plane's own services, as far as it tells.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Intermediary {
    /// The HTTP status.
    pub status: u16,
    /// The `Server` header: what the one that answers calls itself.
    pub server: Option<String>,
    /// The first words that it has for people.
    pub words: Option<String>,
    /// How long it asks to wait, in seconds (RFC 9110 section 10.2.3).
    pub retry_after: Option<u64>,
}

impl Intermediary {
    /// Reads status, headers and the beginning of the body.
    pub(crate) fn of(status: StatusCode, headers: &HeaderMap, body: &[u8]) -> Self {
        Self {
            status: status.as_u16(),
            server: server(headers),
            words: first_words(body),
            retry_after: retry_after(headers),
        }
    }

    /// What to do next, where there is something to do.
    #[must_use]
    pub fn hint(&self) -> Option<String> {
        let later = match self.retry_after {
            Some(seconds) => format!("Try again in {seconds} seconds."),
            None => "Try again later.".to_owned(),
        };
        let words = self.words.as_deref().unwrap_or_default().to_ascii_lowercase();
        Some(match self.status {
            // nginx's and Go's words for it.
            400 if words.contains("plain http") || words.contains("http request to an https") => {
                "The server has TLS: leave out --insecure, or run `flyte create config --endpoint HOST`.".to_owned()
            }
            400 if !(words.is_empty() || ["large", "long", "size", "header"].iter().any(|word| words.contains(word))) => {
                return None;
            }
            400 | 431 => "The request may be too large for what stands in front of the server, for example because of a \
                large token: let its administrator allow larger request headers."
                .to_owned(),
            401 => "Something in front of the server wants its own sign-in: set admin.proxyCommand to a command that \
                prints a token for it."
                .to_owned(),
            403 => "Something in front of the server refuses you: check the VPN and the network, then ask its administrator."
                .to_owned(),
            407 => "A proxy wants credentials: put them into its address (HTTPS_PROXY or admin.httpProxyURL), or set \
                admin.proxyCommand to a command that prints a token."
                .to_owned(),
            413 => "Let the administrator of what stands in front of the server allow larger requests.".to_owned(),
            429 => later,
            511 => "The network wants you to sign in first: open any web page in a browser.".to_owned(),
            502..=504 => format!("What stands in front of the server cannot reach it. {later}"),
            500.. => later,
            _ => return None,
        })
    }
}

impl fmt::Display for Intermediary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "HTTP {}", self.status)?;
        if let Some(reason) =
            StatusCode::from_u16(self.status).ok().and_then(|status| status.canonical_reason())
        {
            write!(f, " ({reason})")?;
        }
        if let Some(server) = &self.server {
            write!(f, " from {server}")?;
        }
        if let Some(words) = &self.words {
            write!(f, ": {words:?}")?;
        }
        Ok(())
    }
}

/// What the one that answered calls itself (`Server`, RFC 9110 section 10.2.4).
pub(crate) fn server(headers: &HeaderMap) -> Option<String> {
    let text = headers.get(header::SERVER)?.to_str().ok()?;
    Some(words(text, 60)).filter(|text| !text.is_empty())
}

/// `Retry-After` in seconds (RFC 9110 section 10.2.3). A date is counted from the answer's own `Date`, since clocks differ.
pub(crate) fn retry_after(headers: &HeaderMap) -> Option<u64> {
    let text = headers.get(header::RETRY_AFTER)?.to_str().ok()?.trim();
    if let Ok(seconds) = text.parse::<f64>() {
        #[allow(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "a saturating cast is what is wanted"
        )]
        return (seconds >= 0.0).then(|| seconds.ceil() as u64);
    }
    let at = httpdate::parse_http_date(text).ok()?;
    let now = httpdate::parse_http_date(headers.get(header::DATE)?.to_str().ok()?).ok()?;
    Some(at.duration_since(now).unwrap_or(Duration::ZERO).as_secs())
}

/// Whether a media type is that of a web page.
pub(crate) fn is_page(kind: &str) -> bool {
    let kind = kind.to_ascii_lowercase();
    kind.starts_with("text/html") || kind.starts_with("application/xhtml")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_told_as_what_it_is() {
        let headers = |pairs: &[(&'static str, &str)]| {
            pairs
                .iter()
                .map(|(name, value)| (name.parse().unwrap(), value.parse().unwrap()))
                .collect::<HeaderMap>()
        };
        let found = Intermediary::of(
            StatusCode::TOO_MANY_REQUESTS,
            &headers(&[("server", "nginx/1.18"), ("retry-after", "7")]),
            b"<html><title>429 Too Many Requests</title>",
        );
        assert_eq!(
            found.to_string(),
            "HTTP 429 (Too Many Requests) from nginx/1.18: \"429 Too Many Requests\""
        );
        assert_eq!(found.hint().as_deref(), Some("Try again in 7 seconds."));
        for (page, hint) in [
            ("<title>400 The plain HTTP request was sent to HTTPS port</title>", Some("has TLS")),
            ("Client sent an HTTP request to an HTTPS server.\n", Some("has TLS")),
            ("<title>400 Request Header Or Cookie Too Large</title>", Some("larger request headers")),
            ("", Some("larger request headers")),
            ("<title>Invalid hostname</title>", None),
        ] {
            let found = Intermediary::of(StatusCode::BAD_REQUEST, &HeaderMap::new(), page.as_bytes()).hint();
            assert!(
                found.as_deref().is_some_and(|found| hint.is_some_and(|hint| found.contains(hint)))
                    || found.is_none() && hint.is_none(),
                "{page}: {found:?}"
            );
        }
        let bare = Intermediary::of(StatusCode::from_u16(431).unwrap(), &HeaderMap::new(), b"");
        assert_eq!(bare.to_string(), "HTTP 431 (Request Header Fields Too Large)");
        assert!(bare.hint().unwrap().contains("larger request headers"));
        let dated = headers(&[
            ("retry-after", "Fri, 31 Dec 1999 23:59:59 GMT"),
            ("date", "Fri, 31 Dec 1999 23:59:49 GMT"),
        ]);
        assert_eq!(retry_after(&dated), Some(10));
        for odd in ["-1", "soon", "", "NaN"] {
            assert_eq!(retry_after(&headers(&[("retry-after", odd)])), None, "{odd}");
        }
        assert_eq!(retry_after(&headers(&[("retry-after", "1.5")])), Some(2));
    }
}
