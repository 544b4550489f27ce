//! All settings of the server.
//!
//! To add a setting: define it here, add it to [`ALL`], read it in `load.rs`, and write the output of `flyte-server
//! config-reference` to `docs/reference/server-config.md`. A test compares that page.

use std::{net::SocketAddr, path::PathBuf};

use flyte_model::is_loopback;
use url::Url;

use super::{
    LogFormat,
    setting::{
        AnySetting,
        Default::{Depends, Value},
        Setting,
    },
    value::{BucketUrl, Bytes, SandboxMode, Seconds, SigningAlgorithm, TlsMode},
};
use flyte_model::Network;

/// The settings, in the order of the reference page.
pub static ALL: &[&(dyn AnySetting + Sync)] = &[
    &PUBLIC_URL,
    &LISTEN,
    &DATA_DIR,
    &ORG,
    &TLS_MODE,
    &TLS_CERTIFICATE_FILE,
    &TLS_KEY_FILE,
    &TLS_HOST_NAMES,
    &TLS_ALLOW_PLAINTEXT,
    &ADMIN_EMAIL,
    &ADMIN_PASSWORD_FILE,
    &ACCESS_TOKEN_TTL,
    &REFRESH_TOKEN_TTL,
    &REFRESH_TOKEN_GRACE,
    &AUTHORIZATION_CODE_TTL,
    &DEVICE_CODE_TTL,
    &DEVICE_POLL_INTERVAL,
    &SIGNING_ALGORITHM,
    &KEY_ROTATION_INTERVAL,
    &SESSION_TTL,
    &API_KEYS_DEFAULT_LIFETIME,
    &CLIENT_ID,
    &CLIENT_REDIRECT_URI,
    &CLIENT_SCOPES,
    &MAX_CONNECTIONS,
    &MAX_CONCURRENT_REQUESTS,
    &MAX_STREAMS,
    &MAX_BODY_SIZE,
    &HEADER_TIMEOUT,
    &REQUEST_TIMEOUT,
    &TRUSTED_PROXIES,
    &DRAIN_DELAY,
    &DRAIN_TIMEOUT,
    &OBJECTS_URL,
    &OBJECTS_ENDPOINT,
    &OBJECTS_REGION,
    &OBJECTS_CREDENTIALS_FILE,
    &OBJECTS_MAX_UPLOAD_SIZE,
    &RUNNER_MAX_TASKS,
    &RUNNER_PYTHON,
    &RUNNER_SANDBOX,
    &RUNNER_ALLOW_ROOT,
    &RUNNER_MAX_RUNTIME,
    &RUNNER_MAX_MEMORY,
    &RUNNER_MAX_LOG_SIZE,
    &RUNNER_GRACE_PERIOD,
    &AUDIT_RETENTION,
    &TRUST_CA_FILE,
    &LOG_FILTER,
    &LOG_FORMAT,
];

/// The titles of the file's sections, for the reference page and `--help`.
pub const SECTIONS: [(&str, &str); 13] = [
    ("", "General"),
    ("tls", "Encryption"),
    ("admin", "First administrator"),
    ("tokens", "Tokens and signing keys"),
    ("session", "Sign-in sessions"),
    ("api-keys", "API keys"),
    ("client", "The flyte command"),
    ("http", "HTTP"),
    ("objects", "Objects of tasks"),
    ("runner", "Running tasks"),
    ("audit", "Audit log"),
    ("trust", "Trusted issuers (keyless CI)"),
    ("log", "Log"),
];

/// [`Config::public_url`](super::Config::public_url).
pub static PUBLIC_URL: Setting<Url> = Setting {
    key: "public-url",
    flag: Some("public-url"),
    placeholder: "URL",
    default: Depends("`https://localhost:PORT/` with the port of `listen`; `http:` if `tls.mode` is `off`"),
    help: "URL at which browsers and clients reach the server. It is the issuer of every token, so clients must sign \
           in again after a change. It must be an https URL without a path; http is allowed only if the host is this \
           machine.",
    check: public_url,
};

/// [`Config::listen`](super::Config::listen).
pub static LISTEN: Setting<SocketAddr> = Setting {
    key: "listen",
    flag: Some("listen"),
    placeholder: "ADDRESS:PORT",
    default: Value("127.0.0.1:8443"),
    help: "Address and port to listen on. Port 0 selects any free port, and the log shows which one. To be reachable \
           from other machines, listen on `[::]:8443` or `0.0.0.0:8443`, and set `public-url`.",
    check: any,
};

