//! What goes through of the headers, in both directions. Everything that is not listed stays behind.

use flyte_model::ClientAddr;
use http::{HeaderMap, HeaderName, HeaderValue, Uri, header, uri::Authority};
use url::Url;

/// Headers of a request that go to the backend as they are: they describe the call to logs and traces, and grant nothing. The
/// headers of the protocol are written again, and so are those that name the caller.
const REQUEST: [&str; 5] = ["user-agent", "traceparent", "tracestate", "baggage", "x-request-id"];

/// Headers of an answer that go to the caller.
const RESPONSE: [&str; 13] = [
    "content-type",
    "content-encoding",
    "content-length",
    "connect-content-encoding",
    "connect-accept-encoding",
    "grpc-encoding",
    "grpc-accept-encoding",
    "grpc-status",
    "grpc-message",
    "grpc-status-details-bin",
    "date",
    "retry-after",
    "x-flyte-version",
];

/// Names that are not for the caller, in metadata as well: cookies and rules for a browser on our own address, a login elsewhere,
/// and the parts of HTTP that belong to one connection.
const NEVER: [&str; 22] = [
    "alt-svc",
    "clear-site-data",
    "connection",
    "content-length",
    "content-security-policy",
    "content-type",
    "host",
    "keep-alive",
    "location",
    "proxy-authenticate",
    "proxy-connection",
    "refresh",
    "server",
    "set-cookie",
    "set-cookie2",
    "strict-transport-security",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
    "via",
    "www-authenticate",
];

/// Our own address, as the backend sees it.
#[derive(Clone, Debug)]
pub(crate) struct Origin {
    /// `HOST` or `HOST:PORT` of the public URL.
    pub(crate) authority: Option<Authority>,
    is_https: bool,
}

impl Origin {
    pub(crate) fn of(public_url: &Url) -> Self {
        let authority = public_url.host_str().map(|host| match public_url.port() {
            Some(port) => format!("{host}:{port}"),
            None => host.to_owned(),
        });
        Self {
            authority: authority.and_then(|authority| authority.parse().ok()),
            is_https: public_url.scheme() == "https",
        }
    }
}

/// Adds to `upstream` what goes to the backend of `request`.
pub(crate) fn forward_request(request: &HeaderMap, upstream: &mut HeaderMap) {
    for name in REQUEST {
        if let Some(value) = request.get(name) {
            upstream.insert(HeaderName::from_static(name), value.clone());
        }
    }
}

/// Adds to `upstream` where the request came from.
pub(crate) fn add_origin(client: Option<ClientAddr>, origin: &Origin, upstream: &mut HeaderMap) {
    let scheme = HeaderValue::from_static(if origin.is_https { "https" } else { "http" });
    upstream.insert("x-forwarded-proto", scheme);
    if let Some(host) = origin.authority.as_ref().and_then(|host| HeaderValue::from_str(host.as_str()).ok()) {
        upstream.insert("x-forwarded-host", host);
    }
    if let Some(address) = client.and_then(|client| HeaderValue::from_str(&client.0.to_string()).ok()) {
        upstream.insert("x-forwarded-for", address);
    }
}

/// The headers of an answer that go to the caller.
pub(crate) fn forward_response(response: &HeaderMap) -> HeaderMap {
    let passes = |name: &HeaderName| {
        // Trailers of a unary Connect call are headers with this prefix.
        let of_trailer = name.as_str().strip_prefix("trailer-").is_some_and(|name| !is_never(name));
        of_trailer || RESPONSE.contains(&name.as_str())
    };
    copy(response, passes)
}

/// The trailers of an answer that go to the caller: all metadata of the backend, announced or not.
pub(crate) fn forward_trailers(trailers: &HeaderMap) -> HeaderMap {
    copy(trailers, |name| !is_never(name.as_str()))
}

fn is_never(name: &str) -> bool {
    NEVER.binary_search(&name).is_ok()
        || name.starts_with("access-control-")
        || name.starts_with("x-amzn-")
        || name.starts_with("x-forwarded-")
}

fn copy(headers: &HeaderMap, passes: impl Fn(&HeaderName) -> bool) -> HeaderMap {
    let mut copied = HeaderMap::with_capacity(headers.len());
    for (name, value) in headers {
        if passes(name) {
            copied.append(name.clone(), value.clone());
        }
    }
    copied
}

/// The host of a request, without its port.
pub(crate) fn host<'r>(uri: &'r Uri, headers: &'r HeaderMap) -> Option<&'r str> {
    let text = match uri.authority() {
        Some(authority) => authority.as_str(),
        None => headers.get(header::HOST)?.to_str().ok()?,
    };
    let host = text.rsplit_once(':').filter(|(_, port)| port.bytes().all(|byte| byte.is_ascii_digit()));
    Some(host.map_or(text, |(host, _)| host))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_list_of_what_never_passes_is_sorted() {
        assert!(NEVER.is_sorted());
    }

    #[test]
    fn a_request_takes_along_only_what_is_listed() {
        let request: HeaderMap = [
            ("user-agent", "sdk"),
            ("traceparent", "00-1-2-03"),
            ("authorization", "Bearer secret"),
            ("flyte-authorization", "Bearer secret"),
            ("cookie", "a=b"),
            ("x-amzn-oidc-data", "forged"),
            ("x-auth-request-user", "forged"),
            ("x-forwarded-for", "203.0.113.1"),
            ("x-forwarded-proto", "gopher"),
            ("forwarded", "for=203.0.113.1"),
            ("x-http-method-override", "DELETE"),
            ("impersonate-user", "root"),
        ]
        .into_iter()
        .map(|(name, value)| (HeaderName::from_static(name), HeaderValue::from_static(value)))
        .collect();
        let origin = Origin::of(&"https://flyte.example.com:8443/".parse().unwrap());
        let mut upstream = HeaderMap::new();
        forward_request(&request, &mut upstream);
        add_origin(Some(ClientAddr("192.0.2.7".parse().unwrap())), &origin, &mut upstream);
        let mut sent: Vec<_> =
            upstream.iter().map(|(name, value)| (name.as_str(), value.to_str().unwrap())).collect();
        sent.sort_unstable();
        assert_eq!(
            sent,
            [
                ("traceparent", "00-1-2-03"),
                ("user-agent", "sdk"),
                ("x-forwarded-for", "192.0.2.7"),
                ("x-forwarded-host", "flyte.example.com:8443"),
                ("x-forwarded-proto", "https"),
            ]
        );
    }

    #[test]
    fn an_answer_brings_neither_cookies_nor_rules_for_browsers() {
        let names = [
            "set-cookie",
            "access-control-allow-origin",
            "server",
            "location",
            "www-authenticate",
            "grpc-status",
            "trailer-x-cost",
            "trailer-set-cookie",
            "x-unknown",
        ];
        let answer: HeaderMap = names
            .map(|name| (HeaderName::from_static(name), HeaderValue::from_static("1")))
            .into_iter()
            .collect();
        let passed = |headers: HeaderMap| {
            let mut names: Vec<_> = headers.keys().map(|name| name.as_str().to_owned()).collect();
            names.sort_unstable();
            names
        };
        assert_eq!(passed(forward_response(&answer)), ["grpc-status", "trailer-x-cost"]);
        assert_eq!(
            passed(forward_trailers(&answer)),
            ["grpc-status", "trailer-set-cookie", "trailer-x-cost", "x-unknown"]
        );
    }
}
