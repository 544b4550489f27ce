//! What a session needs to know.

use std::{path::PathBuf, sync::Arc};

use flyte_config::{AuthType, Config, Endpoint, Environment, StoreKind};

use super::Credentials;
use crate::{
    Interaction,
    api_key::ApiKey,
    clock::Clock,
    discovery::Overrides,
    http::{HttpOptions, ProxyVariables},
};

/// Everything that a [`Session`](super::Session) is made of.
#[derive(Clone, Debug)]
pub struct SessionOptions {
    /// The control plane.
    pub endpoint: Endpoint,
    /// How the caller proves who it is.
    pub auth_type: AuthType,
    /// Whether that was chosen. The default, `Pkce`, gives way to the device flow where there is no browser.
    pub auth_type_chosen: bool,
    /// Where a person has to sign in, do that on another device. The login counts as one of `auth_type`, so that the next
    /// command uses it too.
    pub headless: bool,
    /// What the modes without a person need.
    pub credentials: Credentials,
    /// How to reach the servers.
    pub http: HttpOptions,
    /// What the configuration says where the server says nothing.
    pub overrides: Overrides,
    /// Where a person's tokens are kept; `None` for the keyring, or the encrypted file where there is none.
    pub token_store: Option<StoreKind>,
    /// Directory of encrypted tokens; `None` where there is no home directory.
    pub data_dir: Option<PathBuf>,
    /// Directory of locks, of what discovery found, and of the encrypted tokens' key; `None` where there is no home directory.
    /// What is only a cache or a lock there is done without where it cannot be.
    pub state_dir: Option<PathBuf>,
    /// How to talk to the person.
    pub interaction: Arc<dyn Interaction>,
    /// What time it is.
    pub clock: Clock,
}

impl SessionOptions {
    /// Options for `endpoint` by a configuration, with the directories of the XDG base directory specification:
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
            credentials: Credentials::from_config(config, environment),
            http: HttpOptions {
                ca_cert_file: admin.ca_cert_file_path.clone(),
                insecure_skip_verify: admin.insecure_skip_verify,
                proxy_url: admin.http_proxy_url.clone(),
                proxy_variables: ProxyVariables::of(environment),
                with_api_key: false,
            },
            overrides: Overrides { client_id: admin.client_id.clone(), scopes: admin.scopes.clone() },
            token_store: admin.store_kind(),
            data_dir: environment
                .base_directory("XDG_DATA_HOME", ".local/share")
                .map(|base| base.join("flyte")),
            state_dir: state_dir(environment),
            interaction,
            clock: Clock::default(),
        }
    }

    /// The same for an API key: its endpoint, its client, its secret.
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

/// Where locks, what discovery found, approvals and the key of encrypted tokens are: `$XDG_STATE_HOME/flyte`. `None` without a home
/// directory.
#[must_use]
pub fn state_dir(environment: &Environment) -> Option<PathBuf> {
    environment.base_directory("XDG_STATE_HOME", ".local/state").map(|base| base.join("flyte"))
}
