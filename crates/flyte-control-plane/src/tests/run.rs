//! `RunService` and `ActionsService`.

use std::time::Duration;

use buffa::{Message as _, MessageField};
use flyte_idl::flyteidl2::core::{ContainerError, ErrorDocument};
use serde_json::json;
use tempfile::TempDir;

use super::*;
use flyte_audit::Kind;
use flyte_model::{Limit, Role};
use flyte_runs::{Outcome, RunIdentities};
use flyte_store::{ActionId, AuditQuery, Failure, FailureKind, RunId};

const CREATE_RUN: &str = "/flyteidl2.workflow.RunService/CreateRun";
const ABORT_RUN: &str = "/flyteidl2.workflow.RunService/AbortRun";
const RUN_DETAILS: &str = "/flyteidl2.workflow.RunService/GetRunDetails";
const ACTION_DETAILS: &str = "/flyteidl2.workflow.RunService/GetActionDetails";
const ACTION_DATA: &str = "/flyteidl2.workflow.RunService/GetActionData";
const LIST_RUNS: &str = "/flyteidl2.workflow.RunService/ListRuns";
const LIST_ACTIONS: &str = "/flyteidl2.workflow.RunService/ListActions";
const WATCH_ACTION: &str = "/flyteidl2.workflow.RunService/WatchActionDetails";
const WATCH_ACTIONS: &str = "/flyteidl2.workflow.RunService/WatchActions";
const WATCH_RUNS: &str = "/flyteidl2.workflow.RunService/WatchRuns";
const ABORT_ACTION: &str = "/flyteidl2.workflow.RunService/AbortAction";
const SIGNAL_EVENT: &str = "/flyteidl2.workflow.RunService/SignalEvent";
const ENQUEUE: &str = "/flyteidl2.actions.ActionsService/Enqueue";
const WATCH: &str = "/flyteidl2.actions.ActionsService/WatchForUpdates";
const SIGNAL: &str = "/flyteidl2.actions.ActionsService/Signal";
const UPDATE: &str = "/flyteidl2.actions.ActionsService/Update";
const ABORT: &str = "/flyteidl2.actions.ActionsService/Abort";

/// A server with the projects `p` and `q`, and its data directory.
pub(super) struct Runs {
    server: Server,
    data: TempDir,
}

impl std::ops::Deref for Runs {
    type Target = Server;

    fn deref(&self) -> &Server {
        &self.server
    }
}

impl Runs {
    pub(super) async fn start() -> Self {
        Self::with(|_| {}).await
    }

    pub(super) async fn with(change: impl FnOnce(&mut Config)) -> Self {
        let data = tempfile::tempdir().unwrap();
        let path = data.path().to_owned();
        let server = Server::with(|config| {
            config.data_dir = path;
            change(config);
        })
        .await;
        server.plane.objects.prepare().unwrap();
        for id in ["p", "q"] {
            let answer = server.json(CREATE, Some("Root"), &json!({"project": {"id": id}})).await;
            assert_eq!(answer.status, StatusCode::OK, "{answer:?}");
        }
        Self { server, data }
    }

    /// Creates the run `name` in the project, domain development, as Ada.
    pub(super) async fn run(&self, project: &str, name: &str) -> Answer {
        self.json(CREATE_RUN, Some("Ada"), &create(project, name)).await
    }

    async fn as_token(&self, token: &str, method: &str, body: &Value) -> Answer {
        let request = Request::post(method)
            .header(header::CONTENT_TYPE, "application/json")
            .header(header::AUTHORIZATION, bearer(token));
        self.send(request.body(body.to_string().into()).unwrap()).await
    }

    /// The token of a run's identity.
    pub(super) async fn identity(&self, project: &str, name: &str) -> String {
        let run = self.plane.store.run_by_id(&id(project, name)).await.unwrap().unwrap();
        RunIdentities::new(self.plane.access.tokens().clone())
            .issue(&run)
            .unwrap()
            .token
            .expose_secret()
            .to_owned()
    }

    /// The token of an API key.
    pub(super) async fn key(&self, role: Role, project: &str) -> String {
        let (key, _) = flyte_testing::api_key(&*self.plane.store, &format!("key-{role}-{project}"), |key| {
            key.rights.role = role;
            key.rights.limit = Limit { project: Some(project.to_owned()), domain: None };
        })
        .await;
        self.plane
            .access
            .tokens()
            .issue_to_machine(&token::MachineGrant {
                principal: flyte_model::PrincipalKind::ApiKey,
                subject: key.client_id.clone(),
                client_id: key.client_id,
                scopes: vec!["all".to_owned()],
                audience: None,
                family_id: key.family_id,
                lifetime: None,
            })
            .unwrap()
            .token
            .expose_secret()
            .to_owned()
    }

