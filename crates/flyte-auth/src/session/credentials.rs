//! The credentials of the modes without a person.

use std::fmt;

use flyte_config::{Config, Environment};
use http::HeaderMap;
use secrecy::SecretString;

use crate::{
    flows::{
        client_credentials::{ClientCredentials, CredentialSource},
        token_exchange::IdTokenSource,
    },
    oauth::ClientId,
};

/// The credentials of the modes without a person. Each mode uses its own part.
#[derive(Clone, Default)]
pub struct Credentials {
    /// `ClientSecret`: a client, and its secret or private key.
    pub client: Option<ClientCredentials>,
    /// `ExternalCommand`: the command that prints the token. It runs without a shell.
    pub command: Vec<String>,
    /// `Passthrough`: the headers of each call.
    pub headers: HeaderMap,
    /// `TokenExchange`: the source of this CI job's own token. The modes for people use it too if no person can be asked and there
    /// is no login.
    pub id_token: Option<IdTokenSource>,
    /// All modes: the command that prints the token for a proxy in front of the control plane.
    pub proxy_command: Vec<String>,
}

impl Credentials {
    /// Reads the credentials that the configuration and the environment name.
    #[must_use]
    pub fn from_config(config: &Config, environment: &Environment) -> Self {
        let admin = &config.admin;
        let variable = admin.client_secret_env_var.as_ref().map(|name| CredentialSource::Variable {
            name: name.clone(),
            value: environment.variable(name).map(SecretString::from),
        });
        let is_set = matches!(&variable, Some(CredentialSource::Variable { value: Some(_), .. }));
        // As in the published client, a variable that is set takes precedence over the file.
        let source = match (variable, &admin.client_private_key_location, &admin.client_secret_location) {
            (Some(variable), _, _) if is_set => variable,
            (_, Some(path), _) => CredentialSource::PrivateKey(path.clone()),
            (_, None, Some(path)) => CredentialSource::File(path.clone()),
            (Some(variable), None, None) => variable,
            (None, None, None) => CredentialSource::Keyring,
        };
        let client_id = admin.client_id.as_deref().and_then(ClientId::parse);
        Self {
            client: Some(ClientCredentials { client_id, source }),
            command: admin.command.clone(),
            headers: HeaderMap::new(),
            id_token: IdTokenSource::find(environment),
            proxy_command: admin.proxy_command.clone(),
        }
    }
}

impl fmt::Debug for Credentials {
    /// Leaves out arguments and headers, which may hold secrets.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Credentials")
            .field("client", &self.client)
            .field("command", &self.command.first())
            .field("id_token", &self.id_token)
            .field("proxy_command", &self.proxy_command.first())
            .finish_non_exhaustive()
    }
}
