//! Processes that outlive the server: each has a supervisor of its own (`flyte-server supervise`), which keeps its log,
//! holds it to its limits, and writes down how it ended.
//!
//! A process has a directory:
//!
//! ```text
//! spec.json        what to start, and its limits
//! lock             held as long as the supervisor lives; tells its process once the command may have been started
//! log.jsonl        what the command has written (runner::log)
//! exit.json        how it ended; written at the very end
//! supervisor.log   what went wrong with the supervisor itself
//! lost             instead of all that: the directory was restored from a backup
//! work/, tmp/      the command's working and temporary directory
//! ```
//!
//! The lock is taken by the server and inherited by the supervisor, so that there is no moment at which a process that was
//! started looks as if it were not: whoever comes back after a crash finds it running, ended, lost, or never started.

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

/// What a command finds its own directory by, and we the command's processes after its supervisor was killed.
pub const MARK: &str = "FLYTE_SUPERVISED";
/// The mark of a process that was restored from a backup before it had ended.
const LOST: &str = "lost";
/// The program that this process is, even where its file has been replaced.
const THIS_PROGRAM: &str = "/proc/self/exe";
/// How long a supervisor that has the lock may take to tell its process.
const PATIENCE: u32 = 1000;

/// What to start.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Spec {
    /// Program and arguments; the program is looked for in the `PATH` of the environment.
    pub command: Vec<String>,
    /// The whole environment, but for [`MARK`], which is added.
    pub environment: BTreeMap<String, String>,
    /// What it is held to.
    pub limits: Limits,
    /// What is kept from it; nothing where this is `None`.
    pub sandbox: Option<Sandbox>,
}

/// What a process and all that it starts are held to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Limits {
    /// Seconds after which it is stopped.
    pub seconds: Option<u64>,
    /// Bytes of memory, of all its processes together, at which it is killed.
    pub memory: Option<u64>,
    /// Bytes of its log that are kept; what is older goes.
    pub log: u64,
    /// Seconds between being told to stop and being killed.
    pub grace: u64,
}

/// What is kept from a process (Landlock). Everything else on the machine stays as it is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Sandbox {
    /// Directories and files that it can neither read nor write.
    pub hidden: Vec<PathBuf>,
    /// What it can read in there all the same, besides the process's own directory.
    pub readable: Vec<PathBuf>,
    /// What it can read and write in there all the same, besides `work` and `tmp` of the process's own directory.
    pub writable: Vec<PathBuf>,
    /// Whether the process is not started where the kernel cannot do this.
    pub required: bool,
}

/// How a process ended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Exit {
    /// In which way.
    pub how: How,
    /// When the command was started, in milliseconds of Unix time.
    pub started_at: i64,
    /// When it had ended, in milliseconds of Unix time.
    pub ended_at: i64,
}

/// In which way a process ended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum How {
    /// By itself.
    Exited {
        /// Its exit code.
        code: i32,
    },
    /// By a signal that we have not sent.
    Signalled {
        /// Its number.
        signal: i32,
    },
    /// It took longer than [`Limits::seconds`].
    TimedOut {
        /// The limit.
        seconds: u64,
    },
    /// It took more than [`Limits::memory`].
    OutOfMemory {
        /// Bytes that it had when it was killed.
        used: u64,
        /// The limit.
        limit: u64,
    },
    /// [`Process::stop`] was called.
    Stopped,
    /// There was nothing to start.
    NotStarted {
        /// Why, for people.
        why: String,
        /// Whether it is because there is no such program.
        missing: bool,
    },
}

impl fmt::Display for How {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Exited { code } => write!(f, "the command ended with exit code {code}"),
            Self::Signalled { signal } => match name(*signal) {
                Some(name) => write!(f, "the command was killed by {name}"),
                None => write!(f, "the command was killed by signal {signal}"),
            },
            Self::TimedOut { seconds } => {
                write!(f, "the command was stopped: it took longer than {seconds} seconds")
            }
            Self::OutOfMemory { used, limit } => write!(
                f,
                "the command was killed: it took {} MiB of memory, and its limit is {} MiB",
                used >> 20,
                limit >> 20
            ),
            Self::Stopped => f.write_str("the command was stopped as asked"),
            Self::NotStarted { why, .. } => write!(f, "the command could not be started: {why}"),
        }
    }
}

