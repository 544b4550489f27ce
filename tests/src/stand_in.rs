//! Simulated HTTP servers: other control planes, identity providers, and proxies.

use std::{
    sync::{Arc, Mutex, mpsc},
    thread,
};

use axum::{
    Router,
    body::{Body, to_bytes},
    extract::Request,
    http::{HeaderMap, StatusCode, Version},
    response::Response,
};
use axum_server::{Handle, tls_rustls::RustlsConfig};
use flyte_idl::flyteidl2::{
    auth::GetPublicClientConfigResponse,
    project::{ListProjectsResponse, Project, Projects},
};

use crate::{Certificate, guard};

/// The longest request that is read, in bytes.
const MAX_REQUEST: usize = 1 << 20;

/// A request.
#[derive(Clone, Debug)]
pub struct Asked {
    /// The path, without the query.
    pub path: String,
    /// The query, or an empty text.
    pub query: String,
    /// The headers.
    pub headers: HeaderMap,
    /// The body.
    pub body: String,
    /// Whether it is HTTP/2.
    pub is_http2: bool,
}

impl Asked {
    /// A header's value, or an empty text.
    #[must_use]
    pub fn header(&self, name: &str) -> &str {
        self.headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default()
    }

    /// Whether it is a gRPC call.
    #[must_use]
    pub fn is_grpc(&self) -> bool {
        self.header("content-type").starts_with("application/grpc")
    }
}

/// An answer.
#[derive(Clone, Debug)]
pub struct Reply {
    status: u16,
    headers: Vec<(String, String)>,
    body: Vec<u8>,
}

impl Reply {
    /// A reply with this status, media type and body.
    #[must_use]
    pub fn new(status: u16, kind: &str, body: impl Into<Vec<u8>>) -> Self {
        Self { status, headers: Vec::new(), body: body.into() }.with("content-type", kind)
    }

    /// JSON.
    #[must_use]
    pub fn json(status: u16, value: &serde_json::Value) -> Self {
        Self::new(status, "application/json", value.to_string())
    }

    /// A message, as the Connect protocol answers a unary call.
    #[must_use]
    pub fn message(message: &impl buffa::Message) -> Self {
        Self::new(200, "application/proto", message.encode_to_vec())
    }

    /// An error of the Connect protocol, or of gRPC for a gRPC request.
    #[must_use]
    pub fn error(asked: &Asked, code: &str, words: &str) -> Self {
        let (status, grpc) = match code {
            "unimplemented" => (501, "12"),
            "unauthenticated" => (401, "16"),
            _ => (500, "2"),
        };
        if asked.is_grpc() {
            return Self::new(200, "application/grpc", "")
                .with("grpc-status", grpc)
                .with("grpc-message", words);
        }
        Self::json(status, &serde_json::json!({ "code": code, "message": words }))
    }

    /// The same with another header.
    #[must_use]
    pub fn with(mut self, name: &str, value: &str) -> Self {
        self.headers.push((name.to_owned(), value.to_owned()));
        self
    }
}

/// A server that answers with a function; stopped when dropped.
#[derive(Debug)]
pub struct StandIn {
    port: u16,
    asked: Arc<Mutex<Vec<Asked>>>,
    handle: Handle<std::net::SocketAddr>,
}

