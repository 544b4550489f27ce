//! What an operator chooses.

use std::{path::PathBuf, time::Duration};

use url::Url;

use crate::identity::IdentityHeaderNames;

/// How the gateway treats calls.
#[derive(Clone, Debug)]
pub struct Options {
    /// The backends. The first one gets the calls that no other one is for.
    pub upstreams: Vec<UpstreamOptions>,
    /// The largest message of a request in bytes, decompressed.
    pub max_message: usize,
    /// The most calls whose answer has not begun. Further ones get `resource_exhausted`.
    pub max_concurrent_calls: usize,
    /// How long a unary call without a deadline of its own may take. Streams have no such limit.
    pub unary_timeout: Duration,
    /// How long the first message of a request may take to arrive.
    pub request_timeout: Duration,
}

impl Options {
    /// The defaults, for these backends.
    #[must_use]
    pub fn new(upstreams: Vec<UpstreamOptions>) -> Self {
        Self {
            upstreams,
            max_message: 16 << 20,
            max_concurrent_calls: 10_000,
            unary_timeout: Duration::from_mins(5),
            request_timeout: Duration::from_mins(1),
        }
    }
}

/// The version of HTTP that a backend speaks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum HttpVersion {
    /// Found out: by ALPN if the connection is encrypted; otherwise HTTP/2 is tried first.
    #[default]
    Auto,
    /// HTTP/1.1, which cannot carry gRPC.
    Http1,
    /// HTTP/2, without encryption with prior knowledge (RFC 9113 section 3.3).
    Http2,
}

/// A backend and how to reach it.
#[derive(Clone, Debug)]
pub struct UpstreamOptions {
    /// Its name, for messages and for [`Gateway::upstreams`](crate::Gateway::upstreams): that of the cluster.
    pub name: String,
    /// `http://HOST:PORT` or `https://HOST:PORT`.
    pub url: Url,
    /// The hosts of requests that are for this backend, as the caller names them, without a port.
    pub hosts: Vec<String>,
    /// The headers that the backend reads of the caller, beside the usual ones.
    pub identity_headers: IdentityHeaderNames,
    /// The version of HTTP.
    pub http: HttpVersion,
    /// Encryption, if the URL is `https`.
    pub tls: TlsOptions,
    /// How long a connection may take until it can be used.
    pub connect_timeout: Duration,
    /// How often the name is resolved again.
    pub resolve_interval: Duration,
    /// How often a connection with open streams is checked by a ping.
    pub keep_alive_interval: Duration,
    /// How long the answer to a ping may take.
    pub keep_alive_timeout: Duration,
    /// How long a connection without streams is kept.
    pub idle_timeout: Duration,
    /// The most connections to one address.
    pub max_connections: usize,
    /// The health check, if there is one.
    pub health: Option<HealthOptions>,
    /// After how many failures in a row an address gets no calls for a while.
    pub eject_after: u32,
    /// How long it then gets none; longer each time.
    pub eject_for: Duration,
}

impl UpstreamOptions {
    /// The defaults.
    #[must_use]
    pub fn new(name: impl Into<String>, url: Url) -> Self {
        Self {
            name: name.into(),
            url,
            hosts: Vec::new(),
            identity_headers: IdentityHeaderNames::default(),
            http: HttpVersion::Auto,
            tls: TlsOptions::default(),
            connect_timeout: Duration::from_secs(5),
            resolve_interval: Duration::from_secs(10),
            keep_alive_interval: Duration::from_secs(20),
            keep_alive_timeout: Duration::from_secs(10),
            idle_timeout: Duration::from_secs(90),
            max_connections: 128,
            health: None,
            eject_after: 5,
            eject_for: Duration::from_secs(10),
        }
    }
}

/// How a connection is encrypted. The files are read again for each connection, because certificates are renewed.
#[derive(Clone, Debug, Default)]
pub struct TlsOptions {
    /// PEM file of the authorities that are trusted. Without it, those of the system.
    pub ca: Option<PathBuf>,
    /// PEM file of our certificate and its chain, for mutual TLS.
    pub certificate: Option<PathBuf>,
    /// PEM file of its private key.
    pub key: Option<PathBuf>,
    /// The name that the certificate of the backend must have. Without it, the host of the URL.
    pub server_name: Option<String>,
}

/// How an address is checked.
#[derive(Clone, Debug)]
pub struct HealthOptions {
    /// The path of a GET that a healthy backend answers with 200.
    pub path: String,
    /// How often.
    pub interval: Duration,
    /// How long the answer may take.
    pub timeout: Duration,
}