/// The name of a signal that ends processes.
fn name(signal: i32) -> Option<&'static str> {
    const NAMES: [(Signal, &str); 12] = [
        (Signal::HUP, "SIGHUP"),
        (Signal::INT, "SIGINT"),
        (Signal::QUIT, "SIGQUIT"),
        (Signal::ILL, "SIGILL"),
        (Signal::ABORT, "SIGABRT"),
        (Signal::BUS, "SIGBUS"),
        (Signal::FPE, "SIGFPE"),
        (Signal::KILL, "SIGKILL (out of memory on the machine, or somebody did it)"),
        (Signal::SEGV, "SIGSEGV"),
        (Signal::PIPE, "SIGPIPE"),
        (Signal::ALARM, "SIGALRM"),
        (Signal::TERM, "SIGTERM"),
    ];
    NAMES.iter().find(|(known, _)| known.as_raw() == signal).map(|(_, name)| *name)
}

/// What has become of a process.
#[derive(Debug)]
pub enum Found {
    /// It is running.
    Running(Process),
    /// It has ended.
    Ended(Exit),
    /// Its supervisor was killed, and its command with it. What it had done by then nobody knows.
    Lost,
    /// Its command was never started: it can be.
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
    /// Starts processes with another `flyte-server` than this one; for tests, which are none.
    #[must_use]
    pub fn with_program(program: PathBuf) -> Self {
        Self { program }
    }

    /// Starts a process in `directory`, which is made where it is missing. Must be called within a runtime; blocks for a
    /// few file operations.
    ///
    /// # Errors
    /// When the directory cannot be written, has a process already (`AlreadyExists`), or the supervisor cannot be started.
    pub fn start(&self, directory: &Path, spec: &Spec) -> io::Result<Process> {
        for name in ["work", "tmp"] {
            DirBuilder::new().recursive(true).mode(0o700).create(directory.join(name))?;
        }
        let lock = open_lock(directory, true)?;
        let taken = || io::Error::new(io::ErrorKind::AlreadyExists, "there is a process in this directory");
        match lock.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Err(taken()),
            Err(TryLockError::Error(error)) => return Err(error),
        }
        if lock.metadata()?.len() > 0 || exit(directory)?.is_some() {
            return Err(taken());
        }
        let mut spec = spec.clone();
        spec.environment.insert(MARK.to_owned(), directory.display().to_string());
        let mut file = private(&directory.join("spec.json"), true)?;
        file.set_len(0)?;
        file.write_all(&serde_json::to_vec(&spec)?)?;
        let child = Command::new(&self.program)
            .arg0("flyte-server")
            .arg("supervise")
            .arg(directory)
            // The command's environment is in its specification; ours may hold what it must not see.
            .env_clear()
            .envs(OPEN_FILES.get().map(|limit| (OPEN_FILES_VARIABLE, limit)))
            .stdin(Stdio::from(lock))
            .stdout(Stdio::null())
            .stderr(Stdio::from(private(&directory.join("supervisor.log"), true)?))
            .spawn()?;
        let pid = Pid::from_child(&child);
        Process::new(directory, pidfd_open(pid, PidfdFlags::NONBLOCK)?, Some(child))
    }
}

/// Tells a supervisor the limit of open files that its command is to have.
pub(super) const OPEN_FILES_VARIABLE: &str = "FLYTE_OPEN_FILES";
/// The limit of open files before the server raised its own.
static OPEN_FILES: OnceLock<String> = OnceLock::new();

/// Keeps the limit of open files that commands are to have: many close or ask for each that they may have, or cannot use one
/// above 1024. `None` is no limit.
pub fn keep_open_files(limit: Option<u64>) {
    if let Some(limit) = limit {
        // The first is the system's.
        let _ = OPEN_FILES.set(limit.to_string());
    }
}

/// Notes that nobody can know what became of the process in `directory`, which was restored from a backup: another machine, or
/// another time, may have the processes that its files name.
///
/// # Errors
/// When the directory cannot be written to.
pub fn mark_lost(directory: &Path) -> io::Result<()> {
    private(&directory.join(LOST), true).map(drop)
}

