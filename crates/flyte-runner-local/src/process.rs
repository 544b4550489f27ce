//! Processes that outlive the server. Each process has its own supervisor (`flyte-server supervise`), which writes the log,
//! enforces the limits and records how the process ended.
//!
//! Each process has a directory with these files:
//!
//! ```text
//! spec.json        what to start, and its limits
//! lock             locked while the supervisor runs; contains the supervisor's process ID before the command can start
//! log.jsonl        the output of the command (module `log`)
//! exit.json        how the process ended; the supervisor writes it last
//! supervisor.log   errors of the supervisor itself
//! lost             the directory was restored from a backup; the other files do not count
//! work/, tmp/      the command's working directory and temporary directory
//! ```
//!
//! The server takes the lock, and the supervisor inherits it. So a started process never looks as if it had not been
//! started. After a crash, the next server finds each process running, ended, lost or not started.

use std::{
    collections::BTreeMap,
    fmt,
    fs::{self, DirBuilder, File, OpenOptions, TryLockError},
    io::{self, Read as _, Seek as _, Write as _},
    os::{
        fd::OwnedFd,
        unix::{fs::DirBuilderExt as _, fs::OpenOptionsExt as _, process::CommandExt as _},
    },
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::OnceLock,
    time::Duration,
};

use rustix::process::{Pid, PidfdFlags, Signal, pidfd_open, pidfd_send_signal};
use serde::{Deserialize, Serialize};
use tokio::net::unix::pipe::Receiver;

use super::tree;

/// The environment variable with the directory of the process. It identifies the command's processes after the supervisor
/// was killed.
pub const DIRECTORY_VARIABLE: &str = "FLYTE_SUPERVISED";
/// The file that marks a process restored from a backup that was made before its end.
const LOST_FILE: &str = "lost";
/// The program of this process, even if its file was replaced.
const THIS_PROGRAM: &str = "/proc/self/exe";
/// The time between two checks of a lock.
const LOCK_CHECK_INTERVAL: Duration = Duration::from_millis(10);
/// The number of checks after which a supervisor that holds the lock must have written its process ID.
const MAX_LOCK_CHECKS: u32 = 1000;

/// A command to start, with its environment and limits.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Spec {
    /// The program and its arguments. The program is searched in the `PATH` of `environment`.
    pub command: Vec<String>,
    /// The whole environment. The supervisor adds [`DIRECTORY_VARIABLE`].
    pub environment: BTreeMap<String, String>,
    /// The limits of the process.
    pub limits: Limits,
    /// The sandbox. The process has no sandbox if this is `None`.
    pub sandbox: Option<Sandbox>,
}

/// The limits of a process and its descendants together.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Limits {
    /// The time after which the process is stopped, in seconds.
    pub seconds: Option<u64>,
    /// The memory of all its processes above which the process is killed, in bytes.
    pub memory: Option<u64>,
    /// The size of the log, in bytes. Older lines are removed.
    pub log: u64,
    /// The time between SIGTERM and SIGKILL, in seconds.
    pub grace: u64,
}

/// The files that a process cannot access (Landlock). Access to all other files does not change.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Sandbox {
    /// Directories and files that the process cannot read or write.
    pub hidden: Vec<PathBuf>,
    /// Exceptions in `hidden` that the process can read. It can also read its own directory.
    pub readable: Vec<PathBuf>,
    /// Exceptions in `hidden` that the process can read and write. It can also write `work` and `tmp` of its own directory.
    pub writable: Vec<PathBuf>,
    /// Whether the start fails if the kernel cannot enforce the sandbox.
    pub required: bool,
}

/// How a process ended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Exit {
    /// The kind of end.
    pub how: How,
    /// The time of the start of the command, in milliseconds of Unix time.
    pub started_at: i64,
    /// The time of the end, in milliseconds of Unix time.
    pub ended_at: i64,
}

/// The kind of end of a process.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum How {
    /// The command exited.
    Exited {
        /// Its exit code.
        code: i32,
    },
    /// A signal killed the command. The supervisor did not send it.
    Signalled {
        /// The number of the signal.
        signal: i32,
    },
    /// The command took longer than [`Limits::seconds`].
    TimedOut {
        /// The limit, in seconds.
        seconds: u64,
    },
    /// The command used more memory than [`Limits::memory`].
    OutOfMemory {
        /// The memory that it used when it was killed, in bytes.
        used: u64,
        /// The limit, in bytes.
        limit: u64,
    },
    /// The supervisor received SIGTERM, for example from [`Process::stop`].
    Stopped,
    /// The command could not be started.
    NotStarted {
        /// The reason, for the user.
        why: String,
        /// Whether the program was not found.
        missing: bool,
    },
}

