//! `flyte-server supervise DIRECTORY`: the supervisor of one process. Only [`Supervisor`](super::process::Supervisor) starts
//! it.
//!
//! The supervisor leads its own session and continues if the server ends. It adopts orphans of the command, so that no process
//! of the command outlives the supervisor.

mod launch;
mod output;

use std::{
    fs::{self, File},
    io::{self, Write as _},
    os::{
        fd::AsFd as _,
        unix::{fs::MetadataExt as _, process::CommandExt as _},
    },
    path::Path,
    process::{Command, ExitCode, Stdio},
    time::Duration,
};

use rustix::process::{
    Pid, Resource, Rlimit, Signal, WaitOptions, WaitStatus, getpid, getrlimit, set_child_subreaper,
    setrlimit, setsid, wait,
};
use tokio::{
    signal::unix::{Signal as Signals, SignalKind, signal},
    time::{Instant, sleep, sleep_until, timeout},
};

use self::output::Output;
use super::{
    process::{Exit, How, Limits, OPEN_FILES_VARIABLE, Spec},
    tree,
};
use flyte_model::clock::Clock;
use flyte_secrets::write_atomically;

/// The time between two measurements of memory.
const SAMPLE_INTERVAL: Duration = Duration::from_millis(250);
/// The time between two measurements if the memory is above half of its limit.
const CLOSE_SAMPLE_INTERVAL: Duration = Duration::from_millis(40);
/// The longest wait for killed processes to end, and for the rest of their output.
const KILL_TIMEOUT: Duration = Duration::from_secs(10);
/// The longest limit, in seconds: one year.
const MAX_SECONDS: u64 = 366 * 86_400;

/// Returns the arguments after `supervise` if this process is a supervisor. Call this before the command line is parsed:
/// parsing takes longer than everything else in a supervisor.
#[must_use]
pub fn arguments() -> Option<Vec<std::ffi::OsString>> {
    let mut arguments = std::env::args_os().skip(1);
    (arguments.next()? == "supervise").then(|| arguments.collect())
}

/// Runs `flyte-server supervise` with these arguments.
#[must_use]
pub fn run(arguments: &[std::ffi::OsString]) -> ExitCode {
    let outcome = match arguments {
        [flag, parent, directory] if flag == "--launch" => {
            Err(launch::run(&parent.to_string_lossy(), Path::new(directory)))
        }
        [directory] => supervise(Path::new(directory)),
        _ => Err(io::Error::other("`flyte-server supervise` is internal: only the server starts it")),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            // Nothing else can report an error of writing to standard error.
            let _ = writeln!(io::stderr(), "flyte-server: {error}");
            ExitCode::from(launch::CANNOT_START)
        }
    }
}

fn supervise(directory: &Path) -> io::Result<()> {
    let mut lock = inherited_lock(directory)?;
    lower_open_files()?;
    setsid()?;
    set_child_subreaper(Some(getpid()))?;
    let spec: Spec = serde_json::from_slice(&fs::read(directory.join("spec.json"))?)?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        // The handlers come before the process ID. A signal from the server would kill a process that has no handler.
        let terminate = signal(SignalKind::terminate())?;
        let children = signal(SignalKind::child())?;
        let clock = Clock::default();
        let started_at = clock.timestamp().as_millisecond();
        writeln!(lock, "{}", getpid().as_raw_nonzero())?;
        let how = match start(directory, &spec) {
            Ok((command, output)) => {
                let mut running = Running { command, status: None, terminate, children };
                let how = running.wait_for_end(&spec.limits).await;
                running.kill_all().await;
                output.finish(&how).await;
                how
            }
            Err(how) => how,
        };
        let exit = Exit { how, started_at, ended_at: clock.timestamp().as_millisecond() };
        write_atomically(&directory.join("exit.json"), &serde_json::to_vec(&exit)?)
    })
}

/// Restores the limit of open files that the server raised for itself. The command inherits the limit.
fn lower_open_files() -> io::Result<()> {
    let original = std::env::var(OPEN_FILES_VARIABLE).ok().and_then(|limit| limit.parse().ok());
    if let Some(current) = original {
        let maximum = getrlimit(Resource::Nofile).maximum;
        setrlimit(Resource::Nofile, Rlimit { current: Some(current), maximum })?;
    }
    Ok(())
}

