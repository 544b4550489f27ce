//! Whether a request comes from a page of the origin that it is sent to. Requests that a browser authenticates by a cookie
//! need this: any page can make a browser send them.

use http::{HeaderMap, HeaderValue, header};

/// Whether a page of `origin` (RFC 6454 section 6.2, for example `https://flyte.example.com`) has sent a request with these
/// headers. `Sec-Fetch-Site` decides (W3C Fetch Metadata); browsers without it send `Origin`. If a request has both, they
/// must agree, and if it has neither, no page has sent it.
#[must_use]
pub fn is_same_origin(headers: &HeaderMap, origin: &str) -> bool {
    let one = |name: &str| {
        let mut values = headers.get_all(name).iter();
        (values.next(), values.next().is_some())
    };
    let (site, several_sites) = one("sec-fetch-site");
    let (from, several_origins) = one(header::ORIGIN.as_str());
    if several_sites || several_origins {
        return false;
    }
    let is_own = |value: &HeaderValue| value.as_bytes().eq_ignore_ascii_case(origin.as_bytes());
    match (site, from) {
        (Some(site), from) => site == "same-origin" && from.is_none_or(is_own),
        (None, Some(from)) => is_own(from),
        (None, None) => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_headers_count() {
        const SITE: &str = "sec-fetch-site";
        for (expected, headers) in [
            (true, &[(SITE, "same-origin")][..]),
            (true, &[(SITE, "same-origin"), ("origin", "https://a.example")]),
            (true, &[("origin", "https://a.example")]),
            (true, &[("origin", "HTTPS://A.EXAMPLE")]),
            (false, &[]),
            (false, &[(SITE, "none")]),
            (false, &[(SITE, "same-site")]),
            (false, &[(SITE, "cross-site"), ("origin", "https://a.example")]),
            (false, &[(SITE, "same-origin"), ("origin", "https://b.example")]),
            (false, &[(SITE, "same-origin"), (SITE, "same-origin")]),
            (false, &[("origin", "null")]),
            (false, &[("origin", "http://a.example")]),
            (false, &[("origin", "https://a.example:8443")]),
            (false, &[("origin", "https://a.example.b.example")]),
            (false, &[("origin", "https://a.example"), ("origin", "https://b.example")]),
        ] {
            let mut map = HeaderMap::new();
            for (name, value) in headers {
                map.append(*name, value.parse().unwrap());
            }
            assert_eq!(is_same_origin(&map, "https://a.example"), expected, "{headers:?}");
        }
    }
}
