//! A stub of the API server: keys, pods, `TaskActions`, watches and token reviews over HTTPS.

use std::{
    collections::BTreeMap,
    io,
    net::{Ipv4Addr, SocketAddr, TcpListener},
    path::Path,
    sync::{Arc, Mutex, MutexGuard},
    time::Duration,
};

use axum::{
    Json, Router,
    body::Body,
    extract::{Path as UrlPath, Query, Request, State},
    middleware::{self, Next},
    response::{IntoResponse as _, Response},
    routing::{get, post},
};
use axum_server::{Handle, tls_rustls::RustlsConfig};
use base64::{Engine as _, engine::general_purpose::STANDARD as BASE64};
use bytes::Bytes;
use futures_util::stream;
use http::StatusCode;
use rcgen::{CertificateParams, KeyPair};
use serde_json::{Value, json};
use tokio::sync::watch;

/// The token of the service account of the server under test.
const SERVICE_ACCOUNT_TOKEN: &str = "token-of-the-gateway";

/// What the API server has and does.
#[derive(Debug, Default)]
pub(crate) struct Content {
    pub(crate) issuer: String,
    pub(crate) jwks: Vec<Value>,
    /// Objects by the path of their collection and their names.
    objects: BTreeMap<(String, String), Value>,
    /// All changes: version, collection, event.
    events: Vec<(u64, String, Value)>,
    version: u64,
    /// Watches from earlier versions are refused.
    oldest: u64,
    /// A watch from a version that is too old begins, and its first event is the error.
    pub(crate) gone_is_an_event: bool,
    /// Watches say nothing and do not end.
    pub(crate) is_silent: bool,
    /// Every request fails, and open watches break.
    pub(crate) is_down: bool,
    /// Every list is forbidden.
    pub(crate) forbids_lists: bool,
    /// `status` of the answers to token reviews.
    pub(crate) review: Value,
    /// The reviewed tokens, with the audiences of the requests.
    pub(crate) reviews: Vec<Value>,
    /// The number of requests by path.
    pub(crate) requests: BTreeMap<String, usize>,
}

#[derive(Debug)]
pub(crate) struct Stub {
    content: Mutex<Content>,
    changes: watch::Sender<()>,
}

type Shared = Arc<Stub>;

/// The certificate authority of a stub, and the port that it listens on.
#[derive(Clone)]
pub(crate) struct Place {
    pub(crate) port: u16,
    certificate: String,
    key: String,
}

impl Place {
    /// A free port, on which nothing listens yet.
    pub(crate) fn new() -> Self {
        let port = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap().local_addr().unwrap().port();
        let key = KeyPair::generate().unwrap();
        let names = ["localhost".to_owned(), "127.0.0.1".to_owned()];
        let certificate = CertificateParams::new(names).unwrap().self_signed(&key).unwrap();
        Self { port, certificate: certificate.pem(), key: key.serialize_pem() }
    }

    /// Writes a file in the form of `~/.kube/config`. JSON is YAML too.
    pub(crate) fn write_kubeconfig(&self, path: &Path) {
        let file = json!({
            "apiVersion": "v1", "kind": "Config", "current-context": "stub",
            "clusters": [{"name": "stub", "cluster": {
                "server": format!("https://127.0.0.1:{}", self.port),
                "certificate-authority-data": BASE64.encode(&self.certificate),
            }}],
            "users": [{"name": "gateway", "user": {"token": SERVICE_ACCOUNT_TOKEN}}],
            "contexts": [{"name": "stub", "context": {
                "cluster": "stub", "user": "gateway", "namespace": "flyte"
            }}],
        });
        std::fs::write(path, file.to_string()).unwrap();
    }
}

impl Stub {
    pub(crate) fn new() -> Shared {
        let content = Content { version: 1, review: json!({"authenticated": false}), ..Content::default() };
        Arc::new(Self { content: Mutex::new(content), changes: watch::Sender::new(()) })
    }

