//! What the backend finds by a name alone is reached only by callers of its project.

use std::collections::HashMap;

use flyte_store::AuditQuery;
use serde_json::{Value, json};

use super::{
    backend::Backend,
    client::{Client, Got, of_type},
    flyte::{
        ABORT_ACTION, ABORT_RUN, CREATE_APP, CREATE_RUN, Flyte, LIST_RUNS, SIGNAL_EVENT, TAIL_APP_LOGS,
        field, forwarded, identifier, identifier_json, request,
    },
    frame,
    gateway::{Served, caller, limited},
};

const RUNNING: &str = "ACTION_PHASE_RUNNING";
const ENDED: &str = "ACTION_PHASE_SUCCEEDED";
const OWN: (&str, &str, &str, &str) = ("mine", "development", "r", RUNNING);

const UPDATE_APP: &str = "/flyteidl2.app.AppService/Update";
const DELETE_APP: &str = "/flyteidl2.app.AppService/Delete";

/// A request of each RPC about the run `r` or the app `x-a` of `mine`, in both forms.
fn about(path: &str) -> (Vec<u8>, Value) {
    let (run, run_json) =
        (identifier("mine", "development", "r"), identifier_json("mine", "development", "r"));
    let (app, app_json) =
        (identifier("mine", "development", "x-a"), identifier_json("mine", "development", "x-a"));
    match path {
        CREATE_RUN | ABORT_RUN => (field(1, &run), json!({"runId": run_json})),
        ABORT_ACTION | SIGNAL_EVENT => {
            let action = [field(1, &run), field(2, b"c1")].concat();
            (field(1, &action), json!({"action_id": {"run": run_json, "name": "c1"}}))
        }
        CREATE_APP | UPDATE_APP => {
            (field(1, &field(1, &field(1, &app))), json!({"app": {"metadata": {"id": app_json}}}))
        }
        DELETE_APP => (field(1, &app), json!({"appId": app_json})),
        TAIL_APP_LOGS => {
            let replica = [field(1, &app), field(2, b"x-a-1")].concat();
            (field(2, &replica), json!({"replicaId": {"appId": app_json, "name": "x-a-1"}}))
        }
        path => panic!("{path}"),
    }
}

/// The code of gRPC with which calls of all forms end, and how many of them the backend got.
async fn call(flyte: Flyte, limit: Option<&str>, path: &str) -> (String, usize) {
    let backend = flyte.serve().await;
    let caller = limit.map_or_else(caller, limited);
    let served = Served::with(backend.address, caller, |_| {}).await;
    let client = Client::new(served.address).await;
    let (binary, json) = about(path);
    let mut codes = Vec::new();
    for content_type in ["application/grpc", "application/grpc+json"] {
        let got = client.call(path, &of_type(content_type), request(content_type, &binary, &json)).await;
        codes.push(got.grpc_status().unwrap().to_owned());
    }
    codes.dedup();
    let [code] = &codes[..] else { panic!("{path}: {codes:?}") };
    (code.clone(), forwarded(&backend).len())
}

#[tokio::test]
async fn a_new_run_may_not_have_the_name_of_another() {
    let others = [
        ("theirs", "development", "r", RUNNING),
        ("theirs", "development", "r", ENDED),
        ("mine", "production", "r", RUNNING),
    ];
    for other in others {
        for runs in [vec![other], vec![other, OWN]] {
            for limit in [Some("mine"), None] {
                let flyte = Flyte { runs: runs.clone(), ..Flyte::default() };
                assert_eq!(call(flyte, limit, CREATE_RUN).await, ("6".to_owned(), 0), "{runs:?} {limit:?}");
            }
        }
    }
    for runs in [vec![], vec![OWN], vec![("theirs", "development", "other", RUNNING)]] {
        let flyte = Flyte { runs, ..Flyte::default() };
        assert_eq!(call(flyte, Some("mine"), CREATE_RUN).await, ("0".to_owned(), 2));
    }
}

