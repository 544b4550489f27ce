//! A run calls tasks, records traces and waits for answers.

use super::*;

#[tokio::test]
async fn a_run_enqueues_tasks_and_receives_updates() {
    let server = Runs::start().await;
    server.run("p", "r1").await;
    server.plane.runs.claim(9).await.unwrap();
    let identity = server.identity("p", "r1").await;
    assert_eq!(server.enqueue(&identity, "c1", "a0").await.status, StatusCode::OK);
    let request = json!({"parentActionId": action_id("p", "r1", "a0")});
    let mut stream = server.stream(WATCH, &identity, &request).await;
    let first = stream.next().await.unwrap();
    assert_eq!(first["actionUpdate"]["phase"], "ACTION_PHASE_QUEUED");
    assert_eq!(stream.next().await.unwrap(), json!({"controlMessage": {"sentinel": true}}));
    assert_eq!(
        server.enqueue(&identity, "c1", "a0").await.status,
        StatusCode::OK,
        "enqueueing again is not an error"
    );
    server.plane.runs.claim(9).await.unwrap();
    assert_eq!(stream.next().await.unwrap()["actionUpdate"]["phase"], "ACTION_PHASE_INITIALIZING");
    server.plane.runs.ended(&action("c1"), 1, Outcome::Succeeded).await.unwrap();
    let done = stream.next().await.unwrap()["actionUpdate"].clone();
    assert_eq!(done["phase"], "ACTION_PHASE_SUCCEEDED");
    assert_eq!(done["outputUri"], server.path("runs/r1/c1/1"));
    server.enqueue(&identity, "c2", "a0").await;
    assert_eq!(stream.next().await.unwrap()["actionUpdate"]["phase"], "ACTION_PHASE_QUEUED");
    server.plane.runs.claim(9).await.unwrap();
    stream.next().await.unwrap();
    server.plane.runs.ended(&action("c2"), 1, failed()).await.unwrap();
    let error = stream.next().await.unwrap()["actionUpdate"]["error"].clone();
    assert_eq!(
        (&error["kind"], &error["code"], &error["message"]),
        (&json!("USER"), &json!("ValueError"), &json!("no"))
    );

    server.enqueue(&identity, "c3", "a0").await;
    stream.next().await.unwrap();
    let abort = json!({"actionId": action_id("p", "r1", "c3")});
    assert_eq!(server.as_token(&identity, ABORT, &abort).await.status, StatusCode::OK);
    assert_eq!(stream.next().await.unwrap()["actionUpdate"]["phase"], "ACTION_PHASE_ABORTED");
    server.plane.runs.ended(&action("a0"), 1, Outcome::Succeeded).await.unwrap();
    assert!(stream.next().await.is_err(), "the parent has ended");
    let (code, _) = server.enqueue(&identity, "c4", "a0").await.error();
    assert_eq!(code, "unauthenticated", "the identity ends with its run");
}

#[tokio::test]
async fn traces_are_recorded_with_their_errors() {
    let server = Runs::start().await;
    server.run("p", "r1").await;
    let identity = server.identity("p", "r1").await;
    let error = ErrorDocument {
        error: MessageField::some(ContainerError {
            code: "E".to_owned(),
            message: "too many".to_owned(),
            kind: 1.into(),
            ..ContainerError::default()
        }),
        ..ErrorDocument::default()
    };
    let path = server.native("runs/r1/t2/error.pb");
    server.plane.objects.put(&path, error.encode_to_vec().into()).await.unwrap();
    for (name, phase, outputs) in [
        ("t1", "ACTION_PHASE_SUCCEEDED", server.native("runs/r1/t1/outputs.pb")),
        ("t2", "ACTION_PHASE_FAILED", String::new()),
    ] {
        let request = json!({"action": {
            "actionId": action_id("p", "r1", name),
            "parentActionName": "a0",
            "inputUri": server.native(&format!("runs/r1/{name}/inputs.pb")),
            "runOutputBase": server.native("runs/r1"),
            "trace": {
                "name": "step", "phase": phase, "outputs": {"outputUri": outputs},
                "startTime": "2026-11-25T00:00:00.250Z", "endTime": "2026-11-25T00:00:01Z",
            },
        }});
        let answer = server.as_token(&identity, ENQUEUE, &request).await;
        assert_eq!(answer.status, StatusCode::OK, "{answer:?}");
    }
    let request = json!({"parentActionId": action_id("p", "r1", "a0")});
    let mut stream = server.stream(WATCH, &identity, &request).await;
    let done = stream.next().await.unwrap()["actionUpdate"].clone();
    assert_eq!(done["outputUri"], server.path("runs/r1/t1/outputs.pb"));
    let error = stream.next().await.unwrap()["actionUpdate"]["error"].clone();
    assert_eq!((&error["message"], &error["recoverability"]), (&json!("too many"), &json!("RECOVERABLE")));
    let details =
        server.json(ACTION_DETAILS, Some("Ada"), &json!({"actionId": action_id("p", "r1", "t1")})).await;
    assert_eq!(details.json()["details"]["metadata"]["trace"]["name"], "step");
    assert_eq!(details.json()["details"]["status"]["durationMs"], "750");
}

#[tokio::test]
async fn a_user_signals_a_condition() {
    let server = Runs::start().await;
    server.run("p", "r1").await;
    server.plane.runs.claim(9).await.unwrap();
    let identity = server.identity("p", "r1").await;
    let request = json!({"action": {
        "actionId": action_id("p", "r1", "w1"),
        "parentActionName": "a0",
        "condition": {"name": "approve", "prompt": "continue?", "type": {"simple": "BOOLEAN"}},
    }});
    assert_eq!(server.as_token(&identity, ENQUEUE, &request).await.status, StatusCode::OK);
    let paused = server.json(LIST_RUNS, Some("Ada"), &json!({"pausedActionsOnly": true})).await.json();
    assert_eq!(paused["runs"].as_array().unwrap().len(), 1);
    let conditions = json!({
        "runId": run_id("p", "r1"),
        "request": {"filters": [{"field": "action_type", "values": ["3"]}]},
    });
    let conditions = server.json(LIST_ACTIONS, Some("Ada"), &conditions).await.json()["actions"].clone();
    assert_eq!(conditions.as_array().unwrap().len(), 1);
    assert_eq!(
        conditions[0]["metadata"]["condition"],
        json!({"name": "approve", "type": {"simple": "BOOLEAN"}})
    );
    let signal = |payload: Value| json!({"actionId": action_id("p", "r1", "w1"), "payload": payload});
    let (code, message) =
        server.json(SIGNAL_EVENT, Some("Ada"), &signal(json!({"intValue": 1}))).await.error();
    assert_eq!((code.as_str(), message.contains("type")), ("invalid_argument", true), "{message}");
    let answer = server.json(SIGNAL_EVENT, Some("Ada"), &signal(json!({"boolValue": true}))).await;
    assert_eq!(answer.status, StatusCode::OK, "{answer:?}");
    let mut stream =
        server.stream(WATCH, &identity, &json!({"parentActionId": action_id("p", "r1", "a0")})).await;
    let update = stream.next().await.unwrap()["actionUpdate"].clone();
    assert_eq!(update["phase"], "ACTION_PHASE_SUCCEEDED");
    assert_eq!(update["value"]["scalar"]["primitive"]["boolean"], true);
    let (code, _) =
        server.json(SIGNAL_EVENT, Some("Ada"), &signal(json!({"boolValue": false}))).await.error();
    assert_eq!(code, "failed_precondition");
}
