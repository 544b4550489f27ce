//! Limits on open streams, in total and for each caller, across all methods and protocols.

use serde_json::json;

use super::{
    streams::{
        CONNECT, NOT_SUPPORTED, PERMISSION_DENIED, PROTOCOLS, open, read, server_with, streaming_methods,
        token,
    },
    *,
};
use flyte_model::PrincipalKind;

/// The most open streams of the server.
const MAX_STREAMS: usize = 16;
/// The most open streams of one caller.
const MAX_STREAMS_OF_A_CALLER: usize = MAX_STREAMS / 4;
/// A gRPC status code.
const RESOURCE_EXHAUSTED: u8 = 8;
const WATCH_RUNS: &str = "/flyteidl2.workflow.RunService/WatchRuns";

struct Callers {
    server: super::run::Runs,
}

type Open = http::Response<Body>;

impl Callers {
    async fn start() -> Self {
        Self { server: server_with(|config| config.http.max_streams = MAX_STREAMS).await }
    }

    async fn open(&self, protocol: &str, token: &str) -> Open {
        open(self.server.router.clone(), protocol, WATCH_RUNS, &json!({}), token).await
    }

    /// Opens as many streams as one caller may have.
    async fn open_all(&self, token: &str) -> Vec<Open> {
        let mut streams = Vec::new();
        for _ in 0..MAX_STREAMS_OF_A_CALLER {
            let mut stream = self.open(CONNECT[0], token).await;
            assert!(has_message(&mut stream).await, "stream {}", streams.len());
            streams.push(stream);
        }
        streams
    }
}

/// Waits for a message; `false` if the stream ended instead.
async fn has_message(stream: &mut Open) -> bool {
    let frame = tokio::time::timeout(std::time::Duration::from_secs(60), stream.body_mut().frame()).await;
    let frame = frame
        .expect("a message or the end arrives in time")
        .and_then(Result::ok)
        .and_then(|frame| frame.into_data().ok());
    frame.is_some_and(|frame| frame.first() == Some(&0))
}

/// Reads a stream that must end at once.
async fn read_ended(stream: Open) -> (usize, u8) {
    tokio::time::timeout(std::time::Duration::from_secs(60), read(stream))
        .await
        .expect("the stream ends at once")
}

#[tokio::test]
async fn streams_above_the_limit_of_a_caller_are_rejected_in_each_protocol() {
    let callers = Callers::start().await;
    let ada = callers.server.token("Ada", &["all"]);
    let mut streams = callers.open_all(&ada).await;
    let mut rejected = 0;
    for (path, request) in streaming_methods() {
        for protocol in PROTOCOLS {
            let response = open(callers.server.router.clone(), protocol, &path, &request, &ada).await;
            let (messages, code) = read_ended(response).await;
            let not_available = code == PERMISSION_DENIED || NOT_SUPPORTED.contains(&code);
            assert!(code == RESOURCE_EXHAUSTED || not_available, "{protocol} {path}: {code}");
            assert_eq!(messages, 0, "{protocol} {path}");
            rejected += usize::from(code == RESOURCE_EXHAUSTED);
        }
    }
    assert!(rejected >= 9 * PROTOCOLS.len(), "{rejected}");
    let body = callers.open(CONNECT[0], &ada).await.into_body().collect().await.unwrap().to_bytes();
    let end: Value = serde_json::from_slice(&body[5..]).unwrap();
    assert_eq!(end["error"]["code"], "resource_exhausted");
    let message = end["error"]["message"].as_str().unwrap();
    assert!(
        message.starts_with("this caller has 4 open streams") && message.contains("end one"),
        "{message}"
    );

    // Another caller can still open streams in each protocol.
    let root = callers.server.token("Root", &["all"]);
    for protocol in PROTOCOLS {
        assert!(has_message(&mut callers.open(protocol, &root).await).await, "{protocol}");
    }
    // A closed stream makes room for a new one.
    for protocol in PROTOCOLS {
        drop(streams.pop());
        let mut next = callers.open(protocol, &ada).await;
        assert!(has_message(&mut next).await, "{protocol}");
        assert_eq!(
            read_ended(callers.open(protocol, &ada).await).await,
            (0, RESOURCE_EXHAUSTED),
            "{protocol}"
        );
        streams.insert(0, next);
    }
    // A stream that the server has ended also makes room. Another sign-in of the same user counts as the same caller.
    callers.server.plane.access.revoke_family("family");
    for stream in streams {
        let _ = stream.into_body().collect().await.unwrap();
    }
    let again = callers.server.token_in("another family", "Ada");
    assert!(has_message(&mut callers.open(CONNECT[0], &again).await).await);
}

#[tokio::test]
async fn some_streams_are_reserved_for_runs() {
    let callers = Callers::start().await;
    let server = &callers.server;
    let mut streams = Vec::new();
    for token in [
        server.token("Ada", &["all"]),
        server.token("Root", &["all"]),
        token(server, PrincipalKind::ApiKey).await,
    ] {
        streams.extend(callers.open_all(&token).await);
    }
    let rule = token(server, PrincipalKind::Federated).await;
    let body = callers.open(CONNECT[0], &rule).await.into_body().collect().await.unwrap().to_bytes();
    let end: Value = serde_json::from_slice(&body[5..]).unwrap();
    assert_eq!(end["error"]["code"], "resource_exhausted");
    assert!(end["error"]["message"].as_str().unwrap().contains("http.max-streams"), "{end}");
    let run = token(server, PrincipalKind::Run).await;
    streams.extend(callers.open_all(&run).await);
    assert_eq!(read_ended(callers.open(CONNECT[0], &run).await).await, (0, RESOURCE_EXHAUSTED));
}
