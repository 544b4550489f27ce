//! A connection of HTTP/2 to one address of a backend.
//!
//! This uses `h2`, which hyper uses as well, because it says how many streams the backend allows, and because dropping a stream
//! resets it even if a write waits for the backend.

use std::{
    future::poll_fn,
    io,
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    task::{Context, Poll, ready},
    time::Duration,
};

use bytes::Bytes;
use h2::{Ping, PingPong, RecvStream, SendStream, client::SendRequest};
use http::{Request, Response};
use http_body::Frame;
use tokio::{
    io::{AsyncRead, AsyncWrite},
    sync::{Notify, oneshot},
    time::{Instant, sleep_until, timeout},
};

use super::{
    Outbound, UpstreamError,
    outbound::{Pump, pump_http2},
    sniff::{FirstByte, Sniffed},
};

/// The most streams of one connection, whatever the backend allows.
const MAX_STREAMS: u32 = 256;
/// The most cancelled streams that are remembered, so that what is on its way for them is ignored.
const MAX_RESET_STREAMS: usize = 1024;
/// How much of an answer the backend may send before the caller reads it.
const STREAM_WINDOW: u32 = 128 << 10;
/// The same for all streams of the connection: one slow reader must not hold up the others.
const CONNECTION_WINDOW: u32 = STREAM_WINDOW * MAX_STREAMS;
/// The largest head and trailers of an answer. Details of errors are in the trailers.
pub(super) const MAX_HEADER_LIST: u32 = 256 << 10;

/// How a connection is watched.
#[derive(Clone, Copy, Debug)]
pub(super) struct KeepAlive {
    /// How often a connection with open streams is checked.
    pub(super) interval: Duration,
    /// How long the answer may take.
    pub(super) timeout: Duration,
    /// How long a connection without streams is kept.
    pub(super) idle: Duration,
}

/// A connection.
#[derive(Debug)]
pub(super) struct Connection {
    requests: SendRequest<Bytes>,
    shared: Arc<Shared>,
}

#[derive(Debug, Default)]
struct Shared {
    /// The streams that are open.
    streams: AtomicUsize,
    /// Whether the connection takes no more streams.
    is_closed: AtomicBool,
    /// Notified when the first stream is opened after a pause.
    is_used: Notify,
}

/// Why a connection was not begun.
#[derive(Debug)]
pub(super) enum NotBegun {
    /// The other side answered in HTTP/1.
    Http1,
    /// The connection broke.
    Broken(io::Error),
}

impl NotBegun {
    fn of(error: h2::Error, first: &FirstByte) -> Self {
        if first.is_of_http1() {
            return Self::Http1;
        }
        Self::Broken(error.into_io().unwrap_or_else(|| io::ErrorKind::ConnectionAborted.into()))
    }
}

impl From<NotBegun> for UpstreamError {
    fn from(error: NotBegun) -> Self {
        Self::connect(match error {
            NotBegun::Http1 => io::Error::other("the backend does not speak HTTP/2"),
            NotBegun::Broken(error) => error,
        })
    }
}

