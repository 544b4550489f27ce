//! The options of a session.

use std::{path::PathBuf, sync::Arc};

use flyte_config::{AuthType, Config, Endpoint, Environment, StoreKind};

use super::Credentials;
use crate::{
    Interaction,
    api_key::ApiKey,
    clock::Clock,
    discovery::Overrides,
    http::{HttpOptions, ProxyVariables},
    oauth::{ClientId, Scope},
};

/// The options of a [`Session`](super::Session).
#[derive(Clone, Debug)]
pub struct SessionOptions {
    /// The control plane.
    pub endpoint: Endpoint,
    /// The way to authenticate.
    pub auth_type: AuthType,
    /// Whether `auth_type` was chosen explicitly. If not, the default `Pkce` falls back to the device flow without a browser.
    pub auth_type_chosen: bool,
    /// Use the device flow if a person has to sign in. The login still counts as one of `auth_type`, so that the next command uses
    /// it too.
    pub headless: bool,
    /// Ask for a number on the page of the device flow, which this device shows.
    pub match_number: bool,
    /// The credentials of the modes without a person.
    pub credentials: Credentials,
    /// How to reach the servers.
    pub http: HttpOptions,
    /// The configured client and scopes.
    pub overrides: Overrides,
    /// The store for a person's tokens; `None` for the keyring, or the encrypted file if there is no keyring.
    pub token_store: Option<StoreKind>,
    /// Directory of encrypted tokens; `None` if there is no home directory.
    pub data_dir: Option<PathBuf>,
    /// Directory of locks, the discovery cache and the key of encrypted tokens; `None` if there is no home directory. If locks and
    /// caches cannot be created there, the session works without them.
    pub state_dir: Option<PathBuf>,
    /// How to talk to the person.
    pub interaction: Arc<dyn Interaction>,
    /// The source of time.
    pub clock: Clock,
}

impl SessionOptions {
    /// Creates options for `endpoint` from a configuration, with the directories of the XDG base directory specification:
    /// `$XDG_DATA_HOME/flyte` and `$XDG_STATE_HOME/flyte`.
    #[must_use]
    pub fn from_config(
        endpoint: Endpoint,
        config: &Config,
        environment: &Environment,
        interaction: Arc<dyn Interaction>,
    ) -> Self {
        let admin = &config.admin;
        Self {
            endpoint,
            auth_type: admin.auth_type,
            auth_type_chosen: admin.auth_type_chosen,
            headless: false,
            match_number: false,
            credentials: Credentials::from_config(config, environment),
            http: HttpOptions {
                ca_cert_file: admin.ca_cert_file_path.clone(),
                insecure_skip_verify: admin.insecure_skip_verify,
                proxy_url: admin.http_proxy_url.clone(),
                proxy_variables: ProxyVariables::of(environment),
                with_api_key: false,
            },
            overrides: Overrides {
                client_id: admin.client_id.as_deref().and_then(ClientId::parse),
                scopes: Scope::parse_lists(&admin.scopes),
            },
            token_store: admin.store_kind(),
            data_dir: data_dir(environment),
            state_dir: state_dir(environment),
            interaction,
            clock: Clock::default(),
        }
    }

    /// Replaces endpoint and credentials with those of an API key.
    #[must_use]
    pub fn with_api_key(mut self, key: ApiKey) -> Self {
        self.endpoint = key.endpoint.clone();
        self.http.with_api_key = true;
        self.auth_type = AuthType::ClientSecret;
        self.auth_type_chosen = true;
        self.credentials.client = Some(key.into());
        self
    }
}

/// The directory of encrypted tokens: `$XDG_DATA_HOME/flyte`. `None` without a home directory.
pub(crate) fn data_dir(environment: &Environment) -> Option<PathBuf> {
    environment.base_directory("XDG_DATA_HOME", ".local/share").map(|base| base.join("flyte"))
}

/// The directory of locks, the discovery cache, approvals and the key of encrypted tokens: `$XDG_STATE_HOME/flyte`. `None` without a
/// home directory.
#[must_use]
pub fn state_dir(environment: &Environment) -> Option<PathBuf> {
    environment.base_directory("XDG_STATE_HOME", ".local/state").map(|base| base.join("flyte"))
}
