//! Calls from pages: those of this server call with the cookie of their user, those of other origins with a token.
//!
//! Any page can make a browser send the cookie. So a call with it must come from a page of this server, have the media type
//! of an RPC, which other pages cannot send unasked, and change nothing if it is a GET. A call that has `Authorization` is
//! judged by that alone, even if it is not valid.

use std::{sync::Arc, time::Duration};

use http::{HeaderMap, HeaderName, HeaderValue, Method, header, request::Parts};
use tower_http::cors::{Any, CorsLayer};

use crate::Entrance;
use flyte_access::{
    Caller,
    door::{Door, RequiredScope},
};
use flyte_http::is_same_origin;
use flyte_identity::session;
use flyte_store::StoreError;

/// The media types of RPCs. `text/plain` and those of forms, which pages of other origins can send without being asked for
/// permission, are not among them.
const MEDIA_TYPES: [&str; 14] = [
    "application/json",
    "application/proto",
    "application/connect+json",
    "application/connect+proto",
    "application/grpc",
    "application/grpc+json",
    "application/grpc+proto",
    "application/grpc-web",
    "application/grpc-web+json",
    "application/grpc-web+proto",
    "application/grpc-web-text",
    "application/grpc-web-text+proto",
    "application/json; charset=utf-8",
    "application/json;charset=utf-8",
];

/// Why a call with a cookie is refused.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Refused {
    /// Another page may have sent it.
    #[error("{0}")]
    Forbidden(&'static str),
    /// The user is not signed in.
    #[error("sign in again: the session has ended")]
    Ended,
    /// The store failed.
    #[error("the caller could not be checked")]
    Store(#[from] StoreError),
}

/// Returns the caller behind the session cookie of a call; `None` if the call is to be authenticated by its token, because
/// it has one, or no session cookie, or there are no pages that call.
pub(crate) async fn caller(entrance: &Entrance, parts: &Parts) -> Result<Option<Arc<Caller>>, Refused> {
    let Some(sessions) = &entrance.sessions else { return Ok(None) };
    let headers = &parts.headers;
    let has_token =
        headers.contains_key(header::AUTHORIZATION) || headers.contains_key("flyte-authorization");
    if has_token || !session::has_cookie(headers) {
        return Ok(None);
    }
    if !is_same_origin(headers, entrance.config.issuer()) {
        return Err(Refused::Forbidden("a call with a cookie must come from a page of this server"));
    }
    let is_read =
        || Door::published().rpc(parts.uri.path()).is_some_and(|rpc| rpc.scope == RequiredScope::Read);
    match parts.method {
        Method::GET if is_read() => {}
        Method::GET => return Err(Refused::Forbidden("this RPC is not called by GET with a cookie")),
        Method::POST if has_media_type(headers) => {}
        _ => return Err(Refused::Forbidden("a call with a cookie must have the media type of an RPC")),
    }
    let signed_in = sessions.current(headers).await?.ok_or(Refused::Ended)?;
    let caller = entrance.access.caller_of_session(&signed_in.user, &signed_in.session).await?;
    Ok(Some(Arc::new(caller)))
}

/// Whether `Content-Type` is exactly that of an RPC. A text that only begins with one may be something else for a browser.
fn has_media_type(headers: &HeaderMap) -> bool {
    headers.get(header::CONTENT_TYPE).is_some_and(|value| {
        MEDIA_TYPES.iter().any(|known| value.as_bytes().eq_ignore_ascii_case(known.as_bytes()))
    })
}

/// Answers the preflight requests of browsers, and lets pages of other origins read answers. They call with a token: browsers
/// do not let them read answers to calls with a cookie.
pub(crate) fn cors() -> CorsLayer {
    let names =
        |names: &[&'static str]| names.iter().map(|name| HeaderName::from_static(name)).collect::<Vec<_>>();
    CorsLayer::new()
        .allow_origin(Any)
        .allow_methods([Method::GET, Method::POST])
        .allow_headers(names(&[
            "authorization",
            "connect-accept-encoding",
            "connect-content-encoding",
            "connect-protocol-version",
            "connect-timeout-ms",
            "content-type",
            "flyte-authorization",
            "grpc-timeout",
            "x-grpc-web",
            "x-request-id",
            "x-user-agent",
        ]))
        .expose_headers(names(&[
            "connect-content-encoding",
            "grpc-encoding",
            "grpc-message",
            "grpc-status",
            "grpc-status-details-bin",
            "retry-after",
            "www-authenticate",
            "x-request-id",
        ]))
        .max_age(Duration::from_secs(3600))
}

/// No cache may keep the answer to a call with a cookie.
pub(crate) const NO_STORE: HeaderValue = HeaderValue::from_static("no-store");
