//! What the end of a task's process means for its action.

use std::path::Path;

use buffa::Message as _;
use flyte_idl::flyteidl2::{
    core::{ErrorDocument, container_error, execution_error::ErrorKind},
    task::TaskSpec,
};

use super::{
    log::{self, Stream},
    process::{Exit, How},
};
use crate::{
    app::App,
    objects::ObjectError,
    runs::Outcome,
    store::{Failure, FailureKind, QueuedAttempt},
};

/// Lines of the log's end that an error shows, where the task itself has not told why it failed.
const LAST_LINES: usize = 20;
/// Bytes of them.
const LAST_BYTES: usize = 4 << 10;

/// The outcome of an attempt whose process has ended.
pub(super) async fn of(app: &App, directory: &Path, attempt: &QueuedAttempt, exit: Exit) -> Outcome {
    match exit.how {
        How::Exited { code } => match told(app, attempt).await {
            Err(error) => Outcome::Failed(system(
                "ResultUnreadable",
                format!("the task's result cannot be read: {error}"),
            )),
            Ok(Some(failure)) => Outcome::Failed(failure),
            Ok(None) if code == 0 => succeeded(app, attempt).await,
            Ok(None) => Outcome::Failed(user("NonZeroExit", &exit.how, directory)),
        },
        How::Signalled { .. } => Outcome::Failed(user("Killed", &exit.how, directory)),
        How::OutOfMemory { .. } => Outcome::Failed(user("OOMKilled", &exit.how, directory)),
        How::TimedOut { .. } => Outcome::TimedOut { message: exit.how.to_string() },
        How::Stopped => Outcome::Failed(system(
            "Stopped",
            "the task was stopped from outside: its supervisor was sent SIGTERM, and not by this server"
                .to_owned(),
        )),
        How::NotStarted { ref why, missing: true } => Outcome::Failed(Failure {
            kind: FailureKind::User,
            code: "CommandNotFound".to_owned(),
            message: missing(app, why),
            recoverable: false,
        }),
        How::NotStarted { missing: false, .. } => Outcome::Failed(system("NotStarted", exit.how.to_string())),
    }
}

/// What to do where the container's program is not on this machine: its image, which would have it, is not used.
fn missing(app: &App, why: &str) -> String {
    let setting = match &app.config.runner.python {
        Some(python) => format!(
            "this server runs tasks with the Python environment {}: install the task's packages there (`pip install \
             flyte` for the program a0), or give another one with the setting runner.python",
            python.display()
        ),
        None => "this server runs tasks with what is installed on its own machine, not in their images: make a virtual \
                 environment, `pip install flyte` in it (which has the program a0), and start the server with the setting \
                 runner.python = \"DIRECTORY OF THE ENVIRONMENT\""
            .to_owned(),
    };
    format!("{why}. The task's container starts it, and {setting}")
}

/// The error that the task's own runtime has left.
async fn told(app: &App, attempt: &QueuedAttempt) -> Result<Option<Failure>, ObjectError> {
    let Some(content) = app.objects.get(&format!("{}/error.pb", attempt.output_prefix())).await? else {
        return Ok(None);
    };
    let Ok(document) = ErrorDocument::decode_from_slice(&content) else {
        let message = "the task failed, and its error.pb cannot be read".to_owned();
        return Ok(Some(Failure {
            kind: FailureKind::User,
            code: "BadError".to_owned(),
            message,
            recoverable: false,
        }));
    };
    let error = document.error.as_option().cloned().unwrap_or_default();
    let kind = match error.origin.as_known() {
        Some(ErrorKind::SYSTEM) => FailureKind::System,
        _ => FailureKind::User,
    };
    let recoverable = error.kind.as_known() == Some(container_error::Kind::RECOVERABLE);
    Ok(Some(Failure { kind, code: error.code, message: error.message, recoverable }))
}

/// The task has ended well; where it has outputs they must be there, and all that it has written must outlast the machine's
/// power: nobody runs again what has succeeded.
async fn succeeded(app: &App, attempt: &QueuedAttempt) -> Outcome {
    if let Err(error) = app.objects.synchronize().await {
        return Outcome::Failed(system(
            "ResultNotKept",
            format!("what the task has written cannot be made durable: {error}"),
        ));
    }
    let task = TaskSpec::decode_from_slice(&attempt.spec).unwrap_or_default();
    let interface = task.task_template.as_option().and_then(|template| template.interface.as_option());
    let outputs = interface.and_then(|interface| interface.outputs.as_option());
    if outputs.is_none_or(|outputs| outputs.variables.is_empty()) {
        return Outcome::Succeeded;
    }
    let url = format!("{}/outputs.pb", attempt.output_prefix());
    match length(app, &url).await {
        // Outputs that are there take some bytes: of a file that was not yet on the disk as the power failed, none are left.
        Ok(None | Some(0)) => Outcome::Failed(system(
            "MissingOutputs",
            format!("the command ended without an error, but has not written its outputs to {url}"),
        )),
        Ok(Some(_)) => Outcome::Succeeded,
        Err(error) => {
            Outcome::Failed(system("ResultUnreadable", format!("the task's outputs cannot be read: {error}")))
        }
    }
}

