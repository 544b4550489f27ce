//! `flyte-server supervise DIRECTORY`: the supervisor of one process, started by [`Supervisor`](super::process::Supervisor)
//! alone.
//!
//! It is in no way part of the server that has started it: it leads a session of its own, and goes on when that server
//! ends. It adopts what the command leaves behind, so that nothing that the command has started outlives it.

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

/// How often the memory of the processes is looked at.
const SAMPLE: Duration = Duration::from_millis(250);
/// The same where it is above half of the limit.
const CLOSE_SAMPLE: Duration = Duration::from_millis(40);
/// How long what has been killed may take to be gone, and its output to have been read.
const END: Duration = Duration::from_secs(10);
/// What a year has in seconds: no limit is longer.
const YEAR: u64 = 366 * 86_400;

/// The arguments of this process, where it is to be a supervisor: read before the command line is, which would take longer
/// than everything else that a supervisor does.
#[must_use]
pub fn asked_for() -> Option<Vec<std::ffi::OsString>> {
    let mut arguments = std::env::args_os().skip(1);
    (arguments.next()? == "supervise").then(|| arguments.collect())
}

/// Does what the arguments after `supervise` say.
#[must_use]
pub fn run(arguments: &[std::ffi::OsString]) -> ExitCode {
    let outcome = match arguments {
        [flag, parent, directory] if flag == "--launch" => {
            Err(launch::run(&parent.to_string_lossy(), Path::new(directory)))
        }
        [directory] => supervise(Path::new(directory)),
        _ => Err(io::Error::other("the server itself starts `flyte-server supervise`; nobody else needs to")),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            // There is nowhere else to tell it.
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
        // Before the server can know this process: a signal without a handler would kill it.
        let terminate = signal(SignalKind::terminate())?;
        let children = signal(SignalKind::child())?;
        let clock = Clock::default();
        let started_at = clock.timestamp().as_millisecond();
        writeln!(lock, "{}", getpid().as_raw_nonzero())?;
        let how = match start(directory, &spec) {
            Ok((command, output)) => {
                let mut running = Running { command, status: None, terminate, children };
                let how = running.end(&spec.limits).await;
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

/// Takes back what the server raised for itself alone; the command inherits it.
fn lower_open_files() -> io::Result<()> {
    let kept = std::env::var(OPEN_FILES_VARIABLE).ok().and_then(|limit| limit.parse().ok());
    if let Some(current) = kept {
        let maximum = getrlimit(Resource::Nofile).maximum;
        setrlimit(Resource::Nofile, Rlimit { current: Some(current), maximum })?;
    }
    Ok(())
}

/// Standard input is the file that the server has locked for this process.
fn inherited_lock(directory: &Path) -> io::Result<File> {
    let inherited = File::from(io::stdin().as_fd().try_clone_to_owned()?);
    let (ours, theirs) = (inherited.metadata()?, fs::metadata(directory.join("lock"))?);
    if (ours.dev(), ours.ino()) == (theirs.dev(), theirs.ino()) {
        Ok(inherited)
    } else {
        Err(io::Error::other("standard input is not the lock of the directory: only the server starts this"))
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
        // Its environment comes with the command: nothing of it acts on this program.
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

/// The command, running.
struct Running {
    command: Pid,
    /// How it has ended.
    status: Option<WaitStatus>,
    terminate: Signals,
    children: Signals,
}

impl Running {
    /// Waits for the command's end, and brings it about where a limit is reached or the server asks for it.
    async fn end(&mut self, limits: &Limits) -> How {
        let deadline = limits.seconds.map(|seconds| Instant::now() + Duration::from_secs(seconds.min(YEAR)));
        let mut sample = SAMPLE;
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
                () = sleep(sample), if limits.memory.is_some() => {
                    let limit = limits.memory.unwrap_or(u64::MAX);
                    let used = tree::memory(&tree::descendants(getpid()), limit / 2);
                    if used > limit {
                        return How::OutOfMemory { used, limit };
                    }
                    sample = if used > limit / 2 { CLOSE_SAMPLE } else { SAMPLE };
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

    /// Asks all of it to end and gives it the time to.
    async fn stop(&mut self, limits: &Limits) {
        for member in tree::descendants(getpid()) {
            tree::signal(&member, Signal::TERM);
        }
        let gone = async {
            while self.reap() {
                self.children.recv().await;
            }
        };
        // What is left is killed next.
        let _ = timeout(Duration::from_secs(limits.grace.min(YEAR)), gone).await;
    }

    /// Kills what is left. A process whose parent has ended becomes ours, so that all of it has ended when we have no
    /// children.
    async fn kill_all(&mut self) {
        let gone = async {
            while self.reap() {
                for member in tree::descendants(getpid()) {
                    tree::signal(&member, Signal::KILL);
                }
                let _ = timeout(Duration::from_millis(20), self.children.recv()).await;
            }
        };
        if timeout(END, gone).await.is_err() {
            // Such as one that waits for a disk that does not answer.
            let _ = writeln!(io::stderr(), "flyte-server: processes of the command cannot be killed");
        }
    }

    /// Takes notice of children that have ended; whether there are others.
    fn reap(&mut self) -> bool {
        loop {
            match wait(WaitOptions::NOHANG) {
                Ok(Some((pid, status))) if pid == self.command => self.status = Some(status),
                Ok(Some(_)) => {}
                Ok(None) => return true,
                Err(rustix::io::Errno::INTR) => {}
                // There are none.
                Err(_) => return false,
            }
        }
    }
}
