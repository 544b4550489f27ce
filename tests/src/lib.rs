//! The world that the end-to-end tests play in: servers, machines with people at them, and peers.
//!
//! Everything is real: the binaries that `cargo build` made, sockets on the loopback address, Chromium, gnome-keyring, and
//! the published packages that `./test --setup` installs. What is missing is an error that names what to install, never a
//! test that is skipped.
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
pub use peer::{OidcProvider, S3, WebServer, python};
pub use project::Project;
pub use server::{Server, sign_in_elsewhere};
pub use stand_in::{Asked, Reply, StandIn};

/// What the administrator of a test's server signs in with.
pub const PASSWORD: &str = "correct-horse-battery-staple";

/// The repository.
#[must_use]
pub fn repository() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().to_owned()
}

/// The directory that cargo builds into: the tests run from within it.
#[must_use]
pub fn target() -> PathBuf {
    let test = env::current_exe().unwrap();
    test.ancestors().find(|path| path.join("debug").is_dir()).unwrap().to_owned()
}

/// One of our binaries, as last built.
#[must_use]
pub fn binary(name: &str) -> PathBuf {
    let path = target().join("debug").join(name);
    assert!(path.exists(), "{} is missing: run `cargo build --workspace` first", path.display());
    path
}

/// A port that was free a moment ago. Not one of those that the system gives to whoever connects: it could not be had again
/// after a restart.
#[must_use]
pub fn free_port() -> u16 {
    // The hasher's keys are random, and differ between the processes that tests are.
    let start = RandomState::new().hash_one(std::process::id());
    let mut ports = (0..).map(|step: u64| 12_000 + (start.wrapping_add(step * 7) % 20_000) as u16);
    ports.find(|port| TcpListener::bind(("127.0.0.1", *port)).is_ok()).unwrap()
}

/// Waits for something to become true; panics with `what` after two minutes.
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

/// What a command printed, for assertions.
#[derive(Clone, Debug)]
pub struct Told {
    /// Standard output.
    pub out: String,
    /// Standard error, and the signal that ended the command, if one did.
    pub err: String,
    /// The exit code; `None` where a signal ended it.
    pub code: Option<i32>,
}

impl Told {
    /// Runs a command to its end.
    #[must_use]
    pub fn by(command: &mut Command) -> Self {
        let output = command.output().unwrap_or_else(|error| panic!("{command:?}: {error}"));
        Self::from(output)
    }

    /// The same, where it succeeded.
    #[must_use]
    pub fn ok(self) -> Self {
        assert_eq!(self.code, Some(0), "{}\n{}", self.out, self.err);
        self
    }

    /// The same, where it failed with this exit code.
    #[must_use]
    pub fn failed(self, code: i32) -> Self {
        assert_eq!(self.code, Some(code), "{}\n{}", self.out, self.err);
        self
    }
}

impl From<Output> for Told {
    fn from(output: Output) -> Self {
        let mut err = String::from_utf8_lossy(&output.stderr).into_owned();
        if let Some(signal) = output.status.signal() {
            err.push_str(&format!("\n[ended by signal {signal}]"));
        }
        Self { out: String::from_utf8_lossy(&output.stdout).into_owned(), err, code: output.status.code() }
    }
}

/// Every file below a directory with its content, for proving that nothing was lost or left.
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
