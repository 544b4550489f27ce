//! Authentication of every call, before its body is read.

use std::sync::Arc;

use axum::{
    extract::{Request, State},
    middleware::Next,
    response::{IntoResponse, Response},
};
use connectrpc::ConnectError;
use http::{HeaderMap, StatusCode, header};

use crate::{
    Entrance,
    browser::{self, Refused},
    door, is_anonymous,
};
use flyte_access::{AccessError, Caller, Reason};

/// Authenticates a call and adds its [`Caller`], or rejects the call in the caller's protocol.
pub(crate) async fn authenticate(
    State(entrance): State<Arc<Entrance>>,
    request: Request,
    next: Next,
) -> Response {
    let path = request.uri().path();
    // Proto packages have dots; a path without one is a page that does not exist.
    if !path.split('/').nth(1).is_some_and(|service| service.contains('.')) {
        return StatusCode::NOT_FOUND.into_response();
    }
    if is_anonymous(path) {
        return next.run(request).await;
    }
    let (parts, body) = request.into_parts();
    let by_cookie = browser::caller(&entrance, &parts).await;
    let request = Request::from_parts(parts, body);
    match by_cookie {
        Ok(None) => match entrance.access.authenticate(request.headers()).await {
            Ok(caller) => admit(&entrance, caller, request, next).await,
            Err(error) => refuse(&error, request.headers()),
        },
        Ok(Some(caller)) => not_stored(admit(&entrance, caller, request, next).await),
        Err(refused) => not_stored(refuse_browser(&refused, request.headers())),
    }
}

/// Passes the call of an authenticated caller, if the [door](flyte_access::door) admits it.
async fn admit(entrance: &Entrance, caller: Arc<Caller>, mut request: Request, next: Next) -> Response {
    let path = request.uri().path();
    if !is_rpc(path) {
        return StatusCode::NOT_FOUND.into_response();
    }
    if let Err(refusal) = entrance.access.admit(&caller, path) {
        let error = door::refuse(&entrance.audit, &caller, path, refusal).await;
        return error.into_http_response(request.headers()).into_response();
    }
    request.extensions_mut().insert(caller);
    next.run(request).await
}

fn not_stored(mut response: Response) -> Response {
    response.headers_mut().insert(header::CACHE_CONTROL, browser::NO_STORE);
    response
}

fn refuse_browser(refused: &Refused, request: &HeaderMap) -> Response {
    let why = refused.to_string();
    let error = match refused {
        Refused::Forbidden(_) => ConnectError::permission_denied(why),
        Refused::Ended => ConnectError::unauthenticated(why),
        Refused::Store(error) => {
            tracing::error!(%error, "a caller could not be checked");
            ConnectError::unavailable(why)
        }
    };
    error.into_http_response(request).into_response()
}

/// Whether the path is exactly `/package.Service/Method`. The path is not decoded or normalized, so that the checked path is the
/// called path.
fn is_rpc(path: &str) -> bool {
    let Some((service, method)) = path.strip_prefix('/').and_then(|path| path.split_once('/')) else {
        return false;
    };
    let is_name = |name: &str| {
        !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
    };
    service.contains('.') && service.split('.').all(is_name) && is_name(method)
}

fn refuse(error: &AccessError, request: &HeaderMap) -> Response {
    let rpc = match error.reason {
        Reason::Missing | Reason::Invalid(_) => ConnectError::unauthenticated(error.to_string()),
        Reason::Store(_) | Reason::Unavailable(_) => ConnectError::unavailable(error.to_string()),
    };
    let mut response = rpc.into_http_response(request).into_response();
    if let Some(challenge) = error.challenge() {
        response.headers_mut().insert(header::WWW_AUTHENTICATE, challenge);
    }
    response
}
