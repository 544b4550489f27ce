//! What a caller who is limited to a project gets of answers that span projects.

use std::io::Write as _;

use bytes::Bytes;
use flyte_access::Caller;
use flyte_protocol::{Code, Refusal};
use http::{Response, StatusCode};

use super::{
    STREAM, UNARY,
    backend::{Backend, End, Exchange, end_of, trailers},
    client::{Client, Got, of_type},
    frame,
    gateway::{Served, caller, limited},
};

const MEDIA_TYPES: [&str; 6] = [
    "application/proto",
    "application/json",
    "application/grpc",
    "application/grpc+json",
    "application/grpc-web",
    "application/grpc-web-text",
];

/// A page with a project of each of them.
fn page(content_type: &str) -> Vec<u8> {
    if content_type.ends_with("json") {
        br#"{"projects":{"projects":[{"id":"theirs"},{"id":"mine"}],"token":"2"}}"#.to_vec()
    } else {
        b"\x0a\x15\x0a\x08\x0a\x06theirs\x0a\x06\x0a\x04mine\x12\x012".to_vec()
    }
}

fn own_page(content_type: &str) -> Vec<u8> {
    if content_type.ends_with("json") {
        br#"{"projects":{"projects":[{"id":"mine"}],"token":"2"}}"#.to_vec()
    } else {
        b"\x0a\x0b\x0a\x06\x0a\x04mine\x12\x012".to_vec()
    }
}

fn gzip(content: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(content).unwrap();
    encoder.finish().unwrap()
}

/// A backend that answers each call with these messages, compressed.
async fn lists() -> Backend {
    Backend::new(|mut exchange: Exchange| async move {
        let _ = exchange.read().await;
        let content_type = exchange.head.headers["content-type"].to_str().unwrap().to_owned();
        let message = gzip(&page(&content_type));
        let is_framed = content_type.contains("grpc");
        let encoding = if is_framed { "grpc-encoding" } else { "content-encoding" };
        let mut stream = exchange.head_with(&content_type, &[(encoding, "gzip")]);
        let body = if is_framed { frame(1, &message) } else { message.into() };
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
    })
    .await
}

async fn list(backend: &Backend, caller: Caller, content_type: &str) -> Got {
    let served = Served::with(backend.address, caller, |_| {}).await;
    let client = Client::new(served.address).await;
    let message: &[u8] = if content_type.ends_with("json") { b"{}" } else { b"" };
    let request = match content_type {
        "application/grpc-web-text" => Bytes::from_static(b"AAAAAAA="),
        framed if framed.contains("grpc") => frame(0, message),
        _ => Bytes::from_static(message),
    };
    let accept = ["accept-encoding", "grpc-accept-encoding"].map(|name| (name, "gzip"));
    client.call(UNARY, &[&of_type(content_type)[..], &accept].concat(), request).await
}

#[tokio::test]
async fn a_list_has_only_the_callers_own_in_each_protocol() {
    let backend = lists().await;
    for content_type in MEDIA_TYPES {
        let got = list(&backend, limited("mine"), content_type).await;
        assert_eq!((got.status, got.end.is_ok()), (StatusCode::OK, true), "{content_type}: {got:?}");
        assert!(!got.headers.contains_key("content-length") && !got.headers.contains_key("content-encoding"));
        let own = own_page(content_type);
        let expected = if content_type.contains("grpc") { frame(0, &own) } else { own.into() };
        if content_type == "application/grpc-web-text" {
            // Bytes in multiples of three have no padding, so that this is the start of the text.
            use base64::{Engine as _, engine::general_purpose::STANDARD};
            let start = STANDARD.encode(&expected[..expected.len() / 3 * 3]);
            assert!(got.text().starts_with(&start), "{}", got.text());
            continue;
        }
        assert!(got.body.starts_with(&expected), "{content_type}: {}", got.text());
        assert!(!got.text().contains("theirs"), "{content_type}");
        // Without a limit, nothing is touched.
        let got = list(&backend, caller(), content_type).await;
        let page = gzip(&page(content_type));
        let expected = if content_type.contains("grpc") { frame(1, &page) } else { page.into() };
        assert!(got.body.starts_with(&expected), "{content_type}: {got:?}");
    }
}

