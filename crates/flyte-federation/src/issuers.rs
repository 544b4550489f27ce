//! The signing keys of trusted issuers: fetched and cached.
//!
//! Only issuers that an administrator named in a rule are contacted: over https, or on this machine, without
//! following redirects, with limits on time and size. Keys are cached for `FRESH_SECONDS`. An unknown key is fetched
//! immediately, but at most once in `MIN_FETCH_INTERVAL_SECONDS`, so that strangers cannot cause many requests.

use std::{
    collections::HashMap,
    fs, io,
    path::PathBuf,
    sync::{Arc, Mutex, OnceLock, PoisonError},
    time::Duration,
};

use reqwest::{Certificate, Client, redirect};
use serde::Deserialize;
use url::Url;

use super::{
    keys::{KeySet, NoKeySet},
    rule::is_safe,
};
use flyte_model::{
    clock::{Clock, UnixTime},
    is_loopback,
};
use flyte_store::TrustRule;

/// How long fetched keys are used, in seconds. After that a key that the issuer has withdrawn is no longer accepted.
const FRESH_SECONDS: i64 = 300;
/// How long fetched keys are used while the issuer does not answer, in seconds.
const STALE_SECONDS: i64 = 3600;
/// The minimum time between two requests to one issuer, in seconds.
const MIN_FETCH_INTERVAL_SECONDS: i64 = 10;
/// The maximum time for one answer.
const TIMEOUT: Duration = Duration::from_secs(10);
/// The maximum size of an answer, in bytes.
const MAX_ANSWER_BYTES: usize = 256 * 1024;
/// The maximum number of issuers in the cache.
const MAX_ISSUERS: usize = 1000;

/// The reason why there are no keys.
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

/// The file with additional certificate authorities cannot be used.
#[derive(Debug, thiserror::Error)]
#[error("cannot read \"trust.ca-file\" {}: {source}", path.display())]
pub struct CaFileError {
    path: PathBuf,
    source: io::Error,
}

/// Fetches and caches the keys of trusted issuers.
#[derive(Debug)]
pub struct TrustedIssuers {
    clock: Clock,
    authorities: Vec<Certificate>,
    /// Created when the first issuer is contacted, so that a machine without certificates can run a server.
    clients: OnceLock<Result<Clients, IssuerError>>,
    known: Mutex<HashMap<KeySource, Arc<Known>>>,
}

#[derive(Debug)]
struct Clients {
    /// Uses the machine's proxy, if there is one.
    remote: Client,
    /// For this machine; never uses a proxy.
    local: Client,
}

/// The source of an issuer's keys.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct KeySource {
    issuer: String,
    jwks_uri: Option<String>,
}

/// The cached state of one issuer.
#[derive(Debug, Default)]
struct Known {
    keys: Mutex<Option<Fetched>>,
    /// The time of the last request. The holder of the lock sends the request.
    asked_at: tokio::sync::Mutex<Option<UnixTime>>,
}

#[derive(Clone, Debug)]
struct Fetched {
    keys: Arc<KeySet>,
    at: UnixTime,
}

impl Known {
    fn get(&self) -> Option<Fetched> {
        self.keys.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Returns the keys if they are fresh and contain the wanted key.
    fn fresh_with(&self, kid: Option<&str>, now: UnixTime) -> Option<Arc<KeySet>> {
        self.get()
            .filter(|found| now.saturating_sub(found.at) < FRESH_SECONDS && found.keys.has(kid))
            .map(|found| found.keys)
    }
}

impl TrustedIssuers {
    /// Creates an empty cache. `ca_file` is a PEM file of certificate authorities that are trusted besides the
    /// machine's.
    ///
    /// # Errors
    /// [`CaFileError`] if the file cannot be used.
    pub fn new(ca_file: Option<PathBuf>, clock: Clock) -> Result<Self, CaFileError> {
        let authorities = match ca_file {
            Some(path) => fs::read(&path)
                .and_then(|pem| {
                    let certificates = Certificate::from_pem_bundle(&pem).map_err(io::Error::other)?;
                    if certificates.is_empty() {
                        return Err(io::Error::other("it contains no PEM certificate"));
                    }
                    Ok(certificates)
                })
                .map_err(|source| CaFileError { path, source })?,
            None => Vec::new(),
        };
        Ok(Self { clock, authorities, clients: OnceLock::new(), known: Mutex::default() })
    }

