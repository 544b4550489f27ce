//! Who has a lock and for what, and how a sign-in ended: a note beside the lock, for those who wait.

use std::{
    fmt, fs,
    path::{Path, PathBuf},
};

use serde::{Deserialize, Serialize};

use crate::AuthError;

/// A process that others wait for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Holder {
    /// Its process ID.
    pub pid: u32,
    /// The name of its program, without arguments: they may hold secrets.
    pub program: String,
    /// What it does.
    pub doing: Doing,
    /// The host that it runs on: a home directory may be shared.
    pub host: String,
    /// Within which start of the host and which namespace the process ID is one; empty where that is not known. Containers share
    /// directories and host names too.
    #[serde(default)]
    pub(super) place: String,
    /// When it was started, as the system counts: a process ID is given to another process later.
    #[serde(default)]
    pub(super) started: Option<u64>,
}

/// What a process holds a lock for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Doing {
    /// Sends a refresh token, or writes or removes a login: a matter of seconds.
    Renewing,
    /// Waits for a person.
    SigningIn,
}

impl fmt::Display for Doing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Renewing => "renewing the login",
            Self::SigningIn => "signing in",
        })
    }
}

impl fmt::Display for Holder {
    /// `process 4242 (flyte)`, and where it is another machine's, on which.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "process {} ({})", self.pid, self.program)?;
        if self.host != host() {
            write!(f, " on {}", self.host)?;
        }
        Ok(())
    }
}

impl Holder {
    /// This process.
    pub(super) fn this(doing: Doing) -> Self {
        let program = std::env::args_os().next().map(PathBuf::from);
        let program = program.as_deref().and_then(Path::file_name).map(|name| name.to_string_lossy());
        let pid = std::process::id();
        Self {
            pid,
            program: program.map_or_else(|| "unknown".to_owned(), |name| crate::token::clean(&name)),
            doing,
            host: host(),
            place: place(),
            started: Process::of(pid).map(|process| process.started),
        }
    }

    /// Whether its process ID says something here.
    fn is_here(&self) -> bool {
        self.host == host() && self.place == place()
    }

    /// What the system says of it; `None` where it says nothing, or the process ID is another process's by now.
    fn process(&self) -> Option<Process> {
        let process = Process::of(self.pid)?;
        self.started.is_none_or(|started| started == process.started).then_some(process)
    }

    /// Whether it is stopped (Ctrl-Z, SIGSTOP), as far as this machine can tell.
    #[must_use]
    pub fn is_suspended(&self) -> bool {
        self.is_here() && self.process().is_some_and(|process| matches!(process.state, 'T' | 't'))
    }

    /// Whether it has ended for certain.
    pub(super) fn is_gone(&self) -> bool {
        if !self.is_here() {
            return false;
        }
        #[cfg(unix)]
        {
            let pid = i32::try_from(self.pid).ok().and_then(rustix::process::Pid::from_raw);
            let absent = |pid| rustix::process::test_kill_process(pid) == Err(rustix::io::Errno::SRCH);
            let is_another = Process::of(self.pid).is_some() && self.process().is_none();
            pid.is_none_or(absent) || is_another || self.process().is_some_and(|process| process.state == 'Z')
        }
        #[cfg(not(unix))]
        false
    }
}

/// What Linux's `/proc` says of a process.
#[derive(Clone, Copy, Debug)]
struct Process {
    /// What it does: `T` for stopped, `Z` for ended but not waited for, and others.
    state: char,
    /// When it was started, in ticks since the start of the host.
    started: u64,
}

impl Process {
    /// The process of an ID; `None` where there is none, or no `/proc`.
    fn of(pid: u32) -> Option<Self> {
        let text = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
        // The program's name stands in parentheses and may hold any character.
        let mut fields = text.rsplit_once(')')?.1.split_ascii_whitespace();
        let state = fields.next()?.chars().next()?;
        // The 22nd field of all.
        Some(Self { state, started: fields.nth(18)?.parse().ok()? })
    }
}

/// The start of the host and the namespace of process IDs, by Linux's `/proc`.
fn place() -> String {
    let start = fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap_or_default();
    let namespace = fs::read_link("/proc/self/ns/pid").unwrap_or_default();
    format!("{}{}", start.trim(), namespace.display())
}

fn host() -> String {
    #[cfg(unix)]
    let name = rustix::system::uname().nodename().to_string_lossy().into_owned();
    #[cfg(not(unix))]
    let name = std::env::var("COMPUTERNAME").unwrap_or_default();
    name
}

/// How a sign-in ended that others had waited for, where it went well, or the person, the server or time decided it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(super) enum Verdict {
    /// The login in the store is the one that it made.
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

impl Verdict {
    /// The verdict in an error. Errors of the machine or the network are none: whoever waited tries for themselves.
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

