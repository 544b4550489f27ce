//! A backend that does what a test says.

use std::{
    future::Future,
    net::SocketAddr,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
};

use bytes::Bytes;
use h2::{RecvStream, SendStream, server::SendResponse};
use http::{HeaderMap, Response};
use tokio::{
    net::{TcpListener, TcpStream},
    task::JoinSet,
};

/// A request as the backend got it.
#[derive(Clone, Debug)]
pub(crate) struct Received {
    pub(crate) path: String,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
}

/// A backend on HTTP/2.
#[derive(Clone)]
pub(crate) struct Backend {
    pub(crate) address: SocketAddr,
    pub(crate) received: Arc<Mutex<Vec<Received>>>,
    pub(crate) connections: Arc<AtomicUsize>,
    /// Ends it and all its connections when the last clone is dropped.
    tasks: Arc<Mutex<JoinSet<()>>>,
}

/// A request and where to answer it.
pub(crate) struct Exchange {
    pub(crate) head: http::request::Parts,
    pub(crate) body: RecvStream,
    pub(crate) respond: SendResponse<Bytes>,
}

impl Exchange {
    /// Reads the body to its end.
    pub(crate) async fn read(&mut self) -> Result<Bytes, h2::Error> {
        let mut read = Vec::new();
        while let Some(data) = self.body.data().await {
            let data = data?;
            let _ = self.body.flow_control().release_capacity(data.len());
            read.extend_from_slice(&data);
        }
        Ok(read.into())
    }

    /// Answers with a head.
    pub(crate) fn head(&mut self, content_type: &str) -> SendStream<Bytes> {
        self.head_with(content_type, &[])
    }

    pub(crate) fn head_with(&mut self, content_type: &str, headers: &[(&str, &str)]) -> SendStream<Bytes> {
        let mut response = Response::builder().header("content-type", content_type);
        for (name, value) in headers {
            response = response.header(*name, *value);
        }
        self.respond.send_response(response.body(()).unwrap(), false).unwrap()
    }
}

/// Trailers of gRPC.
pub(crate) fn trailers(status: &str) -> HeaderMap {
    HeaderMap::from_iter([("grpc-status".parse().unwrap(), status.parse().unwrap())])
}

impl Backend {
    /// A backend that runs `handler` for each request.
    pub(crate) async fn new<F>(handler: impl Fn(Exchange) -> F + Clone + Send + Sync + 'static) -> Self
    where
        F: Future<Output = ()> + Send + 'static,
    {
        Self::with_streams(None, handler).await
    }

    /// The same, with a limit of streams for each connection.
    pub(crate) async fn with_streams<F>(
        most: Option<u32>,
        handler: impl Fn(Exchange) -> F + Clone + Send + Sync + 'static,
    ) -> Self
    where
        F: Future<Output = ()> + Send + 'static,
    {
        let (this, listener) = Self::bind().await;
        let backend = this.clone();
        this.accept(listener, move |tcp| {
            let (handler, backend) = (handler.clone(), backend.clone());
            async move {
                let mut builder = h2::server::Builder::new();
                builder.max_header_list_size(1 << 20);
                if let Some(most) = most {
                    builder.max_concurrent_streams(most);
                }
                let Ok(mut connection) = builder.handshake::<_, Bytes>(tcp).await else { return };
                let mut calls = JoinSet::new();
                while let Some(Ok((request, respond))) = connection.accept().await {
                    let (head, body) = request.into_parts();
                    backend.note(&head, Bytes::new());
                    calls.spawn(handler(Exchange { head, body, respond }));
                }
            }
        });
        this
    }

    async fn bind() -> (Self, TcpListener) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let this =
            Self { address, received: Arc::default(), connections: Arc::default(), tasks: Arc::default() };
        (this, listener)
    }

    fn accept<F>(&self, listener: TcpListener, serve: impl Fn(TcpStream) -> F + Send + 'static)
    where
        F: Future<Output = ()> + Send + 'static,
    {
        let connections = Arc::clone(&self.connections);
        let accepting = async move {
            let mut serving = JoinSet::new();
            while let Ok((tcp, _)) = listener.accept().await {
                connections.fetch_add(1, Ordering::SeqCst);
                serving.spawn(serve(tcp));
            }
        };
        self.tasks.lock().unwrap().spawn(accepting);
    }

    /// A backend of raw sockets.
    pub(crate) async fn raw<F>(serve: impl Fn(TcpStream) -> F + Send + 'static) -> Self
    where
        F: Future<Output = ()> + Send + 'static,
    {
        let (this, listener) = Self::bind().await;
        this.accept(listener, serve);
        this
    }

    fn note(&self, head: &http::request::Parts, body: Bytes) {
        let (path, headers) = (head.uri.path().to_owned(), head.headers.clone());
        self.received.lock().unwrap().push(Received { path, headers, body });
    }

    /// Ends it at once, with all its connections.
    pub(crate) fn kill(&self) {
        self.tasks.lock().unwrap().abort_all();
    }

    /// A backend that answers each request in its protocol with the messages that it got.
    pub(crate) async fn echo() -> Self {
        let kept = Arc::new(Mutex::new(None::<Self>));
        let for_handler = Arc::clone(&kept);
        let this = Self::new(move |mut exchange: Exchange| {
            let kept = Arc::clone(&for_handler);
            async move {
                let Ok(body) = exchange.read().await else { return };
                if let Some(this) = kept.lock().unwrap().as_ref() {
                    this.received.lock().unwrap().last_mut().unwrap().body = body.clone();
                }
                answer(&mut exchange, body);
            }
        })
        .await;
        // Without its tasks, or it would keep itself alive.
        *kept.lock().unwrap() = Some(Self { tasks: Arc::default(), ..this.clone() });
        this
    }

    /// The requests so far.
    pub(crate) fn received(&self) -> Vec<Received> {
        self.received.lock().unwrap().clone()
    }
}

/// Answers with this body, and the end that the protocol demands.
pub(crate) fn answer(exchange: &mut Exchange, body: Bytes) {
    let content_type = exchange.head.headers["content-type"].to_str().unwrap().to_owned();
    let mut stream = exchange.head(&content_type);
    match end_of(&content_type) {
        End::Http => stream.send_data(body, true).unwrap(),
        End::Frame(end) => {
            stream.send_data(body, false).unwrap();
            stream.send_data(end, true).unwrap();
        }
        End::Trailers(trailers) => {
            stream.send_data(body, false).unwrap();
            stream.send_trailers(trailers).unwrap();
        }
    }
}

pub(crate) enum End {
    Http,
    Frame(Bytes),
    Trailers(HeaderMap),
}

/// How a successful answer of this type ends.
pub(crate) fn end_of(content_type: &str) -> End {
    match content_type {
        "application/connect+proto" | "application/connect+json" => End::Frame(super::frame(2, b"{}")),
        web if web.starts_with("application/grpc-web") => {
            End::Frame(super::frame(0x80, b"grpc-status: 0\r\n"))
        }
        grpc if grpc.starts_with("application/grpc") => End::Trailers(trailers("0")),
        _ => End::Http,
    }
}
