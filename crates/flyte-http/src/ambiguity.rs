//! Rejects requests that two readers may understand differently.
//!
//! If a request has two `Authorization` headers, hosts or targets, a proxy in front of the server may use one of them,
//! and the server the other. So the server never repairs these requests or chooses a value: RFC 9110 and RFC 9112 allow
//! it to reject all of them. Cases that hyper resolves earlier (two lengths of a body) are rejected in
//! `serve/framing.rs`.

use std::net::SocketAddr;

use axum::{
    Json,
    extract::{ConnectInfo, Request},
    middleware::Next,
    response::{IntoResponse as _, Response},
};
use connectrpc::ConnectError;
use http::{HeaderMap, HeaderValue, StatusCode, Uri, Version, header, uri::Authority};
use serde_json::json;

/// Single-value fields on which the server, or something in front of it, bases decisions (RFC 9110 section 5.3).
const SINGLE: [&str; 22] = [
    "authorization",
    "flyte-authorization",
    "proxy-authorization",
    "host",
    "content-length",
    "content-type",
    "content-encoding",
    "content-md5",
    "transfer-encoding",
    "expect",
    "range",
    "origin",
    "referer",
    "sec-fetch-site",
    "sec-fetch-mode",
    "x-request-id",
    "connect-protocol-version",
    "connect-timeout-ms",
    "connect-content-encoding",
    "grpc-encoding",
    "grpc-timeout",
    "dpop",
];

/// Fields of proxies that the server does not read. A chain of proxies may repeat them, but the values must be equal.
/// `X-Forwarded-For` is not in this list, because it is a list that may have several lines.
const FORWARDED: [&str; 7] = [
    "x-forwarded-host",
    "x-forwarded-proto",
    "x-forwarded-port",
    "x-forwarded-prefix",
    "x-forwarded-uri",
    "x-forwarded-method",
    "x-real-ip",
];

/// Responds with 400 to a request with two meanings, on every route.
pub async fn refuse(request: Request, next: Next) -> Response {
    match judge(&request) {
        Ok(()) => next.run(request).await,
        Err(why) => {
            tracing::debug!(why, "rejected a request with two meanings");
            answer(&request, &why)
        }
    }
}

/// Returns the reason why a request has more than one meaning.
fn judge(request: &Request) -> Result<(), String> {
    let headers = request.headers();
    for name in SINGLE {
        if headers.get_all(name).iter().nth(1).is_some() {
            return Err(format!("the request has more than one {name} header"));
        }
    }
    for name in FORWARDED {
        let mut values = headers.get_all(name).iter();
        let first = values.next();
        if values.any(|value| Some(value) != first) {
            return Err(format!("the request has {name} headers that contradict each other"));
        }
    }
    connection(headers)?;
    target(request.uri(), request.version())?;
    // A request without a connection, as in tests, has no host.
    let needs_host = request.extensions().get::<ConnectInfo<SocketAddr>>().is_some();
    host(request, needs_host)
}

/// Checks `Connection` and the fields that it may name (RFC 9110 section 7.6.1).
fn connection(headers: &HeaderMap) -> Result<(), String> {
    let options = headers.get_all(header::CONNECTION).iter().flat_map(list);
    for option in options {
        let end_to_end = SINGLE.contains(&option.as_str())
            || FORWARDED.contains(&option.as_str())
            || matches!(option.as_str(), "cookie" | "x-forwarded-for" | "forwarded");
        if end_to_end {
            return Err(format!("the Connection header names {option}, which is meant for the server"));
        }
    }
    let mut protocols = headers.get_all(header::UPGRADE).iter().flat_map(list);
    if headers.contains_key("http2-settings") || protocols.any(|protocol| protocol == "h2c") {
        return Err("the server does not upgrade to HTTP/2: begin with it, or use HTTP/1.1".to_owned());
    }
    Ok(())
}

fn list(value: &HeaderValue) -> Vec<String> {
    let text = String::from_utf8_lossy(value.as_bytes());
    text.split(',').map(|member| member.trim().to_ascii_lowercase()).collect()
}

