//! There are so many streams at a time, and so many of one caller, whatever the method and the protocol.

use serde_json::json;

use super::{
    streams::{
        CONNECT, NOT_HERE, PERMISSION_DENIED, PROTOCOLS, open, read, server_with, streaming_methods, token,
    },
    *,
};
use flyte_model::PrincipalKind;

/// How many there may be.
const MOST: usize = 16;
/// How many of one caller.
const SHARE: usize = MOST / 4;
/// By gRPC's numbers.
const RESOURCE_EXHAUSTED: u8 = 8;
const WATCH_RUNS: &str = "/flyteidl2.workflow.RunService/WatchRuns";

struct Callers {
    server: super::run::Runs,
}

type Open = http::Response<Body>;

impl Callers {
    async fn start() -> Self {
        Self { server: server_with(|config| config.http.max_streams = MOST).await }
    }

    async fn open(&self, protocol: &str, token: &str) -> Open {
        open(self.server.router.clone(), protocol, WATCH_RUNS, &json!({}), token).await
    }

    /// As many open streams as the caller may have.
    async fn share(&self, token: &str) -> Vec<Open> {
        let mut streams = Vec::new();
        for _ in 0..SHARE {
            let mut stream = self.open(CONNECT[0], token).await;
            assert!(tells(&mut stream).await, "stream {}", streams.len());
            streams.push(stream);
        }
        streams
    }
}

/// Whether a stream has a message.
async fn tells(stream: &mut Open) -> bool {
    let frame = tokio::time::timeout(std::time::Duration::from_secs(60), stream.body_mut().frame()).await;
    let frame =
        frame.expect("it says something").and_then(Result::ok).and_then(|frame| frame.into_data().ok());
    frame.is_some_and(|frame| frame.first() == Some(&0))
}

/// Reads a stream that is to end at once.
async fn ends(stream: Open) -> (usize, u8) {
    tokio::time::timeout(std::time::Duration::from_secs(60), read(stream)).await.expect("it is refused")
}

#[tokio::test]
async fn every_stream_beyond_a_callers_share_is_refused_in_its_protocol() {
    let callers = Callers::start().await;
    let ada = callers.server.token("Ada", &["all"]);
    let mut streams = callers.share(&ada).await;
    let mut refused = 0;
    for (path, request) in streaming_methods() {
        for protocol in PROTOCOLS {
            let response = open(callers.server.router.clone(), protocol, &path, &request, &ada).await;
            let (messages, code) = ends(response).await;
            let not_theirs = code == PERMISSION_DENIED || NOT_HERE.contains(&code);
            assert!(code == RESOURCE_EXHAUSTED || not_theirs, "{protocol} {path}: {code}");
            assert_eq!(messages, 0, "{protocol} {path}");
            refused += usize::from(code == RESOURCE_EXHAUSTED);
        }
    }
    assert!(refused >= 9 * PROTOCOLS.len(), "{refused}");
    let body = callers.open(CONNECT[0], &ada).await.into_body().collect().await.unwrap().to_bytes();
    let end: Value = serde_json::from_slice(&body[5..]).unwrap();
    assert_eq!(end["error"]["code"], "resource_exhausted");
    let message = end["error"]["message"].as_str().unwrap();
    assert!(
        message.starts_with("4 streams of this caller are open") && message.contains("end one"),
        "{message}"
    );

    // Another one is not kept from its own, in whatever protocol.
    let root = callers.server.token("Root", &["all"]);
    for protocol in PROTOCOLS {
        assert!(tells(&mut callers.open(protocol, &root).await).await, "{protocol}");
    }
    // What has been closed makes room.
    for protocol in PROTOCOLS {
        drop(streams.pop());
        let mut next = callers.open(protocol, &ada).await;
        assert!(tells(&mut next).await, "{protocol}");
        assert_eq!(ends(callers.open(protocol, &ada).await).await, (0, RESOURCE_EXHAUSTED), "{protocol}");
        streams.insert(0, next);
    }
    // So does what its own side has ended: another sign-in is the same caller until then.
    callers.server.plane.access.revoke_family("family");
    for stream in streams {
        let _ = stream.into_body().collect().await.unwrap();
    }
    let again = callers.server.token_in("another family", "Ada");
    assert!(tells(&mut callers.open(CONNECT[0], &again).await).await);
}

#[tokio::test]
async fn runs_have_a_part_that_people_and_machines_cannot_take() {
    let callers = Callers::start().await;
    let server = &callers.server;
    let mut streams = Vec::new();
    for token in [
        server.token("Ada", &["all"]),
        server.token("Root", &["all"]),
        token(server, PrincipalKind::ApiKey).await,
    ] {
        streams.extend(callers.share(&token).await);
    }
    let rule = token(server, PrincipalKind::Federated).await;
    let body = callers.open(CONNECT[0], &rule).await.into_body().collect().await.unwrap().to_bytes();
    let end: Value = serde_json::from_slice(&body[5..]).unwrap();
    assert_eq!(end["error"]["code"], "resource_exhausted");
    assert!(end["error"]["message"].as_str().unwrap().contains("http.max-streams"), "{end}");
    let run = token(server, PrincipalKind::Run).await;
    streams.extend(callers.share(&run).await);
    assert_eq!(ends(callers.open(CONNECT[0], &run).await).await, (0, RESOURCE_EXHAUSTED));
}
