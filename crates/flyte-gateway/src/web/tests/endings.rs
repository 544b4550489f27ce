//! Requests and answers end with the rights of their callers.

use super::*;

/// The end of a test that would otherwise never end.
const PATIENCE: Duration = Duration::from_secs(60);

/// A body without an end, which says when its reading has ended.
fn endless() -> (Body, Arc<Semaphore>) {
    struct Alive(Arc<Semaphore>);

    impl Drop for Alive {
        fn drop(&mut self) {
            self.0.add_permits(1);
        }
    }

    let dropped = Arc::new(Semaphore::new(0));
    let alive = Alive(Arc::clone(&dropped));
    let chunks = stream::iter([Ok::<_, axum::Error>("x")]).chain(stream::pending()).inspect(move |_| {
        let _ = &alive;
    });
    (Body::from_stream(chunks), dropped)
}

async fn is_broken_off(body: &mut Incoming) {
    let end = tokio::time::timeout(PATIENCE, body.frame()).await.expect("the answer ends");
    // Never as if it were complete.
    assert!(matches!(end, Some(Err(_))), "{end:?}");
}

#[tokio::test]
async fn answers_of_any_kind_end_with_the_session() {
    let front = Front::start().await;
    let (session, session_id) = front.sign_in().await;
    let cookie = front.app_cookie(&session).await;
    let own = ("origin", "https://a.apps.example.com:8443");
    let mut open = Vec::new();
    for path in ["/lines", "/events"] {
        let mut answer = front.ask("GET", APP, path, &[("cookie", &cookie)]).await;
        answer.body.frame().await.unwrap().unwrap();
        open.push(answer.body);
    }
    let mut console = front.ask("GET", OWN, "/v2/x", &[("cookie", &session)]).await;
    assert!(console.body.frame().await.unwrap().is_ok(), "an answer that is complete stays so");
    let headers = [("cookie", &*cookie), own];
    let waiting = front.ask("GET", APP, "/never", &headers);
    let end = async {
        WAITING.acquire().await.unwrap().forget();
        front.parts.store.delete_session(&session_id).await.unwrap();
        while front.web.slots.available_permits() < SLOTS {
            front.parts.access.check_streams().await;
            tokio::task::yield_now().await;
        }
    };
    let both = tokio::time::timeout(PATIENCE, async { tokio::join!(waiting, end) });
    let (waited, ()) = both.await.expect("a request that waits for its answer ends");
    assert_eq!(waited.status, 401);
    for body in &mut open {
        is_broken_off(body).await;
    }
}

#[tokio::test]
async fn answers_of_any_kind_end_with_the_token() {
    let front = Front::start().await;
    let token = format!("Bearer {}", front.token());
    let mut lines = front.ask("GET", APP, "/lines", &[("authorization", &token)]).await;
    lines.body.frame().await.unwrap().unwrap();
    front.parts.clock.advance(24 * 3600);
    front.parts.access.check_streams().await;
    is_broken_off(&mut lines.body).await;
}

#[tokio::test]
async fn an_upload_ends_with_its_answer() {
    let front = Front::start().await;
    let token = format!("Bearer {}", front.token());
    let (body, dropped) = endless();
    let answer = front.send("POST", APP, "/upload", &[("authorization", &token)], body).await;
    assert_eq!(answer.status(), 202);
    let ended = tokio::time::timeout(PATIENCE, dropped.acquire()).await;
    assert!(ended.is_ok(), "the upload continues after its answer");
}

#[tokio::test]
async fn open_answers_count_as_streams() {
    // A caller may have a quarter of them.
    let front = Front::with(&[("main", "127.0.0.1:9".parse().unwrap())], |config| {
        config.http.max_streams = 8;
    })
    .await;
    let token = format!("Bearer {}", front.token());
    let headers = [("authorization", &*token)];
    let first = front.ask("GET", APP, "/lines", &headers).await;
    let second = front.ask("GET", APP, "/lines", &headers).await;
    assert_eq!((first.status, second.status), (200, 200));
    assert_eq!(front.web.slots.available_permits(), SLOTS, "their answers have begun");
    let third = front.ask("GET", APP, "/x", &headers).await;
    assert_eq!(third.status, 429, "it does not reach the app");
    drop(second);
    let again = async {
        while front.ask("GET", APP, "/x", &headers).await.status != 200 {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(PATIENCE, again).await.expect("a place is free again");
    drop(first);
}

const SOCKET: [(&str, &str); 4] = [
    ("connection", "Upgrade"),
    ("upgrade", "websocket"),
    ("sec-websocket-version", "13"),
    ("sec-websocket-key", "dGhlIHNhbXBsZSBub25jZQ=="),
];

#[tokio::test]
async fn a_websocket_needs_the_apps_origin_and_ends_with_the_session() {
    let front = Front::start().await;
    let (session, session_id) = front.sign_in().await;
    let cookie = front.app_cookie(&session).await;
    let own = ("origin", "https://a.apps.example.com:8443");
    let handshake = |more: &[(&'static str, &'static str)]| {
        let cookie = [("cookie", cookie.clone())];
        let rest = SOCKET.iter().chain(more).map(|(name, value)| (*name, (*value).to_owned()));
        cookie.into_iter().chain(rest).collect::<Vec<_>>()
    };
    let open = async |headers: Vec<(&'static str, String)>| {
        let headers: Vec<_> = headers.iter().map(|(name, value)| (*name, value.as_str())).collect();
        front.open("GET", APP, "/socket", &headers).await
    };
    for more in [
        &[][..],
        &[("origin", "https://b.apps.example.com:8443")],
        &[("origin", "https://evil.example")],
        &[("sec-fetch-site", "same-origin")],
        &[own, ("sec-fetch-site", "same-site")],
    ] {
        assert_eq!(open(handshake(more)).await.status(), 403, "{more:?}");
    }
    let h2c = [("cookie", &*cookie), ("connection", "upgrade"), ("upgrade", "h2c"), own];
    assert_eq!(front.ask("GET", APP, "/socket", &h2c).await.status, 400);

    let mut opened = open(handshake(&[own])).await;
    assert_eq!(opened.status(), 101);
    assert_eq!(opened.headers()["sec-websocket-accept"], "x");
    let mut socket = TokioIo::new(hyper::upgrade::on(&mut opened).await.unwrap());
    socket.write_all(b"hello").await.unwrap();
    let mut echo = [0; 5];
    socket.read_exact(&mut echo).await.unwrap();
    assert_eq!(&echo, b"hello");

    let mut events = front.ask("GET", APP, "/events", &[("cookie", &cookie)]).await;
    let first = events.body.frame().await.unwrap().unwrap().into_data().unwrap();
    assert_eq!(first, "data: 1\n\n", "an event passes at once");

    front.parts.access.check_streams().await;
    front.parts.store.delete_session(&session_id).await.unwrap();
    front.parts.access.check_streams().await;
    let end = tokio::time::timeout(PATIENCE, socket.read(&mut echo)).await.expect("the WebSocket ends");
    assert!(!matches!(end, Ok(1..)), "{end:?}");
    let end = tokio::time::timeout(PATIENCE, events.body.frame()).await.expect("the events end");
    assert!(end.is_none_or(|frame| frame.is_err()));
}
