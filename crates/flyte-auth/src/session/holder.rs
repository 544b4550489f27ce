//! The note beside a lock, for the processes that wait: which process holds the lock and why, and how a sign-in ended.

use std::{
    fmt, fs,
    path::{Path, PathBuf},
};

use serde::{Deserialize, Serialize};

use crate::AuthError;

/// A process that holds a lock.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Holder {
    /// The process ID.
    pub pid: u32,
    /// The name of the program, without arguments, which may hold secrets.
    pub program: String,
    /// What the process does.
    #[serde(rename = "doing")]
    pub activity: Activity,
    /// The process's host, because hosts may share a home directory.
    pub host: String,
    /// The boot of the host and the namespace that the process ID belongs to; empty if they are not known. Containers may share
    /// directories and host names.
    #[serde(default, rename = "place")]
    pub(super) pid_namespace: String,
    /// The start time of the process, as the system counts it: the system reuses process IDs.
    #[serde(default)]
    pub(super) started: Option<u64>,
}

/// Why a process holds a lock.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Activity {
    /// It sends a refresh token, or writes or removes a login. That takes seconds.
    Renewing,
    /// It waits for a person.
    SigningIn,
}

impl fmt::Display for Activity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Renewing => "renewing the login",
            Self::SigningIn => "signing in",
        })
    }
}

impl fmt::Display for Holder {
    /// Writes `process 4242 (flyte)`, and the host if it is another one.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "process {} ({})", self.pid, self.program)?;
        if self.host != host() {
            write!(f, " on {}", self.host)?;
        }
        Ok(())
    }
}

impl Holder {
    /// Describes this process.
    pub(super) fn this(activity: Activity) -> Self {
        let program = std::env::args_os().next().map(PathBuf::from);
        let program = program.as_deref().and_then(Path::file_name).map(|name| name.to_string_lossy());
        let pid = std::process::id();
        Self {
            pid,
            program: program.map_or_else(|| "unknown".to_owned(), |name| crate::token::clean(&name)),
            activity,
            host: host(),
            pid_namespace: pid_namespace(),
            started: Process::find(pid).map(|process| process.started),
        }
    }

    /// Whether its process ID is valid in this process's namespace.
    fn is_local(&self) -> bool {
        self.host == host() && self.pid_namespace == pid_namespace()
    }

    /// Looks the process up; `None` if the system does not know it, or if another process has its ID.
    fn process(&self) -> Option<Process> {
        let process = Process::find(self.pid)?;
        self.started.is_none_or(|started| started == process.started).then_some(process)
    }

    /// Whether the process is suspended (Ctrl-Z, SIGSTOP). `false` if this machine cannot tell.
    #[must_use]
    pub fn is_suspended(&self) -> bool {
        self.is_local() && self.process().is_some_and(|process| matches!(process.state, 'T' | 't'))
    }

    /// Whether the process has certainly ended.
    pub(super) fn is_gone(&self) -> bool {
        if !self.is_local() {
            return false;
        }
        #[cfg(unix)]
        {
            let pid = i32::try_from(self.pid).ok().and_then(rustix::process::Pid::from_raw);
            let absent = |pid| rustix::process::test_kill_process(pid) == Err(rustix::io::Errno::SRCH);
            let is_reused = Process::find(self.pid).is_some() && self.process().is_none();
            pid.is_none_or(absent) || is_reused || self.process().is_some_and(|process| process.state == 'Z')
        }
        #[cfg(not(unix))]
        false
    }
}

/// What Linux's `/proc` says about a process.
#[derive(Clone, Copy, Debug)]
struct Process {
    /// The state: for example `T` for stopped, and `Z` for a zombie.
    state: char,
    /// The start time, in ticks since the boot of the host.
    started: u64,
}

