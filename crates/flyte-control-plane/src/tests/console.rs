//! The pages of `flyte-console`, with the services that they call.

use connectrpc::{ErrorCode, client::ClientConfig};
use flyte_idl::flyteidl2::{
    common::RunIdentifier,
    workflow::{AbortRunRequest, GetRunDetailsRequest, RunServiceClient},
};
use jiff::Timestamp;
use serde_json::json;

use super::{
    run::{Runs, run_id},
    *,
};
use flyte_audit::Kind;
use flyte_model::Role;
use flyte_runner_local::{
    log::{Stream as Source, Writer},
    of_attempt,
};
use flyte_runs::Outcome;
use flyte_store::{ActionId, AuditQuery, Failure, FailureKind, RunId};

const PROJECT: &str = "/v2/domain/development/project/p";
const RUN: &str = "/v2/domain/development/project/p/runs/r1";
const CREATE_RUN: &str = "/flyteidl2.workflow.RunService/CreateRun";

fn root() -> ActionId {
    ActionId::root(RunId { project: "p".to_owned(), domain: "development".to_owned(), name: "r1".to_owned() })
}

/// A browser in which Ada is signed in.
struct Browser {
    server: Runs,
    cookie: String,
}

impl Browser {
    async fn open() -> Self {
        let server = Runs::start().await;
        let (cookie, _) = browser::sign_in(&server).await;
        Self { server, cookie }
    }

    async fn get(&self, path: &str) -> Answer {
        let request = Request::get(path).header("cookie", &self.cookie).body(Body::empty()).unwrap();
        self.server.send(request).await
    }

    async fn page(&self, path: &str) -> String {
        let answer = self.get(path).await;
        assert_eq!(answer.status, StatusCode::OK, "{path}: {answer:?}");
        String::from_utf8(answer.body.to_vec()).unwrap()
    }

    /// Starts the run, writes a log, and ends the run with a failure.
    async fn fail(&self, message: &str, log: &[&str]) {
        let claimed = self.server.plane.runs.claim(1).await.unwrap();
        let attempt = claimed[0].attempt;
        let directory = of_attempt(&self.server.plane.config.data_dir, &root(), attempt);
        std::fs::create_dir_all(&directory).unwrap();
        let mut writer = Writer::create(&directory, 0).unwrap();
        self.server.plane.runs.started(&root(), attempt).await.unwrap();
        let lines: Vec<_> = log.iter().map(ToString::to_string).collect();
        writer.write(Timestamp::UNIX_EPOCH, Source::Stdout, &lines).unwrap();
        let failure = Failure {
            kind: FailureKind::User,
            code: "ValueError".to_owned(),
            message: message.to_owned(),
            recoverable: false,
        };
        self.server.plane.runs.ended(&root(), attempt, Outcome::Failed(failure)).await.unwrap();
    }
}

#[tokio::test]
async fn a_page_needs_a_sign_in_and_then_comes_back() {
    let server = Runs::start().await;
    let navigation = Request::get(format!("{RUN}?i=a0")).header("sec-fetch-mode", "navigate");
    let answer = server.send(navigation.body(Body::empty()).unwrap()).await;
    assert_eq!(answer.status, StatusCode::SEE_OTHER);
    let wanted = format!("/login?return_to={}%3Fi%3Da0", RUN.replace('/', "%2F"));
    assert_eq!(answer.header("location"), wanted);
    // A script gets no page in place of what it asked for.
    let events = Request::get(format!("{RUN}/events")).header("accept", "text/event-stream");
    let answer = server.send(events.body(Body::empty()).unwrap()).await;
    assert_eq!(answer.status, StatusCode::UNAUTHORIZED);
}

#[tokio::test]
async fn a_page_shows_a_run_and_nothing_of_it_is_markup() {
    let browser = Browser::open().await;
    let hostile = "<script>alert(1)</script>";
    let value = |text: &str| json!({"scalar": {"primitive": {"stringValue": text}}});
    let run = json!({
        "runId": run_id("p", "r1"),
        "taskSpec": {"taskTemplate": {"id": {"name": hostile, "version": hostile}, "type": "python"}},
        "inputs": {"literals": [
            {"name": hostile, "value": value(hostile)},
            {"name": "long", "value": value(&"x".repeat(50_000))},
        ]},
    });
    let answer = browser.server.json(CREATE_RUN, Some("Ada"), &run).await;
    assert_eq!(answer.status, StatusCode::OK, "{answer:?}");
    let page = browser.page(RUN).await;
    assert!(page.contains("queued") && page.contains("ada@example.com"), "{page}");
    assert!(page.contains("data-events=") && page.contains("Reload the page"), "it can still change");

    let log = [hostile, "\u{1b}[31mred\u{1b}[0m \u{1b}]0;title\u{7}end"];
    browser.fail(&format!("Traceback\n{hostile}"), &log).await;
    let answer = browser.get(RUN).await;
    let policy = answer.header("content-security-policy");
    assert!(policy.contains("default-src 'none'; script-src 'self'"), "{policy}");
    let page = String::from_utf8(answer.body.to_vec()).unwrap();
    assert!(!page.contains("<script>") && page.contains("&#60;script&#62;alert(1)"), "{page}");
    assert!(page.contains("ValueError") && page.contains("failed") && page.contains("Traceback"), "{page}");
    assert!(page.contains("<span class=\"red\">red</span> end"), "{page}");
    assert!(!page.contains("data-events="), "it is final");
    // A long value is cut, and the page says where the rest is.
    assert!(page.len() < 60_000, "{}", page.len());
    assert!(page.contains("of 50000 bytes. All of it: flyte get io r1 --project p --domain development"));

    // The whole log, as the task wrote it.
    let answer = browser.get(&format!("{RUN}/log?i=a0&attempt=1")).await;
    assert_eq!(answer.header("content-type"), "text/plain; charset=utf-8");
    assert!(answer.header("content-disposition").starts_with("attachment"), "{answer:?}");
    assert_eq!(answer.body, format!("{}\n{}\n", log[0], log[1]));
}

