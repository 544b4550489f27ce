//! A stream that is opened, read, and opened again.

use std::time::Duration;

use futures_util::future::LocalBoxFuture;
use tokio::time::Instant;

use crate::error::ClientError;

/// A stream in one of its states. A server may leave a stream without an answer until there is a first message, so that opening
/// one is waited for beside everything else.
pub(super) enum Source<S> {
    /// Not open, and not to be opened before this time.
    Closed(Instant),
    Opening(LocalBoxFuture<'static, Result<S, ClientError>>),
    Open(S),
}

impl<S> Source<S> {
    /// One that can be opened now.
    pub(super) fn new() -> Self {
        Self::Closed(Instant::now())
    }

    /// One that is left alone for a while.
    pub(super) fn closed_for(pause: Duration) -> Self {
        Self::Closed(Instant::now() + pause)
    }

    /// Whether it is to be opened now.
    pub(super) fn is_to_open(&self) -> bool {
        matches!(self, Self::Closed(at) if *at <= Instant::now())
    }

    /// Begins to open it.
    pub(super) fn open(&mut self, call: impl Future<Output = Result<S, ClientError>> + 'static) {
        *self = Self::Opening(Box::pin(call));
    }

    /// The stream once it is open; never as long as it is closed. Nothing is lost if this is not waited for to its end.
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