/// What has become of the process in `directory`. Must be called within a runtime.
///
/// # Errors
/// When the directory cannot be read.
pub async fn find(directory: &Path) -> io::Result<Found> {
    if directory.join(LOST).exists() {
        return Ok(Found::Lost);
    }
    for _ in 0..PATIENCE {
        let mut lock = match open_lock(directory, false) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Found::NotStarted),
            other => other?,
        };
        match lock.try_lock() {
            Ok(()) => {
                if let Some(exit) = exit(directory)? {
                    return Ok(Found::Ended(exit));
                }
                let Some(pid) = holder(&mut lock)? else { return Ok(Found::NotStarted) };
                tree::kill_rest(directory, pid);
                return Ok(Found::Lost);
            }
            Err(TryLockError::Error(error)) => return Err(error),
            Err(TryLockError::WouldBlock) => {}
        }
        let fd = holder(&mut lock)?.and_then(|pid| pidfd_open(pid, PidfdFlags::NONBLOCK).ok());
        // Held still: the process of that number is the one that holds it.
        if let Some(fd) = fd
            && matches!(lock.try_lock(), Err(TryLockError::WouldBlock))
        {
            return Process::new(directory, fd, None).map(Found::Running);
        }
        drop(lock);
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    Err(io::Error::new(io::ErrorKind::TimedOut, "the supervisor has the lock but does not tell its process"))
}

/// How the process in `directory` ended; `None` where it has not, or nobody knows.
///
/// # Errors
/// When the file is there but cannot be read.
pub fn exit(directory: &Path) -> io::Result<Option<Exit>> {
    match fs::read(directory.join("exit.json")) {
        Ok(text) => Ok(Some(serde_json::from_slice(&text)?)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

/// A running process; it goes on when this is dropped.
#[derive(Debug)]
pub struct Process {
    directory: PathBuf,
    /// Its file descriptor (`pidfd_open(2)`), which becomes readable at its end: all that is asked of a pipe here.
    supervisor: Receiver,
    /// Where this process has started it, and must see its end for the system to forget it.
    child: Option<Child>,
}

impl Process {
    fn new(directory: &Path, supervisor: OwnedFd, child: Option<Child>) -> io::Result<Self> {
        let supervisor = Receiver::from_owned_fd_unchecked(supervisor)?;
        Ok(Self { directory: directory.to_owned(), supervisor, child })
    }

    /// Its directory.
    #[must_use]
    pub fn directory(&self) -> &Path {
        &self.directory
    }

    /// Tells it to stop: SIGTERM to all of it, then SIGKILL after [`Limits::grace`]. Its end is for [`Process::ended`] to
    /// tell. One that has ended is left alone.
    pub fn stop(&self) {
        // It fails for one that has ended.
        let _ = pidfd_send_signal(&self.supervisor, Signal::TERM);
    }

    /// Waits for its end: [`Found::Ended`], or [`Found::Lost`] where its supervisor was killed. May be given up and called
    /// again.
    ///
    /// # Errors
    /// When the directory cannot be read.
    pub async fn ended(&mut self) -> io::Result<Found> {
        self.supervisor.readable().await?;
        if let Some(mut child) = self.child.take() {
            child.wait()?;
        }
        loop {
            match find(&self.directory).await? {
                // Stopped before it had said who it was: nothing had been started.
                Found::NotStarted => return Ok(Found::Lost),
                // For a moment, a process that the server just starts has our file open too.
                Found::Running(_) => tokio::time::sleep(Duration::from_millis(10)).await,
                found => return Ok(found),
            }
        }
    }
}

/// A file that only its owner can read.
fn private(path: &Path, create: bool) -> io::Result<File> {
    OpenOptions::new().read(true).write(true).create(create).truncate(false).mode(0o600).open(path)
}

fn open_lock(directory: &Path, create: bool) -> io::Result<File> {
    private(&directory.join("lock"), create)
}

/// The supervisor's process, once it has told it.
fn holder(lock: &mut File) -> io::Result<Option<Pid>> {
    let mut text = String::new();
    lock.rewind()?;
    lock.read_to_string(&mut text)?;
    // A number without the end of its line may be half of one.
    Ok(text.strip_suffix('\n').and_then(|number| number.parse().ok()).and_then(Pid::from_raw))
}