impl Connection {
    /// Begins the connection, and waits until the other side has proved that it speaks HTTP/2: its settings are known then.
    ///
    /// # Errors
    /// [`NotBegun`].
    pub(super) async fn open<T>(io: T, keep_alive: KeepAlive) -> Result<Self, NotBegun>
    where
        T: AsyncRead + AsyncWrite + Send + Unpin + 'static,
    {
        let (io, first) = Sniffed::new(io);
        let (requests, mut connection) = h2::client::Builder::new()
            .enable_push(false)
            .initial_window_size(STREAM_WINDOW)
            .initial_connection_window_size(CONNECTION_WINDOW)
            .max_header_list_size(MAX_HEADER_LIST)
            .initial_max_send_streams(MAX_STREAMS as usize)
            // Cancelled calls are ours to count: frames that are still on their way for them are no fault of the backend.
            .max_concurrent_reset_streams(MAX_RESET_STREAMS)
            .max_local_error_reset_streams(None)
            .handshake(io)
            .await
            .map_err(|error| NotBegun::of(error, &first))?;
        let pings = connection.ping_pong();
        let shared = Arc::<Shared>::default();
        let (proved, proof) = oneshot::channel();
        let ends = Arc::clone(&shared);
        tokio::spawn(async move {
            let mut proved = Some(proved);
            let watch = watch(pings, Arc::clone(&ends), keep_alive, &mut proved);
            let end = tokio::select! {
                end = poll_fn(|cx| Pin::new(&mut connection).poll(cx)) => end,
                why = watch => {
                    tracing::debug!(why, "a connection to a backend is closed");
                    Ok(())
                }
            };
            ends.is_closed.store(true, Ordering::SeqCst);
            let error = match end {
                Ok(()) => h2::Reason::NO_ERROR.into(),
                Err(error) => error,
            };
            tracing::debug!(%error, "a connection to a backend has ended");
            if let Some(proved) = proved {
                // Without a receiver, the attempt took too long.
                let _ = proved.send(Err(NotBegun::of(error, &first)));
            }
            // Dropping the connection ends its streams with an error.
        });
        match proof.await {
            Ok(Ok(())) => Ok(Self { requests, shared }),
            Ok(Err(error)) => Err(error),
            Err(_) => Err(NotBegun::Broken(io::ErrorKind::ConnectionAborted.into())),
        }
    }

    /// Reserves a stream, if there is room for one.
    pub(super) fn reserve(&self) -> Option<Slot> {
        if self.is_closed() {
            return None;
        }
        let most = self.requests.current_max_send_streams().min(MAX_STREAMS as usize);
        let streams = &self.shared.streams;
        streams
            .fetch_update(Ordering::SeqCst, Ordering::SeqCst, |open| (open < most).then_some(open + 1))
            .inspect(|open| {
                if *open == 0 {
                    self.shared.is_used.notify_one();
                }
            })
            .ok()?;
        let reserved = Reserved(Arc::clone(&self.shared));
        // It may have been closed for having no streams meanwhile.
        (!self.is_closed()).then(|| Slot { requests: self.requests.clone(), reserved })
    }

    /// Whether it takes no more streams.
    pub(super) fn is_closed(&self) -> bool {
        self.shared.is_closed.load(Ordering::SeqCst)
    }
}

/// Waits until the connection must be closed: no answer to a ping, or no streams for a while.
async fn watch(
    pings: Option<PingPong>,
    shared: Arc<Shared>,
    keep_alive: KeepAlive,
    proved: &mut Option<oneshot::Sender<Result<(), NotBegun>>>,
) -> &'static str {
    let Some(mut pings) = pings else { return "no pings" };
    // The caller of `open` has a time limit.
    if pings.ping(Ping::opaque()).await.is_err() {
        // The connection says why.
        std::future::pending::<()>().await;
    }
    if proved.take().is_none_or(|proved| proved.send(Ok(())).is_err()) {
        return "the attempt took too long";
    }
    let has_streams = || shared.streams.load(Ordering::SeqCst) > 0;
    let mut used = Instant::now();
    let mut pinged = Instant::now();
    loop {
        // The backend may have gone during a pause, and then the next call must not wait for the whole interval.
        tokio::select! {
            () = shared.is_used.notified() => {
                used = Instant::now();
                sleep_until(pinged + keep_alive.timeout).await;
            }
            () = sleep_until(pinged + keep_alive.interval) => {}
        }
        pinged = Instant::now();
        if has_streams() {
            used = pinged;
            match timeout(keep_alive.timeout, pings.ping(Ping::opaque())).await {
                Ok(Ok(_)) => {}
                Ok(Err(_)) | Err(_) => return "no answer to a ping",
            }
        } else if used.elapsed() >= keep_alive.idle {
            shared.is_closed.store(true, Ordering::SeqCst);
            // A call may have reserved a stream just before.
            if !has_streams() {
                return "no streams";
            }
            shared.is_closed.store(false, Ordering::SeqCst);
        }
    }
}

