//! Authentication of every call, before its body is read.

use std::sync::Arc;

use axum::{
    extract::{Request, State},
    middleware::Next,
    response::{IntoResponse, Response},
};
use connectrpc::ConnectError;
use http::{HeaderMap, StatusCode, header};

use crate::{Entrance, door, is_anonymous};
use flyte_access::{AccessError, Reason, door::Door};

/// Authenticates a call and adds its [`Caller`](flyte_access::Caller), or rejects the call in the caller's protocol.
pub(crate) async fn authenticate(
    State(entrance): State<Arc<Entrance>>,
    mut request: Request,
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
    let is_rpc = is_rpc(path);
    match entrance.access.authenticate(request.headers()).await {
        Ok(_) if !is_rpc => StatusCode::NOT_FOUND.into_response(),
        Ok(caller) => {
            if let Err(refusal) = Door::published().admit(&caller, path) {
                let error = door::refuse(&entrance.audit, &caller, path, refusal).await;
                return error.into_http_response(request.headers()).into_response();
            }
            request.extensions_mut().insert(caller);
            next.run(request).await
        }
        Err(error) => refuse(&error, request.headers()),
    }
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
