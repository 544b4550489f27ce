//! A request of a browser on its way to the console or an app, and the answer on its way back.

use std::time::Duration;

use axum::{
    body::Body,
    response::{IntoResponse as _, Response},
};
use futures_util::{StreamExt as _, stream};
use http::{HeaderMap, HeaderName, HeaderValue, Request, StatusCode, Uri, Version, header};
use url::Url;

use super::{Visitor, Web, apps::Credentials, cookies, refuse, websocket};
use crate::identity::IdentityHeaderNames;
use flyte_access::{OpenStream, StreamEnd};
use flyte_model::{ClientAddr, Stopping};

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

/// Sends a request of a known visitor, and returns the answer.
pub(super) async fn send(
    web: &Web,
    target: Target<'_>,
    visitor: &Visitor,
    mut request: Request<Body>,
) -> Response {
    let Ok(_slot) = web.slots.try_acquire() else {
        return refuse(StatusCode::SERVICE_UNAVAILABLE, "the server is busy; try again later");
    };
    let socket = match websocket::Handshake::of(&mut request) {
        Ok(socket) => socket,
        Err(why) => return refuse(StatusCode::BAD_REQUEST, why),
    };
    let streams = |headers: &HeaderMap| web.parts.access.open_stream(&visitor.caller, headers);
    let Some(uri) = uri(target.url, request.uri()) else {
        return refuse(StatusCode::BAD_REQUEST, "the address cannot be forwarded");
    };
    let original = match request.extensions().get::<Credentials>() {
        Some(Credentials(headers)) => headers.clone(),
        None => request.headers().clone(),
    };
    let host = request.uri().authority().map(|host| host.as_str().to_owned());
    let client = request.extensions().get::<ClientAddr>().copied();
    let (mut head, body) = request.into_parts();
    rewrite(&mut head.headers, target, host.as_deref(), client);
    let mut outbound = Request::new(body);
    *outbound.method_mut() = head.method;
    *outbound.uri_mut() = uri;
    *outbound.version_mut() = Version::HTTP_11;
    *outbound.headers_mut() = head.headers;
    if let Some(socket) = &socket {
        socket.ask(outbound.headers_mut());
    }
    let answer = match tokio::time::timeout(ANSWER, web.client.send(outbound)).await {
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
        let open = match streams(&original) {
            Ok(open) => open,
            Err(why) => return refuse(StatusCode::TOO_MANY_REQUESTS, &why.to_string()),
        };
        return socket.accept(answer, open, web.parts.stopping.clone());
    }
    let (mut head, body) = answer.into_parts();
    strip_response(&mut head.headers, target);
    let is_events = head
        .headers
        .get(header::CONTENT_TYPE)
        .is_some_and(|kind| kind.as_bytes().to_ascii_lowercase().starts_with(b"text/event-stream"));
    let body = Body::new(body);
    let body = match is_events.then(|| streams(&original)) {
        None => body,
        Some(Ok(open)) => guarded(body, open, web.parts.stopping.clone()),
        Some(Err(why)) => return refuse(StatusCode::TOO_MANY_REQUESTS, &why.to_string()),
    };
    let mut response = body.into_response();
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

/// The events of an answer, until the caller loses access or the server stops.
fn guarded(body: Body, open: OpenStream, stopping: Stopping) -> Body {
    let rest = (body.into_data_stream(), open, stopping);
    Body::from_stream(stream::unfold(Some(rest), |rest| async {
        let (mut body, mut open, stopping) = rest?;
        let end = |why: String| Some((Err(axum::Error::new(std::io::Error::other(why))), None));
        tokio::select! {
            biased;
            why = open.ended() => end(StreamEnd::to_string(&why)),
            () = stopping.stopped() => end("the server stops".to_owned()),
            chunk = body.next() => match chunk? {
                Ok(chunk) => Some((Ok(chunk), Some((body, open, stopping)))),
                Err(error) => Some((Err(error), None)),
            },
        }
    }))
}
