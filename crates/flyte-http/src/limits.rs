//! Limits on the cost of requests.

use std::{sync::Arc, time::Duration};

use axum::{
    BoxError,
    body::Body,
    extract::{Request, State},
    http::{HeaderValue, StatusCode, header},
    middleware::Next,
    response::{IntoResponse, Response},
};
use futures_util::{StreamExt as _, stream};
use tokio::{
    sync::Semaphore,
    time::{Instant, timeout_at},
};

use super::Shares;
use flyte_model::ClientAddr;

/// How long the body of a form or token request may take. The body has only a few short fields.
const FORM_TIMEOUT: Duration = Duration::from_secs(10);

/// The slots for concurrent requests.
#[derive(Debug)]
pub struct Slots {
    all: Semaphore,
    shares: Arc<Shares>,
}

impl Slots {
    /// Creates `most` slots.
    #[must_use]
    pub fn new(most: usize) -> Self {
        Self { all: Semaphore::new(most), shares: Shares::of(most) }
    }
}

/// Handles a request if there are fewer concurrent requests than the limit, and fewer than the share of its client.
/// Further requests get 503 or 429 at once and do not pile up; clients retry them. A streamed response no longer counts
/// once it has begun.
pub async fn limit_concurrency(State(slots): State<Arc<Slots>>, request: Request, next: Next) -> Response {
    let share = request.extensions().get::<ClientAddr>().map(|client| slots.shares.take(client.0));
    if matches!(share, Some(None)) {
        tracing::warn!("too many concurrent requests of one client: responding with 429");
        return busy(StatusCode::TOO_MANY_REQUESTS, "too many concurrent requests; try again\n");
    }
    let Ok(_slot) = slots.all.try_acquire() else {
        tracing::warn!("too many concurrent requests: responding with 503");
        return busy(StatusCode::SERVICE_UNAVAILABLE, "the server is busy; try again\n");
    };
    next.run(request).await
}

fn busy(status: StatusCode, text: &'static str) -> Response {
    let mut response = (status, text).into_response();
    response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from_static("1"));
    response
}

/// Limits the time in which a form must arrive to 10 seconds, because a slow client occupies a slot. After that
/// time, the handler gets an error in place of the rest of the form.
pub async fn limit_form_time(request: Request, next: Next) -> Response {
    next.run(request.map(|body| with_deadline(body, FORM_TIMEOUT))).await
}

fn with_deadline(body: Body, time: Duration) -> Body {
    let deadline = Instant::now() + time;
    let rest = Some(body.into_data_stream());
    Body::from_stream(stream::unfold(rest, move |rest| async move {
        let mut rest = rest?;
        match timeout_at(deadline, rest.next()).await {
            Ok(chunk) => Some((chunk?.map_err(BoxError::from), Some(rest))),
            Err(elapsed) => Some((Err(elapsed.into()), None)),
        }
    }))
}

#[cfg(test)]
mod tests {
    use axum::body::{Bytes, to_bytes};

    use super::*;

    #[tokio::test]
    async fn a_body_that_takes_too_long_fails() {
        let slow = stream::iter([Ok::<_, BoxError>(Bytes::from("half"))]).chain(stream::pending());
        let read = to_bytes(with_deadline(Body::from_stream(slow), Duration::from_millis(10)), 100).await;
        assert!(read.is_err());
        let dribble = stream::unfold((), |()| async {
            tokio::time::sleep(Duration::from_millis(1)).await;
            Some((Ok::<_, BoxError>(Bytes::from("x")), ()))
        });
        let read = to_bytes(with_deadline(Body::from_stream(dribble), Duration::from_millis(50)), 10_000);
        assert!(read.await.is_err());
        let whole = to_bytes(with_deadline(Body::from("a=b"), FORM_TIMEOUT), 100).await;
        assert_eq!(whole.unwrap(), "a=b");
    }
}
