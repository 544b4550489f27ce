//! Why a backend gave no answer.

use std::{io, sync::Arc};

use flyte_protocol::Code;

/// Why a backend gave no answer, or not all of one. The texts are for the caller: they have nothing of what the backend sent.
#[derive(Clone, Debug, thiserror::Error)]
pub enum UpstreamError {
    /// The name of the backend has no address.
    #[error("the backend's address cannot be found; try again later")]
    Resolve(#[source] Arc<io::Error>),
    /// No connection.
    #[error("the backend cannot be reached; try again later")]
    Connect(#[source] Arc<io::Error>),
    /// The connection took too long.
    #[error("the backend did not accept a connection in time; try again later")]
    ConnectTimeout,
    /// The TLS settings or files cannot be used.
    #[error("the connection to the backend is not set up correctly; ask the server's administrator")]
    Tls(#[source] Arc<io::Error>),
    /// All connections are full.
    #[error("the backend has no room for another call; try again later")]
    Full,
    /// The backend has not looked at the request: the connection was closed before, or the stream was refused.
    #[error("the backend did not accept the call; try again later")]
    Refused,
    /// The connection or the stream broke after the request was sent.
    #[error("the connection to the backend broke")]
    Broken,
    /// Something of the answer is not what HTTP allows.
    #[error("the backend's response is malformed")]
    Malformed,
    /// The request ended early: its sender is gone, or it was refused.
    #[error("the request was not sent to its end")]
    RequestEnded,
}

impl UpstreamError {
    /// Whether the backend has surely not begun with the request, so that it may be sent again.
    #[must_use]
    pub fn is_unprocessed(&self) -> bool {
        match self {
            Self::Resolve(_)
            | Self::Connect(_)
            | Self::ConnectTimeout
            | Self::Tls(_)
            | Self::Full
            | Self::Refused => true,
            Self::Broken | Self::Malformed | Self::RequestEnded => false,
        }
    }

    /// Whether it says something bad about the address.
    pub(super) fn is_failure(&self) -> bool {
        matches!(self, Self::Connect(_) | Self::ConnectTimeout | Self::Broken | Self::Malformed)
    }

    /// The code for the caller.
    #[must_use]
    pub fn code(&self) -> Code {
        match self {
            Self::Full => Code::ResourceExhausted,
            Self::Malformed => Code::Internal,
            Self::RequestEnded => Code::Canceled,
            Self::Resolve(_)
            | Self::Connect(_)
            | Self::ConnectTimeout
            | Self::Tls(_)
            | Self::Refused
            | Self::Broken => Code::Unavailable,
        }
    }

    /// From an error of a connection attempt.
    pub(super) fn connect(error: io::Error) -> Self {
        Self::Connect(Arc::new(error))
    }
}

/// From the error of a stream.
impl From<h2::Error> for UpstreamError {
    fn from(error: h2::Error) -> Self {
        // RFC 9113 sections 6.8 and 8.7: a stream above the last one of GOAWAY, and a refused one, were not processed.
        let unprocessed = error.is_remote()
            && (error.is_go_away()
                || (error.is_reset() && error.reason() == Some(h2::Reason::REFUSED_STREAM)));
        if unprocessed {
            Self::Refused
        } else if error.is_library() {
            Self::Malformed
        } else {
            Self::Broken
        }
    }
}
