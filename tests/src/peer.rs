//! Third-party peers.

use std::{
    fs::File,
    net::TcpStream,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
};

use tempfile::TempDir;

use crate::{Certificate, eventually, free_port, repository, target};

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
    /// Starts a provider over TLS with this certificate. Its access tokens live `ttl` seconds.
    #[must_use]
    pub fn start(certificate: &Certificate, ttl: u32) -> Self {
        Self::start_with(certificate, ttl, &[])
    }

    /// The same, with further settings of `oidc-provider.mjs`.
    #[must_use]
    pub fn start_with(certificate: &Certificate, ttl: u32, settings: &[(&str, &str)]) -> Self {
        Self::at(free_port(), certificate, ttl, settings)
    }

    /// The same, at this port.
    #[must_use]
    pub fn at(port: u16, certificate: &Certificate, ttl: u32, settings: &[(&str, &str)]) -> Self {
        let directory = TempDir::new().unwrap();
        let log = File::create(directory.path().join("log")).unwrap();
        let process = Command::new("node")
            .arg(repository().join("tests/peers/oidc-provider.mjs"))
            .env("PORT", port.to_string())
            .env("TLS_CERT", certificate.pem())
            .env("TLS_KEY", certificate.pem())
            .env("ACCESS_TOKEN_TTL", ttl.to_string())
            .env("CLIENT_KEY", directory.path().join("client-key.pem"))
            .envs(settings.iter().copied())
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

    /// Its output: a line for each grant.
    #[must_use]
    pub fn log(&self) -> String {
        std::fs::read_to_string(self.directory.path().join("log")).unwrap_or_default()
    }

    /// The private key of its client `ci-key`.
    #[must_use]
    pub fn client_key(&self) -> PathBuf {
        self.directory.path().join("client-key.pem")
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

/// A web server that is not a control plane and always answers with the same page; killed when dropped.
#[derive(Debug)]
pub struct WebServer {
    directory: TempDir,
    port: u16,
    process: Child,
}

impl WebServer {
    /// Starts one at a free port with this certificate and HTTP status.
    #[must_use]
    pub fn start(certificate: &Certificate, status: u16) -> Self {
        Self::at(free_port(), &certificate.pem(), status)
    }

    /// Starts one at this port, with a file that has its certificate and key.
    #[must_use]
    pub fn at(port: u16, pem: &Path, status: u16) -> Self {
        let directory = TempDir::new().unwrap();
        let log = File::create(directory.path().join("log")).unwrap();
        let process = Command::new("python3")
            .arg(repository().join("tests/peers/web-server.py"))
            .arg(port.to_string())
            .arg(pem)
            .arg(status.to_string())
            .stdin(Stdio::null())
            .stderr(log)
            .spawn()
            .expect("python3 is missing: run `./test --setup`");
        let mut server = Self { directory, port, process };
        eventually("the web server listens", || {
            assert!(server.process.try_wait().unwrap().is_none(), "{}", server.log());
            server.log().contains("listening").then_some(())
        });
        server
    }

    /// Its requests, one in each line.
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

impl Drop for WebServer {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// A console, an app and a foreign page (`tests/peers/web-app.py`); killed when dropped.
#[derive(Debug)]
pub struct WebApp {
    port: u16,
    process: Child,
}

impl WebApp {
    /// Starts them at a free port of the loopback address, over plain HTTP.
    #[must_use]
    pub fn start() -> Self {
        let port = free_port();
        let process = Command::new(python())
            .arg(repository().join("tests/peers/web-app.py"))
            .arg(port.to_string())
            .stdin(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let mut app = Self { port, process };
        eventually("the app listens", || {
            assert!(app.process.try_wait().unwrap().is_none(), "the app has ended");
            TcpStream::connect(("127.0.0.1", port)).ok()
        });
        app
    }

    /// The URL of a path on it.
    #[must_use]
    pub fn url(&self, path: &str) -> String {
        format!("http://127.0.0.1:{}{path}", self.port)
    }
}

impl Drop for WebApp {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// PyPI's `moto`: an S3 in memory. Killed when dropped.
#[derive(Debug)]
pub struct S3 {
    port: u16,
    process: Child,
}

impl S3 {
    /// Starts an empty S3.
    #[must_use]
    pub fn start() -> Self {
        let program = target().join("peers/s3/bin/moto_server");
        assert!(program.exists(), "{} is missing: run `./test --setup` first", program.display());
        let port = free_port();
        let process = Command::new(program)
            .args(["--host", "127.0.0.1", "--port", &port.to_string()])
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let mut s3 = Self { port, process };
        eventually("moto listens", || {
            assert!(s3.process.try_wait().unwrap().is_none(), "moto has ended");
            TcpStream::connect(("127.0.0.1", port)).ok()
        });
        s3
    }

    /// The URL of a path on it.
    #[must_use]
    pub fn url(&self, path: &str) -> String {
        format!("http://127.0.0.1:{}{path}", self.port)
    }

    /// The object of a key, read with AWS's own library, because not all objects are public.
    #[must_use]
    pub fn content(&self, bucket: &str, key: &str) -> Vec<u8> {
        const READ: &str = "import boto3, sys; s3 = boto3.client('s3', endpoint_url=sys.argv[1]); \
                            found = s3.get_object(Bucket=sys.argv[2], Key=sys.argv[3]); \
                            sys.stdout.buffer.write(found['Body'].read())";
        let read = Command::new(target().join("peers/s3/bin/python"))
            .args(["-c", READ, &self.url("/"), bucket, key])
            .envs([
                ("AWS_ACCESS_KEY_ID", "x"),
                ("AWS_SECRET_ACCESS_KEY", "y"),
                ("AWS_DEFAULT_REGION", "eu-west-1"),
            ])
            .output()
            .unwrap();
        assert!(read.status.success(), "{bucket}/{key}: {}", String::from_utf8_lossy(&read.stderr));
        read.stdout
    }
}

impl Drop for S3 {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}
