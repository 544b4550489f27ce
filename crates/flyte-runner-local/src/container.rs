//! What a task's container becomes on this machine: a command, its environment and its limits. The image is not used.

use std::path::{Path, PathBuf};

use buffa::Message as _;
use flyte_idl::flyteidl2::{
    core::{Container, Resources, resources::ResourceName, task_template::Target},
    task::{RunSpec, TaskSpec},
};

use super::{
    State, authorities, environment, libraries,
    process::{Limits, Sandbox, Spec},
    quantity, template,
};
use flyte_model::clock::{UnixMillis, rfc3339};
use flyte_objects::Objects;
use flyte_runs::TimeLimits;
use flyte_settings::{SandboxMode, TlsSource};
use flyte_store::{Failure, FailureKind, QueuedAttempt};

/// What the attempt is to start; the error is why it fails without.
pub(super) fn spec(
    state: &State,
    directory: &Path,
    attempt: &QueuedAttempt,
    now: UnixMillis,
) -> Result<Spec, Failure> {
    let (config, objects) = (&*state.config, &*state.objects);
    let task = TaskSpec::decode_from_slice(&attempt.spec)
        .map_err(|error| refused(format!("the task's specification cannot be read: {error}")))?;
    let run = RunSpec::decode_from_slice(&attempt.run.spec)
        .map_err(|error| refused(format!("the run's specification cannot be read: {error}")))?;
    let target = task.task_template.as_option().and_then(|template| template.target.clone());
    let container = match target {
        Some(Target::Container(container)) => *container,
        Some(Target::K8sPod(_)) => {
            return Err(refused(
                "the task is a Kubernetes pod, and this server runs tasks as processes of its own machine: leave out \
                 the task's pod template"
                    .to_owned(),
            ));
        }
        Some(Target::Sql(_)) => {
            return Err(refused("the task is an SQL statement; this server runs containers".to_owned()));
        }
        None => return Err(refused("the task has no container to run".to_owned())),
    };
    let values = |name: &str| value(objects, attempt, &run, name);
    let command =
        container.command.iter().chain(&container.args).map(|text| template::fill(text, values)).collect();
    let mut variables = environment::base(config, objects, directory);
    let given = run.envs.as_option().into_iter().flat_map(|envs| &envs.values);
    for variable in container.env.iter().chain(given) {
        let mut value = template::fill(&variable.value, values);
        if variable.key == "PYTHONPATH" {
            value = format!("{value}:{}", libraries::directory(config).display());
        }
        variables.insert(variable.key.clone(), value);
    }
    // Ours last: what a task is told about itself is so.
    variables.extend(
        environment::of_attempt(config, directory, attempt)
            .into_iter()
            .map(|(name, value)| (name.to_owned(), value)),
    );
    if let Some(name) = variables.iter().find_map(|(name, value)| {
        (name.is_empty() || name.contains(['=', '\0']) || value.contains('\0')).then_some(name)
    }) {
        return Err(refused(format!("{name:?} is no environment variable, or its value cannot be one")));
    }
    // The server ends an action at its deadline. The supervisor knows it too, for it may have no server by then.
    let age = now.saturating_sub(attempt.action.created_at);
    let timeout = TimeLimits::of_task(&task).seconds(age);
    let (own, most) = (memory(&container)?, config.runner.max_memory);
    Ok(Spec {
        command,
        environment: variables,
        limits: Limits {
            seconds: [timeout, config.runner.max_runtime].into_iter().flatten().min(),
            memory: [own, most].into_iter().flatten().min(),
            log: config.runner.max_log_size,
            grace: config.runner.grace_period,
        },
        sandbox: sandbox(
            state,
            objects.directory_of(&attempt.run.id.project, &attempt.run.id.domain).as_deref(),
        ),
    })
}

