use connectrpc::ErrorCode;
use flyte_idl::flyteidl2::dataproxy::GetActionDataResponse;
use flyte_idl::flyteidl2::workflow::create_run_request::{Id, InputWrapper, Task};
use serde_json::{Value, json};

use super::*;
use crate::action::RunId;
use crate::project_domain::ProjectDomain;
use crate::testing::{Answer, Server};

fn number(name: &str, value: &str) -> Value {
    json!({"name": name, "value": {"scalar": {"primitive": {"integer": value}}}})
}

fn details() -> wire::RunDetails {
    let input = |name| json!({"key": name, "value": {"type": {"simple": "INTEGER"}}});
    let details = json!({
        "runSpec": {
            "envs": {"values": [{"key": "MODE", "value": "old"}, {"key": "_F_SYS_PATH", "value": "./src"}]},
            "labels": {"values": {"team": "ml"}}, "queue": "large",
            "relation": {"relatedTo": {"name": "r0"}, "relationType": "RELATION_TYPE_RECOVER"},
            "recover": {"forceRerunActions": ["a9"]},
        },
        "action": {
            "id": {"run": {"org": "acme", "project": "flytesnacks", "domain": "development", "name": "r1"}, "name": "a0"},
            "task": {"taskTemplate": {
                "id": {"name": "env.t", "version": "v1"},
                "container": {"env": [{"key": "_F_SYS_PATH", "value": "./lib"}]},
                "interface": {"inputs": {"variables": [input("x"), input("y")]}},
            }},
        },
    });
    serde_json::from_value(details).unwrap()
}

/// A server with the run `r1`, which had x = 1 and y = 2; `data` answers for its inputs.
fn server(
    data: impl Fn() -> Result<Answer, ErrorCode> + Send + Sync + 'static,
    check: impl Fn(&wire::CreateRunRequest) + Send + Sync + 'static,
) -> Server {
    Server::default()
        .on("flyteidl2.workflow.RunService/GetRunDetails", |request: wire::GetRunDetailsRequest| {
            assert_eq!(request.run_id.name, "r1");
            Ok(Answer::one(&wire::GetRunDetailsResponse { details: details().into(), ..Default::default() }))
        })
        .on("flyteidl2.dataproxy.DataProxyService/GetActionData", move |_: GetActionDataRequest| data())
        .on("flyteidl2.workflow.RunService/GetActionDataURIs", |_: wire::GetActionDataURIsRequest| {
            let inputs_uri = "s3://b/r1/inputs.pb".to_owned();
            Ok(Answer::one(&wire::GetActionDataURIsResponse { inputs_uri, ..Default::default() }))
        })
        .on("flyteidl2.workflow.RunService/CreateRun", move |request: wire::CreateRunRequest| {
            assert!(
                matches!(&request.task, Some(Task::TaskSpec(spec)) if spec.task_template.id.name == "env.t")
            );
            check(&request);
            let action = wire::Action::default().into();
            let run = wire::Run { action, ..Default::default() }.into();
            Ok(Answer::one(&wire::CreateRunResponse { run, ..Default::default() }))
        })
}

fn stored() -> Result<Answer, ErrorCode> {
    let inputs =
        json!({"literals": [number("x", "1"), number("y", "2")], "context": [{"key": "k", "value": "v"}]});
    let inputs = serde_json::from_value::<WireInputs>(inputs).unwrap().into();
    Ok(Answer::one(&GetActionDataResponse { inputs, ..Default::default() }))
}

async fn rerun(server: &Server, options: RerunOptions) -> Result<Run, RerunError> {
    let runs = server.client().runs();
    let id = RunId::new(ProjectDomain::new("flytesnacks", "development"), "r1").action(ROOT);
    let origin = runs.origin(&id).await?;
    assert!(origin.inputs.iter().all(|input| !input.required));
    runs.rerun(origin, options).await
}

fn changed(changes: &[(&str, &str)]) -> RerunOptions {
    let changes = changes.iter().map(|(name, text)| ((*name).to_owned(), vec![(*text).to_owned()]));
    RerunOptions { changes: changes.collect(), ..RerunOptions::default() }
}

