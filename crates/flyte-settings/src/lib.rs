//! How the server is set up.
#![forbid(unsafe_code)]

pub mod endpoints;
mod error;
mod file;
mod load;
mod log_filter;
mod reference;
pub mod reserved;
mod setting;
pub mod settings;
mod value;

use std::{net::SocketAddr, path::PathBuf};

use flyte_model::Network;
use url::Url;

pub use error::ConfigError;
pub use load::{Environment, Flags, Loaded, Origin, load};
pub use log_filter::check_filter;
pub use reference::markdown;
pub use setting::{AnySetting, Default, Setting};
pub use value::{BucketUrl, Form, SandboxMode, Seconds, SigningAlgorithm, TlsMode, Value};

/// The server's settings after file, environment and flags have been merged. Durations are seconds.
#[derive(Clone, Debug)]
pub struct Config {
    /// The configuration file that was read.
    pub file: Option<PathBuf>,
    /// Issuer identifier and base of every public URL (RFC 8414 section 2), such as `https://localhost:8443/`;
    /// its path is `/`.
    pub public_url: Url,
    /// Address that the server listens on.
    pub listen: SocketAddr,
    /// Directory of everything that the server keeps (mode 0700).
    pub data_dir: PathBuf,
    /// Organization that projects are listed under; empty where there is none.
    pub org: String,
    /// Life of tokens.
    pub tokens: TokenConfig,
    /// Life of a browser's sign-in.
    pub session_ttl: i64,
    /// API keys.
    pub api_keys: ApiKeyConfig,
    /// The client that the `flyte` command and the PyPI package `flyte` are.
    pub public_client: PublicClientConfig,
    /// Encryption of connections.
    pub tls: TlsConfig,
    /// Limits of the HTTP server.
    pub http: HttpConfig,
    /// The account that the first start makes.
    pub admin: AdminConfig,
    /// The objects of tasks.
    pub objects: ObjectsConfig,
    /// Tasks that run on this machine.
    pub runner: RunnerConfig,
    /// The audit log.
    pub audit: AuditConfig,
    /// Trusted issuers.
    pub trust: TrustConfig,
    /// What is logged, and how.
    pub log: LogConfig,
}

/// How long tokens and keys live, in seconds.
#[derive(Clone, Debug)]
pub struct TokenConfig {
    /// Access tokens and ID tokens.
    pub access_token_ttl: i64,
    /// Refresh tokens, from their last rotation.
    pub refresh_token_ttl: i64,
    /// How long after its rotation a refresh token whose successor is unused may be presented again.
    pub refresh_token_grace: i64,
    /// Authorization codes.
    pub authorization_code_ttl: i64,
    /// Device codes and user codes.
    pub device_code_ttl: i64,
    /// How long a device waits between two polls.
    pub device_poll_interval: i64,
    /// `alg` of new signing keys: `ES256`, `EdDSA` or `RS256`.
    pub signing_algorithm: String,
    /// How long a key signs before the next one takes over.
    pub key_rotation_interval: i64,
}

/// API keys.
#[derive(Clone, Debug)]
pub struct ApiKeyConfig {
    /// How long a key works whose request does not say, in seconds.
    pub default_lifetime: i64,
}

/// The registration that `AuthMetadataService/GetPublicClientConfig` advertises.
#[derive(Clone, Debug)]
pub struct PublicClientConfig {
    /// `client_id`.
    pub client_id: String,
    /// Loopback redirect URI with an explicit port.
    pub redirect_uri: String,
    /// Scopes to ask for.
    pub scopes: Vec<String>,
}

/// How connections are encrypted.
#[derive(Clone, Debug)]
pub struct TlsConfig {
    /// Where the certificate comes from.
    pub source: TlsSource,
    /// Names and addresses that the local authority's certificate is for, besides `localhost`, `127.0.0.1`, `::1` and
    /// the host of the public URL.
    pub host_names: Vec<String>,
    /// Whether the server may speak unencrypted HTTP on an address that other machines can reach.
    pub allow_plaintext: bool,
}

/// Where the server's certificate comes from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TlsSource {
    /// From a certificate authority of this server's own, made at the first start.
    LocalAuthority,
    /// From files, which are read again when they change.
    Files {
        /// PEM file of the server's certificate and the intermediate certificates after it.
        certificate: PathBuf,
        /// PEM file of the private key.
        key: PathBuf,
    },
    /// There is none: a proxy in front of the server encrypts.
    Off,
}

