//! Runs and actions are listed and shown.

use super::*;

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
