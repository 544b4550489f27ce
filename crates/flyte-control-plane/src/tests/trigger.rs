//! `TriggerService`, and triggers that come with tasks.

use serde_json::json;

use super::{task::deployment, *};
use flyte_model::{Actor, PrincipalKind};
use flyte_store::TriggerId;

const DEPLOY_TASK: &str = "/flyteidl2.task.TaskService/DeployTask";
const TASKS: &str = "/flyteidl2.task.TaskService/ListTasks";
const DEPLOY: &str = "/flyteidl2.trigger.TriggerService/DeployTrigger";
const DETAILS: &str = "/flyteidl2.trigger.TriggerService/GetTriggerDetails";
const REVISION: &str = "/flyteidl2.trigger.TriggerService/GetTriggerRevisionDetails";
const TRIGGERS: &str = "/flyteidl2.trigger.TriggerService/ListTriggers";
const HISTORY: &str = "/flyteidl2.trigger.TriggerService/GetTriggerRevisionHistory";
const SWITCH: &str = "/flyteidl2.trigger.TriggerService/UpdateTriggers";
const DELETE_TRIGGERS: &str = "/flyteidl2.trigger.TriggerService/DeleteTriggers";

fn name(trigger: &str) -> Value {
    json!({"project": "p1", "domain": "development", "taskName": "e.main", "name": trigger})
}

fn hourly() -> Value {
    json!({
        "type": "TYPE_SCHEDULE",
        "schedule": {"cron": {"expression": "0 * * * *", "timezone": "Europe/Berlin"}}
    })
}

fn new(trigger: &str, version: &str) -> Value {
    json!({
        "name": name(trigger),
        "spec": {"taskVersion": version, "description": "each hour"},
        "automationSpec": hourly()
    })
}

impl Server {
    async fn trigger_call(&self, method: &str, request: &Value) -> Value {
        let answer = self.json(method, Some("Ada"), request).await;
        assert_eq!(answer.status, StatusCode::OK, "{request}: {answer:?}");
        answer.json()
    }

    async fn with_task() -> Self {
        let server = Self::for_tasks().await;
        server.trigger_call(DEPLOY_TASK, &deployment("e.main", "v1")).await;
        server
    }
}

#[tokio::test]
async fn a_trigger_is_deployed_activated_and_deleted() {
    let server = Server::with_task().await;
    let deployed = server.trigger_call(DEPLOY, &new("hourly", "v1")).await["trigger"].clone();
    let details = server.trigger_call(DETAILS, &json!({"name": name("hourly")})).await["trigger"].clone();
    assert_eq!(deployed, details);
    assert_eq!(details["id"]["revision"], "1");
    assert_eq!(details["spec"], json!({"taskVersion": "v1", "description": "each hour"}));
    assert_eq!(details["automationSpec"], hourly());
    assert_eq!(details["metadata"]["deployedBy"]["user"]["spec"]["email"], "ada@example.com");

    server.plane.clock.advance(5);
    // An older server accepted active triggers.
    let (project, domain) = ("p1".to_owned(), "development".to_owned());
    let id = TriggerId { project, domain, task: "e.main".to_owned(), name: "hourly".to_owned() };
    let ada = Actor { subject: "user-Ada".to_owned(), kind: PrincipalKind::Person };
    let now = server.plane.clock.now();
    assert_eq!(server.plane.store.switch_triggers(&[(id, None)], true, &ada, now).await.unwrap(), None);
    server.trigger_call(SWITCH, &json!({"names": [name("hourly")], "active": false})).await;
    let listing = json!({"taskName": {"project": "p1", "domain": "development", "name": "e.main"}});
    let listed = server.trigger_call(TRIGGERS, &listing).await["triggers"].clone();
    assert_eq!(listed.as_array().unwrap().len(), 1);
    assert_eq!((&listed[0]["id"]["revision"], listed[0].get("active")), (&json!("3"), None));
    let by_version = json!({"taskId": super::task::id("e.main", "v2")});
    assert_eq!(server.trigger_call(TRIGGERS, &by_version).await, json!({}));

    server.trigger_call(DELETE_TRIGGERS, &json!({"names": [name("hourly")]})).await;
    let (code, message) = server.json(DETAILS, Some("Ada"), &json!({"name": name("hourly")})).await.error();
    assert_eq!(code, "not_found");
    assert!(message.contains("no trigger \"hourly\""), "{message}");
    let history = server.trigger_call(HISTORY, &json!({"name": name("hourly")})).await["triggers"].clone();
    let actions: Vec<_> =
        history.as_array().unwrap().iter().map(|one| one["action"].as_str().unwrap()).collect();
    let expected = ["DELETE", "DEACTIVATE", "ACTIVATE", "DEPLOY"]
        .map(|action| format!("TRIGGER_REVISION_ACTION_{action}"));
    assert_eq!(actions, expected);
    let first = json!({"id": {"name": name("hourly"), "revision": "1"}});
    assert_eq!(server.trigger_call(REVISION, &first).await["trigger"]["spec"]["description"], "each hour");
}

