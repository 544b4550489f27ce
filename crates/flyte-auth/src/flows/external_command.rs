//! Tokens from a command's standard output (`authType: ExternalCommand`, and `proxyCommand`).

use std::{io, process::Stdio, time::Duration};

use secrecy::SecretString;
use tokio::{process::Command, sync::mpsc};
use zeroize::Zeroizing;

use crate::{
    AuthError, Interaction,
    child_output::{ChildOutput, Piece},
};

/// The time limit of the command, including the time in which a person answers it.
const TIME_LIMIT: Duration = Duration::from_secs(60);
/// The longest token that is accepted, in bytes: no header carries more.
const MAX_TOKEN_BYTES: usize = 64 * 1024;
/// The most pieces of output in the queue.
const QUEUE_LENGTH: usize = 16;

/// Why a command gave no token.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum CommandFailure {
    /// No command is configured.
    #[error("none is configured")]
    Missing,
    /// The command cannot be started.
    #[error("it cannot be started: {0}")]
    NotStarted(String),
    /// The command's exit status is a failure.
    #[error("it failed ({0})")]
    Failed(String),
    /// The command took longer than this many seconds and was ended.
    #[error("it did not finish within {0} seconds")]
    TimedOut(u64),
    /// The command printed nothing.
    #[error("it printed nothing")]
    Empty,
    /// The output is not a token.
    #[error("what it printed is not a token: {0}")]
    NotAToken(&'static str),
}

/// Runs `command`, without a shell, and returns its trimmed standard output as the token. Its standard error is passed on to the
/// person. `setting` is the key of the configuration that names the command.
///
/// # Errors
/// [`AuthError::Command`]
pub async fn token(
    command: &[String],
    setting: &'static str,
    interaction: &dyn Interaction,
) -> Result<SecretString, AuthError> {
    token_within(TIME_LIMIT, command, setting, interaction).await
}

/// [`token`] with a time limit.
pub(crate) async fn token_within(
    limit: Duration,
    command: &[String],
    setting: &'static str,
    interaction: &dyn Interaction,
) -> Result<SecretString, AuthError> {
    let program = command.first().cloned().unwrap_or_default();
    let running = async {
        let output = run(command, interaction).await?;
        parse(&output)
    };
    // Dropping the future ends the command.
    tokio::time::timeout(limit, running)
        .await
        .unwrap_or(Err(CommandFailure::TimedOut(limit.as_secs())))
        .map_err(|failure| AuthError::Command { program, setting, failure })
}

/// A piece of the command's output, on its way from the threads that read it.
enum Written {
    Output(Zeroizing<Vec<u8>>),
    Errors(Vec<u8>),
}

async fn run(
    command: &[String],
    interaction: &dyn Interaction,
) -> Result<Zeroizing<Vec<u8>>, CommandFailure> {
    let (program, arguments) = command.split_first().ok_or(CommandFailure::Missing)?;
    let not_started = |error: io::Error| CommandFailure::NotStarted(error.to_string());
    let (sender, receiver) = mpsc::channel(QUEUE_LENGTH);
    let errors = sender.clone();
    let stdout =
        read(sender, |bytes| Written::Output(Zeroizing::new(bytes.to_vec()))).map_err(not_started)?;
    let stderr = read(errors, |bytes| Written::Errors(bytes.to_vec())).map_err(not_started)?;
    let (output, errors) = (stdout.stdio().map_err(not_started)?, stderr.stdio().map_err(not_started)?);
    let mut readers = Some((stdout, stderr));
    // Declared after the readers, and so dropped before them: the readers block while the queue is full.
    let mut written = receiver;
    let mut child = Command::new(program)
        .args(arguments)
        .stdin(Stdio::inherit())
        .stdout(output)
        .stderr(errors)
        .kill_on_drop(true)
        .spawn()
        .map_err(not_started)?;
    let ended = async {
        // The end of the command itself counts: a process that it left behind may hold its output open.
        let status = child.wait().await.map_err(|error| CommandFailure::Failed(error.to_string()))?;
        // Waits until the rest of the output is in the queue, which the other future empties meanwhile.
        let readers = readers.take();
        let _ = tokio::task::spawn_blocking(move || drop(readers)).await;
        Ok(status)
    };
    let taken = async {
        // The buffer never grows, because growing would leave a copy behind that is not wiped.
        let mut output = Zeroizing::new(Vec::with_capacity(MAX_TOKEN_BYTES));
        while let Some(piece) = written.recv().await {
            match piece {
                Written::Output(bytes) if output.len() + bytes.len() > MAX_TOKEN_BYTES => {
                    return Err(CommandFailure::NotAToken("it is too long"));
                }
                Written::Output(bytes) => output.extend_from_slice(&bytes),
                // Passed on at once, not line by line: a question does not end with a newline.
                Written::Errors(bytes) => interaction.command_output(&String::from_utf8_lossy(&bytes)),
            }
        }
        Ok(output)
    };
    let (status, output) = tokio::try_join!(ended, taken)?;
    if status.success() { Ok(output) } else { Err(CommandFailure::Failed(status.to_string())) }
}

/// Reads one stream of a command into the queue.
fn read(
    queue: mpsc::Sender<Written>,
    written: impl Fn(&[u8]) -> Written + Send + 'static,
) -> io::Result<ChildOutput> {
    ChildOutput::read(move |piece| {
        if let Piece::Written(bytes) = piece {
            // Sending fails if the command timed out.
            let _ = queue.blocking_send(written(bytes));
        }
    })
}

fn parse(output: &[u8]) -> Result<SecretString, CommandFailure> {
    let token = output.trim_ascii();
    if token.is_empty() {
        return Err(CommandFailure::Empty);
    }
    if token.starts_with(b"{") {
        return Err(CommandFailure::NotAToken("it is JSON; print the token alone"));
    }
    if token.iter().any(u8::is_ascii_whitespace) {
        return Err(CommandFailure::NotAToken("it has more than one word"));
    }
    match std::str::from_utf8(token) {
        Ok(text) if text.bytes().all(|byte| byte.is_ascii_graphic()) => Ok(SecretString::from(text)),
        _ => Err(CommandFailure::NotAToken("it has characters that no header can carry")),
    }
}