/// Returns the lock. The server passes it as standard input.
fn inherited_lock(directory: &Path) -> io::Result<File> {
    let inherited = File::from(io::stdin().as_fd().try_clone_to_owned()?);
    let (input, lock) = (inherited.metadata()?, fs::metadata(directory.join("lock"))?);
    if (input.dev(), input.ino()) == (lock.dev(), lock.ino()) {
        Ok(inherited)
    } else {
        Err(io::Error::other(
            "standard input is not the lock of the directory: only the server starts this command",
        ))
    }
}

fn start(directory: &Path, spec: &Spec) -> Result<(Pid, Output), How> {
    let work = directory.join("work");
    if let Err(why) = launch::find_program(&spec.command, spec.environment.get("PATH"), &work) {
        return Err(How::NotStarted { why, missing: true });
    }
    let not_started = |error: io::Error| How::NotStarted { why: error.to_string(), missing: false };
    let mut child = Command::new("/proc/self/exe")
        .arg0("flyte-server")
        .args(["supervise", "--launch", &getpid().as_raw_nonzero().to_string()])
        .arg(directory)
        // The environment is set together with the command, so that its variables do not affect this program.
        .env_clear()
        .current_dir(&work)
        .process_group(0)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .map_err(not_started)?;
    let output = Output::start(directory, spec.limits.log, child.stdout.take(), child.stderr.take());
    Ok((Pid::from_child(&child), output.map_err(not_started)?))
}

/// A running command.
struct Running {
    command: Pid,
    /// The exit status, after the end.
    status: Option<WaitStatus>,
    terminate: Signals,
    children: Signals,
}

impl Running {
    /// Waits until the command ends. Stops it if a limit is reached or the server asks for it.
    async fn wait_for_end(&mut self, limits: &Limits) -> How {
        let deadline =
            limits.seconds.map(|seconds| Instant::now() + Duration::from_secs(seconds.min(MAX_SECONDS)));
        let mut sample_interval = SAMPLE_INTERVAL;
        loop {
            if let Some(how) = self.ended() {
                return how;
            }
            tokio::select! {
                _ = self.children.recv() => {}
                _ = self.terminate.recv() => {
                    self.stop(limits).await;
                    return How::Stopped;
                }
                () = sleep_until(deadline.unwrap_or_else(Instant::now)), if deadline.is_some() => {
                    self.stop(limits).await;
                    return How::TimedOut { seconds: limits.seconds.unwrap_or_default() };
                }
                () = sleep(sample_interval), if limits.memory.is_some() => {
                    let limit = limits.memory.unwrap_or(u64::MAX);
                    let used = tree::memory(&tree::descendants(getpid()), limit / 2);
                    if used > limit {
                        return How::OutOfMemory { used, limit };
                    }
                    sample_interval = if used > limit / 2 { CLOSE_SAMPLE_INTERVAL } else { SAMPLE_INTERVAL };
                }
            }
        }
    }

    fn ended(&mut self) -> Option<How> {
        self.reap();
        let status = self.status?;
        Some(match (status.exit_status(), status.terminating_signal()) {
            (Some(code), _) => How::Exited { code },
            (None, signal) => How::Signalled { signal: signal.unwrap_or_default() },
        })
    }

    /// Sends SIGTERM to all processes and waits for them during the grace period.
    async fn stop(&mut self, limits: &Limits) {
        for member in tree::descendants(getpid()) {
            tree::signal(&member, Signal::TERM);
        }
        let gone = async {
            while self.reap() {
                self.children.recv().await;
            }
        };
        // The caller kills the remaining processes.
        let _ = timeout(Duration::from_secs(limits.grace.min(MAX_SECONDS)), gone).await;
    }

    /// Kills the remaining processes. The supervisor becomes the parent of each orphan, so no process remains when the
    /// supervisor has no children.
    async fn kill_all(&mut self) {
        let gone = async {
            while self.reap() {
                for member in tree::descendants(getpid()) {
                    tree::signal(&member, Signal::KILL);
                }
                let _ = timeout(Duration::from_millis(20), self.children.recv()).await;
            }
        };
        if timeout(KILL_TIMEOUT, gone).await.is_err() {
            // For example, a process that waits for a disk that does not respond.
            let _ = writeln!(io::stderr(), "flyte-server: cannot kill all processes of the command");
        }
    }

    /// Collects the exit statuses of ended children. Returns whether other children remain.
    fn reap(&mut self) -> bool {
        loop {
            match wait(WaitOptions::NOHANG) {
                Ok(Some((pid, status))) if pid == self.command => self.status = Some(status),
                Ok(Some(_)) => {}
                Ok(None) => return true,
                Err(rustix::io::Errno::INTR) => {}
                // No children remain.
                Err(_) => return false,
            }
        }
    }
}