/// Checks that the target is a path: in HTTP/1, the absolute form would be a second host (RFC 9112 section 3.2).
fn target(uri: &Uri, version: Version) -> Result<(), String> {
    if version < Version::HTTP_2 && (uri.scheme().is_some() || uri.authority().is_some()) {
        return Err("the request's target is not a path".to_owned());
    }
    if !uri.path().starts_with('/') && uri.path() != "*" {
        return Err("the request's path does not begin with /".to_owned());
    }
    Ok(())
}

/// Checks that there is one valid host (RFC 9112 section 3.2). In HTTP/2 it must be that of `:authority` (RFC 9113
/// section 8.3.1).
fn host(request: &Request, needs_host: bool) -> Result<(), String> {
    let host = match request.headers().get(header::HOST) {
        Some(value) => Some(parse_host(value).ok_or("the Host header is not a host")?),
        None => None,
    };
    let authority = request.uri().authority();
    if authority.is_some_and(|authority| !is_host(authority)) {
        return Err(":authority is not a host".to_owned());
    }
    let scheme = request.uri().scheme_str();
    match (&host, authority) {
        (Some(Some(host)), Some(authority)) if !same_host(host, authority, scheme) => {
            Err("the Host header differs from :authority".to_owned())
        }
        (Some(None), Some(_)) => Err("the Host header differs from :authority".to_owned()),
        (None, None) if needs_host && request.version() >= Version::HTTP_11 => {
            Err("the request has no Host header".to_owned())
        }
        _ => Ok(()),
    }
}

/// Returns the authority in a `Host` header: `Some(None)` if it is empty, and `None` if it is invalid.
fn parse_host(value: &HeaderValue) -> Option<Option<Authority>> {
    if value.is_empty() {
        return Some(None);
    }
    let authority: Authority = value.to_str().ok()?.parse().ok()?;
    is_host(&authority).then_some(Some(authority))
}

/// Returns whether this is a host with an optional port. A comma means that two hosts were joined.
fn is_host(authority: &Authority) -> bool {
    let port = authority.as_str().strip_prefix(authority.host());
    !authority.host().is_empty()
        && !authority.as_str().contains(['@', ','])
        && port.is_some_and(|port| {
            port.is_empty()
                || port.strip_prefix(':').is_some_and(|port| port.is_empty() || port.parse::<u16>().is_ok())
        })
}

fn same_host(one: &Authority, other: &Authority, scheme: Option<&str>) -> bool {
    let default = match scheme {
        Some("http") => Some(80),
        Some("https") => Some(443),
        _ => None,
    };
    one.host().eq_ignore_ascii_case(other.host())
        && one.port_u16().or(default) == other.port_u16().or(default)
}

/// Returns a 400 response that clients of OAuth, Connect and gRPC all understand.
fn answer(request: &Request, why: &str) -> Response {
    let headers = request.headers();
    let grpc = headers
        .get(header::CONTENT_TYPE)
        .is_some_and(|value| value.as_bytes().to_ascii_lowercase().starts_with(b"application/grpc"));
    if grpc {
        return ConnectError::invalid_argument(why).into_http_response(headers).into_response();
    }
    let body = json!({
        "code": "invalid_argument",
        "message": why,
        "error": "invalid_request",
        "error_description": why,
    });
    let mut response = (StatusCode::BAD_REQUEST, Json(body)).into_response();
    response.headers_mut().insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    if request.version() < Version::HTTP_2 {
        // Further requests on this connection are not trusted either.
        response.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
    }
    response
}

#[cfg(test)]
mod tests {
    use axum::body::Body;

    use super::*;

    fn request(version: Version, uri: &str, headers: &[(&str, &str)]) -> Request {
        let mut request = Request::builder().version(version).uri(uri);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        request.body(Body::empty()).unwrap()
    }