async fn length(app: &App, url: &str) -> Result<Option<u64>, ObjectError> {
    app.objects.length(&app.objects.key_of(url)?).await
}

fn system(code: &str, message: String) -> Failure {
    Failure { kind: FailureKind::System, code: code.to_owned(), message, recoverable: true }
}

fn user(code: &str, how: &How, directory: &Path) -> Failure {
    let message = ending(how, directory);
    Failure { kind: FailureKind::User, code: code.to_owned(), message, recoverable: true }
}

/// How the process in `directory` ended, in words, with the last that it wrote.
pub(crate) fn ending(how: &How, directory: &Path) -> String {
    let lines = log::tail(directory, LAST_LINES).unwrap_or_default();
    let lines: Vec<_> =
        lines.iter().filter(|line| line.stream != Stream::System).map(|line| line.text.as_str()).collect();
    let last = lines.join("\n");
    let mut from = last.len().saturating_sub(LAST_BYTES);
    while !last.is_char_boundary(from) {
        from += 1;
    }
    if last.trim().is_empty() {
        how.to_string()
    } else {
        format!("{how}; the last that it wrote:\n{}", &last[from..])
    }
}

#[cfg(test)]
mod tests {
    use buffa::MessageField;
    use flyte_idl::flyteidl2::{
        core::{TaskTemplate, TypedInterface, Variable, VariableEntry, VariableMap},
        task::RunSpec,
    };

    use super::*;
    use crate::{
        runs::{NewRun, NewTask},
        store::{Creator, CreatorKind, Limit, Role, RunId, TaskRef},
        testing,
    };

    /// A server with an attempt at a task that has one output.
    async fn begun(home: &Path) -> (App, QueuedAttempt) {
        let data_dir = home.to_owned();
        let app = testing::app(move |config| config.data_dir = data_dir).await;
        app.objects.prepare().unwrap();
        let entry = VariableEntry {
            key: "o0".to_owned(),
            value: MessageField::some(Variable::default()),
            ..VariableEntry::default()
        };
        let outputs = VariableMap { variables: vec![entry], ..VariableMap::default() };
        let interface = TypedInterface { outputs: MessageField::some(outputs), ..TypedInterface::default() };
        let template = TaskTemplate { interface: MessageField::some(interface), ..TaskTemplate::default() };
        let spec = TaskSpec { task_template: MessageField::some(template), ..TaskSpec::default() };
        let new = NewRun {
            id: RunId { project: "p".to_owned(), domain: "d".to_owned(), name: "r1".to_owned() },
            creator: Creator {
                subject: "user-Ada".to_owned(),
                kind: CreatorKind::Person,
                client_id: "flyte".to_owned(),
                family_id: "family".to_owned(),
                role: Role::Contributor,
                limit: Limit::default(),
            },
            spec: RunSpec::default(),
            source: 0,
            trigger: None,
            task: NewTask {
                task: TaskRef::default(),
                spec,
                input_uri: String::new(),
                cache_key: None,
                overwrite_cache: false,
            },
            output_base: app.objects.native_url("p", "d", "runs/r1").unwrap(),
        };
        app.runs.create(new).await.unwrap();
        let attempt = app.runs.claim(1).await.unwrap().remove(0);
        (app, attempt)
    }

    #[tokio::test]
    async fn outputs_that_are_not_there_are_no_success() {
        let home = tempfile::tempdir().unwrap();
        let (app, attempt) = begun(home.path()).await;
        let url = format!("{}/outputs.pb", attempt.output_prefix());
        let exit = || Exit { how: How::Exited { code: 0 }, started_at: 0, ended_at: 0 };
        for (content, expected) in [(None, false), (Some(""), false), (Some("o0"), true)] {
            if let Some(content) = content {
                app.objects.put(&url, content.into()).await.unwrap();
            }
            match of(&app, home.path(), &attempt, exit()).await {
                Outcome::Succeeded => assert!(expected, "{content:?}"),
                Outcome::Failed(failure) => {
                    assert!(!expected, "{content:?}");
                    assert_eq!(
                        (failure.kind, failure.code.as_str()),
                        (FailureKind::System, "MissingOutputs"),
                        "it is tried again"
                    );
                }
                other => panic!("{content:?}: {other:?}"),
            }
        }
        assert_eq!(app.objects.synchronized().await, 3);
    }
}
