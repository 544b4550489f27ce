//! The signing keys of issuers: fetched and cached.
//!
//! Keys are cached for `FRESH_SECONDS`. An unknown key is fetched immediately, but at most once in
//! [`MIN_FETCH_INTERVAL_SECONDS`], so that strangers cannot cause many requests. Errors are never cached longer than that.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
};

use crate::{
    Authorities, Discovery, Fetcher, IssuerError, KeySet, MIN_FETCH_INTERVAL_SECONDS, NoKeySet, Reach,
    discovery::parse,
};
use flyte_model::clock::{Clock, UnixTime};

/// How long fetched keys are used, in seconds. After that a key that the issuer has withdrawn is no longer accepted.
const FRESH_SECONDS: i64 = 300;
/// How long fetched keys are used while the issuer does not answer, in seconds.
const STALE_SECONDS: i64 = 3600;
/// The maximum number of issuers in the cache.
const MAX_ISSUERS: usize = 1000;

/// The source of an issuer's keys.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct KeySource {
    /// The issuer.
    pub issuer: String,
    /// The URL of the keys. With `None`, the issuer's discovery document has it.
    pub jwks_uri: Option<String>,
}

/// Fetches and caches the keys of issuers.
#[derive(Debug)]
pub struct KeyCache {
    clock: Clock,
    fetcher: Arc<Fetcher>,
    known: Mutex<HashMap<KeySource, Arc<Known>>>,
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

impl KeyCache {
    /// Creates an empty cache with a fetcher of its own.
    #[must_use]
    pub fn new(authorities: Authorities, reach: Reach, clock: Clock) -> Self {
        Self::with(Arc::new(Fetcher::new(authorities, reach)), clock)
    }

    /// Creates an empty cache.
    #[must_use]
    pub fn with(fetcher: Arc<Fetcher>, clock: Clock) -> Self {
        Self { clock, fetcher, known: Mutex::default() }
    }

    /// Returns the keys of an issuer. They contain the key `kid` if the issuer publishes it.
    ///
    /// # Errors
    /// [`IssuerError`] if the keys can be neither fetched nor found in the cache.
    pub async fn keys(&self, source: KeySource, kid: Option<&str>) -> Result<Arc<KeySet>, IssuerError> {
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

    /// Fetches the keys: first the discovery document, unless the URL of the keys is known, and then the keys.
    async fn fetch(&self, source: &KeySource) -> Result<KeySet, IssuerError> {
        let uri = match &source.jwks_uri {
            Some(uri) => parse(uri)?,
            None => {
                let discovery = Discovery::fetch(&self.fetcher, &source.issuer).await?;
                if discovery.issuer()? != source.issuer {
                    return Err(discovery
                        .wrong("this document is from another issuer: its issuer differs from the rule's"));
                }
                discovery.endpoint("jwks_uri")?.ok_or_else(|| {
                    discovery.wrong("this is not a discovery document with issuer and jwks_uri")
                })?
            }
        };
        let document = self.fetcher.get(&uri).await?;
        KeySet::parse(&document).map_err(|error: NoKeySet| IssuerError::answer(&uri, error.to_string()))
    }
}
