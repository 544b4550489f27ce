//! The HTTP client for calls and OAuth requests alike: whom to trust, and by which proxy to go.

mod proxy;

use std::{
    fmt,
    path::PathBuf,
    sync::{Arc, OnceLock, PoisonError, RwLock},
    time::Duration,
};

use reqwest::{
    Certificate, Client, ClientBuilder, Method, Proxy, RequestBuilder, Response,
    header::{HeaderValue, PROXY_AUTHORIZATION},
    redirect,
};
use url::Url;

pub use self::proxy::{Proxies, ProxyServer, ProxyVariables};
use crate::{AuthError, ConnectFailure};

/// How long connecting may take, TLS included.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(30);

/// How to reach the servers.
#[derive(Clone, Default)]
pub struct HttpOptions {
    /// PEM file with authorities (`admin.caCertFilePath`): the only ones that the control plane may be trusted by, and for
    /// other servers, such as the identity provider, as good as the system's.
    pub ca_cert_file: Option<PathBuf>,
    /// Trust any certificate of the control plane (`admin.insecureSkipVerify`), and of no other server. `ca_cert_file` wins
    /// when both are given.
    pub insecure_skip_verify: bool,
    /// Proxy for all requests (`admin.httpProxyURL`), before `HTTPS_PROXY` and `HTTP_PROXY`; `NO_PROXY` holds for it too.
    pub proxy_url: Option<Url>,
    /// The proxies that the environment names.
    pub proxy_variables: ProxyVariables,
    /// Whether an API key says where the control plane is: what it needs beside it comes in variables, not in a file.
    pub with_api_key: bool,
}

impl fmt::Debug for HttpOptions {
    /// Without the proxy's user name and password.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HttpOptions")
            .field("ca_cert_file", &self.ca_cert_file)
            .field("insecure_skip_verify", &self.insecure_skip_verify)
            .field("proxy", &self.proxy_url.as_ref().and_then(Url::host_str))
            .field("proxy_variables", &self.proxy_variables)
            .field("with_api_key", &self.with_api_key)
            .finish()
    }
}

/// The HTTP client of a session, with what a proxy in front of the control plane wants to see (`admin.proxyCommand`).
///
/// There are two clients below it, because the settings about trust are about the control plane: its origin (RFC 6454:
/// scheme, host and port) is one, all other servers are the other.
#[derive(Debug)]
pub struct Http {
    /// For the control plane's own origin.
    own: Client,
    /// For any other, once it is needed: reading the system's authorities takes a while.
    others: OnceLock<Client>,
    options: HttpOptions,
    proxies: Proxies,
    /// The control plane. Nothing for the proxy goes anywhere else.
    endpoint: Url,
    /// `proxy-authorization`, as far as there is one.
    proxy: RwLock<Option<HeaderValue>>,
}

/// Which authorities are trusted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Trust {
    /// Those that the settings name for the control plane.
    ControlPlane,
    /// The system's, with those of the file.
    System,
}

impl Http {
    /// A client for the control plane at `endpoint`, and for the servers that it names.
    ///
    /// # Errors
    /// [`AuthError::CaFile`] where the CA file cannot be read or holds no certificate, [`AuthError::Proxy`] for a proxy
    /// that cannot be used, [`AuthError::Tls`] where the system has no authorities.
    pub fn new(options: &HttpOptions, endpoint: Url) -> Result<Self, AuthError> {
        let proxies = Proxies::new(options.proxy_url.as_ref(), &options.proxy_variables);
        Ok(Self {
            own: client(options, &proxies, Trust::ControlPlane)?,
            others: OnceLock::new(),
            options: options.clone(),
            proxies,
            endpoint,
            proxy: RwLock::new(None),
        })
    }

    /// The client for `url`, without anything for the proxy.
    ///
    /// # Errors
    /// Those of [`new`](Self::new).
    pub fn client_for(&self, url: &Url) -> Result<&Client, AuthError> {
        self.proxies.of(url)?;
        let same = self.options.ca_cert_file.is_none() && !self.options.insecure_skip_verify;
        if same || self.is_own(url) {
            return Ok(&self.own);
        }
        if let Some(client) = self.others.get() {
            return Ok(client);
        }
        let client = client(&self.options, &self.proxies, Trust::System)?;
        Ok(self.others.get_or_init(|| client))
    }

    /// Whether `url` is the control plane's own origin.
    pub(crate) fn is_own(&self, url: &Url) -> bool {
        url.origin() == self.endpoint.origin()
    }