    /// The error for those who waited; `None` where it went well.
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
pub(super) struct Record {
    /// Tells one holding from the next.
    id: String,
    pub(super) holder: Holder,
    /// How it ended; `None` while it lasts, and where the process died.
    pub(super) verdict: Option<Verdict>,
}

impl Record {
    /// The note beside the lock at `path`. Anything that cannot be read counts as none.
    pub(super) fn read(path: &Path) -> Option<Self> {
        serde_json::from_slice(&fs::read(beside(path)).ok()?).ok()
    }

    /// Notes that this process has the lock now.
    pub(super) fn begin(path: &Path, doing: Doing) {
        let id = uuid::Uuid::new_v4().to_string();
        Self { id, holder: Holder::this(doing), verdict: None }.write(path);
    }

    /// Notes how a sign-in of this process ended, unless another process has the lock by now.
    pub(super) fn end(path: &Path, verdict: Verdict) {
        if let Some(record) =
            Self::read(path).filter(|record| record.holder == Holder::this(record.holder.doing))
        {
            Self { verdict: Some(verdict), ..record }.write(path);
        }
    }

    /// Who has the lock at `path`, as far as that is noted: not one that had it before.
    pub(super) fn holder(path: &Path) -> Option<Holder> {
        Self::read(path).map(|record| record.holder).filter(|holder| !holder.is_gone())
    }

    fn write(&self, path: &Path) {
        let path = beside(path);
        // Not by way of a temporary file: half a note counts as none, and nothing is to be left behind by a killed process.
        let written =
            serde_json::to_vec(self).map_err(std::io::Error::from).and_then(|text| fs::write(&path, text));
        if let Err(error) = written {
            tracing::debug!(%error, path = %path.display(), "who has the lock could not be noted");
        }
    }
}

fn beside(path: &Path) -> PathBuf {
    path.with_extension("holder")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_verdict_comes_out_as_the_error_that_it_was() {
        let errors = [
            AuthError::AccessDenied { description: Some("no".to_owned()) },
            AuthError::Refused { code: "invalid_scope".to_owned(), description: None },
            AuthError::TimedOut { minutes: 5 },
        ];
        for error in errors {
            let shared = Verdict::of(&error).unwrap().into_error().unwrap();
            assert_eq!(format!("{shared:?}"), format!("{error:?}"));
        }
        assert!(Verdict::of(&AuthError::Interrupted).is_none(), "whoever waited is still there");
        assert!(Verdict::of(&AuthError::Random).is_none());
    }

    #[test]
    fn a_note_names_the_program_and_no_argument() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("a.sign-in");
        assert_eq!(Record::read(&path), None);
        Record::begin(&path, Doing::SigningIn);
        let record = Record::read(&path).unwrap();
        assert!(!record.holder.is_gone() && !record.holder.is_suspended());
        let text = fs::read_to_string(beside(&path)).unwrap();
        assert!(
            std::env::args().skip(1).all(|argument| argument.len() < 4 || !text.contains(&argument)),
            "{text}"
        );
        Record::end(&path, Verdict::CodeEnded);
        let ended = Record::read(&path).unwrap();
        assert_eq!((ended.id, ended.verdict), (record.id, Some(Verdict::CodeEnded)));
    }

    #[test]
    #[cfg(target_os = "linux")]
    fn a_process_that_has_ended_is_gone_and_a_stopped_one_is_suspended() {
        let mut child = std::process::Command::new("sleep").arg("60").spawn().unwrap();
        let started = Process::of(child.id()).map(|process| process.started);
        let holder = Holder { pid: child.id(), started, ..Holder::this(Doing::SigningIn) };
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
        assert!(!elsewhere.is_gone(), "nothing is known about it");
        let container = Holder { place: "another namespace".to_owned(), ..holder };
        assert!(!container.is_gone(), "nor there");
    }

    #[test]
    #[cfg(target_os = "linux")]
    fn a_process_id_that_another_process_has_by_now_tells_nothing() {
        let this = Holder::this(Doing::SigningIn);
        assert!(this.started.is_some() && !this.place.is_empty() && !this.is_gone());
        let before = Holder { started: this.started.map(|started| started - 1), ..this };
        assert!(before.is_gone() && !before.is_suspended());
    }

    #[test]
    fn only_the_process_that_has_the_lock_notes_how_it_ended() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("a.lock");
        Record::begin(&path, Doing::SigningIn);
        let record = Record::read(&path).unwrap();
        let theirs = Record { holder: Holder { pid: 1, ..record.holder.clone() }, ..record };
        theirs.write(&path);
        Record::end(&path, Verdict::SignedIn);
        assert_eq!(Record::read(&path), Some(theirs));
    }
}
