//! API keys: OAuth 2 confidential clients of the client credentials grant (RFC 6749 section 4.4).
//!
//! Hosted control planes have no `flyteauth.ApiKeyService`. There, this client uses the service of the published plugin, whose
//! API keys have no expiry, no limits and no rotation.

mod hosted;

use std::time::Duration;

use connectrpc::{ConnectError, ErrorCode};
use flyte_config::Endpoint;
use flyte_idl::cloudidl::identity::AppsServiceClient;
use flyte_idl::flyteauth as wire;
use secrecy::SecretString;
use serde::Serialize;

use self::hosted::Hosted;
use crate::access::{Access, seconds, time};
use crate::error::ClientError;
use crate::pager::{Page, Pager, Source};
use crate::transport::Transport;

/// An API key without its secret.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct ApiKey {
    /// The `client_id`, which the server derives from the name.
    pub client_id: String,
    /// The name.
    pub name: String,
    /// The access that the API key has.
    pub access: Access,
    /// The subject that created the API key; empty if the server does not say.
    pub created_by: String,
    /// The e-mail address of the person who created the API key; empty if unknown.
    pub created_by_email: String,
    /// The name of the person or API key that created the API key; empty if unknown.
    pub created_by_name: String,
    /// The creation time, Unix time in seconds; `None` if the server does not say.
    pub created_at: Option<i64>,
    /// The expiry time, Unix time in seconds; `None` if the API key does not expire.
    pub expires_at: Option<i64>,
    /// The time at which the API key was last used to get a token, Unix time in seconds, exact to a minute; `None` if never.
    pub last_used_at: Option<i64>,
    /// The expiry time of the secret before the last rotation, Unix time in seconds; `None` if there is no such secret.
    pub previous_secret_expires_at: Option<i64>,
}

/// The lifetime of a new API key if the caller does not choose another one.
pub const DEFAULT_LIFETIME: Duration = Duration::from_secs(90 * 86_400);

/// The lifetime of a new API key.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Lifetime {
    /// [`DEFAULT_LIFETIME`] if the server's API keys can expire.
    #[default]
    Default,
    /// This long, in whole seconds.
    For(Duration),
    /// Until the API key is deleted. The server requires a recent sign-in of a person before it creates an API key without expiry.
    NoExpiry,
}

impl Lifetime {
    /// The values of the fields `lifetime` and `no_expiry`.
    fn fields(self) -> (i64, bool) {
        match self {
            Self::Default => (seconds(DEFAULT_LIFETIME), false),
            Self::For(duration) => (seconds(duration), false),
            Self::NoExpiry => (0, true),
        }
    }
}

/// An API key to create.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct NewApiKey {
    /// The name.
    pub name: String,
    /// The access that the API key has.
    pub access: Access,
    /// The lifetime.
    pub lifetime: Lifetime,
}

/// A new API key with its secret. The server returns the secret only once.
#[derive(Clone, Debug)]
pub struct IssuedApiKey {
    /// The API key.
    pub api_key: ApiKey,
    /// The client secret.
    pub secret: SecretString,
}

/// Calls of `flyteauth.ApiKeyService`, or of `cloudidl.identity.AppsService` if the server does not have the first.
#[derive(Clone)]
pub struct ApiKeys<T> {
    service: wire::ApiKeyServiceClient<T>,
    hosted: Hosted<T>,
    endpoint: Endpoint,
}

impl<T: Transport> ApiKeys<T> {
    pub(crate) fn new(
        service: wire::ApiKeyServiceClient<T>,
        apps: AppsServiceClient<T>,
        endpoint: Endpoint,
        org: Option<String>,
    ) -> Self {
        let hosted = Hosted { service: apps, endpoint: endpoint.clone(), org: org.unwrap_or_default() };
        Self { service, hosted, endpoint }
    }

    /// Creates an API key. The server returns its secret only here.
    ///
    /// # Errors
    /// [`ClientError::AlreadyExists`] if the name, or the `client_id` derived from it, is taken;
    /// [`ClientError::Unsupported`] if an expiry or limits are requested and the server's API keys have none.
    pub async fn create(&self, new: NewApiKey) -> Result<IssuedApiKey, ClientError> {
        let answer = match self.service.create_api_key(creation(new.clone(), String::new())).await {
            Err(error) if is_hosted(&error) => return self.hosted.create(new).await,
            answer => answer.map_err(|error| self.error(error))?.into_owned(),
        };
        issued(answer.api_key.into_option(), answer.client_secret)
    }

    /// Creates an API key that has no secret. Its client authenticates with signed assertions (RFC 7523). `jwks` is a JSON Web
    /// Key Set with the public keys (RFC 7517).
    ///
    /// # Errors
    /// The errors of [`ApiKeys::create`]; [`ClientError::InvalidArgument`] if the server does not accept the public keys;
    /// [`ClientError::Unsupported`] if the server's API keys always have a secret.
    pub async fn create_signing(&self, new: NewApiKey, jwks: String) -> Result<ApiKey, ClientError> {
        let answer = match self.service.create_api_key(creation(new, jwks)).await {
            Err(error) if is_hosted(&error) => {
                return Err(self.hosted.unsupported("its API keys have secrets, and cannot sign instead"));
            }
            answer => answer.map_err(|error| self.error(error))?.into_owned(),
        };
        answer.api_key.into_option().map(ApiKey::from).ok_or_else(|| without("key"))
    }

