//! Reads what clients still send after they have got their answer.

use std::{
    pin::Pin,
    task::{Context, Poll},
    time::Duration,
};

use axum::{
    body::{Body, Bytes, HttpBody},
    extract::Request,
    middleware::Next,
    response::Response,
};
use futures_util::StreamExt as _;
use http_body::{Frame, SizeHint};
use tokio::{
    runtime::Handle,
    time::{Instant, timeout_at},
};

/// How long the rest of a request is read.
const MAX_TIME: Duration = Duration::from_secs(10);
/// How much of it is read, in bytes.
const MAX_BYTES: usize = 64 << 20;

/// Reads the rest of a request that was answered before its end, for a while, and throws it away.
///
/// A connection of HTTP/1.1 whose request is not read is closed, and what is unread makes the system reset it. A client that
/// writes its whole request before it reads would then see a broken connection in place of the refusal.
pub async fn unread(request: Request, next: Next) -> Response {
    next.run(request.map(|body| if body.is_end_stream() { body } else { Body::new(Drained(Some(body))) }))
        .await
}

/// A body. What is left of it when it is dropped is read and thrown away; `None` at its end.
struct Drained(Option<Body>);

impl HttpBody for Drained {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        let Some(body) = &mut self.0 else { return Poll::Ready(None) };
        let frame = Pin::new(body).poll_frame(cx);
        if matches!(frame, Poll::Ready(None | Some(Err(_)))) {
            self.0 = None;
        }
        frame
    }

    fn is_end_stream(&self) -> bool {
        self.0.as_ref().is_none_or(HttpBody::is_end_stream)
    }

    fn size_hint(&self) -> SizeHint {
        self.0.as_ref().map_or_else(|| SizeHint::with_exact(0), HttpBody::size_hint)
    }
}

impl Drop for Drained {
    fn drop(&mut self) {
        let unread = self.0.take().filter(|body| !body.is_end_stream());
        if let (Some(body), Ok(runtime)) = (unread, Handle::try_current()) {
            runtime.spawn(drain(body));
        }
    }
}

async fn drain(body: Body) {
    let (mut chunks, end) = (body.into_data_stream(), Instant::now() + MAX_TIME);
    let mut read = 0;
    while let Ok(Some(Ok(chunk))) = timeout_at(end, chunks.next()).await {
        read += chunk.len();
        if read > MAX_BYTES {
            break;
        }
    }
}

#[cfg(test)]
mod tests {
    use axum::{Router, middleware, routing::post};
    use futures_util::stream;
    use tokio::sync::mpsc;
    use tower::ServiceExt as _;

    use super::*;

    #[tokio::test]
    async fn the_rest_of_a_request_is_read_after_its_answer() {
        let router = Router::new().route("/", post(async || "no")).layer(middleware::from_fn(unread));
        let (told, mut read) = mpsc::unbounded_channel();
        let body = stream::unfold(0, move |part| {
            let told = told.clone();
            async move {
                told.send(part).unwrap();
                (part < 3).then_some((Ok::<_, std::io::Error>(Bytes::from("part")), part + 1))
            }
        });
        let answer = router.oneshot(Request::post("/").body(Body::from_stream(body)).unwrap()).await.unwrap();
        assert_eq!(answer.status(), 200);
        for part in 0..4 {
            assert_eq!(read.recv().await, Some(part));
        }
    }

    #[tokio::test]
    async fn a_request_that_is_read_is_whole() {
        let echo = async |body: Bytes| body;
        let router = Router::new().route("/", post(echo)).layer(middleware::from_fn(unread));
        let parts = stream::iter(["a", "b"].map(Ok::<_, std::io::Error>));
        let answer =
            router.oneshot(Request::post("/").body(Body::from_stream(parts)).unwrap()).await.unwrap();
        assert_eq!(axum::body::to_bytes(answer.into_body(), 10).await.unwrap(), "ab");
    }
}
