//! `TaskService`.

use serde_json::json;

use super::*;

const DEPLOY: &str = "/flyteidl2.task.TaskService/DeployTask";
const DETAILS: &str = "/flyteidl2.task.TaskService/GetTaskDetails";
const TASKS: &str = "/flyteidl2.task.TaskService/ListTasks";
const VERSIONS: &str = "/flyteidl2.task.TaskService/ListVersions";

pub(super) fn id(name: &str, version: &str) -> Value {
    json!({"org": "x", "project": "p1", "domain": "development", "name": name, "version": version})
}

pub(super) fn deployment(name: &str, version: &str) -> Value {
    json!({
        "taskId": id(name, version),
        "spec": {
            "taskTemplate": {
                "id": {"name": name, "version": version},
                "type": "python",
                "metadata": {"isEntrypoint": name.ends_with("main")},
                "config": {"a": "1", "b": "2", "c": "3"},
                "container": {"image": "none", "args": ["a0"]}
            },
            "documentation": {"shortDescription": "what it does"}
        }
    })
}

impl Server {
    pub(super) async fn for_tasks() -> Self {
        let server = Self::start().await;
        let answer = server.json(CREATE, Some("Root"), &json!({"project": {"id": "p1"}})).await;
        assert_eq!(answer.status, StatusCode::OK, "{answer:?}");
        server
    }

    async fn deploy(&self, name: &str, version: &str) {
        let answer = self.json(DEPLOY, Some("Ada"), &deployment(name, version)).await;
        assert_eq!(answer.status, StatusCode::OK, "{answer:?}");
        self.plane.clock.advance(1);
    }

    /// The `name:version` of each task of a page, and the whole response.
    async fn tasks(&self, request: Value) -> (String, Value) {
        let answer = self.json(TASKS, Some("Ada"), &request).await;
        assert_eq!(answer.status, StatusCode::OK, "{request}: {answer:?}");
        let answer = answer.json();
        let none = Vec::new();
        let tasks: Vec<_> = answer["tasks"]
            .as_array()
            .unwrap_or(&none)
            .iter()
            .map(|task| {
                let id = &task["taskId"];
                format!("{}:{}", id["name"].as_str().unwrap(), id["version"].as_str().unwrap())
            })
            .collect();
        (tasks.join(" "), answer)
    }
}

/// A list request of the published client.
fn listing(name: Option<&str>, direction: &str, limit: u32) -> Value {
    let filters: Vec<_> = name
        .into_iter()
        .map(|name| json!({"function": "EQUAL", "field": "name", "values": [name]}))
        .collect();
    json!({
        "projectId": {"organization": "x", "name": "p1", "domain": "development"},
        "request": {
            "limit": limit,
            "sortBy": {"key": "created_at", "direction": direction},
            "filters": filters
        }
    })
}

#[tokio::test]
async fn a_deployed_task_can_be_read() {
    let server = Server::for_tasks().await;
    server.deploy("e.main", "v1").await;
    let answer = server.json(DETAILS, Some("Ada"), &json!({"taskId": id("e.main", "v1")})).await;
    let details = answer.json()["details"].clone();
    assert_eq!(details["taskId"]["org"], "acme", "the organization is that of the server");
    assert_eq!(details["metadata"]["shortName"], "main");
    assert_eq!(details["metadata"]["environmentName"], "e");
    assert_eq!(details["metadata"]["shortDescription"], "what it does");
    assert_eq!(details["metadata"]["deployedBy"]["user"]["spec"]["email"], "ada@example.com");
    assert_eq!(details["metadata"]["deployedAt"], "2027-01-15T08:00:00Z");
    assert_eq!(details["spec"]["taskTemplate"]["config"], json!({"a": "1", "b": "2", "c": "3"}));

    server.deploy("e.main", "v2").await;
    let latest = server.json(DETAILS, Some("Ada"), &json!({"taskId": id("e.main", "")})).await.json();
    assert_eq!(latest["details"]["taskId"]["version"], "v2", "the latest version is the default");
    for (id, what) in [
        (id("e.main", "v3"), "no task \"e.main\" in version \"v3\""),
        (id("e.other", ""), "no task \"e.other\""),
        (json!({"project": "p2", "domain": "development", "name": "e.main"}), "no project \"p2\""),
        (json!({"project": "p1", "domain": "prod", "name": "e.main"}), "no domain \"prod\""),
    ] {
        let (code, message) = server.json(DETAILS, Some("Ada"), &json!({"taskId": id})).await.error();
        assert_eq!(code, "not_found", "{id}");
        assert!(message.contains(what), "{message}");
    }
}