/// [`Config::data_dir`](super::Config::data_dir).
pub static DATA_DIR: Setting<PathBuf> = Setting {
    key: "data-dir",
    flag: Some("data-dir"),
    placeholder: "DIRECTORY",
    default: Depends("`$XDG_DATA_HOME/flyte-server`, or `~/.local/share/flyte-server`"),
    help: "Directory of all the server's data: database, keys, certificates. The first start creates it, and only its \
           owner may read it. Only one server at a time can use it.",
    check: any,
};

/// [`Config::org`](super::Config::org).
pub static ORG: Setting<String> = Setting {
    key: "org",
    flag: Some("org"),
    placeholder: "NAME",
    default: Value(""),
    help: "Organization that projects are listed under. Empty if there is none.",
    check: any,
};

/// Whether connections are encrypted; see [`TlsConfig::source`](super::TlsConfig::source).
pub static TLS_MODE: Setting<TlsMode> = Setting {
    key: "tls.mode",
    flag: Some("tls"),
    placeholder: "on|off",
    default: Value("on"),
    help: "Whether connections are encrypted. With `on` and no certificate file, the server creates its own \
           certificate authority at the first start; clients trust it through the file `ca.pem` in the data directory. \
           Use `off` if a proxy in front of the server encrypts.",
    check: any,
};

/// The certificate of [`TlsSource::Files`](super::TlsSource::Files).
pub static TLS_CERTIFICATE_FILE: Setting<PathBuf> = Setting {
    key: "tls.certificate-file",
    flag: Some("tls-certificate-file"),
    placeholder: "FILE",
    default: Depends("a certificate from the server's own authority"),
    help: "PEM file with the server's certificate, followed by the intermediate certificates. The server reads it \
           again when it changes, and on SIGHUP.",
    check: any,
};

/// The private key of [`TlsSource::Files`](super::TlsSource::Files).
pub static TLS_KEY_FILE: Setting<PathBuf> = Setting {
    key: "tls.key-file",
    flag: Some("tls-key-file"),
    placeholder: "FILE",
    default: Depends("none; required with `tls.certificate-file`"),
    help: "PEM file with the private key of `tls.certificate-file`.",
    check: any,
};

/// [`TlsConfig::host_names`](super::TlsConfig::host_names).
pub static TLS_HOST_NAMES: Setting<Vec<String>> = Setting {
    key: "tls.host-names",
    flag: Some("tls-host-name"),
    placeholder: "NAME,...",
    default: Value(""),
    help: "More host names and addresses for certificates of the server's own authority, in addition to `localhost`, \
           `127.0.0.1`, `::1` and the host of `public-url`. If the existing authority does not allow one of them, the \
           server creates a new authority, and clients must trust that one.",
    check: any,
};

/// [`TlsConfig::allow_plaintext`](super::TlsConfig::allow_plaintext).
pub static TLS_ALLOW_PLAINTEXT: Setting<bool> = Setting {
    key: "tls.allow-plaintext",
    flag: Some("allow-plaintext"),
    placeholder: "true|false",
    default: Value("false"),
    help: "Allows `tls.mode` to be `off` on an address that other machines can reach. Passwords and tokens then cross \
           the network between the proxy and the server in the clear.",
    check: any,
};

/// [`AdminConfig::email`](super::AdminConfig::email).
pub static ADMIN_EMAIL: Setting<String> = Setting {
    key: "admin.email",
    flag: Some("admin-email"),
    placeholder: "ADDRESS",
    default: Value("admin@localhost"),
    help: "E-mail address of the administrator that the first start creates. Ignored once an account exists.",
    check: |address| email(address),
};

/// [`AdminConfig::password_file`](super::AdminConfig::password_file).
pub static ADMIN_PASSWORD_FILE: Setting<PathBuf> = Setting {
    key: "admin.password-file",
    flag: Some("admin-password-file"),
    placeholder: "FILE",
    default: Depends("none: the server generates a password and prints it once"),
    help: "File whose first line is the administrator's password. Ignored once an account exists.",
    check: any,
};