impl Process {
    /// Finds a process; `None` if it does not exist, or without `/proc`.
    fn find(pid: u32) -> Option<Self> {
        let text = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
        // The program's name is in parentheses and may contain any character.
        let mut fields = text.rsplit_once(')')?.1.split_ascii_whitespace();
        let state = fields.next()?.chars().next()?;
        // The start time is field 22.
        Some(Self { state, started: fields.nth(18)?.parse().ok()? })
    }
}

/// The boot of the host and the namespace of process IDs, from Linux's `/proc`.
fn pid_namespace() -> String {
    let boot_id = fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap_or_default();
    let namespace = fs::read_link("/proc/self/ns/pid").unwrap_or_default();
    format!("{}{}", boot_id.trim(), namespace.display())
}

fn host() -> String {
    #[cfg(unix)]
    let name = rustix::system::uname().nodename().to_string_lossy().into_owned();
    #[cfg(not(unix))]
    let name = std::env::var("COMPUTERNAME").unwrap_or_default();
    name
}

/// The outcome of a sign-in, for the processes that waited for it. Failures of the machine or the network have no such outcome.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum SignInOutcome {
    /// The sign-in succeeded, and the store holds its login.
    SignedIn,
    /// [`AuthError::AccessDenied`]
    Denied { description: Option<String> },
    /// [`AuthError::Refused`]
    Refused { code: String, description: Option<String> },
    /// [`AuthError::TimedOut`]
    TimedOut { minutes: u64 },
    /// [`AuthError::CodeEnded`]
    CodeEnded,
}

impl SignInOutcome {
    /// The outcome of an error; `None` for errors of the machine or the network, after which each waiting process tries itself.
    pub(super) fn of(error: &AuthError) -> Option<Self> {
        Some(match error {
            AuthError::AccessDenied { description } => Self::Denied { description: description.clone() },
            AuthError::Refused { code, description } => {
                Self::Refused { code: code.clone(), description: description.clone() }
            }
            AuthError::TimedOut { minutes } => Self::TimedOut { minutes: *minutes },
            AuthError::CodeEnded { .. } => Self::CodeEnded,
            _ => return None,
        })
    }

    /// The error for the processes that waited; `None` after success.
    pub(super) fn into_error(self) -> Option<AuthError> {
        Some(match self {
            Self::SignedIn => return None,
            Self::Denied { description } => AuthError::AccessDenied { description },
            Self::Refused { code, description } => AuthError::Refused { code, description },
            Self::TimedOut { minutes } => AuthError::TimedOut { minutes },
            Self::CodeEnded => AuthError::CodeEnded {
                reason: "the code that another process showed was not approved in time",
            },
        })
    }
}

/// The note beside a lock.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct LockNote {
    /// Identifies this holding of the lock.
    id: String,
    pub(super) holder: Holder,
    /// The outcome; `None` while the sign-in lasts, or if the process died.
    #[serde(rename = "verdict")]
    pub(super) outcome: Option<SignInOutcome>,
}

impl LockNote {
    /// Reads the note beside the lock at `path`. An unreadable note counts as missing.
    pub(super) fn read(path: &Path) -> Option<Self> {
        serde_json::from_slice(&fs::read(note_path(path)).ok()?).ok()
    }

    /// Writes that this process now holds the lock.
    pub(super) fn begin(path: &Path, activity: Activity) {
        let id = uuid::Uuid::new_v4().to_string();
        Self { id, holder: Holder::this(activity), outcome: None }.write(path);
    }

    /// Writes how this process's sign-in ended, unless another process now holds the lock.
    pub(super) fn end(path: &Path, outcome: SignInOutcome) {
        if let Some(note) = Self::read(path).filter(|note| note.holder == Holder::this(note.holder.activity))
        {
            Self { outcome: Some(outcome), ..note }.write(path);
        }
    }

    /// The process that holds the lock at `path`; `None` if the noted process has ended.
    pub(super) fn holder(path: &Path) -> Option<Holder> {
        Self::read(path).map(|note| note.holder).filter(|holder| !holder.is_gone())
    }

