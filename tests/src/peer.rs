//! Peers that we did not write.

use std::{
    fs::File,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
};

use tempfile::TempDir;

use crate::{eventually, free_port, repository, target};

/// The Python interpreter of the environment that holds the published packages.
#[must_use]
pub fn python() -> PathBuf {
    let python = target().join("peers/venv/bin/python");
    assert!(python.exists(), "{} is missing: run `./test --setup` first", python.display());
    python
}

/// npm's `oidc-provider`, with PKCE and refresh rotation; killed when dropped.
#[derive(Debug)]
pub struct OidcProvider {
    directory: TempDir,
    port: u16,
    process: Child,
}

impl OidcProvider {
    /// A provider over TLS with this certificate and key, whose access tokens live `ttl` seconds.
    #[must_use]
    pub fn start(certificate: &Path, key: &Path, ttl: u32) -> Self {
        let directory = TempDir::new().unwrap();
        let port = free_port();
        let log = File::create(directory.path().join("log")).unwrap();
        let process = Command::new("node")
            .arg(repository().join("tests/peers/oidc-provider.mjs"))
            .env("PORT", port.to_string())
            .env("TLS_CERT", certificate)
            .env("TLS_KEY", key)
            .env("ACCESS_TOKEN_TTL", ttl.to_string())
            .stdin(Stdio::null())
            .stdout(log)
            .stderr(Stdio::null())
            .spawn()
            .expect("node is missing: install Debian's nodejs, or run `./test --setup`");
        let mut provider = Self { directory, port, process };
        eventually("oidc-provider listens (is it installed? run `./test --setup`)", || {
            assert!(provider.process.try_wait().unwrap().is_none(), "run `./test --setup` first");
            provider.log().contains("listening").then_some(())
        });
        provider
    }

    /// What it has printed: a line for each grant.
    #[must_use]
    pub fn log(&self) -> String {
        std::fs::read_to_string(self.directory.path().join("log")).unwrap_or_default()
    }

    /// Its endpoint.
    #[must_use]
    pub fn endpoint(&self) -> String {
        format!("localhost:{}", self.port)
    }
}

impl Drop for OidcProvider {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}
