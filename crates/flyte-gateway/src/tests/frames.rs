//! Streams: messages as they come, in both directions.

use std::{sync::Arc, time::Duration};

use bytes::Bytes;
use tokio::{
    sync::{Notify, mpsc},
    time::timeout,
};

use super::{
    PATIENCE, STREAM, UNARY,
    backend::{Backend, End, end_of, trailers},
    client::{Client, of_type},
    frame,
    gateway::{Served, caller},
};

#[tokio::test]
async fn each_message_of_a_stream_passes_when_it_comes() {
    for content_type in ["application/connect+proto", "application/grpc", "application/grpc-web"] {
        let (go, waits) = mpsc::unbounded_channel::<()>();
        let waits = Arc::new(tokio::sync::Mutex::new(waits));
        let backend = Backend::new(move |mut exchange| {
            let waits = Arc::clone(&waits);
            async move {
                let _ = exchange.read().await;
                let mut stream = exchange.head(content_type);
                while waits.lock().await.recv().await.is_some() {
                    stream.send_data(frame(0, b"message"), false).unwrap();
                }
                match end_of(content_type) {
                    End::Frame(end) => stream.send_data(end, true).unwrap(),
                    End::Trailers(end) => stream.send_trailers(end).unwrap(),
                    End::Http => {}
                }
            }
        })
        .await;
        let served = Served::before(&backend).await;
        let client = Client::new(served.address).await;
        let mut open = client.open(STREAM, &of_type(content_type), frame(0, b"")).await;
        for _ in 0..3 {
            go.send(()).unwrap();
            assert_eq!(open.data().await.unwrap().unwrap(), frame(0, b"message"), "{content_type}");
        }
        drop(go);
        let got = open.finish().await;
        assert!(
            got.end.is_ok() && (got.trailers.is_some() == (content_type == "application/grpc")),
            "{got:?}"
        );
    }
}

#[tokio::test]
async fn one_message_is_enough_and_the_open_side_stays_open() {
    let closed = Arc::new(Notify::new());
    let for_backend = Arc::clone(&closed);
    let backend = Backend::new(move |mut exchange| {
        let closed = Arc::clone(&for_backend);
        async move {
            let first = exchange.body.data().await.unwrap().unwrap();
            let mut stream = exchange.head("application/grpc");
            stream.send_data(first, false).unwrap();
            // More messages, and then the end.
            let rest = exchange.read().await.unwrap();
            closed.notify_one();
            stream.send_data(rest, false).unwrap();
            stream.send_trailers(trailers("0")).unwrap();
        }
    })
    .await;
    let served = Served::before(&backend).await;
    let client = Client::new(served.address).await;
    let (answer, mut request) = client.start(STREAM, &of_type("application/grpc")).await;
    request.send_data(frame(0, b""), false).unwrap();
    let mut open = Client::head(answer, request).await;
    assert_eq!(open.data().await.unwrap().unwrap(), frame(0, b""));
    assert!(timeout(Duration::from_millis(20), closed.notified()).await.is_err(), "the side is open");
    open.request.send_data(frame(0, b"\x1a\x00"), false).unwrap();
    open.request.send_data(Bytes::new(), true).unwrap();
    timeout(PATIENCE, closed.notified()).await.unwrap();
    let got = open.finish().await;
    assert_eq!((got.body.clone(), got.grpc_status()), (frame(0, b"\x1a\x00"), Some("0")), "{got:?}");
}

#[tokio::test]
async fn a_later_message_that_is_refused_ends_the_call_on_both_sides() {
    let (told, mut seen) = mpsc::unbounded_channel();
    let backend = Backend::new(move |mut exchange| {
        let told = told.clone();
        async move {
            let mut stream = exchange.head("application/grpc");
            stream.send_data(frame(0, b""), false).unwrap();
            told.send(exchange.read().await.is_err()).unwrap();
        }
    })
    .await;
    let served = Served::before(&backend).await;
    let client = Client::new(served.address).await;
    let (answer, mut request) = client.start(STREAM, &of_type("application/grpc")).await;
    request.send_data(frame(0, b""), false).unwrap();
    let mut open = Client::head(answer, request).await;
    open.data().await.unwrap().unwrap();
    open.request.send_data(frame(0, b"\x0a\xff"), false).unwrap();
    let got = open.finish().await;
    assert_eq!(got.grpc_status(), Some("3"), "{got:?}");
    assert_eq!(timeout(PATIENCE, seen.recv()).await.unwrap(), Some(true), "the backend's stream was reset");
}

