//! `AuditService`, and what the control plane records.

use std::net::SocketAddr;

use axum::extract::ConnectInfo;
use serde_json::json;

use super::*;

const EVENTS: &str = "/flyteauth.AuditService/ListEvents";

impl Server {
    /// The events that match a request.
    async fn events(&self, request: Value) -> Vec<Value> {
        let answer = self.json(EVENTS, Some("Root"), &request).await;
        assert_eq!(answer.status, StatusCode::OK, "{request}: {answer:?}");
        answer.json()["events"].as_array().cloned().unwrap_or_default()
    }
}

#[tokio::test]
async fn only_administrators_read_the_audit_log_and_denied_attempts_are_recorded() {
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
async fn events_are_filtered_and_paged() {
    let server = Server::start().await;
    for id in ["p1", "p2", "p3"] {
        let create = json!({"project": {"id": id}});
        assert_eq!(server.json(CREATE, Some("Root"), &create).await.status, StatusCode::OK);
        assert_eq!(server.json(CREATE, Some("Ada"), &create).await.error().0, "permission_denied");
        server.plane.clock.advance(10);
    }
    let objects = |events: Vec<Value>| {
        events.iter().map(|event| event["object"].as_str().unwrap().to_owned()).collect::<Vec<_>>()
    };
    assert_eq!(objects(server.events(json!({"event": "project_created"})).await), ["p3", "p2", "p1"]);
    let denied = server.events(json!({"subject": "user-Ada"})).await;
    assert_eq!(denied[0]["details"]["repeated"], "2", "the second and the third call");
    assert_eq!(objects(denied), [CREATE; 2]);
    assert_eq!(server.events(json!({"since": NOW + 10})).await.len(), 3);
    assert_eq!(server.events(json!({"subject": "user-Unknown"})).await.len(), 0);

    let page = server.json(EVENTS, Some("Root"), &json!({"limit": 4})).await.json();
    assert_eq!(page["events"].as_array().unwrap().len(), 4);
    let rest = server.json(EVENTS, Some("Root"), &json!({"limit": 4, "token": page["token"]})).await.json();
    assert_eq!(rest["events"].as_array().unwrap().len(), 1);
    assert_eq!(rest.get("token"), None, "the last page");

    for (request, field) in [
        (json!({"event": "signedin"}), "event is not one of signed_in"),
        (json!({"since": -1}), "since"),
        (json!({"until": -1}), "until"),
        (json!({"since": 9, "until": 9}), "until is not after since"),
        (json!({"email": "ada"}), "email is not an e-mail address"),
        (json!({"address": "localhost"}), "address is not an IP address"),
        (json!({"token": "x"}), "token"),
        (json!({"token": page["token"], "subject": "user-Ada"}), "token"),
    ] {
        let (code, message) = server.json(EVENTS, Some("Root"), &request).await.error();
        assert!(code == "invalid_argument" && message.contains(field), "{request}: {code} {message}");
    }
}

#[tokio::test]
async fn events_name_users_and_are_found_by_user_project_and_time() {
    let server = Server::start().await;
    let key = json!({"name": "My CI", "access": {"role": "viewer", "project": "p1"}, "lifetime": 1000});
    for id in ["p1", "p2"] {
        server.ok(CREATE, "Root", json!({"project": {"id": id}})).await;
    }
    server.plane.clock.advance(10);
    let made = server.ok("/flyteauth.ApiKeyService/CreateApiKey", "Ada", key).await;
    let token = server.token_of("my-ci", made["clientSecret"].as_str().unwrap()).await.unwrap();
    assert_eq!(
        server.call(&token, CREATE, json!({"project": {"id": "p3"}})).await.error().0,
        "permission_denied"
    );

    let events = server.events(json!({})).await;
    let summary = |event: &Value| ["event", "subject", "email", "name"].map(|field| event[field].clone());
    assert_eq!(
        events.iter().map(summary).collect::<Vec<_>>(),
        [
            [json!("call_denied"), json!("my-ci"), Value::Null, json!("My CI")],
            ["api_key_created", "user-Ada", "ada@example.com", "Ada"].map(|text| json!(text)),
            ["project_created", "user-Root", "root@example.com", "Root"].map(|text| json!(text)),
            ["project_created", "user-Root", "root@example.com", "Root"].map(|text| json!(text)),
        ]
    );
    for (request, expected) in [
        (json!({"email": "Ada@Example.com"}), vec!["api_key_created"]),
        (json!({"email": "unknown@example.com"}), vec![]),
        (json!({"project": "p1"}), vec!["api_key_created", "project_created"]),
        (json!({"project": "p1", "email": "root@example.com"}), vec!["project_created"]),
        (json!({"object": "my-ci"}), vec!["api_key_created"]),
        (json!({"object": "/flyteidl2.project.*"}), vec!["call_denied"]),
        (json!({"domain": "development"}), vec![]),
        (json!({"until": NOW + 10}), vec!["project_created", "project_created"]),
        (json!({"since": NOW, "until": NOW + 11, "project": "p2"}), vec!["project_created"]),
    ] {
        let events = server.events(request.clone()).await;
        let found: Vec<_> = events.iter().map(|event| event["event"].as_str().unwrap()).collect();
        assert_eq!(found, expected, "{request}");
    }
}
