//! Every setting of the server.
//!
//! To add one: define it here, add it to [`ALL`], read it in `load.rs`, and run `flyte-server config-reference` into
//! `docs/reference/server-config.md`, which a test compares.

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

/// The settings in the order of the reference.
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

/// The titles of the file's sections, for the reference and `--help`.
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
    default: Depends(
        "`https://localhost:PORT/` with the port of `listen`; `http:` where `tls.mode` is `off`",
    ),
    help: "URL at which browsers and clients reach the server. It is the issuer of every token: clients must sign in \
           again after a change. It must be https unless its host is this machine, and has no path.",
    check: public_url,
};

/// [`Config::listen`](super::Config::listen).
pub static LISTEN: Setting<SocketAddr> = Setting {
    key: "listen",
    flag: Some("listen"),
    placeholder: "ADDRESS:PORT",
    default: Value("127.0.0.1:8443"),
    help: "Address and port to listen on. Port 0 takes any free port, which the log tells. Listen on `[::]:8443` or \
           `0.0.0.0:8443` to be reached from other machines, and set `public-url`.",
    check: any,
};

/// [`Config::data_dir`](super::Config::data_dir).
pub static DATA_DIR: Setting<PathBuf> = Setting {
    key: "data-dir",
    flag: Some("data-dir"),
    placeholder: "DIRECTORY",
    default: Depends("`$XDG_DATA_HOME/flyte-server`, or `~/.local/share/flyte-server`"),
    help: "Directory of everything that the server keeps: database, keys, certificates. It is made at the first \
           start, and nobody but its owner may read it. One server at a time uses it.",
    check: any,
};

/// [`Config::org`](super::Config::org).
pub static ORG: Setting<String> = Setting {
    key: "org",
    flag: Some("org"),
    placeholder: "NAME",
    default: Value(""),
    help: "Organization that projects are listed under. Empty where there is none.",
    check: any,
};

/// Whether there is TLS, [`TlsConfig::source`](super::TlsConfig::source).
pub static TLS_MODE: Setting<TlsMode> = Setting {
    key: "tls.mode",
    flag: Some("tls"),
    placeholder: "on|off",
    default: Value("on"),
    help: "Whether connections are encrypted. With `on` and no certificate file, the server makes a certificate \
           authority of its own at the first start; clients trust it by its file `ca.pem` in the data directory. \
           `off` is for a proxy that encrypts in front of the server.",
    check: any,
};

/// Certificate of [`TlsSource::Files`](super::TlsSource::Files).
pub static TLS_CERTIFICATE_FILE: Setting<PathBuf> = Setting {
    key: "tls.certificate-file",
    flag: Some("tls-certificate-file"),
    placeholder: "FILE",
    default: Depends("a certificate from the server's own authority"),
    help: "PEM file with the server's certificate and the intermediate certificates after it. Read again when it \
           changes and on SIGHUP.",
    check: any,
};

/// Key of [`TlsSource::Files`](super::TlsSource::Files).
pub static TLS_KEY_FILE: Setting<PathBuf> = Setting {
    key: "tls.key-file",
    flag: Some("tls-key-file"),
    placeholder: "FILE",
    default: Depends("none; needed with `tls.certificate-file`"),
    help: "PEM file with the private key of `tls.certificate-file`.",
    check: any,
};

/// [`TlsConfig::host_names`](super::TlsConfig::host_names).
pub static TLS_HOST_NAMES: Setting<Vec<String>> = Setting {
    key: "tls.host-names",
    flag: Some("tls-host-name"),
    placeholder: "NAME,...",
    default: Value(""),
    help: "Further host names and addresses that the server's own authority certifies, besides `localhost`, \
           `127.0.0.1`, `::1` and the host of `public-url`. Naming one that the authority was not made for makes a \
           new authority, which clients must then trust anew.",
    check: any,
};

/// [`TlsConfig::allow_plaintext`](super::TlsConfig::allow_plaintext).
pub static TLS_ALLOW_PLAINTEXT: Setting<bool> = Setting {
    key: "tls.allow-plaintext",
    flag: Some("allow-plaintext"),
    placeholder: "true|false",
    default: Value("false"),
    help: "Lets `tls.mode` be `off` on an address that other machines can reach. Passwords and tokens then cross \
           the network between the proxy and the server as they are.",
    check: any,
};

