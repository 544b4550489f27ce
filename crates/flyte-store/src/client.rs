//! OAuth clients and the consents that people gave them.

use async_trait::async_trait;

use super::StoreError;
use flyte_model::clock::UnixTime;

/// Whether a client can keep a secret (RFC 6749 section 2.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ClientKind {
    /// It cannot: a program on somebody's machine. Proves itself by PKCE alone.
    Public,
    /// It can, and proves itself with one.
    Confidential,
}

/// A registered client (RFC 7591 names).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Client {
    /// `client_id`.
    pub id: String,
    /// `client_name`, for display on the consent page.
    pub name: String,
    /// Whether it can keep a secret.
    pub kind: ClientKind,
    /// SHA-256 of the client secret of a confidential client.
    pub secret_hash: Option<flyte_secrets::SecretHash>,
    /// `jwks`: the public keys of a confidential client that signs assertions instead (RFC 7523 section 2.2).
    pub jwks: Option<String>,
    /// `redirect_uris`: compared exactly, save the port of a loopback address (RFC 8252 section 7.3).
    pub redirect_uris: Vec<String>,
    /// `post_logout_redirect_uris` (OpenID Connect RP-Initiated Logout section 3.1): the same comparison.
    pub post_logout_redirect_uris: Vec<String>,
    /// `grant_types` that it may use.
    pub grant_types: Vec<String>,
    /// Scopes that it may ask for.
    pub scopes: Vec<String>,
    /// Ours: people are not asked for consent, and it may keep API keys.
    pub first_party: bool,
    /// Whether people may let it make, change and delete API keys and trust rules in their name, although it is not ours.
    pub may_keep_api_keys: bool,
    /// `id_token_signed_response_alg`: the `alg` of its ID tokens (OpenID Connect Dynamic Client Registration section 2); the
    /// server's own choice for `None`.
    pub id_token_signed_response_alg: Option<String>,
    /// When it was registered.
    pub created_at: UnixTime,
}

/// What a person let a client do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Consent {
    /// Who agreed.
    pub user_id: String,
    /// To which client.
    pub client_id: String,
    /// The scopes agreed to, all consents taken together.
    pub scopes: Vec<String>,
    /// When the latest consent was given.
    pub granted_at: UnixTime,
}

/// Storage of [`Client`]s and [`Consent`]s.
#[async_trait]
pub trait ClientStore: Send + Sync + 'static {
    /// Adds a client or replaces the one with its `client_id`.
    async fn put_client(&self, client: &Client) -> Result<(), StoreError>;
    /// Adds a client.
    ///
    /// # Errors
    /// [`StoreError::AlreadyExists`] where its `client_id` is taken.
    async fn create_client(&self, client: &Client) -> Result<(), StoreError>;
    /// Removes a client and, in the same transaction, ends all that it got: codes on their way, every family, and what
    /// people agreed to. `false` where there is no such client.
    async fn delete_client(&self, id: &str, now: UnixTime) -> Result<bool, StoreError>;
    /// All clients, by `client_id`.
    async fn clients(&self) -> Result<Vec<Client>, StoreError>;
    /// The client with this `client_id`.
    async fn client_by_id(&self, id: &str) -> Result<Option<Client>, StoreError>;
    /// Adds the scopes to what the person already let the client do.
    async fn add_consent(&self, consent: &Consent) -> Result<(), StoreError>;
    /// What the person let the client do.
    async fn consent(&self, user_id: &str, client_id: &str) -> Result<Option<Consent>, StoreError>;
}
