//! Good calls in each protocol, and what the backend gets of them.

use base64::{Engine as _, prelude::BASE64_STANDARD_NO_PAD as STANDARD_NO_PAD};
use bytes::Bytes;
use flyte_access::door::{RPCS, RequiredScope};
use http::{Method, StatusCode};

use super::{
    STREAM, UNARY,
    backend::Backend,
    client::{Client, of_type},
    frame,
    gateway::{Served, limited},
};
use crate::{Options, UpstreamOptions};

/// A message that names nothing.
const MESSAGE: &[u8] = b"";

/// Names a project.
const GET_PROJECT: &str = "/flyteidl2.project.ProjectService/GetProject";

#[tokio::test]
async fn each_protocol_reaches_the_backend_and_comes_back() {
    let backend = Backend::echo().await;
    let served = Served::before(&backend).await;
    let client = Client::new(served.address).await;
    for (content_type, upstream, body) in [
        ("application/proto", "application/proto", Bytes::from_static(MESSAGE)),
        ("application/json", "application/json", Bytes::from_static(b"{}")),
        ("application/connect+proto", "application/connect+proto", frame(0, MESSAGE)),
        ("application/connect+json", "application/connect+json", frame(0, b"{}")),
        ("application/grpc", "application/grpc", frame(0, MESSAGE)),
        ("application/grpc+proto", "application/grpc+proto", frame(0, MESSAGE)),
        ("application/grpc-web+proto", "application/grpc-web+proto", frame(0, MESSAGE)),
        ("application/grpc-web-text", "application/grpc-web", Bytes::from_static(b"AAAAAAA=")),
    ] {
        let path = if content_type.contains("connect") { STREAM } else { UNARY };
        let got = client.call(path, &of_type(content_type), body.clone()).await;
        assert_eq!((got.status, &got.end.is_ok()), (StatusCode::OK, &true), "{content_type}: {got:?}");
        assert_eq!(got.headers["content-type"], content_type);
        let received = backend.received().pop().unwrap();
        assert_eq!(received.headers["content-type"], upstream);
        assert_eq!(received.path, path);
        if content_type == "application/grpc-web-text" {
            assert_eq!(received.body, frame(0, MESSAGE));
            // Padded, or joined with what follows.
            assert!(got.text().starts_with("AAAAAA"), "{}", got.text());
        } else {
            assert_eq!(received.body, body, "{content_type}");
            assert!(got.body.starts_with(&body), "{content_type}");
        }
        if content_type.starts_with("application/grpc") && !content_type.contains("web") {
            assert_eq!(got.grpc_status(), Some("0"));
            assert_eq!(received.headers["te"], "trailers");
        }
    }
}

#[tokio::test]
async fn a_get_becomes_a_post_and_only_for_rpcs_that_change_nothing() {
    let backend = Backend::echo().await;
    let served = Served::before(&backend).await;
    let client = Client::new(served.address).await;
    let query = "?connect=v1&encoding=json&message=%7B%7D";
    let (answer, stream) = client.start_as(Method::GET, &format!("{UNARY}{query}"), &[], true).await;
    let got = Client::head(answer, stream).await.finish().await;
    assert_eq!((got.status, got.text().as_str()), (StatusCode::OK, "{}"));
    let received = backend.received();
    assert_eq!((received.len(), received[0].body.as_ref()), (1, b"{}".as_slice()));
    let write = format!("/flyteidl2.project.ProjectService/CreateProject{query}");
    let (answer, stream) = client.start_as(Method::GET, &write, &[], true).await;
    let got = Client::head(answer, stream).await.finish().await;
    assert_eq!(got.status, StatusCode::METHOD_NOT_ALLOWED, "{got:?}");
    assert_eq!(backend.received().len(), 1);
}

#[tokio::test]
async fn only_listed_headers_go_up_and_come_back() {
    let backend = Backend::new(|mut exchange| async move {
        let _ = exchange.read().await;
        let headers = [("set-cookie", "a=b"), ("server", "go"), ("access-control-allow-origin", "*")];
        let mut stream = exchange.head_with("application/proto", &headers);
        stream.send_data(Bytes::new(), true).unwrap();
    })
    .await;
    let served = Served::before(&backend).await;
    let client = Client::new(served.address).await;
    let headers = [
        ("content-type", "application/proto"),
        ("authorization", "Bearer secret"),
        ("cookie", "session=secret"),
        ("x-amzn-oidc-data", "forged"),
        ("x-amzn-oidc-identity", "forged"),
        ("x-auth-request-email", "forged"),
        ("x-forwarded-for", "203.0.113.9"),
        ("x-user-id", "forged"),
        ("x-request-id", "request-1"),
    ];
    let got = client.call(UNARY, &headers, "").await;
    assert_eq!(got.status, StatusCode::OK);
    for name in ["set-cookie", "server", "access-control-allow-origin"] {
        assert!(!got.headers.contains_key(name), "{name}");
    }
    let received = backend.received().pop().unwrap();
    let text = format!("{:?}", received.headers);
    assert!(!text.contains("forged") && !text.contains("secret") && !text.contains("203.0.113.9"), "{text}");
    assert_eq!(received.headers["x-request-id"], "request-1");
    assert_eq!(received.headers["x-forwarded-proto"], "https");
    assert_eq!(received.headers["x-amzn-oidc-identity"], "rule:ada");
    assert_eq!(received.headers.get_all("x-amzn-oidc-data").iter().count(), 1);
}