/// [`TokenConfig::access_token_ttl`](super::TokenConfig::access_token_ttl).
pub static ACCESS_TOKEN_TTL: Setting<Seconds> = Setting {
    key: "tokens.access-token-ttl",
    flag: Some("access-token-ttl"),
    placeholder: "DURATION",
    default: Value("1h"),
    help: "Lifetime of access tokens and ID tokens. Clients refresh them automatically.",
    check: |ttl| between(ttl, 1, 86_400),
};

/// [`TokenConfig::refresh_token_ttl`](super::TokenConfig::refresh_token_ttl).
pub static REFRESH_TOKEN_TTL: Setting<Seconds> = Setting {
    key: "tokens.refresh-token-ttl",
    flag: Some("refresh-token-ttl"),
    placeholder: "DURATION",
    default: Value("30d"),
    help: "Lifetime of refresh tokens, counted from their last use. Users who use the server more often than that \
           never have to sign in again.",
    check: |ttl| between(ttl, 1, 400 * 86_400),
};

/// [`TokenConfig::refresh_token_grace`](super::TokenConfig::refresh_token_grace).
pub static REFRESH_TOKEN_GRACE: Setting<Seconds> = Setting {
    key: "tokens.refresh-token-grace",
    flag: None,
    placeholder: "DURATION",
    default: Value("60s"),
    help: "How long a used refresh token may be presented once more, in case the response was lost. Later use counts \
           as theft and revokes the sign-in.",
    check: |grace| between(grace, 0, 3600),
};

/// [`TokenConfig::authorization_code_ttl`](super::TokenConfig::authorization_code_ttl).
pub static AUTHORIZATION_CODE_TTL: Setting<Seconds> = Setting {
    key: "tokens.authorization-code-ttl",
    flag: None,
    placeholder: "DURATION",
    default: Value("60s"),
    help: "Lifetime of authorization codes.",
    check: |ttl| between(ttl, 1, 600),
};

/// [`TokenConfig::device_code_ttl`](super::TokenConfig::device_code_ttl).
pub static DEVICE_CODE_TTL: Setting<Seconds> = Setting {
    key: "tokens.device-code-ttl",
    flag: None,
    placeholder: "DURATION",
    default: Value("10m"),
    help: "How long the code that a device shows can be entered. A short time makes guessing hopeless; a long time \
           lets people fetch their phone and sign in.",
    check: |ttl| between(ttl, 1, 3600),
};

/// [`TokenConfig::device_poll_interval`](super::TokenConfig::device_poll_interval).
pub static DEVICE_POLL_INTERVAL: Setting<Seconds> = Setting {
    key: "tokens.device-poll-interval",
    flag: None,
    placeholder: "DURATION",
    default: Value("5s"),
    help: "How long a device waits between two polls for its approval.",
    check: |interval| between(interval, 1, 60),
};

/// [`TokenConfig::signing_algorithm`](super::TokenConfig::signing_algorithm).
pub static SIGNING_ALGORITHM: Setting<SigningAlgorithm> = Setting {
    key: "tokens.signing-algorithm",
    flag: None,
    placeholder: "ES256|EdDSA|RS256",
    default: Value("ES256"),
    help: "Algorithm of new signing keys. Tokens signed before a change stay valid.",
    check: any,
};

/// [`TokenConfig::key_rotation_interval`](super::TokenConfig::key_rotation_interval).
pub static KEY_ROTATION_INTERVAL: Setting<Seconds> = Setting {
    key: "tokens.key-rotation-interval",
    flag: None,
    placeholder: "DURATION",
    default: Value("30d"),
    help: "How long a signing key is used before the next key replaces it. The next key is published in advance. The \
           previous key stays published until its tokens have expired.",
    check: |interval| between(interval, 1, 10 * 365 * 86_400),
};

/// [`Config::session_ttl`](super::Config::session_ttl).
pub static SESSION_TTL: Setting<Seconds> = Setting {
    key: "session.ttl",
    flag: Some("session-ttl"),
    placeholder: "DURATION",
    default: Value("12h"),
    help: "How long a browser stays signed in.",
    check: |ttl| between(ttl, 1, 90 * 86_400),
};

/// [`ApiKeyConfig::default_lifetime`](super::ApiKeyConfig::default_lifetime).
pub static API_KEYS_DEFAULT_LIFETIME: Setting<Seconds> = Setting {
    key: "api-keys.default-lifetime",
    flag: None,
    placeholder: "DURATION",
    default: Value("90d"),
    help: "Lifetime of an API key whose request has none; the published plugin's `flyte create api-key` never sends \
           one. At most 366 days.",
    check: |lifetime| between(lifetime, 60, 366 * 86_400),
};