#[tokio::test]
async fn a_run_is_ended_and_answered_only_if_its_name_is_that_of_no_other() {
    let other = |phase| ("theirs", "development", "r", phase);
    for path in [ABORT_RUN, ABORT_ACTION, SIGNAL_EVENT] {
        for (runs, code, forwarded) in [
            // Another's, with the caller's own project in the request.
            (vec![other(RUNNING)], "5", 0),
            (vec![], "5", 0),
            (vec![("mine", "production", "r", RUNNING)], "5", 0),
            (vec![OWN, other(RUNNING)], "9", 0),
            (vec![OWN, other("")], "9", 0),
            (vec![OWN, other(ENDED)], "0", 2),
            (vec![OWN], "0", 2),
        ] {
            let flyte = Flyte { runs: runs.clone(), ..Flyte::default() };
            let expected = (code.to_owned(), forwarded);
            assert_eq!(call(flyte, Some("mine"), path).await, expected, "{path} {runs:?}");
        }
    }
}

#[tokio::test]
async fn a_run_that_the_caller_does_not_have_is_not_looked_for_everywhere() {
    for (runs, expected) in [(vec![("theirs", "development", "r", RUNNING)], 0), (vec![OWN], 1)] {
        let backend = Flyte { runs, ..Flyte::default() }.serve().await;
        let served = Served::with(backend.address, limited("mine"), |_| {}).await;
        let client = Client::new(served.address).await;
        let (_, json) = about(ABORT_RUN);
        let _ = client.call(ABORT_RUN, &of_type("application/json"), json.to_string()).await;
        let listed = backend.received().iter().filter(|one| one.path == LIST_RUNS).count();
        assert_eq!(listed, expected);
    }
}

#[tokio::test]
async fn a_second_message_is_judged_too() {
    let backend = Flyte { runs: vec![OWN], ..Flyte::default() }.serve().await;
    let served = Served::with(backend.address, limited("mine"), |_| {}).await;
    let client = Client::new(served.address).await;
    let of = |name: &str| {
        let run = field(1, &identifier("mine", "development", name));
        frame(0, &field(1, &[run, field(2, b"c1")].concat()))
    };
    // Both in one piece; there is no run of the second name.
    let both = [of("r"), of("s")].concat();
    let got = client.call(SIGNAL_EVENT, &of_type("application/grpc"), both).await;
    assert_eq!((got.grpc_status(), forwarded(&backend).len()), (Some("5"), 0), "{got:?}");
}

#[tokio::test]
async fn without_an_answer_of_the_backend_limited_callers_are_refused() {
    for (path, unlimited) in [(CREATE_RUN, ("0", 2)), (SIGNAL_EVENT, ("0", 2)), (DELETE_APP, ("0", 2))] {
        let flyte = Flyte { is_down: true, ..Flyte::default() };
        assert_eq!(call(flyte.clone(), Some("mine"), path).await, ("14".to_owned(), 0), "{path}");
        let (code, forwarded) = unlimited;
        assert_eq!(call(flyte, None, path).await, (code.to_owned(), forwarded), "{path}");
    }
}

#[tokio::test]
async fn an_app_whose_joined_name_is_that_of_another_is_not_there() {
    // Both are `x-a-mine-development` for the backend.
    let other = Some(("a-mine", "development", "x"));
    let own = Some(("mine", "development", "x-a"));
    let replicas = vec!["x-a-0", "x-a-1"];
    for (path, code) in [(CREATE_APP, "6"), (UPDATE_APP, "5"), (DELETE_APP, "5"), (TAIL_APP_LOGS, "5")] {
        let flyte = Flyte { app: other, replicas: replicas.clone(), ..Flyte::default() };
        assert_eq!(call(flyte, Some("mine"), path).await, (code.to_owned(), 0), "{path}");
        let flyte = Flyte { app: own, replicas: replicas.clone(), ..Flyte::default() };
        assert_eq!(call(flyte, Some("mine"), path).await, ("0".to_owned(), 2), "{path}");
    }
    for path in [CREATE_APP, UPDATE_APP, DELETE_APP] {
        assert_eq!(call(Flyte::default(), Some("mine"), path).await, ("0".to_owned(), 2), "{path}");
    }
}

