//! Bodies that end with the rights of their caller, whatever they are made of.

use std::{
    convert::Infallible,
    io,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
};

use axum::{
    Error,
    body::{Body, Bytes, HttpBody},
};
use futures_util::{
    FutureExt as _,
    future::{self, BoxFuture},
};
use http_body::{Frame, SizeHint};
use tokio::sync::oneshot;

use flyte_access::{Caller, OpenStream};
use flyte_model::{Stopping, clock::Clock};

/// A body that fails as soon as its caller may not continue, so that the connection is closed and the rest is missing.
pub(super) struct Guarded {
    body: Body,
    /// What ends it early.
    end: BoxFuture<'static, String>,
    caller: Arc<Caller>,
    clock: Clock,
}

/// While this is there, a request may continue.
pub(super) struct Going(
    #[expect(dead_code, reason = "it is there to be dropped")] oneshot::Sender<Infallible>,
);

impl Guarded {
    /// The body of a request, which ends with its answer: an answer that is complete does not end an upload by itself.
    pub(super) fn request(body: Body, caller: &Arc<Caller>, clock: &Clock) -> (Self, Going) {
        let (going, gone) = oneshot::channel();
        let end = gone.map(|_| "the answer has ended".to_owned()).boxed();
        (Self { body, end, caller: Arc::clone(caller), clock: clock.clone() }, Going(going))
    }

    /// The body of an answer, which ends when the stream must end; and when the server stops, if that is given.
    pub(super) fn answer(
        body: Body,
        (mut open, going): (OpenStream, Going),
        stopping: Option<Stopping>,
        caller: &Arc<Caller>,
        clock: &Clock,
    ) -> Self {
        let end = async move {
            let _going = going;
            let stopped = async {
                match &stopping {
                    Some(stopping) => stopping.stopped().await,
                    None => future::pending().await,
                }
            };
            tokio::select! {
                biased;
                why = open.ended() => why.to_string(),
                () = stopped => "the server stops".to_owned(),
            }
        };
        Self { body, end: end.boxed(), caller: Arc::clone(caller), clock: clock.clone() }
    }
}

impl HttpBody for Guarded {
    type Data = Bytes;
    type Error = Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Error>>> {
        // No data may follow the end of the token, even if the end has not been noticed yet.
        let end = if self.caller.expires_at <= self.clock.now() {
            Poll::Ready("the token has expired".to_owned())
        } else {
            self.end.poll_unpin(cx)
        };
        let Poll::Ready(why) = end else { return Pin::new(&mut self.body).poll_frame(cx) };
        // Nothing follows, and nothing is held any longer.
        self.body = Body::empty();
        self.end = future::pending().boxed();
        Poll::Ready(Some(Err(Error::new(io::Error::other(why)))))
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}
