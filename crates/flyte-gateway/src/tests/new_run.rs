//! Runs that are started through the gateway are known with those who have started them.

use bytes::Bytes;
use flyte_access::Caller;
use flyte_model::{Limit, PrincipalKind, Role};
use flyte_policy::Grants;
use flyte_store::{AuditQuery, AuditRecord, Creator, CreatorKind, RunId, RunStarter};
use http::StatusCode;
use serde_json::json;

use super::{
    PATIENCE,
    backend::{Backend, Exchange, trailers},
    client::{Client, of_type},
    flyte::{CREATE_RUN, Flyte, field, forwarded, identifier, identifier_json, request},
    frame,
    gateway::{Served, caller},
};

const MEDIA_TYPES: [&str; 6] = [
    "application/proto",
    "application/json",
    "application/grpc",
    "application/grpc+json",
    "application/grpc-web",
    "application/connect+proto",
];

fn run() -> RunId {
    RunId { project: "mine".to_owned(), domain: "development".to_owned(), name: "r".to_owned() }
}

/// A request for a run without a name.
fn unnamed(content_type: &str) -> Bytes {
    let project = [field(2, b"development"), field(3, b"mine")].concat();
    let json = json!({"projectId": {"name": "mine", "domain": "development"}});
    request(content_type, &field(6, &project), &json)
}

fn named(content_type: &str) -> Bytes {
    let json = json!({"runId": identifier_json("mine", "development", "r")});
    request(content_type, &field(1, &identifier("mine", "development", "r")), &json)
}

async fn created(served: &Served) -> Vec<AuditRecord> {
    served.parts.audit.flush().await;
    let query = AuditQuery { limit: 100, ..AuditQuery::default() };
    let (entries, _) = served.parts.store.list_audit_records(&query).await.unwrap();
    entries.into_iter().map(|entry| entry.record).filter(|record| record.event == "run_created").collect()
}

/// The pod of a run that Ada's job has started.
fn pod() -> Caller {
    let starter = Creator {
        subject: "rule:ada".to_owned(),
        kind: CreatorKind::Federated,
        client_id: caller().client_id,
        family_id: "family".to_owned(),
        role: Role::Admin,
        limit: Limit::default(),
    };
    let limit = Limit { project: Some("mine".to_owned()), domain: Some("development".to_owned()) };
    Caller {
        subject: "mine/development/parent".to_owned(),
        principal: PrincipalKind::Run,
        family_id: "pod:flyte/parent-a0-0/uid".to_owned(),
        grants: Grants::of_role(Role::Contributor, &limit),
        on_behalf_of: Some(starter),
        ..caller()
    }
}

#[tokio::test]
async fn a_new_run_is_known_at_once_with_its_starter_in_each_protocol() {
    let backend = Flyte::default().serve().await;
    for content_type in MEDIA_TYPES {
        let served = Served::before(&backend).await;
        let client = Client::new(served.address).await;
        let got = client.call(CREATE_RUN, &of_type(content_type), unnamed(content_type)).await;
        assert_eq!(got.status, StatusCode::OK, "{content_type}: {got:?}");
        assert!(got.text().contains("mine") && got.end.is_ok(), "{content_type}: {got:?}");
        if content_type == "application/grpc" {
            assert_eq!(got.grpc_status(), Some("0"));
        }
        let starter = served.parts.store.run_starter(&run()).await.unwrap().expect(content_type);
        assert_eq!(starter.creator.subject, "rule:ada", "{content_type}");
        let [record] = &created(&served).await[..] else { panic!("{content_type}") };
        assert_eq!(record.object.as_deref(), Some("mine/development/r"));
        assert_eq!(
            (record.details["project"].as_str(), record.details["domain"].as_str()),
            ("mine", "development")
        );
    }
}

#[tokio::test]
async fn what_a_pod_starts_is_on_behalf_of_who_started_its_run() {
    let backend = Flyte::default().serve().await;
    let served = Served::with(backend.address, pod(), |_| {}).await;
    let client = Client::new(served.address).await;
    let got = client.call(CREATE_RUN, &of_type("application/grpc"), unnamed("application/grpc")).await;
    assert_eq!(got.grpc_status(), Some("0"), "{got:?}");
    let starter = served.parts.store.run_starter(&run()).await.unwrap().unwrap();
    assert_eq!(starter.creator.subject, "rule:ada");
    // Not more than the pod may.
    assert_eq!(
        (starter.creator.role, starter.creator.limit),
        (Role::Contributor, pod().grants.only_limit().unwrap())
    );
    let [record] = &created(&served).await[..] else { panic!() };
    assert_eq!(record.subject.as_deref(), Some("mine/development/parent"));
    assert_eq!(record.details["on_behalf_of"], "rule:ada");
}

