//! HTTP/1.1 on either side.

use std::{net::SocketAddr, sync::atomic::Ordering, time::Duration};

use bytes::Bytes;
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
    time::timeout,
};

use super::{
    PATIENCE, STREAM, UNARY,
    backend::Backend,
    client::{Client, of_type},
    frame,
    gateway::{Served, caller},
};
use crate::HttpVersion;

/// Reads the head and the body of a request with a length or in chunks.
async fn read_request(tcp: &mut TcpStream) -> Option<Vec<u8>> {
    let mut request = Vec::new();
    loop {
        let mut part = [0; 4096];
        let length = tcp.read(&mut part).await.ok().filter(|length| *length > 0)?;
        request.extend_from_slice(&part[..length]);
        // The preface of HTTP/2 is no request.
        if request.starts_with(b"PRI ") {
            let _ = tcp.write_all(b"HTTP/1.1 400 Bad Request\r\nconnection: close\r\n\r\n").await;
            // A server that closed at once would reset the connection, because more was on its way.
            while tcp.read(&mut part).await.is_ok_and(|length| length > 0) {}
            return None;
        }
        let text = String::from_utf8_lossy(&request).into_owned();
        let Some((head, body)) = text.split_once("\r\n\r\n") else { continue };
        let length = head.lines().find_map(|line| line.strip_prefix("content-length: "));
        let is_whole = match length {
            Some(length) => body.len() >= length.parse().unwrap(),
            None => body.ends_with("0\r\n\r\n"),
        };
        if is_whole {
            return Some(request);
        }
    }
}

/// A backend of HTTP/1.1 that answers each request with these bytes, and then closes the connection or not.
async fn raw(answer: &'static [u8], closes: bool) -> Backend {
    Backend::raw(move |mut tcp| async move {
        while read_request(&mut tcp).await.is_some() {
            tcp.write_all(answer).await.unwrap();
            if closes {
                return;
            }
        }
    })
    .await
}

#[tokio::test]
async fn a_backend_of_http1_is_found_out_and_its_connection_is_used_again() {
    let answer = b"HTTP/1.1 200 OK\r\ncontent-type: application/proto\r\ncontent-length: 4\r\n\r\ndone";
    let backend = raw(answer, false).await;
    let served = Served::before(&backend).await;
    let client = Client::new(served.address).await;
    for _ in 0..5 {
        let got = client.call(UNARY, &of_type("application/proto"), "").await;
        assert_eq!((got.status.as_u16(), got.text().as_str()), (200, "done"), "{got:?}");
    }
    let connections = backend.connections.load(Ordering::SeqCst);
    assert!((2..=4).contains(&connections), "one to find out, and one or two for the calls: {connections}");
}

