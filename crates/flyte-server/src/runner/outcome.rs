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

/// The task has ended well; where it has outputs they must be there.
async fn succeeded(app: &App, attempt: &QueuedAttempt) -> Outcome {
    let task = TaskSpec::decode_from_slice(&attempt.spec).unwrap_or_default();
    let interface = task.task_template.as_option().and_then(|template| template.interface.as_option());
    let outputs = interface.and_then(|interface| interface.outputs.as_option());
    if outputs.is_none_or(|outputs| outputs.variables.is_empty()) {
        return Outcome::Succeeded;
    }
    let url = format!("{}/outputs.pb", attempt.output_prefix());
    match app.objects.get(&url).await {
        Ok(Some(_)) | Err(ObjectError::TooLarge { .. }) => Outcome::Succeeded,
        Ok(None) => Outcome::Failed(Failure {
            kind: FailureKind::User,
            code: "MissingOutputs".to_owned(),
            message: format!("the command ended without an error, but has not written its outputs to {url}"),
            recoverable: false,
        }),
        Err(error) => {
            Outcome::Failed(system("ResultUnreadable", format!("the task's outputs cannot be read: {error}")))
        }
    }
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
