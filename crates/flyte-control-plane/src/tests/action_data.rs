//! The inputs and outputs of an action, and download links for its report and code.

use buffa::MessageField;
use flyte_idl::flyteidl2::{
    core::{Container, TaskMetadata, TaskTemplate},
    task::{Inputs, NamedLiteral, Outputs, TaskSpec},
};
use serde_json::json;

use super::*;
use flyte_model::Role;
use flyte_runs::{NewRun, Outcome};
use flyte_store::{ActionId, RunId};

const GET_DATA: &str = "/flyteidl2.dataproxy.DataProxyService/GetActionData";
const RUN_DATA: &str = "/flyteidl2.workflow.RunService/GetActionData";
const CREATE_LINK: &str = "/flyteidl2.dataproxy.DataProxyService/CreateDownloadLink";

/// A server and its data directory. The server has Ada's run `r1` in the project flytesnacks, domain development. The inputs of
/// the run are at `input_uri`.
async fn server(
    input_uri: impl FnOnce(&ControlPlane) -> String,
    spec: TaskSpec,
) -> (tempfile::TempDir, Server) {
    let home = tempfile::tempdir().unwrap();
    let data_dir = home.path().to_owned();
    let server = Server::with(move |config| config.data_dir = data_dir).await;
    server.plane.objects.prepare().unwrap();
    for project in ["flytesnacks", "other"] {
        server.json(CREATE, Some("Root"), &json!({"project": {"id": project}})).await;
    }
    let mut new = new_run(&server.plane, spec);
    new.task.input_uri = input_uri(&server.plane);
    server.plane.runs.create(new).await.unwrap();
    (home, server)
}

fn new_run(plane: &ControlPlane, spec: TaskSpec) -> NewRun {
    let output_base = plane.objects.native_url("flytesnacks", "development", "runs/r1").unwrap();
    flyte_runs::testing::new_run(action().run, spec, output_base)
}

fn action() -> ActionId {
    ActionId::root(RunId {
        project: "flytesnacks".to_owned(),
        domain: "development".to_owned(),
        name: "r1".to_owned(),
    })
}

fn id() -> Value {
    json!({"run": {"project": "flytesnacks", "domain": "development", "name": "r1"}, "name": "a0"})
}

fn literal(name: &str) -> NamedLiteral {
    NamedLiteral { name: name.to_owned(), ..NamedLiteral::default() }
}

impl Server {
    async fn object(&self, project: &str, path: &str, content: impl Into<Bytes>) -> String {
        let url = self.plane.objects.native_url(project, "development", path).unwrap();
        self.plane.objects.put(&url, content.into()).await.unwrap();
        url
    }

    async fn succeed(&self) {
        let claimed = self.plane.runs.claim(1).await.unwrap();
        self.plane.runs.started(&action(), claimed[0].attempt).await.unwrap();
        self.plane.runs.ended(&action(), claimed[0].attempt, Outcome::Succeeded).await.unwrap();
    }
}

#[tokio::test]
async fn inputs_are_available_at_once_and_outputs_after_success() {
    let url = |plane: &ControlPlane| {
        plane.objects.native_url("flytesnacks", "development", "inputs/x/inputs.pb").unwrap()
    };
    let (_home, server) = server(url, TaskSpec::default()).await;
    let get = async || server.json(GET_DATA, Some("Ada"), &json!({"actionId": id()})).await;
    for method in [GET_DATA, RUN_DATA] {
        let (code, message) = server.json(method, Some("Ada"), &json!({"actionId": id()})).await.error();
        assert_eq!(code, "not_found");
        assert!(message.contains("inputs"), "the published client looks for the word: {message}");
    }
    let inputs = Inputs { literals: vec![literal("x")], ..Inputs::default() };
    server.object("flytesnacks", "inputs/x/inputs.pb", inputs.encode_to_vec()).await;
    let outputs = Outputs { literals: vec![literal("o0")], ..Outputs::default() };
    server.object("flytesnacks", "runs/r1/a0/1/outputs.pb", outputs.encode_to_vec()).await;
    let answer = get().await.json();
    assert_eq!(answer["inputs"], json!({"literals": [{"name": "x"}]}), "{answer}");
    assert_eq!(answer["outputs"], json!({}), "the run has not ended");
    server.succeed().await;
    let answer = get().await.json();
    assert_eq!(answer["outputs"], json!({"literals": [{"name": "o0"}]}), "{answer}");
    assert!(answer["outputsUri"].as_str().unwrap().ends_with("/runs/r1/a0/1/outputs.pb"), "{answer}");
    assert!(answer["inputsUri"].as_str().unwrap().ends_with("/inputs/x/inputs.pb"), "{answer}");
    server.object("flytesnacks", "runs/r1/a0/1/outputs.pb", "\u{ff}not a message").await;
    assert_eq!(get().await.error().0, "data_loss");
}

