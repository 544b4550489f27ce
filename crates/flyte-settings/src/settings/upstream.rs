//! `upstream`: the Flyte 2 backend behind this server.

use std::path::PathBuf;

use url::Url;

use super::check::{any, between, positive};
use crate::{
    app_hosts::AppHosts,
    cluster::{ClusterUrl, check_url},
    setting::{
        Default::{Depends, Value},
        Setting,
    },
    value::{Bytes, Seconds},
};

/// [`UpstreamConfig::url`](crate::UpstreamConfig::url).
pub static UPSTREAM_URL: Setting<Url> = Setting {
    key: "upstream.url",
    flag: Some("upstream"),
    placeholder: "URL",
    default: Depends("none: this server is the control plane itself"),
    help: "URL of a Flyte 2 backend, for example `http://flyte-binary-http.flyte:8090`. The server then sends the calls \
           of signed-in callers to it, and runs no tasks itself. With `http:`, calls cross the network between the \
           two in the clear; a backend without encryption gets HTTP/2 with prior knowledge (h2c) if it understands it.",
    check: |url| check_url(url),
};

/// [`UpstreamConfig::clusters`](crate::UpstreamConfig::clusters).
pub static UPSTREAM_CLUSTERS: Setting<Vec<ClusterUrl>> = Setting {
    key: "upstream.clusters",
    flag: None,
    placeholder: "NAME=URL,...",
    default: Value(""),
    help: "More backends by the names of their clusters, for example `gpu=https://flyte.gpu.internal:8090`. Calls with \
           the host `NAME.HOST`, where `HOST` is that of `public-url`, go to this backend; a name with a dot is the whole host. \
           All other calls go to `upstream.url`.",
    check: any,
};

/// [`UpstreamConfig::authority_file`](crate::UpstreamConfig::authority_file).
pub static UPSTREAM_AUTHORITY_FILE: Setting<PathBuf> = Setting {
    key: "upstream.authority-file",
    flag: None,
    placeholder: "FILE",
    default: Depends("none: the machine's certificate authorities"),
    help: "PEM file of the certificate authorities that the certificates of backends with `https:` must come from. Only \
           these are trusted then.",
    check: any,
};

/// The certificate of [`UpstreamConfig::identity`](crate::UpstreamConfig::identity).
pub static UPSTREAM_CERTIFICATE_FILE: Setting<PathBuf> = Setting {
    key: "upstream.certificate-file",
    flag: None,
    placeholder: "FILE",
    default: Depends("none: the server shows no certificate to backends"),
    help: "PEM file of the certificate that the server shows to backends with `https:` (mutual TLS), followed by the \
           intermediate certificates.",
    check: any,
};

/// The private key of [`UpstreamConfig::identity`](crate::UpstreamConfig::identity).
pub static UPSTREAM_KEY_FILE: Setting<PathBuf> = Setting {
    key: "upstream.key-file",
    flag: None,
    placeholder: "FILE",
    default: Depends("none; required with `upstream.certificate-file`"),
    help: "PEM file with the private key of `upstream.certificate-file`.",
    check: any,
};

/// [`UpstreamConfig::connect_timeout`](crate::UpstreamConfig::connect_timeout).
pub static UPSTREAM_CONNECT_TIMEOUT: Setting<Seconds> = Setting {
    key: "upstream.connect-timeout",
    flag: None,
    placeholder: "DURATION",
    default: Value("5s"),
    help: "How long a connection to a backend may take until it can be used, with name resolution and TLS handshake.",
    check: |timeout| between(timeout, 1, 300),
};

/// [`UpstreamConfig::request_timeout`](crate::UpstreamConfig::request_timeout).
pub static UPSTREAM_REQUEST_TIMEOUT: Setting<Seconds> = Setting {
    key: "upstream.request-timeout",
    flag: None,
    placeholder: "DURATION",
    default: Value("5m"),
    help: "How long a call of a backend may take, if its caller sets no shorter time. Streams have no such limit.",
    check: |timeout| between(timeout, 1, 86_400),
};

/// [`UpstreamConfig::health_path`](crate::UpstreamConfig::health_path).
pub static UPSTREAM_HEALTH_PATH: Setting<String> = Setting {
    key: "upstream.health-path",
    flag: None,
    placeholder: "PATH",
    default: Value("/healthz"),
    help: "Path at which a backend that works answers 200. Each address of a backend is asked; those that fail get no \
           calls.",
    check: |path| {
        let is_path = path.starts_with('/') && path.bytes().all(|byte| byte.is_ascii_graphic());
        if is_path { Ok(()) } else { Err("a path is expected, for example /healthz".to_owned()) }
    },
};

/// [`UpstreamConfig::health_interval`](crate::UpstreamConfig::health_interval).
pub static UPSTREAM_HEALTH_INTERVAL: Setting<Seconds> = Setting {
    key: "upstream.health-interval",
    flag: None,
    placeholder: "DURATION",
    default: Value("5s"),
    help: "How often `upstream.health-path` is asked.",
    check: |interval| between(interval, 1, 3600),
};