/// A reserved stream of a connection.
pub(super) struct Slot {
    requests: SendRequest<Bytes>,
    reserved: Reserved,
}

/// Counts a stream until it is dropped.
#[derive(Debug)]
struct Reserved(Arc<Shared>);

impl Drop for Reserved {
    fn drop(&mut self) {
        self.0.streams.fetch_sub(1, Ordering::SeqCst);
    }
}

impl Slot {
    /// Sends a request and waits for the head of the answer.
    pub(super) async fn send(
        self,
        request: Request<()>,
        outbound: &mut Outbound,
    ) -> Result<Response<Answer>, UpstreamError> {
        let Self { requests, reserved } = self;
        let refused = |shared: &Shared| {
            shared.is_closed.store(true, Ordering::SeqCst);
            UpstreamError::Refused
        };
        // The connection may have been closed since; the backend then knows nothing of this request.
        let mut requests = requests.ready().await.map_err(|_| refused(&reserved.0))?;
        let is_empty = outbound.first.is_empty() && outbound.is_whole();
        let (answer, stream) = requests.send_request(request, is_empty).map_err(|_| refused(&reserved.0))?;
        // The stream is reset if anything below is dropped.
        let mut stream = Reset { stream: Some(stream), pump: None, reserved };
        if !outbound.first.is_empty()
            && let Some(body) = &mut stream.stream
        {
            body.send_data(outbound.first.clone(), outbound.is_whole())?;
        }
        if let Some(chunks) = outbound.take_rest()
            && let Some(body) = stream.stream.take()
        {
            stream.pump = Some(tokio::spawn(pump_http2(chunks, body)).into());
        }
        let answer = match answer.await {
            Ok(answer) => answer,
            Err(error) => {
                let error = UpstreamError::from(error);
                if error.is_unprocessed() {
                    stream.reserved.0.is_closed.store(true, Ordering::SeqCst);
                }
                return Err(error);
            }
        };
        Ok(answer.map(|body| Answer { body, stream, state: State::Data }))
    }
}

/// The sending side of a stream. Dropping it resets the stream if it has not ended.
#[derive(Debug)]
struct Reset {
    /// `None` if the pump has it.
    stream: Option<SendStream<Bytes>>,
    pump: Option<Pump>,
    reserved: Reserved,
}

impl Drop for Reset {
    fn drop(&mut self) {
        if let Some(stream) = &mut self.stream {
            // Nothing is sent if the stream has ended on both sides.
            stream.send_reset(h2::Reason::CANCEL);
        }
    }
}

#[derive(Debug, PartialEq, Eq)]
enum State {
    Data,
    Trailers,
    Done,
}

/// The body of an answer.
#[derive(Debug)]
pub(super) struct Answer {
    body: RecvStream,
    #[expect(dead_code, reason = "resets the stream when it is dropped")]
    stream: Reset,
    state: State,
}

impl http_body::Body for Answer {
    type Data = Bytes;
    type Error = UpstreamError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, UpstreamError>>> {
        if self.state == State::Data {
            match ready!(self.body.poll_data(cx)) {
                Some(Ok(data)) => {
                    // The caller asks for a frame when it has room for one.
                    let _ = self.body.flow_control().release_capacity(data.len());
                    return Poll::Ready(Some(Ok(Frame::data(data))));
                }
                Some(Err(error)) => {
                    self.state = State::Done;
                    return Poll::Ready(Some(Err(error.into())));
                }
                None => self.state = State::Trailers,
            }
        }
        if self.state == State::Done {
            return Poll::Ready(None);
        }
        let trailers = ready!(self.body.poll_trailers(cx));
        self.state = State::Done;
        Poll::Ready(match trailers {
            Ok(Some(trailers)) => Some(Ok(Frame::trailers(trailers))),
            Ok(None) => None,
            Err(error) => Some(Err(error.into())),
        })
    }

    fn is_end_stream(&self) -> bool {
        self.state == State::Done || (self.state == State::Data && self.body.is_end_stream())
    }
}
