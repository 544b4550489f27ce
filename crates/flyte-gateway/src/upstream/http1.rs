//! A connection of HTTP/1.1 to one address of a backend, for one request at a time.

use std::{
    io,
    pin::Pin,
    sync::{Arc, Weak},
    task::{Context, Poll, ready},
};

use bytes::Bytes;
use http::{Request, Response};
use http_body::{Body as _, Frame};
use hyper::{
    body::Incoming,
    client::conn::http1::{self, SendRequest},
};
use hyper_util::rt::TokioIo;
use tokio::{
    io::{AsyncRead, AsyncWrite},
    time::Instant,
};

use super::{
    Outbound, UpstreamError,
    outbound::{Http1Body, Pump},
};

/// The largest head or trailers of an answer.
const MAX_HEAD: usize = super::http2::MAX_HEADER_LIST as usize;
/// The most header fields of an answer.
const MAX_HEADERS: usize = 256;

/// Where a connection goes after its answer.
pub(super) trait Home: Send + Sync {
    /// Takes a connection that can be used again.
    fn give_back(&self, connection: Connection);
    /// A connection is gone.
    fn forget(&self);
}

/// A connection that is in no use.
pub(super) struct Connection {
    requests: SendRequest<Http1Body>,
    #[expect(dead_code, reason = "closes the connection when it is dropped")]
    task: Pump,
    pub(super) used: Instant,
    home: Counted,
}

/// Counts a connection at its home until it is gone.
struct Counted(Weak<dyn Home>);

impl Drop for Counted {
    fn drop(&mut self) {
        if let Some(home) = self.0.upgrade() {
            home.forget();
        }
    }
}

impl std::fmt::Debug for Connection {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Connection").field("used", &self.used).finish_non_exhaustive()
    }
}

impl Connection {
    /// Begins the connection. The `home` has counted it already, and forgets it when it is gone.
    pub(super) async fn open<T>(io: T, home: Weak<dyn Home>) -> Result<Self, io::Error>
    where
        T: AsyncRead + AsyncWrite + Send + Unpin + 'static,
    {
        let home = Counted(home);
        let (requests, connection) = http1::Builder::new()
            .max_headers(MAX_HEADERS)
            .max_header_size(MAX_HEAD)
            .max_buf_size(MAX_HEAD * 2)
            .handshake(TokioIo::new(io))
            .await
            .map_err(io::Error::other)?;
        let task = tokio::spawn(connection).into();
        Ok(Self { requests, task, used: Instant::now(), home })
    }

    /// Whether it cannot be used any more.
    pub(super) fn is_closed(&self) -> bool {
        self.requests.is_closed()
    }

    /// Sends a request and waits for the head of the answer.
    pub(super) async fn send(
        mut self,
        request: Request<()>,
        outbound: &mut Outbound,
    ) -> Result<Response<Answer>, UpstreamError> {
        self.requests.ready().await.map_err(|_| UpstreamError::Refused)?;
        let was_whole = outbound.is_whole();
        let (body, pump) = Http1Body::new(outbound);
        let answer = self.requests.try_send_request(request.map(|()| body)).await;
        let answer = answer.map_err(|mut error| {
            // hyper returns the request if nothing of it was written.
            if error.take_message().is_some() && was_whole {
                UpstreamError::Refused
            } else {
                error_of(error.error())
            }
        })?;
        Ok(answer.map(|body| Answer { body, connection: Some(self), pump }))
    }
}

fn error_of(error: &hyper::Error) -> UpstreamError {
    if error.is_parse() || error.is_parse_status() { UpstreamError::Malformed } else { UpstreamError::Broken }
}

/// The body of an answer. Dropping it before its end closes the connection.
pub(super) struct Answer {
    body: Incoming,
    connection: Option<Connection>,
    #[expect(dead_code, reason = "ends the request when it is dropped")]
    pump: Option<Pump>,
}

impl Drop for Answer {
    fn drop(&mut self) {
        // A server that sends a length is not asked for the end of the body.
        if self.body.is_end_stream() {
            self.finish();
        }
    }
}

impl Answer {
    /// Gives the connection back as soon as it can be used again.
    fn finish(&mut self) {
        let Some(mut connection) = self.connection.take() else { return };
        tokio::spawn(async move {
            if connection.requests.ready().await.is_ok()
                && let Some(home) = connection.home.0.upgrade()
            {
                connection.used = Instant::now();
                home.give_back(connection);
            }
        });
    }
}

impl http_body::Body for Answer {
    type Data = Bytes;
    type Error = UpstreamError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, UpstreamError>>> {
        let frame = ready!(Pin::new(&mut self.body).poll_frame(cx));
        Poll::Ready(match frame {
            Some(Ok(frame)) => Some(Ok(frame)),
            Some(Err(error)) => {
                self.connection = None;
                Some(Err(error_of(&error)))
            }
            None => {
                self.finish();
                None
            }
        })
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> http_body::SizeHint {
        self.body.size_hint()
    }
}

impl std::fmt::Debug for Answer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Answer").field("connection", &self.connection).finish_non_exhaustive()
    }
}

/// Upgrades the trait object.
pub(super) fn home<T: Home + 'static>(home: &Arc<T>) -> Weak<dyn Home> {
    let home: Arc<dyn Home> = Arc::<T>::clone(home);
    Arc::downgrade(&home)
}