    /// Returns the keys of a rule's issuer. They contain the key `kid` if the issuer publishes it.
    ///
    /// # Errors
    /// [`IssuerError`] if the keys can be neither fetched nor found in the cache.
    pub async fn keys(&self, rule: &TrustRule, kid: Option<&str>) -> Result<Arc<KeySet>, IssuerError> {
        let source = KeySource { issuer: rule.issuer.clone(), jwks_uri: rule.jwks_uri.clone() };
        let known = self.known(&source);
        if let Some(keys) = known.fresh_with(kid, self.clock.now()) {
            return Ok(keys);
        }
        // One request at a time; a caller that waited finds the answer.
        let mut asked_at = known.asked_at.lock().await;
        let now = self.clock.now();
        if let Some(keys) = known.fresh_with(kid, now) {
            return Ok(keys);
        }
        let outcome = if asked_at.is_some_and(|at| now.saturating_sub(at) < MIN_FETCH_INTERVAL_SECONDS) {
            Err(IssuerError::Paused { issuer: source.issuer.clone() })
        } else {
            *asked_at = Some(now);
            self.fetch(&source).await.inspect_err(
                |error| tracing::warn!(issuer = source.issuer, %error, "the keys of a trusted issuer could not be fetched"),
            )
        };
        match outcome {
            Ok(keys) => {
                let keys = Arc::new(keys);
                let fetched = Fetched { keys: Arc::clone(&keys), at: now };
                *known.keys.lock().unwrap_or_else(PoisonError::into_inner) = Some(fetched);
                Ok(keys)
            }
            // An unknown key is refused. A known key stays valid while the issuer is temporarily unavailable.
            Err(error) => match known.get() {
                Some(found) if now.saturating_sub(found.at) < STALE_SECONDS => Ok(found.keys),
                _ => Err(error),
            },
        }
    }

    fn known(&self, source: &KeySource) -> Arc<Known> {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        if known.len() >= MAX_ISSUERS && !known.contains_key(source) {
            known.clear();
        }
        Arc::clone(known.entry(source.clone()).or_default())
    }

    /// Fetches the keys: first the discovery document (OpenID Connect Discovery section 4), unless the rule has a
    /// `jwks_uri`, and then the keys.
    async fn fetch(&self, source: &KeySource) -> Result<KeySet, IssuerError> {
        #[derive(Deserialize)]
        struct Discovery {
            issuer: String,
            jwks_uri: String,
        }
        let uri = match &source.jwks_uri {
            Some(uri) => parse(uri)?,
            None => {
                let url = format!("{}/.well-known/openid-configuration", source.issuer.trim_end_matches('/'));
                let wrong =
                    |reason: &str| IssuerError::Answer { url: url.clone(), reason: reason.to_owned() };
                let document = self.get(&parse(&url)?).await?;
                let document: Discovery = serde_json::from_slice(&document)
                    .map_err(|_| wrong("this is not a discovery document with issuer and jwks_uri"))?;
                if document.issuer != source.issuer {
                    return Err(wrong(
                        "this document is from another issuer: its issuer differs from the rule's",
                    ));
                }
                let uri = parse(&document.jwks_uri)?;
                // An issuer on another machine must not make the server send requests to this machine.
                if is_loopback(&uri) && !is_loopback(&parse(&source.issuer)?) {
                    return Err(wrong("its jwks_uri points to the server's own machine"));
                }
                uri
            }
        };
        let document = self.get(&uri).await?;
        KeySet::parse(&document).map_err(|error: NoKeySet| IssuerError::Answer {
            url: uri.to_string(),
            reason: error.to_string(),
        })
    }

    async fn get(&self, url: &Url) -> Result<Vec<u8>, IssuerError> {
        let failed = |reason: String| IssuerError::Answer { url: url.to_string(), reason };
        if !is_safe(url) {
            return Err(failed("the URL is not https".to_owned()));
        }
        let clients = self.clients.get_or_init(|| self.clients()).as_ref().map_err(Clone::clone)?;
        let client = if is_loopback(url) { &clients.local } else { &clients.remote };
        let answer = async {
            let mut response = client.get(url.clone()).header("accept", "application/json").send().await?;
            let status = response.status();
            let mut body = Vec::new();
            while let Some(chunk) = response.chunk().await? {
                if body.len() + chunk.len() > MAX_ANSWER_BYTES {
                    return Ok(Err(format!("the answer has more than {MAX_ANSWER_BYTES} bytes")));
                }
                body.extend_from_slice(&chunk);
            }
            Ok(if status == reqwest::StatusCode::OK {
                Ok(body)
            } else {
                Err(format!("the answer has status {status}"))
            })
        };
        answer.await.map_err(|error: reqwest::Error| failed(innermost(&error)))?.map_err(failed)
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
            if !self.authorities.is_empty() {
                builder = builder.tls_certs_merge(self.authorities.iter().cloned());
            }
            builder.build().map_err(|error| IssuerError::Client(innermost(&error)))
        };
        Ok(Clients { remote: client(false)?, local: client(true)? })
    }
}

fn parse(text: &str) -> Result<Url, IssuerError> {
    Url::parse(text).map_err(|error| IssuerError::Answer { url: text.to_owned(), reason: error.to_string() })
}

/// Returns the innermost cause of an error: the outer ones only say that the request failed.
fn innermost(error: &dyn std::error::Error) -> String {
    let mut last = error;
    while let Some(source) = last.source() {
        last = source;
    }
    last.to_string()
}