    /// Opens the response stream of a call.
    pub(super) async fn stream(&self, method: &str, token: &str, body: &Value) -> Stream {
        let text = body.to_string();
        let mut envelope = vec![0];
        envelope.extend(u32::try_from(text.len()).unwrap().to_be_bytes());
        envelope.extend(text.as_bytes());
        let request = Request::post(method)
            .header(header::CONTENT_TYPE, "application/connect+json")
            .header("connect-protocol-version", "1")
            .header(header::AUTHORIZATION, bearer(token))
            .body(Body::from(envelope))
            .unwrap();
        let response = self.router.clone().oneshot(request).await.unwrap();
        assert_eq!(response.status(), StatusCode::OK);
        Stream { body: response.into_body(), read: Vec::new() }
    }

    fn native(&self, path: &str) -> String {
        self.plane.objects.native_url("p", "development", path).unwrap()
    }

    /// The same object as a path that tasks read.
    fn path(&self, path: &str) -> String {
        self.plane.objects.for_command(&self.native(path))
    }

    /// Enqueues a task under the root of the run `r1`.
    async fn enqueue(&self, token: &str, name: &str, parent: &str) -> Answer {
        let action = json!({
            "actionId": {"run": run_id("p", "r1"), "name": name},
            "parentActionName": parent,
            "inputUri": self.native(&format!("runs/r1/{name}/inputs.pb")),
            "runOutputBase": self.native("runs/r1"),
            "group": "g",
            "task": {"spec": task()},
        });
        self.as_token(token, ENQUEUE, &json!({"action": action})).await
    }
}

/// The messages of a response stream.
pub(super) struct Stream {
    body: Body,
    read: Vec<u8>,
}

impl Stream {
    /// The next message, or the end-of-stream message as an error.
    pub(super) async fn next(&mut self) -> Result<Value, Value> {
        loop {
            if self.read.len() >= 5 {
                let length = u32::from_be_bytes(self.read[1..5].try_into().unwrap()) as usize;
                if self.read.len() >= 5 + length {
                    let message: Vec<u8> = self.read.drain(..5 + length).collect();
                    let value = serde_json::from_slice(&message[5..]).unwrap();
                    return if message[0] & 2 == 0 { Ok(value) } else { Err(value) };
                }
            }
            let frame = tokio::time::timeout(Duration::from_secs(10), self.body.frame()).await;
            let frame = frame
                .expect("a message arrives in time")
                .expect("the stream has an end-of-stream message")
                .unwrap();
            self.read.extend_from_slice(&frame.into_data().unwrap());
        }
    }
}

fn task() -> Value {
    json!({
        "taskTemplate": {
            "id": {"name": "env.main", "version": "v1"},
            "type": "python",
            "metadata": {"retries": {"retries": 1}},
        },
        "shortName": "main",
    })
}

pub(super) fn run_id(project: &str, name: &str) -> Value {
    json!({"project": project, "domain": "development", "name": name})
}

pub(super) fn action_id(project: &str, run: &str, name: &str) -> Value {
    json!({"run": run_id(project, run), "name": name})
}

fn create(project: &str, name: &str) -> Value {
    json!({
        "runId": run_id(project, name),
        "taskSpec": task(),
        "inputs": {"literals": [{"name": "x", "value": {"scalar": {"primitive": {"integer": "7"}}}}]},
        "runSpec": {"labels": {"values": {"team": name}}, "envs": {"values": [{"key": "A", "value": "b"}]}},
        "source": "RUN_SOURCE_CLI",
    })
}

fn id(project: &str, name: &str) -> RunId {
    RunId { project: project.to_owned(), domain: "development".to_owned(), name: name.to_owned() }
}

fn action(name: &str) -> ActionId {
    ActionId { run: id("p", "r1"), name: name.to_owned() }
}

fn failed() -> Outcome {
    Outcome::Failed(Failure {
        kind: FailureKind::User,
        code: "ValueError".to_owned(),
        message: "no".to_owned(),
        recoverable: false,
    })
}

#[tokio::test]
async fn a_run_is_created_and_shown() {
    let server = Runs::start().await;
    let answer = server.run("p", "r1").await;
    assert_eq!(answer.status, StatusCode::OK, "{answer:?}");
    let shown = answer.json()["run"].clone();
    assert_eq!(shown["labels"], json!({"team": "r1"}));
    assert_eq!(shown["action"]["id"]["name"], "a0");
    assert_eq!(shown["action"]["id"]["run"]["org"], "acme");
    assert_eq!(shown["action"]["status"]["phase"], "ACTION_PHASE_QUEUED");
    let metadata = &shown["action"]["metadata"];
    assert_eq!(metadata["task"]["id"]["name"], "env.main");
    assert_eq!(metadata["executedBy"]["user"]["spec"]["email"], "ada@example.com");
    assert_eq!(metadata["source"], "RUN_SOURCE_CLI");

    let details = server.json(RUN_DETAILS, Some("Ada"), &json!({"runId": run_id("p", "r1")})).await.json();
    assert_eq!(details["details"]["runSpec"]["envs"]["values"][0]["value"], "b");
    assert_eq!(details["details"]["action"]["task"]["shortName"], "main");
    let data = server.json(ACTION_DATA, Some("Ada"), &json!({"actionId": action_id("p", "r1", "a0")})).await;
    assert_eq!(data.json()["inputs"]["literals"][0]["value"]["scalar"]["primitive"]["integer"], "7");
    assert!(server.data.path().join("objects/p/development/inputs").is_dir());

    let (code, message) = server.run("p", "r1").await.error();
    assert_eq!((code.as_str(), message.contains("r1")), ("already_exists", true), "{message}");
    let mut unnamed = create("p", "");
    unnamed.as_object_mut().unwrap().remove("runId");
    unnamed["projectId"] = json!({"name": "p", "domain": "development"});
    let made = server.json(CREATE_RUN, Some("Ada"), &unnamed).await.json();
    assert_eq!(made["run"]["action"]["id"]["run"]["name"].as_str().unwrap().len(), 20);

    server.plane.audit.flush().await;
    let audit = server.json("/flyteauth.AuditService/ListEvents", Some("Root"), &json!({})).await;
    assert!(String::from_utf8_lossy(&audit.body).contains("run_created"), "{audit:?}");
}