#[tokio::test]
async fn data_that_is_too_large_for_a_response_is_not_sent() {
    let url = |plane: &ControlPlane| {
        plane.objects.native_url("flytesnacks", "development", "inputs/x/inputs.pb").unwrap()
    };
    let (_home, server) = server(url, TaskSpec::default()).await;
    let inputs = |length: usize| {
        let name = "x".repeat(length);
        Inputs { literals: vec![literal(&name)], ..Inputs::default() }.encode_to_vec()
    };
    let get = async || server.json(GET_DATA, Some("Ada"), &json!({"actionId": id()})).await;
    let most = usize::try_from(flyte_objects::MAX_DECODED).unwrap();
    server.object("flytesnacks", "inputs/x/inputs.pb", inputs(most - 100)).await;
    assert_eq!(get().await.status, StatusCode::OK);
    let uri = server.object("flytesnacks", "inputs/x/inputs.pb", inputs(most)).await;
    for method in [GET_DATA, RUN_DATA] {
        let (code, message) = server.json(method, Some("Ada"), &json!({"actionId": id()})).await.error();
        assert_eq!(code, "resource_exhausted", "{message}");
        assert!(message.contains(&uri) && message.contains("8388608"), "{message}");
    }
}

#[tokio::test]
async fn a_task_without_inputs_and_outputs_has_none() {
    let (_home, server) = server(|_| String::new(), TaskSpec::default()).await;
    server.succeed().await;
    let answer = server.json(GET_DATA, Some("Ada"), &json!({"actionId": id()})).await.json();
    assert_eq!((&answer["inputs"], &answer["outputs"]), (&json!({}), &json!({})), "{answer}");
}

#[tokio::test]
async fn data_of_another_project_is_not_read() {
    let url =
        |plane: &ControlPlane| plane.objects.native_url("other", "development", "secret/inputs.pb").unwrap();
    let (_home, server) = server(url, TaskSpec::default()).await;
    server.object("other", "secret/inputs.pb", "").await;
    let get = async |id: Value| server.json(GET_DATA, Some("Ada"), &json!({"actionId": id})).await.error();
    assert_eq!(get(id()).await.0, "failed_precondition");
    let mut other = id();
    other["name"] = "a1".into();
    assert_eq!(get(other.clone()).await.0, "not_found");
    other["run"]["project"] = "nowhere".into();
    assert_eq!(get(other).await.0, "not_found");
    assert_eq!(get(json!({"name": "a0"})).await.0, "invalid_argument");
}

