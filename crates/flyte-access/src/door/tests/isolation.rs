//! Calls that a backend answers across projects: `docs/guide/project-isolation.md`. Each names the caller's own project where the
//! backend looks for one, and another project elsewhere.

use serde_json::{Value, json};

use super::{code::backend, *};

/// A contributor of `p` in `d`, or a run there.
fn limited(path: &str) -> Caller {
    let is_run = Door::published().rpc(path).unwrap().callers == Callers::OnlyRuns;
    if is_run { run() } else { caller(Role::Contributor, "all", "p", "d") }
}

/// Passes what `request` makes for the caller's own project, and refuses it for another.
#[track_caller]
fn crosses(rpc: &str, request: impl Fn(&str) -> Value) {
    let (path, backend) = (format!("/flyteidl2.{rpc}"), backend(&[]));
    let caller = limited(&path);
    let pass = |project: &str| {
        let text = request(project).to_string();
        Door::published()
            .admit(&caller, &path)
            .and_then(|()| Door::published().pass(&caller, &path, Message::Json(text.as_bytes()), &backend))
    };
    assert_eq!(pass("p"), Ok(()), "{}", request("p"));
    let refused = pass("q");
    assert!(matches!(refused, Err(Refusal::NotFound { .. })), "{}: {refused:?}", request("q"));
}

fn own() -> Value {
    json!({"project": "p", "domain": "d", "name": "r"})
}

fn of(project: &str) -> Value {
    json!({"project": project, "domain": "d", "name": "x"})
}

/// A request to create a run with another member.
fn creates(member: &str, value: Value) -> Value {
    json!({"runId": own(), member: value})
}

/// An action of the calling run with another member.
fn enqueues(member: &str, value: Value) -> Value {
    json!({"action": {"actionId": {"run": own(), "name": "a"}, member: value}})
}

macro_rules! tests {
    ($($name:ident: $rpc:literal, $request:expr;)+) => {
        $(
            #[test]
            fn $name() {
                crosses($rpc, $request);
            }
        )+
    };
}

tests! {
    inputs_of_others: "workflow.RunService/CreateRun", |project| {
        creates("offloadedInputData", json!({"uri": format!("s3://flyte-data/{project}/d/r/inputs")}))
    };
    outputs_of_others: "workflow.RunService/CreateRun", |project| {
        creates("offloadedInputData", json!({"uri": format!("s3://flyte-data/k3/{project}/d/r/a0/1")}))
    };
    uploads_of_others: "workflow.RunService/CreateRun", |project| {
        creates("offloadedInputData", json!({"uri": format!("s3://flyte-data/uploads/{project}/d/offloaded-inputs/h")}))
    };
    uploads_of_others_in_an_organization: "workflow.RunService/CreateRun", |project| {
        let uri = format!("s3://flyte-data/uploads/acme/{project}/d/offloaded-inputs/h");
        creates("offloadedInputData", json!({"uri": uri}))
    };
    tasks_of_others: "workflow.RunService/CreateRun", |project| creates("taskId", of(project));
    triggers_of_others: "workflow.RunService/CreateRun", |project| creates("triggerName", of(project));
    relations_to_others: "workflow.RunService/CreateRun", |project| {
        creates("runSpec", json!({"relation": {"relatedTo": of(project)}}))
    };
    related_runs_of_others: "workflow.RunService/CreateRun", |project| creates("runSpec", json!({"relatedTo": of(project)}));
    base_directories_of_others: "workflow.RunService/CreateRun", |project| {
        creates("runSpec", json!({"runBaseDir": format!("s3://flyte-data/{project}/d")}))
    };
    raw_data_of_others: "workflow.RunService/CreateRun", |project| {
        creates("runSpec", json!({"rawDataStorage": {"rawDataPrefix": format!("s3://flyte-data/{project}/d")}}))
    };
    code_of_others: "workflow.RunService/CreateRun", |project| {
        let args = ["a0", "--tgz", &format!("s3://flyte-data/uploads/{project}/d/H/code.tgz")].map(str::to_owned);
        creates("taskSpec", json!({"taskTemplate": {"container": {"args": args}}}))
    };
    code_of_others_in_a_pod: "workflow.RunService/CreateRun", |project| {
        let uri = format!("s3://flyte-data/uploads/{project}/d/H/code.tgz");
        creates("taskSpec", json!({"taskTemplate": {"k8sPod": {"podSpec": {"containers": [{"args": [uri]}]}}}}))
    };
    files_of_others: "workflow.RunService/CreateRun", |project| {
        let blob = json!({"uri": format!("https://flyte-data.s3.amazonaws.com/uploads/{project}/d/H/x.csv")});
        creates("inputs", json!({"literals": [{"name": "x", "value": {"scalar": {"blob": blob}}}]}))
    };
    enqueued_inputs_of_others: "actions.ActionsService/Enqueue", |project| {
        enqueues("inputUri", json!(format!("s3://flyte-data/{project}/d/r/a/inputs.pb")))
    };
    enqueued_outputs_of_others: "actions.ActionsService/Enqueue", |project| {
        enqueues("runOutputBase", json!(format!("s3://flyte-data/{project}/d/r/")))
    };
    enqueued_tasks_of_others: "actions.ActionsService/Enqueue", |project| enqueues("task", json!({"id": of(project)}));
    recovered_actions_of_others: "actions.ActionsService/Enqueue", |project| {
        enqueues("recoveredFrom", json!({"run": of(project), "name": "a0"}))
    };
    uploads_below_the_directories_of_others: "dataproxy.DataProxyService/UploadInputs", |project| {
        json!({"projectId": {"name": "p", "domain": "d"}, "baseDir": format!("s3://flyte-data/{project}/d/x")})
    };
    uploads_for_the_tasks_of_others: "dataproxy.DataProxyService/UploadInputs", |project| {
        json!({"projectId": {"name": "p", "domain": "d"}, "taskId": of(project)})
    };
    reports_of_others: "dataproxy.DataProxyService/CreateDownloadLink", |project| {
        json!({"actionAttemptId": {"actionId": {"run": of(project), "name": "a0"}, "attempt": 1}})
    };
    literals_of_others: "workflow.TranslatorService/LiteralsToLaunchFormJson", |project| {
        json!({"literalsUri": format!("s3://flyte-data/{project}/d/r/inputs/inputs.pb")})
    };
    apps_that_depend_on_those_of_others: "app.AppService/Create", |project| {
        json!({"app": {"metadata": {"id": own()}, "spec": {"inputs": {"items": [{"name": "x", "appId": of(project)}]}}}})
    };
    triggers_with_the_inputs_of_others: "trigger.TriggerService/DeployTrigger", |project| {
        let uri = format!("s3://flyte-data/uploads/{project}/d/offloaded-inputs/h");
        json!({"name": own(), "spec": {"offloadedInputData": {"uri": uri}}})
    };
    one_of_several_triggers: "trigger.TriggerService/DeleteTriggers", |project| json!({"names": [own(), of(project)]});
    clusters_of_the_tasks_of_others: "cluster.ClusterService/SelectCluster", |project| json!({"taskId": of(project)});
    lists_of_the_tasks_of_others: "workflow.RunService/ListRuns", |project| {
        json!({"projectId": {"name": project, "domain": "d"}})
    };
}

