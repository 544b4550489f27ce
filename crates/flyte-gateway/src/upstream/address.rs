//! One address of a backend: its connections, and whether it works.

use std::{
    fmt,
    net::SocketAddr,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use futures_util::{
    FutureExt as _,
    future::{BoxFuture, Shared},
};
use http::{HeaderValue, Method, Request, Response, header};
use tokio::time::{Instant, timeout};

use super::{
    Outbound, UpstreamError,
    answer::Answer,
    dial::{self, Stream},
    http1,
    http2::{self, NotBegun},
};
use crate::options::{HttpVersion, UpstreamOptions};

/// How much longer an address that fails again gets no calls, at most.
const MAX_EJECTIONS: u32 = 30;

/// An address. Connections and streams keep it, also if the name of the backend no longer has it.
#[derive(Debug)]
pub(super) struct Address {
    pub(super) address: SocketAddr,
    options: Arc<UpstreamOptions>,
    state: Mutex<State>,
    /// The calls that it answers.
    calls: AtomicUsize,
}

/// A connection attempt that several calls wait for.
type Attempt = Shared<BoxFuture<'static, Result<(), UpstreamError>>>;

#[derive(Default)]
struct State {
    http2: Vec<http2::Connection>,
    /// The connections of HTTP/1 that are in no use.
    idle: Vec<http1::Connection>,
    /// All connections of HTTP/1.
    http1: usize,
    attempt: Option<Attempt>,
    /// What the address was found to speak.
    speaks: Option<Speaks>,
    failures: u32,
    ejections: u32,
    ejected_until: Option<Instant>,
    is_unhealthy: bool,
    /// Whether a health check has passed.
    was_healthy: bool,
}

impl fmt::Debug for State {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("State")
            .field("http2", &self.http2.len())
            .field("http1", &self.http1)
            .field("failures", &self.failures)
            .field("ejected_until", &self.ejected_until)
            .field("is_unhealthy", &self.is_unhealthy)
            .finish_non_exhaustive()
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Speaks {
    Http1,
    Http2,
}

/// A connection with room for a request.
enum Ready {
    Http1(Box<http1::Connection>),
    Http2(http2::Slot),
}

/// Counts a call until it is dropped.
#[derive(Debug)]
pub(super) struct Call(Arc<Address>);

impl Call {
    /// Notes that the answer broke.
    pub(super) fn note_failure(&self) {
        self.0.note(true);
    }
}

impl Drop for Call {
    fn drop(&mut self) {
        self.0.calls.fetch_sub(1, Ordering::SeqCst);
    }
}

impl Address {
    pub(super) fn new(address: SocketAddr, options: Arc<UpstreamOptions>) -> Self {
        let speaks = match options.http {
            HttpVersion::Auto => None,
            HttpVersion::Http1 => Some(Speaks::Http1),
            HttpVersion::Http2 => Some(Speaks::Http2),
        };
        let state = Mutex::new(State { speaks, ..State::default() });
        Self { address, options, state, calls: AtomicUsize::new(0) }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The calls that it answers now.
    pub(super) fn load(&self) -> usize {
        self.calls.load(Ordering::SeqCst)
    }

    /// Whether it should get calls.
    pub(super) fn is_available(&self, now: Instant) -> bool {
        let state = self.state();
        !state.is_unhealthy && state.ejected_until.is_none_or(|until| until <= now)
    }

    /// Whether it is known to work: it has passed a health check, and should get calls.
    pub(super) fn is_reachable(&self, now: Instant) -> bool {
        self.state().was_healthy && self.is_available(now)
    }

    /// Notes how a call ended.
    pub(super) fn note(&self, is_failure: bool) {
        let mut state = self.state();
        if !is_failure {
            state.failures = 0;
            state.ejections = 0;
            state.ejected_until = None;
            return;
        }
        state.failures = state.failures.saturating_add(1);
        if self.options.http == HttpVersion::Auto {
            // Perhaps something else listens there now.
            state.speaks = None;
        }
        let now = Instant::now();
        // After its time, one failure is enough to eject it again.
        if state.failures >= self.options.eject_after && state.ejected_until.is_none_or(|until| until <= now)
        {
            state.ejections = state.ejections.saturating_add(1).min(MAX_EJECTIONS);
            state.ejected_until = Some(now + self.options.eject_for * state.ejections);
            tracing::warn!(
                backend = self.options.name, address = %self.address, failures = state.failures,
                "an address of a backend fails: it gets no calls for a while"
            );
        }
    }

    /// Notes the result of a health check.
    pub(super) fn note_health(&self, is_healthy: bool) {
        let mut state = self.state();
        let was = std::mem::replace(&mut state.is_unhealthy, !is_healthy);
        state.was_healthy |= is_healthy;
        drop(state);
        if was == is_healthy {
            let (backend, address) = (&self.options.name, self.address);
            tracing::info!(backend, %address, is_healthy, "the health of an address of a backend has changed");
        }
        if is_healthy {
            self.note(false);
        }
    }

    /// Closes what is not needed any more.
    pub(super) fn tidy(&self) {
        let mut state = self.state();
        state.http2.retain(|connection| !connection.is_closed());
        let oldest = Instant::now().checked_sub(self.options.idle_timeout);
        // A connection calls its home when it is dropped, so it must not be dropped under the lock.
        let (kept, closed): (Vec<_>, Vec<_>) = std::mem::take(&mut state.idle)
            .into_iter()
            .partition(|one| !one.is_closed() && oldest.is_none_or(|oldest| one.used > oldest));
        state.idle = kept;
        drop(state);
        drop(closed);
    }

    /// Sends a request and waits for the head of the answer.
    pub(super) async fn send(
        self: Arc<Self>,
        mut request: Request<()>,
        outbound: &mut Outbound,
    ) -> Result<Response<Answer>, UpstreamError> {
        self.calls.fetch_add(1, Ordering::SeqCst);
        let call = Call(Arc::clone(&self));
        if outbound.is_whole() && request.method() == Method::POST {
            request.headers_mut().insert(header::CONTENT_LENGTH, outbound.first.len().into());
        }
        let room = self.state().http2.iter().find_map(http2::Connection::reserve);
        let ready = match room {
            Some(slot) => Ready::Http2(slot),
            None => Box::pin(self.connection()).await?,
        };
        let answer = match ready {
            Ready::Http2(slot) => slot.send(request, outbound).await?.map(|body| Answer::http2(body, call)),
            Ready::Http1(connection) => {
                let answer = Box::pin(connection.send(to_origin_form(request), outbound)).await?;
                answer.map(|body| Answer::http1(body, call))
            }
        };
        Ok(answer)
    }

    /// A connection with room for a request; a new one if needed.
    async fn connection(self: &Arc<Self>) -> Result<Ready, UpstreamError> {
        // Each attempt can fill up before this call gets a stream, but a backend that closes every connection must not be asked
        // for ever.
        for _ in 0..=self.options.max_connections {
            let attempt = {
                let mut state = self.state();
                if let Some(slot) = state.http2.iter().find_map(http2::Connection::reserve) {
                    return Ok(Ready::Http2(slot));
                }
                state.http2.retain(|connection| !connection.is_closed());
                if let Some(position) = state.idle.iter().rposition(|one| !one.is_closed()) {
                    return Ok(Ready::Http1(Box::new(state.idle.swap_remove(position))));
                }
                if state.http2.len() + state.http1 >= self.options.max_connections {
                    return Err(UpstreamError::Full);
                }
                if state.speaks == Some(Speaks::Http1) {
                    None
                } else {
                    Some(state.attempt.get_or_insert_with(|| Self::attempt(Arc::clone(self))).clone())
                }
            };
            match attempt {
                Some(attempt) => attempt.await?,
                None => return self.connect_http1().await,
            }
        }
        Err(UpstreamError::Refused)
    }

    /// Opens a connection for several calls. It continues if the first of them is cancelled.
    fn attempt(self: Arc<Self>) -> Attempt {
        let task = tokio::spawn(async move {
            let opened = timeout(self.options.connect_timeout, self.open()).await;
            let mut state = self.state();
            state.attempt = None;
            match opened {
                Ok(Ok(Opened::Http2(connection))) => {
                    state.speaks = Some(Speaks::Http2);
                    state.http2.push(connection);
                    Ok(())
                }
                Ok(Ok(Opened::Http1(connection))) => {
                    state.speaks = Some(Speaks::Http1);
                    state.idle.push(*connection);
                    Ok(())
                }
                // The callers see that and connect one by one.
                Ok(Ok(Opened::SpeaksHttp1)) => {
                    state.speaks = Some(Speaks::Http1);
                    Ok(())
                }
                Ok(Err(error)) => Err(error),
                Err(_) => Err(UpstreamError::ConnectTimeout),
            }
        });
        async move { task.await.unwrap_or(Err(UpstreamError::Broken)) }.boxed().shared()
    }

    async fn open(self: &Arc<Self>) -> Result<Opened, UpstreamError> {
        let stream = dial::dial(&self.options, self.address).await?;
        match stream {
            Stream::Plain(io) => match http2::Connection::open(io, self.keep_alive()).await {
                Ok(connection) => Ok(Opened::Http2(connection)),
                // A server of HTTP/1 answers the preface of HTTP/2 with an error.
                Err(NotBegun::Http1) if self.options.http == HttpVersion::Auto => Ok(Opened::SpeaksHttp1),
                Err(error) => Err(error.into()),
            },
            Stream::Tls(io, true) => {
                Ok(Opened::Http2(http2::Connection::open(*io, self.keep_alive()).await?))
            }
            Stream::Tls(_, false) if self.options.http == HttpVersion::Http2 => {
                Err(UpstreamError::connect(std::io::Error::other("the backend does not speak HTTP/2")))
            }
            Stream::Tls(io, false) => {
                self.state().http1 += 1;
                let connection = http1::Connection::open(*io, http1::home(self)).await;
                let connection = connection.map_err(UpstreamError::connect)?;
                Ok(Opened::Http1(Box::new(connection)))
            }
        }
    }

    async fn connect_http1(self: &Arc<Self>) -> Result<Ready, UpstreamError> {
        self.state().http1 += 1;
        let home = http1::home(self);
        let opened = async {
            match dial::dial(&self.options, self.address).await? {
                Stream::Plain(io) => http1::Connection::open(io, home).await.map_err(UpstreamError::connect),
                Stream::Tls(io, _) => {
                    http1::Connection::open(*io, home).await.map_err(UpstreamError::connect)
                }
            }
        };
        let opened = timeout(self.options.connect_timeout, opened).await;
        opened.unwrap_or(Err(UpstreamError::ConnectTimeout)).map(|one| Ready::Http1(Box::new(one)))
    }

    fn keep_alive(&self) -> http2::KeepAlive {
        http2::KeepAlive {
            interval: self.options.keep_alive_interval,
            timeout: self.options.keep_alive_timeout,
            idle: self.options.idle_timeout,
        }
    }
}

/// What an attempt has found.
enum Opened {
    Http2(http2::Connection),
    Http1(Box<http1::Connection>),
    SpeaksHttp1,
}

impl http1::Home for Address {
    fn give_back(&self, connection: http1::Connection) {
        self.state().idle.push(connection);
    }

    fn forget(&self) {
        let mut state = self.state();
        state.http1 = state.http1.saturating_sub(1);
    }
}

/// The URI of a request of HTTP/1 is its path; the authority is in `Host`.
fn to_origin_form(mut request: Request<()>) -> Request<()> {
    if let Some(authority) = request.uri().authority()
        && let Ok(host) = HeaderValue::from_str(authority.as_str())
    {
        request.headers_mut().insert(header::HOST, host);
    }
    if let Some(path) = request.uri().path_and_query().cloned() {
        *request.uri_mut() = path.into();
    }
    request
}

/// How long an address that has just failed is not tried again for the same call.
pub(super) const RETRY_DELAY: Duration = Duration::from_millis(20);