#[tokio::test]
async fn a_version_is_immutable() {
    let server = Server::for_tasks().await;
    server.deploy("e.main", "v1").await;
    server.deploy("e.main", "v1").await;
    let mut other = deployment("e.main", "v1");
    other["spec"]["taskTemplate"]["config"]["a"] = "2".into();
    let (code, message) = server.json(DEPLOY, Some("Ada"), &other).await.error();
    assert_eq!(code, "already_exists");
    assert!(message.contains("version \"v1\" of task \"e.main\""), "{message}");
    let request = json!({"taskName": {"project": "p1", "domain": "development", "name": "e.main"}});
    let versions = server.json(VERSIONS, Some("Ada"), &request).await.json()["versions"].clone();
    assert_eq!(versions.as_array().unwrap().len(), 1);
    assert_eq!(versions[0]["deployedBy"]["user"]["spec"]["firstName"], "Ada");
}

#[tokio::test]
async fn each_task_is_listed_once() {
    let server = Server::for_tasks().await;
    for (name, version) in [("e.main", "v1"), ("e.part", "v1"), ("e.main", "v2"), ("f.main", "v9")] {
        server.deploy(name, version).await;
    }
    let (tasks, answer) = server.tasks(listing(None, "ASCENDING", 2)).await;
    assert_eq!(tasks, "e.part:v1 e.main:v2");
    assert_eq!(answer["metadata"], json!({"total": 3, "filteredTotal": 3}));
    let mut next = listing(None, "ASCENDING", 2);
    next["request"]["token"] = answer["token"].clone();
    assert_eq!(server.tasks(next).await.0, "f.main:v9");

    let (latest, answer) = server.tasks(listing(Some("e.main"), "DESCENDING", 1)).await;
    assert_eq!((latest.as_str(), answer["token"].as_str()), ("e.main:v2", None));
    assert_eq!(answer["metadata"], json!({"total": 3, "filteredTotal": 1}));

    let mut entrypoints = listing(None, "ASCENDING", 100);
    entrypoints["knownFilters"] = json!([{"isEntrypoint": true}]);
    assert_eq!(server.tasks(entrypoints).await.0, "e.main:v2 f.main:v9");
    let mut environment = listing(None, "ASCENDING", 100);
    environment["request"]["filters"] = json!([{"function": "CONTAINS", "field": "name", "values": ["e."]}]);
    assert_eq!(server.tasks(environment).await.0, "e.part:v1 e.main:v2");
    let mut mine = listing(None, "ASCENDING", 100);
    mine["knownFilters"] = json!([{"deployedBy": "user-Root"}]);
    assert_eq!(server.tasks(mine).await.0, "");
    assert_eq!(server.tasks(json!({"org": "x"})).await.0, "f.main:v9 e.main:v2 e.part:v1");
}

#[tokio::test]
async fn errors_name_the_invalid_field() {
    let server = Server::for_tasks().await;
    let change = |pointer: &str, value: Value| {
        let mut request = deployment("e.main", "v1");
        *request.pointer_mut(pointer).unwrap() = value;
        request
    };
    for (request, field) in [
        (json!({}), "task_id"),
        (change("/taskId/project", "".into()), "task_id.project"),
        (change("/taskId/domain", "".into()), "task_id.domain"),
        (change("/taskId/name", "".into()), "task_id.name"),
        (change("/taskId/name", "a\nb".into()), "task_id.name"),
        (change("/taskId/version", "".into()), "task_id.version"),
        (change("/taskId/version", "v".repeat(256).into()), "task_id.version"),
        (change("/spec", json!(null)), "spec "),
        (change("/spec", json!({})), "spec.task_template"),
        (change("/spec/taskTemplate/id/name", "other".into()), "spec.task_template.id.name"),
    ] {
        let (code, message) = server.json(DEPLOY, Some("Ada"), &request).await.error();
        assert_eq!(code, "invalid_argument", "{request}");
        assert!(message.starts_with(field), "{request}: {message}");
    }
    for (list, field) in [
        (json!({"sortBy": {"key": "color"}}), "request.sort_by.key"),
        (json!({"filters": [{"field": "color", "values": ["a"]}]}), "request.filters[0].field"),
        (json!({"filters": [{"field": "name"}]}), "request.filters[0].values"),
        (
            json!({"filters": [{"field": "name", "function": "LESS_THAN", "values": ["a"]}]}),
            "request.filters[0].function",
        ),
        (
            json!({"filters": [{"field": "created_at", "function": "LESS_THAN", "values": ["noon"]}]}),
            "request.filters[0].values",
        ),
        (json!({"rawFilters": ["eq(name, a)"]}), "request.raw_filters"),
        (json!({"token": "nonsense"}), "token"),
    ] {
        let (code, message) = server.json(TASKS, Some("Ada"), &json!({"request": list})).await.error();
        assert_eq!(code, "invalid_argument", "{list}");
        assert!(message.starts_with(field), "{list}: {message}");
    }
}
