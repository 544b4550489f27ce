//! No more connections than the configuration allows, and none that says nothing.
//!
//! Further connections wait for a while to be accepted. On a new one, hyper first tells HTTP/1 and HTTP/2 apart by the
//! first bytes, and would wait for those forever; its time limits begin after that.

use std::{
    future::Future,
    io,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};

use axum_server::accept::Accept;
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    sync::{OwnedSemaphorePermit, Semaphore},
    time::{Sleep, sleep, timeout},
};

/// By so many bytes it is clear what is spoken (RFC 9113 section 3.4).
const PREFACE: usize = 24;

/// Accepts as `inner` does, a limited number of connections at a time.
#[derive(Clone, Debug)]
pub(super) struct LimitedAcceptor<A> {
    inner: A,
    places: Arc<Semaphore>,
    patience: Duration,
}

impl<A> LimitedAcceptor<A> {
    /// `patience` is how long a connection may take for its first bytes, and half as long as it may wait for its place.
    pub(super) fn new(inner: A, most: usize, patience: Duration) -> Self {
        Self { inner, places: Arc::new(Semaphore::new(most)), patience }
    }
}

impl<A, I, S> Accept<I, S> for LimitedAcceptor<A>
where
    A: Accept<I, S> + Clone + Send + 'static,
    A::Future: Send,
    A::Stream: Send,
    A::Service: Send,
    I: Send + 'static,
    S: Send + 'static,
{
    type Stream = Counted<A::Stream>;
    type Service = A::Service;
    type Future = Pin<Box<dyn Future<Output = io::Result<(Self::Stream, Self::Service)>> + Send>>;

    fn accept(&self, stream: I, service: S) -> Self::Future {
        let (inner, places, patience) = (self.inner.clone(), Arc::clone(&self.places), self.patience);
        Box::pin(async move {
            // Longer than those that say nothing keep their places.
            let place = timeout(2 * patience, places.acquire_owned()).await?.map_err(io::Error::other)?;
            let (stream, service) = inner.accept(stream, service).await?;
            let silence = Some(Silence { end: Box::pin(sleep(patience)), read: 0 });
            Ok((Counted { stream, silence, _place: place }, service))
        })
    }
}

/// A connection that gives its place back when it ends.
#[derive(Debug)]
pub(super) struct Counted<S> {
    stream: S,
    /// As long as it is not clear what is spoken.
    silence: Option<Silence>,
    _place: OwnedSemaphorePermit,
}

#[derive(Debug)]
struct Silence {
    end: Pin<Box<Sleep>>,
    read: usize,
}

impl<S: AsyncRead + Unpin> AsyncRead for Counted<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        let outcome = Pin::new(&mut self.stream).poll_read(context, buffer);
        if let Some(silence) = &mut self.silence {
            silence.read += buffer.filled().len() - before;
            if silence.read >= PREFACE {
                self.silence = None;
            } else if outcome.is_pending() && silence.end.as_mut().poll(context).is_ready() {
                return Poll::Ready(Err(io::ErrorKind::TimedOut.into()));
            }
        }
        outcome
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Counted<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(context, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write_vectored(context, bytes)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }
}
