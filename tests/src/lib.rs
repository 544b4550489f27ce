//! The environment of the end-to-end tests: servers, machines with users, and peers.
//!
//! Everything is real: the binaries that `cargo build` made, sockets on the loopback address, Chromium, gnome-keyring, and
//! the published packages that `./test --setup` installs. If a tool is missing, the test fails and names what to install. It is
//! never skipped.
#![forbid(unsafe_code)]
#![allow(clippy::missing_panics_doc, reason = "a test that cannot set up its world fails")]

mod browser;
mod certificate;
mod ci;
mod device;
mod guard;
mod machine;
mod peer;
mod project;
mod published_backend;
mod server;
mod stand_in;

use std::{
    env, fs,
    hash::{BuildHasher as _, RandomState},
    net::TcpListener,
    os::unix::process::ExitStatusExt as _,
    path::{Path, PathBuf},
    process::{Command, Output},
    time::{Duration, Instant},
};

pub use browser::{Browser, ENTER, TAB};
pub use certificate::{Certificate, Flaw};
pub use ci::Ci;
pub use device::{Answer, ShownDevice};
pub use machine::{Machine, Person};
pub use peer::{OidcProvider, S3, WebApp, WebServer, python};
pub use project::Project;
pub use published_backend::PublishedBackend;
pub use server::{Server, sign_in_elsewhere};
pub use stand_in::{Asked, Reply, StandIn};

/// The administrator's password at a test server.
pub const PASSWORD: &str = "correct-horse-battery-staple";

/// The repository.
#[must_use]
pub fn repository() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().to_owned()
}

/// The build directory of cargo, which contains the tests.
#[must_use]
pub fn target() -> PathBuf {
    let test = env::current_exe().unwrap();
    test.ancestors().find(|path| path.join("debug").is_dir()).unwrap().to_owned()
}

/// One of our binaries from the last build.
#[must_use]
pub fn binary(name: &str) -> PathBuf {
    let path = target().join("debug").join(name);
    assert!(path.exists(), "{} is missing: run `cargo build --workspace` first", path.display());
    path
}

/// Finds a free port outside of the system's range for outgoing connections. A port of that range could be in use
/// after a restart.
#[must_use]
pub fn free_port() -> u16 {
    // The hasher's keys are random, so they differ between test processes.
    let start = RandomState::new().hash_one(std::process::id());
    let mut ports = (0..).map(|step: u64| 12_000 + (start.wrapping_add(step * 7) % 20_000) as u16);
    ports.find(|port| TcpListener::bind(("127.0.0.1", *port)).is_ok()).unwrap()
}

/// Waits for a condition; panics with `what` after two minutes.
pub fn eventually<T>(what: &str, mut look: impl FnMut() -> Option<T>) -> T {
    let deadline = Instant::now() + Duration::from_secs(120);
    loop {
        if let Some(found) = look() {
            return found;
        }
        assert!(Instant::now() < deadline, "still not: {what}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// The output and exit code of a command, for assertions.
#[derive(Clone, Debug)]
pub struct CommandOutput {
    /// Standard output.
    pub out: String,
    /// Standard error, and the signal that ended the command, if one did.
    pub err: String,
    /// The exit code; `None` if a signal ended the command.
    pub code: Option<i32>,
}

impl CommandOutput {
    /// Runs a command to its end.
    #[must_use]
    pub fn of(command: &mut Command) -> Self {
        let output = command.output().unwrap_or_else(|error| panic!("{command:?}: {error}"));
        Self::from(output)
    }

    /// Runs a published command that only reads. It is aborted at its exit now and then, after it has printed everything, and then
    /// runs again.
    #[must_use]
    pub fn of_published(command: &mut Command) -> Self {
        let output = Self::of(command);
        if output.code.is_some() { output } else { Self::of(command) }
    }

    /// Asserts that the command succeeded.
    #[must_use]
    pub fn ok(self) -> Self {
        assert_eq!(self.code, Some(0), "{}\n{}", self.out, self.err);
        self
    }

    /// Asserts that the command failed with this exit code.
    #[must_use]
    pub fn failed(self, code: i32) -> Self {
        assert_eq!(self.code, Some(code), "{}\n{}", self.out, self.err);
        self
    }
}

impl From<Output> for CommandOutput {
    fn from(output: Output) -> Self {
        let mut err = String::from_utf8_lossy(&output.stderr).into_owned();
        if let Some(signal) = output.status.signal() {
            err.push_str(&format!("\n[ended by signal {signal}]"));
        }
        Self { out: String::from_utf8_lossy(&output.stdout).into_owned(), err, code: output.status.code() }
    }
}

/// All files below a directory with their content, to check that nothing was lost or left behind.
#[must_use]
pub fn files(directory: &Path) -> Vec<(PathBuf, Vec<u8>)> {
    let mut found = Vec::new();
    let mut directories = vec![directory.to_owned()];
    while let Some(directory) = directories.pop() {
        let Ok(entries) = fs::read_dir(&directory) else { continue };
        for entry in entries {
            let path = entry.unwrap().path();
            if path.is_dir() {
                directories.push(path);
            } else if let Ok(content) = fs::read(&path) {
                found.push((path, content));
            }
        }
    }
    found.sort();
    found
}
