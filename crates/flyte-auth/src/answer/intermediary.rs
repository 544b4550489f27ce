//! Answers of intermediaries (RFC 9110 section 3.7), for example proxies, gateways and firewalls.

use std::{fmt, time::Duration};

use http::{HeaderMap, StatusCode, header};

use super::excerpt::{first_words, words};

/// The most that is read of an intermediary's answer, in bytes.
pub(crate) const MAX_PAGE_BYTES: usize = 16 * 1024;

/// An answer that does not come from the control plane's own services.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Intermediary {
    /// The HTTP status.
    pub status: u16,
    /// The `Server` header.
    pub server: Option<String>,
    /// The first words of the answer that people can read.
    pub words: Option<String>,
    /// The time after which to try again, in seconds (RFC 9110 section 10.2.3).
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

/// The `Server` header (RFC 9110 section 10.2.4).
pub(crate) fn server(headers: &HeaderMap) -> Option<String> {
    let text = headers.get(header::SERVER)?.to_str().ok()?;
    Some(words(text, 60)).filter(|text| !text.is_empty())
}

/// The `Retry-After` header in seconds (RFC 9110 section 10.2.3). A date is relative to the answer's own `Date`, because clocks
/// differ.
pub(crate) fn retry_after(headers: &HeaderMap) -> Option<u64> {
    let text = headers.get(header::RETRY_AFTER)?.to_str().ok()?.trim();
    if let Ok(seconds) = text.parse::<f64>() {
        #[allow(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "the cast is meant to saturate"
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
    fn an_intermediary_is_described() {
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
        let bare = Intermediary::of(StatusCode::from_u16(431).unwrap(), &HeaderMap::new(), b"");
        assert_eq!(bare.to_string(), "HTTP 431 (Request Header Fields Too Large)");
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
