//! The objects of download links: reports of actions, and code bundles of tasks.

use connectrpc::ConnectError;
use flyte_idl::flyteidl2::{
    core::task_template::Target,
    dataproxy::{ArtifactType, CreateDownloadLinkRequest, create_download_link_request::Source},
    task::TaskSpec,
};

use super::super::{invalid, object_error, project_domain, run, store_error, task::decode};
use crate::ControlPlane;
use flyte_access::Caller;
use flyte_objects::ObjectKey;
use flyte_policy::Permission;
use flyte_store::{ActionKind, TaskId};

/// The flags of a task's arguments that are followed by the URL of its code bundle.
const BUNDLE_FLAGS: [&str; 2] = ["--tgz", "--pkl"];

/// The existing object that a request asks for.
///
/// # Errors
/// `invalid_argument` and `not_found`.
pub(super) async fn object(
    plane: &ControlPlane,
    caller: &Caller,
    request: &CreateDownloadLinkRequest,
) -> Result<ObjectKey, ConnectError> {
    let kind = request.artifact_type.as_known();
    let uri = match (kind, &request.source) {
        (Some(ArtifactType::ARTIFACT_TYPE_REPORT), Some(Source::ActionAttemptId(id))) => {
            let action = run::action(plane, "action_attempt_id.action_id", id.action_id.as_option()).await?;
            let attempt = if id.attempt == 0 { action.attempts } else { id.attempt };
            match action.cached_outputs {
                // The result came from the cache, so the report is that of the cached action.
                Some(outputs) if attempt == action.attempts => format!("{outputs}/report.html"),
                _ => format!("{}/report.html", action.output_prefix(attempt)),
            }
        }
        (Some(ArtifactType::ARTIFACT_TYPE_CODE_BUNDLE), Some(Source::ActionAttemptId(id))) => {
            let action = run::action(plane, "action_attempt_id.action_id", id.action_id.as_option()).await?;
            let spec = match action.kind {
                ActionKind::Task => plane.runs.action_spec(&action.id).await.map_err(store_error)?,
                ActionKind::Trace | ActionKind::Condition => None,
            };
            let spec = spec.as_deref().map(decode::<TaskSpec>).transpose()?;
            spec.as_ref().and_then(bundle).ok_or_else(no_bundle)?
        }
        (Some(ArtifactType::ARTIFACT_TYPE_CODE_BUNDLE), Some(Source::TaskId(id))) => {
            project_domain::check(plane, "task_id", &id.project, &id.domain).await?;
            let id = TaskId {
                project: id.project.clone(),
                domain: id.domain.clone(),
                name: id.name.clone(),
                version: id.version.clone(),
            };
            let task = plane.store.task_by_id(&id).await.map_err(store_error)?.ok_or_else(|| {
                ConnectError::not_found(format!("there is no task {:?} in version {:?}", id.name, id.version))
            })?;
            bundle(&decode::<TaskSpec>(&task.spec)?).ok_or_else(no_bundle)?
        }
        (Some(ArtifactType::ARTIFACT_TYPE_UNSPECIFIED) | None, _) => {
            return Err(invalid("artifact_type", "is not one of report and code bundle"));
        }
        (_, None) => return Err(invalid("source", "is missing: give action_attempt_id or task_id")),
        (_, Some(_)) => return Err(invalid("source", "has no artifact of this type")),
    };
    let missing = || ConnectError::not_found(format!("there is nothing to download at {uri}"));
    // The task's author names the URL, so the caller must have access to its project.
    let key = plane.objects.key_of(&uri).map_err(|_| missing())?;
    if !caller.grants.may(Permission::ViewRuns, key.project(), Some(key.domain())) {
        return Err(missing());
    }
    match plane.objects.length(&key).await.map_err(object_error)? {
        Some(_) => Ok(key),
        None => Err(missing()),
    }
}

fn no_bundle() -> ConnectError {
    ConnectError::not_found("the task has no code bundle: its code is in its image")
}

/// The native URL of a task's code.
fn bundle(spec: &TaskSpec) -> Option<String> {
    let template = spec.task_template.as_option()?;
    if let Some(metadata) = template.metadata.as_option()
        && !metadata.code_bundle_uri.is_empty()
    {
        return Some(metadata.code_bundle_uri.clone());
    }
    let Some(Target::Container(container)) = &template.target else { return None };
    let args = container.args.iter();
    args.clone()
        .zip(args.skip(1))
        .find(|(flag, _)| BUNDLE_FLAGS.contains(&flag.as_str()))
        .map(|(_, uri)| uri.clone())
}
