use std::{
    collections::HashMap,
    sync::{
        Mutex,
        atomic::{AtomicUsize, Ordering},
    },
};

use http::HeaderMap;
use serde_json::json;

use super::*;
use crate::{AccessError, door::Door, testing::Parts};
use flyte_model::{Limit, Role};
use flyte_store::{AuditQuery, Creator, CreatorKind};
use flyte_testing::{NOW, api_key, user};

/// A platform whose tokens are unsigned JWTs with the name of the pod in `sub`, and a backend.
#[derive(Debug, Default)]
struct Cluster {
    running: Mutex<HashMap<WorkloadId, Workload>>,
    out_of_reach: Mutex<bool>,
    started_by: Mutex<HashMap<RunId, StartedBy>>,
    asked: AtomicUsize,
}

fn run_id(name: &str) -> RunId {
    RunId { project: "p".to_owned(), domain: "d".to_owned(), name: name.to_owned() }
}

fn id(name: &str) -> WorkloadId {
    WorkloadId { namespace: "flyte".to_owned(), name: name.to_owned(), uid: format!("uid-of-{name}") }
}

#[async_trait]
impl Workloads for Cluster {
    fn recognizes(&self, _: &str) -> bool {
        true
    }

    async fn identify(&self, token: &str) -> Result<WorkloadToken, WorkloadError> {
        let claims: serde_json::Value = jsonwebtoken::dangerous::insecure_decode_claims(token).unwrap();
        let workload = self.running(&id(claims["sub"].as_str().unwrap())).await?;
        Ok(WorkloadToken { workload, token_id: "credential".to_owned(), expires_at: NOW + 600 })
    }

    async fn running(&self, id: &WorkloadId) -> Result<Workload, WorkloadError> {
        if *self.out_of_reach.lock().unwrap() {
            return Err(Unavailable("the API server does not answer".to_owned()).into());
        }
        let running = self.running.lock().unwrap();
        running.get(id).cloned().ok_or(WorkloadError::Invalid("the pod has ended"))
    }
}

#[async_trait]
impl RunStarters for Cluster {
    async fn started_by(&self, run: &RunId) -> Result<Option<StartedBy>, Unavailable> {
        self.asked.fetch_add(1, Ordering::SeqCst);
        Ok(self.started_by.lock().unwrap().get(run).cloned())
    }
}

/// A server with the pod `a`, which works on the run `p/d/r`, and the users Ada and Root.
async fn server() -> (Parts, Arc<Cluster>) {
    let app = Parts::new(|_| {}).await;
    for (name, admin) in [("Ada", false), ("Root", true)] {
        app.store.create_user(&flyte_store::User { admin, ..user(name) }).await.unwrap();
    }
    let cluster = Arc::new(Cluster::default());
    start(&cluster, "a", "r");
    let (workloads, starters): (Arc<dyn Workloads>, Arc<dyn RunStarters>) =
        (cluster.clone(), cluster.clone());
    app.access.accept_workloads(workloads, starters);
    (app, cluster)
}

/// Starts a pod that works on a run.
fn start(cluster: &Cluster, pod: &str, run: &str) {
    let workload = Workload { id: id(pod), run: run_id(run), action: "a0".to_owned() };
    cluster.running.lock().unwrap().insert(id(pod), workload);
}

/// The headers of a call with the token of a pod.
fn token(pod: &str) -> HeaderMap {
    use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD as BASE64};
    let part = |value: serde_json::Value| BASE64.encode(value.to_string());
    let head = part(json!({"alg": "RS256", "kid": "cluster"}));
    let claims = part(json!({"iss": "https://cluster", "sub": pod}));
    HeaderMap::from_iter([(
        http::header::AUTHORIZATION,
        format!("Bearer {head}.{claims}.AAAA").parse().unwrap(),
    )])
}

async fn call(app: &Parts, pod: &str) -> Result<Arc<Caller>, AccessError> {
    app.access.authenticate(&token(pod)).await
}

async fn refusal(app: &Parts, pod: &str) -> String {
    call(app, pod).await.unwrap_err().to_string()
}

/// A person as a caller.
fn person(name: &str) -> Caller {
    let grants = Grants::of_role(Role::Contributor, &Limit::default());
    Caller { subject: format!("user-{name}"), grants, ..Caller::for_test() }
}

