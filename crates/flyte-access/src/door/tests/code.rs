//! The rules for code, in every request that carries some.

use flyte_idl::flyteidl2::{actions::EnqueueRequest, task::DeployTaskRequest, workflow::CreateRunRequest};
use flyte_settings::{Config, PerProject, Value as _};
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use super::*;

const DEPLOY: &str = "/flyteidl2.task.TaskService/DeployTask";

/// A backend with the default rules, and these instead of some of them.
pub(super) fn backend(change: &[(&str, &str)]) -> Backend {
    let mut config = Config::for_test(std::path::Path::new("/nowhere")).projects;
    for (key, value) in change {
        let values = || PerProject::parse(value).unwrap();
        match *key {
            "projects.service-accounts" => config.service_accounts = values(),
            "projects.pod-security" => config.pod_security = values(),
            "projects.pod-templates" => config.pod_templates = values(),
            "projects.secret-groups" => config.secret_groups = values(),
            "projects.config-maps" => config.config_maps = values(),
            "projects.volume-claims" => config.volume_claims = values(),
            "projects.token-audiences" => config.token_audiences = values(),
            "projects.registries" => config.registries = values(),
            "projects.task-types" => config.task_types = values(),
            "projects.bind-administrators" => config.bind_administrators = *value == "true",
            _ => panic!("{key}"),
        }
    }
    Backend::new(&config).unwrap()
}

pub(super) fn contributor(project: &str) -> Caller {
    caller(Role::Contributor, "all", project, "")
}

/// Passes a request in both forms, which must be judged alike.
pub(super) fn pass<M: buffa::Message + DeserializeOwned>(
    caller: &Caller,
    path: &str,
    request: &Value,
    backend: &Backend,
) -> Result<(), Refusal> {
    let json = request.to_string();
    let binary = serde_json::from_str::<M>(&json).unwrap().encode_to_vec();
    let passed = Door::published().pass(caller, path, Message::Json(json.as_bytes()), backend);
    let by_binary = Door::published().pass(caller, path, Message::Binary(&binary), backend);
    assert_eq!(passed.is_ok(), by_binary.is_ok(), "{request}: {passed:?} {by_binary:?}");
    passed
}

/// Creates a run of a task with this template in `p`.
pub(super) fn run(caller: &Caller, template: &Value, backend: &Backend) -> Result<(), Refusal> {
    let request = json!({
        "runId": {"project": "p", "domain": "d", "name": "r"},
        "taskSpec": {"taskTemplate": template},
    });
    pass::<CreateRunRequest>(caller, CREATE, &request, backend)
}

pub(super) fn pod(spec: &Value) -> Value {
    json!({"type": "python", "k8sPod": {"podSpec": spec}})
}

/// The rule that decided, and the message.
#[track_caller]
pub(super) fn refused(passed: Result<(), Refusal>) -> (&'static str, String) {
    match passed {
        Err(Refusal::Denied(Denied::Code(forbidden))) => (forbidden.rule, forbidden.to_string()),
        other => panic!("{other:?}"),
    }
}

