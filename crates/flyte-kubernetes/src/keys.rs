//! The keys with which the cluster signs the tokens of its pods, and its issuer.
//!
//! Both are read from the API server with this server's own service account: managed clusters publish them elsewhere, or
//! nowhere. They are read at the start, when they are needed and older than [`FRESH_SECONDS`], and for a token with an
//! unknown `kid`: one request at a time, and the next one only after [`MIN_INTERVAL_SECONDS`]. So strangers who invent
//! `kid`s cause one request in that time, and a real rotation is noticed within it.

use std::sync::{Arc, Mutex, PoisonError};

use flyte_keys::jwks;
use jsonwebtoken::jwk::Jwk;
use serde::Deserialize;

use crate::api::{ApiError, ApiServer};
use flyte_access::workload::Unavailable;
use flyte_model::clock::{Clock, UnixTime};

/// How long keys are used without reading them again, in seconds. Then a key that was withdrawn is no longer accepted.
const FRESH_SECONDS: i64 = 300;
/// How long keys are used while the API server does not answer, in seconds.
const STALE_SECONDS: i64 = 3600;
/// The minimum time between two requests, in seconds.
const MIN_INTERVAL_SECONDS: i64 = 10;
/// The minimum time after a request that failed, in seconds.
const MIN_INTERVAL_AFTER_FAILURE_SECONDS: i64 = 1;
/// The issuer and its keys.
#[derive(Debug)]
pub(crate) struct KeySet {
    /// `iss` of the tokens.
    pub(crate) issuer: String,
    /// The public keys.
    pub(crate) keys: Vec<Jwk>,
    /// The time at which they were read.
    read_at: UnixTime,
}

impl KeySet {
    fn has(&self, kid: Option<&str>) -> bool {
        self.keys.iter().any(|key| kid.is_none() || key.common.key_id.as_deref() == kid)
    }
}

/// The last request for keys.
#[derive(Clone, Copy, Debug)]
struct Asked {
    at: UnixTime,
    succeeded: bool,
}

/// Reads and caches the keys of the cluster.
#[derive(Debug)]
pub(crate) struct ClusterKeys {
    api: ApiServer,
    clock: Clock,
    /// The issuer, if the settings name it.
    issuer: Option<String>,
    known: Mutex<Option<Arc<KeySet>>>,
    /// The holder of the lock sends the request.
    asked: tokio::sync::Mutex<Option<Asked>>,
}

impl ClusterKeys {
    pub(crate) fn new(api: ApiServer, clock: Clock, issuer: Option<String>) -> Self {
        Self { api, clock, issuer, known: Mutex::default(), asked: tokio::sync::Mutex::default() }
    }

    /// The issuer, if it is known yet.
    pub(crate) fn issuer(&self) -> Option<String> {
        self.issuer.clone().or_else(|| self.known().map(|known| known.issuer.clone()))
    }

    /// Returns the keys. They contain the key `kid` if the cluster has it.
    ///
    /// # Errors
    /// [`Unavailable`] if the API server does not answer, and no keys with `kid` are known.
    pub(crate) async fn with(&self, kid: Option<&str>) -> Result<Arc<KeySet>, Unavailable> {
        if let Some(keys) = self.fresh(kid) {
            return Ok(keys);
        }
        let mut asked = self.asked.lock().await;
        // A caller that waited finds what the one before it has read.
        if let Some(keys) = self.fresh(kid) {
            return Ok(keys);
        }
        let now = self.clock.now();
        let pause = asked.map_or(0, |asked| {
            let interval =
                if asked.succeeded { MIN_INTERVAL_SECONDS } else { MIN_INTERVAL_AFTER_FAILURE_SECONDS };
            asked.at.saturating_add(interval).saturating_sub(now)
        });
        let why = if pause > 0 {
            "the keys of the cluster could not be read a moment ago".to_owned()
        } else {
            let outcome = self.read(now).await;
            *asked = Some(Asked { at: now, succeeded: outcome.is_ok() });
            match outcome {
                Ok(keys) => {
                    let keys = Arc::new(keys);
                    *self.known.lock().unwrap_or_else(PoisonError::into_inner) = Some(Arc::clone(&keys));
                    return Ok(keys);
                }
                Err(error) => {
                    tracing::warn!(%error, "the keys of the cluster could not be read");
                    error.to_string()
                }
            }
        };
        match self.known() {
            // The cluster did not have this key a moment ago.
            Some(known) if asked.is_some_and(|asked| asked.succeeded) => Ok(known),
            // A known key stays valid while the API server is away. An unknown key may be a new one.
            Some(known) if known.has(kid) && now.saturating_sub(known.read_at) < STALE_SECONDS => Ok(known),
            _ => Err(Unavailable(why)),
        }
    }

    fn known(&self) -> Option<Arc<KeySet>> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn fresh(&self, kid: Option<&str>) -> Option<Arc<KeySet>> {
        let now = self.clock.now();
        self.known().filter(|known| now.saturating_sub(known.read_at) < FRESH_SECONDS && known.has(kid))
    }

    async fn read(&self, now: UnixTime) -> Result<KeySet, ApiError> {
        const JWKS: &str = "/openid/v1/jwks";
        let issuer = match &self.issuer {
            Some(issuer) => issuer.clone(),
            None => self.discover().await?,
        };
        let text = self.api.text(JWKS).await?;
        let keys = jwks::of_issuer(text.as_bytes()).ok_or_else(|| ApiError::Failed {
            path: JWKS.to_owned(),
            message: "this is not a JSON Web Key Set with a signing key".to_owned(),
        })?;
        Ok(KeySet { issuer, keys, read_at: now })
    }

    /// The issuer by the discovery document (OpenID Connect Discovery section 4). Its `jwks_uri` is not used: it is often a
    /// name that only the nodes resolve.
    async fn discover(&self) -> Result<String, ApiError> {
        const CONFIGURATION: &str = "/.well-known/openid-configuration";
        #[derive(Deserialize)]
        struct Configuration {
            issuer: String,
        }
        let text = self.api.text(CONFIGURATION).await?;
        let configuration: Configuration = serde_json::from_str(&text).map_err(|error| ApiError::Failed {
            path: CONFIGURATION.to_owned(),
            message: format!("this is not a discovery document with an issuer: {error}"),
        })?;
        Ok(configuration.issuer)
    }
}