impl fmt::Display for How {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Exited { code } => write!(f, "the command ended with exit code {code}"),
            Self::Signalled { signal } => match signal_name(*signal) {
                Some(name) => write!(f, "the command was killed by {name}"),
                None => write!(f, "the command was killed by signal {signal}"),
            },
            Self::TimedOut { seconds } => {
                write!(f, "the command was stopped because it ran longer than {seconds} seconds")
            }
            Self::OutOfMemory { used, limit } => write!(
                f,
                "the command was killed because it used {} MiB of memory; its limit is {} MiB",
                used >> 20,
                limit >> 20
            ),
            Self::Stopped => f.write_str("the command was stopped on request"),
            Self::NotStarted { why, .. } => write!(f, "cannot start the command: {why}"),
        }
    }
}

/// The name of a signal that ends a process. `None` for other signals.
fn signal_name(signal: i32) -> Option<&'static str> {
    const NAMES: [(Signal, &str); 12] = [
        (Signal::HUP, "SIGHUP"),
        (Signal::INT, "SIGINT"),
        (Signal::QUIT, "SIGQUIT"),
        (Signal::ILL, "SIGILL"),
        (Signal::ABORT, "SIGABRT"),
        (Signal::BUS, "SIGBUS"),
        (Signal::FPE, "SIGFPE"),
        (Signal::KILL, "SIGKILL (by the system if the machine ran out of memory, or by a user)"),
        (Signal::SEGV, "SIGSEGV"),
        (Signal::PIPE, "SIGPIPE"),
        (Signal::ALARM, "SIGALRM"),
        (Signal::TERM, "SIGTERM"),
    ];
    NAMES.iter().find(|(known, _)| known.as_raw() == signal).map(|(_, name)| *name)
}

/// The state of a process.
#[derive(Debug)]
pub enum Found {
    /// The process is running.
    Running(Process),
    /// The process has ended.
    Ended(Exit),
    /// The supervisor was killed, and the command with it. Its result is unknown.
    Lost,
    /// The command was never started. It can be started.
    NotStarted,
}

/// Starts processes.
#[derive(Clone, Debug)]
pub struct Supervisor {
    program: PathBuf,
}

impl Default for Supervisor {
    fn default() -> Self {
        Self { program: PathBuf::from(THIS_PROGRAM) }
    }
}

impl Supervisor {
    /// A supervisor that runs this `flyte-server` program, for tests. The program of a test is not `flyte-server`.
    #[must_use]
    pub fn with_program(program: PathBuf) -> Self {
        Self { program }
    }

    /// Starts a process in `directory`, and creates the directory if it does not exist. Must be called within a Tokio runtime.
    /// Blocks for a few file operations.
    ///
    /// # Errors
    /// `AlreadyExists` if the directory has a process. Other errors if the directory cannot be written or the supervisor
    /// cannot be started.
    pub fn start(&self, directory: &Path, spec: &Spec) -> io::Result<Process> {
        for name in ["work", "tmp"] {
            DirBuilder::new().recursive(true).mode(0o700).create(directory.join(name))?;
        }
        let lock = open_lock(directory, true)?;
        let taken = || io::Error::new(io::ErrorKind::AlreadyExists, "this directory already has a process");
        match lock.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Err(taken()),
            Err(TryLockError::Error(error)) => return Err(error),
        }
        if lock.metadata()?.len() > 0 || exit(directory)?.is_some() {
            return Err(taken());
        }
        let mut spec = spec.clone();
        spec.environment.insert(DIRECTORY_VARIABLE.to_owned(), directory.display().to_string());
        let mut file = open_private(&directory.join("spec.json"), true)?;
        file.set_len(0)?;
        file.write_all(&serde_json::to_vec(&spec)?)?;
        let child = Command::new(&self.program)
            .arg0("flyte-server")
            .arg("supervise")
            .arg(directory)
            // The specification contains the command's environment. The server's environment may contain secrets.
            .env_clear()
            .envs(OPEN_FILES.get().map(|limit| (OPEN_FILES_VARIABLE, limit)))
            .stdin(Stdio::from(lock))
            .stdout(Stdio::null())
            .stderr(Stdio::from(open_private(&directory.join("supervisor.log"), true)?))
            .spawn()?;
        let pid = Pid::from_child(&child);
        Process::new(directory, pidfd_open(pid, PidfdFlags::NONBLOCK)?, Some(child))
    }
}

/// The environment variable that passes the limit of open files for the command to the supervisor.
pub(super) const OPEN_FILES_VARIABLE: &str = "FLYTE_OPEN_FILES";
/// The limit of open files before the server raised it for itself.
static OPEN_FILES: OnceLock<String> = OnceLock::new();

/// Stores the limit of open files for commands. `None` means no limit. Many programs loop over all permitted file
/// descriptors or cannot use one above 1024, so commands do not get the server's higher limit.
pub fn keep_open_files(limit: Option<u64>) {
    if let Some(limit) = limit {
        // The first call has the limit of the system. Later calls change nothing.
        let _ = OPEN_FILES.set(limit.to_string());
    }
}

/// Marks the process in `directory` as lost. The directory was restored from a backup, so the process IDs in its files may
/// belong to other processes.
///
/// # Errors
/// If the directory cannot be written to.
pub fn mark_lost(directory: &Path) -> io::Result<()> {
    open_private(&directory.join(LOST_FILE), true).map(drop)
}

