//! A followed log ends when the attempt or the app process that writes it has ended.

use jiff::Timestamp;
use serde_json::json;

use super::{
    run::{Runs, Stream, action_id},
    *,
};
use flyte_runner_local::{
    apps,
    log::{Stream as Source, Writer},
    of_attempt,
};
use flyte_runs::Outcome;
use flyte_store::{ActionId, AppChange, AppId, AppNote, AppStatus, RunId};

fn root(run: &str) -> ActionId {
    ActionId::root(RunId { project: "p".to_owned(), domain: "development".to_owned(), name: run.to_owned() })
}

async fn follow(server: &Runs, run: &str) -> Stream {
    let request = json!({"actionId": action_id("p", run, "a0")});
    let ada = server.token("Ada", &["all"]);
    server.stream("/flyteidl2.workflow.RunLogsService/TailLogs", &ada, &request).await
}

#[tokio::test]
async fn a_log_without_lines_ends_with_its_action() {
    let server = Runs::start().await;
    assert_eq!(server.run("p", "r1").await.status, StatusCode::OK);
    let mut log = follow(&server, "r1").await;
    let waiting = tokio::spawn(async move { log.next().await });
    tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    assert!(server.plane.runs.abort(&root("r1"), "enough", "user-Ada").await.unwrap());
    assert_eq!(waiting.await.unwrap(), Err(json!({})));
}

#[tokio::test]
async fn a_log_ends_with_its_attempt_even_if_the_supervisor_was_killed() {
    let server = Runs::start().await;
    assert_eq!(server.run("p", "r1").await.status, StatusCode::OK);
    let mut log = follow(&server, "r1").await;
    let waiting = tokio::spawn(async move { (log.next().await, log) });
    let claimed = server.plane.runs.claim(1).await.unwrap();
    assert_eq!((claimed.len(), claimed[0].attempt), (1, 1));
    let directory = of_attempt(&server.plane.config.data_dir, &root("r1"), 1);
    std::fs::create_dir_all(&directory).unwrap();
    let mut writer = Writer::create(&directory, 0).unwrap();
    server.plane.runs.started(&root("r1"), 1).await.unwrap();
    writer.write(Timestamp::UNIX_EPOCH, Source::Stdout, &["hello".to_owned()]).unwrap();
    let (first, mut log) = waiting.await.unwrap();
    assert_eq!(first.unwrap()["logs"][0]["lines"][0]["message"], "hello");
    let waiting = tokio::spawn(async move { (log.next().await, log) });
    let lost = Outcome::Lost { reason: "the supervisor was killed".to_owned() };
    server.plane.runs.ended(&root("r1"), 1, lost).await.unwrap();
    assert_eq!(waiting.await.unwrap().0, Err(json!({})));
}

#[tokio::test]
async fn a_server_that_stops_ends_logs_as_unavailable() {
    let server = Runs::start().await;
    assert_eq!(server.run("p", "r1").await.status, StatusCode::OK);
    let mut log = follow(&server, "r1").await;
    let waiting = tokio::spawn(async move { log.next().await });
    tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    server.plane.stopping.stop();
    assert_eq!(waiting.await.unwrap().unwrap_err()["error"]["code"], "unavailable");
}

#[tokio::test]
async fn an_app_log_ends_with_the_app_process() {
    let server = streams::server_with(|_| {}).await;
    let id = json!({"project": "p", "domain": "development", "name": "web"});
    let ada = server.token("Ada", &["all"]);
    let tail = "/flyteidl2.app.AppLogsService/TailLogs";
    let mut log = server.stream(tail, &ada, &json!({"appId": id})).await;
    let waiting = tokio::spawn(async move { (log.next().await, log) });
    let web = AppId { project: "p".to_owned(), domain: "development".to_owned(), name: "web".to_owned() };
    let mut writer = Writer::create(&apps::directory(&server.plane.config, &web, 1), 0).unwrap();
    writer.write(Timestamp::UNIX_EPOCH, Source::Stderr, &["hello".to_owned()]).unwrap();
    let (first, mut log) = waiting.await.unwrap();
    assert_eq!(first.unwrap()["batches"]["logs"][0]["structuredLines"][0]["message"], "hello");
    let waiting = tokio::spawn(async move { log.next().await });
    let note = AppNote { status: AppStatus::Failed, message: String::new(), change: AppChange::Gone };
    server.plane.store.note_app(&web, 1, &note, NOW).await.unwrap().unwrap();
    server.plane.apps.notify();
    assert_eq!(waiting.await.unwrap(), Err(json!({})));
}
