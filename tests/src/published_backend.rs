//! A Flyte 2 backend that is made of the published services.

use std::{
    fs::{self, File},
    process::{Child, Command, Stdio},
};

use serde_json::Value;
use tempfile::TempDir;

use crate::{Server, eventually, free_port, python, repository};

/// A backend of published services (`tests/peers/backend.py`), killed when dropped.
#[derive(Debug)]
pub struct PublishedBackend {
    port: u16,
    directory: TempDir,
    process: Child,
}

impl PublishedBackend {
    /// Starts a backend and waits until it listens.
    #[must_use]
    pub fn start() -> Self {
        let (port, directory) = (free_port(), TempDir::new().unwrap());
        let log = directory.path().join("log");
        let process = Command::new(python())
            .arg(repository().join("tests/peers/backend.py"))
            .arg(port.to_string())
            .stdin(Stdio::null())
            .stderr(File::create(&log).unwrap())
            .spawn()
            .unwrap();
        let mut backend = Self { port, directory, process };
        eventually("the backend listens", || {
            let said = backend.log();
            assert!(backend.process.try_wait().unwrap().is_none(), "{said}");
            said.contains("listening").then_some(())
        });
        backend
    }

    fn log(&self) -> String {
        fs::read_to_string(self.directory.path().join("log")).unwrap()
    }

    /// Its port.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.port
    }

    /// A server in front of it.
    #[must_use]
    pub fn gateway(&self) -> Server {
        self.gateway_with("")
    }

    /// A server in front of it with further settings (TOML, with whole keys).
    #[must_use]
    pub fn gateway_with(&self, settings: &str) -> Server {
        let file = self.directory.path().join("flyte-server.toml");
        fs::write(&file, format!("upstream.url = \"http://127.0.0.1:{}\"\n{settings}", self.port)).unwrap();
        Server::with(&["--config", file.to_str().unwrap()])
    }

    /// The calls that have arrived.
    #[must_use]
    pub fn seen(&self) -> Vec<Value> {
        self.get("/seen").lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }

    /// The number of calls of a path that have arrived.
    #[must_use]
    pub fn calls(&self, path: &str) -> usize {
        self.seen().iter().filter(|call| call["path"] == path).count()
    }

    /// Answers the calls that wait for the project `slow`.
    pub fn release(&self) {
        let _ = self.get("/release");
    }

    /// Sends its process a signal, for example `STOP`.
    pub fn signal(&self, name: &str) {
        let status =
            Command::new("kill").args(["-s", name, &self.process.id().to_string()]).status().unwrap();
        assert!(status.success());
    }

    fn get(&self, path: &str) -> String {
        let http = reqwest::blocking::Client::builder().no_proxy().build().unwrap();
        http.get(format!("http://127.0.0.1:{}{path}", self.port)).send().unwrap().text().unwrap()
    }
}

impl Drop for PublishedBackend {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}