#[tokio::test]
async fn a_pod_has_the_rights_of_who_started_its_run_in_its_project_and_domain() {
    let (app, cluster) = server().await;
    let grants = Grants::of_role(Role::Admin, &Limit::default());
    app.access.remember_run(&Caller { grants, ..person("Root") }, &run_id("r"), Some(0)).await.unwrap();
    let caller = call(&app, "a").await.unwrap();
    assert_eq!((caller.subject.as_str(), caller.principal), ("p/d/r", PrincipalKind::Run));
    let limit = Limit { project: Some("p".to_owned()), domain: Some("d".to_owned()) };
    let expected = Grants::of_role(Role::Contributor, &limit);
    assert_eq!(caller.grants, expected, "a run is never an administrator");
    assert_eq!(caller.workload_id(), Some(id("a")));
    assert_eq!(caller.expires_at, NOW + 600);
    let starter = caller.on_behalf_of.clone().unwrap();
    assert_eq!((starter.subject.as_str(), starter.kind), ("user-Root", CreatorKind::Person));
    assert_eq!(cluster.asked.load(Ordering::SeqCst), 0, "what is remembered is not asked for");

    for (path, may) in [
        ("/flyteidl2.actions.ActionsService/Enqueue", true),
        ("/flyteidl2.actions.ActionsService/WatchForUpdates", true),
        ("/flyteidl2.workflow.RunService/CreateRun", true),
        ("/flyteidl2.workflow.RunService/GetRunDetails", true),
        ("/flyteidl2.task.TaskService/DeployTask", false),
        ("/flyteidl2.secret.SecretService/CreateSecret", false),
        ("/flyteidl2.workflow.InternalRunService/RecordAction", false),
        ("/flyteauth.ApiKeyService/CreateApiKey", false),
    ] {
        assert_eq!(Door::published().admit(&caller, path).is_ok(), may, "{path}");
    }

    app.store.disable_user("user-Root", NOW).await.unwrap();
    app.clock.advance(super::super::ACCOUNT_CHECK_INTERVAL);
    assert_eq!(refusal(&app, "a").await, "the account is disabled or gone");
}

#[tokio::test]
async fn the_backend_is_asked_once_for_a_run_that_is_not_remembered() {
    let (app, cluster) = server().await;
    assert_eq!(refusal(&app, "a").await, "it is not known who started the run of this pod");
    let ada = StartedBy { subject: "user-Ada".to_owned(), kind: None, at: NOW * 1000 };
    cluster.started_by.lock().unwrap().insert(run_id("r"), ada);
    let asked = cluster.asked.load(Ordering::SeqCst);
    for _ in 0..3 {
        assert_eq!(call(&app, "a").await.unwrap().on_behalf_of.clone().unwrap().subject, "user-Ada");
        app.clock.advance(super::super::ACCOUNT_CHECK_INTERVAL);
    }
    assert_eq!(cluster.asked.load(Ordering::SeqCst), asked + 1);
}

#[tokio::test]
async fn a_subject_of_the_backend_is_one_principal_or_none() {
    let (app, cluster) = server().await;
    api_key(&*app.store, "ci", |_| {}).await;
    api_key(&*app.store, "later", |key| key.created_at = NOW + 60).await;
    use CreatorKind::{ApiKey, Person};
    for (n, (subject, kind, found)) in [
        ("user-Root", None, Some(Person)),
        ("ci", None, Some(ApiKey)),
        ("ci", Some(Person), None),
        ("api-key:ci", None, Some(ApiKey)),
        ("user-Ada", Some(Person), Some(Person)),
        ("user-Ada", Some(ApiKey), None),
        ("later", None, None),
        ("unknown", None, None),
        ("rule:repo:acme/x", None, None),
        ("", None, None),
    ]
    .into_iter()
    .enumerate()
    {
        let (pod, run) = (format!("pod{n}"), format!("run{n}"));
        start(&cluster, &pod, &run);
        let started = StartedBy { subject: subject.to_owned(), kind, at: NOW * 1000 };
        cluster.started_by.lock().unwrap().insert(run_id(&run), started);
        let caller = call(&app, &pod).await.ok();
        let starter = caller.and_then(|caller| caller.on_behalf_of.clone());
        assert_eq!(starter.map(|starter| starter.kind), found, "{subject} {kind:?}");
    }
}