    fn write(&self, path: &Path) {
        let path = note_path(path);
        // Written without a temporary file: a partial note counts as missing, and a killed process leaves no file behind.
        let written =
            serde_json::to_vec(self).map_err(std::io::Error::from).and_then(|text| fs::write(&path, text));
        if let Err(error) = written {
            tracing::debug!(%error, path = %path.display(), "cannot write the note beside the lock");
        }
    }
}

fn note_path(path: &Path) -> PathBuf {
    path.with_extension("holder")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_outcome_is_converted_back_to_its_error() {
        let errors = [
            AuthError::AccessDenied { description: Some("no".to_owned()) },
            AuthError::Refused { code: "invalid_scope".to_owned(), description: None },
            AuthError::TimedOut { minutes: 5 },
        ];
        for error in errors {
            let shared = SignInOutcome::of(&error).unwrap().into_error().unwrap();
            assert_eq!(format!("{shared:?}"), format!("{error:?}"));
        }
        assert!(SignInOutcome::of(&AuthError::Interrupted).is_none(), "waiting processes try themselves");
        assert!(SignInOutcome::of(&AuthError::Random).is_none());
    }

    #[test]
    fn a_note_names_the_program_without_arguments() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("a.sign-in");
        assert_eq!(LockNote::read(&path), None);
        LockNote::begin(&path, Activity::SigningIn);
        let note = LockNote::read(&path).unwrap();
        assert!(!note.holder.is_gone() && !note.holder.is_suspended());
        let text = fs::read_to_string(note_path(&path)).unwrap();
        assert!(
            std::env::args().skip(1).all(|argument| argument.len() < 4 || !text.contains(&argument)),
            "{text}"
        );
        LockNote::end(&path, SignInOutcome::CodeEnded);
        let ended = LockNote::read(&path).unwrap();
        assert_eq!((ended.id, ended.outcome), (note.id, Some(SignInOutcome::CodeEnded)));
    }

    #[test]
    #[cfg(target_os = "linux")]
    fn an_ended_process_is_gone_and_a_stopped_one_is_suspended() {
        let mut child = std::process::Command::new("sleep").arg("60").spawn().unwrap();
        let started = Process::find(child.id()).map(|process| process.started);
        let holder = Holder { pid: child.id(), started, ..Holder::this(Activity::SigningIn) };
        let signal = |name: &str| {
            assert!(
                std::process::Command::new("kill")
                    .args([name, &child.id().to_string()])
                    .status()
                    .unwrap()
                    .success()
            );
        };
        signal("-STOP");
        while !holder.is_suspended() {
            std::thread::yield_now();
        }
        signal("-CONT");
        assert!(!holder.is_gone());
        child.kill().unwrap();
        child.wait().unwrap();
        assert!(holder.is_gone() && !holder.is_suspended());
        let elsewhere = Holder { host: "another".to_owned(), ..holder.clone() };
        assert!(!elsewhere.is_gone(), "processes of other hosts are not known");
        let container = Holder { pid_namespace: "another namespace".to_owned(), ..holder };
        assert!(!container.is_gone(), "processes of other containers are not known");
    }

    #[test]
    #[cfg(target_os = "linux")]
    fn a_process_with_a_reused_id_is_gone() {
        let this = Holder::this(Activity::SigningIn);
        assert!(this.started.is_some() && !this.pid_namespace.is_empty() && !this.is_gone());
        let before = Holder { started: this.started.map(|started| started - 1), ..this };
        assert!(before.is_gone() && !before.is_suspended());
    }

    #[test]
    fn only_the_holder_of_the_lock_writes_the_outcome() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("a.lock");
        LockNote::begin(&path, Activity::SigningIn);
        let note = LockNote::read(&path).unwrap();
        let others = LockNote { holder: Holder { pid: 1, ..note.holder.clone() }, ..note };
        others.write(&path);
        LockNote::end(&path, SignInOutcome::SignedIn);
        assert_eq!(LockNote::read(&path), Some(others));
    }
}