/// [`AdminConfig::email`](super::AdminConfig::email).
pub static ADMIN_EMAIL: Setting<String> = Setting {
    key: "admin.email",
    flag: Some("admin-email"),
    placeholder: "ADDRESS",
    default: Value("admin@localhost"),
    help: "E-mail address of the administrator whom the first start makes. Ignored once an account exists.",
    check: |address| email(address),
};

/// [`AdminConfig::password_file`](super::AdminConfig::password_file).
pub static ADMIN_PASSWORD_FILE: Setting<PathBuf> = Setting {
    key: "admin.password-file",
    flag: Some("admin-password-file"),
    placeholder: "FILE",
    default: Depends("none: a password is made up and printed once"),
    help: "File whose first line is the administrator's password. Ignored once an account exists.",
    check: any,
};

/// [`TokenConfig::access_token_ttl`](super::TokenConfig::access_token_ttl).
pub static ACCESS_TOKEN_TTL: Setting<Seconds> = Setting {
    key: "tokens.access-token-ttl",
    flag: Some("access-token-ttl"),
    placeholder: "DURATION",
    default: Value("1h"),
    help: "Life of access tokens and ID tokens. Clients refresh by themselves.",
    check: |ttl| between(ttl, 1, 86_400),
};

/// [`TokenConfig::refresh_token_ttl`](super::TokenConfig::refresh_token_ttl).
pub static REFRESH_TOKEN_TTL: Setting<Seconds> = Setting {
    key: "tokens.refresh-token-ttl",
    flag: Some("refresh-token-ttl"),
    placeholder: "DURATION",
    default: Value("30d"),
    help: "Life of refresh tokens, counted from their last use: who uses the server more often than that never signs \
           in again.",
    check: |ttl| between(ttl, 1, 400 * 86_400),
};

/// [`TokenConfig::refresh_token_grace`](super::TokenConfig::refresh_token_grace).
pub static REFRESH_TOKEN_GRACE: Setting<Seconds> = Setting {
    key: "tokens.refresh-token-grace",
    flag: None,
    placeholder: "DURATION",
    default: Value("60s"),
    help: "How long a used refresh token may be presented once more, for the case that the answer was lost. Later \
           use counts as theft and revokes the sign-in.",
    check: |grace| between(grace, 0, 3600),
};

/// [`TokenConfig::authorization_code_ttl`](super::TokenConfig::authorization_code_ttl).
pub static AUTHORIZATION_CODE_TTL: Setting<Seconds> = Setting {
    key: "tokens.authorization-code-ttl",
    flag: None,
    placeholder: "DURATION",
    default: Value("60s"),
    help: "Life of authorization codes.",
    check: |ttl| between(ttl, 1, 600),
};

/// [`TokenConfig::device_code_ttl`](super::TokenConfig::device_code_ttl).
pub static DEVICE_CODE_TTL: Setting<Seconds> = Setting {
    key: "tokens.device-code-ttl",
    flag: None,
    placeholder: "DURATION",
    default: Value("10m"),
    help: "How long a code that a device shows can be entered. Short enough that nobody guesses one, long enough to \
           fetch the phone and sign in.",
    check: |ttl| between(ttl, 1, 3600),
};

/// [`TokenConfig::device_poll_interval`](super::TokenConfig::device_poll_interval).
pub static DEVICE_POLL_INTERVAL: Setting<Seconds> = Setting {
    key: "tokens.device-poll-interval",
    flag: None,
    placeholder: "DURATION",
    default: Value("5s"),
    help: "How long a device waits before it asks again whether somebody has approved it.",
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
    help: "How long a key signs before the next one takes over. The next one is published before, the last one stays \
           published until its tokens have expired.",
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
    help: "How long an API key works whose request does not say, as the published plugin's `flyte create api-key` cannot. \
           At most 366 days.",
    check: |lifetime| between(lifetime, 60, 366 * 86_400),
};

/// [`PublicClientConfig::client_id`](super::PublicClientConfig::client_id).
pub static CLIENT_ID: Setting<String> = Setting {
    key: "client.id",
    flag: None,
    placeholder: "ID",
    default: Value("flyte"),
    help: "Client identifier that the server hands to the `flyte` command and the PyPI package `flyte`.",
    check: |id| if id.is_empty() { Err("it cannot be empty".to_owned()) } else { Ok(()) },
};

