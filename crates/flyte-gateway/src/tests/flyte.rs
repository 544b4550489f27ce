//! A backend that has runs and apps, as a Flyte 2 backend does.

use std::sync::Arc;

use bytes::Bytes;
use http::Response;
use serde_json::{Value, json};

use super::{
    backend::{Backend, Exchange, answer},
    frame,
};

pub(super) const CREATE_RUN: &str = "/flyteidl2.workflow.RunService/CreateRun";
pub(super) const ABORT_RUN: &str = "/flyteidl2.workflow.RunService/AbortRun";
pub(super) const ABORT_ACTION: &str = "/flyteidl2.workflow.RunService/AbortAction";
pub(super) const SIGNAL_EVENT: &str = "/flyteidl2.workflow.RunService/SignalEvent";
pub(super) const CREATE_APP: &str = "/flyteidl2.app.AppService/Create";
pub(super) const GET_RUN: &str = "/flyteidl2.workflow.RunService/GetRunDetails";
pub(super) const LIST_RUNS: &str = "/flyteidl2.workflow.RunService/ListRuns";
pub(super) const GET_APP: &str = "/flyteidl2.app.AppService/Get";
pub(super) const TAIL_APP_LOGS: &str = "/flyteidl2.app.AppLogsService/TailLogs";

/// What the backend has.
#[derive(Clone, Debug, Default)]
pub(crate) struct Flyte {
    /// Project, domain, name and phase of runs.
    pub(crate) runs: Vec<(&'static str, &'static str, &'static str, &'static str)>,
    /// Project, domain and name of the app that is found by whatever identifier.
    pub(crate) app: Option<(&'static str, &'static str, &'static str)>,
    /// The replicas of that app.
    pub(crate) replicas: Vec<&'static str>,
    /// Whether it fails to answer questions.
    pub(crate) is_down: bool,
}

/// A field of a message in binary.
pub(super) fn field(number: u8, content: &[u8]) -> Vec<u8> {
    [&[number << 3 | 2, u8::try_from(content.len()).unwrap()], content].concat()
}

/// The identifier of a run or an app in binary.
pub(super) fn identifier(project: &str, domain: &str, name: &str) -> Vec<u8> {
    let parts = [(2, project), (3, domain), (4, name)];
    parts.iter().flat_map(|(number, text)| field(*number, text.as_bytes())).collect()
}

/// The same in JSON.
pub(super) fn identifier_json(project: &str, domain: &str, name: &str) -> Value {
    json!({"project": project, "domain": domain, "name": name})
}

/// A message as a client of this type sends it.
pub(super) fn request(content_type: &str, binary: &[u8], json: &Value) -> Bytes {
    let message =
        if content_type.ends_with("json") { json.to_string().into_bytes() } else { binary.to_vec() };
    if content_type.contains("grpc") || content_type.contains("connect") {
        frame(0, &message)
    } else {
        message.into()
    }
}

/// The answer to `CreateRun` for this run.
fn created(content_type: &str, project: &str, domain: &str, name: &str) -> Bytes {
    let mut binary = identifier(project, domain, name);
    for _ in 0..4 {
        binary = field(1, &binary);
    }
    let json = json!({"run": {"action": {"id": {"run": identifier_json(project, domain, name)}}}});
    request(content_type, &binary, &json)
}

fn not_found(exchange: &mut Exchange) {
    let response = Response::builder().status(404).header("content-type", "application/json");
    let mut stream = exchange.respond.send_response(response.body(()).unwrap(), false).unwrap();
    stream.send_data(r#"{"code":"not_found"}"#.into(), true).unwrap();
}

impl Flyte {
    /// Starts it. New runs are `mine/development/r`.
    pub(crate) async fn serve(self) -> Backend {
        let this = Arc::new(self);
        Backend::new(move |mut exchange: Exchange| {
            let this = Arc::clone(&this);
            async move {
                let Ok(body) = exchange.read().await else { return };
                let content_type = exchange.head.headers["content-type"].to_str().unwrap().to_owned();
                let path = exchange.head.uri.path().to_owned();
                let is_question = exchange.head.headers.contains_key("connect-protocol-version")
                    && !exchange.head.headers.contains_key("x-amzn-oidc-data");
                let json = match path.as_str() {
                    CREATE_RUN => {
                        let created = created(&content_type, "mine", "development", "r");
                        return answer(&mut exchange, created);
                    }
                    _ if !is_question => {
                        return answer(&mut exchange, request(&content_type, b"", &json!({})));
                    }
                    _ if this.is_down => {
                        let response = Response::builder().status(503).body(()).unwrap();
                        exchange.respond.send_response(response, true).unwrap();
                        return;
                    }
                    LIST_RUNS => {
                        let asked: Value = serde_json::from_slice(&body).unwrap();
                        let filter = &asked["request"]["filters"][0];
                        assert_eq!(
                            (&filter["field"], &filter["function"]),
                            (&json!("run_name"), &json!("EQUAL"))
                        );
                        // One that does not look at the filter.
                        let runs = this.runs.iter().map(|(project, domain, name, phase)| {
                            let run = identifier_json(project, domain, name);
                            json!({"action": {"id": {"run": run, "name": "a0"}, "status": {"phase": phase}}})
                        });
                        json!({"runs": runs.collect::<Vec<_>>()})
                    }
                    GET_RUN => {
                        let asked: Value = serde_json::from_slice(&body).unwrap();
                        let mut ids =
                            this.runs.iter().map(|(project, domain, name, _)| (project, domain, name));
                        let of = |(project, domain, name): (&&str, &&str, &&str)| {
                            let own = &asked["runId"];
                            own["project"] == **project && own["domain"] == **domain && own["name"] == **name
                        };
                        if !ids.any(of) {
                            return not_found(&mut exchange);
                        }
                        json!({"details": {"action": {"id": {"run": asked["runId"], "name": "a0"}}}})
                    }
                    GET_APP => match this.app {
                        Some((project, domain, name)) => {
                            json!({"app": {"metadata": {"id": identifier_json(project, domain, name)}}})
                        }
                        None => return not_found(&mut exchange),
                    },
                    TAIL_APP_LOGS => {
                        let replicas = this.replicas.iter().map(|name| json!({"name": name}));
                        let json = json!({"replicas": {"replicas": replicas.collect::<Vec<_>>()}});
                        let mut stream = exchange.head(&content_type);
                        let message = frame(0, json.to_string().as_bytes());
                        // In two pieces, and without an end.
                        stream.send_data(message.slice(..7), false).unwrap();
                        stream.send_data(message.slice(7..), false).unwrap();
                        std::future::pending::<()>().await;
                        return;
                    }
                    path => panic!("{path} was asked"),
                };
                answer(&mut exchange, json.to_string().into());
            }
        })
        .await
    }
}

/// The paths of the calls that a backend got beside questions.
pub(super) fn forwarded(backend: &Backend) -> Vec<String> {
    let received = backend.received();
    let calls = received.iter().filter(|one| one.headers.contains_key("x-amzn-oidc-data"));
    calls.map(|one| one.path.clone()).collect()
}
