//! How calls end that do not end well.

use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, StatusCode};

use super::{
    STREAM, UNARY,
    backend::{Backend, trailers},
    client::{Client, Got, of_type},
    frame,
    gateway::{Served, caller},
};

const FRAMED: [&str; 4] =
    ["application/connect+proto", "application/grpc", "application/grpc-web", "application/grpc-web-text"];

/// One message, for a stream of this type.
fn request(content_type: &str) -> Bytes {
    if content_type == "application/grpc-web-text" { Bytes::from_static(b"AAAAAAA=") } else { frame(0, b"") }
}

/// The code at the end of a stream; `None` if it was reset.
fn end(content_type: &str, got: &Got) -> Option<String> {
    if got.end.is_err() {
        return None;
    }
    let text = match content_type {
        "application/grpc" => return got.grpc_status().map(str::to_owned),
        "application/grpc-web-text" => {
            if let Some(status) = got.grpc_status() {
                return Some(status.to_owned());
            }
            // The last part of the base64: each piece is padded on its own.
            let text = got.text();
            let start = text.find("gAAA").unwrap_or_else(|| panic!("{text}"));
            return Some(text[start..].to_owned());
        }
        _ => got.text(),
    };
    let code = |mark: &str, last: char| {
        let start = text.find(mark)? + mark.len();
        Some(text[start..].split(last).next()?.to_owned())
    };
    code("\"code\":\"", '"').or_else(|| code("grpc-status: ", '\r')).or(got.grpc_status().map(str::to_owned))
}

fn is_code(content_type: &str, got: &Got, number: &str, name: &str) -> bool {
    match end(content_type, got) {
        None => false,
        // Base64 of "grpc-status: N" depends on what is around it; that there is a last frame is enough.
        Some(_) if content_type == "application/grpc-web-text" => true,
        Some(code) => code == number || code == name,
    }
}

#[tokio::test]
async fn a_stream_without_its_end_marker_is_unavailable() {
    let backend = Backend::new(|mut exchange| async move {
        let _ = exchange.read().await;
        let content_type = exchange.head.headers["content-type"].to_str().unwrap().to_owned();
        let mut stream = exchange.head(&content_type);
        stream.send_data(frame(0, b"message"), false).unwrap();
        stream.send_data(Bytes::new(), true).unwrap();
    })
    .await;
    let served = Served::before(&backend).await;
    let client = Client::new(served.address).await;
    for content_type in FRAMED {
        let got = client.call(STREAM, &of_type(content_type), request(content_type)).await;
        assert!(is_code(content_type, &got, "14", "unavailable"), "{content_type}: {got:?}");
    }
}

#[tokio::test]
async fn a_stream_that_ends_within_a_message_is_never_a_clean_end() {
    let backend = Backend::new(|mut exchange| async move {
        let _ = exchange.read().await;
        let content_type = exchange.head.headers["content-type"].to_str().unwrap().to_owned();
        let mut stream = exchange.head(&content_type);
        stream.send_data(frame(0, b"message").slice(..7), false).unwrap();
        if content_type == "application/grpc" {
            // Even a good status does not make it whole.
            stream.send_trailers(trailers("0")).unwrap();
        } else {
            stream.send_data(Bytes::new(), true).unwrap();
        }
    })
    .await;
    let served = Served::before(&backend).await;
    let client = Client::new(served.address).await;
    for content_type in FRAMED {
        let got = client.call(STREAM, &of_type(content_type), request(content_type)).await;
        let is_broken = got.end.is_err() || is_code(content_type, &got, "14", "unavailable");
        assert!(is_broken, "{content_type}: {got:?}");
    }
}

#[tokio::test]
async fn a_backend_that_dies_midway_is_unavailable() {
    for content_type in FRAMED {
        let backend = Backend::new(move |mut exchange| async move {
            let _ = exchange.read().await;
            let content_type = exchange.head.headers["content-type"].to_str().unwrap().to_owned();
            let mut stream = exchange.head(&content_type);
            stream.send_data(frame(0, b"message"), false).unwrap();
            std::future::pending::<()>().await;
        })
        .await;
        let served = Served::before(&backend).await;
        let client = Client::new(served.address).await;
        let mut open = client.open(STREAM, &of_type(content_type), request(content_type)).await;
        assert!(open.data().await.unwrap().is_ok());
        backend.kill();
        let got = open.finish().await;
        assert!(is_code(content_type, &got, "14", "unavailable"), "{content_type}: {got:?}");
    }
}

