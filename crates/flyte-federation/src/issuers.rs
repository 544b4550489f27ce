//! The keys of trusted issuers, fetched and kept.
//!
//! Only issuers that an administrator named in a rule are ever asked, over https or on this machine, without following
//! redirects, within limits of time and size. Keys are kept for `FRESH` seconds; a key that is not known is looked for at
//! once, but not more often than every `PAUSE` seconds, so that strangers cannot make the server ask.

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

/// How long keys are used without asking again, in seconds: after that a key that the issuer withdrew is gone here too.
const FRESH: i64 = 300;
/// How long keys are used while the issuer does not answer, in seconds.
const STALE: i64 = 3600;
/// The least time between two questions to one issuer, in seconds.
const PAUSE: i64 = 10;
/// How long an issuer may take to answer.
const TIMEOUT: Duration = Duration::from_secs(10);
/// The largest answer, in bytes.
const MAX_ANSWER: usize = 256 * 1024;
/// The most issuers whose keys are kept.
const MAX_ISSUERS: usize = 1000;

/// Why there are no keys.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum IssuerError {
    /// It did not answer, or not what was asked for.
    #[error("{url}: {reason}")]
    Answer {
        /// What was asked for.
        url: String,
        /// What went wrong.
        reason: String,
    },
    /// It was asked a moment ago, in vain.
    #[error("{issuer} did not give its keys a moment ago; it is asked again in {PAUSE} s")]
    Paused {
        /// The issuer.
        issuer: String,
    },
    /// The HTTP client cannot be made: there are no certificates to trust.
    #[error("no trusted issuer can be asked: {0}")]
    Client(String),
}

/// The file of further certificate authorities cannot be used.
#[derive(Debug, thiserror::Error)]
#[error("cannot read \"trust.ca-file\" {}: {source}", path.display())]
pub struct CaFileError {
    path: PathBuf,
    source: io::Error,
}

/// Keys of trusted issuers.
#[derive(Debug)]
pub struct TrustedIssuers {
    clock: Clock,
    authorities: Vec<Certificate>,
    /// Made when the first issuer is asked: a machine without any certificates runs a server all the same.
    clients: OnceLock<Result<Clients, IssuerError>>,
    known: Mutex<HashMap<Place, Arc<Known>>>,
}

#[derive(Debug)]
struct Clients {
    /// By the machine's proxy, where it has one.
    remote: Client,
    /// To this machine, never by a proxy.
    local: Client,
}

/// Where keys are.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Place {
    issuer: String,
    jwks_uri: Option<String>,
}

/// What is known of one issuer.
#[derive(Debug, Default)]
struct Known {
    keys: Mutex<Option<Fetched>>,
    /// When it was last asked; who holds the lock is asking.
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

    /// The keys, if they are fresh and the wanted one is among them.
    fn good(&self, kid: Option<&str>, now: UnixTime) -> Option<Arc<KeySet>> {
        self.get()
            .filter(|found| now.saturating_sub(found.at) < FRESH && found.keys.has(kid))
            .map(|found| found.keys)
    }
}

impl TrustedIssuers {
    /// Nothing fetched yet. `ca_file` is a PEM file of certificate authorities that are trusted besides the machine's.
    ///
    /// # Errors
    /// [`CaFileError`].
    pub fn new(ca_file: Option<PathBuf>, clock: Clock) -> Result<Self, CaFileError> {
        let authorities = match ca_file {
            Some(path) => fs::read(&path)
                .and_then(|pem| {
                    let certificates = Certificate::from_pem_bundle(&pem).map_err(io::Error::other)?;
                    if certificates.is_empty() {
                        return Err(io::Error::other("it holds no PEM certificate"));
                    }
                    Ok(certificates)
                })
                .map_err(|source| CaFileError { path, source })?,
            None => Vec::new(),
        };
        Ok(Self { clock, authorities, clients: OnceLock::new(), known: Mutex::default() })
    }