#[tokio::test]
async fn what_the_door_refuses_never_reaches_the_backend() {
    let backend = Backend::echo().await;
    let served = Served::with(backend.address, limited("mine"), |_| {}).await;
    let client = Client::new(served.address).await;
    let json = r#"{"id":"theirs"}"#;
    let named =
        [("application/json", Bytes::from(json)), ("application/grpc+json", frame(0, json.as_bytes()))];
    for (content_type, body) in named {
        let got = client.call(GET_PROJECT, &of_type(content_type), body).await;
        let is_not_found = got.status == StatusCode::NOT_FOUND || got.grpc_status() == Some("5");
        assert!(is_not_found, "{content_type}: {got:?}");
        // The rule that decided is in the details, in the place that the protocol has for them.
        let rule = match got.headers.get("grpc-status-details-bin") {
            Some(details) => STANDARD_NO_PAD.decode(details.as_bytes()).unwrap(),
            None => {
                let error: serde_json::Value = serde_json::from_str(&got.text()).unwrap();
                assert_eq!(error["details"][0]["type"], "google.rpc.ErrorInfo", "{error}");
                STANDARD_NO_PAD.decode(error["details"][0]["value"].as_str().unwrap()).unwrap()
            }
        };
        let rule = String::from_utf8_lossy(&rule);
        assert!(rule.contains("OUTSIDE_OF_LIMIT") && rule.contains("limit"), "{content_type}: {rule:?}");
    }
    for path in [
        "/flyteidl2.project.ProjectService/Nothing",
        "/flyteidl2.project.ProjectService/GetProject/",
        "//flyteidl2.project.ProjectService/GetProject",
        "/FLYTEIDL2.project.ProjectService/GetProject",
        "/flyteidl2.project.ProjectService/Get%50roject",
        "/flyteidl2.project.ProjectService/GetProject;x=1",
        "/public/..%2fflyteidl2.project.ProjectService/GetProject",
        "/flyteidl2.workflow.InternalRunService/RecordAction",
        "/flyteidl2.auth.AuthMetadataService/GetOAuth2Metadata",
    ] {
        let got = client.call(path, &of_type("application/json"), "{}").await;
        assert!(got.status.is_client_error() || got.status == StatusCode::NOT_IMPLEMENTED, "{path}: {got:?}");
    }
    assert_eq!(backend.received().len(), 0);
}

#[tokio::test]
async fn a_message_that_cannot_be_read_is_refused_in_the_callers_protocol() {
    let backend = Backend::echo().await;
    let served = Served::with(backend.address, super::gateway::caller(), |options| {
        options.max_message = 1 << 10;
    })
    .await;
    let client = Client::new(served.address).await;
    let large = vec![0; 1 << 11];
    for (content_type, body, code) in [
        ("application/proto", Bytes::from(large.clone()), "resource_exhausted"),
        ("application/connect+proto", frame(0, &large), "resource_exhausted"),
        ("application/connect+proto", frame(0x40, b""), "invalid_argument"),
        ("application/connect+proto", Bytes::from_static(&[0, 0, 0, 0, 9, 1]), "invalid_argument"),
        ("application/grpc", frame(0, &large), "8"),
        ("application/grpc", frame(1, b"x"), "13"),
        ("application/grpc-web", frame(0x80, b"x"), "3"),
        ("application/proto", Bytes::from_static(&[0x0a, 0xff]), "invalid_argument"),
        ("application/json", Bytes::from_static(b"{"), "invalid_argument"),
        ("text/html", Bytes::from_static(b"<html>"), "unknown"),
    ] {
        let got = client.call(STREAM, &of_type(content_type), body).await;
        let is_grpc = content_type.starts_with("application/grpc");
        let is_it = if is_grpc { got.grpc_status() == Some(code) } else { got.text().contains(code) };
        assert!(is_it, "{content_type} {code}: {got:?}");
        assert!(got.end.is_ok());
    }
    assert_eq!(backend.received().len(), 0);
}

#[tokio::test]
async fn no_rpc_passes_without_a_caller_in_any_protocol() {
    let backend = Backend::echo().await;
    let url = format!("http://{}", backend.address).parse().unwrap();
    let served = Served::of(Options::new(vec![UpstreamOptions::new("backend", url)]), None).await;
    let client = Client::new(served.address).await;
    for rpc in RPCS {
        for content_type in [
            "application/proto",
            "application/json",
            "application/connect+proto",
            "application/grpc",
            "application/grpc-web",
        ] {
            let got = client.call(&format!("/{}", rpc.name), &of_type(content_type), "").await;
            let (number, name) = if rpc.scope == RequiredScope::None {
                ("12", "unimplemented")
            } else {
                ("16", "unauthenticated")
            };
            let is_refused = got.grpc_status() == Some(number) || got.text().contains(name);
            assert!(is_refused, "{} {content_type}: {got:?}", rpc.name);
        }
    }
    assert_eq!(backend.received().len(), 0);
}
