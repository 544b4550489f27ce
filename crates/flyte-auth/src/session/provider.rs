//! The authorization server of a session.

use std::{path::PathBuf, sync::Arc};

use flyte_config::AuthType;

use super::{Session, create_private_directory, read, write};
use crate::{
    AuthError,
    discovery::{self, Provider},
};

impl Session {
    /// The authorization server and the client to sign in with: from memory, otherwise from the cache, otherwise from discovery.
    ///
    /// # Errors
    /// The errors of [`discovery::discover`].
    pub async fn provider(&self) -> Result<Arc<Provider>, AuthError> {
        if let Some(provider) = read(&self.provider).clone() {
            return Ok(provider);
        }
        if let Some(provider) = self.provider_path().and_then(|path| Provider::cached(&path)) {
            let provider = Arc::new(provider);
            *write(&self.provider) = Some(Arc::clone(&provider));
            return Ok(provider);
        }
        self.discover().await
    }

    pub(super) async fn discover(&self) -> Result<Arc<Provider>, AuthError> {
        self.authenticate_to_proxy().await?;
        let found =
            discovery::discover(self.http()?, &self.options.endpoint, &self.options.overrides).await?;
        let provider = Arc::new(found);
        // This is only a cache: if it cannot be written, the next command runs discovery again.
        if let Some(path) = self.provider_path() {
            let created = path.parent().map_or(Ok(()), create_private_directory);
            match created {
                Ok(()) => provider.cache(&path),
                Err(error) => tracing::debug!(%error, "the result of discovery is not cached"),
            }
        }
        *write(&self.provider) = Some(Arc::clone(&provider));
        Ok(provider)
    }

    pub(super) fn provider_path(&self) -> Option<PathBuf> {
        Some(self.options.state_dir.as_ref()?.join(format!("{}.provider.json", self.file_name())))
    }

    /// Whether the person signs in on another device: because they chose that, or because they chose nothing and this machine has no
    /// browser.
    pub(super) fn uses_device_flow(&self, provider: &Provider) -> bool {
        if self.options.headless || self.options.auth_type == AuthType::DeviceFlow {
            return true;
        }
        let instead = !self.options.auth_type_chosen
            && provider.device_authorization_endpoint.is_some()
            && !self.options.interaction.has_browser();
        if instead {
            self.options.interaction.device_instead();
        }
        instead
    }
}