    /// Serves until the handle is shut down.
    pub(crate) async fn serve(self: &Shared, place: &Place) -> Handle<SocketAddr> {
        let config = RustlsConfig::from_pem(place.certificate.clone().into(), place.key.clone().into());
        let config = config.await.unwrap();
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, place.port));
        let handle = Handle::new();
        let server = axum_server::bind_rustls(address, config).handle(handle.clone());
        tokio::spawn(server.serve(router(Arc::clone(self)).into_make_service()));
        handle.listening().await.expect("the port is free");
        handle
    }

    pub(crate) fn content(&self) -> MutexGuard<'_, Content> {
        self.content.lock().unwrap()
    }

    /// Changes what the API server does, and wakes the watches.
    pub(crate) fn set(&self, change: impl FnOnce(&mut Content)) {
        change(&mut self.content());
        self.changes.send_replace(());
    }

    pub(crate) fn requests(&self, path: &str) -> usize {
        self.content().requests.get(path).copied().unwrap_or(0)
    }

    /// Adds or changes an object.
    pub(crate) fn put(&self, collection: &str, mut object: Value) {
        let mut content = self.content();
        content.version += 1;
        let version = content.version;
        object["metadata"]["resourceVersion"] = json!(version.to_string());
        let name = object["metadata"]["name"].as_str().unwrap().to_owned();
        let before = content.objects.insert((collection.to_owned(), name), object.clone());
        let kind = if before.is_some() { "MODIFIED" } else { "ADDED" };
        let event = json!({"type": kind, "object": object});
        content.events.push((version, collection.to_owned(), event));
        drop(content);
        self.changes.send_replace(());
    }

    pub(crate) fn delete(&self, collection: &str, name: &str) {
        let mut content = self.content();
        let Some(mut object) = content.objects.remove(&(collection.to_owned(), name.to_owned())) else {
            return;
        };
        content.version += 1;
        let version = content.version;
        object["metadata"]["resourceVersion"] = json!(version.to_string());
        let event = json!({"type": "DELETED", "object": object});
        content.events.push((version, collection.to_owned(), event));
        drop(content);
        self.changes.send_replace(());
    }

    /// Forgets the history: watches must begin with a new list. Open watches end.
    pub(crate) fn compact(&self) {
        self.set(|content| {
            content.version += 1;
            content.oldest = content.version;
            content.events.clear();
        });
    }
}

fn router(stub: Shared) -> Router {
    Router::new()
        .route("/openid/v1/jwks", get(|State(stub): State<Shared>| async move {
            Json(json!({"keys": stub.content().jwks}))
        }))
        .route("/.well-known/openid-configuration", get(|State(stub): State<Shared>| async move {
            // A managed cluster's `jwks_uri` is a name that does not resolve here.
            Json(json!({"issuer": stub.content().issuer, "jwks_uri": "https://keys.invalid/openid/v1/jwks"}))
        }))
        .route("/api/v1/namespaces/{namespace}/pods", get(collection))
        .route("/api/v1/namespaces/{namespace}/pods/{name}", get(object))
        .route("/apis/flyte.org/v1/namespaces/{namespace}/taskactions", get(collection))
        .route("/apis/flyte.org/v1/namespaces/{namespace}/taskactions/{name}", get(object))
        .route("/apis/authentication.k8s.io/v1/tokenreviews", post(review))
        .layer(middleware::from_fn_with_state(Arc::clone(&stub), admit))
        .with_state(stub)
}

fn status(code: StatusCode, message: &str) -> Response {
    let body = json!({
        "kind": "Status", "apiVersion": "v1", "status": "Failure", "code": code.as_u16(), "message": message,
        "reason": code.canonical_reason(),
    });
    (code, Json(body)).into_response()
}

async fn admit(State(stub): State<Shared>, request: Request, next: Next) -> Response {
    *stub.content().requests.entry(request.uri().path().to_owned()).or_default() += 1;
    if stub.content().is_down {
        return status(StatusCode::SERVICE_UNAVAILABLE, "the API server is shutting down");
    }
    let authorization =
        request.headers().get("authorization").map(|value| value.to_str().unwrap().to_owned());
    if authorization.as_deref() != Some(&format!("Bearer {SERVICE_ACCOUNT_TOKEN}")) {
        return status(StatusCode::UNAUTHORIZED, "Unauthorized");
    }
    next.run(request).await
}

async fn object(State(stub): State<Shared>, request: Request) -> Response {
    let (collection, name) = request.uri().path().rsplit_once('/').unwrap();
    match stub.content().objects.get(&(collection.to_owned(), name.to_owned())) {
        Some(object) => Json(object.clone()).into_response(),
        None => status(StatusCode::NOT_FOUND, "not found"),
    }
}

async fn review(State(stub): State<Shared>, Json(mut review): Json<Value>) -> Json<Value> {
    let mut content = stub.content();
    content.reviews.push(review["spec"].clone());
    review["status"] = content.review.clone();
    Json(review)
}

