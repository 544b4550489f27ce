//! Tokens of machines: got anew by their own credentials, and kept in memory only. The store belongs to people: a key's token
//! there would be the next person's.

use std::{
    sync::{Arc, atomic::Ordering},
    time::Duration,
};

use flyte_config::{AuthType, StoreKind};
use reqwest::header::HeaderValue;
use secrecy::{ExposeSecret as _, SecretString};

use super::{POSTPONED_BY, Session, Status, jitter};
use crate::{
    AuthError,
    clock::UnixTime,
    discovery::Provider,
    flows::{
        client_credentials::{self, Evidence},
        external_command,
        token_exchange::{self, IdTokenSource},
    },
    store::{self, Backend},
    token::{AccessToken, TokenResponse, jwt_expiry},
};

/// How long before its end a client's secret is warned of, in seconds.
const LAST_WEEK: i64 = 7 * 86_400;

impl Session {
    /// Whether a machine's credentials are used instead of a person's sign-in: by its mode, or because this is a CI job with a
    /// token of its own and nobody is there.
    pub(super) fn is_a_machines(&self) -> bool {
        !self.options.auth_type.is_a_persons()
    }

    /// Whether a token of the CI system can stand in for a person.
    pub(super) fn is_a_job(&self) -> bool {
        self.options.auth_type.is_a_persons()
            && self.options.credentials.id_token.is_some()
            && !self.options.interaction.is_interactive()
    }

    /// A new token by the machine's credentials; the one in hand while it is still good and getting another fails.
    pub(super) async fn mint(&self) -> Result<AccessToken, AuthError> {
        let now = self.options.clock.now();
        match self.new_machine_token().await {
            Ok(token) => {
                self.postponed.store(i64::MIN, Ordering::Relaxed);
                self.set_current(Some(token.clone()));
                Ok(token)
            }
            Err(error) => match self.current().filter(|token| token.is_valid(now)) {
                Some(token) => {
                    tracing::warn!(%error, "the access token could not be renewed yet");
                    self.postponed.store(now.saturating_add(POSTPONED_BY), Ordering::Relaxed);
                    Ok(token)
                }
                None => Err(error),
            },
        }
    }

    async fn new_machine_token(&self) -> Result<AccessToken, AuthError> {
        match self.options.auth_type {
            AuthType::ExternalCommand => {
                let command = &self.options.credentials.command;
                let interaction = &*self.options.interaction;
                let secret = external_command::token(command, "admin.command", interaction).await?;
                Ok(self.token_of(secret, None))
            }
            AuthType::Passthrough => {
                Err(AuthError::UnsupportedAuthType { auth_type: self.options.auth_type.to_string() })
            }
            _ => {
                let response = self.machine_response().await?;
                self.warn_of_end(response.client_secret_expires_at);
                Ok(self.token_of(response.access_token, response.expires_in))
            }
        }
    }

    /// Asks the token endpoint; once more where it has moved since it was looked up.
    async fn machine_response(&self) -> Result<TokenResponse, AuthError> {
        let evidence = match self.options.auth_type {
            AuthType::ClientSecret => Some(self.evidence().await?),
            _ => None,
        };
        let provider = self.provider().await?;
        match self.ask(&provider, evidence.as_ref()).await {
            Err(error) if error.may_have_moved() => match self.discover().await {
                Ok(found) if found.token_endpoint != provider.token_endpoint => {
                    self.ask(&found, evidence.as_ref()).await
                }
                _ => Err(error),
            },
            other => other,
        }
    }

    async fn ask(
        &self,
        provider: &Arc<Provider>,
        evidence: Option<&Evidence>,
    ) -> Result<TokenResponse, AuthError> {
        let options = &self.options;
        let (endpoint, scopes) = (options.endpoint.authority(), options.overrides.scopes.as_slice());
        match (&options.credentials.client, evidence, &options.credentials.id_token) {
            (Some(client), Some(evidence), _) => {
                let (http, now) = (self.http()?, options.clock.now());
                let client_id = client.client_id()?;
                client_credentials::token(http, provider, endpoint, scopes, client_id, evidence, now).await
            }
            (_, None, Some(source)) => {
                token_exchange::exchange(self.http()?, provider, &options.endpoint, scopes, source).await
            }
            _ => Err(no_credentials(options.auth_type)),
        }
    }

    /// What the client proves itself with, from wherever it is.
    async fn evidence(&self) -> Result<Evidence, AuthError> {
        let auth_type = self.options.auth_type;
        let client = self.options.credentials.client.as_ref().ok_or_else(|| no_credentials(auth_type))?;
        let client_id = client.client_id()?;
        if let Some(evidence) = client.evidence()? {
            return Ok(evidence);
        }
        let user = format!("client-secret:{client_id}");
        let service = self.options.endpoint.keyring_service();
        let found = match self.options.token_store {
            Some(StoreKind::Memory) => None,
            _ => store::secret(&service, &user, self.unlock_timeout()).await?,
        };
        found.map(Evidence::Secret).ok_or_else(|| AuthError::Credentials {
            place: "authType ClientSecret".to_owned(),
            reason: format!(
                "there is no secret of the client: name a file (admin.clientSecretLocation) or a variable \
                (admin.clientSecretEnvVar), or put it into the keyring for the service {service} and the user {user}"
            ),
        })
    }