#[tokio::test]
async fn a_page_a_redirect_or_a_challenge_is_an_error_in_the_callers_protocol() {
    for (status, code, name) in [
        (200, "2", "unknown"),
        (302, "2", "unknown"),
        (401, "13", "internal"),
        (403, "13", "internal"),
        (404, "12", "unimplemented"),
        (502, "14", "unavailable"),
    ] {
        let backend = Backend::new(move |mut exchange| async move {
            let _ = exchange.read().await;
            let page = http::Response::builder()
                .status(status)
                .header("content-type", "text/html")
                .header("location", "https://elsewhere.example.com/")
                .header("www-authenticate", "Basic");
            let mut stream = exchange.respond.send_response(page.body(()).unwrap(), false).unwrap();
            stream.send_data(Bytes::from_static(b"<html>secret of the backend</html>"), true).unwrap();
        })
        .await;
        let served = Served::before(&backend).await;
        let client = Client::new(served.address).await;
        for content_type in FRAMED.into_iter().chain(["application/proto", "application/json"]) {
            let is_unary = content_type == "application/proto" || content_type == "application/json";
            let body = if content_type == "application/json" {
                Bytes::from_static(b"{}")
            } else if is_unary {
                Bytes::new()
            } else {
                request(content_type)
            };
            let path = if is_unary { UNARY } else { STREAM };
            let got = client.call(path, &of_type(content_type), body).await;
            let text = format!("{got:?}");
            assert!(!text.contains("html") || text.contains("text/html"), "{text}");
            assert!(
                !text.contains("secret") && !text.contains("elsewhere") && !text.contains("Basic"),
                "{text}"
            );
            assert!(is_code(content_type, &got, code, name), "{status} {content_type}: {got:?}");
        }
    }
}

#[tokio::test]
async fn a_deadline_ends_a_call_that_hangs_and_is_passed_on() {
    let backend = Backend::new(|mut exchange| async move {
        let _ = exchange.read().await;
        std::future::pending::<()>().await;
    })
    .await;
    let served = Served::with(backend.address, caller(), |options| {
        options.unary_timeout = Duration::from_millis(100);
    })
    .await;
    let client = Client::new(served.address).await;
    for (content_type, timeout) in [
        ("application/connect+proto", ("connect-timeout-ms", "150")),
        ("application/grpc", ("grpc-timeout", "150m")),
        ("application/grpc-web", ("grpc-timeout", "150000u")),
    ] {
        let headers = [("content-type", content_type), timeout];
        let got = client.call(STREAM, &headers, frame(0, b"")).await;
        assert!(is_code(content_type, &got, "4", "deadline_exceeded"), "{content_type}: {got:?}");
        let received = backend.received().pop().unwrap();
        let passed = received.headers[timeout.0].to_str().unwrap();
        let is_less = match timeout.0 {
            "grpc-timeout" => flyte_protocol::parse_grpc_timeout(passed).unwrap(),
            _ => flyte_protocol::parse_connect_timeout(passed).unwrap(),
        } <= Duration::from_millis(150);
        assert!(is_less, "{passed}");
    }
    // A unary call without a time limit has that of the gateway.
    let got = client.call(UNARY, &of_type("application/proto"), "").await;
    assert_eq!(got.status, StatusCode::GATEWAY_TIMEOUT);
    assert!(got.text().contains("deadline_exceeded"));
    assert!(!backend.received().pop().unwrap().headers.contains_key("connect-timeout-ms"));
}