#[tokio::test]
async fn logs_of_a_replica_are_those_of_the_callers_app() {
    for replicas in [vec![], vec!["r-a0-0", "x-a-0"]] {
        let flyte = Flyte { app: Some(("mine", "development", "x-a")), replicas, ..Flyte::default() };
        assert_eq!(call(flyte, Some("mine"), TAIL_APP_LOGS).await, ("5".to_owned(), 0));
    }
}

#[tokio::test]
async fn a_refusal_says_nothing_and_is_recorded() {
    let runs = vec![("theirs", "development", "r", RUNNING)];
    let backend = Flyte { runs, ..Flyte::default() }.serve().await;
    let served = Served::with(backend.address, limited("mine"), |_| {}).await;
    let got = signal(&served, &backend).await;
    assert!(!got.text().contains("theirs"), "{}", got.text());
    served.parts.audit.flush().await;
    let query = AuditQuery { limit: 10, ..AuditQuery::default() };
    let (entries, _) = served.parts.store.list_audit_records(&query).await.unwrap();
    let [denied] = &entries[..] else { panic!("{entries:?}") };
    assert_eq!(
        (denied.record.event.as_str(), denied.record.object.as_deref()),
        ("call_denied", Some(SIGNAL_EVENT))
    );
}

async fn signal(served: &Served, backend: &Backend) -> Got {
    let client = Client::new(served.address).await;
    let (_, json) = about(SIGNAL_EVENT);
    let got = client.call(SIGNAL_EVENT, &of_type("application/json"), json.to_string()).await;
    assert_eq!((got.status.as_u16(), forwarded(backend).len()), (404, 0), "{}", got.text());
    got
}

/// The messages of requests, as the door knows them.
const REQUESTS: &str = include_str!("../../../flyte-access/src/door/requests.txt");

/// The numbers and contents of the fields of each message.
fn messages() -> HashMap<&'static str, HashMap<&'static str, (u8, &'static str)>> {
    let blocks = REQUESTS.split("\n\n").filter_map(|block| block.trim().strip_prefix("message "));
    let message = |block: &'static str| {
        let mut lines = block.lines();
        let name = lines.next().unwrap();
        let fields = lines.map(|line| {
            let words: Vec<_> = line.split(' ').collect();
            (words[1], (words[0].parse().unwrap(), words[2]))
        });
        (name, fields.collect())
    };
    blocks.map(message).collect()
}

/// JSON as the binary form of a message, by its definition.
fn encode(messages: &HashMap<&str, HashMap<&str, (u8, &str)>>, message: &str, json: &Value) -> Vec<u8> {
    let mut encoded = Vec::new();
    for (name, value) in json.as_object().unwrap() {
        let snake: String = name
            .chars()
            .flat_map(|c| if c.is_uppercase() { vec!['_', c.to_ascii_lowercase()] } else { vec![c] })
            .collect();
        let (number, content) = messages[message][snake.as_str()];
        let bytes = match value {
            Value::String(text) => text.clone().into_bytes(),
            value => encode(messages, content, value),
        };
        encoded.push((number, field(number, &bytes)));
    }
    encoded.sort();
    encoded.into_iter().flat_map(|(_, bytes)| bytes).collect()
}

#[test]
fn fields_have_their_published_numbers() {
    let messages = messages();
    for path in
        [CREATE_RUN, ABORT_RUN, ABORT_ACTION, SIGNAL_EVENT, CREATE_APP, UPDATE_APP, DELETE_APP, TAIL_APP_LOGS]
    {
        let line = format!("rpc {} ", &path[1..]);
        let message = REQUESTS.lines().find_map(|one| one.strip_prefix(line.as_str())).expect(path);
        let (binary, json) = about(path);
        assert_eq!(encode(&messages, message, &json), binary, "{path}");
    }
}
