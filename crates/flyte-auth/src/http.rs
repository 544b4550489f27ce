//! The HTTP client for calls and OAuth requests: which certificates it trusts, and which proxy it uses.

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

/// How long connecting may take, including TLS.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(30);

/// How to reach the servers.
#[derive(Clone, Default)]
pub struct HttpOptions {
    /// PEM file with certificate authorities (`admin.caCertFilePath`). For the control plane, only these are trusted; for other
    /// servers (for example the identity provider), these are trusted in addition to the system's.
    pub ca_cert_file: Option<PathBuf>,
    /// Trust any certificate of the control plane (`admin.insecureSkipVerify`), but not of other servers. `ca_cert_file` takes
    /// precedence.
    pub insecure_skip_verify: bool,
    /// Proxy for all requests (`admin.httpProxyURL`). It takes precedence over `HTTPS_PROXY` and `HTTP_PROXY`; `NO_PROXY`
    /// applies to it too.
    pub proxy_url: Option<Url>,
    /// The proxies that the environment names.
    pub proxy_variables: ProxyVariables,
    /// Whether the endpoint comes from an API key. Other settings then come from environment variables rather than a file.
    pub with_api_key: bool,
}

impl fmt::Debug for HttpOptions {
    /// Leaves out the proxy's user name and password.
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

/// The HTTP client of a session, with the token for a proxy in front of the control plane (`admin.proxyCommand`).
///
/// It wraps two clients, because the trust settings apply to the control plane only: one client for the control plane's origin
/// (RFC 6454: scheme, host and port), and one for all other servers.
#[derive(Debug)]
pub struct Http {
    /// For the control plane's own origin.
    own: Client,
    /// For other origins. Built on first use, because reading the system's authorities takes a while.
    others: OnceLock<Client>,
    options: HttpOptions,
    proxies: Proxies,
    /// The control plane. The proxy's token goes nowhere else.
    endpoint: Url,
    /// The `proxy-authorization` header, if there is one.
    proxy_authorization: RwLock<Option<HeaderValue>>,
}

/// A server that a request went to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Target {
    /// The control plane.
    ControlPlane {
        /// Its address, without a slash at the end.
        address: String,
        /// How this process can be made to trust another authority.
        trust: TrustSetting,
    },
    /// Another server, for example the identity provider that the control plane names.
    Other,
}

/// How a process can be made to trust another certificate authority for the control plane.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TrustSetting {
    /// By the configuration (`admin.caCertFilePath`).
    Configuration,
    /// By the environment variable `SSL_CERT_FILE`, which replaces the system's authorities.
    Variable,
}

/// Which authorities are trusted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Trust {
    /// Those that the settings name for the control plane.
    ControlPlane,
    /// The system's, and those of the CA file.
    System,
}

impl Http {
    /// Creates a client for the control plane at `endpoint`, and for the servers that it names.
    ///
    /// # Errors
    /// [`AuthError::CaFile`] if the CA file cannot be read or holds no certificate, [`AuthError::Proxy`] if a proxy cannot be
    /// used, [`AuthError::Tls`] if the system has no authorities.
    pub fn new(options: &HttpOptions, endpoint: Url) -> Result<Self, AuthError> {
        let proxies = Proxies::new(options.proxy_url.as_ref(), &options.proxy_variables);
        Ok(Self {
            own: client(options, &proxies, Trust::ControlPlane)?,
            others: OnceLock::new(),
            options: options.clone(),
            proxies,
            endpoint,
            proxy_authorization: RwLock::new(None),
        })
    }

    /// Returns the client for `url`. It does not send the proxy's token.
    ///
    /// # Errors
    /// Those of [`new`](Self::new).
    pub fn client_for(&self, url: &Url) -> Result<&Client, AuthError> {
        self.proxies.select(url)?;
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

    /// Creates a request. If it goes to the control plane's own origin, it carries the proxy's token.
    pub(crate) fn request(&self, method: Method, url: Url) -> Result<RequestBuilder, AuthError> {
        let is_own = self.is_own(&url);
        let request = self.client_for(&url)?.request(method, url);
        let authorization = self.proxy_authorization.read().unwrap_or_else(PoisonError::into_inner).clone();
        Ok(match authorization.filter(|_| is_own) {
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

    /// Sets the `proxy-authorization` header of further requests.
    pub(crate) fn set_proxy_authorization(&self, value: Option<HeaderValue>) {
        *self.proxy_authorization.write().unwrap_or_else(PoisonError::into_inner) = value;
    }

    /// Finds out why a request to `url` failed, and whether that was at a proxy.
    #[must_use]
    pub fn failure(&self, url: &Url, error: &reqwest::Error) -> ConnectFailure {
        ConnectFailure::through(error, self.proxies.select(url).ok().flatten())
    }

    /// Whether `url` is the control plane or another server.
    #[must_use]
    pub fn target(&self, url: &Url) -> Target {
        if !self.is_own(url) {
            return Target::Other;
        }
        // A CA file of the configuration replaces the system's authorities, and with them the variable.
        let by_variable = self.options.with_api_key && self.options.ca_cert_file.is_none();
        Target::ControlPlane {
            address: self.endpoint.as_str().trim_end_matches('/').to_owned(),
            trust: if by_variable { TrustSetting::Variable } else { TrustSetting::Configuration },
        }
    }

    /// Converts an HTTP failure at `url`. The error leaves out the query, which may hold a code.
    #[must_use]
    pub fn unreachable(&self, url: &Url, source: reqwest::Error) -> AuthError {
        let mut shown = url.clone();
        shown.set_query(None);
        shown.set_fragment(None);
        AuthError::Unreachable {
            url: shown.to_string(),
            failure: self.failure(url, &source),
            target: self.target(url),
            source: Arc::new(source.without_url()),
        }
    }
}

/// Builds a client.
///
/// The client follows no redirects: a token request must never be forwarded (RFC 9700 section 4.12), and calls do not redirect.
fn client(options: &HttpOptions, proxies: &Proxies, trust: Trust) -> Result<Client, AuthError> {
    let mut builder = Client::builder()
        .user_agent(concat!("flyte-auth/", env!("CARGO_PKG_VERSION")))
        .redirect(redirect::Policy::none())
        .connect_timeout(CONNECT_TIMEOUT)
        // Keepalive detects a vanished peer within a minute, even for a stream that only reads.
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
    builder = with_proxies(builder, proxies)?;
    builder.build().map_err(|error| {
        let reason = innermost(&error);
        match &options.ca_cert_file {
            // The content between BEGIN and END is parsed only here.
            Some(path) => AuthError::CaFile { path: path.clone(), reason },
            None => AuthError::Tls { reason },
        }
    })
}

/// Makes a client use these proxies.
///
/// # Errors
/// [`AuthError::Proxy`]
pub fn with_proxies(mut builder: ClientBuilder, proxies: &Proxies) -> Result<ClientBuilder, AuthError> {
    // Without proxies of our own, reqwest reads the settings of macOS and Windows.
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
        .proxy(Proxy::custom(move |url| proxies.select(url).ok().flatten().map(|server| server.url.clone()))))
}

/// The text of the innermost source of an error. The builder's own text says only that building failed.
fn innermost(error: &dyn std::error::Error) -> String {
    let mut last = error;
    while let Some(source) = last.source() {
        last = source;
    }
    last.to_string()
}

/// Reads the body of a response; `None` if it is longer than `limit` bytes.
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
