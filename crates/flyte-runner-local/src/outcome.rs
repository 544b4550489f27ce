//! What the end of a task's process means for its attempt.

use std::path::Path;

use super::{
    log::{self, Stream},
    process::{Exit, How},
};
use flyte_objects::Objects;
use flyte_runs::{Outcome, result};
use flyte_settings::Config;
use flyte_store::{Failure, FailureKind, QueuedAttempt};

/// Lines of the log's end that an error shows, where the task itself has not told why it failed.
const LAST_LINES: usize = 20;
/// Bytes of them.
const LAST_BYTES: usize = 4 << 10;

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
            None => Outcome::Failed(user("NonZeroExit", &exit.how, directory)),
        },
        How::Signalled { .. } => Outcome::Failed(user("Killed", &exit.how, directory)),
        How::OutOfMemory { .. } => Outcome::Failed(user("OOMKilled", &exit.how, directory)),
        How::TimedOut { .. } => Outcome::TimedOut { message: exit.how.to_string() },
        How::Stopped => Outcome::Failed(Failure::system(
            "Stopped",
            "the task was stopped from outside: its supervisor was sent SIGTERM, and not by this server"
                .to_owned(),
        )),
        How::NotStarted { ref why, missing: true } => Outcome::Failed(Failure {
            kind: FailureKind::User,
            code: "CommandNotFound".to_owned(),
            message: missing(config, why),
            recoverable: false,
        }),
        How::NotStarted { missing: false, .. } => {
            Outcome::Failed(Failure::system("NotStarted", exit.how.to_string()))
        }
    }
}

/// What to do where the container's program is not on this machine: its image, which would have it, is not used.
fn missing(config: &Config, why: &str) -> String {
    let setting = match &config.runner.python {
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

fn user(code: &str, how: &How, directory: &Path) -> Failure {
    let message = ending(how, directory);
    Failure { kind: FailureKind::User, code: code.to_owned(), message, recoverable: true }
}

/// How the process in `directory` ended, in words, with the last that it wrote.
pub(super) fn ending(how: &How, directory: &Path) -> String {
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
