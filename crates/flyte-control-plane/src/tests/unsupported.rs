//! Unsupported features are rejected with an explanation in every request that can ask for them.

use serde_json::json;

use super::*;

const DEPLOY: &str = "/flyteidl2.task.TaskService/DeployTask";
const CREATE_RUN: &str = "/flyteidl2.workflow.RunService/CreateRun";
const ENQUEUE: &str = "/flyteidl2.actions.ActionsService/Enqueue";

/// Fields of a task template with an unsupported feature: the JSON, the name of the field, and a word of the error message.
fn tasks() -> Vec<(Value, &'static str, &'static str)> {
    vec![
        (
            json!({"securityContext": {"secrets": [{"key": "openai", "envVar": "KEY"}]}}),
            "security_context.secrets",
            "secrets",
        ),
        (
            json!({"securityContext": {"runAs": {"k8sServiceAccount": "robot"}}}),
            "security_context.run_as",
            "service accounts",
        ),
        (json!({"type": "raw-container"}), "type", "container and shell tasks"),
        (
            json!({"container": {"dataConfig": {"enabled": true}}}),
            "container.data_config",
            "container and shell",
        ),
        (json!({"type": "spark"}), "type", "operator"),
        (json!({"k8sPod": {"podSpec": {}}}), "k8s_pod", "pods"),
        (json!({"sql": {"statement": "SELECT 1"}}), "sql", "SQL"),
        (json!({"metadata": {"podTemplateName": "gpu"}}), "metadata.pod_template_name", "pods"),
        (json!({"metadata": {"producesArtifacts": true}}), "metadata.produces_artifacts", "artifacts"),
        (
            json!({"container": {"resources": {"requests": [{"name": "GPU", "value": "1"}]}}}),
            "container.resources",
            "GPUs",
        ),
        (
            json!({"extendedResources": {"gpuAccelerator": {"device": "T4"}}}),
            "extended_resources.gpu_accelerator",
            "GPUs",
        ),
        (json!({"workerKind": "WORKER_KIND_SANDBOX"}), "worker_kind", "sandboxed"),
    ]
}

/// Fields of a run specification with an unsupported feature: the JSON, the name of the field, and a word of the error message.
fn runs() -> Vec<(Value, &'static str, &'static str)> {
    let related = json!({"relatedTo": {"name": "r0"}, "relationType": "RELATION_TYPE_RECOVER"});
    vec![
        (json!({"queue": "large"}), "queue", "queues"),
        (json!({"clusterPool": "gpu"}), "cluster_pool", "queues"),
        (json!({"notificationRuleName": "mail"}), "notification_rules", "notifications"),
        (json!({"notificationRules": {"rules": [{}]}}), "notification_rules", "notifications"),
        (json!({"relation": related}), "relation", "recover"),
        (json!({"recover": {}}), "relation", "recover"),
        (
            json!({"securityContext": {"runAs": {"k8sServiceAccount": "robot"}}}),
            "security_context",
            "service",
        ),
    ]
}

fn spec(template: &Value) -> Value {
    let mut whole = json!({"id": {"name": "e.t", "version": "v1"}, "type": "python"});
    for (name, value) in template.as_object().unwrap() {
        whole[name] = value.clone();
    }
    json!({"taskTemplate": whole})
}

fn run(spec: &Value) -> Value {
    json!({"runId": {"project": "p1", "domain": "development", "name": "r1"}, "taskSpec": spec})
}

async fn assert_rejected(server: &Server, method: &str, request: &Value, field: &str, feature: &str) {
    let (code, message) = server.json(method, Some("Ada"), request).await.error();
    assert_eq!(code, "invalid_argument", "{field}: {message}");
    assert!(message.starts_with(field), "{field}: {message}");
    assert!(message.contains("only a Flyte 2 backend can") && message.contains(feature), "{message}");
    assert_eq!(message.matches(". ").count(), 1, "two sentences: {message}");
}

#[tokio::test]
async fn unsupported_tasks_cannot_be_deployed_or_run() {
    let data = tempfile::tempdir().unwrap();
    let path = data.path().to_owned();
    let server = Server::with(|config| config.data_dir = path).await;
    server.plane.objects.prepare().unwrap();
    server.json(CREATE, Some("Root"), &json!({"project": {"id": "p1"}})).await;
    assert_eq!(server.json(CREATE_RUN, Some("Ada"), &run(&spec(&json!({})))).await.status, StatusCode::OK);
    let (project, domain) = ("p1".to_owned(), "development".to_owned());
    let called_by = flyte_store::RunId { project, domain, name: "r1".to_owned() };
    let called_by = server.plane.store.run_by_id(&called_by).await.unwrap().unwrap();
    for (template, field, feature) in tasks() {
        let spec = spec(&template);
        let id = json!({"project": "p1", "domain": "development", "name": "e.t", "version": "v1"});
        let deployment = json!({"taskId": id, "spec": spec});
        assert_rejected(&server, DEPLOY, &deployment, &format!("spec.task_template.{field}"), feature).await;
        assert_rejected(
            &server,
            CREATE_RUN,
            &run(&spec),
            &format!("task_spec.task_template.{field}"),
            feature,
        )
        .await;
        // A task that another task calls. Its deployment was not checked.
        let action = json!({
            "actionId": {"run": {"project": "p1", "domain": "development", "name": "r1"}, "name": "c1"},
            "parentActionName": "a0",
            "inputUri": server.plane.objects.native_url("p1", "development", "i").unwrap(),
            "task": {"spec": spec},
        });
        let field = format!("action.task.spec.task_template.{field}");
        let token = flyte_runs::RunIdentities::new(server.plane.access.tokens().clone())
            .issue(&called_by)
            .unwrap()
            .token;
        let request = Request::post(ENQUEUE)
            .header(header::CONTENT_TYPE, "application/json")
            .header(header::AUTHORIZATION, bearer(token.expose_secret()))
            .body(json!({"action": action}).to_string().into())
            .unwrap();
        let (code, message) = server.send(request).await.error();
        assert_eq!(code, "invalid_argument", "{message}");
        assert!(message.starts_with(&field) && message.contains(feature), "{message}");
    }
    for (changes, field, feature) in runs() {
        let mut request = run(&spec(&json!({})));
        request["runSpec"] = changes;
        assert_rejected(&server, CREATE_RUN, &request, &format!("run_spec.{field}"), feature).await;
    }
    // A request for zero GPUs is not a request for GPUs.
    let none = json!({"container": {"resources": {"limits": [{"name": "GPU", "value": "0"}]}}});
    let mut request = run(&spec(&none));
    request["runId"]["name"] = "r2".into();
    assert_eq!(server.json(CREATE_RUN, Some("Ada"), &request).await.status, StatusCode::OK);
}

#[tokio::test]
async fn artifacts_are_rejected_with_an_explanation() {
    let server = Server::start().await;
    for method in ["GetArtifact", "CreateArtifact"] {
        let method = format!("/flyteidl2.artifact.ArtifactService/{method}");
        let (code, message) = server.json(&method, Some("Ada"), &json!({})).await.error();
        assert_eq!(code, "unimplemented");
        assert!(message.contains("keep artifacts"), "{message}");
    }
}
