//! `CreateRun`.

use buffa::{Message as _, MessageField};
use bytes::Bytes;
use connectrpc::ConnectError;
use flyte_idl::flyteidl2::{
    common::{ProjectIdentifier, RunIdentifier},
    task::{RunSpec, TaskIdentifier, TaskSpec},
    workflow::{
        CreateRunRequest,
        create_run_request::{Id, InputWrapper, Task},
    },
};
use uuid::Uuid;

use super::message::decode;
use crate::{
    ControlPlane,
    cache_key::{self, Inputs},
    invalid, object_error,
    project::check_id,
    project_domain, store_error,
    unsupported::{self, Feature},
};
use flyte_access::Caller;
use flyte_model::PrincipalKind;
use flyte_runs::{NewRun, NewTask, random_name};
use flyte_store::{Action, Creator, Run, RunId, TaskId, TaskRef};

/// The most labels, annotations or environment variables of a run.
const MAX_ENTRIES: usize = 256;

/// Creates the run of a request. Returns the run and its root action.
pub(super) async fn create(
    plane: &ControlPlane,
    caller: &Caller,
    request: CreateRunRequest,
) -> Result<(Run, Action), ConnectError> {
    if let Some(why) = plane.runner.refusal() {
        return Err(ConnectError::failed_precondition(why));
    }
    let id = run_id(request.id)?;
    project_domain::check(plane, "id", &id.project, &id.domain).await?;
    let creator = creator(caller, &id)?;
    let mut spec = request.run_spec.into_option().unwrap_or_default();
    check_spec(&spec)?;
    unsupported::check_run("run_spec", &spec)?;
    if let Some(start) = request.run_start_time.into_option() {
        spec.run_start_time = MessageField::some(start);
    }
    let (task, task_spec) = task(plane, request.task, &id).await?;
    let output_base = output_base(plane, &id, &spec)?;
    // This check comes before the inputs are stored, because they may be large.
    if plane.runs.run(&id).await.map_err(store_error)?.is_some() {
        return Err(ConnectError::already_exists(format!("run {:?} already exists", id.name)));
    }
    let (input_uri, cache_key) = inputs(plane, &id, &task_spec, request.input_wrapper).await?;
    let overwrite_cache = cache_key::is_overwritten(&spec);
    let task = NewTask { task, spec: task_spec, input_uri, cache_key, overwrite_cache };
    let source = request.source.to_i32();
    let new = NewRun { id, creator, spec, source, trigger: None, task, output_base };
    plane.runs.create(new).await.map_err(store_error)
}

/// The creator of the run. A run cannot create another run: it enqueues actions of its own.
fn creator(caller: &Caller, id: &RunId) -> Result<Creator, ConnectError> {
    let creator =
        caller.run_creator(&id.project, &id.domain).filter(|_| caller.principal != PrincipalKind::Run);
    creator.ok_or_else(|| ConnectError::permission_denied("a run's identity cannot create another run"))
}

fn run_id(id: Option<Id>) -> Result<RunId, ConnectError> {
    match id {
        None => Err(invalid("id", "is missing: give run_id or project_id")),
        Some(Id::RunId(run)) => {
            let RunIdentifier { project, domain, name, .. } = *run;
            check_id("run_id.name", &name)?;
            Ok(RunId { project, domain, name })
        }
        Some(Id::ProjectId(project)) => {
            let ProjectIdentifier { name: project, domain, .. } = *project;
            let name =
                random_name().map_err(|_| ConnectError::internal("the server has no random numbers"))?;
            Ok(RunId { project, domain, name })
        }
    }
}

fn check_spec(spec: &RunSpec) -> Result<(), ConnectError> {
    let counts = [
        ("run_spec.labels", spec.labels.as_option().map_or(0, |labels| labels.values.len())),
        (
            "run_spec.annotations",
            spec.annotations.as_option().map_or(0, |annotations| annotations.values.len()),
        ),
        ("run_spec.envs", spec.envs.as_option().map_or(0, |envs| envs.values.len())),
    ];
    for (field, count) in counts {
        if count > MAX_ENTRIES {
            return Err(invalid(field, &format!("has more than {MAX_ENTRIES} entries")));
        }
    }
    for env in spec.envs.as_option().into_iter().flat_map(|envs| &envs.values) {
        if env.key.is_empty() || env.key.contains(['=', '\0']) || env.value.contains('\0') {
            return Err(invalid("run_spec.envs", &format!("has a variable that cannot be: {:?}", env.key)));
        }
    }
    Ok(())
}