#[tokio::test]
async fn a_run_that_is_there_already_keeps_its_starter() {
    let runs = vec![("mine", "development", "r", "ACTION_PHASE_RUNNING")];
    let backend = Flyte { runs, ..Flyte::default() }.serve().await;
    let served = Served::before(&backend).await;
    let client = Client::new(served.address).await;
    let got = client.call(CREATE_RUN, &of_type("application/json"), named("application/json")).await;
    assert_eq!(got.status, StatusCode::OK, "{got:?}");
    assert_eq!(served.parts.store.run_starter(&run()).await.unwrap(), None);
    assert_eq!(created(&served).await.len(), 0);
    assert_eq!(forwarded(&backend), [CREATE_RUN]);
}

/// What the store has of the run after a call by a name, if it had this before, with a backend that answers no questions if it is
/// down.
async fn starter_after(stored_at: Option<i64>, is_down: bool) -> Option<String> {
    let backend = Flyte { is_down, ..Flyte::default() }.serve().await;
    let served = Served::before(&backend).await;
    if let Some(started_at) = stored_at {
        let creator = Creator { subject: "grace".to_owned(), ..pod().on_behalf_of.unwrap() };
        let starter = RunStarter { run: run(), creator, started_at };
        served.parts.store.put_run_starter(&starter, 0).await.unwrap();
    }
    let client = Client::new(served.address).await;
    let got = client.call(CREATE_RUN, &of_type("application/json"), named("application/json")).await;
    assert_eq!(got.status, StatusCode::OK, "{got:?}");
    assert_eq!(created(&served).await.len(), 1);
    served.parts.store.run_starter(&run()).await.unwrap().map(|starter| starter.creator.subject)
}

#[tokio::test]
async fn a_run_is_known_only_if_its_name_was_free() {
    let ada = Some("rule:ada".to_owned());
    assert_eq!(starter_after(None, false).await, ada);
    // Another caller has started it since this one has asked.
    assert_eq!(starter_after(Some(i64::MAX), false).await, None);
    // It could be any run of this name.
    assert_eq!(starter_after(None, true).await, None);
    for stored_at in [1, i64::MAX] {
        assert_eq!(starter_after(Some(stored_at), true).await, None);
    }
    // That of a run that the backend has no more.
    assert_eq!(starter_after(Some(1), false).await, ada);
}

#[tokio::test]
async fn a_run_that_was_not_started_is_not_known() {
    let backend = Backend::new(|mut exchange: Exchange| async move {
        let _ = exchange.read().await;
        let content_type = exchange.head.headers["content-type"].to_str().unwrap().to_owned();
        let mut message = identifier("mine", "development", "r");
        for _ in 0..4 {
            message = field(1, &message);
        }
        let mut stream = exchange.head(&content_type);
        stream.send_data(frame(0, &message), false).unwrap();
        stream.send_trailers(trailers("13")).unwrap();
    })
    .await;
    let served = Served::before(&backend).await;
    let client = Client::new(served.address).await;
    let got = client.call(CREATE_RUN, &of_type("application/grpc"), unnamed("application/grpc")).await;
    assert_eq!(got.grpc_status(), Some("13"), "{got:?}");
    assert_eq!(served.parts.store.run_starter(&run()).await.unwrap(), None);
    assert_eq!(created(&served).await.len(), 0);
}

#[tokio::test]
async fn a_run_is_known_although_its_caller_has_gone() {
    let (begun, mut has_begun) = tokio::sync::mpsc::unbounded_channel();
    let (go, gone) = tokio::sync::watch::channel(false);
    let backend = Backend::new(move |mut exchange: Exchange| {
        let (begun, mut gone) = (begun.clone(), gone.clone());
        async move {
            let _ = exchange.read().await;
            begun.send(()).unwrap();
            let _ = gone.wait_for(|gone| *gone).await;
            let json =
                json!({"run": {"action": {"id": {"run": identifier_json("mine", "development", "r")}}}});
            super::backend::answer(&mut exchange, json.to_string().into());
        }
    })
    .await;
    let served = Served::before(&backend).await;
    let client = Client::new(served.address).await;
    let (answer, mut body) = client.start(CREATE_RUN, &of_type("application/json")).await;
    body.send_data(unnamed("application/json"), true).unwrap();
    has_begun.recv().await.unwrap();
    body.send_reset(h2::Reason::CANCEL);
    drop((answer, body, client));
    go.send(true).unwrap();
    let known = async {
        while served.parts.store.run_starter(&run()).await.unwrap().is_none() {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(PATIENCE, known).await.unwrap();
}