impl StandIn {
    /// A server with this certificate, or over plain HTTP without one. It speaks HTTP/1.1 and HTTP/2.
    #[must_use]
    pub fn start(
        certificate: Option<&Certificate>,
        answer: impl Fn(&Asked) -> Reply + Send + Sync + 'static,
    ) -> Self {
        guard::start();
        let asked = Arc::new(Mutex::new(Vec::new()));
        let (answer, log) = (Arc::new(answer), Arc::clone(&asked));
        let router = Router::new().fallback(move |request: Request| {
            let (answer, log) = (Arc::clone(&answer), Arc::clone(&log));
            async move {
                let asked = read(request).await;
                let reply = answer(&asked);
                log.lock().unwrap().push(asked);
                respond(reply)
            }
        });
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        listener.set_nonblocking(true).unwrap();
        let port = listener.local_addr().unwrap().port();
        let handle = Handle::new();
        let (pem, serving) = (certificate.map(Certificate::pem), handle.clone());
        let (ready, is_ready) = mpsc::channel();
        thread::spawn(move || {
            let runtime =
                tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
            runtime.block_on(async move {
                let service = router.into_make_service();
                match pem {
                    Some(pem) => {
                        let tls = RustlsConfig::from_pem_file(&pem, &pem).await.unwrap();
                        ready.send(()).unwrap();
                        let server = axum_server::from_tcp_rustls(listener, tls).unwrap();
                        server.handle(serving).serve(service).await.unwrap();
                    }
                    None => {
                        ready.send(()).unwrap();
                        axum_server::from_tcp(listener)
                            .unwrap()
                            .handle(serving)
                            .serve(service)
                            .await
                            .unwrap();
                    }
                }
            });
        });
        is_ready.recv().unwrap();
        Self { port, asked, handle }
    }

    /// A plain Flyte 2 backend, which has no sign-in: seen on the open-source one (tag v2.0.43).
    #[must_use]
    pub fn plain_backend(certificate: Option<&Certificate>) -> Self {
        Self::start(certificate, plain_backend)
    }

    /// Its endpoint, `localhost:PORT`.
    #[must_use]
    pub fn endpoint(&self) -> String {
        format!("localhost:{}", self.port)
    }

    /// Its port.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.port
    }

    /// The requests so far.
    #[must_use]
    pub fn asked(&self) -> Vec<Asked> {
        self.asked.lock().unwrap().clone()
    }

    /// The requests whose path ends with this part, for example a method.
    #[must_use]
    pub fn asked_for(&self, last: &str) -> Vec<Asked> {
        self.asked().into_iter().filter(|asked| asked.path.ends_with(&format!("/{last}"))).collect()
    }
}

impl Drop for StandIn {
    fn drop(&mut self) {
        self.handle.shutdown();
    }
}

async fn read(request: Request) -> Asked {
    let (parts, body) = request.into_parts();
    let body = to_bytes(body, MAX_REQUEST).await.unwrap_or_default();
    Asked {
        path: parts.uri.path().to_owned(),
        query: parts.uri.query().unwrap_or_default().to_owned(),
        headers: parts.headers,
        body: String::from_utf8_lossy(&body).into_owned(),
        is_http2: parts.version == Version::HTTP_2,
    }
}

fn respond(reply: Reply) -> Response {
    let mut response = Response::builder().status(StatusCode::from_u16(reply.status).unwrap());
    for (name, value) in reply.headers {
        response = response.header(name, value);
    }
    response.body(Body::from(reply.body)).unwrap()
}

/// The answers of a plain Flyte 2 backend: no discovery service, no identity, and everything else for every caller.
fn plain_backend(asked: &Asked) -> Reply {
    match asked.path.rsplit('/').next().unwrap_or_default() {
        "GetOAuth2Metadata" => Reply::error(
            asked,
            "unimplemented",
            "flyteidl2.auth.AuthMetadataService.GetOAuth2Metadata is not implemented",
        ),
        // It says nothing else about clients.
        "GetPublicClientConfig" => Reply::message(&GetPublicClientConfigResponse {
            dataplane_domain: "http://localhost:8090".to_owned(),
            ..Default::default()
        }),
        "healthz" => Reply::new(200, "text/plain", "OK"),
        "UserInfo" => Reply::error(asked, "unauthenticated", "no identity in the request"),
        "ListProjects" => Reply::message(&ListProjectsResponse {
            projects: Projects {
                projects: vec![Project { id: "flytesnacks".to_owned(), ..Default::default() }],
                ..Default::default()
            }
            .into(),
            ..Default::default()
        }),
        _ => Reply::new(404, "text/plain; charset=utf-8", "404 page not found\n"),
    }
}
