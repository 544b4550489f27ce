//! Watches: too old, silent, broken, forbidden.

use std::time::Duration;

use serde_json::json;

use super::lab::{ACTIONS, Lab, PODS, action, eventually, id, pod};
use flyte_access::workload::WorkloadError;

const ENDED: &str = "the pod has ended";

#[tokio::test]
async fn a_watch_that_is_too_old_is_followed_by_a_list() {
    for is_event in [false, true] {
        let lab = Lab::new().await;
        let token = lab.token("r-a0-1", "u1");
        lab.accepted(&token).await;
        lab.stub.set(|content| {
            content.gone_is_an_event = is_event;
            content.is_silent = true;
        });
        // What happens now is in no event.
        lab.stub.delete(PODS, "r-a0-1");
        lab.stub.put(ACTIONS, action("q"));
        lab.stub.put(PODS, pod("q-a0-1", "uq", "q"));
        lab.stub.compact();
        lab.stub.set(|content| content.is_silent = false);
        lab.accepted(&lab.token("q-a0-1", "uq")).await;
        lab.refused(&token, ENDED).await;
        assert!(lab.has_ended(&id("r-a0-1", "u1")), "as an event: {is_event}");
    }
}

#[tokio::test]
async fn a_silent_watch_is_not_believed() {
    let lab = Lab::with(|_| {}, |pace| pace.silence = Duration::from_millis(300), true).await;
    let token = lab.token("r-a0-1", "u1");
    lab.accepted(&token).await;
    lab.stub.set(|content| content.is_silent = true);
    lab.stub.delete(PODS, "r-a0-1");
    lab.refused(&token, ENDED).await;
    eventually("the end is reported", async || lab.has_ended(&id("r-a0-1", "u1"))).await;
}

#[tokio::test]
async fn without_news_pods_are_not_callers() {
    let lab = Lab::new().await;
    let token = lab.token("r-a0-1", "u1");
    lab.accepted(&token).await;
    lab.stub.set(|content| content.is_down = true);
    // The keys are still good; only the watches are not.
    lab.clock.advance(60);
    lab.accepted(&token).await;
    lab.clock.advance(1);
    let error = lab.identify(&token).await.unwrap_err();
    assert!(matches!(&error, WorkloadError::Unavailable(why) if why.0.contains("stale")), "{error:?}");
    lab.stub.delete(PODS, "r-a0-1");
    lab.stub.set(|content| content.is_down = false);
    lab.refused(&token, ENDED).await;
    assert!(lab.has_ended(&id("r-a0-1", "u1")), "the list shows what was missed");
}

#[tokio::test]
async fn a_watch_begins_where_the_last_one_ended() {
    let lab = Lab::with(|_| {}, |pace| pace.watch_seconds = 1, true).await;
    let watched = lab.stub.requests(PODS);
    for n in 0..3 {
        let uid = format!("u-{n}");
        lab.stub.put(PODS, pod("again", &uid, "r"));
        lab.accepted(&lab.token("again", &uid)).await;
        let before = lab.stub.requests(PODS);
        eventually("another watch", async || lab.stub.requests(PODS) > before).await;
    }
    assert!(lab.stub.requests(PODS) > watched);
    lab.stub.delete(PODS, "again");
    lab.refused(&lab.token("again", "u-2"), ENDED).await;
}

#[tokio::test]
async fn without_a_role_no_pod_is_a_caller() {
    let lab = Lab::with(|_| {}, |_| {}, false).await;
    lab.stub.set(|content| content.forbids_lists = true);
    let server = lab.stub.serve(&lab.place).await;
    let token = lab.token("r-a0-1", "u1");
    eventually("the list was refused", async || lab.stub.requests(PODS) > 1).await;
    lab.clock.advance(1);
    let error = lab.identify(&token).await.unwrap_err();
    assert!(matches!(error, WorkloadError::Unavailable(_)), "{error:?}");
    lab.stub.set(|content| content.forbids_lists = false);
    lab.accepted(&token).await;
    server.shutdown();
}

#[tokio::test]
async fn all_pages_of_a_list_are_read() {
    let lab = Lab::with(|_| {}, |_| {}, false).await;
    for n in 0..7 {
        lab.stub.put(PODS, pod(&format!("r-a0-{n}"), &format!("u{n}"), "r"));
    }
    let mut other = pod("other", "other", "r");
    other["metadata"]["labels"] = json!({"app": "something else"});
    lab.stub.put(PODS, other);
    let server = lab.stub.serve(&lab.place).await;
    // The keys were asked for in vain.
    lab.clock.advance(1);
    for n in 0..7 {
        lab.accepted(&lab.token(&format!("r-a0-{n}"), &format!("u{n}"))).await;
    }
    assert!(lab.identify(&lab.token("other", "other")).await.is_err());
    server.shutdown();
}