#[tokio::test]
async fn a_report_is_served_without_access_to_this_origin() {
    let browser = Browser::open().await;
    assert_eq!(browser.server.run("p", "r1").await.status, StatusCode::OK);
    browser.fail("no", &[]).await;
    let report = format!("{RUN}/report?i=a0&attempt=1");
    assert!(!browser.page(RUN).await.contains("/report?"), "there is none");
    assert_eq!(browser.get(&report).await.status, StatusCode::NOT_FOUND);
    let objects = &browser.server.plane.objects;
    let url = objects.native_url("p", "development", "runs/r1/a0/1/report.html").unwrap();
    objects.put(&url, Bytes::from_static(b"<script>1</script>")).await.unwrap();
    assert!(browser.page(RUN).await.contains("/report?i=a0&#38;attempt=1"));
    let answer = browser.get(&report).await;
    assert_eq!(answer.status, StatusCode::SEE_OTHER);
    let signed = answer.header("location").strip_prefix("https://localhost:8443").unwrap();
    let answer = browser.get(signed).await;
    assert_eq!(answer.body, "<script>1</script>");
    assert!(answer.header("content-security-policy").starts_with("sandbox allow-scripts;"), "{answer:?}");
}

#[tokio::test]
async fn events_have_the_log_and_end_with_the_run() {
    let browser = Browser::open().await;
    assert_eq!(browser.server.run("p", "r1").await.status, StatusCode::OK);
    let events = format!("{RUN}/events?i=a0&lines=1");
    let request = Request::get(events)
        .header("cookie", &browser.cookie)
        .header("accept", "text/event-stream")
        .body(Body::empty())
        .unwrap();
    let response = browser.server.router.clone().oneshot(request).await.unwrap();
    assert_eq!(response.headers()["content-type"], "text/event-stream");
    // A stream of a page has no token whose key could be unknown, so it stays open.
    browser.server.plane.access.check_streams().await;
    let text = tokio::spawn(response.into_body().collect());
    browser.fail("no", &["first", "<second>"]).await;
    let text = text.await.unwrap().unwrap().to_bytes();
    let text = String::from_utf8(text.to_vec()).unwrap();
    assert!(text.contains("event: change"), "{text}");
    assert!(text.contains("id: 1-2") && text.contains("&#60;second&#62;"), "{text}");
    assert!(!text.contains("first"), "the page has it already: {text}");
    assert!(text.trim_end().ends_with("event: end\ndata: -"), "{text}");
    // A browser that connects again gets nothing twice.
    let request = Request::get(format!("{RUN}/events?i=a0&lines=0"))
        .header("cookie", &browser.cookie)
        .header("last-event-id", "1-2")
        .body(Body::empty())
        .unwrap();
    let answer = browser.server.send(request).await;
    let text = String::from_utf8(answer.body.to_vec()).unwrap();
    assert!(!text.contains("second") && text.contains("event: end"), "{text}");
}

