//! The features that the embedded control plane does not support, with an alternative for each, and the checks of requests.
//!
//! A request that needs an unsupported feature is rejected. Ignoring the feature would be worse: a task without its secret
//! fails later, and a task without its schedule never runs.

use axum::{
    Router,
    extract::Request,
    response::{IntoResponse, Response},
    routing::{any, any_service},
};
use connectrpc::{ConnectError, Limits};
use flyte_idl::flyteidl2::{
    common::RelationType,
    core::{
        Resources, SecurityContext, TaskTemplate, WorkerKind, resources::ResourceName, task_template::Target,
    },
    task::{RunSpec, TaskSpec, TriggerAutomationSpec, trigger_automation_spec::Automation},
};

use super::invalid;
use flyte_settings::Config;

/// Types of tasks whose containers do not start the Flyte runtime. A second container copies their inputs and outputs.
const CONTAINER_TYPES: [&str; 1] = ["raw-container"];
/// Types of tasks that a cluster operator or a connector runs.
const CLUSTER_TYPES: [&str; 11] = [
    "spark",
    "ray",
    "dask",
    "pytorch",
    "tensorflow",
    "mpi",
    "clustered-task",
    "core-sleep",
    "bigquery_query_job_task",
    "snowflake",
    "databricks",
];

/// An unsupported feature.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Feature {
    Secrets,
    ServiceAccount,
    Container,
    Pod,
    Sql,
    Cluster,
    Gpu,
    Sandbox,
    Queue,
    Notifications,
    Recover,
    Artifacts,
    Schedule,
    ArtifactTrigger,
    FiringByHand,
}

impl Feature {
    /// The feature of a Flyte 2 backend, and the alternative on this server.
    fn words(self) -> (&'static str, &'static str) {
        match self {
            Self::Secrets => (
                "give tasks secrets",
                "Leave out `secrets`, and have the task fetch them from where you keep them",
            ),
            Self::ServiceAccount => (
                "run tasks under service accounts",
                "Leave out `service_account`: a task acts under its run's identity",
            ),
            Self::Container => (
                "run container and shell tasks in their images",
                "Write it as a Python task, which can start the program itself",
            ),
            Self::Pod => ("run tasks as pods", "Leave out `pod_template`"),
            Self::Sql => ("run SQL statements", "Have a Python task send the statement to the database"),
            Self::Cluster => (
                "run tasks of this type, by an operator or a connector",
                "Write it as a Python task, which runs on the server's machine",
            ),
            Self::Gpu => (
                "give tasks GPUs and other accelerators",
                "Leave out `gpu` of the task's resources: a task sees those of the server's machine as they are",
            ),
            Self::Sandbox => ("run tasks in sandboxed workers", "Leave that out"),
            Self::Queue => {
                ("have queues and pools of clusters", "Leave out `queue`: tasks wait in fair turns")
            }
            Self::Notifications => (
                "send notifications",
                "Leave out `notifications`, and wait for the run: `flyte run --follow`, or `Run.wait()`",
            ),
            Self::Recover => (
                "recover runs",
                "Rerun without `recover`: tasks with `cache` take the results that are there",
            ),
            Self::Artifacts => (
                "keep artifacts",
                "Leave out `produces_artifacts`, and give the run's outputs to the next one",
            ),
            Self::Schedule => (
                "start runs by schedules",
                "Deploy the trigger with `auto_activate=False`, and have cron or a systemd timer call `flyte run`",
            ),
            Self::ArtifactTrigger => (
                "start runs by artifacts",
                "Deploy the trigger with `auto_activate=False`, and start the run by `flyte run`",
            ),
            Self::FiringByHand => ("start runs by a trigger's name", "Run the task that the trigger is for"),
        }
    }

    /// The error for a `field` that asks for the feature.
    pub(super) fn error(self, field: &str) -> ConnectError {
        let (does, instead) = self.words();
        invalid(
            field,
            &format!("asks for what this server does not do: only a Flyte 2 backend can {does}. {instead}."),
        )
    }
}

/// Returns the error for a field.
fn unless(asked: bool, feature: Feature, field: &str) -> Result<(), ConnectError> {
    if asked { Err(feature.error(field)) } else { Ok(()) }
}