/// [`PublicClientConfig::client_id`](super::PublicClientConfig::client_id).
pub static CLIENT_ID: Setting<String> = Setting {
    key: "client.id",
    flag: None,
    placeholder: "ID",
    default: Value("flyte"),
    help: "Client identifier that the server gives to the `flyte` command and the PyPI package `flyte`.",
    check: |id| if id.is_empty() { Err("it cannot be empty".to_owned()) } else { Ok(()) },
};

/// [`PublicClientConfig::redirect_uri`](super::PublicClientConfig::redirect_uri).
pub static CLIENT_REDIRECT_URI: Setting<String> = Setting {
    key: "client.redirect-uri",
    flag: None,
    placeholder: "URL",
    default: Value("http://localhost:53593/callback"),
    help: "Address to which the browser returns after the sign-in. It is a loopback address with a port, on which the \
           command listens. If the port is in use, the command may take another one.",
    check: |uri| loopback_redirect(uri),
};

/// [`PublicClientConfig::scopes`](super::PublicClientConfig::scopes).
pub static CLIENT_SCOPES: Setting<Vec<String>> = Setting {
    key: "client.scopes",
    flag: None,
    placeholder: "SCOPE,...",
    default: Value("openid,profile,email,offline_access,all"),
    help: "Scopes that the command asks for. Without `offline_access` it gets no refresh token.",
    check: |scopes| if scopes.is_empty() { Err("it cannot be empty".to_owned()) } else { Ok(()) },
};

/// [`HttpConfig::max_connections`](super::HttpConfig::max_connections).
pub static MAX_CONNECTIONS: Setting<usize> = Setting {
    key: "http.max-connections",
    flag: None,
    placeholder: "NUMBER",
    default: Value("768"),
    help: "The most connections that are served at the same time. An eighth of that number, but at most 128, may wait \
           for up to twice `http.header-timeout`; the server closes all others. One address may have a quarter of the \
           connections, unless it is a trusted proxy; the server closes the rest. The server raises its limit of open \
           files (`ulimit -n`) to the hard limit and reserves 192 of them for the database, uploads and tasks. If the \
           rest is too few for this setting, it serves fewer connections and logs how many.",
    check: positive,
};

/// [`HttpConfig::max_concurrent_requests`](super::HttpConfig::max_concurrent_requests).
pub static MAX_CONCURRENT_REQUESTS: Setting<usize> = Setting {
    key: "http.max-concurrent-requests",
    flag: None,
    placeholder: "NUMBER",
    default: Value("1024"),
    help: "The most requests in progress at the same time. The server answers further requests with 503, and clients \
           retry them. One client may have a quarter of them; its further requests get 429.",
    check: positive,
};

/// [`HttpConfig::max_streams`](super::HttpConfig::max_streams).
pub static MAX_STREAMS: Setting<usize> = Setting {
    key: "http.max-streams",
    flag: None,
    placeholder: "NUMBER",
    default: Value("1024"),
    help: "The most streams that are open at the same time, for example to follow logs or watch runs. Further streams \
           are refused with `resource_exhausted`. One caller (a user, an API key, a trust rule or a run) may have a \
           quarter of them. A quarter is reserved for runs, which wait for their subtasks through streams. A stream \
           needs no file descriptor other than that of its connection.",
    check: positive,
};

/// [`HttpConfig::max_body_size`](super::HttpConfig::max_body_size).
pub static MAX_BODY_SIZE: Setting<Bytes> = Setting {
    key: "http.max-body-size",
    flag: None,
    placeholder: "SIZE",
    default: Value("4MiB"),
    help: "The largest request body of the control plane. Forms and token requests are limited to 64KiB in any case.",
    check: |size| if size.0 < 1024 { Err("at least 1KiB is expected".to_owned()) } else { Ok(()) },
};

/// [`HttpConfig::header_timeout`](super::HttpConfig::header_timeout).
pub static HEADER_TIMEOUT: Setting<Seconds> = Setting {
    key: "http.header-timeout",
    flag: None,
    placeholder: "DURATION",
    default: Value("10s"),
    help: "How long a connection may take for the TLS handshake, and then for the head of each request. The server \
           closes an idle HTTP/1 connection after the same time.",
    check: |timeout| between(timeout, 1, 3600),
};

