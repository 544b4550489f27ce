//! `calls`: how many calls pass a proxy, and how long each takes: a backend that answers at once, and the load on it.
//!
//! `serve` answers every unary call with the same bytes and every stream with as many messages as its path's query asks for. `load`
//! calls it, directly or through a proxy, and prints one JSON object. `bench/gateway` compares the proxies.
#![forbid(unsafe_code)]
#![allow(clippy::print_stdout, reason = "printing the measurement is what this program is for")]

use std::{
    convert::Infallible,
    net::SocketAddr,
    path::PathBuf,
    process::ExitCode,
    time::{Duration, Instant},
};

use bytes::{Bytes, BytesMut};
use clap::{Parser, Subcommand};
use futures_util::{FutureExt as _, future::try_join_all, stream};
use http_body_util::{BodyExt as _, Full, StreamBody, combinators::BoxBody};
use hyper::{
    Request, Response, StatusCode,
    body::{Frame, Incoming},
    client::conn::{http1, http2},
    header::{AUTHORIZATION, CONTENT_TYPE, HOST},
    server::conn::{http1 as server1, http2 as server2},
    service::service_fn,
};
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use tokio::{
    io::AsyncWriteExt as _,
    net::{TcpListener, TcpStream},
};

/// The RPC of the unary calls, which reads one project.
const UNARY: &str = "/flyteidl2.project.ProjectService/GetProject";
/// The RPC of the streams, which follows one run.
const STREAM: &str = "/flyteidl2.workflow.RunService/WatchRunDetails";
/// `GetProjectRequest { id: "flytesnacks" }`.
const UNARY_REQUEST: &[u8] = b"\x0a\x0bflytesnacks";
/// `WatchRunDetailsRequest { run_id: { project: "flytesnacks", domain: "development", name: "r" } }`.
const STREAM_REQUEST: &[u8] = b"\x0a\x1d\x12\x0bflytesnacks\x1a\x0bdevelopment\x22\x01r";
/// The bytes of an answer, and of each message of a stream.
const ANSWER_BYTES: u32 = 600;
/// `EndStreamResponse` without an error (Connect).
const END: &[u8] = b"\x02\0\0\0\x02{}";

/// What to do.
#[derive(Debug, Parser)]
#[command(version, about)]
struct Arguments {
    #[command(subcommand)]
    what: What,
}

#[derive(Debug, Subcommand)]
enum What {
    /// Answers calls, in HTTP/1.1 and in HTTP/2 with prior knowledge.
    Serve {
        /// Where.
        #[arg(long)]
        listen: SocketAddr,
        /// How many messages each stream has; 0 for streams that stay open and say nothing.
        #[arg(long, default_value_t = 10_000)]
        messages: usize,
        /// Without HTTP/2, so that proxies speak the same version with it.
        #[arg(long)]
        http1: bool,
    },
    /// Makes unary calls by so many connections of HTTP/1.1, each one call at a time.
    Unary {
        #[command(flatten)]
        target: Target,
        /// At the same time.
        #[arg(long, default_value_t = 16)]
        connections: u16,
        /// For how long, in seconds.
        #[arg(long, default_value_t = 10)]
        seconds: u64,
    },
    /// Reads streams to their ends by so many connections of HTTP/1.1.
    Stream {
        #[command(flatten)]
        target: Target,
        /// At the same time.
        #[arg(long, default_value_t = 1)]
        connections: u16,
        /// Streams of each connection.
        #[arg(long, default_value_t = 10)]
        rounds: u16,
    },
    /// Opens streams on connections of HTTP/2, a hundred on each, and keeps them open until standard input ends.
    Idle {
        #[command(flatten)]
        target: Target,
        /// How many.
        #[arg(long, default_value_t = 10_000)]
        streams: usize,
    },
}

#[derive(Debug, clap::Args)]
struct Target {
    /// Where the proxy or the backend listens, without TLS.
    #[arg(long)]
    address: SocketAddr,
    /// The host that requests name.
    #[arg(long, default_value = "localhost")]
    host: String,
    /// File with an access token to send.
    #[arg(long)]
    token_file: Option<PathBuf>,
}

