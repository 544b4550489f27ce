//! Limits on the size of requests, including requests without a token.

use connectrpc::{CompressionProvider as _, GzipProvider};
use serde_json::json;

use super::*;

const MEBIBYTE: usize = 1 << 20;

#[tokio::test]
async fn a_request_above_the_size_limit_is_rejected() {
    let server = Server::start().await;
    for (path, user) in [(METADATA, None), (CREATE, Some("Root"))] {
        let body = json!({"project": {"id": "p", "description": "x".repeat(5 * MEBIBYTE)}});
        let answer = server.json(path, user, &body).await;
        assert_eq!(answer.error().0, "resource_exhausted", "{path}: {answer:?}");
    }
}

#[tokio::test]
async fn the_size_limit_is_a_setting() {
    let body = json!({"project": {"id": "p", "description": "x".repeat(5 * MEBIBYTE)}});
    let server = Server::with(|config| config.http.max_body_size = 8 * MEBIBYTE).await;
    let (code, message) = server.json(CREATE, Some("Root"), &body).await.error();
    assert_eq!((code.as_str(), message.starts_with("project.description")), ("invalid_argument", true));
    let body = json!({"project": {"id": "p", "description": "x".repeat(2000)}});
    let server = Server::with(|config| config.http.max_body_size = 1024).await;
    assert_eq!(server.json(CREATE, Some("Root"), &body).await.error().0, "resource_exhausted");
}

#[tokio::test]
async fn a_gzip_bomb_is_not_decompressed() {
    let server = Server::start().await;
    // 16 MiB that gzip compresses to less than 1 MiB, sent to a service that needs no token.
    let bomb = GzipProvider::new().compress(&vec![0; 16 * MEBIBYTE]).unwrap();
    assert!(bomb.len() < MEBIBYTE, "{}", bomb.len());
    let request = Request::post(METADATA)
        .header(header::CONTENT_TYPE, "application/proto")
        .header(header::CONTENT_ENCODING, "gzip")
        .body(Body::from(bomb.clone()))
        .unwrap();
    let answer = server.send(request).await;
    assert_eq!(answer.error().0, "resource_exhausted");

    let length = u32::try_from(bomb.len()).unwrap().to_be_bytes();
    let request = Request::post(METADATA)
        .header(header::CONTENT_TYPE, "application/grpc")
        .header("grpc-encoding", "gzip")
        .body(Body::from([&[1], &length[..], &bomb].concat()))
        .unwrap();
    let answer = server.send(request).await;
    let status = answer.trailers.get("grpc-status").or(answer.headers.get("grpc-status")).unwrap();
    assert_eq!(status, "8", "resource exhausted");
}

/// A frame of zstd (RFC 8878) with blocks: their kind, their size and their content.
fn zstd(blocks: &[(u8, usize, &[u8])]) -> Vec<u8> {
    // Without its length; a window of 128 KiB.
    let mut frame = vec![0x28, 0xb5, 0x2f, 0xfd, 0, 0x38];
    for (index, (kind, size, content)) in blocks.iter().enumerate() {
        let is_last = usize::from(index + 1 == blocks.len());
        let head = size << 3 | usize::from(*kind) << 1 | is_last;
        frame.extend(&head.to_le_bytes()[..3]);
        frame.extend(*content);
    }
    frame
}

#[tokio::test]
async fn requests_in_zstd_are_read_and_bounded() {
    let server = Server::start().await;
    let request = |content_type: &str, body: Vec<u8>| {
        let name = if content_type.contains("grpc") { "grpc-encoding" } else { "content-encoding" };
        let request = Request::post(METADATA).header(header::CONTENT_TYPE, content_type).header(name, "zstd");
        request.body(Body::from(body)).unwrap()
    };
    let framed = |message: &[u8]| {
        let length = u32::try_from(message.len()).unwrap().to_be_bytes();
        [&[1], &length[..], message].concat()
    };
    let (raw, run) = (0, 1);
    let message = zstd(&[(raw, 2, b"{}")]);
    let answer = server.send(request("application/json", message.clone())).await;
    assert_eq!(answer.status, StatusCode::OK, "{answer:?}");
    let answer = server.send(request("application/grpc+json", framed(&message))).await;
    assert_eq!(answer.trailers.get("grpc-status").unwrap(), "0", "{answer:?}");
    // 16 MiB of one byte.
    let bomb = zstd(&[(run, 128 << 10, &b" "[..]); 128]);
    assert!(bomb.len() < 1000);
    let answer = server.send(request("application/json", bomb)).await;
    assert_eq!(answer.error().0, "resource_exhausted");
    let answer = server.send(request("application/json", b"not zstd".to_vec())).await;
    assert_eq!(answer.error().0, "invalid_argument");
}

