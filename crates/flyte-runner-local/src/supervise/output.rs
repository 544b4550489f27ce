//! What the command writes, taken into its log.

use std::{
    io::{self, Write as _},
    os::fd::OwnedFd,
    path::Path,
    process::{ChildStderr, ChildStdout},
    sync::{Arc, Mutex, PoisonError},
};

use tokio::{io::AsyncReadExt as _, net::unix::pipe::Receiver, task::JoinSet, time::timeout};

use super::END;
use crate::{
    log::{Cutter, Stream, Writer},
    process::How,
};
use flyte_model::clock::Clock;

/// Bytes that are read at a time.
const CHUNK: usize = 64 << 10;

/// The log of a command, being written.
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
            // The command goes on without: that its log is lost is no reason to lose its work.
            let _ = writeln!(io::stderr(), "flyte-server: the log cannot be written: {error}");
        }
    }
}

impl Output {
    /// Begins the log and reads what the command writes into it.
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

    /// Reads the rest of it, when everything that could write has ended, and writes down what we have done to the command.
    pub(super) async fn finish(mut self, how: &How) {
        let rest = async { while self.pumps.join_next().await.is_some() {} };
        // A process that could not be killed may hold it open.
        let _ = timeout(END, rest).await;
        self.log.write(Stream::System, &told(how).into_iter().collect::<Vec<_>>());
    }
}

fn receiver(pipe: OwnedFd) -> io::Result<Receiver> {
    Receiver::from_owned_fd(pipe)
}

async fn pump(mut pipe: Receiver, stream: Stream, log: Log) {
    let mut cutter = Cutter::default();
    let mut buffer = vec![0; CHUNK];
    loop {
        match pipe.read(&mut buffer).await {
            Ok(0) | Err(_) => break,
            Ok(length) => log.write(stream, &cutter.push(&buffer[..length])),
        }
    }
    log.write(stream, &cutter.finish());
}

fn told(how: &How) -> Option<String> {
    match how {
        How::TimedOut { .. } | How::OutOfMemory { .. } | How::Stopped => Some(how.to_string()),
        How::Exited { .. } | How::Signalled { .. } | How::NotStarted { .. } => None,
    }
}
