//! `http`: limits of the HTTP server.

use flyte_model::Network;

use super::check::{any, between, positive};
use crate::{
    setting::{Default::Value, Setting},
    value::{Bytes, Seconds},
};

/// [`HttpConfig::max_connections`](crate::HttpConfig::max_connections).
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

/// [`HttpConfig::max_concurrent_requests`](crate::HttpConfig::max_concurrent_requests).
pub static MAX_CONCURRENT_REQUESTS: Setting<usize> = Setting {
    key: "http.max-concurrent-requests",
    flag: None,
    placeholder: "NUMBER",
    default: Value("1024"),
    help: "The most requests in progress at the same time. The server answers further requests with 503, and clients \
           retry them. One client may have a quarter of them; its further requests get 429.",
    check: positive,
};

/// [`HttpConfig::max_streams`](crate::HttpConfig::max_streams).
pub static MAX_STREAMS: Setting<usize> = Setting {
    key: "http.max-streams",
    flag: None,
    placeholder: "NUMBER",
    default: Value("1024"),
    help: "The most streams that are open at the same time, for example to follow logs or watch runs. Further streams \
           are refused with `resource_exhausted`. One caller (a user, an API key, a trust rule or a run) may have a \
           quarter of them. A quarter is reserved for runs, which wait for their subtasks through streams. With \
           `upstream.apps` or `upstream.console-url`, each request to an app or to the console counts until its answer is \
           complete; further ones get 429. A stream needs no file descriptor other than that of its connection.",
    check: positive,
};

/// [`HttpConfig::max_body_size`](crate::HttpConfig::max_body_size).
pub static MAX_BODY_SIZE: Setting<Bytes> = Setting {
    key: "http.max-body-size",
    flag: None,
    placeholder: "SIZE",
    default: Value("4MiB"),
    help: "The largest request body of the control plane. Forms and token requests are limited to 64KiB in any case.",
    check: |size| if size.0 < 1024 { Err("at least 1KiB is expected".to_owned()) } else { Ok(()) },
};

/// [`HttpConfig::keep_alive_interval`](crate::HttpConfig::keep_alive_interval).
pub static KEEP_ALIVE_INTERVAL: Setting<Seconds> = Setting {
    key: "http.keep-alive-interval",
    flag: None,
    placeholder: "DURATION",
    default: Value("1m"),
    help: "How often the server checks with HTTP/2 pings that a silent client is there, which also keeps load balancers \
           from closing its connection. A client that does not answer within the same time, but at most 20 seconds, is \
           gone.",
    check: |interval| between(interval, 1, 3600),
};

/// [`HttpConfig::header_timeout`](crate::HttpConfig::header_timeout).
pub static HEADER_TIMEOUT: Setting<Seconds> = Setting {
    key: "http.header-timeout",
    flag: None,
    placeholder: "DURATION",
    default: Value("10s"),
    help: "How long a connection may take for the TLS handshake, and then for the head of each request. The server \
           closes an idle HTTP/1 connection after the same time.",
    check: |timeout| between(timeout, 1, 3600),
};

/// [`HttpConfig::request_timeout`](crate::HttpConfig::request_timeout).
pub static REQUEST_TIMEOUT: Setting<Seconds> = Setting {
    key: "http.request-timeout",
    flag: None,
    placeholder: "DURATION",
    default: Value("30s"),
    help: "How long a request may take until its response begins. A streamed response may take longer.",
    check: |timeout| between(timeout, 1, 3600),
};

/// [`HttpConfig::trusted_proxies`](crate::HttpConfig::trusted_proxies).
pub static TRUSTED_PROXIES: Setting<Vec<Network>> = Setting {
    key: "http.trusted-proxies",
    flag: Some("trusted-proxy"),
    placeholder: "NETWORK,...",
    default: Value(""),
    help: "Addresses and networks of proxies whose `X-Forwarded-For` is trusted. If your proxy is not listed, all \
           users behind it share one limit of sign-in attempts.",
    check: any,
};

/// [`HttpConfig::drain_delay`](crate::HttpConfig::drain_delay).
pub static DRAIN_DELAY: Setting<Seconds> = Setting {
    key: "http.drain-delay",
    flag: None,
    placeholder: "DURATION",
    default: Value("0s"),
    help: "How long after SIGTERM the server still accepts connections. `/readyz` answers 503 during this time, so \
           that a load balancer notices.",
    check: |delay| between(delay, 0, 3600),
};

/// [`HttpConfig::drain_timeout`](crate::HttpConfig::drain_timeout).
pub static DRAIN_TIMEOUT: Setting<Seconds> = Setting {
    key: "http.drain-timeout",
    flag: Some("drain-timeout"),
    placeholder: "DURATION",
    default: Value("30s"),
    help: "How long requests in progress may take to end after SIGTERM. A second signal stops the server at once.",
    check: |timeout| between(timeout, 0, 3600),
};