/// [`HttpConfig::request_timeout`](super::HttpConfig::request_timeout).
pub static REQUEST_TIMEOUT: Setting<Seconds> = Setting {
    key: "http.request-timeout",
    flag: None,
    placeholder: "DURATION",
    default: Value("30s"),
    help: "How long a request may take until its response begins. A streamed response may take longer.",
    check: |timeout| between(timeout, 1, 3600),
};

/// [`HttpConfig::trusted_proxies`](super::HttpConfig::trusted_proxies).
pub static TRUSTED_PROXIES: Setting<Vec<Network>> = Setting {
    key: "http.trusted-proxies",
    flag: Some("trusted-proxy"),
    placeholder: "NETWORK,...",
    default: Value(""),
    help: "Addresses and networks of proxies whose `X-Forwarded-For` is trusted. If your proxy is not listed, all \
           users behind it share one limit of sign-in attempts.",
    check: any,
};

/// [`HttpConfig::drain_delay`](super::HttpConfig::drain_delay).
pub static DRAIN_DELAY: Setting<Seconds> = Setting {
    key: "http.drain-delay",
    flag: None,
    placeholder: "DURATION",
    default: Value("0s"),
    help: "How long after SIGTERM the server still accepts connections. `/readyz` answers 503 during this time, so \
           that a load balancer notices.",
    check: |delay| between(delay, 0, 3600),
};

/// [`HttpConfig::drain_timeout`](super::HttpConfig::drain_timeout).
pub static DRAIN_TIMEOUT: Setting<Seconds> = Setting {
    key: "http.drain-timeout",
    flag: Some("drain-timeout"),
    placeholder: "DURATION",
    default: Value("30s"),
    help: "How long requests in progress may take to end after SIGTERM. A second signal stops the server at once.",
    check: |timeout| between(timeout, 0, 3600),
};

/// [`ObjectsConfig::url`](super::ObjectsConfig::url).
pub static OBJECTS_URL: Setting<BucketUrl> = Setting {
    key: "objects.url",
    flag: Some("objects-url"),
    placeholder: "s3://BUCKET/PREFIX",
    default: Depends("none: objects are files in the directory `objects` of the data directory"),
    help: "Bucket for code bundles, inputs, outputs, reports and files, on S3 or a service with the same protocol. \
           Clients still upload and download through this server. Existing objects do not move.",
    check: any,
};

/// [`ObjectsConfig::endpoint`](super::ObjectsConfig::endpoint).
pub static OBJECTS_ENDPOINT: Setting<Url> = Setting {
    key: "objects.endpoint",
    flag: None,
    placeholder: "URL",
    default: Depends("`$AWS_ENDPOINT_URL_S3`, or the endpoint of AWS"),
    help: "URL of the bucket's service, for example `https://minio.example.org:9000`. With `http:`, objects cross the \
           network in the clear.",
    check: |url| {
        if matches!(url.scheme(), "http" | "https") {
            Ok(())
        } else {
            Err("it must begin with https://".to_owned())
        }
    },
};

/// [`ObjectsConfig::region`](super::ObjectsConfig::region).
pub static OBJECTS_REGION: Setting<String> = Setting {
    key: "objects.region",
    flag: None,
    placeholder: "REGION",
    default: Depends("`$AWS_REGION`, or `us-east-1`"),
    help: "The bucket's region.",
    check: any,
};

/// [`ObjectsConfig::credentials_file`](super::ObjectsConfig::credentials_file).
pub static OBJECTS_CREDENTIALS_FILE: Setting<PathBuf> = Setting {
    key: "objects.credentials-file",
    flag: None,
    placeholder: "FILE",
    default: Depends(
        "the environment: `AWS_ACCESS_KEY_ID` and `AWS_SECRET_ACCESS_KEY`, or the role of the machine, container or \
         web identity",
    ),
    help: "File with the credentials for the bucket, in the format of `~/.aws/credentials`: the profile `[default]` \
           with `aws_access_key_id` and `aws_secret_access_key`. The server reads it at the start. Tasks on this \
           server get the same credentials, so use credentials that are valid only for this bucket or prefix.",
    check: any,
};

