//! Slows down addresses whose clients keep failing to prove themselves.

use std::sync::Arc;

use axum::{
    extract::{Request, State},
    middleware::Next,
    response::{IntoResponse as _, Response},
};
use http::{StatusCode, header};

use super::error::{ErrorCode, OAuthError};
use crate::{http::ClientAddr, identity::Failures};

/// Refuses an address that has to wait, and counts those answers that say that a client did not prove itself.
pub(super) async fn limit(State(failures): State<Arc<Failures>>, request: Request, next: Next) -> Response {
    let Some(ClientAddr(address)) = request.extensions().get::<ClientAddr>().copied() else {
        return next.run(request).await;
    };
    if let Err(throttled) = failures.check(address) {
        let error = OAuthError::new(ErrorCode::TemporarilyUnavailable, throttled.to_string());
        let mut response = error.into_response();
        *response.status_mut() = StatusCode::TOO_MANY_REQUESTS;
        response.headers_mut().insert(header::RETRY_AFTER, throttled.retry_after.into());
        return response;
    }
    let response = next.run(request).await;
    if response.status() == StatusCode::UNAUTHORIZED {
        failures.count(address);
    }
    response
}
