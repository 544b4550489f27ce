//! Copies the output of the command to its log.

use std::{
    io::{self, Write as _},
    os::fd::OwnedFd,
    path::Path,
    process::{ChildStderr, ChildStdout},
    sync::{Arc, Mutex, PoisonError},
};

use tokio::{io::AsyncReadExt as _, net::unix::pipe::Receiver, task::JoinSet, time::timeout};

use super::KILL_TIMEOUT;
use crate::{
    log::{LineSplitter, Stream, Writer},
    process::How,
};
use flyte_model::clock::Clock;

/// The size of one read, in bytes.
const CHUNK_SIZE: usize = 64 << 10;

/// The log of a running command.
pub(super) struct Output {
    log: Log,
    pumps: JoinSet<()>,
}

#[derive(Clone)]
struct Log {
    writer: Arc<Mutex<Writer>>,
    clock: Clock,
}

impl Log {
    fn write(&self, stream: Stream, lines: &[String]) {
        if lines.is_empty() {
            return;
        }
        let mut writer = self.writer.lock().unwrap_or_else(PoisonError::into_inner);
        if let Err(error) = writer.write(self.clock.timestamp(), stream, lines) {
            // The command continues. An error in the log must not destroy the work of the command.
            let _ = writeln!(io::stderr(), "flyte-server: cannot write the log: {error}");
        }
    }
}

impl Output {
    /// Creates the log and starts to copy the output of the command to it.
    pub(super) fn start(
        directory: &Path,
        limit: u64,
        stdout: Option<ChildStdout>,
        stderr: Option<ChildStderr>,
    ) -> io::Result<Self> {
        let writer = Arc::new(Mutex::new(Writer::create(directory, limit)?));
        let log = Log { writer, clock: Clock::default() };
        let mut pumps = JoinSet::new();
        if let Some(stdout) = stdout {
            pumps.spawn(pump(receiver(stdout.into())?, Stream::Stdout, log.clone()));
        }
        if let Some(stderr) = stderr {
            pumps.spawn(pump(receiver(stderr.into())?, Stream::Stderr, log.clone()));
        }
        Ok(Self { log, pumps })
    }

    /// Copies the rest of the output after all processes have ended. Then it logs what the supervisor did to the command.
    pub(super) async fn finish(mut self, how: &How) {
        let rest = async { while self.pumps.join_next().await.is_some() {} };
        // A process that could not be killed may still have the pipe open.
        let _ = timeout(KILL_TIMEOUT, rest).await;
        self.log.write(Stream::System, &describe_intervention(how).into_iter().collect::<Vec<_>>());
    }
}

fn receiver(pipe: OwnedFd) -> io::Result<Receiver> {
    Receiver::from_owned_fd(pipe)
}

async fn pump(mut pipe: Receiver, stream: Stream, log: Log) {
    let mut splitter = LineSplitter::default();
    let mut buffer = vec![0; CHUNK_SIZE];
    loop {
        match pipe.read(&mut buffer).await {
            Ok(0) | Err(_) => break,
            Ok(length) => log.write(stream, &splitter.push(&buffer[..length])),
        }
    }
    log.write(stream, &splitter.finish());
}

/// Describes what the supervisor did to the command. `None` if the command ended without it.
fn describe_intervention(how: &How) -> Option<String> {
    match how {
        How::TimedOut { .. } | How::OutOfMemory { .. } | How::Stopped => Some(how.to_string()),
        How::Exited { .. } | How::Signalled { .. } | How::NotStarted { .. } => None,
    }
}
