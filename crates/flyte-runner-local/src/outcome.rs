//! Decides the outcome of an attempt from the end of its process.

use std::path::Path;

use super::{
    log::{self, Stream},
    process::{Exit, How},
};
use flyte_objects::Objects;
use flyte_runs::{Outcome, result};
use flyte_settings::Config;
use flyte_store::{Failure, FailureKind, QueuedAttempt};

/// The number of last log lines in an error message if the task itself reported no error.
const SHOWN_LINES: usize = 20;
/// The maximum size of these lines, in bytes.
const MAX_SHOWN_BYTES: usize = 4 << 10;

/// The outcome of an attempt whose process has ended.
pub(super) async fn of(
    config: &Config,
    objects: &Objects,
    directory: &Path,
    attempt: &QueuedAttempt,
    exit: Exit,
) -> Outcome {
    match exit.how {
        How::Exited { code: 0 } => result::of_success(objects, attempt).await,
        How::Exited { .. } => match result::error(objects, attempt).await {
            Some(failure) => Outcome::Failed(failure),
            None => Outcome::Failed(user_failure("NonZeroExit", &exit.how, directory)),
        },
        How::Signalled { .. } => Outcome::Failed(user_failure("Killed", &exit.how, directory)),
        How::OutOfMemory { .. } => Outcome::Failed(user_failure("OOMKilled", &exit.how, directory)),
        How::TimedOut { .. } => Outcome::TimedOut { message: exit.how.to_string() },
        How::Stopped => Outcome::Failed(Failure::system(
            "Stopped",
            "the task was stopped because another process sent SIGTERM to its supervisor".to_owned(),
        )),
        How::NotStarted { ref why, missing: true } => Outcome::Failed(Failure {
            kind: FailureKind::User,
            code: "CommandNotFound".to_owned(),
            message: missing_program_message(config, why),
            recoverable: false,
        }),
        How::NotStarted { missing: false, .. } => {
            Outcome::Failed(Failure::system("NotStarted", exit.how.to_string()))
        }
    }
}

/// The message for a missing program. The container's image may contain the program, but the image is not used.
fn missing_program_message(config: &Config, why: &str) -> String {
    let setting = match &config.runner.python {
        Some(python) => format!(
            "this server runs tasks in the Python environment {}. Install the task's packages there (`pip install \
             flyte` installs the program a0), or set runner.python to another environment",
            python.display()
        ),
        None => "this server runs tasks with the programs on its own machine, not in their images. Create a virtual \
                 environment, run `pip install flyte` in it (it installs the program a0), and set runner.python = \
                 \"DIRECTORY OF THE ENVIRONMENT\""
            .to_owned(),
    };
    format!("{why}. The task's container needs it, and {setting}")
}

/// A failure of the user's task, with the last lines of the log. A new attempt may succeed.
fn user_failure(code: &str, how: &How, directory: &Path) -> Failure {
    let message = describe_end(how, directory);
    Failure { kind: FailureKind::User, code: code.to_owned(), message, recoverable: true }
}

/// Describes how the process in `directory` ended, with the last lines of its log.
pub(super) fn describe_end(how: &How, directory: &Path) -> String {
    let lines = log::tail(directory, SHOWN_LINES).unwrap_or_default();
    let lines: Vec<_> =
        lines.iter().filter(|line| line.stream != Stream::System).map(|line| line.text.as_str()).collect();
    let last = lines.join("\n");
    let mut from = last.len().saturating_sub(MAX_SHOWN_BYTES);
    while !last.is_char_boundary(from) {
        from += 1;
    }
    if last.trim().is_empty() {
        how.to_string()
    } else {
        format!("{how}; its last output:\n{}", &last[from..])
    }
}
