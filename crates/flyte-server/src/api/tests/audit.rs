//! AuditService, and what the control plane records.

use std::net::SocketAddr;

use axum::extract::ConnectInfo;
use serde_json::json;

use super::*;

const EVENTS: &str = "/flyteauth.AuditService/ListEvents";

impl Server {
    /// The events that meet a request's conditions.
    async fn events(&self, request: Value) -> Vec<Value> {
        let answer = self.json(EVENTS, Some("Root"), &request).await;
        assert_eq!(answer.status, StatusCode::OK, "{request}: {answer:?}");
        answer.json()["events"].as_array().cloned().unwrap_or_default()
    }
}

#[tokio::test]
async fn only_administrators_read_it_and_who_tried_is_in_it() {
    let server = Server::start().await;
    let answer = server.json(EVENTS, None, &json!({})).await;
    assert_eq!(answer.error().0, "unauthenticated");
    let mut request = Request::post(EVENTS)
        .header(header::CONTENT_TYPE, "application/json")
        .header(header::AUTHORIZATION, bearer(&server.token("Ada", &["all"])))
        .header(header::HOST, "localhost")
        .body(Body::from("{}"))
        .unwrap();
    request.extensions_mut().insert(ConnectInfo(SocketAddr::from(([203, 0, 113, 9], 5))));
    let (code, message) = server.send(request).await.error();
    assert_eq!(code, "permission_denied");
    assert!(message.contains("reading the audit log"), "{message}");

    let events = server.events(json!({})).await;
    assert_eq!(events.len(), 1, "{events:?}");
    let event = &events[0];
    assert_eq!(
        (&event["event"], &event["subject"], &event["clientId"], &event["object"], &event["address"]),
        (&json!("call_denied"), &json!("user-Ada"), &json!("flyte"), &json!(EVENTS), &json!("203.0.113.9"))
    );
    assert_eq!(event["at"], json!(NOW.to_string()));
    assert!(event["details"]["reason"].as_str().unwrap().contains("administrator"));
}

#[tokio::test]
async fn pages_and_conditions() {
    let server = Server::start().await;
    for id in ["p1", "p2", "p3"] {
        let create = json!({"project": {"id": id}});
        assert_eq!(server.json(CREATE, Some("Root"), &create).await.status, StatusCode::OK);
        assert_eq!(server.json(CREATE, Some("Ada"), &create).await.error().0, "permission_denied");
        server.app.clock.advance(10);
    }
    let objects = |events: Vec<Value>| {
        events.iter().map(|event| event["object"].as_str().unwrap().to_owned()).collect::<Vec<_>>()
    };
    assert_eq!(objects(server.events(json!({"event": "project_created"})).await), ["p3", "p2", "p1"]);
    let denied = server.events(json!({"subject": "user-Ada"})).await;
    assert_eq!(denied[0]["details"]["repeated"], "2", "the second and the third time");
    assert_eq!(objects(denied), [CREATE; 2]);
    assert_eq!(server.events(json!({"since": NOW + 10})).await.len(), 3);
    assert_eq!(server.events(json!({"subject": "nobody"})).await.len(), 0);

    let page = server.json(EVENTS, Some("Root"), &json!({"limit": 4})).await.json();
    assert_eq!(page["events"].as_array().unwrap().len(), 4);
    let rest = server.json(EVENTS, Some("Root"), &json!({"limit": 4, "token": page["token"]})).await.json();
    assert_eq!(rest["events"].as_array().unwrap().len(), 1);
    assert_eq!(rest.get("token"), None, "the last page");

    for (request, field) in [
        (json!({"event": "signedin"}), "event is not one of signed_in"),
        (json!({"since": -1}), "since"),
        (json!({"token": "x"}), "token"),
        (json!({"token": page["token"], "subject": "user-Ada"}), "token"),
    ] {
        let (code, message) = server.json(EVENTS, Some("Root"), &request).await.error();
        assert!(code == "invalid_argument" && message.contains(field), "{request}: {code} {message}");
    }
}