/// A backend calls the object of an action `RUN-ACTION`, so that the action `y-a0` of the run `x` would be `a0` of the run `x-y`.
#[test]
fn an_action_is_not_one_of_another_run() {
    let backend = backend(&[]);
    let action = |name: &str| json!({"run": own(), "name": name});
    for (rpc, request) in [
        ("actions.ActionsService/Abort", json!({"actionId": action("y-a0")})),
        ("actions.ActionsService/Signal", json!({"actionId": action("y-a0")})),
        ("actions.ActionsService/Update", json!({"actionId": action("y-a0")})),
        ("actions.ActionsService/Enqueue", json!({"action": {"actionId": action("y-a0")}})),
        ("actions.ActionsService/Enqueue", enqueues("parentActionName", json!("y-a0"))),
        ("workflow.RunService/SignalEvent", json!({"actionId": action("y-a0")})),
        ("workflow.RunService/AbortAction", json!({"actionId": action("y-a0")})),
    ] {
        let path = format!("/flyteidl2.{rpc}");
        let caller = Caller { subject: "p/d/r".to_owned(), ..limited(&path) };
        let text = request.to_string();
        let pass = |text: &str, storage: &dyn Storage| {
            Door::published().pass(&caller, &path, Message::Json(text.as_bytes()), storage)
        };
        assert!(matches!(pass(&text, &backend), Err(Refusal::Invalid(_))), "{text}");
        assert_eq!(pass(&text.replace("y-a0", "ya0"), &backend), Ok(()), "{text}");
        // Our own control plane keeps the parts apart.
        assert_eq!(pass(&text, &Bucket), Ok(()), "{text}");
    }
}

/// Who watches the actions of a run gets from a backend those of all runs with its name.
#[test]
fn only_runs_watch_their_actions() {
    let backend = backend(&[]);
    let path = "/flyteidl2.actions.ActionsService/WatchForUpdates";
    let text = json!({"parentActionId": {"run": own(), "name": "a0"}}).to_string();
    let pass = |caller: &Caller, storage: &dyn Storage| {
        Door::published().pass(caller, path, Message::Json(text.as_bytes()), storage)
    };
    assert_eq!(pass(&run(), &backend), Ok(()));
    for project in ["p", ""] {
        let person = caller(Role::Admin, "all", project, "");
        assert_eq!(pass(&person, &backend), denied(Denied::NotRun("ActionsService/WatchForUpdates")));
        assert_eq!(pass(&person, &Bucket), Ok(()));
    }
}