    /// Warns, once, in the last week of the client's secret.
    fn warn_of_end(&self, ends_at: Option<UnixTime>) {
        let Some(ends_at) = ends_at.filter(|at| *at > 0) else { return };
        let left = ends_at.saturating_sub(self.options.clock.now());
        let client_id =
            self.options.credentials.client.as_ref().and_then(|client| client.client_id.as_deref());
        if left > LAST_WEEK || self.end_told.swap(true, Ordering::Relaxed) {
            return;
        }
        let left = Duration::from_secs(left.try_into().unwrap_or_default());
        self.options.interaction.credentials_end(client_id.unwrap_or_default(), ends_at, left);
    }

    fn token_of(&self, secret: SecretString, expires_in: Option<i64>) -> AccessToken {
        let now = self.options.clock.now();
        let expires_at = expires_in
            .map(|seconds| now.saturating_add(seconds))
            .or_else(|| jwt_expiry(secret.expose_secret()));
        let lifetime = expires_at.map(|at| at.saturating_sub(now));
        AccessToken::new(secret, expires_at, lifetime, jitter())
    }

    /// How a machine stands: whether its credentials are there, which the network is not asked about.
    pub(super) async fn machine_status(&self) -> Result<Status, AuthError> {
        let credentials = &self.options.credentials;
        let mut client_id = None;
        let there = match self.options.auth_type {
            AuthType::ClientSecret => {
                self.evidence().await?;
                client_id = credentials.client.as_ref().and_then(|client| client.client_id.clone());
                true
            }
            AuthType::ExternalCommand => !credentials.command.is_empty(),
            AuthType::TokenExchange => credentials.id_token.is_some(),
            _ => true,
        };
        // What is passed through is the caller's; nothing of it is a sign-in.
        let signed_in = self.options.auth_type != AuthType::Passthrough || !credentials.headers.is_empty();
        if !there {
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
            job: (self.options.auth_type == AuthType::TokenExchange || self.is_a_job())
                .then(|| credentials.id_token.as_ref().map(IdTokenSource::place))
                .flatten(),
        })
    }

    /// Makes sure that a proxy in front of the control plane is shown a token, where the configuration has a command for one.
    ///
    /// # Errors
    /// [`AuthError::Command`]
    pub(crate) async fn greet_proxy(&self) -> Result<(), AuthError> {
        let command = &self.options.credentials.proxy_command;
        if command.is_empty() || self.options.endpoint.is_insecure() {
            return Ok(());
        }
        let mut held = self.proxy.lock().await;
        let now = self.options.clock.now();
        if held.as_ref().is_some_and(|token| token.is_fresh(now)) {
            return Ok(());
        }
        let setting = "admin.proxyCommand";
        let secret = match external_command::token(command, setting, &*self.options.interaction).await {
            Ok(secret) => secret,
            // The one in hand still works.
            Err(error) if held.as_ref().is_some_and(|token| token.is_valid(now)) => {
                tracing::warn!(%error, "the proxy's token could not be renewed yet");
                return Ok(());
            }
            Err(error) => return Err(error),
        };
        let token = self.token_of(secret, None);
        let text = zeroize::Zeroizing::new(format!("Bearer {}", token.secret()));
        let mut value = HeaderValue::try_from(text.as_str()).map_err(|_| AuthError::Interrupted)?;
        value.set_sensitive(true);
        self.http()?.show_to_proxy(Some(value));
        *held = Some(token);
        Ok(())
    }

    /// Makes sure that the proxy's token is not used again.
    pub(crate) async fn forget_proxy(&self) {
        *self.proxy.lock().await = None;
    }
}

fn no_credentials(auth_type: AuthType) -> AuthError {
    match auth_type {
        AuthType::TokenExchange => AuthError::IdToken {
            place: "the environment".to_owned(),
            reason: "there is none: neither FLYTE_ID_TOKEN nor FLYTE_ID_TOKEN_FILE is set, this is no GitHub Actions job with \
                the permission id-token: write, and there is no /var/run/secrets/flyte/token"
                .to_owned(),
        },
        AuthType::ExternalCommand => AuthError::Command {
            program: String::new(),
            setting: "admin.command",
            failure: external_command::CommandFailure::Missing,
        },
        other => AuthError::Credentials {
            place: format!("authType {other}"),
            reason: "it has no credentials here".to_owned(),
        },
    }
}
