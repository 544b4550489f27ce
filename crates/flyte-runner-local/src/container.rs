//! Translates a task's container into a command, an environment and limits. The image is not used.

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

/// Builds the specification of the attempt's process. The error is the failure of the attempt.
pub(super) fn build_spec(
    state: &State,
    directory: &Path,
    attempt: &QueuedAttempt,
    now: UnixMillis,
) -> Result<Spec, Failure> {
    let (config, objects) = (&*state.config, &*state.objects);
    let task = TaskSpec::decode_from_slice(&attempt.spec)
        .map_err(|error| bad_task(format!("cannot read the task's specification: {error}")))?;
    let run = RunSpec::decode_from_slice(&attempt.run.spec)
        .map_err(|error| bad_task(format!("cannot read the run's specification: {error}")))?;
    let target = task.task_template.as_option().and_then(|template| template.target.clone());
    let container = match target {
        Some(Target::Container(container)) => *container,
        Some(Target::K8sPod(_)) => {
            return Err(bad_task(
                "the task is a Kubernetes pod, but this server runs tasks as local processes. Remove the task's pod \
                 template"
                    .to_owned(),
            ));
        }
        Some(Target::Sql(_)) => {
            return Err(bad_task(
                "the task is an SQL statement, but this server runs only containers".to_owned(),
            ));
        }
        None => return Err(bad_task("the task has no container to run".to_owned())),
    };
    let values = |name: &str| template_value(objects, attempt, &run, name);
    let command =
        container.command.iter().chain(&container.args).map(|text| template::fill(text, values)).collect();
    let mut variables = environment::base(config, objects, directory);
    let run_variables = run.envs.as_option().into_iter().flat_map(|envs| &envs.values);
    for variable in container.env.iter().chain(run_variables) {
        let mut value = template::fill(&variable.value, values);
        if variable.key == "PYTHONPATH" {
            value = format!("{value}:{}", libraries::directory(config).display());
        }
        variables.insert(variable.key.clone(), value);
    }
    // These come last, so that the task and the run cannot replace them.
    variables.extend(
        environment::of_attempt(config, directory, attempt)
            .into_iter()
            .map(|(name, value)| (name.to_owned(), value)),
    );
    if let Some(name) = variables.iter().find_map(|(name, value)| {
        (name.is_empty() || name.contains(['=', '\0']) || value.contains('\0')).then_some(name)
    }) {
        return Err(bad_task(format!(
            "{name:?} cannot be an environment variable: its name or value is not valid"
        )));
    }
    // The server ends an action at its deadline. The supervisor enforces the deadline too, because the server may not be
    // running then.
    let age = now.saturating_sub(attempt.action.created_at);
    let timeout = TimeLimits::of_task(&task).seconds(age);
    let (own, maximum) = (memory_limit(&container)?, config.runner.max_memory);
    Ok(Spec {
        command,
        environment: variables,
        limits: Limits {
            seconds: [timeout, config.runner.max_runtime].into_iter().flatten().min(),
            memory: [own, maximum].into_iter().flatten().min(),
            log: config.runner.max_log_size,
            grace: config.runner.grace_period,
        },
        sandbox: sandbox(
            state,
            objects.directory_of(&attempt.run.id.project, &attempt.run.id.domain).as_deref(),
        ),
    })
}

/// Lists the files that may contain secrets of the server: the data directory, the files in the settings, and backups.
fn hidden(state: &State) -> Vec<PathBuf> {
    let config = &state.config;
    let mut hidden = vec![config.data_dir.clone()];
    hidden.extend(config.file.clone());
    hidden.extend(config.admin.password_file.clone());
    hidden.extend(config.objects.credentials_file.clone());
    if let TlsSource::Files { certificate, key } = &config.tls.source {
        // The certificate file may also contain the key.
        hidden.extend([certificate.clone(), key.clone()]);
    }
    hidden.extend((state.backups)(&config.data_dir));
    hidden
}

/// Builds the sandbox of a process. It hides the files of [`hidden`], except for the process's own directory, the objects in
/// `objects`, the certificates that identify the server, and the libraries. `None` if `runner.sandbox` is `off`.
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

/// The value of a name in braces, in lower case. Native URLs of files become paths, which any program can
/// open. The prefix of the task's values keeps its scheme, because each value is stored with its URL.
fn template_value(objects: &Objects, attempt: &QueuedAttempt, run: &RunSpec, name: &str) -> Option<String> {
    let (action, outputs) = (&attempt.action, objects.for_command(&attempt.output_prefix()));
    let input = || objects.for_command(&action.input_uri);
    let requested = run.raw_data_storage.as_option().map(|storage| storage.raw_data_prefix.as_str());
    Some(match name {
        "input" => input(),
        "inputs" | "inputprefix" => input().rsplit_once('/').map_or("", |(prefix, _)| prefix).to_owned(),
        "outputprefix" => outputs,
        "rawoutputdataprefix" => {
            libraries::raw_data_url(match requested.filter(|prefix| !prefix.is_empty()) {
                Some(prefix) => {
                    let prefix = match objects.key_of(prefix) {
                        Ok(key) => objects.url_of(&key),
                        Err(_) => prefix.trim_end_matches('/').to_owned(),
                    };
                    format!("{prefix}/{}/{}/{}", action.id.run.name, action.id.name, attempt.attempt)
                }
                None => format!("{}/raw", attempt.output_prefix()),
            })
        }
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

/// The memory limit of the container, in bytes.
pub(super) fn memory_limit(container: &Container) -> Result<Option<u64>, Failure> {
    let limits = container.resources.as_option().map_or(&[][..], |Resources { limits, .. }| limits);
    let Some(limit) = limits.iter().find(|entry| entry.name.as_known() == Some(ResourceName::MEMORY)) else {
        return Ok(None);
    };
    match quantity::parse_bytes(&limit.value) {
        Some(bytes) => Ok(Some(bytes).filter(|bytes| *bytes > 0)),
        None => Err(bad_task(format!(
            "the container's memory limit {:?} is not valid. Use a quantity, for example 512Mi",
            limit.value
        ))),
    }
}

/// The failure of a task that cannot run on this server. A new attempt would fail too.
fn bad_task(message: String) -> Failure {
    Failure { kind: FailureKind::User, code: "BadTask".to_owned(), message, recoverable: false }
}
