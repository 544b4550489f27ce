//! Versions of resources (RFC 7644 section 3.14): `ETag`, `If-Match`, `If-None-Match`.

use http::{HeaderMap, HeaderName, header};

use crate::error::ScimError;

/// The `ETag` of a version. It is weak: memberships and texts of other resources can differ.
pub(crate) fn etag(version: i64) -> String {
    format!("W/\"{version}\"")
}

/// Whether a header names this version; `None` if the header is absent.
fn names(headers: &HeaderMap, header: &HeaderName, version: i64) -> Option<bool> {
    let mut values = headers.get_all(header).iter().peekable();
    values.peek()?;
    let etag = etag(version);
    let strong = etag.trim_start_matches("W/");
    let is_named = |value: &str| {
        let mut tags = value.split(',').map(str::trim);
        tags.any(|tag| tag == "*" || tag.trim_start_matches("W/") == strong)
    };
    Some(values.any(|value| value.to_str().is_ok_and(is_named)))
}

/// Whether the client has this version already.
pub(crate) fn is_known(headers: &HeaderMap, version: i64) -> bool {
    names(headers, &header::IF_NONE_MATCH, version).unwrap_or_default()
}

/// Returns whether the client demands this version.
///
/// # Errors
/// 412 if it demands another one.
pub(crate) fn demands(headers: &HeaderMap, version: i64) -> Result<bool, ScimError> {
    match names(headers, &header::IF_MATCH, version) {
        None => Ok(false),
        Some(true) => Ok(true),
        Some(false) => Err(ScimError::stale()),
    }
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    #[test]
    fn versions_are_compared_weakly() {
        for (value, expected) in [
            ("W/\"3\"", Some(true)),
            ("\"3\"", Some(true)),
            ("*", Some(true)),
            ("\"2\", W/\"3\"", Some(true)),
            ("W/\"33\"", Some(false)),
            ("3", Some(false)),
            ("", Some(false)),
        ] {
            let mut headers = HeaderMap::new();
            headers.insert(header::IF_MATCH, HeaderValue::from_str(value).unwrap());
            assert_eq!(demands(&headers, 3).ok(), expected.filter(|named| *named), "{value}");
            assert!(!is_known(&headers, 3));
        }
        assert_eq!(demands(&HeaderMap::new(), 3), Ok(false));
    }
}