#[tokio::test]
async fn an_anonymous_method_accepts_only_a_few_kibibytes() {
    let server = Server::start().await;
    let request = |length: usize| {
        let request = Request::post(METADATA).header(header::CONTENT_TYPE, "application/proto");
        // The body is an unknown field with a long text.
        let mut body = vec![0xfa, 0x3f];
        body.extend([u8::try_from((length & 0x7f) | 0x80).unwrap(), u8::try_from(length >> 7).unwrap()]);
        body.resize(4 + length, b'x');
        request.body(Body::from(body)).unwrap()
    };
    assert_eq!(server.send(request(2000)).await.status, StatusCode::OK);
    let answer = server.send(request(6000)).await;
    assert_eq!(answer.error().0, "resource_exhausted", "{answer:?}");
    // In the other protocols, or without a length, the server stops reading at the limit.
    let body = futures_util::stream::iter((0..1000).map(|n| {
        assert!(n < 100, "the server reads beyond the limit");
        Ok::<_, std::io::Error>(Bytes::from(vec![0; 1000]))
    }));
    let request = Request::post(METADATA).header(header::CONTENT_TYPE, "application/json");
    let answer = server.send(request.body(Body::from_stream(body)).unwrap()).await;
    assert_eq!(answer.error().0, "resource_exhausted", "{answer:?}");
}

#[tokio::test]
async fn unknown_fields_are_limited() {
    let server = Server::start().await;
    let token = server.token("Root", &["all"]);
    let send = async |fields: usize| {
        // The unknown field 100 with the value 0, repeated: 1 KiB of gzip expands to 1 MiB of them.
        let body = GzipProvider::new().compress(&[0xa0, 0x06, 0].repeat(fields)).unwrap();
        let request = Request::post(LIST)
            .header(header::CONTENT_TYPE, "application/proto")
            .header(header::CONTENT_ENCODING, "gzip")
            .header(header::AUTHORIZATION, bearer(&token))
            .body(Body::from(body))
            .unwrap();
        server.send(request).await
    };
    assert_eq!(send(9_000).await.status, StatusCode::OK, "newer clients may send some unknown fields");
    let answer = send(1_000_000).await;
    let (code, message) = answer.error();
    assert!(code == "invalid_argument" || code == "resource_exhausted", "{code}");
    assert!(message.contains("unknown field"), "{message}");
}

#[tokio::test]
async fn an_envelope_above_the_size_limit_is_rejected() {
    let server = Server::start().await;
    for length in [u32::MAX, 64 << 20] {
        let request = Request::post(METADATA)
            .header(header::CONTENT_TYPE, "application/grpc")
            .body(Body::from([&[0], &length.to_be_bytes()[..], b"short"].concat()))
            .unwrap();
        let answer = server.send(request).await;
        let status = answer.trailers.get("grpc-status").or(answer.headers.get("grpc-status")).unwrap();
        assert_ne!(status, "0", "{answer:?}");
    }
}

#[tokio::test]
async fn malformed_requests_are_invalid_arguments() {
    let server = Server::start().await;
    let token = server.token("Root", &["all"]);
    for (content_type, body) in [
        ("application/proto", &b"\xff\xff\xff\xff"[..]),
        ("application/json", b"{"),
        ("application/json", b"{\"project\": 5}"),
        ("application/json", b"\xff"),
    ] {
        let request = Request::post(CREATE)
            .header(header::CONTENT_TYPE, content_type)
            .header(header::AUTHORIZATION, bearer(&token))
            .body(Body::from(body))
            .unwrap();
        let answer = server.send(request).await;
        assert_eq!(answer.error().0, "invalid_argument", "{content_type} {body:?}");
    }
    let request = Request::post(CREATE)
        .header(header::CONTENT_TYPE, "application/proto")
        .header(header::CONTENT_ENCODING, "gzip")
        .header(header::AUTHORIZATION, bearer(&token))
        .body(Body::from("not gzip"))
        .unwrap();
    assert_eq!(server.send(request).await.error().0, "invalid_argument");
    let request = Request::post(CREATE)
        .header(header::CONTENT_TYPE, "text/html")
        .header(header::AUTHORIZATION, bearer(&token))
        .body(Body::empty())
        .unwrap();
    assert_eq!(server.send(request).await.status, StatusCode::UNSUPPORTED_MEDIA_TYPE);
}
