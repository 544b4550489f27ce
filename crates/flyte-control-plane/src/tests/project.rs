//! `ProjectService`.

use serde_json::json;

use super::*;

impl Server {
    async fn create(&self, project: Value) {
        let answer = self.json(CREATE, Some("Root"), &json!({"project": project})).await;
        assert_eq!(answer.status, StatusCode::OK, "{answer:?}");
        self.plane.clock.advance(1);
    }

    async fn get(&self, id: &str) -> Value {
        let answer = self.json(GET, Some("Ada"), &json!({"id": id})).await;
        assert_eq!(answer.status, StatusCode::OK, "{answer:?}");
        answer.json()["project"].clone()
    }

    /// The project IDs of a page, and the token of the next page.
    async fn list(&self, request: Value) -> (String, String) {
        let answer = self.json(LIST, Some("Ada"), &request).await;
        assert_eq!(answer.status, StatusCode::OK, "{request}: {answer:?}");
        let page = answer.json()["projects"].clone();
        let none = Vec::new();
        let projects = page["projects"].as_array().unwrap_or(&none);
        let ids: Vec<_> = projects.iter().map(|project| project["id"].as_str().unwrap()).collect();
        (ids.join(" "), page["token"].as_str().unwrap_or_default().to_owned())
    }

    async fn ids(&self, request: Value) -> String {
        self.list(request).await.0
    }
}

#[tokio::test]
async fn a_project_is_created_read_and_changed() {
    let server = Server::start().await;
    let project = json!({
        "id": "p1", "name": "First", "description": "one\ntwo", "org": "acme",
        "labels": {"values": {"team": "a"}}
    });
    server.create(project).await;
    let found = server.get("p1").await;
    assert_eq!(found["name"], "First");
    assert_eq!(found["description"], "one\ntwo");
    assert_eq!(found["labels"]["values"], json!({"team": "a"}));
    assert_eq!(found["org"], "acme");
    // JSON omits the default value.
    assert_eq!(found.get("state"), None);
    let domains: Vec<_> =
        found["domains"].as_array().unwrap().iter().map(|domain| domain["id"].clone()).collect();
    assert_eq!(domains, ["development", "staging", "production"]);

    let change = json!({"project": {"id": "p1", "name": "Second", "state": "PROJECT_STATE_ARCHIVED"}});
    assert_eq!(server.json(UPDATE, Some("Root"), &change).await.status, StatusCode::OK);
    let found = server.get("p1").await;
    assert_eq!((&found["name"], &found["state"]), (&json!("Second"), &json!("PROJECT_STATE_ARCHIVED")));

    server.create(json!({"id": "p2"})).await;
    assert_eq!(server.get("p2").await["name"], "p2", "the default name is the ID");
}

#[tokio::test]
async fn a_duplicate_or_unknown_project_is_reported_by_id() {
    let server = Server::start().await;
    server.create(json!({"id": "p1"})).await;
    let answer = server.json(CREATE, Some("Root"), &json!({"project": {"id": "p1"}})).await;
    assert_eq!(answer.error(), ("already_exists".into(), "project \"p1\" already exists".into()));
    for (method, request) in [
        (GET, json!({"id": "p2"})),
        (GET, json!({"id": "p1", "org": "other"})),
        (UPDATE, json!({"project": {"id": "p2"}})),
    ] {
        let answer = server.json(method, Some("Root"), &request).await;
        let (code, message) = answer.error();
        assert_eq!((code.as_str(), answer.status), ("not_found", StatusCode::NOT_FOUND), "{request}");
        assert!(message.contains(request["id"].as_str().unwrap_or("p2")), "{message}");
    }
}

#[tokio::test]
async fn only_administrators_change_projects() {
    let server = Server::start().await;
    server.create(json!({"id": "p1"})).await;
    let before = server.get("p1").await;
    // Invalid requests are denied with the same error, so the error does not reveal which projects exist.
    for request in [json!({"project": {"id": "p2"}}), json!({"project": {"id": "p1"}}), json!({})] {
        for (method, what) in [(CREATE, "creating"), (UPDATE, "changing")] {
            let answer = server.json(method, Some("Ada"), &request).await;
            let (code, message) = answer.error();
            assert_eq!((code.as_str(), answer.status), ("permission_denied", StatusCode::FORBIDDEN));
            assert!(message.contains(what) && message.contains("administrator"), "{message}");
        }
    }
    assert_eq!(server.get("p1").await, before);
    assert_eq!(server.ids(json!({})).await, "p1");
}

