//! A command whose standard output is the token (`authType: ExternalCommand`, and `proxyCommand`).

use std::{io, process::Stdio, time::Duration};

use secrecy::SecretString;
use tokio::{io::AsyncReadExt as _, process::Command};
use zeroize::Zeroizing;

use crate::{AuthError, Interaction};

/// How long the command may take, a person answering it included.
const TIME_LIMIT: Duration = Duration::from_secs(60);
/// The longest token that is taken, in bytes: no header carries more.
const MAX_TOKEN: u64 = 64 * 1024;

/// Why a command gave no token.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum CommandFailure {
    /// No command is configured.
    #[error("none is configured")]
    Missing,
    /// It cannot be started.
    #[error("it cannot be started: {0}")]
    NotStarted(String),
    /// It said that it failed.
    #[error("it failed ({0})")]
    Failed(String),
    /// It took too long, and was ended.
    #[error("it did not finish within {0} seconds")]
    TimedOut(u64),
    /// It printed nothing.
    #[error("it printed nothing")]
    Empty,
    /// It printed something else.
    #[error("what it printed is not a token: {0}")]
    NotAToken(&'static str),
}

/// Runs `command`, without a shell, and takes its standard output, stripped, for the token. What it writes to its standard
/// error is for the person. `setting` is the key of the configuration that names it.
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

/// [`token`] within a time.
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
    // Dropping it ends the command.
    tokio::time::timeout(limit, running)
        .await
        .unwrap_or(Err(CommandFailure::TimedOut(limit.as_secs())))
        .map_err(|failure| AuthError::Command { program, setting, failure })
}

async fn run(
    command: &[String],
    interaction: &dyn Interaction,
) -> Result<Zeroizing<Vec<u8>>, CommandFailure> {
    let (program, arguments) = command.split_first().ok_or(CommandFailure::Missing)?;
    let not_started = |error: io::Error| CommandFailure::NotStarted(error.to_string());
    let mut child = Command::new(program)
        .args(arguments)
        .stdin(Stdio::inherit())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .map_err(not_started)?;
    let failed = |error: io::Error| CommandFailure::Failed(error.to_string());
    let stdout = child.stdout.take();
    let stderr = child.stderr.take();
    let reading = async {
        // One byte more than a token has, and no growing: a buffer that is left behind is not wiped.
        let mut output = Zeroizing::new(Vec::with_capacity(2 * 64 * 1024));
        if let Some(stdout) = stdout {
            stdout.take(MAX_TOKEN + 1).read_to_end(&mut output).await?;
        }
        Ok::<_, io::Error>(output)
    };
    let telling = async {
        let Some(mut stderr) = stderr else { return };
        let mut chunk = [0; 4096];
        // As it comes, not line by line: a question has no newline at its end.
        while let Ok(length @ 1..) = stderr.read(&mut chunk).await {
            interaction.command_says(&String::from_utf8_lossy(&chunk[..length]));
        }
    };
    // A process that it left behind may hold its standard error open: the command's own end is what counts.
    let finished = async {
        let output = reading.await.map_err(failed)?;
        if output.len() as u64 > MAX_TOKEN {
            return Err(CommandFailure::NotAToken("it is too long"));
        }
        let status = child.wait().await.map_err(failed)?;
        Ok::<_, CommandFailure>((output, status))
    };
    tokio::pin!(finished, telling);
    let mut told = false;
    let (output, status) = loop {
        tokio::select! {
            // What it said before it ended comes first.
            biased;
            () = &mut telling, if !told => told = true,
            outcome = &mut finished => break outcome?,
        }
    };
    if !told {
        let _ = tokio::time::timeout(Duration::from_millis(100), &mut telling).await;
    }
    if status.success() { Ok(output) } else { Err(CommandFailure::Failed(status.to_string())) }
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