#[tokio::test]
async fn a_report_link_downloads_the_report_of_the_attempt() {
    let (_home, server) = server(|_| String::new(), TaskSpec::default()).await;
    server.succeed().await;
    let (_, secret) =
        flyte_testing::api_key(&*server.plane.store, "viewer", |key| key.rights.role = Role::Viewer).await;
    let viewer = server.token_of("viewer", secret.expose_secret()).await.unwrap();
    let link = async |attempt: u32| {
        let attempt_id = json!({"actionId": id(), "attempt": attempt});
        let request = json!({"artifactType": "ARTIFACT_TYPE_REPORT", "actionAttemptId": attempt_id, "expiresIn": "60s"});
        server.call(&viewer, CREATE_LINK, request).await
    };
    assert_eq!(link(1).await.error().0, "not_found");
    server.object("flytesnacks", "runs/r1/a0/1/report.html", "<p>").await;
    for attempt in [1, 0] {
        let urls = link(attempt).await.json();
        let url =
            urls["preSignedUrls"]["signedUrl"][0].as_str().unwrap_or_else(|| panic!("{urls}")).to_owned();
        let path = url.strip_prefix("https://localhost:8443").unwrap();
        let answer = server.send(Request::get(path).body(Body::empty()).unwrap()).await;
        assert_eq!((answer.status, &answer.body[..]), (StatusCode::OK, &b"<p>"[..]), "{url}");
        assert_eq!(answer.header("content-type"), "text/html; charset=utf-8");
    }
    assert_eq!(link(2).await.error().0, "not_found");
}

#[tokio::test]
async fn a_code_link_needs_access_to_the_project_of_the_code() {
    let spec = |metadata: &str, args: &[&str]| TaskSpec {
        task_template: MessageField::some(TaskTemplate {
            metadata: MessageField::some(TaskMetadata {
                code_bundle_uri: metadata.to_owned(),
                ..TaskMetadata::default()
            }),
            target: Some(
                Container { args: args.iter().map(ToString::to_string).collect(), ..Container::default() }
                    .into(),
            ),
            ..TaskTemplate::default()
        }),
        ..TaskSpec::default()
    };
    let request = json!({"artifactType": "ARTIFACT_TYPE_CODE_BUNDLE", "actionAttemptId": {"actionId": id(), "attempt": 1}});
    let home = tempfile::tempdir().unwrap();
    let uri = |path: &str| format!("file://{}/objects/{path}", home.path().display());
    for (metadata, args, expected) in [
        ("", vec!["a0", "--tgz", "content/a/code.tar.gz"], Ok(())),
        ("", vec!["a0", "--pkl", "content/a/code.tar.gz"], Ok(())),
        ("content/a/code.tar.gz", vec![], Ok(())),
        ("", vec!["a0", "--tgz"], Err("not_found")),
        ("", vec!["a0", "--dest", "."], Err("not_found")),
        ("content/none.tar.gz", vec![], Err("not_found")),
    ] {
        // The URLs depend on the data directory of the server, so the run is created after the server.
        let path = home.path().to_owned();
        let absolute = |text: &str| match text.starts_with("content/") {
            true => uri(&format!("flytesnacks/development/{text}")),
            false => text.to_owned(),
        };
        let args: Vec<_> = args.iter().map(|arg| absolute(arg)).collect();
        let args: Vec<_> = args.iter().map(String::as_str).collect();
        let server = Server::with(move |config| config.data_dir = path).await;
        server.plane.objects.prepare().unwrap();
        server.json(CREATE, Some("Root"), &json!({"project": {"id": "flytesnacks"}})).await;
        server.object("flytesnacks", "content/a/code.tar.gz", "code").await;
        server.plane.runs.create(new_run(&server.plane, spec(&absolute(metadata), &args))).await.unwrap();
        let answer = server.json(CREATE_LINK, Some("Ada"), &request).await;
        match expected {
            Ok(()) => assert_eq!(answer.status, StatusCode::OK, "{metadata} {args:?}: {answer:?}"),
            Err(code) => assert_eq!(answer.error().0, code, "{metadata} {args:?}"),
        }
        // A caller without access to this project gets no URL of it, even if a task names one.
        let (_, secret) = flyte_testing::api_key(&*server.plane.store, "ci", |key| {
            key.rights.limit.project = Some("other".to_owned());
        })
        .await;
        let token = server.token_of("ci", secret.expose_secret()).await.unwrap();
        assert_eq!(server.call(&token, CREATE_LINK, request.clone()).await.error().0, "not_found");
    }
}