#[test]
fn code_runs_as_the_service_accounts_of_its_project() {
    let rules = backend(&[("projects.service-accounts", "default,ml=trainer")]);
    let by_context = |account: &str| json!({"securityContext": {"runAs": {"k8sServiceAccount": account}}});
    let by_role = |role: &str| json!({"securityContext": {"runAs": {"iamRole": role}}});
    let by_pod = |account: &str| pod(&json!({"serviceAccountName": account}));
    let by_old_name = |account: &str| pod(&json!({"serviceAccount": account}));
    let by_case = |account: &str| pod(&json!({"SERVICEACCOUNTNAME": account}));
    let by_annotation =
        |role: &str| json!({"k8sPod": {"metadata": {"annotations": {"iam.amazonaws.com/role": role}}}});
    for of in [by_context, by_role, by_pod, by_old_name, by_case, by_annotation] {
        for account in ["", "default"] {
            assert_eq!(run(&contributor("p"), &of(account), &rules), Ok(()), "{}", of(account));
        }
        for account in ["flyte", "trainer", "default2", "Default"] {
            let (rule, message) = refused(run(&contributor("p"), &of(account), &rules));
            assert_eq!(rule, "projects.service-accounts", "{message}");
        }
    }
    let (_, message) = refused(run(&contributor("p"), &by_context("flyte"), &rules));
    assert_eq!(
        message,
        "task_spec.task_template.security_context.run_as.k8s_service_account asks for the service account \"flyte\", \
         which projects.service-accounts does not allow in project \"p\" (allowed: default)"
    );
    // In every message that can carry a task or an app.
    let accounts = json!({"securityContext": {"runAs": {"k8sServiceAccount": "flyte"}}});
    let deploy = json!({
        "taskId": {"project": "p", "domain": "d", "name": "t"},
        "spec": {"taskTemplate": accounts},
    });
    refused(pass::<DeployTaskRequest>(&contributor("p"), DEPLOY, &deploy, &rules));
    let enqueue = json!({"action": {
        "actionId": {"run": {"project": "p", "domain": "d", "name": "r"}, "name": "a"},
        "task": {"spec": {"taskTemplate": accounts}},
    }});
    refused(pass::<EnqueueRequest>(&super::run(), ENQUEUE, &enqueue, &rules));
    for (path, request) in [
        (CREATE, json!({"runId": {"project": "p"}, "runSpec": accounts})),
        (
            "/flyteidl2.app.AppService/Create",
            json!({"app": {"metadata": {"id": {"project": "p"}}, "spec": accounts}}),
        ),
        (
            "/flyteidl2.app.AppService/Update",
            json!({"app": {"metadata": {"id": {"project": "p"}}, "spec": {"pod": {"podSpec": {"serviceAccountName": "x"}}}}}),
        ),
        (
            "/flyteidl2.trigger.TriggerService/DeployTrigger",
            json!({"name": {"project": "p"}, "spec": {"runSpec": accounts}}),
        ),
        (
            "/flyteidl2.settings.SettingsService/UpdateSettings",
            json!({"key": {"project": "p"}, "settings": {"security": {"serviceAccount": {"stringValue": "flyte"}}}}),
        ),
        (
            "/flyteidl2.dataproxy.DataProxyService/UploadInputs",
            json!({"projectId": {"name": "p"}, "taskSpec": {"taskTemplate": accounts}}),
        ),
    ] {
        let admin = caller(Role::Admin, "all", "p", "");
        let text = request.to_string();
        refused(Door::published().pass(&admin, path, Message::Json(text.as_bytes()), &rules));
    }
}

#[test]
fn callers_without_a_limit_keep_the_rules_of_the_project_that_they_name() {
    let rules = backend(&[("projects.service-accounts", "default,ml=trainer,p=default,p=etl")]);
    let all = contributor("");
    let template = |account: &str| json!({"securityContext": {"runAs": {"k8sServiceAccount": account}}});
    assert_eq!(run(&all, &template("etl"), &rules), Ok(()));
    refused(run(&all, &template("trainer"), &rules));
    // The code of another project is bound by the rules of both.
    let mut of_two = template("etl");
    of_two["id"] = json!({"project": "ml"});
    let (_, message) = refused(run(&all, &of_two, &rules));
    assert!(message.contains("in project \"ml\""), "{message}");
    let free = backend(&[("projects.bind-administrators", "false")]);
    assert_eq!(run(&all, &template("flyte"), &free), Ok(()));
    refused(run(&contributor("p"), &template("flyte"), &free));
    let everything = backend(&[("projects.service-accounts", "*")]);
    assert_eq!(run(&contributor("p"), &template("flyte"), &everything), Ok(()));
    // Our own control plane has no such rules.
    let request =
        json!({"runId": {"project": "p"}, "taskSpec": {"taskTemplate": template("flyte")}}).to_string();
    let passed =
        Door::published().pass(&contributor("p"), CREATE, Message::Json(request.as_bytes()), &Bucket);
    assert_eq!(passed, Ok(()));
}

