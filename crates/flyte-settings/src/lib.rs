//! The settings of the server: their definitions, their sources, and the reference page.
#![forbid(unsafe_code)]

mod app_hosts;
mod cluster;
pub mod endpoints;
mod error;
mod file;
mod load;
mod log_filter;
mod per_project;
mod projects;
mod provider;
mod reference;
pub mod reserved;
mod setting;
pub mod settings;
mod shown;
mod value;

use std::{net::SocketAddr, path::PathBuf};

use flyte_model::{ClientId, Network, Scopes};
use url::Url;

pub use app_hosts::AppHosts;
pub use cluster::{ClusterUrl, MAIN_BACKEND};
pub use error::ConfigError;
pub use load::{Environment, Flags, Loaded, Origin, ProviderValue, load};
pub use log_filter::check_filter;
pub use per_project::PerProject;
pub use projects::{PodSecurity, ProjectsConfig, UnknownPodSecurity};
pub use provider::{LinkRule, ProviderConfig, ProviderCredential, ProviderPreset};
pub use reference::markdown;
pub use setting::{AnySetting, Default, Setting};
pub use settings::{KubernetesVerification, NumberMatching};
pub use shown::ShownSetting;
pub use value::{BucketUrl, Form, SandboxMode, Seconds, SigningAlgorithm, TlsMode, Value};

/// The server's settings after file, environment and flags have been merged. Durations are seconds.
#[derive(Clone, Debug)]
pub struct Config {
    /// The configuration file that was read.
    pub file: Option<PathBuf>,
    /// Issuer identifier and base of every public URL (RFC 8414 section 2), for example `https://localhost:8443/`. Its
    /// path is `/`.
    pub public_url: Url,
    /// Address that the server listens on.
    pub listen: SocketAddr,
    /// Directory of all the server's data (mode 0700).
    pub data_dir: PathBuf,
    /// Organization that projects are listed under; empty if there is none.
    pub org: String,
    /// Lifetimes of tokens.
    pub tokens: TokenConfig,
    /// Lifetime of a browser session, in seconds.
    pub session_ttl: i64,
    /// Whether people can sign in with a password of this server.
    pub passwords: bool,
    /// Rules for new passwords.
    pub password_rules: PasswordsConfig,
    /// Outside providers, through which people sign in, sorted by name.
    pub providers: Vec<ProviderConfig>,
    /// What accounts may do.
    pub access: AccessConfig,
    /// API keys.
    pub api_keys: ApiKeyConfig,
    /// The client registration of the `flyte` command and the PyPI package `flyte`.
    pub public_client: PublicClientConfig,
    /// Encryption of connections.
    pub tls: TlsConfig,
    /// Limits of the HTTP server.
    pub http: HttpConfig,
    /// The account that the first start creates.
    pub admin: AdminConfig,
    /// The backend behind this server. If it is `None`, this server is the control plane itself.
    pub upstream: Option<UpstreamConfig>,
    /// Pods as callers. If it is `None`, they are not.
    pub kubernetes: Option<KubernetesConfig>,
    /// Storage of the objects of tasks.
    pub objects: ObjectsConfig,
    /// What the projects of a backend may use.
    pub projects: ProjectsConfig,
    /// Tasks that run on this machine.
    pub runner: RunnerConfig,
    /// The audit log.
    pub audit: AuditConfig,
    /// Trusted issuers.
    pub trust: TrustConfig,
    /// What is logged, and how.
    pub log: LogConfig,
}

/// Lifetimes of tokens and keys, in seconds.
#[derive(Clone, Debug)]
pub struct TokenConfig {
    /// Access tokens and ID tokens.
    pub access_token_ttl: i64,
    /// Refresh tokens, from their last rotation.
    pub refresh_token_ttl: i64,
    /// How long after its rotation a refresh token may be presented again, if its successor is unused.
    pub refresh_token_grace: i64,
    /// Authorization codes.
    pub authorization_code_ttl: i64,
    /// Device codes and user codes.
    pub device_code_ttl: i64,
    /// How long a device waits between two polls.
    pub device_poll_interval: i64,
    /// Whether devices show a number that the page asks for.
    pub device_match: NumberMatching,
    /// `alg` of new signing keys: `ES256`, `EdDSA` or `RS256`.
    pub signing_algorithm: String,
    /// How long a key signs before the next key replaces it.
    pub key_rotation_interval: i64,
}

