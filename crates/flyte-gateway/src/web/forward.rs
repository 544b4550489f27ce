//! A request of a browser on its way to the console or an app, and the answer on its way back.

use std::{sync::Arc, time::Duration};

use axum::{
    body::Body,
    response::{IntoResponse as _, Response},
};
use http::{HeaderMap, HeaderName, HeaderValue, Request, StatusCode, Uri, Version, header};
use url::Url;

use super::{Web, cookies, guarded::Guarded, refuse, websocket};
use crate::identity::IdentityHeaderNames;
use flyte_access::{Caller, OpenStream, StreamEnd};
use flyte_model::ClientAddr;

/// How long an answer may take to begin. Apps answer long polls.
const ANSWER: Duration = Duration::from_mins(5);

/// Fields that belong to one connection (RFC 9110 section 7.6.1).
const HOP_BY_HOP: [&str; 10] = [
    "connection",
    "http2-settings",
    "keep-alive",
    "proxy-authenticate",
    "proxy-authorization",
    "proxy-connection",
    "te",
    "trailer",
    "transfer-encoding",
    "upgrade",
];

/// Where a request goes.
#[derive(Clone, Copy)]
pub(super) struct Target<'t> {
    /// The server.
    pub(super) url: &'t Url,
    /// Whether it is an app, which has credentials of its own.
    pub(super) is_app: bool,
    /// The origin that the browser sees.
    pub(super) origin: &'t str,
}

/// Sends a request of a known caller, and returns the answer. Both end with the caller's rights, whatever is in them.
pub(super) async fn send(
    web: &Web,
    target: Target<'_>,
    (caller, mut open): (&Arc<Caller>, OpenStream),
    mut request: Request<Body>,
) -> Response {
    let socket = match websocket::Handshake::of(&mut request) {
        Ok(socket) => socket,
        Err(why) => return refuse(StatusCode::BAD_REQUEST, why),
    };
    let Some(uri) = uri(target.url, request.uri()) else {
        return refuse(StatusCode::BAD_REQUEST, "the address cannot be forwarded");
    };
    let host = request.uri().authority().map(|host| host.as_str().to_owned());
    let client = request.extensions().get::<ClientAddr>().copied();
    let (mut head, body) = request.into_parts();
    rewrite(&mut head.headers, target, host.as_deref(), client);
    let (body, going) = Guarded::request(body, caller, &web.parts.clock);
    let mut outbound = Request::new(Body::new(body));
    *outbound.method_mut() = head.method;
    *outbound.uri_mut() = uri;
    *outbound.version_mut() = Version::HTTP_11;
    *outbound.headers_mut() = head.headers;
    if let Some(socket) = &socket {
        socket.ask(outbound.headers_mut());
    }
    let answer = tokio::select! {
        biased;
        why = open.ended() => {
            let status = match why {
                StreamEnd::Unauthenticated(_) => StatusCode::UNAUTHORIZED,
                StreamEnd::Unchecked => StatusCode::SERVICE_UNAVAILABLE,
            };
            return refuse(status, &why.to_string());
        }
        answer = tokio::time::timeout(ANSWER, web.client.send(outbound)) => answer,
    };
    let answer = match answer {
        Ok(Ok(answer)) => answer,
        Ok(Err(error)) => {
            tracing::warn!(url = %target.url, %error, source = ?std::error::Error::source(&error), "no answer");
            return refuse(StatusCode::BAD_GATEWAY, "there is no answer; try again later");
        }
        Err(_) => return refuse(StatusCode::GATEWAY_TIMEOUT, "the answer takes too long"),
    };
    if answer.status() == StatusCode::SWITCHING_PROTOCOLS {
        let Some(socket) = socket else {
            return refuse(
                StatusCode::BAD_GATEWAY,
                "the answer changes the protocol, which was not asked for",
            );
        };
        return socket.accept(answer, open, web.parts.stopping.clone());
    }
    let (mut head, body) = answer.into_parts();
    strip_response(&mut head.headers, target);
    let is_events = head
        .headers
        .get(header::CONTENT_TYPE)
        .is_some_and(|kind| kind.as_bytes().to_ascii_lowercase().starts_with(b"text/event-stream"));
    // Events end with the server, which gives other answers some time to end by themselves.
    let stopping = is_events.then(|| web.parts.stopping.clone());
    let body = Guarded::answer(Body::new(body), (open, going), stopping, caller, &web.parts.clock);
    let mut response = Body::new(body).into_response();
    *response.status_mut() = head.status;
    *response.headers_mut() = head.headers;
    response
}