#[tokio::test]
async fn errors_name_the_invalid_field() {
    let server = Server::start().await;
    server.create(json!({"id": "p1"})).await;
    let labels: serde_json::Map<_, _> = (0..65).map(|n| (format!("l{n}"), json!("v"))).collect();
    for (project, field) in [
        (json!(null), "project "),
        (json!({}), "project.id"),
        (json!({"id": "P1"}), "project.id"),
        (json!({"id": "a_b"}), "project.id"),
        (json!({"id": "a/b"}), "project.id"),
        (json!({"id": "../a"}), "project.id"),
        (json!({"id": "-a"}), "project.id"),
        (json!({"id": "a-"}), "project.id"),
        (json!({"id": "\u{e4}"}), "project.id"),
        (json!({"id": "a".repeat(64)}), "project.id"),
        (json!({"id": "p1", "org": "other"}), "project.org"),
        (json!({"id": "p1", "name": "n".repeat(256)}), "project.name"),
        (json!({"id": "p1", "name": "a\u{1b}[31m"}), "project.name"),
        (json!({"id": "p1", "description": "d".repeat(4097)}), "project.description"),
        (json!({"id": "p1", "labels": {"values": labels}}), "project.labels"),
        (json!({"id": "p1", "labels": {"values": {"": "v"}}}), "project.labels"),
        (json!({"id": "p1", "labels": {"values": {"k": "v".repeat(256)}}}), "project.labels[\"k\"]"),
        (json!({"id": "p1", "state": 17}), "project.state"),
    ] {
        for method in [CREATE, UPDATE] {
            let answer = server.json(method, Some("Root"), &json!({"project": project})).await;
            let (code, message) = answer.error();
            assert_eq!(code, "invalid_argument", "{project}");
            assert!(message.starts_with(field), "{project}: {message}");
        }
    }
    for id in ["a", "0", "a-b", &"a".repeat(63)] {
        server.create(json!({"id": id, "name": "\u{1f980}".repeat(255)})).await;
    }
    for (request, field) in [
        (json!({"sortBy": {"key": "labels"}}), "sort_by.key"),
        (json!({"sortBy": {"key": "name", "direction": 9}}), "sort_by.direction"),
        (json!({"filters": "eq(color, red)"}), "filters"),
        (json!({"filters": "x".repeat(5000)}), "filters"),
        (json!({"token": "nonsense"}), "token"),
    ] {
        let (code, message) = server.json(LIST, Some("Ada"), &request).await.error();
        assert_eq!(code, "invalid_argument", "{request}");
        assert!(message.starts_with(field), "{request}: {message}");
    }
}

#[tokio::test]
async fn listings_are_sorted_and_paged() {
    let server = Server::start().await;
    for (id, name) in [("c", "x"), ("a", "z"), ("d", "x"), ("b", "y")] {
        server.create(json!({"id": id, "name": name})).await;
    }
    let change = json!({"project": {"id": "a", "name": "z"}});
    assert_eq!(server.json(UPDATE, Some("Root"), &change).await.status, StatusCode::OK);
    let sorted = |key: &str, direction: &str| json!({"sortBy": {"key": key, "direction": direction}});
    assert_eq!(server.ids(json!({})).await, "c a d b", "the default order is the time of creation");
    for (key, ascending) in [
        ("created_at", "c a d b"),
        ("updated_at", "c d b a"),
        ("id", "a b c d"),
        ("identifier", "a b c d"),
        ("name", "c d b a"),
    ] {
        assert_eq!(server.ids(sorted(key, "ASCENDING")).await, ascending, "{key}");
        let mut descending: Vec<_> = ascending.split(' ').collect();
        descending.reverse();
        assert_eq!(server.ids(sorted(key, "DESCENDING")).await, descending.join(" "), "{key}");
    }

    let mut request = json!({"limit": 3, "sortBy": {"key": "id", "direction": "ASCENDING"}});
    let (first, token) = server.list(request.clone()).await;
    assert_eq!((first.as_str(), token.is_empty()), ("a b c", false));
    server.create(json!({"id": "aa"})).await;
    request["token"] = token.into();
    assert_eq!(server.list(request.clone()).await, ("d".to_owned(), String::new()));
    request["sortBy"]["direction"] = "DESCENDING".into();
    let (code, message) = server.json(LIST, Some("Ada"), &request).await.error();
    assert_eq!((code.as_str(), message.starts_with("token")), ("invalid_argument", true), "{message}");

    let (all, token) = server.list(json!({"limit": u32::MAX})).await;
    assert_eq!((all.split(' ').count(), token.as_str()), (5, ""));
}

#[tokio::test]
async fn archived_projects_are_listed_only_on_request() {
    let server = Server::start().await;
    for id in ["live", "old"] {
        server.create(json!({"id": id})).await;
    }
    let archived = json!({"project": {"id": "old", "state": "PROJECT_STATE_ARCHIVED"}});
    assert_eq!(server.json(UPDATE, Some("Root"), &archived).await.status, StatusCode::OK);
    for (filters, expected) in [
        ("", "live"),
        ("eq(state, 0)", "live"),
        ("eq(state, 1)", "old"),
        ("value_in(state, 0;1)", "live old"),
        ("eq(id, old)", "old"),
        ("eq(identifier, old)+eq(state, 0)", ""),
        ("eq(name, live)", "live"),
        ("eq(name, nothing)", ""),
    ] {
        assert_eq!(server.ids(json!({"filters": filters})).await, expected, "{filters}");
    }
    assert_eq!(server.ids(json!({"org": "acme"})).await, "live");
    assert_eq!(server.ids(json!({"org": "other"})).await, "");
    assert_eq!(server.get("old").await["id"], "old");
}
