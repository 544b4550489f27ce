//! Finishes requests whose client has gone away.

use axum::{
    BoxError,
    body::{Body, HttpBody as _},
    extract::Request,
    http::StatusCode,
    middleware::Next,
    response::{IntoResponse as _, Response},
};
use futures_util::{StreamExt as _, stream};
use tokio::sync::oneshot;
use tracing::Instrument as _;

use flyte_model::ClientAddr;

/// Handles a request in its own task. If a client resets its stream, or a time limit passes, the future of the response
/// is dropped at any point where it waits: for example between a change and its audit record. With this layer, the
/// request is handled to its end, and only the response is dropped.
///
/// Parts of the request that were not read yet no longer arrive, and reading them fails. Place this layer outside the
/// limit of concurrent requests, so that a request whose client has gone still counts.
pub async fn finish(request: Request, next: Next) -> Response {
    let (waiting, gone) = oneshot::channel();
    let work = next.run(request.map(|body| while_waited_for(body, gone))).in_current_span();
    let task = match ClientAddr::current() {
        Some(client) => tokio::spawn(client.answer(work)),
        None => tokio::spawn(work),
    };
    match task.await {
        Ok(response) => {
            // Reading while the response is streamed ends with the connection.
            let _ = waiting.send(());
            response
        }
        Err(error) => {
            tracing::error!(%error, "a request got no response");
            StatusCode::INTERNAL_SERVER_ERROR.into_response()
        }
    }
}

/// Returns the body. It fails when the other end of `gone` is dropped without a message.
fn while_waited_for(body: Body, gone: oneshot::Receiver<()>) -> Body {
    if body.is_end_stream() {
        return body;
    }
    Body::from_stream(stream::unfold(Some((body.into_data_stream(), Some(gone))), |rest| async move {
        let (mut rest, mut gone) = rest?;
        if let Some(waiting) = &mut gone {
            tokio::select! {
                biased;
                chunk = rest.next() => return Some((chunk?.map_err(BoxError::from), Some((rest, gone)))),
                end = waiting => {
                    if end.is_err() {
                        return Some((Err("the client has gone".into()), None));
                    }
                }
            }
        }
        let chunk = rest.next().await?;
        Some((chunk.map_err(BoxError::from), Some((rest, None))))
    }))
}

#[cfg(test)]
mod tests {
    use std::{sync::Arc, time::Duration};

    use axum::{Router, body::Bytes, middleware, routing::post};
    use tokio::sync::{Notify, mpsc};
    use tower::ServiceExt as _;

    use super::*;

    const CLIENT: ClientAddr = ClientAddr(std::net::IpAddr::V4(std::net::Ipv4Addr::LOCALHOST));

    #[tokio::test]
    async fn a_request_whose_client_has_gone_is_finished() {
        let resume = Arc::new(Notify::new());
        let handler_resumes = Arc::clone(&resume);
        let (told, mut finished) = mpsc::unbounded_channel();
        let handler = async move || {
            told.send(None).unwrap();
            handler_resumes.notified().await;
            told.send(ClientAddr::current()).unwrap();
        };
        let router = Router::new().route("/", post(handler)).layer(middleware::from_fn(finish));
        let answer = router.oneshot(Request::post("/").body(Body::empty()).unwrap());
        let waiting = tokio::spawn(CLIENT.answer(answer));
        assert_eq!(finished.recv().await, Some(None), "the request began");
        waiting.abort();
        assert!(waiting.await.unwrap_err().is_cancelled());
        resume.notify_one();
        assert_eq!(finished.recv().await, Some(Some(CLIENT)), "the request ended, with its client");
    }

    #[tokio::test]
    async fn reading_fails_after_the_client_has_gone() {
        let body = || {
            let begun = stream::iter([Ok::<_, BoxError>(Bytes::from("half"))]);
            Body::from_stream(begun.chain(stream::pending()))
        };
        let (waiting, gone) = oneshot::channel();
        let read = tokio::spawn(axum::body::to_bytes(while_waited_for(body(), gone), 100));
        drop(waiting);
        let read = tokio::time::timeout(Duration::from_secs(60), read).await;
        assert!(read.expect("it ends").unwrap().is_err());
        // A finished response does not mean that the client has gone.
        let (waiting, gone) = oneshot::channel();
        let mut body = while_waited_for(body(), gone).into_data_stream();
        assert_eq!(body.next().await.unwrap().unwrap(), "half");
        waiting.send(()).unwrap();
        assert!(
            tokio::time::timeout(Duration::from_millis(10), body.next()).await.is_err(),
            "the body can still be read"
        );
        let whole = while_waited_for(Body::from("a=b"), oneshot::channel().1);
        assert_eq!(axum::body::to_bytes(whole, 100).await.unwrap(), "a=b");
    }
}