#[tokio::test]
async fn errors_name_the_invalid_field() {
    let server = Runs::start().await;
    let elsewhere = server.plane.objects.native_url("q", "development", "inputs.pb").unwrap();
    for (field, change) in [
        ("id", json!({"runId": null})),
        ("run_id.name", json!({"runId": run_id("p", "A/B")})),
        ("id.project", json!({"runId": run_id("", "r1")})),
        ("id.domain", json!({"runId": {"project": "p", "name": "r1"}})),
        ("task", json!({"taskSpec": null})),
        ("task_spec.task_template ", json!({"taskSpec": {}})),
        ("task_spec.task_template.id ", json!({"taskSpec": {"taskTemplate": {}}})),
        ("task_spec.task_template.id.name", json!({"taskSpec": {"taskTemplate": {"id": {}}}})),
        ("run_spec.envs", json!({"runSpec": {"envs": {"values": [{"key": "A=B"}]}}})),
        ("run_spec.run_base_dir", json!({"runSpec": {"runBaseDir": "/etc"}})),
        ("run_spec.run_base_dir", json!({"runSpec": {"runBaseDir": elsewhere}})),
        (
            "offloaded_input_data.uri",
            json!({"inputs": null, "offloadedInputData": {"uri": "file:///etc/passwd"}}),
        ),
        ("offloaded_input_data.uri", json!({"inputs": null, "offloadedInputData": {"uri": elsewhere}})),
    ] {
        let mut request = create("p", "r1");
        for (key, value) in change.as_object().unwrap() {
            match value {
                Value::Null => drop(request.as_object_mut().unwrap().remove(key)),
                value => request[key] = value.clone(),
            }
        }
        let (code, message) = server.json(CREATE_RUN, Some("Ada"), &request).await.error();
        assert_eq!(code, "invalid_argument", "{request}");
        assert!(message.starts_with(field), "{request}: {message}");
    }
    for project in ["nothing", "../p"] {
        let (code, _) = server.run(project, "r1").await.error();
        assert_eq!(code, "not_found");
    }
    let (code, _) = server
        .json(
            CREATE_RUN,
            Some("Ada"),
            &json!({
                "runId": {"project": "p", "domain": "nowhere", "name": "r"}, "taskSpec": task()
            }),
        )
        .await
        .error();
    assert_eq!(code, "not_found");
    let request = json!({"request": {"filters": [{"field": "colour", "values": ["red"]}]}});
    let (code, message) = server.json(LIST_RUNS, Some("Ada"), &request).await.error();
    assert_eq!((code.as_str(), message.contains("colour")), ("invalid_argument", true));
}