/// [`ObjectsConfig::max_upload_size`](super::ObjectsConfig::max_upload_size).
pub static OBJECTS_MAX_UPLOAD_SIZE: Setting<Bytes> = Setting {
    key: "objects.max-upload-size",
    flag: None,
    placeholder: "SIZE",
    default: Value("5GiB"),
    help: "The largest object that can be uploaded, for example a code bundle or an input file. `http.max-body-size` \
           does not apply to uploads. Up to 64 uploads of this size can be on the disk beside the objects while they \
           arrive.",
    check: |size| if size.0 < 1024 { Err("at least 1KiB is expected".to_owned()) } else { Ok(()) },
};

/// [`RunnerConfig::max_tasks`](super::RunnerConfig::max_tasks).
pub static RUNNER_MAX_TASKS: Setting<usize> = Setting {
    key: "runner.max-tasks",
    flag: Some("max-tasks"),
    placeholder: "NUMBER",
    default: Depends("four times the number of processors, at least 8: most tasks wait most of the time"),
    help: "The most tasks that run at the same time. A task that waits for its subtasks does not count. Users, and the \
           runs of each user, take fair turns. With eight or more slots, the last slot is reserved for users without a \
           running task, and the one before it for runs without a running task. With four to seven slots, the last \
           slot is reserved for runs without a running task. With 0, no tasks run: they stay queued.",
    check: any,
};

/// [`RunnerConfig::python`](super::RunnerConfig::python).
pub static RUNNER_PYTHON: Setting<PathBuf> = Setting {
    key: "runner.python",
    flag: Some("python"),
    placeholder: "DIRECTORY",
    default: Depends("`$VIRTUAL_ENV` of the server, or the programs on its `PATH`"),
    help: "Directory of the virtual environment that tasks run in, for example `/home/ada/project/.venv`. Its `bin` is \
           the first entry of their `PATH`. It must have the package `flyte`, which brings the program `a0` that \
           starts tasks, and all packages that the tasks import. The server ignores the tasks' images.",
    check: any,
};

/// [`RunnerConfig::sandbox`](super::RunnerConfig::sandbox).
pub static RUNNER_SANDBOX: Setting<SandboxMode> = Setting {
    key: "runner.sandbox",
    flag: None,
    placeholder: "auto|required|off",
    default: Value("auto"),
    help: "Whether Landlock (Linux 5.13 or later) protects the server's data directory from tasks. Tasks can then read \
           only their own files there, and the objects of their project and domain. `auto` uses Landlock if the kernel \
           supports it; `required` runs no task without it.",
    check: any,
};

/// [`RunnerConfig::allow_root`](super::RunnerConfig::allow_root).
pub static RUNNER_ALLOW_ROOT: Setting<bool> = Setting {
    key: "runner.allow-root",
    flag: Some("allow-root"),
    placeholder: "true|false",
    default: Value("false"),
    help: "Whether tasks and apps run if the server itself runs as root. They would then be root too: anyone who may \
           start a run could do everything on this machine that the sandbox does not prevent, for example read other \
           users' files and install programs. It is better to give the server its own user. The setting has no effect \
           if the server is not root.",
    check: any,
};

/// [`RunnerConfig::max_runtime`](super::RunnerConfig::max_runtime).
pub static RUNNER_MAX_RUNTIME: Setting<Seconds> = Setting {
    key: "runner.max-runtime",
    flag: None,
    placeholder: "DURATION",
    default: Depends("none"),
    help: "The longest that an attempt at a task may take, whatever the task's own timeout is.",
    check: |limit| between(limit, 1, 366 * 86_400),
};

/// [`RunnerConfig::max_memory`](super::RunnerConfig::max_memory).
pub static RUNNER_MAX_MEMORY: Setting<Bytes> = Setting {
    key: "runner.max-memory",
    flag: None,
    placeholder: "SIZE",
    default: Depends("none"),
    help: "The most memory that an attempt at a task may use with all its processes, whatever the task's own limit is. \
           The server checks it four times a second, so the attempt can exceed it for a moment.",
    check: |size| if size.0 < 1 << 20 { Err("at least 1MiB is expected".to_owned()) } else { Ok(()) },
};

/// [`RunnerConfig::max_log_size`](super::RunnerConfig::max_log_size).
pub static RUNNER_MAX_LOG_SIZE: Setting<Bytes> = Setting {
    key: "runner.max-log-size",
    flag: None,
    placeholder: "SIZE",
    default: Value("16MiB"),
    help: "The most that is kept of the log of an attempt at a task. The end of the log is kept.",
    check: |size| if size.0 < 1 << 20 { Err("at least 1MiB is expected".to_owned()) } else { Ok(()) },
};