/// [`PublicClientConfig::redirect_uri`](super::PublicClientConfig::redirect_uri).
pub static CLIENT_REDIRECT_URI: Setting<String> = Setting {
    key: "client.redirect-uri",
    flag: None,
    placeholder: "URL",
    default: Value("http://localhost:53593/callback"),
    help: "Where the browser hands the sign-in back to the command. A loopback address with a port, on which the \
           command listens; it may take another port where that one is in use.",
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
    help: "Connections served at a time. An eighth of that number, at most 128, wait for a place, at most twice \
           `http.header-timeout`; further ones are closed. One address may have a quarter of them, unless it is a \
           trusted proxy; further ones of its are closed. The server raises its limit of open files (`ulimit -n`) to \
           the hard one, keeps 192 of them for the database, uploads and tasks, and serves fewer connections than \
           this if the rest is not enough; its log then says how many.",
    check: positive,
};

/// [`HttpConfig::max_concurrent_requests`](super::HttpConfig::max_concurrent_requests).
pub static MAX_CONCURRENT_REQUESTS: Setting<usize> = Setting {
    key: "http.max-concurrent-requests",
    flag: None,
    placeholder: "NUMBER",
    default: Value("1024"),
    help: "Requests worked on at a time; further ones are answered with 503 and tried again by clients. One client may \
           have a quarter of them; further ones of its are answered with 429.",
    check: positive,
};

/// [`HttpConfig::max_streams`](super::HttpConfig::max_streams).
pub static MAX_STREAMS: Setting<usize> = Setting {
    key: "http.max-streams",
    flag: None,
    placeholder: "NUMBER",
    default: Value("1024"),
    help: "Streams open at a time, such as logs that are followed and runs that are watched; further ones are refused with \
           `resource_exhausted`. One caller may have a quarter of them: a person, an API key, a trust rule, a run. A quarter is \
           kept for runs, which wait for their subtasks by streams. A stream takes no descriptor but its connection's.",
    check: positive,
};

/// [`HttpConfig::max_body_size`](super::HttpConfig::max_body_size).
pub static MAX_BODY_SIZE: Setting<Bytes> = Setting {
    key: "http.max-body-size",
    flag: None,
    placeholder: "SIZE",
    default: Value("4MiB"),
    help: "The largest request body of the control plane. Forms and token requests are held to 64KiB whatever this \
           says.",
    check: |size| if size.0 < 1024 { Err("at least 1KiB is expected".to_owned()) } else { Ok(()) },
};

/// [`HttpConfig::header_timeout`](super::HttpConfig::header_timeout).
pub static HEADER_TIMEOUT: Setting<Seconds> = Setting {
    key: "http.header-timeout",
    flag: None,
    placeholder: "DURATION",
    default: Value("10s"),
    help: "How long a connection may take for the TLS handshake, and then for the head of each request. An idle \
           HTTP/1 connection is closed after the same time.",
    check: |timeout| between(timeout, 1, 3600),
};

/// [`HttpConfig::request_timeout`](super::HttpConfig::request_timeout).
pub static REQUEST_TIMEOUT: Setting<Seconds> = Setting {
    key: "http.request-timeout",
    flag: None,
    placeholder: "DURATION",
    default: Value("30s"),
    help: "How long a request may take until its response begins. A response that is streamed may go on longer.",
    check: |timeout| between(timeout, 1, 3600),
};

/// [`HttpConfig::trusted_proxies`](super::HttpConfig::trusted_proxies).
pub static TRUSTED_PROXIES: Setting<Vec<Network>> = Setting {
    key: "http.trusted-proxies",
    flag: Some("trusted-proxy"),
    placeholder: "NETWORK,...",
    default: Value(""),
    help: "Addresses and networks of proxies whose `X-Forwarded-For` is believed. Without it everybody behind a \
           proxy shares one limit of sign-in attempts.",
    check: any,
};

/// [`HttpConfig::drain_delay`](super::HttpConfig::drain_delay).
pub static DRAIN_DELAY: Setting<Seconds> = Setting {
    key: "http.drain-delay",
    flag: None,
    placeholder: "DURATION",
    default: Value("0s"),
    help: "How long after SIGTERM connections are still accepted while `/readyz` answers 503, for a load balancer to \
           notice.",
    check: |delay| between(delay, 0, 3600),
};

/// [`HttpConfig::drain_timeout`](super::HttpConfig::drain_timeout).
pub static DRAIN_TIMEOUT: Setting<Seconds> = Setting {
    key: "http.drain-timeout",
    flag: Some("drain-timeout"),
    placeholder: "DURATION",
    default: Value("30s"),
    help: "How long requests in flight may take to end after SIGTERM. A second signal stops the server at once.",
    check: |timeout| between(timeout, 0, 3600),
};