#[tokio::test]
async fn active_triggers_are_rejected() {
    let server = Server::with_task().await;
    server.trigger_call(DEPLOY, &new("hourly", "v1")).await;
    let mut active = new("hourly", "v1");
    active["spec"]["active"] = true.into();
    let mut with_task = deployment("e.main", "v3");
    with_task["triggers"] = json!([{"name": "hourly", "spec": {"active": true}, "automationSpec": hourly()}]);
    let on_artifact = json!({"type": "TYPE_ARTIFACT", "artifact": {}});
    let mut by_artifact = with_task.clone();
    by_artifact["triggers"][0]["automationSpec"] = on_artifact;
    for (method, request, field, feature) in [
        (DEPLOY, active, "spec.active ", "start runs by schedules"),
        (DEPLOY_TASK, with_task, "triggers[0].spec.active ", "start runs by schedules"),
        (DEPLOY_TASK, by_artifact, "triggers[0].spec.active ", "start runs by artifacts"),
        (SWITCH, json!({"names": [name("hourly")], "active": true}), "active ", "start runs by schedules"),
    ] {
        let (code, message) = server.json(method, Some("Ada"), &request).await.error();
        assert_eq!(code, "invalid_argument", "{message}");
        assert!(message.starts_with(field) && message.contains(feature), "{message}");
        assert!(message.contains("auto_activate=False"), "{message}");
    }
    let details = server.trigger_call(DETAILS, &json!({"name": name("hourly")})).await;
    assert_eq!(details["trigger"]["id"]["revision"], "1", "nothing has changed");
    let listed = server.trigger_call(TASKS, &json!({})).await;
    assert_eq!(listed["tasks"].as_array().unwrap().len(), 1, "the task is not deployed");
}

#[tokio::test]
async fn triggers_are_deployed_with_a_task() {
    let server = Server::for_tasks().await;
    let mut request = deployment("e.main", "v1");
    request["triggers"] = json!([
        {"name": "hourly", "spec": {"inputs": {}}, "automationSpec": hourly()}
    ]);
    server.trigger_call(DEPLOY_TASK, &request).await;
    let details = server.trigger_call(DETAILS, &json!({"name": name("hourly")})).await["trigger"].clone();
    assert_eq!(details["spec"], json!({"taskVersion": "v1", "inputs": {}}));
    let listed =
        server.trigger_call(TASKS, &json!({})).await["tasks"][0]["metadata"]["triggersSummary"].clone();
    let expected = json!({"details": {"name": "hourly", "automationSpec": hourly()}});
    assert_eq!(listed, expected);

    let first = request["triggers"][0].clone();
    request["triggers"].as_array_mut().unwrap().push(first);
    let (code, message) = server.json(DEPLOY_TASK, Some("Ada"), &request).await.error();
    assert_eq!(code, "invalid_argument");
    assert!(message.starts_with("triggers[1].name"), "{message}");
}

#[tokio::test]
async fn unknown_tasks_and_triggers_are_not_found() {
    let server = Server::with_task().await;
    let (code, message) = server.json(DEPLOY, Some("Ada"), &new("hourly", "v2")).await.error();
    assert_eq!(code, "not_found");
    assert!(message.contains("version \"v2\""), "{message}");
    server.trigger_call(DEPLOY, &new("hourly", "v1")).await;
    let mut stale = new("hourly", "v1");
    stale["revision"] = "7".into();
    let (code, message) = server.json(DEPLOY, Some("Ada"), &stale).await.error();
    assert_eq!(code, "failed_precondition");
    assert!(message.contains("at 1"), "{message}");
    let both = json!({"names": [name("hourly"), name("other")]});
    for method in [SWITCH, DELETE_TRIGGERS] {
        let (code, message) = server.json(method, Some("Ada"), &both).await.error();
        assert_eq!(code, "not_found");
        assert!(message.contains("\"other\""), "{message}");
    }
    let there = server.trigger_call(DETAILS, &json!({"name": name("hourly")})).await;
    assert_eq!(there["trigger"]["id"]["revision"], "1");
    for (request, field) in [(json!({}), "name "), (json!({"name": name("")}), "name.name")] {
        let (code, message) = server.json(DEPLOY, Some("Ada"), &request).await.error();
        assert_eq!(code, "invalid_argument");
        assert!(message.starts_with(field), "{message}");
    }
}