    /// A request; one to the control plane's own origin carries the proxy's token.
    pub(crate) fn request(&self, method: Method, url: Url) -> Result<RequestBuilder, AuthError> {
        let ours = self.is_own(&url);
        let request = self.client_for(&url)?.request(method, url);
        Ok(match self.proxy.read().unwrap_or_else(PoisonError::into_inner).clone().filter(|_| ours) {
            Some(value) => request.header(PROXY_AUTHORIZATION, value),
            None => request,
        })
    }

    pub(crate) fn get(&self, url: Url) -> Result<RequestBuilder, AuthError> {
        self.request(Method::GET, url)
    }

    pub(crate) fn post(&self, url: Url) -> Result<RequestBuilder, AuthError> {
        self.request(Method::POST, url)
    }

    /// What the proxy is shown from now on.
    pub(crate) fn show_to_proxy(&self, value: Option<HeaderValue>) {
        *self.proxy.write().unwrap_or_else(PoisonError::into_inner) = value;
    }

    /// Why a request to `url` failed. Where it went through a proxy, that is named.
    #[must_use]
    pub fn failure(&self, url: &Url, error: &reqwest::Error) -> ConnectFailure {
        ConnectFailure::through(error, self.proxies.of(url).ok().flatten())
    }

    /// What to do about a failure at `url`, if there is something to do.
    #[must_use]
    pub fn hint(&self, url: &Url, failure: &ConnectFailure) -> Option<String> {
        if !self.is_own(url) {
            return failure.hint_elsewhere();
        }
        if *failure != ConnectFailure::UnknownAuthority {
            return failure.hint();
        }
        let endpoint = self.endpoint.as_str().trim_end_matches('/');
        // The variable stands for the system's authorities, which a file of the configuration replaces.
        let trust = if self.options.with_api_key && self.options.ca_cert_file.is_none() {
            "Trust its authority: `export SSL_CERT_FILE=FILE`.".to_owned()
        } else {
            format!("Trust its authority: `flyte create config --endpoint {endpoint} --ca-cert-file FILE`.")
        };
        Some(format!(
            "{trust} A flyte-server names FILE when it starts, and offers it as ca.pem on its page {endpoint}/."
        ))
    }

    /// An HTTP failure at `url`, whose query is left out: it may hold a code.
    #[must_use]
    pub fn unreachable(&self, url: &Url, source: reqwest::Error) -> AuthError {
        let mut shown = url.clone();
        shown.set_query(None);
        shown.set_fragment(None);
        let failure = self.failure(url, &source);
        AuthError::Unreachable {
            url: shown.to_string(),
            hint: self.hint(url, &failure),
            failure,
            source: Arc::new(source.without_url()),
        }
    }
}

/// Builds a client.
///
/// It follows no redirects: a token request must never be sent on (RFC 9700 section 4.12), and no call answers with one.
fn client(options: &HttpOptions, proxies: &Proxies, trust: Trust) -> Result<Client, AuthError> {
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
        builder = match trust {
            Trust::ControlPlane => builder.tls_certs_only(certificates),
            Trust::System => builder.tls_certs_merge(certificates),
        };
    } else if options.insecure_skip_verify && trust == Trust::ControlPlane {
        builder = builder.tls_danger_accept_invalid_certs(true);
    }
    builder = through(builder, proxies)?;
    builder.build().map_err(|error| {
        let reason = innermost(&error);
        match &options.ca_cert_file {
            // What is between BEGIN and END is looked at only now.
            Some(path) => AuthError::CaFile { path: path.clone(), reason },
            None => AuthError::Tls { reason },
        }
    })
}

/// A builder of clients that go through these proxies.
///
/// # Errors
/// [`AuthError::Proxy`]
pub fn through(mut builder: ClientBuilder, proxies: &Proxies) -> Result<ClientBuilder, AuthError> {
    // The settings of macOS and Windows come last; reqwest reads them by itself.
    if proxies.is_empty() && cfg!(any(target_os = "macos", windows)) {
        return Ok(builder);
    }
    builder = builder.no_proxy();
    if proxies.is_empty() {
        return Ok(builder);
    }
    for server in proxies.servers() {
        Proxy::all(server.url.clone())
            .map_err(|error| AuthError::Proxy { setting: server.setting(), reason: innermost(&error) })?;
    }
    let proxies = proxies.clone();
    Ok(builder
        .proxy(Proxy::custom(move |url| proxies.of(url).ok().flatten().map(|server| server.url.clone()))))
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
