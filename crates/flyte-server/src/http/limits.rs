//! What a request may cost.

use std::sync::Arc;

use axum::{
    extract::{Request, State},
    http::{HeaderValue, StatusCode, header},
    middleware::Next,
    response::{IntoResponse, Response},
};
use tokio::sync::Semaphore;

/// The largest body of a form or token request, in bytes: they hold a few short fields.
pub(super) const FORM_SIZE: usize = 64 << 10;

/// Lets a request pass while fewer than the limit are worked on; further ones get 503 at once, which clients try again,
/// rather than pile up. A response that is streamed no longer counts once it has begun.
pub(super) async fn limit_concurrency(
    State(slots): State<Arc<Semaphore>>,
    request: Request,
    next: Next,
) -> Response {
    let Ok(_slot) = slots.try_acquire() else {
        tracing::warn!("too many requests at a time: answering 503");
        let mut response =
            (StatusCode::SERVICE_UNAVAILABLE, "the server is busy; try again\n").into_response();
        response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from_static("1"));
        return response;
    };
    next.run(request).await
}