fn inputs(request: &wire::CreateRunRequest) -> Value {
    let Some(InputWrapper::Inputs(inputs)) = &request.input_wrapper else { panic!("{request:?}") };
    serde_json::to_value(inputs).unwrap()
}

#[tokio::test]
async fn rerun_has_the_code_inputs_and_options_of_the_earlier_run() {
    let server = server(stored, |request| {
        assert!(matches!(&request.id, Some(Id::RunId(id)) if id.name == "again" && id.org == "acme"));
        let inputs = inputs(request);
        assert_eq!(inputs["literals"], json!([number("x", "1"), number("y", "5")]));
        assert_eq!(inputs["context"], json!([{"key": "k", "value": "v"}]));
        let spec = serde_json::to_value(request.run_spec.as_option().unwrap()).unwrap();
        // The task's own `_F_SYS_PATH` is not sent a second time.
        assert_eq!(spec["envs"]["values"], json!([{"key": "MODE", "value": "new"}]));
        assert_eq!(spec["labels"]["values"], json!({"team": "ml", "again": "yes"}));
        assert_eq!((&spec["queue"], &spec["recover"]), (&json!("large"), &Value::Null));
        assert_eq!(
            spec["relation"],
            json!({
                "relatedTo": {"org": "acme", "project": "flytesnacks", "domain": "development", "name": "r1"},
                "relationType": "RELATION_TYPE_RERUN",
            })
        );
    });
    let options = RerunOptions {
        name: Some("again".into()),
        env: [("MODE".to_owned(), "new".to_owned())].into(),
        labels: [("again".to_owned(), "yes".to_owned())].into(),
        ..changed(&[("y", "5")])
    };
    rerun(&server, options).await.unwrap();
}

#[tokio::test]
async fn recovery_names_the_actions_that_run_again() {
    let server = server(stored, |request| {
        let spec = serde_json::to_value(request.run_spec.as_option().unwrap()).unwrap();
        assert_eq!(spec["relation"]["relationType"], "RELATION_TYPE_RECOVER");
        assert_eq!(spec["recover"], json!({"forceRerunActions": ["a3"]}));
    });
    let recover = Some(RecoverOptions { force: vec!["a3".into()] });
    rerun(&server, RerunOptions { recover, ..RerunOptions::default() }).await.unwrap();
}

#[tokio::test]
async fn missing_data_stops_a_rerun_unless_it_is_not_needed() {
    let gone = || Err(ErrorCode::NotFound);
    // All inputs are new, so the earlier ones are not read.
    let all = server(gone, |request| assert_eq!(inputs(request)["literals"].as_array().unwrap().len(), 2));
    rerun(&all, changed(&[("x", "8"), ("y", "9")])).await.unwrap();
    assert!(!all.calls.lock().unwrap().iter().any(|call| call.ends_with("/GetActionData")));
    let some = server(gone, |_| panic!("nothing is started"));
    let error = rerun(&some, changed(&[("x", "8")])).await.unwrap_err();
    assert!(matches!(error, RerunError::OutputsGone(_)), "{error}");
    let allowed = RerunOptions { allow_missing_outputs: true, ..changed(&[("x", "8")]) };
    assert!(matches!(rerun(&some, allowed).await.unwrap_err(), RerunError::OutputsGone(_)));
    let stored = server(gone, |request| {
        let Some(InputWrapper::OffloadedInputData(data)) = &request.input_wrapper else {
            panic!("{request:?}")
        };
        // As `_uri_inputs_hash` of the published client computes it.
        assert_eq!((&*data.uri, &*data.inputs_hash), ("s3://b/r1/inputs.pb", "-Law3Z7Lqhc"));
    });
    let allowed = RerunOptions { allow_missing_outputs: true, ..RerunOptions::default() };
    rerun(&stored, allowed).await.unwrap();
}

#[tokio::test]
async fn wrong_inputs_are_named() {
    let server = server(stored, |_| panic!("nothing is started"));
    for (changes, expected) in
        [([("z", "1")], "z: there is no such input"), ([("x", "many")], "x: \"many\" is not a value")]
    {
        let error = rerun(&server, changed(&changes)).await.unwrap_err().to_string();
        assert!(error.starts_with(expected), "{error}");
    }
}
