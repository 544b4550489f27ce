//! Runs are created.

use super::*;

#[tokio::test]
async fn a_run_is_created_and_shown() {
    let server = Runs::start().await;
    let answer = server.run("p", "r1").await;
    assert_eq!(answer.status, StatusCode::OK, "{answer:?}");
    let shown = answer.json()["run"].clone();
    assert_eq!(shown["labels"], json!({"team": "r1"}));
    assert_eq!(shown["action"]["id"]["name"], "a0");
    assert_eq!(shown["action"]["id"]["run"]["org"], "acme");
    assert_eq!(shown["action"]["status"]["phase"], "ACTION_PHASE_QUEUED");
    let metadata = &shown["action"]["metadata"];
    assert_eq!(metadata["task"]["id"]["name"], "env.main");
    assert_eq!(metadata["executedBy"]["user"]["spec"]["email"], "ada@example.com");
    assert_eq!(metadata["source"], "RUN_SOURCE_CLI");

    let details = server.json(RUN_DETAILS, Some("Ada"), &json!({"runId": run_id("p", "r1")})).await.json();
    assert_eq!(details["details"]["runSpec"]["envs"]["values"][0]["value"], "b");
    assert_eq!(details["details"]["action"]["task"]["shortName"], "main");
    let data = server.json(ACTION_DATA, Some("Ada"), &json!({"actionId": action_id("p", "r1", "a0")})).await;
    assert_eq!(data.json()["inputs"]["literals"][0]["value"]["scalar"]["primitive"]["integer"], "7");
    assert!(server.data.path().join("objects/p/development/inputs").is_dir());

    let (code, message) = server.run("p", "r1").await.error();
    assert_eq!((code.as_str(), message.contains("r1")), ("already_exists", true), "{message}");
    let mut unnamed = create("p", "");
    unnamed.as_object_mut().unwrap().remove("runId");
    unnamed["projectId"] = json!({"name": "p", "domain": "development"});
    let made = server.json(CREATE_RUN, Some("Ada"), &unnamed).await.json();
    assert_eq!(made["run"]["action"]["id"]["run"]["name"].as_str().unwrap().len(), 20);

    server.plane.audit.flush().await;
    let audit = server.json("/flyteauth.AuditService/ListEvents", Some("Root"), &json!({})).await;
    assert!(String::from_utf8_lossy(&audit.body).contains("run_created"), "{audit:?}");
}

#[tokio::test]
async fn errors_name_the_invalid_field() {
    let server = Runs::start().await;
    let elsewhere = server.plane.objects.native_url("q", "development", "inputs.pb").unwrap();
    for (field, change) in [
        ("id", json!({"runId": null})),
        ("run_id.name", json!({"runId": run_id("p", "A/B")})),
        ("id.project", json!({"runId": run_id("", "r1")})),
        ("id.domain", json!({"runId": {"project": "p", "name": "r1"}})),
        ("task", json!({"taskSpec": null})),
        ("task_spec.task_template ", json!({"taskSpec": {}})),
        ("task_spec.task_template.id ", json!({"taskSpec": {"taskTemplate": {}}})),
        ("task_spec.task_template.id.name", json!({"taskSpec": {"taskTemplate": {"id": {}}}})),
        ("run_spec.envs", json!({"runSpec": {"envs": {"values": [{"key": "A=B"}]}}})),
        ("run_spec.run_base_dir", json!({"runSpec": {"runBaseDir": "/etc"}})),
        ("run_spec.run_base_dir", json!({"runSpec": {"runBaseDir": elsewhere}})),
        (
            "offloaded_input_data.uri",
            json!({"inputs": null, "offloadedInputData": {"uri": "file:///etc/passwd"}}),
        ),
        ("offloaded_input_data.uri", json!({"inputs": null, "offloadedInputData": {"uri": elsewhere}})),
    ] {
        let mut request = create("p", "r1");
        for (key, value) in change.as_object().unwrap() {
            match value {
                Value::Null => drop(request.as_object_mut().unwrap().remove(key)),
                value => request[key] = value.clone(),
            }
        }
        let (code, message) = server.json(CREATE_RUN, Some("Ada"), &request).await.error();
        assert_eq!(code, "invalid_argument", "{request}");
        assert!(message.starts_with(field), "{request}: {message}");
    }
    for project in ["nothing", "../p"] {
        let (code, _) = server.run(project, "r1").await.error();
        assert_eq!(code, "not_found");
    }
    let (code, _) = server
        .json(
            CREATE_RUN,
            Some("Ada"),
            &json!({
                "runId": {"project": "p", "domain": "nowhere", "name": "r"}, "taskSpec": task()
            }),
        )
        .await
        .error();
    assert_eq!(code, "not_found");
    let request = json!({"request": {"filters": [{"field": "colour", "values": ["red"]}]}});
    let (code, message) = server.json(LIST_RUNS, Some("Ada"), &request).await.error();
    assert_eq!((code.as_str(), message.contains("colour")), ("invalid_argument", true));
}

#[tokio::test]
async fn a_deployed_task_is_run_by_its_id() {
    let server = Runs::start().await;
    let project = json!({"project": {"id": "p1"}});
    assert_eq!(server.json(CREATE, Some("Root"), &project).await.status, StatusCode::OK);
    let deploy = "/flyteidl2.task.TaskService/DeployTask";
    let answer = server.json(deploy, Some("Ada"), &task::deployment("env.other", "v7")).await;
    assert_eq!(answer.status, StatusCode::OK, "{answer:?}");
    let request = |version: &str| {
        let mut request = create("p", &format!("r-{version}"));
        request.as_object_mut().unwrap().remove("taskSpec");
        request["taskId"] = task::id("env.other", version);
        request
    };
    let answer = server.json(CREATE_RUN, Some("Ada"), &request("v7")).await;
    assert_eq!(answer.status, StatusCode::OK, "{answer:?}");
    let named = answer.json()["run"]["action"]["metadata"]["task"]["id"].clone();
    assert_eq!(
        (&named["name"], &named["version"], &named["project"]),
        (&json!("env.other"), &json!("v7"), &json!("p1"))
    );
    let by_task = json!({"taskId": task::id("env.other", "v7")});
    let listed = server.json(LIST_RUNS, Some("Ada"), &by_task).await.json();
    assert_eq!(listed.get("runs"), None, "the filter compares the project of the run");
    let (code, message) = server.json(CREATE_RUN, Some("Ada"), &request("v8")).await.error();
    assert_eq!((code.as_str(), message.contains("v8")), ("not_found", true), "{message}");
    // A caller who is limited to `p` cannot see the tasks of `p1`.
    let limited = server.key(Role::Contributor, "p").await;
    let (code, _) = server.as_token(&limited, CREATE_RUN, &request("v7")).await.error();
    assert_eq!(code, "not_found");
}