    /// Returns one API key. `name` is its name or its `client_id`.
    ///
    /// # Errors
    /// [`ClientError::NotFound`] if there is no such API key that the caller may see.
    pub async fn get(&self, name: &str) -> Result<ApiKey, ClientError> {
        let request = wire::GetApiKeyRequest { client_id: name.to_owned(), ..Default::default() };
        let answer = match self.service.get_api_key(request).await {
            Err(error) if is_hosted(&error) => return self.hosted.get(name).await,
            answer => answer.map_err(|error| self.error(error))?,
        };
        let api_key = answer.into_owned().api_key.into_option();
        api_key.map(ApiKey::from).ok_or_else(|| without("key"))
    }

    /// Lists the API keys that the caller may see, the newest first. Pages are fetched on demand.
    pub fn list(&self, limit: Option<u32>) -> Pager<Listing<T>> {
        Pager::new(Listing(self.clone()), limit)
    }

    /// Deletes an API key. `name` is its name or its `client_id`. The server then rejects the API key and its tokens.
    ///
    /// # Errors
    /// [`ClientError::NotFound`] if there is no such API key that the caller may see.
    pub async fn delete(&self, name: &str) -> Result<(), ClientError> {
        let request = wire::DeleteApiKeyRequest { client_id: name.to_owned(), ..Default::default() };
        match self.service.delete_api_key(request).await {
            Err(error) if is_hosted(&error) => self.hosted.delete(name).await,
            answer => answer.map(drop).map_err(|error| self.error(error)),
        }
    }

    /// Replaces the secret of an API key. `name` is its name or its `client_id`. The previous secret works for `overlap` more, in
    /// whole seconds. Without `lifetime`, the expiry time stays the same.
    ///
    /// # Errors
    /// [`ClientError::NotFound`] if there is no such API key that the caller may see; [`ClientError::Unsupported`] if the
    /// server's API keys cannot be rotated.
    pub async fn rotate(
        &self,
        name: &str,
        overlap: Duration,
        lifetime: Option<Lifetime>,
    ) -> Result<IssuedApiKey, ClientError> {
        let (lifetime, no_expiry) = lifetime.map_or((0, false), Lifetime::fields);
        let request = wire::RotateApiKeyRequest {
            client_id: name.to_owned(),
            overlap: seconds(overlap),
            lifetime,
            no_expiry,
            ..Default::default()
        };
        let answer = match self.service.rotate_api_key(request).await {
            Err(error) if is_hosted(&error) => {
                return Err(self.hosted.unsupported(
                    "its API keys cannot be rotated; create another API key, and delete this one when it is no longer used",
                ));
            }
            answer => answer.map_err(|error| self.error(error))?.into_owned(),
        };
        issued(answer.api_key.into_option(), answer.client_secret)
    }

    fn error(&self, error: ConnectError) -> ClientError {
        ClientError::from_connect(error, &self.endpoint)
    }
}

/// The source of a list of API keys.
pub struct Listing<T>(ApiKeys<T>);

impl<T: Transport> Source for Listing<T> {
    type Item = ApiKey;

    async fn page(&self, limit: u32, token: &str) -> Result<Page<ApiKey>, ClientError> {
        let request = wire::ListApiKeysRequest { limit, token: token.to_owned(), ..Default::default() };
        let answer = match self.0.service.list_api_keys(request).await {
            Err(error) if is_hosted(&error) => return self.0.hosted.page(limit, token).await,
            answer => answer.map_err(|error| self.0.error(error))?.into_owned(),
        };
        Ok(Page { items: answer.api_keys.into_iter().map(ApiKey::from).collect(), next: answer.token })
    }
}

impl From<wire::ApiKey> for ApiKey {
    fn from(message: wire::ApiKey) -> Self {
        Self {
            client_id: message.client_id,
            name: message.name,
            access: message.access.into_option().unwrap_or_default().into(),
            created_by: message.created_by,
            created_by_email: message.created_by_email,
            created_by_name: message.created_by_name,
            created_at: time(message.created_at),
            expires_at: time(message.expires_at),
            last_used_at: time(message.last_used_at),
            previous_secret_expires_at: time(message.previous_secret_expires_at),
        }
    }
}

/// Whether the server does not have `flyteauth.ApiKeyService`. HTTP 404 has this meaning too (Connect protocol, error codes).
fn is_hosted(error: &ConnectError) -> bool {
    error.code == ErrorCode::Unimplemented
}

fn creation(new: NewApiKey, jwks: String) -> wire::CreateApiKeyRequest {
    let (lifetime, no_expiry) = new.lifetime.fields();
    wire::CreateApiKeyRequest {
        name: new.name,
        access: wire::Access::from(new.access).into(),
        lifetime,
        no_expiry,
        jwks,
        ..Default::default()
    }
}

fn issued(api_key: Option<wire::ApiKey>, secret: String) -> Result<IssuedApiKey, ClientError> {
    let api_key = api_key.ok_or_else(|| without("key"))?;
    if secret.is_empty() {
        return Err(without("secret"));
    }
    Ok(IssuedApiKey { api_key: api_key.into(), secret: SecretString::from(secret) })
}

fn without(what: &str) -> ClientError {
    ClientError::Server { code: "internal", message: format!("the server's answer contains no {what}") }
}

#[cfg(test)]
mod tests;
