//! Tokens of machines. They come from the machine's own credentials and stay in memory. They are never stored: the store belongs
//! to people, and the next person would use a key's token.

use std::{
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

use flyte_config::{AuthType, StoreKind};
use reqwest::header::HeaderValue;
use secrecy::{ExposeSecret as _, SecretString};

use super::{RETRY_DELAY_SECONDS, Session, Status, jitter};
use crate::{
    AuthError,
    clock::UnixTime,
    discovery::Provider,
    flows::{
        client_credentials::{self, Credential},
        external_command,
        token_exchange::{self, IdTokenSource},
    },
    store::{self, Backend},
    token::{AccessToken, TokenResponse, jwt_expiry},
};

/// The time before the expiry of a client's secret at which the person is warned, in seconds.
const EXPIRY_WARNING_SECONDS: i64 = 7 * 86_400;

impl Session {
    /// Whether the mode uses a machine's credentials instead of a person's sign-in.
    pub(super) fn uses_machine_credentials(&self) -> bool {
        !self.options.auth_type.is_for_people()
    }

    /// Whether the CI system's token of this job can replace a person's sign-in.
    pub(super) fn can_use_job_token(&self) -> bool {
        self.options.auth_type.is_for_people()
            && self.options.credentials.id_token.is_some()
            && !self.options.interaction.is_interactive()
    }

    /// Gets a new token with the machine's credentials. If that fails and the current token is still valid, returns that one.
    pub(super) async fn renew_machine_token(&self) -> Result<AccessToken, AuthError> {
        let now = self.options.clock.now();
        match self.request_machine_token().await {
            Ok(token) => {
                self.retry_at.store(i64::MIN, Ordering::Relaxed);
                self.set_current(Some(token.clone()));
                Ok(token)
            }
            Err(error) => match self.current().filter(|token| token.is_valid(now)) {
                Some(token) => {
                    tracing::warn!(%error, "the access token could not be renewed yet");
                    self.retry_at.store(now.saturating_add(RETRY_DELAY_SECONDS), Ordering::Relaxed);
                    Ok(token)
                }
                None => Err(error),
            },
        }
    }

    async fn request_machine_token(&self) -> Result<AccessToken, AuthError> {
        match self.options.auth_type {
            AuthType::ExternalCommand => {
                let command = &self.options.credentials.command;
                let interaction = &*self.options.interaction;
                let secret = external_command::token(command, "admin.command", interaction).await?;
                Ok(self.access_token(secret, None))
            }
            AuthType::Passthrough => {
                Err(AuthError::UnsupportedAuthType { auth_type: self.options.auth_type.to_string() })
            }
            _ => {
                let response = self.request_token().await?;
                self.warn_of_expiry(response.client_secret_expires_at);
                Ok(self.access_token(response.access_token, response.expires_in))
            }
        }
    }

    /// Sends a token request, and a second one if the token endpoint has moved since discovery.
    async fn request_token(&self) -> Result<TokenResponse, AuthError> {
        let credential = match self.options.auth_type {
            AuthType::ClientSecret => Some(self.read_credential().await?),
            _ => None,
        };
        let provider = self.provider().await?;
        match self.request_token_from(&provider, credential.as_ref()).await {
            Err(error) if error.may_have_moved() => match self.discover().await {
                Ok(found) if found.token_endpoint != provider.token_endpoint => {
                    self.request_token_from(&found, credential.as_ref()).await
                }
                _ => Err(error),
            },
            other => other,
        }
    }

    async fn request_token_from(
        &self,
        provider: &Arc<Provider>,
        credential: Option<&Credential>,
    ) -> Result<TokenResponse, AuthError> {
        let options = &self.options;
        let (endpoint, scopes) = (options.endpoint.authority(), options.overrides.scopes.as_slice());
        match (&options.credentials.client, credential, &options.credentials.id_token) {
            (Some(client), Some(credential), _) => {
                let (http, now) = (self.http()?, options.clock.now());
                let client_id = client.client_id()?;
                client_credentials::token(http, provider, endpoint, scopes, client_id, credential, now).await
            }
            (_, None, Some(source)) => {
                token_exchange::exchange(self.http()?, provider, &options.endpoint, scopes, source).await
            }
            _ => Err(no_credentials(options.auth_type)),
        }
    }

    /// Reads the client's secret or private key from its source.
    async fn read_credential(&self) -> Result<Credential, AuthError> {
        let auth_type = self.options.auth_type;
        let client = self.options.credentials.client.as_ref().ok_or_else(|| no_credentials(auth_type))?;
        let client_id = client.client_id()?;
        if let Some(credential) = client.read()? {
            return Ok(credential);
        }
        let user = format!("client-secret:{client_id}");
        let service = self.options.endpoint.keyring_service();
        let found = match self.options.token_store {
            Some(StoreKind::Memory) => None,
            _ => store::secret(&self.store_options(), &user).await?,
        };
        found.map(Credential::Secret).ok_or_else(|| AuthError::Credentials {
            location: "authType ClientSecret".to_owned(),
            reason: format!(
                "the client has no secret: name a file (admin.clientSecretLocation) or a variable \
                (admin.clientSecretEnvVar), or put it into the keyring for the service {service} and the user {user}"
            ),
        })
    }

    /// Warns once if the client's secret expires soon.
    fn warn_of_expiry(&self, expires_at: Option<UnixTime>) {
        let Some(expires_at) = expires_at.filter(|at| *at > 0) else { return };
        let client = self.options.credentials.client.as_ref();
        let Some(client_id) = client.and_then(|client| client.client_id.as_ref()) else { return };
        let left = expires_at.saturating_sub(self.options.clock.now());
        if left > EXPIRY_WARNING_SECONDS || self.warned_of_expiry.swap(true, Ordering::Relaxed) {
            return;
        }
        let left = Duration::from_secs(left.try_into().unwrap_or_default());
        self.options.interaction.credentials_expire(client_id, expires_at, left);
    }

    fn access_token(&self, secret: SecretString, expires_in: Option<i64>) -> AccessToken {
        let now = self.options.clock.now();
        let expires_at = expires_in
            .map(|seconds| now.saturating_add(seconds))
            .or_else(|| jwt_expiry(secret.expose_secret()));
        let lifetime = expires_at.map(|at| at.saturating_sub(now));
        AccessToken::new(secret, expires_at, lifetime, jitter())
    }

    /// The status of a machine: whether its credentials exist. It does not use the network.
    pub(super) async fn machine_status(&self) -> Result<Status, AuthError> {
        let credentials = &self.options.credentials;
        let mut client_id = None;
        let exist = match self.options.auth_type {
            AuthType::ClientSecret => {
                self.read_credential().await?;
                client_id = credentials.client.as_ref().and_then(|client| client.client_id.clone());
                true
            }
            AuthType::ExternalCommand => !credentials.command.is_empty(),
            AuthType::TokenExchange => credentials.id_token.is_some(),
            _ => true,
        };
        // The headers of Passthrough belong to the caller. Without any, there is no sign-in.
        let signed_in = self.options.auth_type != AuthType::Passthrough || !credentials.headers.is_empty();
        if !exist {
            return Err(no_credentials(self.options.auth_type));
        }
        Ok(Status {
            backend: Backend::Nowhere,
            signed_in,
            expires_at: self.current().and_then(|token| token.expires_at()),
            has_refresh_token: true,
            issuer: None,
            client_id,
            subject: None,
            scopes: self.options.overrides.scopes.clone(),
            job_token: (self.options.auth_type == AuthType::TokenExchange || self.can_use_job_token())
                .then(|| credentials.id_token.as_ref().map(IdTokenSource::location))
                .flatten(),
        })
    }

    /// Gets a token for a proxy in front of the control plane, if the configuration has a command for it.
    ///
    /// # Errors
    /// [`AuthError::Command`]
    pub(crate) async fn authenticate_to_proxy(&self) -> Result<(), AuthError> {
        let command = &self.options.credentials.proxy_command;
        if command.is_empty() || self.options.endpoint.is_insecure() {
            return Ok(());
        }
        let mut current = self.proxy_token.lock().await;
        let now = self.options.clock.now();
        if current.as_ref().is_some_and(|token| token.is_fresh(now)) {
            return Ok(());
        }
        let setting = "admin.proxyCommand";
        let secret = match external_command::token(command, setting, &*self.options.interaction).await {
            Ok(secret) => secret,
            // The current token still works.
            Err(error) if current.as_ref().is_some_and(|token| token.is_valid(now)) => {
                tracing::warn!(%error, "the proxy's token could not be renewed yet");
                return Ok(());
            }
            Err(error) => return Err(error),
        };
        let token = self.access_token(secret, None);
        let text = zeroize::Zeroizing::new(format!("Bearer {}", token.secret()));
        let mut value = HeaderValue::try_from(text.as_str()).map_err(|_| AuthError::Interrupted)?;
        value.set_sensitive(true);
        self.http()?.set_proxy_authorization(Some(value));
        *current = Some(token);
        Ok(())
    }

    /// Drops the proxy's token, so that it is not used again.
    pub(crate) async fn forget_proxy_token(&self) {
        *self.proxy_token.lock().await = None;
    }
}

fn no_credentials(auth_type: AuthType) -> AuthError {
    match auth_type {
        AuthType::TokenExchange => AuthError::IdToken {
            location: "the environment".to_owned(),
            reason:
                "FLYTE_ID_TOKEN and FLYTE_ID_TOKEN_FILE are not set, this is not a GitHub Actions job with \
                the permission id-token: write, and there is no /var/run/secrets/flyte/token"
                    .to_owned(),
        },
        AuthType::ExternalCommand => AuthError::Command {
            program: String::new(),
            setting: "admin.command",
            failure: external_command::CommandFailure::Missing,
        },
        other => AuthError::Credentials {
            location: format!("authType {other}"),
            reason: "it has no credentials here".to_owned(),
        },
    }
}
