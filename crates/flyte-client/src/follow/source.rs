//! A stream that can be opened again.

use std::time::Duration;

use futures_util::future::LocalBoxFuture;
use tokio::time::Instant;

use crate::error::ClientError;

/// A stream in one of its states. A server may answer only with the first message of a stream, so opening a stream must not block
/// other work.
pub(super) enum Source<S> {
    /// Closed, and not to be opened before this time.
    Closed(Instant),
    Opening(LocalBoxFuture<'static, Result<S, ClientError>>),
    Open(S),
}

impl<S> Source<S> {
    /// A closed stream that may be opened now.
    pub(super) fn new() -> Self {
        Self::Closed(Instant::now())
    }

    /// A closed stream that may be opened after a pause.
    pub(super) fn closed_for(pause: Duration) -> Self {
        Self::Closed(Instant::now() + pause)
    }

    /// Whether the stream is closed and may be opened now.
    pub(super) fn is_to_open(&self) -> bool {
        matches!(self, Self::Closed(at) if *at <= Instant::now())
    }

    /// Starts to open the stream.
    pub(super) fn open(&mut self, call: impl Future<Output = Result<S, ClientError>> + 'static) {
        *self = Self::Opening(Box::pin(call));
    }

    /// Waits until the stream is open. Waits forever if it is closed. This method is cancel safe.
    pub(super) async fn ready(&mut self) -> Result<&mut S, ClientError> {
        match self {
            Self::Closed(_) => std::future::pending().await,
            Self::Opening(call) => *self = Self::Open(call.await?),
            Self::Open(_) => {}
        }
        match self {
            Self::Open(stream) => Ok(stream),
            _ => std::future::pending().await,
        }
    }
}