/// Everything that the settings name and tasks have nothing to do with: it holds secrets of the server. Backups do as well.
fn hidden(state: &State) -> Vec<PathBuf> {
    let config = &state.config;
    let mut hidden = vec![config.data_dir.clone()];
    hidden.extend(config.file.clone());
    hidden.extend(config.admin.password_file.clone());
    hidden.extend(config.objects.credentials_file.clone());
    if let TlsSource::Files { certificate, key } = &config.tls.source {
        // A file of that name may hold the key as well.
        hidden.extend([certificate.clone(), key.clone()]);
    }
    hidden.extend((state.backups)(&config.data_dir));
    hidden
}

/// What is kept from what runs here: the data directory and what else is `hidden`, but for the process's own, the objects in
/// `objects`, the certificates by which it knows the server, and the libraries it is given. `None` where `runner.sandbox` is `off`.
pub(super) fn sandbox(state: &State, objects: Option<&Path>) -> Option<Sandbox> {
    let config = &state.config;
    (config.runner.sandbox != SandboxMode::Off).then(|| Sandbox {
        hidden: hidden(state),
        readable: vec![
            config.data_dir.join("ca.pem"),
            authorities::file(&config.data_dir),
            libraries::directory(config),
        ],
        writable: objects.map(Path::to_owned).into_iter().collect(),
        required: config.runner.sandbox == SandboxMode::Required,
    })
}

/// The value of a name in braces, in lower case. Native URLs of files become paths, which any program can open; what the
/// task's values are stored under keeps its scheme, since values are stored with it.
fn value(objects: &Objects, attempt: &QueuedAttempt, run: &RunSpec, name: &str) -> Option<String> {
    let (action, outputs) = (&attempt.action, objects.for_command(&attempt.output_prefix()));
    let input = || objects.for_command(&action.input_uri);
    let given = run.raw_data_storage.as_option().map(|storage| storage.raw_data_prefix.as_str());
    Some(match name {
        "input" => input(),
        "inputs" | "inputprefix" => input().rsplit_once('/').map_or("", |(prefix, _)| prefix).to_owned(),
        "outputprefix" => outputs,
        "rawoutputdataprefix" => libraries::raw_data(match given.filter(|prefix| !prefix.is_empty()) {
            Some(prefix) => {
                let prefix = match objects.key_of(prefix) {
                    Ok(key) => objects.url_of(&key),
                    Err(_) => prefix.trim_end_matches('/').to_owned(),
                };
                format!("{prefix}/{}/{}/{}", action.id.run.name, action.id.name, attempt.attempt)
            }
            None => format!("{}/raw", attempt.output_prefix()),
        }),
        "checkpointoutputprefix" => checkpoints(&outputs),
        "prevcheckpointprefix" => match attempt.attempt {
            0 | 1 => String::new(),
            later => checkpoints(&objects.for_command(&action.output_prefix(later - 1))),
        },
        "runname" => action.id.run.name.clone(),
        "actionname" => action.id.name.clone(),
        "runstarttime" => rfc3339(attempt.run.created_at.div_euclid(1000)),
        "executionproject" => action.id.run.project.clone(),
        "executiondomain" => action.id.run.domain.clone(),
        "perretryuniquekey" => format!("{}-{}-{}", action.id.run.name, action.id.name, attempt.attempt),
        _ => return None,
    })
}

fn checkpoints(outputs: &str) -> String {
    format!("{outputs}/_flytecheckpoints")
}

/// The memory that the container is limited to.
pub(super) fn memory(container: &Container) -> Result<Option<u64>, Failure> {
    let limits = container.resources.as_option().map_or(&[][..], |Resources { limits, .. }| limits);
    let Some(limit) = limits.iter().find(|entry| entry.name.as_known() == Some(ResourceName::MEMORY)) else {
        return Ok(None);
    };
    match quantity::bytes(&limit.value) {
        Some(bytes) => Ok(Some(bytes).filter(|bytes| *bytes > 0)),
        None => Err(refused(format!(
            "the container's memory limit is {:?}; a quantity such as 512Mi is expected",
            limit.value
        ))),
    }
}

/// What no attempt could change.
fn refused(message: String) -> Failure {
    Failure { kind: FailureKind::User, code: "BadTask".to_owned(), message, recoverable: false }
}
