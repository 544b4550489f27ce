//! Requests to issuers: over https, or on this machine, without following redirects, with limits on time and size.

use std::{fs, io, net::IpAddr, path::PathBuf, sync::OnceLock, time::Duration};

use http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, header};
use reqwest::{Certificate, Client, redirect};
use url::{Host, Url};

use crate::internal::{self, PublicOnly};
use flyte_model::{innermost_cause, is_loopback};

/// The minimum time between two requests for the same document, in seconds.
pub const MIN_FETCH_INTERVAL_SECONDS: i64 = 10;
/// The maximum time for one answer.
const TIMEOUT: Duration = Duration::from_secs(10);
/// The maximum size of an answer, in bytes.
const MAX_ANSWER_BYTES: usize = 256 * 1024;

/// The reason why an issuer's document or keys are missing.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum IssuerError {
    /// The issuer did not answer, or its answer was wrong.
    #[error("{url}: {reason}")]
    Answer {
        /// The requested URL.
        url: String,
        /// The reason.
        reason: String,
    },
    /// The last request failed a moment ago.
    #[error(
        "the keys of {issuer} could not be fetched a moment ago; try again in {MIN_FETCH_INTERVAL_SECONDS} s"
    )]
    Paused {
        /// The issuer.
        issuer: String,
    },
    /// The HTTP client cannot be created, for example because there are no trusted certificates.
    #[error("trusted issuers cannot be reached: {0}")]
    Client(String),
}

impl IssuerError {
    /// Creates the error for an answer from this URL. Its query may contain data of users and is left out.
    #[must_use]
    pub fn answer(url: &Url, reason: impl Into<String>) -> Self {
        let mut url = url.clone();
        url.set_query(None);
        Self::Answer { url: url.to_string(), reason: reason.into() }
    }
}

/// The file with additional certificate authorities cannot be used.
#[derive(Debug, thiserror::Error)]
#[error("cannot read \"trust.ca-file\" {}: {source}", path.display())]
pub struct CaFileError {
    path: PathBuf,
    source: io::Error,
}

/// Certificate authorities that are trusted besides the machine's.
#[derive(Clone, Debug, Default)]
pub struct Authorities(Vec<Certificate>);

impl Authorities {
    /// Reads a PEM file. Without a file, there are no additional authorities.
    ///
    /// # Errors
    /// [`CaFileError`] if the file cannot be used.
    pub fn read(ca_file: Option<PathBuf>) -> Result<Self, CaFileError> {
        let Some(path) = ca_file else { return Ok(Self::default()) };
        fs::read(&path)
            .and_then(|pem| {
                let certificates = Certificate::from_pem_bundle(&pem).map_err(io::Error::other)?;
                if certificates.is_empty() {
                    return Err(io::Error::other("it contains no PEM certificate"));
                }
                Ok(Self(certificates))
            })
            .map_err(|source| CaFileError { path, source })
    }
}

/// The hosts that a [`Fetcher`] contacts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reach {
    /// Every host.
    Anywhere,
    /// Hosts with public addresses only; see [`is_internal`](crate::is_internal).
    Public,
}

/// Whether data can be fetched from this URL without being changed on the way.
#[must_use]
pub fn is_safe(url: &Url) -> bool {
    url.host().is_some() && (url.scheme() == "https" || (url.scheme() == "http" && is_loopback(url)))
}

/// The answer to a request, of any status.
#[derive(Clone, Debug)]
pub struct Answer {
    /// The status.
    pub status: StatusCode,
    /// The media type in lower case, without parameters.
    pub media_type: String,
    /// The body.
    pub body: Vec<u8>,
}

/// Sends requests to issuers.
#[derive(Debug)]
pub struct Fetcher {
    authorities: Authorities,
    reach: Reach,
    resolver: PublicOnly,
    /// Created at the first request, so that a machine without certificates can run a server.
    clients: OnceLock<Result<Clients, IssuerError>>,
}

#[derive(Debug)]
struct Clients {
    /// Uses the machine's proxy, if there is one.
    remote: Client,
    /// For this machine; never uses a proxy.
    local: Client,
}

impl Fetcher {
    /// Creates a fetcher. It opens no connection.
    #[must_use]
    pub fn new(authorities: Authorities, reach: Reach) -> Self {
        Self { authorities, reach, resolver: PublicOnly::default(), clients: OnceLock::new() }
    }

    /// Returns the body of a successful JSON answer.
    ///
    /// # Errors
    /// [`IssuerError`] if the status is not 200, or for the reasons of [`Fetcher::send`].
    pub async fn get(&self, url: &Url) -> Result<Vec<u8>, IssuerError> {
        let answer = self.send(Method::GET, url, json(), Vec::new()).await?;
        if answer.status == StatusCode::OK {
            Ok(answer.body)
        } else {
            Err(IssuerError::answer(url, format!("the answer has status {}", answer.status)))
        }
    }