#[tokio::test]
async fn runs_and_actions_are_listed_with_filters_and_pages() {
    let server = Runs::start().await;
    for name in ["r1", "r2", "r3"] {
        assert_eq!(server.run("p", name).await.status, StatusCode::OK);
        server.plane.clock.advance(1);
    }
    server.run("q", "other").await;
    let identity = server.identity("p", "r1").await;
    assert_eq!(server.enqueue(&identity, "c1", "a0").await.status, StatusCode::OK);
    let abort = json!({"runId": run_id("p", "r2"), "reason": "enough"});
    assert_eq!(server.json(ABORT_RUN, Some("Ada"), &abort).await.status, StatusCode::OK);
    let list = async |request: Value| {
        let answer = server.json(LIST_RUNS, Some("Ada"), &request).await;
        assert_eq!(answer.status, StatusCode::OK, "{answer:?}");
        let page = answer.json();
        let none = Vec::new();
        let names: Vec<_> = page["runs"]
            .as_array()
            .unwrap_or(&none)
            .iter()
            .map(|run| run["action"]["id"]["run"]["name"].as_str().unwrap().to_owned())
            .collect();
        (names.join(" "), page["token"].as_str().unwrap_or_default().to_owned())
    };
    let filtered = |field: &str, function: &str, values: Value| {
        json!({
            "projectId": {"name": "p", "domain": "development"},
            "request": {"filters": [{"field": field, "function": function, "values": values}]},
        })
    };
    for (request, expected) in [
        (json!({"projectId": {"name": "p", "domain": "development"}}), "r1 r2 r3"),
        (json!({"org": "acme"}), "r1 r2 r3 other"),
        (json!({"projectId": {"name": "p", "domain": "staging"}}), ""),
        (filtered("phase", "EQUAL", json!(["7"])), "r2"),
        (filtered("phase", "VALUE_IN", json!(["1", "4"])), "r1 r3"),
        (filtered("task_name", "EQUAL", json!(["env.main"])), "r1 r2 r3"),
        (filtered("created_by", "EQUAL", json!(["user-Root"])), ""),
        (filtered("labels.team", "EQUAL", json!(["r3"])), "r3"),
        (json!({"taskName": {"project": "p", "domain": "development", "name": "env.other"}}), ""),
    ] {
        assert_eq!(list(request.clone()).await.0, expected, "{request}");
    }
    let mut request = json!({
        "projectId": {"name": "p", "domain": "development"},
        "request": {"limit": 2, "sortBy": {"key": "created_at", "direction": "DESCENDING"}},
    });
    let (first, token) = list(request.clone()).await;
    assert_eq!(first, "r3 r2");
    request["request"]["token"] = token.into();
    assert_eq!(list(request).await, ("r1".to_owned(), String::new()));

    let actions = server.json(LIST_ACTIONS, Some("Ada"), &json!({"runId": run_id("p", "r1")})).await.json();
    let names: Vec<_> =
        actions["actions"].as_array().unwrap().iter().map(|one| one["id"]["name"].clone()).collect();
    assert_eq!(names, ["a0", "c1"]);
    assert_eq!(actions["actions"][1]["metadata"]["group"], "g");
    let parent = json!({
        "runId": run_id("p", "r1"),
        "request": {"filters": [{"field": "parent_name", "values": ["a0"]}]},
    });
    let actions = server.json(LIST_ACTIONS, Some("Ada"), &parent).await.json();
    assert_eq!(actions["actions"].as_array().unwrap().len(), 1);
}

#[tokio::test]
async fn an_aborted_run_shows_its_reason_and_who_aborted_it() {
    let server = Runs::start().await;
    server.run("p", "r1").await;
    let abort = json!({"runId": run_id("p", "r1"), "reason": "enough"});
    assert_eq!(server.json(ABORT_RUN, Some("Ada"), &abort).await.status, StatusCode::OK);
    for (method, request, what) in [
        (ABORT_RUN, abort, "run \"r1\""),
        (ABORT_ACTION, json!({"actionId": action_id("p", "r1", "a0")}), "run \"r1\""),
    ] {
        let (code, message) = server.json(method, Some("Ada"), &request).await.error();
        assert_eq!(code, "failed_precondition");
        assert_eq!(message, format!("{what} has finished: it was aborted. There is nothing to abort"));
    }
    let request = json!({"actionId": action_id("p", "r1", "a0")});
    let details = server.json(ACTION_DETAILS, Some("Ada"), &request).await.json()["details"].clone();
    assert_eq!(details["status"]["phase"], "ACTION_PHASE_ABORTED");
    assert_eq!(details["abortInfo"]["reason"], "enough");
    assert_eq!(details["abortInfo"]["abortedBy"]["user"]["id"]["subject"], "user-Ada");
    let (code, _) = server.json(ABORT_RUN, Some("Ada"), &json!({"runId": run_id("p", "r9")})).await.error();
    assert_eq!(code, "not_found");
    server.plane.audit.flush().await;
    let audit = server.json("/flyteauth.AuditService/ListEvents", Some("Root"), &json!({})).await;
    let audit = String::from_utf8_lossy(&audit.body).into_owned();
    assert_eq!(audit.matches("run_aborted").count(), 1, "{audit}");
}

#[tokio::test]
async fn an_action_is_watched_to_its_end() {
    let server = Runs::start().await;
    server.run("p", "r1").await;
    let ada = server.token("Ada", &["all"]);
    let request = json!({"actionId": action_id("p", "r1", "a0")});
    let mut stream = server.stream(WATCH_ACTION, &ada, &request).await;
    let mut phase = async || {
        let message = stream.next().await;
        message.map(|one| one["details"]["status"]["phase"].as_str().unwrap().to_owned())
    };
    assert_eq!(phase().await.unwrap(), "ACTION_PHASE_QUEUED");
    server.plane.runs.claim(1).await.unwrap();
    assert_eq!(phase().await.unwrap(), "ACTION_PHASE_INITIALIZING");
    server.plane.runs.started(&action("a0"), 1).await.unwrap();
    assert_eq!(phase().await.unwrap(), "ACTION_PHASE_RUNNING");
    server.plane.runs.ended(&action("a0"), 1, failed()).await.unwrap();
    assert_eq!(phase().await.unwrap(), "ACTION_PHASE_FAILED");
    assert_eq!(phase().await.unwrap_err(), json!({}), "the stream ends without an error");
    let details = server.json(ACTION_DETAILS, Some("Ada"), &request).await.json()["details"].clone();
    assert_eq!(details["errorInfo"]["code"], "ValueError");
    assert_eq!(details["attempts"][0]["attempt"], 1);
    assert_eq!(details["attempts"][0]["logsAvailable"], true);
    let again = server.stream(WATCH_ACTION, &ada, &request).await.next().await.unwrap();
    assert_eq!(
        again["details"]["status"]["phase"], "ACTION_PHASE_FAILED",
        "an ended action is reported at once"
    );
}

