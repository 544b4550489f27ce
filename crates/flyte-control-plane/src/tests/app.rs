//! `AppService`.

use serde_json::json;

use super::*;
use flyte_store::{AppChange, AppId, AppNote, AppStatus};

const CREATE_APP: &str = "/flyteidl2.app.AppService/Create";
const GET_APP: &str = "/flyteidl2.app.AppService/Get";
const UPDATE_APP: &str = "/flyteidl2.app.AppService/Update";
const DELETE_APP: &str = "/flyteidl2.app.AppService/Delete";
const LIST_APPS: &str = "/flyteidl2.app.AppService/List";
const UPDATE_STATUS: &str = "/flyteidl2.app.AppService/UpdateStatus";

fn id(name: &str) -> Value {
    json!({"org": "x", "project": "p1", "domain": "development", "name": name})
}

fn app(name: &str) -> Value {
    json!({"app": {
        "metadata": {"id": id(name), "labels": {"team": "a"}},
        "spec": {
            "container": {"image": "none", "command": ["fserve"], "ports": [{"containerPort": 8080}]},
            "desiredState": "DESIRED_STATE_ACTIVE"
        }
    }})
}

impl Server {
    async fn app_call(&self, method: &str, request: &Value) -> Value {
        let answer = self.json(method, Some("Ada"), request).await;
        assert_eq!(answer.status, StatusCode::OK, "{request}: {answer:?}");
        answer.json()
    }
}

#[tokio::test]
async fn an_app_is_created_changed_and_deleted() {
    let server = Server::for_tasks().await;
    let created = server.app_call(CREATE_APP, &app("web")).await["app"].clone();
    assert_eq!(created, server.app_call(GET_APP, &json!({"appId": id("web")})).await["app"]);
    assert_eq!(
        (&created["metadata"]["revision"], &created["metadata"]["id"]["org"]),
        (&json!("1"), &json!("acme"))
    );
    assert_eq!(created["metadata"]["labels"], json!({"team": "a"}));
    assert_eq!(created["spec"]["creator"]["user"]["spec"]["email"], "ada@example.com");
    assert_eq!(
        created["spec"]["ingress"],
        json!({}),
        "the published client compares specifications only if `ingress` is set"
    );
    assert_eq!(created["status"]["conditions"][0]["deploymentStatus"], "DEPLOYMENT_STATUS_PENDING");
    let (code, message) = server.json(CREATE_APP, Some("Ada"), &app("web")).await.error();
    assert_eq!((code.as_str(), message.as_str()), ("already_exists", "app \"web\" already exists"));

    // The published client stops an app this way.
    let mut stopped = created;
    stopped["spec"]["desiredState"] = "DESIRED_STATE_STOPPED".into();
    let request = json!({"app": stopped, "reason": "enough"});
    let updated = server.app_call(UPDATE_APP, &request).await["app"].clone();
    assert_eq!(updated["metadata"]["revision"], "2");
    let last = updated["status"]["conditions"].as_array().unwrap().last().unwrap().clone();
    assert_eq!(
        (&last["deploymentStatus"], &last["message"]),
        (&json!("DEPLOYMENT_STATUS_STOPPED"), &json!("enough"))
    );
    let (code, message) = server.json(UPDATE_APP, Some("Ada"), &request).await.error();
    assert_eq!(code, "aborted");
    assert!(message.contains("revision 2"), "{message}");

    server.app_call(DELETE_APP, &json!({"appId": id("web")})).await;
    for (method, request) in [
        (GET_APP, json!({"appId": id("web")})),
        (DELETE_APP, json!({"appId": id("web")})),
        (UPDATE_APP, request),
    ] {
        let (code, message) = server.json(method, Some("Ada"), &request).await.error();
        assert_eq!(code, "not_found", "{method}");
        assert!(message.contains("no app \"web\""), "{message}");
    }
}

#[tokio::test]
async fn apps_are_listed_by_status() {
    let server = Server::for_tasks().await;
    for name in ["web", "api"] {
        server.app_call(CREATE_APP, &app(name)).await;
    }
    let web = AppId { project: "p1".to_owned(), domain: "development".to_owned(), name: "web".to_owned() };
    let notes =
        [(AppStatus::Deploying, AppChange::Starts { port: 8080 }), (AppStatus::Active, AppChange::None)];
    for (status, change) in notes {
        let note = AppNote { status, message: String::new(), change };
        server.plane.store.note_app(&web, 1, &note, NOW + 7).await.unwrap().unwrap();
    }
    let list = async |filters: Value| {
        let request = json!({
            "request": {"limit": 100, "filters": filters, "sortBy": {"key": "created_at", "direction": "ASCENDING"}},
            "project": {"organization": "x", "name": "p1", "domain": "development"},
            "includeTotalCount": true
        });
        let answer = server.app_call(LIST_APPS, &request).await;
        let none = Vec::new();
        let apps = answer["apps"].as_array().unwrap_or(&none).clone();
        let names: Vec<_> = apps.iter().map(|app| app["metadata"]["id"]["name"].as_str().unwrap()).collect();
        assert_eq!(
            answer.get("totalCount").map_or("0", |count| count.as_str().unwrap()),
            apps.len().to_string()
        );
        names.join(" ")
    };
    assert_eq!(list(json!([])).await, "web api");
    let status = |values: Value| json!([{"function": "VALUE_IN", "field": "status_phase", "values": values}]);
    assert_eq!(list(status(json!(["DEPLOYMENT_STATUS_ACTIVE"]))).await, "web");
    assert_eq!(list(status(json!(["DEPLOYMENT_STATUS_PENDING", "DEPLOYMENT_STATUS_FAILED"]))).await, "api");
    let mine = json!([{"function": "EQUAL", "field": "created_by", "values": ["user-Ada"]}]);
    assert_eq!(list(mine).await, "web api");

    let status = server.app_call(GET_APP, &json!({"appId": id("web")})).await["app"]["status"].clone();
    assert_eq!(status["ingress"]["publicUrl"], "http://127.0.0.1:8080");
    assert_eq!(status["currentReplicas"], 1);
    assert_eq!(status["conditions"][2]["substate"], "RUNNING");
}

#[tokio::test]
async fn apps_that_cannot_run_are_rejected() {
    let server = Server::for_tasks().await;
    let change = |pointer: &str, value: Value| {
        let mut request = app("web");
        *request.pointer_mut(pointer).unwrap() = value;
        request
    };
    for (request, field) in [
        (json!({}), "app "),
        (change("/app/metadata", json!(null)), "app.metadata"),
        (change("/app/metadata/id", id("")), "app.metadata.id.name"),
        (change("/app/spec", json!(null)), "app.spec"),
        (change("/app/spec", json!({})), "app.spec.container"),
        (change("/app/spec", json!({"pod": {}})), "app.spec.pod"),
        (change("/app/spec/container/command", json!([])), "app.spec.container.command"),
        (change("/app/spec/desiredState", 9.into()), "app.spec.desired_state"),
    ] {
        let (code, message) = server.json(CREATE_APP, Some("Ada"), &request).await.error();
        assert_eq!(code, "invalid_argument", "{request}");
        assert!(message.starts_with(field), "{request}: {message}");
    }
    let (code, message) = server.json(UPDATE_STATUS, Some("Ada"), &app("web")).await.error();
    assert_eq!(code, "permission_denied");
    assert!(message.contains("only called inside"), "{message}");
}
