//! API keys: OAuth 2 confidential clients of the client credentials grant (RFC 6749 section 4.4).
//!
//! Where the server has no `flyteauth.ApiKeyService`, as hosted control planes have not, the service of the published plugin
//! is used: the same keys, without expiry, limits and rotation.

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
use crate::client::Transport;
use crate::error::ClientError;
use crate::pager::{Page, Pager, Source};

/// A key, without its secret.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct ApiKey {
    /// Its `client_id`, made from the name by the server.
    pub client_id: String,
    /// The name as given.
    pub name: String,
    /// What it may do.
    pub access: Access,
    /// Who made it; empty where the server does not tell.
    pub created_by: String,
    /// E-mail address of the person who made it; empty where that is none, or the server does not tell.
    pub created_by_email: String,
    /// Name of the person or the API key that made it; empty where none is known.
    pub created_by_name: String,
    /// When it was made, Unix time in seconds; `None` where the server does not tell.
    pub created_at: Option<i64>,
    /// When it ceases to work, Unix time in seconds; `None` where it does not by itself.
    pub expires_at: Option<i64>,
    /// When it last gave a token, Unix time in seconds, exact to a minute; `None` where it never did.
    pub last_used_at: Option<i64>,
    /// Until when the secret before the last rotation works, Unix time in seconds; `None` where there is none.
    pub previous_secret_expires_at: Option<i64>,
}

/// How long a key works unless something else is asked for.
pub const USUAL_LIFETIME: Duration = Duration::from_secs(90 * 86_400);

/// How long a key is to work.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Lifetime {
    /// For [`USUAL_LIFETIME`], where the server's keys can end by themselves.
    #[default]
    Usual,
    /// This long, in whole seconds.
    For(Duration),
    /// For as long as it is not deleted. The server asks people for a recent sign-in before it makes such a key.
    NoExpiry,
}

impl Lifetime {
    /// As the fields `lifetime` and `no_expiry`.
    fn fields(self) -> (i64, bool) {
        match self {
            Self::Usual => (seconds(USUAL_LIFETIME), false),
            Self::For(duration) => (seconds(duration), false),
            Self::NoExpiry => (0, true),
        }
    }
}

/// A key to create.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct NewApiKey {
    /// Its name.
    pub name: String,
    /// What it may do.
    pub access: Access,
    /// How long it works.
    pub lifetime: Lifetime,
}

/// A key with its secret, which the server tells this once.
#[derive(Clone, Debug)]
pub struct IssuedApiKey {
    /// The key.
    pub api_key: ApiKey,
    /// Its client secret.
    pub secret: SecretString,
}

/// Calls of `flyteauth.ApiKeyService`, or of `cloudidl.identity.AppsService` where that is what the server has.
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

    /// Creates a key. This is the only time that its secret is told.
    ///
    /// # Errors
    /// [`ClientError::AlreadyExists`] where its name, or the `client_id` made from it, is taken;
    /// [`ClientError::Unsupported`] where the server's keys have no expiry and limits, and some are asked for.
    pub async fn create(&self, new: NewApiKey) -> Result<IssuedApiKey, ClientError> {
        let answer = match self.service.create_api_key(creation(new.clone(), String::new())).await {
            Err(error) if is_hosted(&error) => return self.hosted.create(new).await,
            answer => answer.map_err(|error| self.error(error))?.into_owned(),
        };
        issued(answer.api_key.into_option(), answer.client_secret)
    }

    /// Creates a key that has no secret and proves itself by assertions that it signs (RFC 7523); `jwks` are its public keys, a
    /// JSON Web Key Set (RFC 7517).
    ///
    /// # Errors
    /// Those of [`ApiKeys::create`]; [`ClientError::InvalidArgument`] where the keys are none that the server takes, and
    /// [`ClientError::Unsupported`] where the server's keys have secrets only.
    pub async fn create_signing(&self, new: NewApiKey, jwks: String) -> Result<ApiKey, ClientError> {
        let answer = match self.service.create_api_key(creation(new, jwks)).await {
            Err(error) if is_hosted(&error) => {
                return Err(self.hosted.unsupported("its API keys have secrets, and cannot sign instead"));
            }
            answer => answer.map_err(|error| self.error(error))?.into_owned(),
        };
        answer.api_key.into_option().map(ApiKey::from).ok_or_else(|| without("key"))
    }

    /// One key, by its `client_id` or its name.
    ///
    /// # Errors
    /// [`ClientError::NotFound`] where there is none that the caller may see.
    pub async fn get(&self, key: &str) -> Result<ApiKey, ClientError> {
        let request = wire::GetApiKeyRequest { client_id: key.to_owned(), ..Default::default() };
        let answer = match self.service.get_api_key(request).await {
            Err(error) if is_hosted(&error) => return self.hosted.get(key).await,
            answer => answer.map_err(|error| self.error(error))?,
        };
        let api_key = answer.into_owned().api_key.into_option();
        api_key.map(ApiKey::from).ok_or_else(|| without("key"))
    }

    /// The keys that the caller may see, the newest first, fetched page by page as they are asked for.
    pub fn list(&self, limit: Option<u32>) -> Pager<Listing<T>> {
        Pager::new(Listing(self.clone()), limit)
    }

    /// Deletes a key, by its `client_id` or its name. It works no longer, and neither do its tokens.
    ///
    /// # Errors
    /// [`ClientError::NotFound`] where there is none that the caller may see.
    pub async fn delete(&self, key: &str) -> Result<(), ClientError> {
        let request = wire::DeleteApiKeyRequest { client_id: key.to_owned(), ..Default::default() };
        match self.service.delete_api_key(request).await {
            Err(error) if is_hosted(&error) => self.hosted.delete(key).await,
            answer => answer.map(drop).map_err(|error| self.error(error)),
        }
    }

    /// Gives a key a new secret. The one in use now works on for `overlap`, in whole seconds. The key ends when it would have
    /// ended, or after `lifetime` from now.
    ///
    /// # Errors
    /// [`ClientError::NotFound`] where there is none that the caller may see; [`ClientError::Unsupported`] where the
    /// server's keys cannot be rotated.
    pub async fn rotate(
        &self,
        key: &str,
        overlap: Duration,
        lifetime: Option<Lifetime>,
    ) -> Result<IssuedApiKey, ClientError> {
        let (lifetime, no_expiry) = lifetime.map_or((0, false), Lifetime::fields);
        let request = wire::RotateApiKeyRequest {
            client_id: key.to_owned(),
            overlap: seconds(overlap),
            lifetime,
            no_expiry,
            ..Default::default()
        };
        let answer = match self.service.rotate_api_key(request).await {
            Err(error) if is_hosted(&error) => {
                return Err(self.hosted.unsupported(
                    "its API keys cannot be rotated; create another one, and delete this one when it is no longer used",
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

/// Keys that a listing is of.
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

/// Whether the server does not have our service; HTTP 404 counts as that (Connect protocol, error codes).
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
    ClientError::Server { code: "internal", message: format!("the server answered without the {what}") }
}

#[cfg(test)]
mod tests;
