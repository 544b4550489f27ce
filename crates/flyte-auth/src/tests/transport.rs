//! Calls through the transport.

use connectrpc::client::{ClientTransport as _, full_body};
use http_body_util::BodyExt as _;

use super::*;
use crate::{AuthError, Transport, Unattended};

pub(super) async fn send(
    session: &Arc<Session>,
    url: Url,
    body: &'static [u8],
) -> Result<(u16, Bytes), AuthError> {
    let request = ::http::Request::post(url.as_str()).body(full_body(Bytes::from_static(body))).unwrap();
    let response = Transport::new(Arc::clone(session)).send(request).await?;
    let status = response.status().as_u16();
    Ok((status, response.into_body().collect().await.unwrap().to_bytes()))
}

async fn signed_in() -> (Arc<Realm>, Served, Arc<Session>) {
    let realm = Arc::new(Realm::default());
    let served = realm.serve().await;
    let session = served.session(Arc::new(Unattended));
    session.keep_for_test(&login("a0", "r0")).await;
    (realm, served, session)
}

#[tokio::test]
async fn the_token_is_in_the_servers_header_and_the_request_is_complete() {
    let (realm, served, session) = signed_in().await;
    let answer = send(&session, served.url("flyteidl2.project.ProjectService/ListProjects"), b"body").await;
    assert_eq!(answer.unwrap(), (200, Bytes::from_static(b"body")));
    let calls = realm.calls.lock().unwrap().clone();
    assert_eq!(calls.len(), 1);
    assert_eq!(calls[0].0.as_deref(), Some("Bearer a0"));
    assert_eq!(calls[0].1.as_ref().map(String::len), Some(36));
}

#[tokio::test]
async fn a_rejected_token_is_renewed_once_and_the_call_repeated() {
    let (realm, served, session) = signed_in().await;
    // The token is revoked at the server but has not expired.
    session.keep_for_test(&login("revoked", "r0")).await;
    let answer = send(&session, served.url("flyteidl2.project.ProjectService/CreateProject"), b"body").await;
    assert_eq!(answer.unwrap(), (200, Bytes::from_static(b"body")));
    let calls = realm.calls.lock().unwrap().clone();
    let tokens: Vec<_> = calls.iter().map(|(token, _)| token.as_deref().unwrap()).collect();
    assert_eq!(tokens, ["Bearer revoked", "Bearer a1"]);
    assert_eq!(calls[0].1, calls[1].1, "one call, one request id");
    assert_eq!(realm.count("token"), 1);
}

#[tokio::test]
async fn a_call_that_is_rejected_twice_fails() {
    let (realm, served, session) = signed_in().await;
    let answer = send(&session, served.url("flyteidl2.project.ProjectService/Never"), b"").await;
    assert_eq!(answer.unwrap().0, 401);
    assert_eq!((realm.count("Never"), realm.count("token")), (2, 1));
}

#[tokio::test]
async fn a_clock_difference_is_an_error() {
    let (realm, served, session) = signed_in().await;
    realm.rules(|rules| rules.date = Some(date(NOW + 7200)));
    let error = send(&session, served.url("flyteidl2.project.ProjectService/Never"), b"").await.unwrap_err();
    assert!(matches!(error, AuthError::ClockSkew { seconds: 7200, ahead: false }), "{error:?}");
    assert!(error.is_authentication() && error.to_string().contains("clock"));
}

#[tokio::test]
async fn the_token_goes_to_the_endpoint_only() {
    let (_, served, session) = signed_in().await;
    // Another server without TLS records what it receives.
    let received = Arc::new(Mutex::new(Vec::new()));
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let eavesdropper = Router::new().fallback({
        let received = Arc::clone(&received);
        move |headers: HeaderMap| async move { received.lock().unwrap().push(format!("{headers:?}")) }
    });
    tokio::spawn(async move { axum::serve(listener, eavesdropper).await.unwrap() });
    let base = served.endpoint();
    for url in [
        format!("http://localhost:{port}/flyteidl2.project.ProjectService/ListProjects"),
        format!("http://127.0.0.1:{port}/"),
    ] {
        assert_eq!(send(&session, url.parse().unwrap(), b"").await.unwrap().0, 200);
    }
    // The endpoint's own host and port, without TLS.
    let plain: Url = format!("http://{}/", base.authority()).parse().unwrap();
    assert_eq!(plain.port(), base.url().port());
    let there = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = there.local_addr().unwrap().port();
    drop(there);
    let listener = tokio::net::TcpListener::bind(("127.0.0.1", port)).await.unwrap();
    let same = Session::new(SessionOptions {
        endpoint: format!("localhost:{port}").parse().unwrap(),
        ..session.options().clone()
    });
    same.keep_for_test(&login("a0", "r0")).await;
    let router = Router::new().fallback({
        let received = Arc::clone(&received);
        move |headers: HeaderMap| async move { received.lock().unwrap().push(format!("{headers:?}")) }
    });
    tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
    assert_eq!(send(&same, format!("http://localhost:{port}/x").parse().unwrap(), b"").await.unwrap().0, 200);
    let received = received.lock().unwrap();
    assert_eq!(received.len(), 3);
    assert!(
        received
            .iter()
            .all(|headers| [" a0\"", "\"a0\"", "Bearer"].iter().all(|secret| !headers.contains(secret))),
        "{received:?}"
    );
}

#[tokio::test]
async fn only_read_only_calls_are_tried_again() {
    let (realm, served, session) = signed_in().await;
    realm.rules(|rules| rules.unavailable = 1);
    let read = send(&session, served.url("flyteidl2.project.ProjectService/ListProjects"), b"").await;
    assert_eq!((read.unwrap().0, realm.count("ListProjects")), (200, 2));
    realm.rules(|rules| rules.unavailable = 1);
    let write = send(&session, served.url("flyteidl2.project.ProjectService/CreateProject"), b"").await;
    // An empty 503 comes from an intermediary.
    let error = write.unwrap_err();
    assert!(matches!(&error, AuthError::Answered { answer, .. } if answer.status == 503), "{error:?}");
    assert_eq!(realm.count("CreateProject"), 1);
}

#[tokio::test]
async fn over_plain_http_no_token_is_sent() {
    let received = Arc::new(Mutex::new(Vec::new()));
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let (_, _served, session) = signed_in().await;
    let endpoint: Endpoint = format!("localhost:{port}").parse().unwrap();
    let insecure =
        Session::new(SessionOptions { endpoint: endpoint.with_insecure(true), ..session.options().clone() });
    insecure.keep_for_test(&login("a0", "r0")).await;
    let router = Router::new().fallback({
        let received = Arc::clone(&received);
        move |headers: HeaderMap| async move { received.lock().unwrap().push(format!("{headers:?}")) }
    });
    tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
    let answer = send(&insecure, format!("http://localhost:{port}/x").parse().unwrap(), b"").await;
    assert_eq!(answer.unwrap().0, 200);
    assert!(!received.lock().unwrap()[0].contains("Bearer"));
}