#[tokio::test]
async fn a_backend_of_http1_that_breaks_off_never_looks_finished() {
    let cases: [(&'static [u8], &str, &str); 5] = [
        (
            b"HTTP/1.1 200 OK\r\ncontent-type: application/proto\r\ncontent-length: 400\r\n\r\ndone",
            "application/proto",
            "",
        ),
        (
            b"HTTP/1.1 200 OK\r\ncontent-type: application/connect+proto\r\ntransfer-encoding: chunked\r\n\r\n6\r\n\0\0\0\0\x01x\r\n",
            "application/connect+proto",
            "unavailable",
        ),
        (
            b"HTTP/1.1 200 OK\r\ncontent-type: application/connect+proto\r\ntransfer-encoding: chunked\r\n\r\n6\r\n\0\0\0\0\x01x\r\n0\r\n\r\n",
            "application/connect+proto",
            "unavailable",
        ),
        (
            b"HTTP/1.1 200 OK\r\ncontent-type: application/grpc-web+proto\r\n\r\n\0\0\0\0\x01x",
            "application/grpc-web+proto",
            "grpc-status: 14",
        ),
        (b"SSH-2.0-OpenSSH_9.2\r\n", "application/proto", "internal"),
    ];
    for (answer, content_type, expected) in cases {
        let backend = raw(answer, true).await;
        let served = Served::with(backend.address, caller(), |options| {
            options.upstreams[0].http = HttpVersion::Http1;
        })
        .await;
        let client = Client::new(served.address).await;
        let body = if content_type == "application/proto" { Bytes::new() } else { frame(0, b"") };
        let got = client.call(STREAM, &of_type(content_type), body).await;
        if expected.is_empty() {
            assert!(got.end.is_err(), "{got:?}");
        } else {
            assert!(got.text().contains(expected), "{content_type}: {got:?}");
        }
    }
}

/// Sends a request of HTTP/1.1 whole, and then reads the answer up to its head's end.
async fn upload(address: SocketAddr, path: &str, length: usize) -> (TcpStream, String) {
    let mut tcp = TcpStream::connect(address).await.unwrap();
    let head = format!(
        "POST {path} HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/proto\r\ncontent-length: {length}\r\n\r\n"
    );
    tcp.write_all(head.as_bytes()).await.unwrap();
    let part = vec![b'x'; 1 << 16];
    let mut left = length;
    while left > 0 {
        let now = left.min(part.len());
        timeout(PATIENCE, tcp.write_all(&part[..now])).await.expect("it is read").unwrap();
        left -= now;
    }
    let answer = read_answer(&mut tcp).await;
    (tcp, answer)
}

async fn read_answer(tcp: &mut TcpStream) -> String {
    let mut answer = Vec::new();
    while !String::from_utf8_lossy(&answer).contains("\r\n\r\n") {
        let mut part = [0; 4096];
        let length = timeout(PATIENCE, tcp.read(&mut part)).await.expect("an answer").unwrap();
        assert_ne!(length, 0, "{}", String::from_utf8_lossy(&answer));
        answer.extend_from_slice(&part[..length]);
    }
    String::from_utf8_lossy(&answer).into_owned()
}

#[tokio::test]
async fn an_early_refusal_arrives_although_the_client_only_writes() {
    let backend = Backend::echo().await;
    let served = Served::with(backend.address, caller(), |options| options.max_message = 1 << 20).await;
    for (path, status) in [("/flyteidl2.project.ProjectService/Nothing", "501"), (UNARY, "429")] {
        let (mut tcp, answer) = upload(served.address, path, 20 << 20).await;
        assert!(answer.starts_with(&format!("HTTP/1.1 {status}")), "{answer}");
        // The connection can be used again.
        let request = format!(
            "POST {UNARY} HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/proto\r\ncontent-length: 0\r\n\r\n"
        );
        tcp.write_all(request.as_bytes()).await.unwrap();
        let answer = read_answer(&mut tcp).await;
        assert!(answer.contains("HTTP/1.1 200"), "{answer}");
    }
}

#[tokio::test]
async fn an_early_refusal_arrives_before_the_upload_ends_on_http2() {
    let backend = Backend::echo().await;
    let served = Served::before(&backend).await;
    let client = Client::new(served.address).await;
    // A broken first message of a request that never ends.
    for (content_type, bytes) in [
        ("application/grpc", frame(0, b"\x0a\xff")),
        ("application/connect+proto", frame(0x40, b"")),
        ("application/grpc-web", frame(0, b"\x0a\xff")),
    ] {
        let (answer, mut request) = client.start(STREAM, &of_type(content_type)).await;
        request.send_data(bytes, false).unwrap();
        let got = Client::head(answer, request).await.finish().await;
        assert!(got.grpc_status() == Some("3") || got.text().contains("invalid_argument"), "{got:?}");
        assert!(got.end.is_ok(), "{got:?}");
    }
    assert_eq!(backend.received().len(), 0);
}

#[tokio::test]
async fn a_client_of_http1_that_goes_away_cancels_its_call() {
    let (told, mut seen) = tokio::sync::mpsc::unbounded_channel();
    let backend = Backend::new(move |mut exchange| {
        let told = told.clone();
        async move {
            let _ = exchange.read().await;
            told.send("begun").unwrap();
            let reset = std::future::poll_fn(|cx| exchange.respond.poll_reset(cx)).await;
            told.send(if reset.is_ok() { "reset" } else { "error" }).unwrap();
        }
    })
    .await;
    let served = Served::before(&backend).await;
    let mut tcp = TcpStream::connect(served.address).await.unwrap();
    let request = format!(
        "POST {UNARY} HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/proto\r\ncontent-length: 0\r\n\r\n"
    );
    tcp.write_all(request.as_bytes()).await.unwrap();
    assert_eq!(timeout(PATIENCE, seen.recv()).await.unwrap(), Some("begun"));
    drop(tcp);
    assert_eq!(timeout(PATIENCE, seen.recv()).await.unwrap(), Some("reset"));
    // A stream of HTTP/1.1 as well.
    let mut tcp = TcpStream::connect(served.address).await.unwrap();
    let head = format!(
        "POST {STREAM} HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/connect+proto\r\ncontent-length: 5\r\n\r\n"
    );
    tcp.write_all(head.as_bytes()).await.unwrap();
    tcp.write_all(&frame(0, b"")).await.unwrap();
    assert_eq!(timeout(PATIENCE, seen.recv()).await.unwrap(), Some("begun"));
    tokio::time::sleep(Duration::from_millis(1)).await;
    drop(tcp);
    assert_eq!(timeout(PATIENCE, seen.recv()).await.unwrap(), Some("reset"));
}