/// [`UpstreamConfig::keep_alive_interval`](crate::UpstreamConfig::keep_alive_interval).
pub static UPSTREAM_KEEP_ALIVE_INTERVAL: Setting<Seconds> = Setting {
    key: "upstream.keep-alive-interval",
    flag: None,
    placeholder: "DURATION",
    default: Value("20s"),
    help: "How often the server checks with HTTP/2 pings that a silent backend is there. If the backend does not answer \
           within the same time, but at most 10 seconds, its streams end with `unavailable`.",
    check: |interval| between(interval, 1, 3600),
};

/// [`UpstreamConfig::max_concurrent_requests`](crate::UpstreamConfig::max_concurrent_requests).
pub static UPSTREAM_MAX_CONCURRENT_REQUESTS: Setting<usize> = Setting {
    key: "upstream.max-concurrent-requests",
    flag: None,
    placeholder: "NUMBER",
    default: Value("1024"),
    help: "The most calls that wait for the answer of a backend to begin. Further ones are refused at once with \
           `resource_exhausted`. Open streams do not count; `http.max-streams` limits them.",
    check: positive,
};

/// [`UpstreamConfig::max_message_size`](crate::UpstreamConfig::max_message_size).
pub static UPSTREAM_MAX_MESSAGE_SIZE: Setting<Bytes> = Setting {
    key: "upstream.max-message-size",
    flag: None,
    placeholder: "SIZE",
    default: Value("16MiB"),
    help: "The largest message of a call to a backend, decompressed. `http.max-body-size` does not apply to these calls.",
    check: |size| if size.0 < 1024 { Err("at least 1KiB is expected".to_owned()) } else { Ok(()) },
};

/// [`UpstreamConfig::subject_header`](crate::UpstreamConfig::subject_header).
pub static UPSTREAM_SUBJECT_HEADER: Setting<String> = Setting {
    key: "upstream.subject-header",
    flag: None,
    placeholder: "NAME",
    default: Depends("none: `X-Amzn-Oidc-Data` and `X-Amzn-Oidc-Identity`, which backends read by default"),
    help: "One more header for the caller's subject, if the backend is configured to read another one \
           (`runs.identityHeaders.subjectHeader`), for example `X-Auth-Request-User`. Copies of callers are removed.",
    check: |name| check_header(name),
};

/// [`UpstreamConfig::email_header`](crate::UpstreamConfig::email_header).
pub static UPSTREAM_EMAIL_HEADER: Setting<String> = Setting {
    key: "upstream.email-header",
    flag: None,
    placeholder: "NAME",
    default: Depends("none: the e-mail address is in `X-Amzn-Oidc-Data`"),
    help: "A header for the e-mail address of a user, if the backend is configured to read one \
           (`runs.identityHeaders.emailHeader`), for example `X-Auth-Request-Email`. Copies of callers are removed.",
    check: |name| check_header(name),
};

/// [`UpstreamConfig::console_url`](crate::UpstreamConfig::console_url).
pub static UPSTREAM_CONSOLE_URL: Setting<Url> = Setting {
    key: "upstream.console-url",
    flag: None,
    placeholder: "URL",
    default: Depends("none: there is no console"),
    help: "URL of the server of the console's pages, for example `http://flyte-binary-console.flyte`. `/v2` of this server \
           then shows the console to signed-in users, whose pages call with the cookie of the sign-in.",
    check: |url| check_url(url),
};

/// [`UpstreamConfig::apps`](crate::UpstreamConfig::apps).
pub static UPSTREAM_APPS: Setting<Vec<AppHosts>> = Setting {
    key: "upstream.apps",
    flag: None,
    placeholder: "*.HOST[@CLUSTER]=URL,...",
    default: Value(""),
    help: "Hosts of apps, and the server that finds an app by the host, for example \
           `*.apps.example.com=http://kourier.kourier-system`. Only signed-in users reach apps. The certificate of this \
           server must be valid for these hosts, which use the port of `public-url`. With `upstream.clusters`, each entry \
           says after the host which backend has the apps, for example \
           `*.apps.gpu.example.com@gpu=https://kourier.gpu.internal`; `main` is the backend of `upstream.url`.",
    check: any,
};

/// Checks the name of a header for the caller (RFC 9110 section 5.1).
fn check_header(name: &str) -> Result<(), String> {
    let is_name = !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-');
    let is_taken = ["authorization", "host", "connection", "content-type", "content-length", "cookie", "te"];
    if is_name && !is_taken.contains(&name.to_ascii_lowercase().as_str()) {
        return Ok(());
    }
    Err("the name of a header for callers is expected, for example X-Auth-Request-User".to_owned())
}