#[tokio::test]
async fn errors_of_the_backend_pass_with_large_details() {
    for size in [1 << 10, 14 << 10, 20 << 10, 40 << 10] {
        let backend = Backend::new(move |mut exchange| async move {
            let _ = exchange.read().await;
            let details = "A".repeat(size);
            let mut status: HeaderMap = trailers("9");
            status.insert("grpc-message", "not%20now".parse().unwrap());
            status.insert("grpc-status-details-bin", details.parse().unwrap());
            status.insert("x-unannounced", "1".parse().unwrap());
            if exchange.head.headers.contains_key("x-request-id") {
                // Trailers only.
                status.insert("content-type", "application/grpc".parse().unwrap());
                let mut head = http::Response::new(());
                *head.headers_mut() = status;
                exchange.respond.send_response(head, true).unwrap();
            } else {
                let mut stream = exchange.head("application/grpc");
                stream.send_data(frame(0, b"message"), false).unwrap();
                stream.send_trailers(status).unwrap();
            }
        })
        .await;
        let served = Served::before(&backend).await;
        let client = Client::new(served.address).await;
        let got = client.call(STREAM, &of_type("application/grpc"), frame(0, b"")).await;
        let end = got.trailers.unwrap();
        assert_eq!((end["grpc-status"].as_bytes(), end["x-unannounced"].as_bytes()), (&b"9"[..], &b"1"[..]));
        assert_eq!((got.body, end["grpc-status-details-bin"].len()), (frame(0, b"message"), size));
        let headers = [("content-type", "application/grpc"), ("x-request-id", "only")];
        let (answer, mut stream) = client.start(STREAM, &headers).await;
        stream.send_data(frame(0, b""), true).unwrap();
        let open = Client::head(answer, stream).await;
        assert!(open.body.is_end_stream(), "the head is the end");
        assert_eq!(open.headers["grpc-status"], "9");
        assert_eq!(open.headers["grpc-status-details-bin"].len(), size);
    }
}

#[tokio::test]
async fn the_error_of_a_unary_call_passes() {
    let backend = Backend::new(|mut exchange| async move {
        let _ = exchange.read().await;
        let error = r#"{"code":"failed_precondition","message":"not now","details":[{"type":"a.B","value":"AA","debug":{}}]}"#;
        let head = http::Response::builder().status(400).header("content-type", "application/json");
        let head = head.header("trailer-x-cost", "3").header("x-secret", "4");
        let mut stream = exchange.respond.send_response(head.body(()).unwrap(), false).unwrap();
        stream.send_data(Bytes::from_static(error.as_bytes()), true).unwrap();
    })
    .await;
    let served = Served::before(&backend).await;
    let client = Client::new(served.address).await;
    let got = client.call(UNARY, &of_type("application/proto"), "").await;
    assert_eq!(
        (got.status, got.headers["content-type"].as_bytes()),
        (StatusCode::BAD_REQUEST, &b"application/json"[..])
    );
    assert_eq!(
        got.text(),
        r#"{"code":"failed_precondition","details":[{"type":"a.B","value":"AA"}],"message":"not now"}"#
    );
    assert_eq!(got.headers["trailer-x-cost"], "3");
    assert!(!got.headers.contains_key("x-secret"));
}

#[tokio::test]
async fn a_stream_ends_with_its_token_its_revocation_and_the_server() {
    let backend = Backend::new(|mut exchange| async move {
        let _ = exchange.read().await;
        let content_type = exchange.head.headers["content-type"].to_str().unwrap().to_owned();
        let mut stream = exchange.head(&content_type);
        stream.send_data(frame(0, b"message"), false).unwrap();
        let _ = std::future::poll_fn(|cx| stream.poll_reset(cx)).await;
    })
    .await;
    for content_type in FRAMED {
        for (why, number, name) in [
            ("expired", "16", "unauthenticated"),
            ("revoked", "16", "unauthenticated"),
            ("stop", "14", "unavailable"),
        ] {
            let mut caller = caller();
            caller.expires_at = flyte_testing::NOW + 60;
            let served = Served::with(backend.address, caller, |_| {}).await;
            let client = Client::new(served.address).await;
            let mut open = client.open(STREAM, &of_type(content_type), request(content_type)).await;
            assert!(open.data().await.unwrap().is_ok());
            match why {
                "expired" => {
                    served.parts.clock.advance(61);
                    served.parts.access.check_streams().await;
                }
                "revoked" => served.parts.access.revoke_family("family"),
                _ => served.stopping.stop(),
            }
            let got = open.finish().await;
            assert!(is_code(content_type, &got, number, name), "{why} {content_type}: {got:?}");
        }
    }
}