#[tokio::test]
async fn an_ended_pod_is_refused_at_once_and_its_streams_end() {
    let (app, cluster) = server().await;
    app.access.remember_run(&person("Ada"), &run_id("r"), Some(0)).await.unwrap();
    let caller = call(&app, "a").await.unwrap();
    let mut stream = app.access.open_stream(&caller, &token("a")).unwrap();
    app.access.check_streams().await;
    start(&cluster, "b", "r");
    let other = call(&app, "b").await.unwrap();
    let mut others = app.access.open_stream(&other, &token("b")).unwrap();

    app.access.end_workload(&id("a"));
    assert_eq!(
        refusal(&app, "a").await,
        "the pod has ended",
        "also from the cache, and if the watch is slow"
    );
    assert_eq!(stream.ended().await.to_string(), "the token has been revoked");
    assert!(call(&app, "b").await.is_ok(), "another pod of the same run");
    cluster.running.lock().unwrap().clear();
    app.access.check_streams().await;
    assert_eq!(others.ended().await.to_string(), "the pod has ended", "also if its end was not reported");
}

#[tokio::test]
async fn a_pod_that_cannot_be_checked_is_not_unauthenticated() {
    let (app, cluster) = server().await;
    app.access.remember_run(&person("Ada"), &run_id("r"), Some(0)).await.unwrap();
    *cluster.out_of_reach.lock().unwrap() = true;
    let error = call(&app, "a").await.unwrap_err();
    assert_eq!(error.status(), http::StatusCode::SERVICE_UNAVAILABLE);
    assert!(error.challenge().is_none());
    assert_eq!(error.to_string(), "the caller could not be checked");
    *cluster.out_of_reach.lock().unwrap() = false;
    assert!(call(&app, "a").await.is_ok());
}

#[tokio::test]
async fn what_a_pod_starts_is_in_the_name_of_who_started_its_run() {
    let (app, cluster) = server().await;
    app.access.remember_run(&person("Ada"), &run_id("r"), Some(0)).await.unwrap();
    let caller = call(&app, "a").await.unwrap();
    app.access.remember_run(&caller, &run_id("child"), Some(0)).await.unwrap();
    start(&cluster, "b", "child");
    let child = call(&app, "b").await.unwrap();
    let starter = Creator {
        role: Role::Contributor,
        limit: caller.grants.only_limit().unwrap(),
        ..caller.on_behalf_of.clone().unwrap()
    };
    assert_eq!((child.subject.as_str(), &child.on_behalf_of), ("p/d/child", &Some(starter)));

    app.audit.flush().await;
    let query = AuditQuery { limit: 1, ..AuditQuery::default() };
    let (records, _) = app.store.list_audit_records(&query).await.unwrap();
    let record = &records[0].record;
    assert_eq!((record.subject.as_deref(), record.object.as_deref()), (Some("p/d/r"), Some("p/d/child")));
    assert_eq!(record.details["on_behalf_of"], "user-Ada");

    // What it is denied, too.
    let path = "/flyteidl2.project.ProjectService/CreateProject";
    let denial = Door::published().admit(&child, path).unwrap_err();
    denial.record(&app.audit, &child, path).await;
    app.audit.flush().await;
    let (records, _) = app.store.list_audit_records(&query).await.unwrap();
    let record = &records[0].record;
    assert_eq!((record.event.as_str(), record.object.as_deref()), ("call_denied", Some(path)));
    assert_eq!(record.details["on_behalf_of"], "user-Ada");

    let elsewhere = RunId { project: "other".to_owned(), ..run_id("child") };
    app.access.remember_run(&caller, &elsewhere, Some(0)).await.unwrap();
    let workload = Workload { id: id("c"), run: elsewhere, action: "a0".to_owned() };
    cluster.running.lock().unwrap().insert(id("c"), workload);
    let refused = "the creator of the run may no longer use its project and domain";
    assert_eq!(refusal(&app, "c").await, refused, "although Ada may");
}

#[tokio::test]
async fn tokens_of_others_are_unknown_without_a_platform() {
    let app = Parts::new(|_| {}).await;
    assert_eq!(refusal(&app, "a").await, "the token is not an access token");
}

#[test]
fn families_of_pods_are_unambiguous() {
    let pod = id("a");
    assert_eq!(WorkloadId::of_family(&pod.family_id()), Some(pod));
    for family in ["", "pod:", "pod:a", "pod:a/b", "pod:a/b/", "pod:a//c", "pod:a/b/c/d", "b6b7a7c0-family"] {
        assert_eq!(WorkloadId::of_family(family), None, "{family}");
    }
}
