//! Slows down addresses whose clients keep failing to prove themselves, or send tokens of others that no rule takes.

use std::sync::Arc;

use axum::{
    extract::{Request, State},
    middleware::Next,
    response::{IntoResponse as _, Response},
};
use http::{StatusCode, header};

use super::error::{ErrorCode, OAuthError};
use crate::{http::ClientAddr, identity::Failures};

/// In an answer's extensions: it counts as a failure, whatever its status. Refused token exchanges do, which are recorded
/// and for which nobody needs a secret.
#[derive(Clone, Copy, Debug)]
pub(super) struct Failed;

/// Refuses an address that has to wait, and counts those answers that say that a client did not prove itself, or that are
/// [`Failed`].
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
    if response.status() == StatusCode::UNAUTHORIZED || response.extensions().get::<Failed>().is_some() {
        failures.count(address);
    }
    response
}
