//! Runs and actions are watched.

use super::*;

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
