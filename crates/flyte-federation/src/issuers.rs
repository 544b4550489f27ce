//! The signing keys of the issuers in trust rules.
//!
//! Only issuers that an administrator named in a rule are contacted: over https, or on this machine, without following
//! redirects, with limits on time and size (`flyte_issuer`). They may be on internal networks, because a rule is the
//! administrator's own.

use std::{path::PathBuf, sync::Arc};

use flyte_issuer::{Authorities, KeyCache, KeySet, KeySource, Reach};
use flyte_model::clock::Clock;
use flyte_store::TrustRule;

pub use flyte_issuer::{CaFileError, IssuerError};

/// Fetches and caches the keys of trusted issuers.
#[derive(Debug)]
pub struct TrustedIssuers(KeyCache);

impl TrustedIssuers {
    /// Creates an empty cache. `ca_file` is a PEM file of certificate authorities that are trusted besides the
    /// machine's.
    ///
    /// # Errors
    /// [`CaFileError`] if the file cannot be used.
    pub fn new(ca_file: Option<PathBuf>, clock: Clock) -> Result<Self, CaFileError> {
        Ok(Self(KeyCache::new(Authorities::read(ca_file)?, Reach::Anywhere, clock)))
    }

    /// Returns the keys of a rule's issuer. They contain the key `kid` if the issuer publishes it.
    ///
    /// # Errors
    /// [`IssuerError`] if the keys can be neither fetched nor found in the cache.
    pub async fn keys(&self, rule: &TrustRule, kid: Option<&str>) -> Result<Arc<KeySet>, IssuerError> {
        let source = KeySource { issuer: rule.issuer.clone(), jwks_uri: rule.jwks_uri.clone() };
        self.0.keys(source, kid).await
    }
}