    #[test]
    fn requests_with_one_meaning_pass() {
        let twice = [("x-forwarded-proto", "https"), ("x-forwarded-proto", "https")];
        for (version, uri, headers) in [
            (Version::HTTP_11, "/", &[("host", "a"), ("authorization", "Bearer x")][..]),
            (Version::HTTP_11, "/", &[("authorization", "Basic x"), ("flyte-authorization", "Bearer y")]),
            (Version::HTTP_11, "/", &[("connection", "keep-alive, Upgrade"), ("upgrade", "websocket")]),
            (Version::HTTP_11, "/", &[("x-forwarded-for", "a"), ("x-forwarded-for", "b")]),
            (Version::HTTP_11, "/", &twice),
            (Version::HTTP_11, "/", &[("host", "[::1]:8443"), ("accept", "a"), ("accept", "b")]),
            (Version::HTTP_11, "/", &[("host", "")]),
            (Version::HTTP_11, "*", &[]),
            (Version::HTTP_2, "https://a/p", &[("cookie", "a=b"), ("cookie", "c=d")]),
            (Version::HTTP_2, "https://a/p", &[("host", "A:443")]),
            (Version::HTTP_2, "http://a:80/p", &[("host", "a")]),
            (Version::HTTP_2, "/p", &[("host", "a")]),
        ] {
            assert_eq!(judge(&request(version, uri, headers)), Ok(()), "{uri} {headers:?}");
        }
    }

    #[test]
    fn requests_with_two_meanings_are_rejected() {
        for name in SINGLE {
            for values in [["x", "x"], ["x", "y"]] {
                let headers = values.map(|value| (name, value));
                assert!(
                    judge(&request(Version::HTTP_2, "https://a/", &headers)).is_err(),
                    "{name} {values:?}"
                );
            }
            let named = format!("close, {name}");
            assert!(judge(&request(Version::HTTP_11, "/", &[("connection", &named)])).is_err(), "{named}");
        }
        for name in FORWARDED {
            let headers = [(name, "1"), (name, "2")];
            assert!(judge(&request(Version::HTTP_11, "/", &headers)).is_err(), "{name}");
        }
        for (version, uri, headers) in [
            (Version::HTTP_11, "http://a/", &[("host", "a")][..]),
            (Version::HTTP_11, "a:443", &[("host", "a:443")]),
            (Version::HTTP_11, "/", &[("host", "a, b")]),
            (Version::HTTP_11, "/", &[("host", "a,b")]),
            (Version::HTTP_11, "/", &[("host", "user@a")]),
            (Version::HTTP_11, "/", &[("host", "a/b")]),
            (Version::HTTP_11, "/", &[("host", "a:b")]),
            (Version::HTTP_11, "/", &[("host", ":80")]),
            (Version::HTTP_11, "/", &[("upgrade", "websocket, H2C")]),
            (Version::HTTP_11, "/", &[("http2-settings", "AAMAAABkAAQAAP__")]),
            (Version::HTTP_2, "https://a/p", &[("host", "b")]),
            (Version::HTTP_2, "https://a/p", &[("host", "a:444")]),
            (Version::HTTP_2, "https://a/p", &[("host", "")]),
            (Version::HTTP_2, "https://u@a/p", &[]),
        ] {
            assert!(judge(&request(version, uri, headers)).is_err(), "{uri} {headers:?}");
        }
    }

    #[test]
    fn requests_over_a_connection_need_a_host() {
        let over_a_connection = |version, uri: &str, headers: &[(&str, &str)]| {
            let mut request = request(version, uri, headers);
            request.extensions_mut().insert(ConnectInfo(SocketAddr::from(([127, 0, 0, 1], 1))));
            judge(&request).is_ok()
        };
        assert!(!over_a_connection(Version::HTTP_11, "/", &[]));
        assert!(over_a_connection(Version::HTTP_11, "/", &[("host", "a")]));
        assert!(over_a_connection(Version::HTTP_10, "/", &[]), "HTTP/1.0 has no Host header");
        assert!(!over_a_connection(Version::HTTP_2, "/", &[]));
        assert!(over_a_connection(Version::HTTP_2, "https://a/", &[]));
    }
}