/// The address of a request at the server that gets it. The path is not decoded.
fn uri(url: &Url, requested: &Uri) -> Option<Uri> {
    let path = requested.path_and_query().map_or("/", http::uri::PathAndQuery::as_str);
    let authority = match (url.host_str()?, url.port()) {
        (host, Some(port)) => format!("{host}:{port}"),
        (host, None) => host.to_owned(),
    };
    Uri::builder().scheme(url.scheme()).authority(authority).path_and_query(path).build().ok()
}

/// Removes our cookies, what belongs to the connection, and what says who the caller is; adds where the request comes from.
fn rewrite(headers: &mut HeaderMap, target: Target<'_>, host: Option<&str>, client: Option<ClientAddr>) {
    strip_hop_by_hop(headers);
    IdentityHeaderNames::default().remove_from(headers);
    cookies::strip(headers);
    if !target.is_app {
        headers.remove(header::AUTHORIZATION);
    }
    // In HTTP/2, the host is that of `:authority`.
    if let Some(host) = host.and_then(|host| HeaderValue::from_str(host).ok()) {
        headers.insert(header::HOST, host);
    }
    let scheme = if target.origin.starts_with("https:") { "https" } else { "http" };
    headers.insert("x-forwarded-proto", HeaderValue::from_static(scheme));
    if let Some(host) = headers.get(header::HOST).cloned() {
        headers.insert("x-forwarded-host", host);
    }
    if let Some(address) = client.and_then(|client| HeaderValue::from_str(&client.0.to_string()).ok()) {
        headers.insert("x-forwarded-for", address);
    }
}

/// Removes what the console or an app must not say to a browser about this server, or about other apps.
fn strip_response(headers: &mut HeaderMap, target: Target<'_>) {
    strip_hop_by_hop(headers);
    cookies::strip_response(headers);
    for name in ["alt-svc", "clear-site-data", "strict-transport-security"] {
        headers.remove(name);
    }
    if target.is_app {
        return;
    }
    let rules: Vec<HeaderName> =
        headers.keys().filter(|name| name.as_str().starts_with("access-control-")).cloned().collect();
    for name in &rules {
        headers.remove(name);
    }
    let is_page =
        headers.get(header::CONTENT_TYPE).is_some_and(|kind| kind.as_bytes().starts_with(b"text/html"));
    if is_page {
        headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    }
    // The server's own address, as it knows it.
    let own = target.url.as_str().trim_end_matches('/');
    let moved = headers.get(header::LOCATION).and_then(|location| {
        let path = location.to_str().ok()?.strip_prefix(own)?;
        let path = if path.is_empty() { "/" } else { path };
        HeaderValue::from_str(path).ok().filter(|_| super::is_local_path(path))
    });
    if let Some(moved) = moved {
        headers.insert(header::LOCATION, moved);
    }
}

fn strip_hop_by_hop(headers: &mut HeaderMap) {
    let listed: Vec<HeaderName> = headers
        .get_all(header::CONNECTION)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|text| text.split(','))
        .filter_map(|name| name.trim().parse().ok())
        .collect();
    for name in &listed {
        headers.remove(name);
    }
    for name in HOP_BY_HOP {
        headers.remove(name);
    }
}
