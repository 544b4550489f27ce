//! The one HTTP client for calls and OAuth requests alike: the same trust, the same proxy.

use std::{
    fmt,
    path::PathBuf,
    sync::{PoisonError, RwLock},
    time::Duration,
};

use reqwest::{
    Certificate, Client, Method, NoProxy, Proxy, RequestBuilder, Response,
    header::{HeaderValue, PROXY_AUTHORIZATION},
    redirect,
};
use url::Url;

use crate::AuthError;

/// How long connecting may take, TLS included.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(30);

/// How to reach the servers.
#[derive(Clone, Default)]
pub struct HttpOptions {
    /// PEM file; when given, exactly the authorities in it are trusted (`admin.caCertFilePath`).
    pub ca_cert_file: Option<PathBuf>,
    /// Trust any certificate (`admin.insecureSkipVerify`). `ca_cert_file` wins when both are given.
    pub insecure_skip_verify: bool,
    /// Proxy for all requests (`admin.httpProxyURL`), before `HTTPS_PROXY` and `HTTP_PROXY`; `NO_PROXY` holds for it too.
    pub proxy_url: Option<Url>,
}

impl fmt::Debug for HttpOptions {
    /// Without the proxy's user name and password.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HttpOptions")
            .field("ca_cert_file", &self.ca_cert_file)
            .field("insecure_skip_verify", &self.insecure_skip_verify)
            .field("proxy", &self.proxy_url.as_ref().and_then(Url::host_str))
            .finish()
    }
}

/// The HTTP client of a session, with what a proxy in front of the control plane wants to see (`admin.proxyCommand`).
#[derive(Debug)]
pub struct Http {
    client: Client,
    /// The control plane. Nothing for the proxy goes anywhere else.
    endpoint: Url,
    /// `proxy-authorization`, as far as there is one.
    proxy: RwLock<Option<HeaderValue>>,
}

impl Http {
    /// A client for the control plane at `endpoint`.
    #[must_use]
    pub fn new(client: Client, endpoint: Url) -> Self {
        Self { client, endpoint, proxy: RwLock::new(None) }
    }

    /// The client without anything for the proxy.
    #[must_use]
    pub fn client(&self) -> &Client {
        &self.client
    }

    /// A request; one to the control plane's own origin carries the proxy's token.
    pub(crate) fn request(&self, method: Method, url: Url) -> RequestBuilder {
        let ours = url.origin() == self.endpoint.origin();
        let request = self.client.request(method, url);
        match self.proxy.read().unwrap_or_else(PoisonError::into_inner).clone().filter(|_| ours) {
            Some(value) => request.header(PROXY_AUTHORIZATION, value),
            None => request,
        }
    }

    pub(crate) fn get(&self, url: Url) -> RequestBuilder {
        self.request(Method::GET, url)
    }

    pub(crate) fn post(&self, url: Url) -> RequestBuilder {
        self.request(Method::POST, url)
    }

    /// What the proxy is shown from now on.
    pub(crate) fn show_to_proxy(&self, value: Option<HeaderValue>) {
        *self.proxy.write().unwrap_or_else(PoisonError::into_inner) = value;
    }
}

/// Builds the client.
///
/// It follows no redirects: a token request must never be sent on (RFC 9700 section 4.12), and no call answers with one.
///
/// # Errors
/// [`AuthError::CaFile`] where the CA file cannot be read or holds no certificate, [`AuthError::Proxy`] for a proxy URL
/// that cannot be used.
pub fn client(options: &HttpOptions) -> Result<Client, AuthError> {
    let mut builder = Client::builder()
        .user_agent(concat!("flyte-auth/", env!("CARGO_PKG_VERSION")))
        .redirect(redirect::Policy::none())
        .connect_timeout(CONNECT_TIMEOUT)
        // A peer that has vanished without a word is noticed within a minute, also by a stream that only reads.
        .tcp_keepalive(Duration::from_secs(30))
        .tcp_keepalive_interval(Duration::from_secs(10))
        .tcp_keepalive_retries(3)
        .pool_idle_timeout(Duration::from_secs(90));
    if let Some(path) = &options.ca_cert_file {
        let failed = |reason: String| AuthError::CaFile { path: path.clone(), reason };
        let pem = std::fs::read(path).map_err(|error| failed(error.to_string()))?;
        let certificates = Certificate::from_pem_bundle(&pem).map_err(|error| failed(error.to_string()))?;
        if certificates.is_empty() {
            return Err(failed("it holds no PEM certificate".to_owned()));
        }
        builder = builder.tls_certs_only(certificates);
    } else if options.insecure_skip_verify {
        builder = builder.tls_danger_accept_invalid_certs(true);
    }
    if let Some(url) = &options.proxy_url {
        let proxy = Proxy::all(url.clone())
            .map_err(|error| AuthError::Proxy { reason: error.to_string() })?
            .no_proxy(NoProxy::from_env());
        builder = builder.proxy(proxy);
    }
    builder.build().map_err(|error| {
        let reason = innermost(&error);
        match &options.ca_cert_file {
            // What is between BEGIN and END is looked at only now.
            Some(path) => AuthError::CaFile { path: path.clone(), reason },
            None => AuthError::Proxy { reason },
        }
    })
}

/// What an error came of in the end: the builder's own text says no more than that it failed.
fn innermost(error: &dyn std::error::Error) -> String {
    let mut last = error;
    while let Some(source) = last.source() {
        last = source;
    }
    last.to_string()
}

/// Reads the body of a response as far as `limit` bytes; `None` where it is longer.
pub(crate) async fn read(mut response: Response, limit: usize) -> Result<Option<Vec<u8>>, reqwest::Error> {
    let mut body = Vec::new();
    while let Some(chunk) = response.chunk().await? {
        if body.len() + chunk.len() > limit {
            return Ok(None);
        }
        body.extend_from_slice(&chunk);
    }
    Ok(Some(body))
}