/// [`ObjectsConfig::url`](super::ObjectsConfig::url).
pub static OBJECTS_URL: Setting<BucketUrl> = Setting {
    key: "objects.url",
    flag: Some("objects-url"),
    placeholder: "s3://BUCKET/PREFIX",
    default: Depends("none: they are files in the directory `objects` of the data directory"),
    help: "Bucket that code bundles, inputs, outputs, reports and files are kept in: of S3, or of what speaks its protocol. \
           Clients up- and download through this server all the same. Objects that are kept already do not move.",
    check: any,
};

/// [`ObjectsConfig::endpoint`](super::ObjectsConfig::endpoint).
pub static OBJECTS_ENDPOINT: Setting<Url> = Setting {
    key: "objects.endpoint",
    flag: None,
    placeholder: "URL",
    default: Depends("that of AWS, or of the environment's `AWS_ENDPOINT_URL_S3`"),
    help: "Where the bucket's service is, such as `https://minio.example.org:9000`. With `http:` the objects cross the \
           network as they are.",
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
    default: Depends("that of the environment's `AWS_REGION`, or `us-east-1`"),
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
    help: "File with the credentials for the bucket, like `~/.aws/credentials`: the profile `[default]` with \
           `aws_access_key_id` and `aws_secret_access_key`. Read at the start. Tasks that this server runs are given the \
           same credentials, so let them be good for this bucket, or this prefix of it, and nothing else.",
    check: any,
};

/// [`ObjectsConfig::max_upload_size`](super::ObjectsConfig::max_upload_size).
pub static OBJECTS_MAX_UPLOAD_SIZE: Setting<Bytes> = Setting {
    key: "objects.max-upload-size",
    flag: None,
    placeholder: "SIZE",
    default: Value("5GiB"),
    help: "The largest object that can be uploaded, such as a code bundle or a file that a task is given. \
           `http.max-body-size` does not hold for them. Up to 64 uploads of this size are on the disk beside the objects \
           while they arrive.",
    check: |size| if size.0 < 1024 { Err("at least 1KiB is expected".to_owned()) } else { Ok(()) },
};

/// [`RunnerConfig::max_tasks`](super::RunnerConfig::max_tasks).
pub static RUNNER_MAX_TASKS: Setting<usize> = Setting {
    key: "runner.max-tasks",
    flag: Some("max-tasks"),
    placeholder: "NUMBER",
    default: Depends("four times the number of processors, at least 8: most tasks wait most of the time"),
    help: "The most tasks that are worked on at once. A task that waits for its subtasks does not count. People and their \
           runs take fair turns. Of eight or more places, the last is kept for people who have none, and the one before \
           it for runs that have none; of four or more, the last is kept for runs that have none. 0 runs no tasks: they \
           stay queued.",
    check: any,
};

/// [`RunnerConfig::python`](super::RunnerConfig::python).
pub static RUNNER_PYTHON: Setting<PathBuf> = Setting {
    key: "runner.python",
    flag: Some("python"),
    placeholder: "DIRECTORY",
    default: Depends("`$VIRTUAL_ENV` of the server; or else what is on its `PATH`"),
    help: "Directory of the virtual environment that tasks run in, such as `/home/ada/project/.venv`. Its `bin` comes \
           first in their `PATH`: it must have the package `flyte`, which brings the program `a0` that tasks are started \
           by, and whatever the tasks import. Their images are not used.",
    check: any,
};

/// [`RunnerConfig::sandbox`](super::RunnerConfig::sandbox).
pub static RUNNER_SANDBOX: Setting<SandboxMode> = Setting {
    key: "runner.sandbox",
    flag: None,
    placeholder: "auto|required|off",
    default: Value("auto"),
    help: "Whether tasks are kept from the server's data directory, but for their own files and the objects of their \
           project and domain, by Landlock (Linux 5.13 or later). `auto` does so where the kernel can, `required` runs \
           no task where it cannot.",
    check: any,
};

/// [`RunnerConfig::allow_root`](super::RunnerConfig::allow_root).
pub static RUNNER_ALLOW_ROOT: Setting<bool> = Setting {
    key: "runner.allow-root",
    flag: Some("allow-root"),
    placeholder: "true|false",
    default: Value("false"),
    help: "Whether tasks and apps run if the server itself runs as root. They would be root as well: whoever may start a \
           run can then do anything on this machine that the sandbox does not keep from them, such as reading other \
           people's files and installing programs. Better give the server a user of its own. As any other user this \
           setting changes nothing.",
    check: any,
};