#[tokio::test]
async fn streams_end_when_the_server_stops_or_the_token_is_revoked() {
    let server = Runs::start().await;
    server.run("p", "r1").await;
    let key = server.key(Role::Viewer, "p").await;
    let mut revoked = server.stream(WATCH_RUNS, &key, &json!({})).await;
    assert_eq!(revoked.next().await.unwrap()["runs"].as_array().unwrap().len(), 1);
    server.plane.access.revoke_family("family-of-key-viewer-p");
    server.run("p", "r2").await;
    assert_eq!(revoked.next().await.unwrap_err()["error"]["code"], "unauthenticated");

    let ada = server.token("Ada", &["all"]);
    let request = json!({"runId": run_id("p", "r1")});
    let mut stopped = server.stream(WATCH_ACTIONS, &ada, &request).await;
    stopped.next().await.unwrap();
    server.plane.stopping.stop();
    assert_eq!(stopped.next().await.unwrap_err()["error"]["code"], "unavailable");
}

#[tokio::test]
async fn runs_and_their_actions_are_watched() {
    let server = Runs::start().await;
    server.run("p", "r1").await;
    let ada = server.token("Ada", &["all"]);
    let mut runs =
        server.stream(WATCH_RUNS, &ada, &json!({"projectId": {"name": "p", "domain": "development"}})).await;
    let mut actions = server.stream(WATCH_ACTIONS, &ada, &json!({"runId": run_id("p", "r1")})).await;
    let first = runs.next().await.unwrap();
    assert_eq!(first["runs"][0]["action"]["id"]["run"]["name"], "r1");
    assert_eq!(actions.next().await.unwrap()["enrichedActions"][0]["action"]["id"]["name"], "a0");
    server.run("q", "elsewhere").await;
    server.run("p", "r2").await;
    assert_eq!(runs.next().await.unwrap()["runs"][0]["action"]["id"]["run"]["name"], "r2");
    let identity = server.identity("p", "r1").await;
    server.enqueue(&identity, "c1", "a0").await;
    assert_eq!(actions.next().await.unwrap()["enrichedActions"][0]["action"]["id"]["name"], "c1");
    server.json(ABORT_RUN, Some("Ada"), &json!({"runId": run_id("p", "r1")})).await;
    let mut seen = Vec::new();
    while let Ok(message) = actions.next().await {
        for one in message["enrichedActions"].as_array().unwrap() {
            seen.push(format!("{} {}", one["action"]["id"]["name"], one["action"]["status"]["phase"]));
        }
    }
    assert_eq!(seen, [r#""a0" "ACTION_PHASE_ABORTED""#, r#""c1" "ACTION_PHASE_ABORTED""#]);
}

#[tokio::test]
async fn a_run_enqueues_tasks_and_receives_updates() {
    let server = Runs::start().await;
    server.run("p", "r1").await;
    server.plane.runs.claim(9).await.unwrap();
    let identity = server.identity("p", "r1").await;
    assert_eq!(server.enqueue(&identity, "c1", "a0").await.status, StatusCode::OK);
    let request = json!({"parentActionId": action_id("p", "r1", "a0")});
    let mut stream = server.stream(WATCH, &identity, &request).await;
    let first = stream.next().await.unwrap();
    assert_eq!(first["actionUpdate"]["phase"], "ACTION_PHASE_QUEUED");
    assert_eq!(stream.next().await.unwrap(), json!({"controlMessage": {"sentinel": true}}));
    assert_eq!(
        server.enqueue(&identity, "c1", "a0").await.status,
        StatusCode::OK,
        "enqueueing again is not an error"
    );
    server.plane.runs.claim(9).await.unwrap();
    assert_eq!(stream.next().await.unwrap()["actionUpdate"]["phase"], "ACTION_PHASE_INITIALIZING");
    server.plane.runs.ended(&action("c1"), 1, Outcome::Succeeded).await.unwrap();
    let done = stream.next().await.unwrap()["actionUpdate"].clone();
    assert_eq!(done["phase"], "ACTION_PHASE_SUCCEEDED");
    assert_eq!(done["outputUri"], server.path("runs/r1/c1/1"));
    server.enqueue(&identity, "c2", "a0").await;
    assert_eq!(stream.next().await.unwrap()["actionUpdate"]["phase"], "ACTION_PHASE_QUEUED");
    server.plane.runs.claim(9).await.unwrap();
    stream.next().await.unwrap();
    server.plane.runs.ended(&action("c2"), 1, failed()).await.unwrap();
    let error = stream.next().await.unwrap()["actionUpdate"]["error"].clone();
    assert_eq!(
        (&error["kind"], &error["code"], &error["message"]),
        (&json!("USER"), &json!("ValueError"), &json!("no"))
    );

    server.enqueue(&identity, "c3", "a0").await;
    stream.next().await.unwrap();
    let abort = json!({"actionId": action_id("p", "r1", "c3")});
    assert_eq!(server.as_token(&identity, ABORT, &abort).await.status, StatusCode::OK);
    assert_eq!(stream.next().await.unwrap()["actionUpdate"]["phase"], "ACTION_PHASE_ABORTED");
    server.plane.runs.ended(&action("a0"), 1, Outcome::Succeeded).await.unwrap();
    assert!(stream.next().await.is_err(), "the parent has ended");
    let (code, _) = server.enqueue(&identity, "c4", "a0").await.error();
    assert_eq!(code, "unauthenticated", "the identity ends with its run");
}

#[tokio::test]
async fn only_the_run_itself_enqueues_actions() {
    let server = Runs::start().await;
    let answer = server.json(CREATE_RUN, Some("Root"), &create("p", "r1")).await;
    assert_eq!(answer.status, StatusCode::OK, "{answer:?}");
    let identity = server.identity("p", "r1").await;
    assert_eq!(server.enqueue(&identity, "c1", "a0").await.status, StatusCode::OK);
    assert_eq!(
        server.enqueue(&identity, "c1", "a0").await.status,
        StatusCode::OK,
        "enqueueing again starts nothing"
    );
    let action = json!({"actionId": action_id("p", "r1", "c1")});
    let people = [
        server.key(Role::Contributor, "p").await,
        server.token("Ada", &["all"]),
        // The user who started the run is denied too.
        server.token("Root", &["all"]),
    ];
    for token in &people {
        for method in [ENQUEUE, ABORT, SIGNAL, UPDATE] {
            let (code, message) = server.as_token(token, method, &action).await.error();
            assert_eq!(code, "permission_denied", "{method}");
            assert!(message.contains("Use RunService"), "{message}");
        }
        let (code, _) = server.enqueue(token, "c2", "a0").await.error();
        assert_eq!(code, "permission_denied");
    }
    let actions = server.json(LIST_ACTIONS, Some("Ada"), &json!({"runId": run_id("p", "r1")})).await.json();
    assert_eq!(actions["actions"].as_array().unwrap().len(), 2, "{actions}");
    let abort = server.as_token(&people[0], ABORT_ACTION, &action).await;
    assert_eq!(abort.status, StatusCode::OK, "contributors abort with RunService: {abort:?}");

    server.plane.audit.flush().await;
    let query = AuditQuery { limit: 1000, ..AuditQuery::default() };
    let (records, _) = server.plane.store.list_audit_records(&query).await.unwrap();
    let of = |kind: Kind| {
        let found = records.iter().map(|entry| &entry.record).filter(move |one| one.event == kind.as_str());
        found.cloned().collect::<Vec<_>>()
    };
    let [created] = &of(Kind::RunCreated)[..] else { panic!("{records:?}") };
    let [enqueued] = &of(Kind::ActionEnqueued)[..] else { panic!("{records:?}") };
    let [aborted] = &of(Kind::RunAborted)[..] else { panic!("{records:?}") };
    for (record, subject, object) in [
        (created, "user-Root", "p/development/r1"),
        (enqueued, "p/development/r1", "p/development/r1/c1"),
        (aborted, "key-contributor-p", "p/development/r1/c1"),
    ] {
        assert_eq!(record.subject.as_deref(), Some(subject), "{record:?}");
        assert_eq!(record.object.as_deref(), Some(object), "{record:?}");
    }
    for record in [created, enqueued] {
        for (detail, value) in
            [("task", "env.main"), ("version", "v1"), ("project", "p"), ("domain", "development")]
        {
            assert_eq!(record.details[detail], value, "{record:?}");
        }
    }
    assert_eq!(enqueued.details["on_behalf_of"], "user-Root");
    assert!(of(Kind::CallDenied).len() >= 3, "{records:?}");
}

#[tokio::test]
async fn traces_are_recorded_with_their_errors() {
    let server = Runs::start().await;
    server.run("p", "r1").await;
    let identity = server.identity("p", "r1").await;
    let error = ErrorDocument {
        error: MessageField::some(ContainerError {
            code: "E".to_owned(),
            message: "too many".to_owned(),
            kind: 1.into(),
            ..ContainerError::default()
        }),
        ..ErrorDocument::default()
    };
    let path = server.native("runs/r1/t2/error.pb");
    server.plane.objects.put(&path, error.encode_to_vec().into()).await.unwrap();
    for (name, phase, outputs) in [
        ("t1", "ACTION_PHASE_SUCCEEDED", server.native("runs/r1/t1/outputs.pb")),
        ("t2", "ACTION_PHASE_FAILED", String::new()),
    ] {
        let request = json!({"action": {
            "actionId": action_id("p", "r1", name),
            "parentActionName": "a0",
            "inputUri": server.native(&format!("runs/r1/{name}/inputs.pb")),
            "runOutputBase": server.native("runs/r1"),
            "trace": {
                "name": "step", "phase": phase, "outputs": {"outputUri": outputs},
                "startTime": "2026-11-25T00:00:00.250Z", "endTime": "2026-11-25T00:00:01Z",
            },
        }});
        let answer = server.as_token(&identity, ENQUEUE, &request).await;
        assert_eq!(answer.status, StatusCode::OK, "{answer:?}");
    }
    let request = json!({"parentActionId": action_id("p", "r1", "a0")});
    let mut stream = server.stream(WATCH, &identity, &request).await;
    let done = stream.next().await.unwrap()["actionUpdate"].clone();
    assert_eq!(done["outputUri"], server.path("runs/r1/t1/outputs.pb"));
    let error = stream.next().await.unwrap()["actionUpdate"]["error"].clone();
    assert_eq!((&error["message"], &error["recoverability"]), (&json!("too many"), &json!("RECOVERABLE")));
    let details =
        server.json(ACTION_DETAILS, Some("Ada"), &json!({"actionId": action_id("p", "r1", "t1")})).await;
    assert_eq!(details.json()["details"]["metadata"]["trace"]["name"], "step");
    assert_eq!(details.json()["details"]["status"]["durationMs"], "750");
}

#[tokio::test]
async fn a_user_signals_a_condition() {
    let server = Runs::start().await;
    server.run("p", "r1").await;
    server.plane.runs.claim(9).await.unwrap();
    let identity = server.identity("p", "r1").await;
    let request = json!({"action": {
        "actionId": action_id("p", "r1", "w1"),
        "parentActionName": "a0",
        "condition": {"name": "approve", "prompt": "continue?", "type": {"simple": "BOOLEAN"}},
    }});
    assert_eq!(server.as_token(&identity, ENQUEUE, &request).await.status, StatusCode::OK);
    let paused = server.json(LIST_RUNS, Some("Ada"), &json!({"pausedActionsOnly": true})).await.json();
    assert_eq!(paused["runs"].as_array().unwrap().len(), 1);
    let conditions = json!({
        "runId": run_id("p", "r1"),
        "request": {"filters": [{"field": "action_type", "values": ["3"]}]},
    });
    let conditions = server.json(LIST_ACTIONS, Some("Ada"), &conditions).await.json()["actions"].clone();
    assert_eq!(conditions.as_array().unwrap().len(), 1);
    assert_eq!(
        conditions[0]["metadata"]["condition"],
        json!({"name": "approve", "type": {"simple": "BOOLEAN"}})
    );
    let signal = |payload: Value| json!({"actionId": action_id("p", "r1", "w1"), "payload": payload});
    let (code, message) =
        server.json(SIGNAL_EVENT, Some("Ada"), &signal(json!({"intValue": 1}))).await.error();
    assert_eq!((code.as_str(), message.contains("type")), ("invalid_argument", true), "{message}");
    let answer = server.json(SIGNAL_EVENT, Some("Ada"), &signal(json!({"boolValue": true}))).await;
    assert_eq!(answer.status, StatusCode::OK, "{answer:?}");
    let mut stream =
        server.stream(WATCH, &identity, &json!({"parentActionId": action_id("p", "r1", "a0")})).await;
    let update = stream.next().await.unwrap()["actionUpdate"].clone();
    assert_eq!(update["phase"], "ACTION_PHASE_SUCCEEDED");
    assert_eq!(update["value"]["scalar"]["primitive"]["boolean"], true);
    let (code, _) =
        server.json(SIGNAL_EVENT, Some("Ada"), &signal(json!({"boolValue": false}))).await.error();
    assert_eq!(code, "failed_precondition");
}

#[tokio::test]
async fn runs_of_other_projects_are_not_found() {
    let server = Runs::start().await;
    server.run("p", "r1").await;
    let stranger = server.key(Role::Contributor, "q").await;
    for (method, request) in [
        (RUN_DETAILS, json!({"runId": run_id("p", "r1")})),
        (ABORT_RUN, json!({"runId": run_id("p", "r1")})),
        (LIST_ACTIONS, json!({"runId": run_id("p", "r1")})),
        (ACTION_DETAILS, json!({"actionId": action_id("p", "r1", "a0")})),
        (ACTION_DATA, json!({"actionId": action_id("p", "r1", "a0")})),
        (ABORT_ACTION, json!({"actionId": action_id("p", "r1", "a0")})),
        (CREATE_RUN, create("p", "r2")),
    ] {
        let (code, _) = server.as_token(&stranger, method, &request).await.error();
        assert_eq!(code, "not_found", "{method}");
    }
    let elsewhere = json!({"projectId": {"name": "p", "domain": "development"}});
    assert_eq!(server.as_token(&stranger, LIST_RUNS, &elsewhere).await.error().0, "not_found");
    let end = server.stream(WATCH_RUNS, &stranger, &elsewhere).await.next().await.unwrap_err();
    assert_eq!(end["error"]["code"], "not_found", "{end}");
    for request in [json!({}), json!({"org": "acme"})] {
        let listed = server.as_token(&stranger, LIST_RUNS, &request).await.json();
        assert_eq!(listed.get("runs"), None, "{request}");
    }
    let mut runs = server.stream(WATCH_RUNS, &stranger, &json!({})).await;
    server.run("p", "r2").await;
    assert_eq!(server.as_token(&stranger, CREATE_RUN, &create("q", "own")).await.status, StatusCode::OK);
    let seen = runs.next().await.unwrap();
    assert_eq!(seen["runs"].as_array().unwrap().len(), 1);
    assert_eq!(seen["runs"][0]["action"]["id"]["run"]["name"], "own");
}

#[tokio::test]
async fn viewers_only_read_and_runs_act_only_on_their_own_actions() {
    let server = Runs::start().await;
    for name in ["r1", "r2"] {
        server.run("p", name).await;
    }
    let viewer = server.key(Role::Viewer, "p").await;
    assert_eq!(
        server.as_token(&viewer, RUN_DETAILS, &json!({"runId": run_id("p", "r1")})).await.status,
        StatusCode::OK
    );
    let identity = server.identity("p", "r2").await;
    for token in [&viewer, &identity] {
        for (method, request) in [
            (CREATE_RUN, create("p", "r3")),
            (ABORT_RUN, json!({"runId": run_id("p", "r1")})),
            (ABORT_ACTION, json!({"actionId": action_id("p", "r1", "a0")})),
            (ABORT, json!({"actionId": action_id("p", "r1", "a0")})),
        ] {
            let (code, _) = server.as_token(token, method, &request).await.error();
            assert_eq!(code, "permission_denied", "{method}");
        }
        let (code, _) = server.enqueue(token, "c1", "a0").await.error();
        assert_eq!(code, "permission_denied");
    }
    let other = json!({"project": "q", "domain": "development", "name": "x"});
    let (code, _) = server.as_token(&identity, RUN_DETAILS, &json!({"runId": other})).await.error();
    assert_eq!(code, "not_found");
    let own = server.identity("p", "r1").await;
    let outside = json!({"action": {
        "actionId": action_id("p", "r1", "c1"),
        "parentActionName": "a0",
        "inputUri": "file:///etc/passwd",
        "task": {"spec": task()},
    }});
    let (code, message) = server.as_token(&own, ENQUEUE, &outside).await.error();
    assert_eq!(
        (code.as_str(), message.starts_with("action.input_uri")),
        ("invalid_argument", true),
        "{message}"
    );
}

#[tokio::test]
async fn a_deployed_task_is_run_by_its_id() {
    let server = Runs::start().await;
    let project = json!({"project": {"id": "p1"}});
    assert_eq!(server.json(CREATE, Some("Root"), &project).await.status, StatusCode::OK);
    let deploy = "/flyteidl2.task.TaskService/DeployTask";
    let answer = server.json(deploy, Some("Ada"), &task::deployment("env.other", "v7")).await;
    assert_eq!(answer.status, StatusCode::OK, "{answer:?}");
    let request = |version: &str| {
        let mut request = create("p", &format!("r-{version}"));
        request.as_object_mut().unwrap().remove("taskSpec");
        request["taskId"] = task::id("env.other", version);
        request
    };
    let answer = server.json(CREATE_RUN, Some("Ada"), &request("v7")).await;
    assert_eq!(answer.status, StatusCode::OK, "{answer:?}");
    let named = answer.json()["run"]["action"]["metadata"]["task"]["id"].clone();
    assert_eq!(
        (&named["name"], &named["version"], &named["project"]),
        (&json!("env.other"), &json!("v7"), &json!("p1"))
    );
    let by_task = json!({"taskId": task::id("env.other", "v7")});
    let listed = server.json(LIST_RUNS, Some("Ada"), &by_task).await.json();
    assert_eq!(listed.get("runs"), None, "the filter compares the project of the run");
    let (code, message) = server.json(CREATE_RUN, Some("Ada"), &request("v8")).await.error();
    assert_eq!((code.as_str(), message.contains("v8")), ("not_found", true), "{message}");
    // A caller who is limited to `p` cannot see the tasks of `p1`.
    let limited = server.key(Role::Contributor, "p").await;
    let (code, _) = server.as_token(&limited, CREATE_RUN, &request("v7")).await.error();
    assert_eq!(code, "not_found");
}