/// A label selector that is empty, or the name of a label that must exist.
fn selects(selector: Option<&String>, object: &Value) -> bool {
    match selector.map(String::as_str) {
        None | Some("") => true,
        Some(label) => object["metadata"]["labels"].get(label).is_some(),
    }
}

async fn collection(
    State(stub): State<Shared>,
    UrlPath(_): UrlPath<String>,
    Query(query): Query<BTreeMap<String, String>>,
    request: Request,
) -> Response {
    let path = request.uri().path().to_owned();
    let selector = query.get("labelSelector").cloned();
    if query.get("watch").is_some_and(|watch| watch == "true") {
        assert_eq!(query["allowWatchBookmarks"], "true");
        let from: u64 = query["resourceVersion"].parse().unwrap();
        let seconds = query["timeoutSeconds"].parse().unwrap();
        return events(stub, path, selector, from, Duration::from_secs(seconds));
    }
    let content = stub.content();
    if content.forbids_lists {
        return status(StatusCode::FORBIDDEN, "cannot list resource in the namespace");
    }
    // Pages of two, to test that all are read.
    let skip: usize = query.get("continue").and_then(|text| text.parse().ok()).unwrap_or(0);
    let all: Vec<&Value> = content
        .objects
        .iter()
        .filter(|((of, _), object)| *of == path && selects(selector.as_ref(), object))
        .map(|(_, object)| object)
        .collect();
    let next = if skip + 2 < all.len() { (skip + 2).to_string() } else { String::new() };
    let items: Vec<_> = all.into_iter().skip(skip).take(2).collect();
    let metadata = json!({"resourceVersion": content.version.to_string(), "continue": next});
    Json(json!({"kind": "List", "apiVersion": "v1", "metadata": metadata, "items": items})).into_response()
}

fn line(event: &Value) -> Bytes {
    Bytes::from(format!("{event}\n"))
}

/// One watch.
struct Watch {
    stub: Shared,
    changes: watch::Receiver<()>,
    path: String,
    selector: Option<String>,
    from: u64,
    ends_at: tokio::time::Instant,
}

impl Watch {
    /// Returns the next lines; `None` at the end of the watch.
    async fn next(&mut self) -> Option<Result<Bytes, io::Error>> {
        loop {
            self.changes.borrow_and_update();
            let found = {
                let content = self.stub.content();
                if content.is_down {
                    return Some(Err(io::Error::other("the API server is shutting down")));
                }
                if self.from < content.oldest {
                    return None;
                }
                let new = content.events.iter().filter(|(version, of, event)| {
                    *version > self.from
                        && *of == self.path
                        && selects(self.selector.as_ref(), &event["object"])
                });
                let lines: Vec<u8> = new.flat_map(|(_, _, event)| line(event)).collect();
                if content.is_silent {
                    Vec::new()
                } else {
                    self.from = content.version;
                    lines
                }
            };
            if !found.is_empty() {
                return Some(Ok(found.into()));
            }
            let is_silent = self.stub.content().is_silent;
            tokio::select! {
                _ = self.changes.changed() => {}
                () = tokio::time::sleep_until(self.ends_at), if !is_silent => return None,
            }
        }
    }
}

fn events(stub: Shared, path: String, selector: Option<String>, from: u64, length: Duration) -> Response {
    let gone = json!({"kind": "Status", "status": "Failure", "code": 410, "reason": "Expired",
        "message": "too old resource version"});
    let (oldest, version, as_event) = {
        let content = stub.content();
        (content.oldest, content.version, content.gone_is_an_event)
    };
    if from < oldest {
        if as_event {
            return Body::from(line(&json!({"type": "ERROR", "object": gone}))).into_response();
        }
        return (StatusCode::GONE, Json(gone)).into_response();
    }
    let changes = stub.changes.subscribe();
    // Like the real one, it sends a bookmark now and then.
    let kind = if path.ends_with("pods") { "Pod" } else { "TaskAction" };
    let bookmark = json!({"type": "BOOKMARK", "object": {
        "kind": kind, "apiVersion": "v1", "metadata": {"resourceVersion": version.to_string()}
    }});
    let first = (from == version && !stub.content().is_silent).then(|| Ok(line(&bookmark)));
    let ends_at = tokio::time::Instant::now() + length;
    let watch = Watch { stub, changes, path, selector, from, ends_at };
    let rest = stream::unfold(watch, async |mut watch| Some((watch.next().await?, watch)));
    let all = futures_util::StreamExt::chain(stream::iter(first), rest);
    Body::from_stream(all).into_response()
}
