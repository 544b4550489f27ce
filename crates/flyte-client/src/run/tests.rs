use flyte_idl::flyteidl2::common::ActionPhase;
use serde_json::json;

use super::*;
use crate::testing::{Answer, Server};

const CREATE: &str = "flyteidl2.workflow.RunService/CreateRun";
const UPLOAD: &str = "flyteidl2.dataproxy.DataProxyService/UploadInputs";

fn project_domain() -> ProjectDomain {
    ProjectDomain::new("flytesnacks", "development")
}

fn new() -> NewRun {
    let inputs = json!({"literals": [{"name": "x", "value": {"scalar": {"primitive": {"integer": "7"}}}}]});
    NewRun {
        project_domain: project_domain(),
        name: None,
        program: Program::Deployed(TaskId {
            project_domain: project_domain(),
            name: "env.t".into(),
            version: "v1".into(),
        }),
        inputs: Inputs(serde_json::from_value(inputs).unwrap()),
        options: RunOptions {
            env: [("MODE".to_owned(), "x".to_owned())].into(),
            labels: [("team".to_owned(), "ml".to_owned())].into(),
            interruptible: Some(false),
            overwrite_cache: true,
            raw_data_prefix: "s3://b".into(),
            ..RunOptions::default()
        },
    }
}

fn created(request: wire::CreateRunRequest) -> Result<Answer, ErrorCode> {
    let id = match request.id.unwrap() {
        create::Id::RunId(id) => *id,
        create::Id::ProjectId(project) => {
            RunId::new(ProjectDomain::new(project.name, project.domain), "rnew")
                .identifier(Some(&project.organization))
        }
    };
    assert_eq!(id.org, "acme");
    let spec = request.run_spec.into_option().unwrap();
    assert_eq!((spec.envs.values[0].key.as_str(), spec.labels.values["team"].as_str()), ("MODE", "ml"));
    assert!(spec.interruptible.is_set() && !spec.interruptible.value && spec.cache_config.overwrite_cache);
    assert_eq!(spec.raw_data_storage.raw_data_prefix, "s3://b");
    let action = wire::Action {
        id: RunId::from(id).action(ROOT).identifier(None).into(),
        status: wire::ActionStatus { phase: ActionPhase::ACTION_PHASE_QUEUED.into(), ..Default::default() }
            .into(),
        ..Default::default()
    };
    let run = wire::Run { action: action.into(), ..Default::default() };
    Ok(Answer::one(&wire::CreateRunResponse { run: run.into(), ..Default::default() }))
}

#[tokio::test]
async fn inputs_are_uploaded_before_the_run_is_created() {
    let server = Server::default()
        .on(UPLOAD, |request: dataproxy::UploadInputsRequest| {
            assert_eq!(request.inputs.literals[0].name, "x");
            let uploaded = OffloadedInputData { uri: "file:///i".into(), ..Default::default() };
            Ok(Answer::one(&dataproxy::UploadInputsResponse {
                offloaded_input_data: uploaded.into(),
                ..Default::default()
            }))
        })
        .on(CREATE, |request: wire::CreateRunRequest| {
            let Some(create::InputWrapper::OffloadedInputData(inputs)) = &request.input_wrapper else {
                panic!("{:?}", request.input_wrapper)
            };
            assert_eq!(inputs.uri, "file:///i");
            created(request)
        });
    let run = server.client().runs().create(new()).await.unwrap();
    assert_eq!(
        (run.name.as_str(), run.phase, run.id().project_domain),
        ("rnew", Phase::Queued, project_domain())
    );
    let run = server.client().runs().create(NewRun { name: Some("mine".into()), ..new() }).await.unwrap();
    assert_eq!(run.name, "mine");
}

