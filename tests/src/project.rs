//! A user's project: a directory with code on a machine, and the published command in it.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use serde_json::Value;

use crate::{CommandOutput, Machine, Server, python, repository};

/// A directory `project` in a machine's home with the files of `tests/peers/apps`, with a signed-in user.
#[derive(Debug)]
pub struct Project {
    ca: PathBuf,
    machine: Machine,
}

impl Project {
    /// Creates one on a machine with a keyring, signed in at this server as the administrator.
    #[must_use]
    pub fn at(server: &Server) -> Self {
        let machine = Machine::with_keyring();
        machine.sign_in_by_forms(server);
        let project = Self { ca: server.ca(), machine };
        fs::create_dir(project.path()).unwrap();
        for file in fs::read_dir(repository().join("tests/peers/apps")).unwrap() {
            let file = file.unwrap();
            if file.file_type().unwrap().is_file() {
                fs::copy(file.path(), project.path().join(file.file_name())).unwrap();
            }
        }
        project
    }

    /// The machine of the project.
    #[must_use]
    pub fn machine(&self) -> &Machine {
        &self.machine
    }

    /// Its directory.
    #[must_use]
    pub fn path(&self) -> PathBuf {
        self.machine.home().join("project")
    }

    /// The published `flyte` in it.
    #[must_use]
    pub fn published(&self, arguments: &[&str]) -> Command {
        let mut command = self.machine.command(python().with_file_name("flyte"));
        // Its RPC transport uses the CA of the configuration, its HTTP client that of the system.
        command.env("SSL_CERT_FILE", &self.ca).current_dir(self.path()).args(arguments);
        // Tables and panels are as wide as the terminal.
        command.env("COLUMNS", "400");
        command
    }

    /// Our `flyte` in it.
    #[must_use]
    pub fn ours(&self, arguments: &[&str]) -> Command {
        let mut command = self.machine.flyte(arguments);
        command.current_dir(self.path());
        command
    }

    /// Runs the published `flyte run` with these arguments, and returns the run's name.
    #[must_use]
    pub fn run(&self, arguments: &[&str]) -> String {
        let output = CommandOutput::of(&mut self.published(&[&["run"], arguments].concat())).ok();
        let name = output.out.split("Created Run: ").nth(1).unwrap_or_else(|| panic!("{output:?}"));
        name.split(|c: char| !c.is_ascii_alphanumeric() && c != '-').next().unwrap().to_owned()
    }

    /// Waits for a run's end, and returns its details from the published `flyte.remote` (`tests/peers/run-details.py`).
    #[must_use]
    pub fn ended(&self, run: &str) -> Value {
        let script = repository().join("tests/peers/run-details.py");
        let output = CommandOutput::of(&mut self.python(&script, &[run])).ok();
        serde_json::from_str(&output.out).unwrap_or_else(|error| panic!("{error}: {output:?}"))
    }

    /// A script with the published package.
    #[must_use]
    pub fn python(&self, script: &Path, arguments: &[&str]) -> Command {
        let mut command = self.machine.command(python());
        command.env("SSL_CERT_FILE", &self.ca).current_dir(self.path()).arg(script).args(arguments);
        command
    }
}
