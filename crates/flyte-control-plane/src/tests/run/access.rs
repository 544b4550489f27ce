//! Who may see and change which runs.

use super::*;

#[tokio::test]
async fn only_the_run_itself_enqueues_actions() {
    let server = Runs::start().await;
    let answer = server.json(CREATE_RUN, Some("Root"), &create("p", "r1")).await;
    assert_eq!(answer.status, StatusCode::OK, "{answer:?}");
    let identity = server.identity("p", "r1").await;
    assert_eq!(server.enqueue(&identity, "c1", "a0").await.status, StatusCode::OK);
    assert_eq!(
        server.enqueue(&identity, "c1", "a0").await.status,
        StatusCode::OK,
        "enqueueing again starts nothing"
    );
    let action = json!({"actionId": action_id("p", "r1", "c1")});
    let people = [
        server.key(Role::Contributor, "p").await,
        server.token("Ada", &["all"]),
        // The user who started the run is denied too.
        server.token("Root", &["all"]),
    ];
    for token in &people {
        for method in [ENQUEUE, ABORT, SIGNAL, UPDATE] {
            let (code, message) = server.as_token(token, method, &action).await.error();
            assert_eq!(code, "permission_denied", "{method}");
            assert!(message.contains("Use RunService"), "{message}");
        }
        let (code, _) = server.enqueue(token, "c2", "a0").await.error();
        assert_eq!(code, "permission_denied");
    }
    let actions = server.json(LIST_ACTIONS, Some("Ada"), &json!({"runId": run_id("p", "r1")})).await.json();
    assert_eq!(actions["actions"].as_array().unwrap().len(), 2, "{actions}");
    let abort = server.as_token(&people[0], ABORT_ACTION, &action).await;
    assert_eq!(abort.status, StatusCode::OK, "contributors abort with RunService: {abort:?}");

    server.plane.audit.flush().await;
    let query = AuditQuery { limit: 1000, ..AuditQuery::default() };
    let (records, _) = server.plane.store.list_audit_records(&query).await.unwrap();
    let of = |kind: Kind| {
        let found = records.iter().map(|entry| &entry.record).filter(move |one| one.event == kind.as_str());
        found.cloned().collect::<Vec<_>>()
    };
    let [created] = &of(Kind::RunCreated)[..] else { panic!("{records:?}") };
    let [enqueued] = &of(Kind::ActionEnqueued)[..] else { panic!("{records:?}") };
    let [aborted] = &of(Kind::RunAborted)[..] else { panic!("{records:?}") };
    for (record, subject, object) in [
        (created, "user-Root", "p/development/r1"),
        (enqueued, "p/development/r1", "p/development/r1/c1"),
        (aborted, "key-contributor-p", "p/development/r1/c1"),
    ] {
        assert_eq!(record.subject.as_deref(), Some(subject), "{record:?}");
        assert_eq!(record.object.as_deref(), Some(object), "{record:?}");
    }
    for record in [created, enqueued] {
        for (detail, value) in
            [("task", "env.main"), ("version", "v1"), ("project", "p"), ("domain", "development")]
        {
            assert_eq!(record.details[detail], value, "{record:?}");
        }
    }
    assert_eq!(enqueued.details["on_behalf_of"], "user-Root");
    assert!(of(Kind::CallDenied).len() >= 3, "{records:?}");
}

#[tokio::test]
async fn runs_of_other_projects_are_not_found() {
    let server = Runs::start().await;
    server.run("p", "r1").await;
    let stranger = server.key(Role::Contributor, "q").await;
    for (method, request) in [
        (RUN_DETAILS, json!({"runId": run_id("p", "r1")})),
        (ABORT_RUN, json!({"runId": run_id("p", "r1")})),
        (LIST_ACTIONS, json!({"runId": run_id("p", "r1")})),
        (ACTION_DETAILS, json!({"actionId": action_id("p", "r1", "a0")})),
        (ACTION_DATA, json!({"actionId": action_id("p", "r1", "a0")})),
        (ABORT_ACTION, json!({"actionId": action_id("p", "r1", "a0")})),
        (CREATE_RUN, create("p", "r2")),
    ] {
        let (code, _) = server.as_token(&stranger, method, &request).await.error();
        assert_eq!(code, "not_found", "{method}");
    }
    let elsewhere = json!({"projectId": {"name": "p", "domain": "development"}});
    assert_eq!(server.as_token(&stranger, LIST_RUNS, &elsewhere).await.error().0, "not_found");
    let end = server.stream(WATCH_RUNS, &stranger, &elsewhere).await.next().await.unwrap_err();
    assert_eq!(end["error"]["code"], "not_found", "{end}");
    for request in [json!({}), json!({"org": "acme"})] {
        let listed = server.as_token(&stranger, LIST_RUNS, &request).await.json();
        assert_eq!(listed.get("runs"), None, "{request}");
    }
    let mut runs = server.stream(WATCH_RUNS, &stranger, &json!({})).await;
    server.run("p", "r2").await;
    assert_eq!(server.as_token(&stranger, CREATE_RUN, &create("q", "own")).await.status, StatusCode::OK);
    let seen = runs.next().await.unwrap();
    assert_eq!(seen["runs"].as_array().unwrap().len(), 1);
    assert_eq!(seen["runs"][0]["action"]["id"]["run"]["name"], "own");
}

#[tokio::test]
async fn viewers_only_read_and_runs_act_only_on_their_own_actions() {
    let server = Runs::start().await;
    for name in ["r1", "r2"] {
        server.run("p", name).await;
    }
    let viewer = server.key(Role::Viewer, "p").await;
    assert_eq!(
        server.as_token(&viewer, RUN_DETAILS, &json!({"runId": run_id("p", "r1")})).await.status,
        StatusCode::OK
    );
    let identity = server.identity("p", "r2").await;
    for token in [&viewer, &identity] {
        for (method, request) in [
            (CREATE_RUN, create("p", "r3")),
            (ABORT_RUN, json!({"runId": run_id("p", "r1")})),
            (ABORT_ACTION, json!({"actionId": action_id("p", "r1", "a0")})),
            (ABORT, json!({"actionId": action_id("p", "r1", "a0")})),
        ] {
            let (code, _) = server.as_token(token, method, &request).await.error();
            assert_eq!(code, "permission_denied", "{method}");
        }
        let (code, _) = server.enqueue(token, "c1", "a0").await.error();
        assert_eq!(code, "permission_denied");
    }
    let other = json!({"project": "q", "domain": "development", "name": "x"});
    let (code, _) = server.as_token(&identity, RUN_DETAILS, &json!({"runId": other})).await.error();
    assert_eq!(code, "not_found");
    let own = server.identity("p", "r1").await;
    let outside = json!({"action": {
        "actionId": action_id("p", "r1", "c1"),
        "parentActionName": "a0",
        "inputUri": "file:///etc/passwd",
        "task": {"spec": task()},
    }});
    let (code, message) = server.as_token(&own, ENQUEUE, &outside).await.error();
    assert_eq!(
        (code.as_str(), message.starts_with("action.input_uri")),
        ("invalid_argument", true),
        "{message}"
    );
}