#[tokio::test]
async fn every_address_that_clients_print_has_a_page() {
    let browser = Browser::open().await;
    let task = json!({
        "taskId": {"project": "p", "domain": "development", "name": "env.main", "version": "v1"},
        "spec": {"taskTemplate": {
            "type": "python",
            "interface": {"inputs": {"variables": [
                {"key": "x", "value": {"type": {"collectionType": {"simple": "INTEGER"}}}},
            ]}},
        }},
        "triggers": [{"name": "nightly", "spec": {"active": false}, "automationSpec": {"type": "TYPE_NONE"}}],
    });
    let deploy = "/flyteidl2.task.TaskService/DeployTask";
    let answer = browser.server.json(deploy, Some("Ada"), &task).await;
    assert_eq!(answer.status, StatusCode::OK, "{answer:?}");
    assert_eq!(browser.server.run("p", "r1").await.status, StatusCode::OK);

    let page = browser.page(PROJECT).await;
    for part in ["/runs/r1\"", "/tasks/env.main\"", "/triggers/env.main/nightly\"", "No apps here yet."] {
        assert!(page.contains(part), "{part}: {page}");
    }
    for list in ["runs", "tasks", "triggers", "apps"] {
        let _ = browser.page(&format!("{PROJECT}/{list}")).await;
    }
    let page = browser.page(&format!("{PROJECT}/tasks/env.main")).await;
    assert!(page.contains("list[int]") && page.contains("flyte run deployed-task env.main:v1"), "{page}");
    let page = browser.page(&format!("{PROJECT}/triggers/env.main/nightly")).await;
    assert!(page.contains("inactive") && page.contains("by hand"), "{page}");
    assert_eq!(browser.get("/v2").await.header("location"), "/");
    for path in [
        "/v2/domain/development/project/nowhere",
        "/v2/domain/nowhere/project/p",
        "/v2/domain/development/project/p/runs/nothing",
        "/v2/domain/development/project/p/runs/r1?i=nothing",
        "/v2/domain/development/project/p/runs/r1?i=a%2Fb",
        "/v2/domain/development/project/p/runs/r1?attempt=x",
        "/v2/domain/development/project/p/runs/r1/report?attempt=7",
        "/v2/domain/development/project/p/runs/nothing/log",
        "/v2/domain/development/project/p/runs/nothing/events",
        "/v2/domain/development/project/p/tasks/nothing",
        "/v2/domain/development/project/p/tasks/env.main?version=v9",
        "/v2/domain/development/project/p/triggers/env.main/nothing",
        "/v2/domain/development/project/p/apps/nothing",
        "/v2/domain/development/project/p/apps/nothing/log",
    ] {
        let answer = browser.get(path).await;
        assert_eq!(answer.status, StatusCode::NOT_FOUND, "{path}: {answer:?}");
    }
}

#[tokio::test]
async fn calls_within_the_process_pass_the_door() {
    let server = Runs::start().await;
    for project in ["p", "q"] {
        assert_eq!(server.run(project, "r1").await.status, StatusCode::OK);
    }
    let mut headers = HeaderMap::new();
    let token = bearer(&server.key(Role::Viewer, "q").await);
    headers.insert(header::AUTHORIZATION, token.parse().unwrap());
    let caller = server.plane.access.authenticate(&headers).await.unwrap();
    let services = testing::services(&server.plane, &testing::oauth(&server.plane));
    let config = ClientConfig::new(http::Uri::from_static("http://localhost"));
    let runs = RunServiceClient::new(services.by(caller), config);
    let id = |project: &str| RunIdentifier {
        project: project.to_owned(),
        domain: "development".to_owned(),
        name: "r1".to_owned(),
        ..RunIdentifier::default()
    };
    let read = async |project: &str| {
        let request = GetRunDetailsRequest { run_id: id(project).into(), ..Default::default() };
        runs.get_run_details(request).await.map(|_| ()).map_err(|error| error.code)
    };
    assert_eq!(read("q").await, Ok(()));
    assert_eq!(read("p").await, Err(ErrorCode::NotFound), "outside of the caller's project");
    let request = AbortRunRequest { run_id: id("q").into(), ..Default::default() };
    let refused = runs.abort_run(request).await.unwrap_err();
    assert_eq!(refused.code, ErrorCode::PermissionDenied, "a viewer reads only");
    server.plane.audit.flush().await;
    let event = Some(Kind::CallDenied.as_str().to_owned());
    let query = AuditQuery { limit: 10, event, ..AuditQuery::default() };
    let (denied, _) = server.plane.store.list_audit_records(&query).await.unwrap();
    assert_eq!(denied.len(), 2, "{denied:?}");
}

#[tokio::test]
async fn the_home_page_has_what_is_the_user_s() {
    let browser = Browser::open().await;
    let page = browser.page("/").await;
    assert!(page.contains("You are signed in") && page.contains("ada@example.com"), "{page}");
    assert!(page.contains("/v2/domain/development/project/p\"") && page.contains("project/q\""), "{page}");
    assert!(page.contains("You have started no runs yet."), "{page}");
    assert!(!page.contains("API keys"), "{page}");
    assert!(page.contains("flyte create config --endpoint https://localhost:8443"), "{page}");
    assert_eq!(browser.server.run("p", "r1").await.status, StatusCode::OK);
    let store = &*browser.server.plane.store;
    for (name, owner, expires_at) in [
        ("soon", "user-Ada", Some(NOW + 86_400)),
        ("late", "user-Ada", Some(NOW + 90 * 86_400)),
        ("never", "user-Ada", None),
        ("others", "user-Root", Some(NOW + 86_400)),
    ] {
        flyte_testing::api_key(store, name, |key| {
            key.created_by = owner.to_owned();
            key.expires_at = expires_at;
        })
        .await;
    }
    let page = browser.page("/").await;
    assert!(page.contains("/runs/r1\""), "{page}");
    assert!(page.contains("flyte rotate api-key soon"), "{page}");
    for name in ["late", "never", "others"] {
        assert!(!page.contains(&format!("api-key {name}")), "{name}: {page}");
    }
    // A user who is not signed in sees none of it.
    let answer = browser.server.send(Request::get("/").body(Body::empty()).unwrap()).await;
    let page = String::from_utf8(answer.body.to_vec()).unwrap();
    assert!(page.contains("Welcome to Flyte") && !page.contains("/runs/r1"), "{page}");
}