#[tokio::test]
async fn a_cancel_resets_the_call_at_the_backend_also_while_a_write_is_blocked() {
    let (told, mut seen) = mpsc::unbounded_channel();
    let backend = Backend::new(move |mut exchange| {
        let told = told.clone();
        async move {
            // Reads nothing, so that a large request stays in flight.
            let mut stream = (exchange.head.headers["content-type"] == "application/grpc")
                .then(|| exchange.head("application/grpc"));
            told.send("begun").unwrap();
            let reset = match &mut stream {
                Some(stream) => std::future::poll_fn(|cx| stream.poll_reset(cx)).await,
                None => std::future::poll_fn(|cx| exchange.respond.poll_reset(cx)).await,
            };
            assert!(reset.is_ok());
            told.send("reset").unwrap();
        }
    })
    .await;
    let served = Served::before(&backend).await;
    let client = Client::new(served.address).await;
    let large = {
        // An unknown field of 1 MiB, larger than any window.
        let mut message = vec![0xfa, 0x7f, 0x80, 0x80, 0x40];
        message.resize(message.len() + (1 << 20), b'x');
        message
    };
    for (content_type, path, body) in [
        ("application/proto", UNARY, Bytes::from(large.clone())),
        ("application/grpc", STREAM, frame(0, &large)),
    ] {
        let (answer, mut request) = client.start(path, &of_type(content_type)).await;
        request.send_data(body, true).unwrap();
        assert_eq!(timeout(PATIENCE, seen.recv()).await.unwrap(), Some("begun"), "{content_type}");
        request.send_reset(h2::Reason::CANCEL);
        drop(answer);
        assert_eq!(timeout(PATIENCE, seen.recv()).await.unwrap(), Some("reset"), "{content_type}");
    }
}

#[tokio::test]
async fn a_caller_that_does_not_read_holds_the_backend_back_and_others_continue() {
    let sent = Arc::new(std::sync::atomic::AtomicUsize::new(0));
    let for_backend = Arc::clone(&sent);
    let backend = Backend::new(move |mut exchange| {
        let sent = Arc::clone(&for_backend);
        async move {
            if exchange.head.uri.path() != STREAM {
                let _ = exchange.read().await;
                return super::backend::answer(&mut exchange, Bytes::new());
            }
            let mut stream = exchange.head("application/grpc");
            loop {
                stream.reserve_capacity(16 << 10);
                let room = std::future::poll_fn(|cx| stream.poll_capacity(cx)).await;
                let Some(Ok(room)) = room else { return };
                let message = frame(0, &vec![0; room.saturating_sub(5)]);
                sent.fetch_add(message.len(), std::sync::atomic::Ordering::SeqCst);
                if stream.send_data(message, false).is_err() {
                    return;
                }
            }
        }
    })
    .await;
    let served = Served::with(backend.address, caller(), |_| {}).await;
    let client = Client::new(served.address).await;
    let mut open = client.open(STREAM, &of_type("application/grpc"), frame(0, b"")).await;
    let first = open.body.data().await.unwrap().unwrap();
    assert!(!first.is_empty());
    // The backend stops when the windows of both connections and what is on its way are full.
    let mut before = 0;
    timeout(PATIENCE, async {
        loop {
            tokio::time::sleep(Duration::from_millis(100)).await;
            let now = sent.load(std::sync::atomic::Ordering::SeqCst);
            if now == before {
                break;
            }
            before = now;
        }
    })
    .await
    .expect("the backend is held back");
    assert!(before < 2 << 20, "{before}");
    let other = Client::new(served.address).await;
    let got = other.call(UNARY, &of_type("application/proto"), "").await;
    assert_eq!(got.status, 200);
}

#[tokio::test]
async fn many_large_requests_share_a_connection_and_all_arrive() {
    let backend = Backend::echo().await;
    let served = Served::before(&backend).await;
    let mut large = vec![0xfa, 0x7f, 0x80, 0x80, 0x40];
    large.resize(large.len() + (1 << 20), b'x');
    let large = Bytes::from(large);
    let client = Client::new(served.address).await;
    let calls = (0..30).map(|_| client.call(UNARY, &[("content-type", "application/proto")], large.clone()));
    let got = timeout(PATIENCE, futures_util::future::join_all(calls)).await.expect("no call waits for ever");
    assert!(got.iter().all(|got| got.body.len() == large.len()));
}
