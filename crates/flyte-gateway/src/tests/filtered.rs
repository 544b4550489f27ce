//! What a caller who is limited to a project gets of answers that span projects.

use std::io::Write as _;

use bytes::Bytes;
use flyte_access::Caller;
use flyte_protocol::{Code, Refusal};
use http::{Response, StatusCode};
use serde_json::json;

use super::{
    STREAM, UNARY,
    backend::{Backend, End, Exchange, answer, end_of, trailers},
    client::{Client, Got, of_type},
    flyte::{field, identifier, request},
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

/// The page without the project of others.
fn own_page(content_type: &str, token: &str) -> Vec<u8> {
    if content_type.ends_with("json") {
        format!(r#"{{"projects":{{"projects":[{{"id":"mine"}}],"token":"{token}"}}}}"#).into_bytes()
    } else {
        let content = [b"\x0a\x06\x0a\x04mine", &field(2, token.as_bytes())[..]].concat();
        // Longer than a length of one byte.
        let length = u8::try_from(content.len() & 0x7f).unwrap() | 0x80;
        [&[0x0a, length, u8::try_from(content.len() >> 7).unwrap()], &content[..]].concat()
    }
}

/// The token in a page, as the caller gets it.
fn token(page: &[u8]) -> String {
    let is_part = |byte: &u8| byte.is_ascii_alphanumeric() || b"-_".contains(byte);
    let words = page.split(|byte| !is_part(byte)).map(|word| String::from_utf8(word.to_vec()).unwrap());
    words.max_by_key(String::len).unwrap()
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
        if content_type == "application/grpc-web-text" {
            use base64::{Engine as _, engine::general_purpose::STANDARD};
            let text = got.text();
            // What is padded ends the message; the end of the answer follows.
            let end = text.find('=').map_or(text.len(), |end| end.next_multiple_of(4));
            let page = STANDARD.decode(&text[..end]).unwrap();
            let token = token(&page);
            assert!(page.starts_with(&frame(0, &own_page(content_type, &token))), "{text}");
            continue;
        }
        let token = token(&got.body);
        assert!(token.len() > 100, "{content_type}: {token}");
        let own = own_page(content_type, &token);
        let expected = if content_type.contains("grpc") { frame(0, &own) } else { own.into() };
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

/// The run that an action belongs to, in both forms: `details.id.run`.
fn details(content_type: &str, project: &str) -> Bytes {
    let mut binary = identifier(project, "development", "r");
    for _ in 0..3 {
        binary = field(1, &binary);
    }
    request(content_type, &binary, &json!({"details": {"id": {"run": {"project": project}}}}))
}

#[tokio::test]
async fn an_answer_about_another_project_is_not_found_in_each_protocol() {
    const GET: &str = "/flyteidl2.workflow.RunService/GetActionDetails";
    for (project, code) in [("mine", "0"), ("theirs", "5")] {
        let backend = Backend::new(move |mut exchange: Exchange| async move {
            let _ = exchange.read().await;
            let content_type = exchange.head.headers["content-type"].to_str().unwrap().to_owned();
            answer(&mut exchange, details(&content_type, project));
        })
        .await;
        for content_type in MEDIA_TYPES.into_iter().filter(|one| !one.ends_with("text")) {
            let served = Served::with(backend.address, limited("mine"), |_| {}).await;
            let client = Client::new(served.address).await;
            let json = json!({"actionId": {"run": {"project": "mine"}}});
            let asked = request(content_type, b"\x0a\x08\x0a\x06\x12\x04mine", &json);
            let got = client.call(GET, &of_type(content_type), asked).await;
            assert!(got.end.is_ok() && !got.text().contains("theirs"), "{content_type}: {got:?}");
            let all = format!("{:?} {:?} {}", got.headers, got.trailers, got.text());
            if content_type.starts_with("application/grpc") {
                assert!(
                    all.contains(&format!("grpc-status\": \"{code}"))
                        || all.contains(&format!("grpc-status: {code}")),
                    "{all}"
                );
            } else {
                assert_eq!(got.status.as_u16(), if code == "0" { 200 } else { 404 }, "{all}");
            }
            if code == "0" {
                let expected = details(content_type, "mine");
                assert!(got.body.starts_with(&expected), "{content_type}: {all}");
            }
        }
    }
}

#[tokio::test]
async fn a_stream_that_turns_to_another_project_ends() {
    const WATCH: &str = "/flyteidl2.workflow.RunService/WatchActionDetails";
    let backend = Backend::new(|mut exchange: Exchange| async move {
        let _ = exchange.read().await;
        let mut stream = exchange.head("application/grpc");
        stream.send_data(details("application/grpc", "mine"), false).unwrap();
        stream.send_data(details("application/grpc", "theirs"), false).unwrap();
        std::future::pending::<()>().await;
    })
    .await;
    let served = Served::with(backend.address, limited("mine"), |_| {}).await;
    let client = Client::new(served.address).await;
    let asked = frame(0, b"\x0a\x08\x0a\x06\x12\x04mine");
    let got = client.call(WATCH, &of_type("application/grpc"), asked).await;
    assert_eq!((got.grpc_status(), &got.body), (Some("5"), &details("application/grpc", "mine")));
}

#[tokio::test]
async fn a_page_token_is_the_backends_again_on_its_way_up() {
    let backend = Backend::new(|mut exchange: Exchange| async move {
        let asked = exchange.read().await.unwrap();
        let is_first = !asked.windows(5).any(|part| part == b"token");
        assert!(is_first || asked.ends_with(br#""token":"offset-2"}"#), "{asked:?}");
        let page = br#"{"projects":{"projects":[{"id":"mine"}],"token":"offset-2"}}"#;
        answer(&mut exchange, Bytes::from_static(page));
    })
    .await;
    let served = Served::with(backend.address, limited("mine"), |_| {}).await;
    let client = Client::new(served.address).await;
    let ask = async |token: &str| {
        let request =
            if token.is_empty() { json!({"limit": 1}) } else { json!({"limit": 2, "token": token}) };
        client.call(UNARY, &of_type("application/json"), request.to_string()).await
    };
    let first = ask("").await;
    let token = token(&first.body);
    assert!(!first.text().contains("offset"), "{}", first.text());
    assert_eq!(ask(&token).await.status, StatusCode::OK);
    assert_eq!(backend.received().len(), 2);
    for other in ["offset-2", &token[1..]] {
        let got = ask(other).await;
        assert_eq!(got.status, StatusCode::BAD_REQUEST, "{}", got.text());
        assert!(got.text().contains("invalid_argument") && got.text().contains("token"), "{}", got.text());
    }
    assert_eq!(backend.received().len(), 2);
}