#[tokio::test]
async fn without_an_upload_service_the_inputs_are_in_the_request() {
    let server = Server::default().on(CREATE, |request: wire::CreateRunRequest| {
        assert!(matches!(&request.input_wrapper, Some(create::InputWrapper::Inputs(inputs)) if inputs.literals.len() == 1));
        created(request)
    });
    server.client().runs().create(new()).await.unwrap();
    assert_eq!(*server.calls.lock().unwrap(), [format!("/{UPLOAD}"), format!("/{CREATE}")]);
    // Any other failure of the upload is an error.
    let server =
        Server::default().on(UPLOAD, |_: dataproxy::UploadInputsRequest| Err(ErrorCode::InvalidArgument));
    let error = server.client().runs().create(new()).await.unwrap_err();
    assert_eq!(error.to_string(), "the server refuses the request: told so");
}

#[tokio::test]
async fn a_listing_sends_its_filters() {
    let server =
        Server::default().on("flyteidl2.workflow.RunService/ListRuns", |request: wire::ListRunsRequest| {
            let filters: Vec<_> = request
                .request
                .filters
                .iter()
                .map(|filter| {
                    let function = filter.function.as_known().unwrap();
                    format!("{} {function:?} {}", filter.field, filter.values.join(",")).trim_end().to_owned()
                })
                .collect();
            assert_eq!(
                filters,
                [
                    "phase VALUE_IN 4,6",
                    "task_name EQUAL env.t",
                    "created_by EQUAL me",
                    "labels.team EQUAL ml",
                    "labels.tried EXISTS",
                    "created_at GREATER_THAN_OR_EQUAL 2026-11-24T22:00:00Z",
                    "created_at LESS_THAN 2026-11-24T23:00:00Z",
                    "updated_at LESS_THAN 2026-11-25T00:00:00Z",
                ]
            );
            assert!(request.paused_actions_only);
            Ok(Answer::one(&wire::ListRunsResponse::default()))
        });
    let options = ListOptions {
        phases: vec![Phase::Running, Phase::Failed],
        task: Some("env.t".into()),
        created_by: Some("me".into()),
        labels: [("team".to_owned(), "ml".to_owned())].into(),
        label_keys: vec!["tried".into()],
        created: TimeRange { after: Some(1_795_557_600), before: Some(1_795_561_200) },
        updated: TimeRange { after: None, before: Some(1_795_564_800) },
        paused: true,
        ..ListOptions::default()
    };
    assert_eq!(server.client().runs().list(project_domain(), options).collect().await.unwrap(), []);
}

#[tokio::test]
async fn the_error_of_a_run_comes_from_its_action() {
    let details = |error: bool| {
        let mut details = json!({
            "id": {"run": {"project": "flytesnacks", "domain": "development", "name": "r1"}, "name": "a0"},
            "status": {"phase": "ACTION_PHASE_FAILED"}
        });
        if error {
            details["errorInfo"] = json!({"message": "no"});
        }
        serde_json::from_value::<wire::ActionDetails>(details).unwrap()
    };
    let server = Server::default()
        .on("flyteidl2.workflow.RunService/GetRunDetails", move |_: wire::GetRunDetailsRequest| {
            let run_spec =
                json!({"envs": {"values": [{"key": "A", "value": "b"}]}, "labels": {"values": {"c": "d"}}});
            let details = wire::RunDetails {
                run_spec: serde_json::from_value::<RunSpec>(run_spec).unwrap().into(),
                action: details(false).into(),
                ..Default::default()
            };
            Ok(Answer::one(&wire::GetRunDetailsResponse { details: details.into(), ..Default::default() }))
        })
        .on(
            "flyteidl2.workflow.RunService/GetActionDetails",
            move |request: wire::GetActionDetailsRequest| {
                assert_eq!(request.action_id.name, ROOT);
                Ok(Answer::one(&wire::GetActionDetailsResponse {
                    details: details(true).into(),
                    ..Default::default()
                }))
            },
        );
    let found = server.client().runs().get(&RunId::new(project_domain(), "r1")).await.unwrap();
    assert_eq!(found.action.error.unwrap().message, "no");
    assert_eq!((found.env["A"].as_str(), found.run.labels["c"].as_str()), ("b", "d"));
    let gone = server.client().runs().abort(&RunId::new(project_domain(), "r1"), "x").await;
    assert!(matches!(gone, Err(ClientError::Unsupported { .. })));
}