#[test]
fn what_belongs_to_the_namespace_takes_a_rule() {
    let rules = backend(&[]);
    let container = |more: Value| pod(&json!({"containers": [more]}));
    for (setting, allowed, template) in [
        (
            "projects.secret-groups",
            "s",
            pod(&json!({"volumes": [{"name": "v", "secret": {"secretName": "s"}}]})),
        ),
        (
            "projects.secret-groups",
            "s",
            pod(&json!({"volumes": [{"projected": {"sources": [{"secret": {"name": "s"}}]}}]})),
        ),
        (
            "projects.secret-groups",
            "s",
            container(
                json!({"env": [{"name": "X", "valueFrom": {"secretKeyRef": {"name": "s", "key": "k"}}}]}),
            ),
        ),
        ("projects.secret-groups", "s", container(json!({"envFrom": [{"secretRef": {"name": "s"}}]}))),
        ("projects.secret-groups", "s", pod(&json!({"imagePullSecrets": [{"name": "s"}]}))),
        (
            "projects.secret-groups",
            "s",
            pod(&json!({"volumes": [{"csi": {"nodePublishSecretRef": {"name": "s"}}}]})),
        ),
        (
            "projects.secret-groups",
            "s",
            pod(&json!({"volumes": [{"csi": {"volumeAttributes": {"secretProviderClass": "s"}}}]})),
        ),
        (
            "projects.secret-groups",
            "s",
            json!({"securityContext": {"secrets": [{"group": "s", "key": "k"}]}}),
        ),
        ("projects.config-maps", "c", pod(&json!({"volumes": [{"configMap": {"name": "c"}}]}))),
        ("projects.config-maps", "c", container(json!({"envFrom": [{"configMapRef": {"name": "c"}}]}))),
        (
            "projects.config-maps",
            "c",
            container(json!({"env": [{"valueFrom": {"configMapKeyRef": {"name": "c", "key": "k"}}}]})),
        ),
        (
            "projects.volume-claims",
            "v",
            pod(&json!({"volumes": [{"persistentVolumeClaim": {"claimName": "v"}}]})),
        ),
        (
            "projects.token-audiences",
            "sts.amazonaws.com",
            pod(&json!({"volumes": [{"projected": {"sources":
                [{"serviceAccountToken": {"audience": "sts.amazonaws.com", "path": "t"}}]}}]})),
        ),
        (
            "projects.token-audiences",
            "*",
            pod(&json!({"volumes": [{"projected": {"sources": [{"serviceAccountToken": {"path": "t"}}]}}]})),
        ),
        ("projects.pod-templates", "t", json!({"metadata": {"podTemplateName": "t"}})),
        ("projects.task-types", "snowflake", json!({"type": "snowflake"})),
    ] {
        let (rule, message) = refused(run(&contributor("p"), &template, &rules));
        assert_eq!(rule, setting, "{message}");
        let allows = backend(&[(setting, &format!("p={allowed}"))]);
        assert_eq!(run(&contributor("p"), &template, &allows), Ok(()), "{template}");
    }
    // The gateway's own audience is one that has to be allowed, as all others.
    let token = pod(&json!({"volumes": [{"projected": {"sources":
        [{"serviceAccountToken": {"audience": "https://flyte.example.org/"}}]}}]}));
    let (rule, _) = refused(run(
        &contributor("p"),
        &token,
        &backend(&[("projects.token-audiences", "sts.amazonaws.com")]),
    ));
    assert_eq!(rule, "projects.token-audiences");
}

#[test]
fn secrets_are_those_of_the_project() {
    let rules = backend(&[("projects.secret-groups", "shared,..")]);
    let secret = |more: Value| json!({"securityContext": {"secrets": [more]}});
    for (more, passes) in [
        (json!({"key": "my-key.v1_2"}), true),
        (json!({"group": "shared", "key": "k", "groupVersion": "v1"}), true),
        (json!({"group": "other", "key": "k"}), false),
        // Backends look for these below a directory of their own.
        (json!({"group": "..", "key": "k"}), false),
        (json!({"group": "../../var/run/secrets/kubernetes.io/serviceaccount", "key": "token"}), false),
        (json!({"group": "shared", "key": "../../x"}), false),
        (json!({"group": "shared", "key": "k", "groupVersion": ".."}), false),
        (json!({"key": "a/b"}), false),
        (json!({"key": "u__org__flyte__domain__d__project__p__key__k"}), true),
        (json!({"key": "u__org__flyte__domain__d__project____key__k"}), true),
        (json!({"key": "u__org__flyte__domain__d__project__q__key__k"}), false),
    ] {
        assert_eq!(run(&contributor("p"), &secret(more.clone()), &rules).is_ok(), passes, "{more}");
    }
}

#[test]
fn images_come_from_the_registries_of_the_project() {
    let rules = backend(&[("projects.registries", "*,p=ghcr.io/acme")]);
    let image = "ghcr.io/acme/x:1";
    for image in [
        json!({"container": {"image": image}}),
        pod(&json!({"containers": [{"image": image}]})),
        pod(&json!({"volumes": [{"image": {"reference": image}}]})),
        json!({"type": "dask", "custom": {"scheduler": {"image": image}}}),
    ] {
        assert_eq!(run(&contributor("p"), &image, &rules), Ok(()), "{image}");
        let other: Value = serde_json::from_str(&image.to_string().replace("acme", "evil")).unwrap();
        let (rule, message) = refused(run(&contributor("p"), &other, &rules));
        assert_eq!(rule, "projects.registries", "{message}");
    }
}