    /// The keys of a rule's issuer, with the one called `kid` if the issuer publishes it.
    ///
    /// # Errors
    /// [`IssuerError`] where there are none to be had.
    pub async fn keys(&self, rule: &TrustRule, kid: Option<&str>) -> Result<Arc<KeySet>, IssuerError> {
        let place = Place { issuer: rule.issuer.clone(), jwks_uri: rule.jwks_uri.clone() };
        let known = self.known(&place);
        if let Some(keys) = known.good(kid, self.clock.now()) {
            return Ok(keys);
        }
        // One question at a time; who waited finds the answer.
        let mut asked_at = known.asked_at.lock().await;
        let now = self.clock.now();
        if let Some(keys) = known.good(kid, now) {
            return Ok(keys);
        }
        let outcome = if asked_at.is_some_and(|at| now.saturating_sub(at) < PAUSE) {
            Err(IssuerError::Paused { issuer: place.issuer.clone() })
        } else {
            *asked_at = Some(now);
            self.fetch(&place).await.inspect_err(
                |error| tracing::warn!(issuer = place.issuer, %error, "a trusted issuer did not give its keys"),
            )
        };
        match outcome {
            Ok(keys) => {
                let keys = Arc::new(keys);
                let fetched = Fetched { keys: Arc::clone(&keys), at: now };
                *known.keys.lock().unwrap_or_else(PoisonError::into_inner) = Some(fetched);
                Ok(keys)
            }
            // An unknown key stays unknown; a known one is not lost because the issuer is away for a while.
            Err(error) => match known.get() {
                Some(found) if now.saturating_sub(found.at) < STALE => Ok(found.keys),
                _ => Err(error),
            },
        }
    }

    fn known(&self, place: &Place) -> Arc<Known> {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        if known.len() >= MAX_ISSUERS && !known.contains_key(place) {
            known.clear();
        }
        Arc::clone(known.entry(place.clone()).or_default())
    }

    /// Asks the issuer: its discovery document (OpenID Connect Discovery section 4) unless the rule says where the keys are,
    /// then the keys.
    async fn fetch(&self, place: &Place) -> Result<KeySet, IssuerError> {
        #[derive(Deserialize)]
        struct Discovery {
            issuer: String,
            jwks_uri: String,
        }
        let uri = match &place.jwks_uri {
            Some(uri) => parse(uri)?,
            None => {
                let url = format!("{}/.well-known/openid-configuration", place.issuer.trim_end_matches('/'));
                let wrong =
                    |reason: &str| IssuerError::Answer { url: url.clone(), reason: reason.to_owned() };
                let document = self.get(&parse(&url)?).await?;
                let document: Discovery = serde_json::from_slice(&document)
                    .map_err(|_| wrong("it is not a discovery document with issuer and jwks_uri"))?;
                if document.issuer != place.issuer {
                    return Err(wrong("it is another issuer's: its issuer is not the one of the rule"));
                }
                let uri = parse(&document.jwks_uri)?;
                // An issuer elsewhere has no business with what listens on this machine.
                if is_loopback(&uri) && !is_loopback(&parse(&place.issuer)?) {
                    return Err(wrong("its jwks_uri is on this machine"));
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
            return Err(failed("it is not https".to_owned()));
        }
        let clients = self.clients.get_or_init(|| self.clients()).as_ref().map_err(Clone::clone)?;
        let client = if is_loopback(url) { &clients.local } else { &clients.remote };
        let answer = async {
            let mut response = client.get(url.clone()).header("accept", "application/json").send().await?;
            let status = response.status();
            let mut body = Vec::new();
            while let Some(chunk) = response.chunk().await? {
                if body.len() + chunk.len() > MAX_ANSWER {
                    return Ok(Err(format!("it answered more than {MAX_ANSWER} bytes")));
                }
                body.extend_from_slice(&chunk);
            }
            Ok(if status == reqwest::StatusCode::OK {
                Ok(body)
            } else {
                Err(format!("it answered {status}"))
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

/// What an error came of in the end: the outer ones only say that the request failed.
fn innermost(error: &dyn std::error::Error) -> String {
    let mut last = error;
    while let Some(source) = last.source() {
        last = source;
    }
    last.to_string()
}
