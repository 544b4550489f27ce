use serde_json::json;

use super::*;
use crate::testing::{Answer, Server};

fn automation(message: Value) -> Automation {
    serde_json::from_value::<task_wire::TriggerAutomationSpec>(message).unwrap().into()
}

#[test]
fn automations_are_described_in_one_line() {
    for (message, expected) in [
        (json!({"type": "TYPE_NONE"}), "none"),
        (
            json!({"type": "TYPE_SCHEDULE", "schedule": {"cron": {"expression": "0 6 * * *", "timezone": "Europe/Zurich"}}}),
            "cron 0 6 * * * (Europe/Zurich)",
        ),
        (json!({"type": "TYPE_SCHEDULE", "schedule": {"cronExpression": "@daily"}}), "cron @daily (UTC)"),
        (
            json!({"type": "TYPE_SCHEDULE", "schedule": {"rate": {"value": 1, "unit": "FIXED_RATE_UNIT_HOUR"}}}),
            "every hour",
        ),
        (
            json!({"type": "TYPE_SCHEDULE", "schedule": {"rate": {"value": 5, "unit": "FIXED_RATE_UNIT_MINUTE"}}}),
            "every 5 minutes",
        ),
        (
            json!({"type": "TYPE_ARTIFACT", "artifact": {"artifactName": "m", "version": "v2"}}),
            "artifact m v2",
        ),
        (json!({"type": "TYPE_SCHEDULE"}), "unknown"),
    ] {
        assert_eq!(automation(message.clone()).to_string(), expected, "{message}");
    }
}

#[tokio::test]
async fn triggers_are_listed_by_task_and_shown() {
    let name =
        json!({"project": "flytesnacks", "domain": "development", "taskName": "env.t", "name": "nightly"});
    let id = json!({"name": name, "revision": "3"});
    let automation = json!({"type": "TYPE_SCHEDULE", "schedule": {"cron": {"expression": "0 6 * * *"}}});
    let listed = serde_json::from_value::<wire::Trigger>(
        json!({"id": id, "active": true, "automationSpec": automation, "status": {"deployedAt": "2026-11-24T22:00:00Z"}}),
    );
    let details = serde_json::from_value::<wire::TriggerDetails>(json!({
        "id": id, "automationSpec": automation, "description": "every morning",
        "spec": {
            "active": true, "taskVersion": "v1",
            "inputs": {"literals": [{"name": "x", "value": {"scalar": {"primitive": {"integer": "7"}}}}]},
            "runSpec": {"envs": {"values": [{"key": "MODE", "value": "x"}]}},
        },
    }));
    let (listed, details) = (listed.unwrap(), details.unwrap());
    let server = Server::default()
        .on("flyteidl2.trigger.TriggerService/ListTriggers", move |request: wire::ListTriggersRequest| {
            let Some(ScopeBy::TaskName(task)) = &request.scope_by else { panic!("{:?}", request.scope_by) };
            assert_eq!((task.org.as_str(), task.name.as_str()), ("acme", "env.t"));
            let triggers = vec![listed.clone()];
            Ok(Answer::one(&wire::ListTriggersResponse { triggers, ..Default::default() }))
        })
        .on(
            "flyteidl2.trigger.TriggerService/GetTriggerDetails",
            move |request: wire::GetTriggerDetailsRequest| {
                assert_eq!(
                    (request.name.task_name.as_str(), request.name.name.as_str()),
                    ("env.t", "nightly")
                );
                let trigger = details.clone().into();
                Ok(Answer::one(&wire::GetTriggerDetailsResponse { trigger, ..Default::default() }))
            },
        )
        .on("flyteidl2.trigger.TriggerService/UpdateTriggers", |request: wire::UpdateTriggersRequest| {
            assert!(!request.active && request.names[0].name == "nightly");
            Ok(Answer::one(&wire::UpdateTriggersResponse::default()))
        });
    let project_domain = ProjectDomain::new("flytesnacks", "development");
    let triggers = server.client().triggers();
    let found = triggers.list(project_domain.clone(), Some("env.t".into()), None).collect().await.unwrap();
    assert_eq!((found[0].name.as_str(), found[0].active, found[0].revision), ("nightly", true, 3));
    assert_eq!(found[0].deployed_at, Some(1_795_557_600));
    let id = TriggerId { project_domain, task: "env.t".into(), name: "nightly".into() };
    let one = triggers.get(&id).await.unwrap();
    assert_eq!((one.task_version.as_str(), one.description.as_str()), ("v1", "every morning"));
    assert_eq!((&one.inputs["x"], one.env["MODE"].as_str(), one.trigger.active), (&json!(7), "x", true));
    triggers.switch(&id, false).await.unwrap();
}