/// Rules for new passwords.
#[derive(Clone, Debug)]
pub struct PasswordsConfig {
    /// The minimum length in characters.
    pub min_length: usize,
    /// File of passwords that have leaked, in the format of Have I Been Pwned.
    pub breached_file: Option<PathBuf>,
}

/// What accounts may do.
#[derive(Clone, Debug)]
pub struct AccessConfig {
    /// The role that a new account gets everywhere if nothing else is said: `contributor`, `viewer` or `none`.
    pub default_role: String,
}

/// API keys.
#[derive(Clone, Debug)]
pub struct ApiKeyConfig {
    /// Lifetime of a key whose request has none, in seconds.
    pub default_lifetime: i64,
}

/// The registration that `AuthMetadataService/GetPublicClientConfig` advertises.
#[derive(Clone, Debug)]
pub struct PublicClientConfig {
    /// `client_id`.
    pub client_id: ClientId,
    /// Loopback redirect URI with an explicit port.
    pub redirect_uri: String,
    /// Scopes that the client asks for.
    pub scopes: Scopes,
}

/// How connections are encrypted.
#[derive(Clone, Debug)]
pub struct TlsConfig {
    /// The source of the certificate.
    pub source: TlsSource,
    /// Names and addresses for the local authority's certificate, besides `localhost`, `127.0.0.1`, `::1` and the host
    /// of the public URL.
    pub host_names: Vec<String>,
    /// Whether the server may speak unencrypted HTTP on an address that other machines can reach.
    pub allow_plaintext: bool,
}

/// The source of the server's certificate.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TlsSource {
    /// A certificate authority of this server, created at the first start.
    LocalAuthority,
    /// Files, which are read again when they change.
    Files {
        /// PEM file of the server's certificate and the intermediate certificates after it.
        certificate: PathBuf,
        /// PEM file of the private key.
        key: PathBuf,
    },
    /// No certificate: a proxy in front of the server encrypts.
    Off,
}

/// Limits of the HTTP server; times in seconds, sizes in bytes.
#[derive(Clone, Debug)]
pub struct HttpConfig {
    /// The most open connections. Further ones wait to be accepted.
    pub max_connections: usize,
    /// The most requests in progress. Further ones get 503.
    pub max_concurrent_requests: usize,
    /// The most open streams. Further ones are refused.
    pub max_streams: usize,
    /// The largest request body of the control plane.
    pub max_body_size: usize,
    /// How often a silent client is asked whether it is there.
    pub keep_alive_interval: i64,
    /// How long a TLS handshake may take, and then the head of a request.
    pub header_timeout: i64,
    /// How long a request may take until its response begins.
    pub request_timeout: i64,
    /// Proxies whose `X-Forwarded-For` is trusted.
    pub trusted_proxies: Vec<Network>,
    /// How long after the signal to stop the server still accepts connections, while `/readyz` answers 503.
    pub drain_delay: i64,
    /// How long requests in progress may then take to end.
    pub drain_timeout: i64,
}

/// The account that the first start creates.
#[derive(Clone, Debug)]
pub struct AdminConfig {
    /// E-mail address to sign in with.
    pub email: String,
    /// File that holds the password. If it is `None`, the server generates a password and prints it.
    pub password_file: Option<PathBuf>,
}

/// Flyte 2 backends, which answer the calls in place of the embedded control plane; times in seconds, sizes in bytes.
#[derive(Clone, Debug)]
pub struct UpstreamConfig {
    /// The backend of all calls that are for no cluster: `http` (HTTP/1.1, or HTTP/2 with prior knowledge) or `https`, with a
    /// host and perhaps a port, without a path.
    pub url: Url,
    /// The backends of clusters.
    pub clusters: Vec<ClusterUrl>,
    /// PEM file of the certificate authorities of the backends. If it is `None`, the machine's authorities.
    pub authority_file: Option<PathBuf>,
    /// The certificate for mutual TLS.
    pub identity: Option<UpstreamIdentity>,
    /// How long a connection may take until it can be used.
    pub connect_timeout: i64,
    /// How long a call that is no stream may take.
    pub request_timeout: i64,
    /// The path at which a backend that works answers 200.
    pub health_path: String,
    /// How often that path is asked.
    pub health_interval: i64,
    /// How often a backend with open streams is asked whether it is there.
    pub keep_alive_interval: i64,
    /// The most calls whose answer has not begun.
    pub max_concurrent_requests: usize,
    /// The largest message of a request, decompressed.
    pub max_message_size: usize,
    /// The header from which the backend is configured to read the caller's subject, beside the usual ones.
    pub subject_header: Option<String>,
    /// The header from which the backend is configured to read the caller's e-mail address.
    pub email_header: Option<String>,
    /// The server of the console's pages.
    pub console_url: Option<Url>,
    /// The hosts of apps.
    pub apps: Vec<AppHosts>,
}

