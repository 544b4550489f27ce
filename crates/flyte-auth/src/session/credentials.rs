//! What the modes without a person need.

use std::fmt;

use flyte_config::{Config, Environment};
use http::HeaderMap;
use secrecy::SecretString;

use crate::flows::{
    client_credentials::{ClientCredentials, Proof},
    token_exchange::IdTokenSource,
};

/// What the modes without a person need; each mode takes its own part.
#[derive(Clone, Default)]
pub struct Credentials {
    /// `ClientSecret`: a client of its own, and its secret or private key.
    pub client: Option<ClientCredentials>,
    /// `ExternalCommand`: what prints the token, without a shell.
    pub command: Vec<String>,
    /// `Passthrough`: what goes with each call.
    pub headers: HeaderMap,
    /// `TokenExchange`: where this CI job has its own token. Used in a person's modes too, where nobody is there to ask and
    /// nobody is signed in.
    pub id_token: Option<IdTokenSource>,
    /// What prints the token for a proxy in front of the control plane, in every mode.
    pub proxy_command: Vec<String>,
}

impl Credentials {
    /// Those that the configuration and the environment name.
    #[must_use]
    pub fn from_config(config: &Config, environment: &Environment) -> Self {
        let admin = &config.admin;
        let variable = admin.client_secret_env_var.as_ref().map(|name| Proof::Variable {
            name: name.clone(),
            value: environment.variable(name).map(SecretString::from),
        });
        let is_set = matches!(&variable, Some(Proof::Variable { value: Some(_), .. }));
        // As in the published client, the variable comes before the file; one that is not set does not.
        let proof = match (variable, &admin.client_private_key_location, &admin.client_secret_location) {
            (Some(variable), _, _) if is_set => variable,
            (_, Some(path), _) => Proof::PrivateKey(path.clone()),
            (_, None, Some(path)) => Proof::File(path.clone()),
            (Some(variable), None, None) => variable,
            (None, None, None) => Proof::Keyring,
        };
        Self {
            client: Some(ClientCredentials { client_id: admin.client_id.clone(), proof }),
            command: admin.command.clone(),
            headers: HeaderMap::new(),
            id_token: IdTokenSource::find(environment),
            proxy_command: admin.proxy_command.clone(),
        }
    }
}

impl fmt::Debug for Credentials {
    /// Without arguments and headers, which may hold secrets.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Credentials")
            .field("client", &self.client)
            .field("command", &self.command.first())
            .field("id_token", &self.id_token)
            .field("proxy_command", &self.proxy_command.first())
            .finish_non_exhaustive()
    }
}