/// Returns the state of the process in `directory`. Must be called within a Tokio runtime.
///
/// # Errors
/// If the directory cannot be read.
pub async fn find(directory: &Path) -> io::Result<Found> {
    if directory.join(LOST_FILE).exists() {
        return Ok(Found::Lost);
    }
    for _ in 0..MAX_LOCK_CHECKS {
        let mut lock = match open_lock(directory, false) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Found::NotStarted),
            other => other?,
        };
        match lock.try_lock() {
            Ok(()) => {
                if let Some(exit) = exit(directory)? {
                    return Ok(Found::Ended(exit));
                }
                let Some(pid) = read_holder(&mut lock)? else { return Ok(Found::NotStarted) };
                tree::kill_rest(directory, pid);
                return Ok(Found::Lost);
            }
            Err(TryLockError::Error(error)) => return Err(error),
            Err(TryLockError::WouldBlock) => {}
        }
        let fd = read_holder(&mut lock)?.and_then(|pid| pidfd_open(pid, PidfdFlags::NONBLOCK).ok());
        // The lock is still held, so the process with this ID is the one that holds it.
        if let Some(fd) = fd
            && matches!(lock.try_lock(), Err(TryLockError::WouldBlock))
        {
            return Process::new(directory, fd, None).map(Found::Running);
        }
        drop(lock);
        tokio::time::sleep(LOCK_CHECK_INTERVAL).await;
    }
    Err(io::Error::new(
        io::ErrorKind::TimedOut,
        "the supervisor holds the lock but did not write its process ID",
    ))
}

/// Reads how the process in `directory` ended. `None` if it has not ended or its end is unknown.
///
/// # Errors
/// If the file exists but cannot be read.
pub fn exit(directory: &Path) -> io::Result<Option<Exit>> {
    match fs::read(directory.join("exit.json")) {
        Ok(text) => Ok(Some(serde_json::from_slice(&text)?)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

/// A running process. It continues if this value is dropped.
#[derive(Debug)]
pub struct Process {
    directory: PathBuf,
    /// The file descriptor of the supervisor (`pidfd_open(2)`). It becomes readable when the supervisor ends, so the type of
    /// a pipe can wait for that.
    supervisor: Receiver,
    /// The supervisor, if this process started it. Only its parent can remove an ended process from the process table.
    child: Option<Child>,
}

impl Process {
    fn new(directory: &Path, supervisor: OwnedFd, child: Option<Child>) -> io::Result<Self> {
        let supervisor = Receiver::from_owned_fd_unchecked(supervisor)?;
        Ok(Self { directory: directory.to_owned(), supervisor, child })
    }

    /// The directory of the process.
    #[must_use]
    pub fn directory(&self) -> &Path {
        &self.directory
    }

    /// The supervisor's process ID, if this process started the supervisor.
    #[must_use]
    pub fn supervisor(&self) -> Option<Pid> {
        self.child.as_ref().map(Pid::from_child)
    }

    /// Asks the supervisor to stop the process: SIGTERM to all its processes, then SIGKILL after [`Limits::grace`]. Returns at
    /// once; [`Process::ended`] waits for the end. Does nothing if the process has ended.
    pub fn stop(&self) {
        // This fails if the supervisor has ended.
        let _ = pidfd_send_signal(&self.supervisor, Signal::TERM);
    }

    /// Waits for the end of the process: [`Found::Ended`], or [`Found::Lost`] if its supervisor was killed. The future can be
    /// dropped, and the method called again.
    ///
    /// # Errors
    /// If the directory cannot be read.
    pub async fn ended(&mut self) -> io::Result<Found> {
        self.supervisor.readable().await?;
        if let Some(mut child) = self.child.take() {
            child.wait()?;
        }
        loop {
            match find(&self.directory).await? {
                // The supervisor ended before it wrote its process ID, so it had not started the command.
                Found::NotStarted => return Ok(Found::Lost),
                // Another process that the server starts at this moment can briefly inherit the lock.
                Found::Running(_) => tokio::time::sleep(LOCK_CHECK_INTERVAL).await,
                found => return Ok(found),
            }
        }
    }
}

/// Opens a file that only its owner can read.
fn open_private(path: &Path, create: bool) -> io::Result<File> {
    OpenOptions::new().read(true).write(true).create(create).truncate(false).mode(0o600).open(path)
}

fn open_lock(directory: &Path, create: bool) -> io::Result<File> {
    open_private(&directory.join("lock"), create)
}

/// Reads the supervisor's process ID from the lock file. `None` if the supervisor has not written it yet.
fn read_holder(lock: &mut File) -> io::Result<Option<Pid>> {
    let mut text = String::new();
    lock.rewind()?;
    lock.read_to_string(&mut text)?;
    // A number without a final newline may be incomplete.
    Ok(text.strip_suffix('\n').and_then(|number| number.parse().ok()).and_then(Pid::from_raw))
}