/// Checks the specification of a task, in the field `at` of a request.
pub(super) fn check_task(at: &str, spec: &TaskSpec) -> Result<(), ConnectError> {
    let Some(template) = spec.task_template.as_option() else { return Ok(()) };
    let at = format!("{at}.task_template");
    check_security(&format!("{at}.security_context"), template.security_context.as_option())?;
    check_target(&at, template)?;
    let extended = template.extended_resources.as_option();
    unless(
        extended.is_some_and(|extended| extended.gpu_accelerator.is_set()),
        Feature::Gpu,
        &format!("{at}.extended_resources.gpu_accelerator"),
    )?;
    let sandbox = template.worker_kind.as_known() == Some(WorkerKind::WORKER_KIND_SANDBOX);
    unless(sandbox, Feature::Sandbox, &format!("{at}.worker_kind"))?;
    let Some(metadata) = template.metadata.as_option() else { return Ok(()) };
    unless(
        !metadata.pod_template_name.is_empty(),
        Feature::Pod,
        &format!("{at}.metadata.pod_template_name"),
    )?;
    unless(metadata.produces_artifacts, Feature::Artifacts, &format!("{at}.metadata.produces_artifacts"))
}

fn check_target(at: &str, template: &TaskTemplate) -> Result<(), ConnectError> {
    let kind = template.r#type.as_str();
    unless(CONTAINER_TYPES.contains(&kind), Feature::Container, &format!("{at}.type"))?;
    unless(CLUSTER_TYPES.contains(&kind), Feature::Cluster, &format!("{at}.type"))?;
    match &template.target {
        None => Ok(()),
        Some(Target::K8sPod(_)) => Err(Feature::Pod.error(&format!("{at}.k8s_pod"))),
        Some(Target::Sql(_)) => Err(Feature::Sql.error(&format!("{at}.sql"))),
        Some(Target::Container(container)) => {
            let copied = container.data_config.as_option().is_some_and(|config| config.enabled);
            unless(copied, Feature::Container, &format!("{at}.container.data_config"))?;
            let resources = container.resources.as_option();
            unless(resources.is_some_and(has_gpu), Feature::Gpu, &format!("{at}.container.resources"))
        }
    }
}

fn has_gpu(resources: &Resources) -> bool {
    let mut entries = resources.requests.iter().chain(&resources.limits);
    entries.any(|entry| {
        let value = entry.value.trim();
        entry.name.as_known() == Some(ResourceName::GPU) && !value.is_empty() && value != "0"
    })
}

fn check_security(at: &str, context: Option<&SecurityContext>) -> Result<(), ConnectError> {
    let Some(context) = context else { return Ok(()) };
    let secrets = !context.secrets.is_empty() || !context.tokens.is_empty();
    unless(secrets, Feature::Secrets, &format!("{at}.secrets"))?;
    let identity = context.run_as.as_option();
    let account = identity
        .is_some_and(|identity| !identity.k8s_service_account.is_empty() || !identity.iam_role.is_empty());
    unless(account, Feature::ServiceAccount, &format!("{at}.run_as"))
}

/// Checks the specification of a run, in the field `at` of a request.
pub(super) fn check_run(at: &str, spec: &RunSpec) -> Result<(), ConnectError> {
    check_queue(&format!("{at}.queue"), &spec.queue)?;
    check_queue(&format!("{at}.cluster_pool"), &spec.cluster_pool)?;
    check_security(&format!("{at}.security_context"), spec.security_context.as_option())?;
    unless(
        spec.notification_settings.is_some(),
        Feature::Notifications,
        &format!("{at}.notification_rules"),
    )?;
    let relation = spec.relation.as_option().and_then(|relation| relation.relation_type.as_known());
    let recover = spec.recover.is_set() || relation == Some(RelationType::RELATION_TYPE_RECOVER);
    unless(recover, Feature::Recover, &format!("{at}.relation"))
}

/// Checks that the request names no queue.
pub(super) fn check_queue(field: &str, queue: &str) -> Result<(), ConnectError> {
    unless(!queue.is_empty(), Feature::Queue, field)
}

/// Checks a trigger, in the field `at` of a request. An inactive trigger starts nothing, so it is accepted.
pub(super) fn check_trigger(
    at: &str,
    active: bool,
    automation: &TriggerAutomationSpec,
) -> Result<(), ConnectError> {
    let feature = match automation.automation {
        Some(Automation::Artifact(_)) => Feature::ArtifactTrigger,
        Some(Automation::Schedule(_)) | None => Feature::Schedule,
    };
    unless(active, feature, at)
}

/// Answers the calls of services that the control plane does not have. `SecretService` has its own error.
pub fn router(config: &Config) -> Router {
    let most = config.http.max_body_size;
    // Without services, this answers in each protocol that the method does not exist.
    let unknown = connectrpc::Router::new()
        .into_axum_service()
        .with_limits(Limits::default().with_max_request_body_size(most).with_max_message_size(most));
    Router::new()
        .route("/{service}/{method}", any_service(unknown))
        .route("/flyteidl2.artifact.ArtifactService/{method}", any(refuse_artifacts))
}

async fn refuse_artifacts(request: Request) -> Response {
    let why = Feature::Artifacts.error("flyteidl2.artifact.ArtifactService");
    ConnectError::unimplemented(why.message.unwrap_or_default())
        .into_http_response(request.headers())
        .into_response()
}