/// [`RunnerConfig::grace_period`](super::RunnerConfig::grace_period).
pub static RUNNER_GRACE_PERIOD: Setting<Seconds> = Setting {
    key: "runner.grace-period",
    flag: None,
    placeholder: "DURATION",
    default: Value("10s"),
    help: "How long an aborted or timed-out task may take to end after SIGTERM, before it is killed.",
    check: |period| between(period, 0, 3600),
};

/// [`AuditConfig::retention`](super::AuditConfig::retention).
pub static AUDIT_RETENTION: Setting<Seconds> = Setting {
    key: "audit.retention",
    flag: None,
    placeholder: "DURATION",
    default: Value("400d"),
    help: "How long the database keeps the records of the audit log. Older records are removed.",
    check: |retention| between(retention, 86_400, 20 * 365 * 86_400),
};

/// [`TrustConfig::ca_file`](super::TrustConfig::ca_file).
pub static TRUST_CA_FILE: Setting<PathBuf> = Setting {
    key: "trust.ca-file",
    flag: None,
    placeholder: "FILE",
    default: Depends("none: only the machine's certificate authorities"),
    help: "PEM file of certificate authorities that the server trusts for the servers of trusted issuers, in addition \
           to the machine's. Use it for a GitLab or a Kubernetes cluster with its own authority.",
    check: any,
};

/// [`LogConfig::filter`](super::LogConfig::filter).
pub static LOG_FILTER: Setting<String> = Setting {
    key: "log.filter",
    flag: Some("log"),
    placeholder: "FILTER",
    default: Value("info"),
    help: "The level of the log (`error`, `warn`, `info`, `debug` or `trace`), or directives, for example \
           `info,flyte_oauth=debug`. The audit log (target `audit`) is always written.",
    check: |filter| crate::check_filter(filter),
};

/// [`LogConfig::format`](super::LogConfig::format).
pub static LOG_FORMAT: Setting<LogFormat> = Setting {
    key: "log.format",
    flag: Some("log-format"),
    placeholder: "text|json",
    default: Value("text"),
    help: "Format of the log on standard error: `text` for people; `json` for programs, with one object on each line.",
    check: any,
};

fn any<T>(_: &T) -> Result<(), String> {
    Ok(())
}

fn positive(number: &usize) -> Result<(), String> {
    if *number == 0 { Err("at least 1 is expected".to_owned()) } else { Ok(()) }
}

fn between(value: &Seconds, least: i64, most: i64) -> Result<(), String> {
    use super::value::Value;
    if (least..=most).contains(&value.0) {
        return Ok(());
    }
    Err(format!("between {} and {} is expected", Seconds(least).show(), Seconds(most).show()))
}

/// Checks that the text can be an account's e-mail address.
///
/// # Errors
/// The reason why it cannot.
pub fn email(address: &str) -> Result<(), String> {
    let parts = address.split_once('@');
    let good = parts.is_some_and(|(name, host)| !name.is_empty() && !host.is_empty() && !host.contains('@'));
    if good && !address.contains(char::is_whitespace) {
        Ok(())
    } else {
        Err("an e-mail address is expected".to_owned())
    }
}

fn public_url(url: &Url) -> Result<(), String> {
    let reason = if !matches!(url.scheme(), "http" | "https") {
        "it must begin with https://"
    } else if url.path() != "/" || url.query().is_some() || url.fragment().is_some() {
        "it must end after the host and port: the server cannot be under a path"
    } else if !url.username().is_empty() || url.password().is_some() {
        "it cannot hold a user name or password"
    } else if url.scheme() == "http" && !is_loopback(url) {
        "it must begin with https:// unless its host is localhost: otherwise browsers cannot stay signed in"
    } else {
        return Ok(());
    };
    Err(reason.to_owned())
}

fn loopback_redirect(uri: &str) -> Result<(), String> {
    let good = uri.parse::<Url>().is_ok_and(|url| {
        url.scheme() == "http" && is_loopback(&url) && url.port().is_some() && url.fragment().is_none()
    });
    if good {
        Ok(())
    } else {
        Err("a loopback URL with a port is expected, for example http://localhost:53593/callback".to_owned())
    }
}
