//! Sign-in through outside providers: this server as a client of OpenID Connect (Core 1.0), and of GitHub's dialect of
//! OAuth 2.
//!
//! [`Providers`] are the sections `[providers.NAME]` of the settings. [`Provider::begin`] makes the address that the browser
//! goes to, [`Provider::check_callback`] and [`Provider::finish`] turn what it comes back with into a [`Profile`], and
//! [`rules::admit`] applies the administrator's rules. [`Provider::recheck`] asks later whether the provider still accepts the user. [`Attempts`] keeps what must be remembered in between, bound to the
//! browser. Which account a profile belongs to is decided in flyte-oauth.
//!
//! The crate `openidconnect` is not used. It has its own JSON Web Tokens, keys and HTTP errors beside those that this
//! server already has (`flyte_keys::jwks`, `flyte_issuer`), does not cache or limit what it fetches, compares issuers in a way
//! that Entra ID's tenants do not meet, and leaves `iss` of the callback, group overage, limits of sizes and GitHub to its
//! user. The checks that it would take over are `id_token.rs`, which a hostile provider tests (`testing.rs`).
#![forbid(unsafe_code)]

mod attempts;
mod authorization;
mod claims;
mod credential;
mod error;
mod exchange;
mod github;
mod id_token;
mod logout;
mod metadata;
mod profile;
mod provider;
mod recheck;
pub mod rules;
mod state;
#[cfg(any(test, feature = "testing"))]
pub mod testing;
#[cfg(test)]
mod tests;
mod userinfo;

use std::sync::Arc;

use flyte_issuer::{Authorities, CaFileError};
use flyte_model::clock::Clock;
use flyte_settings::Config;

pub use self::{
    attempts::Attempts,
    authorization::{Attempt, Wishes},
    claims::{Groups, VerifiedEmail, clean_name, normalize_email},
    error::ProviderError,
    logout::LogoutToken,
    profile::Profile,
    provider::{Callback, Provider},
    recheck::{Confirmed, Proof, Rechecked},
    state::ProviderState,
};

/// The providers of the settings.
#[derive(Clone, Debug, Default)]
pub struct Providers(Vec<Arc<Provider>>);

impl Providers {
    /// Creates the providers. None is contacted before it is used, so the server starts without them.
    ///
    /// # Errors
    /// [`CaFileError`] if the file of certificate authorities cannot be used.
    pub fn new(config: &Config, clock: &Clock) -> Result<Self, CaFileError> {
        let authorities = Authorities::read(config.trust.ca_file.clone())?;
        let providers = config.providers.iter().map(|settings| {
            let callback = config.url(&format!("/login/with/{}/callback", settings.name));
            Arc::new(Provider::new(settings.clone(), callback, authorities.clone(), clock.clone()))
        });
        Ok(Self(providers.collect()))
    }

    /// Returns the provider of this section.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&Arc<Provider>> {
        self.0.iter().find(|provider| provider.name() == name)
    }

    /// Returns all providers, sorted by name.
    pub fn iter(&self) -> impl Iterator<Item = &Arc<Provider>> {
        self.0.iter()
    }

    /// Returns the provider if there is exactly one.
    #[must_use]
    pub fn only(&self) -> Option<&Arc<Provider>> {
        match self.0.as_slice() {
            [only] => Some(only),
            _ => None,
        }
    }

    /// The number of providers.
    #[must_use]
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there is no provider.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}
