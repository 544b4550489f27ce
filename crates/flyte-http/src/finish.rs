//! What began is finished, also when whoever asked for it hangs up.

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

/// Answers a request in a task of its own. A client that resets its stream, or a time limit, drops the future that answers it,
/// at whatever it waits for: between a change and its audit record, for one. Such a request is worked on to its end, and
/// only the answer is dropped.
///
/// What is not yet read of the request does not come any more then, and whoever reads it fails. To be placed outside of what
/// limits requests at a time, so that work whose client has gone is still counted.
pub async fn finish(request: Request, next: Next) -> Response {
    let (waiting, gone) = oneshot::channel();
    let work = next.run(request.map(|body| while_waited_for(body, gone))).in_current_span();
    let task = match ClientAddr::current() {
        Some(client) => tokio::spawn(client.answer(work)),
        None => tokio::spawn(work),
    };
    match task.await {
        Ok(response) => {
            // What is read while the response is streamed ends with the connection.
            let _ = waiting.send(());
            response
        }
        Err(error) => {
            tracing::error!(%error, "a request was not answered");
            StatusCode::INTERNAL_SERVER_ERROR.into_response()
        }
    }
}

/// The body, which fails once the other end of `gone` was dropped without a word.
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
    async fn who_hangs_up_ends_nothing_that_began() {
        let go_on = Arc::new(Notify::new());
        let handler_goes_on = Arc::clone(&go_on);
        let (told, mut finished) = mpsc::unbounded_channel();
        let handler = async move || {
            told.send(None).unwrap();
            handler_goes_on.notified().await;
            told.send(ClientAddr::current()).unwrap();
        };
        let router = Router::new().route("/", post(handler)).layer(middleware::from_fn(finish));
        let answer = router.oneshot(Request::post("/").body(Body::empty()).unwrap());
        let waiting = tokio::spawn(CLIENT.answer(answer));
        assert_eq!(finished.recv().await, Some(None), "it began");
        waiting.abort();
        assert!(waiting.await.unwrap_err().is_cancelled());
        go_on.notify_one();
        assert_eq!(finished.recv().await, Some(Some(CLIENT)), "and ended, in its client's name");
    }

    #[tokio::test]
    async fn what_is_not_read_when_the_client_hangs_up_does_not_come() {
        let body = || {
            let begun = stream::iter([Ok::<_, BoxError>(Bytes::from("half"))]);
            Body::from_stream(begun.chain(stream::pending()))
        };
        let (waiting, gone) = oneshot::channel();
        let read = tokio::spawn(axum::body::to_bytes(while_waited_for(body(), gone), 100));
        drop(waiting);
        let read = tokio::time::timeout(Duration::from_secs(60), read).await;
        assert!(read.expect("it ends").unwrap().is_err());
        // Answering is not hanging up.
        let (waiting, gone) = oneshot::channel();
        let mut body = while_waited_for(body(), gone).into_data_stream();
        assert_eq!(body.next().await.unwrap().unwrap(), "half");
        waiting.send(()).unwrap();
        assert!(tokio::time::timeout(Duration::from_millis(10), body.next()).await.is_err(), "goes on");
        let whole = while_waited_for(Body::from("a=b"), oneshot::channel().1);
        assert_eq!(axum::body::to_bytes(whole, 100).await.unwrap(), "a=b");
    }
}