/// Limits of the HTTP server; times in seconds, sizes in bytes.
#[derive(Clone, Debug)]
pub struct HttpConfig {
    /// Connections open at a time; further ones wait to be accepted.
    pub max_connections: usize,
    /// Requests worked on at a time; further ones get 503.
    pub max_concurrent_requests: usize,
    /// Streams open at a time; further ones are refused.
    pub max_streams: usize,
    /// The largest request body of the control plane.
    pub max_body_size: usize,
    /// How long a TLS handshake may take, and after it the head of a request.
    pub header_timeout: i64,
    /// How long a request may take until its response begins.
    pub request_timeout: i64,
    /// Proxies whose `X-Forwarded-For` is believed.
    pub trusted_proxies: Vec<Network>,
    /// How long after the signal to stop connections are still accepted, with `/readyz` saying no.
    pub drain_delay: i64,
    /// How long requests in flight may take to end after that.
    pub drain_timeout: i64,
}

/// The account that the first start makes.
#[derive(Clone, Debug)]
pub struct AdminConfig {
    /// E-mail address to sign in with.
    pub email: String,
    /// File whose content is the password; without it one is made up and printed.
    pub password_file: Option<PathBuf>,
}

/// The objects of tasks.
#[derive(Clone, Debug)]
pub struct ObjectsConfig {
    /// The bucket that they are in; without one they are files below the data directory.
    pub url: Option<BucketUrl>,
    /// Where the bucket's service is, if it is not AWS.
    pub endpoint: Option<Url>,
    /// The bucket's region.
    pub region: Option<String>,
    /// File with the credentials for it, as AWS's tools write them.
    pub credentials_file: Option<PathBuf>,
    /// The largest object that can be uploaded, in bytes.
    pub max_upload_size: usize,
}

/// Tasks that run on this machine; times in seconds, sizes in bytes.
#[derive(Clone, Debug)]
pub struct RunnerConfig {
    /// The most tasks that are worked on at once; 0 runs none.
    pub max_tasks: usize,
    /// Directory of the virtual environment whose programs tasks find first; `None` for what the server itself finds.
    pub python: Option<PathBuf>,
    /// Whether tasks are kept from the data directory.
    pub sandbox: SandboxMode,
    /// Whether tasks run as root, if the server does.
    pub allow_root: bool,
    /// The longest that an attempt may take, whatever its task says.
    pub max_runtime: Option<u64>,
    /// The most memory that an attempt may take, whatever its task says.
    pub max_memory: Option<u64>,
    /// The most that is kept of an attempt's log.
    pub max_log_size: u64,
    /// How long a task that is stopped may take to end.
    pub grace_period: u64,
}

/// The audit log.
#[derive(Clone, Debug)]
pub struct AuditConfig {
    /// How long its records are kept, in seconds.
    pub retention: i64,
}

/// Issuers whose tokens are exchanged for ours.
#[derive(Clone, Debug)]
pub struct TrustConfig {
    /// PEM file of certificate authorities that their servers may be certified by, besides the machine's.
    pub ca_file: Option<PathBuf>,
}

/// What is logged, and how.
#[derive(Clone, Debug)]
pub struct LogConfig {
    /// Directives of `tracing_subscriber::EnvFilter`, such as `info` or `flyte=debug`.
    pub filter: String,
    /// The form of each line.
    pub format: LogFormat,
}

/// The form of a line of the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogFormat {
    /// For people.
    Text,
    /// One JSON object.
    Json,
}

impl Config {
    /// The issuer identifier as it stands in `iss`: the public URL without the slash of its empty path.
    #[must_use]
    pub fn issuer(&self) -> &str {
        self.public_url.as_str().trim_end_matches('/')
    }

    /// The absolute URL of a path on this server; `path` starts with a slash.
    #[must_use]
    pub fn url(&self, path: &str) -> String {
        format!("{}{path}", self.issuer())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_issuer_has_no_trailing_slash() {
        let config = Config::for_test("/nowhere".as_ref());
        assert_eq!(config.issuer(), "https://localhost:8443");
        assert_eq!(config.url("/oauth2/token"), "https://localhost:8443/oauth2/token");
    }
}
