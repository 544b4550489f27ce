//! The body of a request on its way to a backend.

use std::{
    pin::Pin,
    task::{Context, Poll},
};

use bytes::Bytes;
use futures_util::{Stream, StreamExt as _, future::poll_fn};
use http_body::Frame;
use tokio::{
    sync::mpsc,
    task::{AbortHandle, JoinHandle},
};

/// The judged and framed messages of a request, as they come. An error ends the request at the backend.
pub(crate) type Chunks = Pin<Box<dyn Stream<Item = Result<Bytes, RequestEnded>> + Send>>;

/// The request will not be complete: its sender is gone, or a message was refused.
#[derive(Clone, Copy, Debug, thiserror::Error)]
#[error("the request ended early")]
pub(crate) struct RequestEnded;

/// The body of a request: what there is of it at the start, and what follows.
pub(crate) struct Outbound {
    /// The first message, framed; empty if there is none.
    pub(crate) first: Bytes,
    /// `None` if the request is complete.
    pub(crate) rest: Rest,
}

/// What follows the first message.
pub(crate) enum Rest {
    /// Nothing.
    None,
    /// Something, perhaps.
    Some(Chunks),
    /// It has been sent, so that the request cannot be sent again.
    Taken,
}

impl Outbound {
    /// A request that is complete.
    pub(crate) fn whole(bytes: Bytes) -> Self {
        Self { first: bytes, rest: Rest::None }
    }

    pub(super) fn is_whole(&self) -> bool {
        matches!(self.rest, Rest::None)
    }

    /// Whether it can be sent again.
    pub(super) fn is_replayable(&self) -> bool {
        !matches!(self.rest, Rest::Taken)
    }

    /// Takes what follows.
    pub(super) fn take_rest(&mut self) -> Option<Chunks> {
        if self.is_whole() {
            return None;
        }
        match std::mem::replace(&mut self.rest, Rest::Taken) {
            Rest::Some(chunks) => Some(chunks),
            Rest::None | Rest::Taken => None,
        }
    }
}

/// A task that ends when this is dropped.
#[derive(Debug)]
pub(super) struct Pump(AbortHandle);

impl<T> From<JoinHandle<T>> for Pump {
    fn from(task: JoinHandle<T>) -> Self {
        Self(task.abort_handle())
    }
}

impl Drop for Pump {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// Sends `chunks` on a stream of HTTP/2. The next chunk is read only when the backend has room for it.
pub(super) async fn pump_http2(mut chunks: Chunks, mut stream: h2::SendStream<Bytes>) {
    loop {
        // One byte of room is enough to continue: what is beyond the window is one message.
        stream.reserve_capacity(1);
        let room = poll_fn(|cx| {
            if stream.poll_reset(cx).is_ready() {
                return Poll::Ready(false);
            }
            if stream.capacity() > 0 {
                return Poll::Ready(true);
            }
            stream.poll_capacity(cx).map(|room| matches!(room, Some(Ok(_))))
        });
        if !room.await {
            return;
        }
        if stream.capacity() == 0 {
            continue;
        }
        // A reservation without data would keep other streams from sending.
        stream.reserve_capacity(0);
        let chunk = {
            let reset = poll_fn(|cx| stream.poll_reset(cx));
            tokio::select! {
                chunk = chunks.next() => chunk,
                _ = reset => return,
            }
        };
        match chunk {
            Some(Ok(chunk)) => {
                if stream.send_data(chunk, false).is_err() {
                    return;
                }
            }
            Some(Err(RequestEnded)) => return stream.send_reset(h2::Reason::CANCEL),
            None => {
                // If this fails, the answer says why.
                let _ = stream.send_data(Bytes::new(), true);
                return;
            }
        }
    }
}

/// The body of a request of HTTP/1.
pub(super) struct Http1Body {
    first: Option<Bytes>,
    /// The chunks, and then `None`. If the channel closes without that, the request is not complete.
    rest: Option<mpsc::Receiver<Option<Bytes>>>,
}

impl Http1Body {
    /// The body, and the task that reads what follows the first message.
    pub(super) fn new(outbound: &mut Outbound) -> (Self, Option<Pump>) {
        let first = Some(outbound.first.clone()).filter(|first| !first.is_empty());
        let Some(mut chunks) = outbound.take_rest() else { return (Self { first, rest: None }, None) };
        let (sender, receiver) = mpsc::channel(1);
        let task = tokio::spawn(async move {
            while let Ok(room) = sender.reserve().await {
                match chunks.next().await {
                    Some(Ok(chunk)) => room.send(Some(chunk)),
                    Some(Err(RequestEnded)) => return,
                    None => return room.send(None),
                }
            }
        });
        (Self { first, rest: Some(receiver) }, Some(task.into()))
    }
}

impl http_body::Body for Http1Body {
    type Data = Bytes;
    type Error = RequestEnded;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, RequestEnded>>> {
        if let Some(first) = self.first.take() {
            return Poll::Ready(Some(Ok(Frame::data(first))));
        }
        let Some(rest) = &mut self.rest else { return Poll::Ready(None) };
        rest.poll_recv(cx).map(|chunk| match chunk {
            Some(Some(chunk)) => Some(Ok(Frame::data(chunk))),
            Some(None) => {
                self.rest = None;
                None
            }
            None => Some(Err(RequestEnded)),
        })
    }

    fn is_end_stream(&self) -> bool {
        self.first.is_none() && self.rest.is_none()
    }

    fn size_hint(&self) -> http_body::SizeHint {
        match &self.rest {
            None => http_body::SizeHint::with_exact(self.first.as_ref().map_or(0, Bytes::len) as u64),
            Some(_) => http_body::SizeHint::default(),
        }
    }
}