#[tokio::test]
async fn errors_about_others_read_as_not_found() {
    let backend = Backend::new(|mut exchange: Exchange| async move {
        let _ = exchange.read().await;
        let content_type = exchange.head.headers["content-type"].to_str().unwrap().to_owned();
        let error = Refusal::new(Code::AlreadyExists, "run project:\"theirs\" exists");
        if !content_type.contains("grpc") && !content_type.contains("connect") {
            let response = Response::builder().status(409).header("content-type", "application/json");
            let mut stream = exchange.respond.send_response(response.body(()).unwrap(), false).unwrap();
            stream.send_data(error.to_json().to_string().into(), true).unwrap();
            return;
        }
        let mut status = trailers("0");
        error.write_status(&mut status);
        // Without a body, or after a message.
        if exchange.head.uri.path() == UNARY && content_type.contains("grpc") {
            let mut response = Response::builder().header("content-type", content_type);
            response.headers_mut().unwrap().extend(status);
            exchange.respond.send_response(response.body(()).unwrap(), true).unwrap();
            return;
        }
        let mut stream = exchange.head(&content_type);
        let mut lines = Vec::new();
        for (name, value) in &status {
            lines.extend([name.as_str().as_bytes(), b": ", value.as_bytes(), b"\r\n"].concat());
        }
        let end = match content_type.as_str() {
            "application/grpc" => return stream.send_trailers(status).unwrap(),
            "application/grpc-web" => frame(0x80, &lines),
            _ => frame(2, format!("{{\"error\":{}}}", error.to_json()).as_bytes()),
        };
        stream.send_data(end, true).unwrap();
    })
    .await;
    let served = Served::with(backend.address, limited("mine"), |_| {}).await;
    let client = Client::new(served.address).await;
    let logs = "/flyteidl2.workflow.RunLogsService/TailLogs";
    // `action_id.run.project` in binary.
    let named = frame(0, b"\x0a\x08\x0a\x06\x12\x04mine");
    for (path, content_type, request) in [
        (UNARY, "application/proto", Bytes::new()),
        (UNARY, "application/grpc", frame(0, b"")),
        (UNARY, "application/grpc-web", frame(0, b"")),
        (STREAM, "application/connect+proto", frame(0, b"")),
        (STREAM, "application/grpc", frame(0, b"")),
        (STREAM, "application/grpc-web", frame(0, b"")),
        (logs, "application/connect+proto", named.clone()),
        (logs, "application/grpc", named.clone()),
        (logs, "application/grpc-web", named.clone()),
    ] {
        let got = client.call(path, &of_type(content_type), request).await;
        let all = format!("{:?} {:?} {}", got.headers, got.trailers, got.text());
        assert!(all.contains("not found") && !all.contains("theirs"), "{path} {content_type}: {all}");
        assert!(got.end.is_ok(), "{path} {content_type}: {got:?}");
        match content_type {
            "application/grpc" => assert_eq!(got.grpc_status(), Some("5"), "{all}"),
            "application/proto" => assert_eq!(got.status, StatusCode::NOT_FOUND),
            _ => {}
        }
    }
}

#[tokio::test]
async fn a_request_without_a_message_is_refused() {
    let backend = Backend::echo().await;
    for caller in [caller(), limited("mine")] {
        let served = Served::with(backend.address, caller, |_| {}).await;
        let client = Client::new(served.address).await;
        for (path, content_type) in [(UNARY, "application/grpc"), (STREAM, "application/grpc-web")] {
            let got = client.call(path, &of_type(content_type), "").await;
            assert_eq!(got.grpc_status(), Some("3"), "{path}: {got:?}");
        }
    }
    assert_eq!(backend.received().len(), 0);
}

#[tokio::test]
async fn what_cannot_be_filtered_must_be_asked_for_by_project() {
    let backend = Backend::echo().await;
    let served = Served::with(backend.address, limited("mine"), |_| {}).await;
    let client = Client::new(served.address).await;
    let groups = "/flyteidl2.workflow.RunService/WatchGroups";
    let got = client.call(groups, &of_type("application/grpc"), frame(0, b"")).await;
    assert_eq!(got.grpc_status(), Some("3"), "{got:?}");
    assert_eq!(backend.received().len(), 0);
    let got = client.call(groups, &of_type("application/grpc"), frame(0, b"\x0a\x06\x1a\x04mine")).await;
    assert_eq!(got.grpc_status(), Some("0"), "{got:?}");
}