/// The certificate that this server shows to backends.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UpstreamIdentity {
    /// PEM file of the certificate and the intermediate certificates after it.
    pub certificate: PathBuf,
    /// PEM file of the private key.
    pub key: PathBuf,
}

/// The cluster whose pods are callers.
#[derive(Clone, Debug)]
pub struct KubernetesConfig {
    /// The namespaces of the pods. If there is none, the namespace of the server's own service account.
    pub namespaces: Vec<String>,
    /// The only audience of the pods' tokens. If it is `None`, the issuer identifier of this server.
    pub audience: Option<String>,
    /// `iss` of the pods' tokens. If it is `None`, the API server's discovery document has it.
    pub issuer: Option<String>,
    /// File with the address and the credentials of the API server. If it is `None`, the service account of the server's own
    /// pod.
    pub kubeconfig: Option<PathBuf>,
    /// How tokens are verified.
    pub verification: KubernetesVerification,
    /// How long after its issue a token is accepted, in seconds.
    pub max_token_age: i64,
}

/// Storage of the objects of tasks.
#[derive(Clone, Debug)]
pub struct ObjectsConfig {
    /// The bucket that holds them. If it is `None`, they are files in the data directory.
    pub url: Option<BucketUrl>,
    /// The URL of the bucket's service, if it is not AWS.
    pub endpoint: Option<Url>,
    /// The bucket's region.
    pub region: Option<String>,
    /// File with the bucket's credentials, in the format of AWS's tools.
    pub credentials_file: Option<PathBuf>,
    /// The largest object that can be uploaded, in bytes.
    pub max_upload_size: usize,
}

/// Tasks that run on this machine; times in seconds, sizes in bytes.
#[derive(Clone, Debug)]
pub struct RunnerConfig {
    /// The most tasks that run at the same time; 0 runs none.
    pub max_tasks: usize,
    /// The most tasks that are in their starting phase at the same time; 0 for no limit.
    pub max_starting: usize,
    /// Directory of the virtual environment whose programs tasks find first. With `None`, tasks use the server's
    /// `PATH`.
    pub python: Option<PathBuf>,
    /// Whether tasks are prevented from reading the data directory.
    pub sandbox: SandboxMode,
    /// Whether tasks run as root, if the server does.
    pub allow_root: bool,
    /// The longest that an attempt may take, whatever timeout its task has.
    pub max_runtime: Option<u64>,
    /// The most memory that an attempt may use, whatever limit its task has.
    pub max_memory: Option<u64>,
    /// The most that is kept of an attempt's log, in bytes.
    pub max_log_size: u64,
    /// How long a stopped task may take to end.
    pub grace_period: u64,
}

/// The audit log.
#[derive(Clone, Debug)]
pub struct AuditConfig {
    /// How long its records are kept, in seconds.
    pub retention: i64,
}

/// Issuers whose tokens are exchanged for tokens of this server.
#[derive(Clone, Debug)]
pub struct TrustConfig {
    /// PEM file of certificate authorities for the issuers' servers, in addition to the machine's.
    pub ca_file: Option<PathBuf>,
}

/// The content and the format of the log.
#[derive(Clone, Debug)]
pub struct LogConfig {
    /// Directives of `tracing_subscriber::EnvFilter`, for example `info` or `flyte=debug`.
    pub filter: String,
    /// The format of each line.
    pub format: LogFormat,
}

/// The format of a line of the log.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LogFormat {
    /// Text for people.
    Text,
    /// One JSON object.
    Json,
}

impl Config {
    /// Returns the issuer identifier as `iss` has it: the public URL without the slash of its empty path.
    #[must_use]
    pub fn issuer(&self) -> &str {
        self.public_url.as_str().trim_end_matches('/')
    }

    /// Returns the absolute URL of a path on this server; `path` starts with a slash.
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
