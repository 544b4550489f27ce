//! Whether a provider answers, for administrators.

use crate::{Provider, ProviderError};
use flyte_issuer::{KeySet, KeySource};

/// What is known of a provider now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProviderState {
    /// The identifiers (`kid`) of its signing keys.
    pub key_ids: Vec<String>,
    /// The number of its signing keys, with those that have no identifier. 0 for a provider that signs nothing.
    pub key_count: usize,
}

impl Provider {
    /// Reads the provider's document and its keys, unless they were read lately.
    ///
    /// # Errors
    /// [`ProviderError`] if it does not answer, or answers wrongly.
    pub async fn state(&self) -> Result<ProviderState, ProviderError> {
        let metadata = self.metadata().await?;
        // GitHub has no keys.
        if metadata.jwks_uri.is_empty() {
            return Ok(ProviderState { key_ids: Vec::new(), key_count: 0 });
        }
        let source =
            KeySource { issuer: self.settings.issuer.clone(), jwks_uri: Some(metadata.jwks_uri.clone()) };
        let keys = self.keys.keys(source, None).await?;
        Ok(ProviderState { key_ids: KeySet::ids(&keys).map(str::to_owned).collect(), key_count: keys.len() })
    }
}
