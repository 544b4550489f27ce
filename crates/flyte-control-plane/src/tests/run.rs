//! `RunService` and `ActionsService`.

mod access;
mod actions;
mod creation;
mod listing;
mod roles;
mod watching;

use std::time::Duration;

use buffa::{Message as _, MessageField};
use flyte_idl::flyteidl2::core::{ContainerError, ErrorDocument};
use serde_json::json;
use tempfile::TempDir;

use super::*;
use flyte_audit::Kind;
use flyte_model::{Limit, Role, Scope};
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
                subject: key.client_id.to_string(),
                client_id: key.client_id,
                scopes: [Scope::ALL].into(),
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