/// Why nothing could be measured.
#[derive(Debug, thiserror::Error)]
enum BenchError {
    #[error("cannot read or connect: {0}")]
    Io(#[from] std::io::Error),
    #[error("request failed: {0}")]
    Hyper(#[from] hyper::Error),
    #[error("a bad request: {0}")]
    Http(#[from] hyper::http::Error),
    #[error("{0}")]
    Unexpected(String),
}

impl Target {
    fn token(&self) -> Result<Option<String>, BenchError> {
        Ok(self
            .token_file
            .as_ref()
            .map(std::fs::read_to_string)
            .transpose()?
            .map(|token| token.trim().to_owned()))
    }

    fn request(
        &self,
        uri: &str,
        kind: &str,
        token: Option<&str>,
        body: &'static [u8],
    ) -> Result<Request<Full<Bytes>>, BenchError> {
        let mut request = Request::post(uri).header(HOST, &self.host).header(CONTENT_TYPE, kind);
        request = request.header("connect-protocol-version", "1");
        if let Some(token) = token {
            request = request.header(AUTHORIZATION, format!("Bearer {token}"));
        }
        Ok(request.body(Full::new(Bytes::from_static(body)))?)
    }

    async fn connect(&self) -> Result<TokioIo<TcpStream>, BenchError> {
        let stream = TcpStream::connect(self.address).await?;
        stream.set_nodelay(true)?;
        Ok(TokioIo::new(stream))
    }

    async fn connect_http1(&self) -> Result<http1::SendRequest<Full<Bytes>>, BenchError> {
        let (sender, connection) = http1::handshake(self.connect().await?).await?;
        tokio::spawn(connection);
        Ok(sender)
    }
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let runtime = match tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => return fail(&error),
    };
    match runtime.block_on(run(arguments.what)) {
        Ok(summary) => {
            println!("{summary}");
            ExitCode::SUCCESS
        }
        Err(error) => fail(&error),
    }
}

#[allow(clippy::print_stderr, reason = "the edge, where a person reads it")]
fn fail(error: &dyn std::error::Error) -> ExitCode {
    eprintln!("error: {error}");
    ExitCode::FAILURE
}

async fn run(what: What) -> Result<serde_json::Value, BenchError> {
    match what {
        What::Serve { listen, messages, http1 } => serve(listen, messages, http1).await,
        What::Unary { target, connections, seconds } => {
            unary(&target, connections, Duration::from_secs(seconds)).await
        }
        What::Stream { target, connections, rounds } => streams(&target, connections, rounds).await,
        What::Idle { target, streams } => idle(&target, streams).await,
    }
}

async fn serve(listen: SocketAddr, messages: usize, http1: bool) -> Result<serde_json::Value, BenchError> {
    let listener = TcpListener::bind(listen).await?;
    loop {
        let (mut stream, _) = listener.accept().await?;
        stream.set_nodelay(true)?;
        tokio::spawn(async move {
            // The preface of HTTP/2 begins with a method that HTTP/1.1 does not have.
            let mut start = [0; 3];
            let is_http2 = matches!(stream.peek(&mut start).await, Ok(3)) && &start == b"PRI";
            if is_http2 && http1 {
                // As other servers of HTTP/1.1 do. hyper would answer nothing.
                let _ = stream.write_all(b"HTTP/1.1 400 Bad Request\r\nconnection: close\r\n\r\n").await;
                return;
            }
            let answer = service_fn(move |request| answer(request, messages));
            // A client may drop its connection at any time.
            let _ = if is_http2 {
                let mut server = server2::Builder::new(TokioExecutor::new());
                server.timer(TokioTimer::new()).max_concurrent_streams(1000);
                server.serve_connection(TokioIo::new(stream), answer).await
            } else {
                server1::Builder::new().serve_connection(TokioIo::new(stream), answer).await
            };
        });
    }
}

/// Answers a call: a stream by its path, else a unary one.
async fn answer(
    request: Request<Incoming>,
    messages: usize,
) -> Result<Response<BoxBody<Bytes, Infallible>>, hyper::Error> {
    let is_stream = request.uri().path() == STREAM;
    request.into_body().collect().await?;
    let payload = Bytes::from(vec![b'\n'; ANSWER_BYTES as usize]);
    let (kind, body) = if !is_stream {
        ("application/proto", Full::new(payload).boxed())
    } else if messages == 0 {
        (
            "application/connect+proto",
            StreamBody::new(stream::pending::<Result<Frame<Bytes>, Infallible>>()).boxed(),
        )
    } else {
        let mut message = BytesMut::with_capacity(5 + ANSWER_BYTES as usize);
        message.extend_from_slice(&[0]);
        message.extend_from_slice(&ANSWER_BYTES.to_be_bytes());
        message.extend_from_slice(&payload);
        let message = message.freeze();
        let frames = (0..=messages).map(move |number| {
            let data = if number == messages { Bytes::from_static(END) } else { message.clone() };
            Ok(Frame::data(data))
        });
        ("application/connect+proto", StreamBody::new(stream::iter(frames)).boxed())
    };
    let mut response = Response::new(body);
    response.headers_mut().insert(CONTENT_TYPE, hyper::header::HeaderValue::from_static(kind));
    Ok(response)
}

/// An answer that is not what the backend sends ends the measurement, so that a fast failure never counts as a fast proxy.
fn expect(what: &str, status: StatusCode, length: usize, expected: usize) -> Result<(), BenchError> {
    if status == StatusCode::OK && length == expected {
        return Ok(());
    }
    Err(BenchError::Unexpected(format!("{what} answered {status} with {length} bytes, not {expected}")))
}

async fn unary(target: &Target, connections: u16, time: Duration) -> Result<serde_json::Value, BenchError> {
    let token = target.token()?;
    let token = token.as_deref();
    let mut senders = Vec::new();
    for _ in 0..connections {
        senders.push(target.connect_http1().await?);
    }
    let started = Instant::now();
    let calls = senders.into_iter().map(|mut sender| async move {
        let mut latencies = Vec::new();
        while started.elapsed() < time {
            let sent = Instant::now();
            let request = target.request(UNARY, "application/proto", token, UNARY_REQUEST)?;
            sender.ready().await?;
            let answer = sender.send_request(request).await?;
            let status = answer.status();
            let body = answer.into_body().collect().await?.to_bytes();
            expect("a unary call", status, body.len(), ANSWER_BYTES as usize)?;
            latencies.push(sent.elapsed().as_secs_f64());
        }
        Ok::<_, BenchError>(latencies)
    });
    let mut latencies: Vec<f64> = try_join_all(calls).await?.into_iter().flatten().collect();
    let elapsed = started.elapsed().as_secs_f64();
    latencies.sort_by(f64::total_cmp);
    let quantile = |q: usize| {
        let last = latencies.len().saturating_sub(1);
        latencies.get(last * q / 100).map(|seconds| seconds * 1e3)
    };
    Ok(serde_json::json!({
        "calls": latencies.len(),
        "calls_per_second": latencies.len() as f64 / elapsed,
        "latency_ms": { "p50": quantile(50), "p99": quantile(99) },
    }))
}

async fn streams(target: &Target, connections: u16, rounds: u16) -> Result<serde_json::Value, BenchError> {
    let token = target.token()?;
    let token = token.as_deref();
    let started = Instant::now();
    let calls = (0..connections).map(|_| async move {
        let mut sender = target.connect_http1().await?;
        let mut bytes = 0;
        for _ in 0..rounds {
            let request =
                framed(target.request(STREAM, "application/connect+proto", token, STREAM_REQUEST)?);
            sender.ready().await?;
            let answer = sender.send_request(request).await?;
            let status = answer.status();
            let (mut body, mut length, mut tail) = (answer.into_body(), 0, Bytes::new());
            while let Some(frame) = body.frame().await {
                if let Ok(data) = frame?.into_data() {
                    length += data.len();
                    tail = data;
                }
            }
            if status != StatusCode::OK || !tail.ends_with(b"{}") {
                return Err(BenchError::Unexpected(format!(
                    "a stream answered {status} and did not end well"
                )));
            }
            bytes += length;
        }
        Ok::<_, BenchError>(bytes)
    });
    let bytes: usize = try_join_all(calls).await?.into_iter().sum();
    let elapsed = started.elapsed().as_secs_f64();
    let messages = bytes / (5 + ANSWER_BYTES as usize);
    Ok(serde_json::json!({ "messages": messages, "messages_per_second": messages as f64 / elapsed }))
}

/// The request of a stream in its envelope.
fn framed(request: Request<Full<Bytes>>) -> Request<Full<Bytes>> {
    let mut body = vec![0, 0, 0, 0, 0];
    body.extend_from_slice(STREAM_REQUEST);
    if let (Some(length), Ok(value)) = (body.get_mut(4), u8::try_from(STREAM_REQUEST.len())) {
        *length = value;
    }
    request.map(|_| Full::new(Bytes::from(body)))
}

/// Prints the number of open streams in a line of its own, then waits.
async fn idle(target: &Target, streams: usize) -> Result<serde_json::Value, BenchError> {
    const ON_EACH: usize = 100;
    let token = target.token()?;
    let mut open = Vec::new();
    while open.len() < streams {
        let (mut sender, connection) = http2::Builder::new(TokioExecutor::new())
            .timer(TokioTimer::new())
            .handshake::<_, Full<Bytes>>(target.connect().await?)
            .await?;
        tokio::spawn(connection);
        for _ in 0..ON_EACH.min(streams - open.len()) {
            let uri = format!("http://{}{STREAM}", target.host);
            let mut request = framed(target.request(
                &uri,
                "application/connect+proto",
                token.as_deref(),
                STREAM_REQUEST,
            )?);
            request.headers_mut().remove(HOST);
            sender.ready().await?;
            let answer = sender.send_request(request).await?;
            if answer.status() != StatusCode::OK {
                return Err(BenchError::Unexpected(format!(
                    "stream {} answered {}",
                    open.len() + 1,
                    answer.status()
                )));
            }
            open.push((sender.clone(), answer.into_body()));
        }
    }
    // Connect answers 200 to a stream that it refuses, and says so in its first frame.
    for (number, (_, body)) in (1..).zip(&mut open) {
        if let Some(frame) = body.frame().now_or_never() {
            let what = match frame {
                Some(Ok(frame)) => format!("{:?}", frame.into_data()),
                Some(Err(error)) => error.to_string(),
                None => "nothing".to_owned(),
            };
            return Err(BenchError::Unexpected(format!("stream {number} did not stay silent: {what}")));
        }
    }
    println!("{}", open.len());
    let end = tokio::task::spawn_blocking(|| std::io::read_to_string(std::io::stdin()));
    end.await.map_err(|error| BenchError::Unexpected(error.to_string()))??;
    Ok(serde_json::json!({ "streams": open.len() }))
}