/// [`RunnerConfig::max_runtime`](super::RunnerConfig::max_runtime).
pub static RUNNER_MAX_RUNTIME: Setting<Seconds> = Setting {
    key: "runner.max-runtime",
    flag: None,
    placeholder: "DURATION",
    default: Depends("none"),
    help: "The longest that an attempt at a task may take, whatever the task's own timeout says.",
    check: |limit| between(limit, 1, 366 * 86_400),
};

/// [`RunnerConfig::max_memory`](super::RunnerConfig::max_memory).
pub static RUNNER_MAX_MEMORY: Setting<Bytes> = Setting {
    key: "runner.max-memory",
    flag: None,
    placeholder: "SIZE",
    default: Depends("none"),
    help: "The most memory that an attempt at a task may take with all its processes, whatever the task's own limit says. \
           It is looked at four times a second: for a moment it can be more.",
    check: |size| if size.0 < 1 << 20 { Err("at least 1MiB is expected".to_owned()) } else { Ok(()) },
};

/// [`RunnerConfig::max_log_size`](super::RunnerConfig::max_log_size).
pub static RUNNER_MAX_LOG_SIZE: Setting<Bytes> = Setting {
    key: "runner.max-log-size",
    flag: None,
    placeholder: "SIZE",
    default: Value("16MiB"),
    help: "The most that is kept of the log of an attempt at a task; its end is.",
    check: |size| if size.0 < 1 << 20 { Err("at least 1MiB is expected".to_owned()) } else { Ok(()) },
};

/// [`RunnerConfig::grace_period`](super::RunnerConfig::grace_period).
pub static RUNNER_GRACE_PERIOD: Setting<Seconds> = Setting {
    key: "runner.grace-period",
    flag: None,
    placeholder: "DURATION",
    default: Value("10s"),
    help: "How long a task that is aborted, or takes too long, may take to end after SIGTERM before it is killed.",
    check: |period| between(period, 0, 3600),
};

/// [`AuditConfig::retention`](super::AuditConfig::retention).
pub static AUDIT_RETENTION: Setting<Seconds> = Setting {
    key: "audit.retention",
    flag: None,
    placeholder: "DURATION",
    default: Value("400d"),
    help: "How long the records of the audit log are kept in the database. What is older is removed.",
    check: |retention| between(retention, 86_400, 20 * 365 * 86_400),
};

/// [`TrustConfig::ca_file`](super::TrustConfig::ca_file).
pub static TRUST_CA_FILE: Setting<PathBuf> = Setting {
    key: "trust.ca-file",
    flag: None,
    placeholder: "FILE",
    default: Depends("none: the machine's certificate authorities alone"),
    help: "PEM file of certificate authorities that the servers of trusted issuers may be certified by, besides the \
           machine's: for a GitLab or a Kubernetes cluster with an authority of its own.",
    check: any,
};

/// [`LogConfig::filter`](super::LogConfig::filter).
pub static LOG_FILTER: Setting<String> = Setting {
    key: "log.filter",
    flag: Some("log"),
    placeholder: "FILTER",
    default: Value("info"),
    help: "What is logged: `error`, `warn`, `info`, `debug` or `trace`, or directives such as \
           `info,flyte_oauth=debug`. The audit log (target `audit`) is written whatever this says.",
    check: |filter| crate::check_filter(filter),
};

/// [`LogConfig::format`](super::LogConfig::format).
pub static LOG_FORMAT: Setting<LogFormat> = Setting {
    key: "log.format",
    flag: Some("log-format"),
    placeholder: "text|json",
    default: Value("text"),
    help: "Form of the log on standard error: `text` for people, `json` for programs, one object on each line.",
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

/// Whether the text can be an account's e-mail address.
///
/// # Errors
/// Why not.
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
        "it must end after the host and port: the server cannot live under a path"
    } else if !url.username().is_empty() || url.password().is_some() {
        "it cannot hold a user name or password"
    } else if url.scheme() == "http" && !is_loopback(url) {
        "it must begin with https:// unless its host is localhost: browsers keep no sign-in otherwise"
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
        Err("a loopback URL with a port is expected, such as http://localhost:53593/callback".to_owned())
    }
}