/// The task of the run. A task specification without a project belongs to the run's project.
async fn task(
    plane: &ControlPlane,
    task: Option<Task>,
    run: &RunId,
) -> Result<(TaskRef, TaskSpec), ConnectError> {
    match task {
        None => Err(invalid("task", "is missing: give task_spec, task_id or trigger_name")),
        Some(Task::TaskSpec(spec)) => {
            unsupported::check_task("task_spec", &spec)?;
            Ok((task_ref(&spec, run)?, *spec))
        }
        Some(Task::TaskId(id)) => {
            let (task, spec) = deployed(plane, *id).await?;
            unsupported::check_task("task_id.spec", &spec)?;
            Ok((task, spec))
        }
        Some(Task::TriggerName(_)) => Err(Feature::FiringByHand.error("trigger_name")),
    }
}

/// A deployed task, which may be in another project than the run.
async fn deployed(plane: &ControlPlane, id: TaskIdentifier) -> Result<(TaskRef, TaskSpec), ConnectError> {
    let TaskIdentifier { project, domain, name, version, .. } = id;
    for (field, value) in [("project", &project), ("domain", &domain), ("name", &name), ("version", &version)]
    {
        if value.is_empty() {
            return Err(invalid(&format!("task_id.{field}"), "is missing"));
        }
    }
    let id = TaskId { project, domain, name, version };
    let found = plane.store.task_by_id(&id).await.map_err(store_error)?;
    let found = found.ok_or_else(|| {
        ConnectError::not_found(format!(
            "there is no version {:?} of a task {:?} in the domain {:?} of the project {:?}",
            id.version, id.name, id.domain, id.project
        ))
    })?;
    let spec = decode::<TaskSpec>(&Bytes::from(found.spec))?;
    let TaskId { project, domain, name, version } = id;
    Ok((TaskRef { project, domain, name, version }, spec))
}

/// The reference to a task in its specification.
pub(crate) fn task_ref(spec: &TaskSpec, run: &RunId) -> Result<TaskRef, ConnectError> {
    let template =
        spec.task_template.as_option().ok_or_else(|| invalid("task_spec.task_template", "is missing"))?;
    let id = template.id.as_option().ok_or_else(|| invalid("task_spec.task_template.id", "is missing"))?;
    if id.name.is_empty() {
        return Err(invalid("task_spec.task_template.id.name", "is missing"));
    }
    let or = |value: &str, default: &str| if value.is_empty() { default } else { value }.to_owned();
    Ok(TaskRef {
        project: or(&id.project, &run.project),
        domain: or(&id.domain, &run.domain),
        name: id.name.clone(),
        version: id.version.clone(),
    })
}

/// The URL prefix of the outputs of the run's actions.
fn output_base(plane: &ControlPlane, run: &RunId, spec: &RunSpec) -> Result<String, ConnectError> {
    match spec.run_base_dir.trim_end_matches('/') {
        "" => plane
            .objects
            .native_url(&run.project, &run.domain, &format!("runs/{}", run.name))
            .map_err(|why| invalid("run_id", &why.to_string())),
        base => {
            let key = plane
                .objects
                .key_of(base)
                .map_err(|why| invalid("run_spec.run_base_dir", &why.to_string()))?;
            if !key.is_in(&run.project, &run.domain) {
                return Err(invalid("run_spec.run_base_dir", "is outside of the run's project and domain"));
            }
            Ok(format!("{}/{}", plane.objects.url_of(&key), run.name))
        }
    }
}

/// Stores the inputs of the request, if it has any. Returns the URL of the root action's inputs, and the cache key.
async fn inputs(
    plane: &ControlPlane,
    run: &RunId,
    task: &TaskSpec,
    wrapper: Option<InputWrapper>,
) -> Result<(String, Option<String>), ConnectError> {
    let inputs = match wrapper {
        Some(InputWrapper::OffloadedInputData(offloaded)) => {
            let key = plane
                .objects
                .key_of(&offloaded.uri)
                .map_err(|why| invalid("offloaded_input_data.uri", &why.to_string()))?;
            if !key.is_in(&run.project, &run.domain) {
                return Err(invalid(
                    "offloaded_input_data.uri",
                    "is outside of the run's project and domain: upload the inputs there",
                ));
            }
            let uri = plane.objects.url_of(&key);
            let stored = Inputs::Stored { uri: &uri, hash: &offloaded.inputs_hash };
            let cache_key = cache_key::of(plane, task, stored).await?;
            return Ok((uri, cache_key));
        }
        Some(InputWrapper::Inputs(inputs)) => inputs.encode_to_vec(),
        None => Vec::new(),
    };
    let path = format!("inputs/{}/inputs.pb", Uuid::new_v4().simple());
    let uri = plane
        .objects
        .native_url(&run.project, &run.domain, &path)
        .map_err(|why| invalid("run_id", &why.to_string()))?;
    let cache_key = cache_key::of(plane, task, Inputs::Given(&inputs)).await?;
    plane.objects.put(&uri, Bytes::from(inputs)).await.map_err(object_error)?;
    Ok((uri, cache_key))
}