    /// Sends a request and returns the answer.
    ///
    /// # Errors
    /// [`IssuerError`] if the URL is not https, the host is not allowed, there is no answer in time, or it is too large.
    pub async fn send(
        &self,
        method: Method,
        url: &Url,
        headers: HeaderMap,
        body: Vec<u8>,
    ) -> Result<Answer, IssuerError> {
        let failed = |reason: String| IssuerError::answer(url, reason);
        if !is_safe(url) {
            return Err(failed("the URL is not https".to_owned()));
        }
        self.check_host(url).map_err(|error| failed(error.to_string()))?;
        let clients = self.clients.get_or_init(|| self.clients()).as_ref().map_err(Clone::clone)?;
        let client = if is_loopback(url) { &clients.local } else { &clients.remote };
        let answer = async {
            let mut response = client.request(method, url.clone()).headers(headers).body(body).send().await?;
            let mut body = Vec::new();
            while let Some(chunk) = response.chunk().await? {
                if body.len() + chunk.len() > MAX_ANSWER_BYTES {
                    return Ok(Err(format!("the answer has more than {MAX_ANSWER_BYTES} bytes")));
                }
                body.extend_from_slice(&chunk);
            }
            let media_type =
                response.headers().get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok());
            let media_type = media_type.and_then(|text| text.split(';').next()).unwrap_or_default();
            Ok(Ok(Answer {
                status: response.status(),
                media_type: media_type.trim().to_ascii_lowercase(),
                body,
            }))
        };
        answer.await.map_err(|error: reqwest::Error| failed(innermost_cause(&error)))?.map_err(failed)
    }

    /// Refuses addresses in the URL itself; names are checked when they are resolved.
    fn check_host(&self, url: &Url) -> io::Result<()> {
        if self.reach == Reach::Anywhere {
            return Ok(());
        }
        let address = match url.host() {
            Some(Host::Ipv4(address)) => IpAddr::V4(address),
            Some(Host::Ipv6(address)) => IpAddr::V6(address),
            Some(Host::Domain(name)) => {
                self.resolver.request(name);
                return Ok(());
            }
            None => return Ok(()),
        };
        if internal::is_internal(address) {
            return Err(internal::refusal("this URL", address));
        }
        Ok(())
    }

    fn clients(&self) -> Result<Clients, IssuerError> {
        let client = |local: bool| {
            let mut builder = Client::builder()
                .user_agent(concat!("flyte-server/", env!("CARGO_PKG_VERSION")))
                .redirect(redirect::Policy::none())
                .timeout(TIMEOUT)
                .pool_max_idle_per_host(1);
            if local {
                builder = builder.no_proxy();
            }
            if self.reach == Reach::Public {
                builder = builder.dns_resolver(self.resolver.clone());
            }
            if !self.authorities.0.is_empty() {
                builder = builder.tls_certs_merge(self.authorities.0.iter().cloned());
            }
            builder.build().map_err(|error| IssuerError::Client(innermost_cause(&error)))
        };
        Ok(Clients { remote: client(false)?, local: client(true)? })
    }
}

fn json() -> HeaderMap {
    let accept: (HeaderName, HeaderValue) = (header::ACCEPT, HeaderValue::from_static("application/json"));
    HeaderMap::from_iter([accept])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn internal_hosts_are_not_contacted_unless_allowed() {
        let public = Fetcher::new(Authorities::default(), Reach::Public);
        for url in [
            "https://10.0.0.1/",
            "https://[::1]/",
            "http://127.0.0.1:9/",
            "https://169.254.169.254/",
            "http://localhost:9/",
        ] {
            let error = public.get(&url.parse().unwrap()).await.unwrap_err().to_string();
            assert!(error.contains("internal address"), "{url}: {error}");
        }
        let anywhere = Fetcher::new(Authorities::default(), Reach::Anywhere);
        let error = anywhere.get(&"http://127.0.0.1:9/".parse().unwrap()).await.unwrap_err().to_string();
        assert!(error.contains("refused"), "{error}");
        let error = anywhere.get(&"http://192.0.2.1/".parse().unwrap()).await.unwrap_err().to_string();
        assert!(error.contains("not https"), "{error}");
    }

    #[test]
    fn errors_do_not_contain_the_query() {
        let url = "https://a.example/p?token=secret".parse().unwrap();
        assert_eq!(IssuerError::answer(&url, "no").to_string(), "https://a.example/p: no");
    }
}
