//! OAuth clients, and the consents that users gave them.

use async_trait::async_trait;

use super::StoreError;
use flyte_model::{ClientId, GrantType, Scopes, clock::UnixTime};

/// Whether a client can keep a secret (RFC 6749 section 2.1).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ClientKind {
    /// The client cannot keep a secret: it is a program on a user's machine. Only PKCE protects it.
    Public,
    /// The client can keep a secret, and authenticates with it.
    Confidential,
}

/// A registered client (RFC 7591 names).
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Client {
    /// `client_id`.
    pub id: ClientId,
    /// `client_name`, for display on the consent page.
    pub name: String,
    /// Whether the client can keep a secret.
    pub kind: ClientKind,
    /// SHA-256 of the client secret of a confidential client.
    pub secret_hash: Option<flyte_secrets::SecretHash>,
    /// `jwks`: the public keys of a confidential client that authenticates with signed assertions (RFC 7523 section
    /// 2.2).
    pub jwks: Option<String>,
    /// `redirect_uris`. They are compared exactly, except for the port of a loopback address (RFC 8252 section 7.3).
    pub redirect_uris: Vec<String>,
    /// `post_logout_redirect_uris` (OpenID Connect RP-Initiated Logout section 3.1), compared in the same way.
    pub post_logout_redirect_uris: Vec<String>,
    /// `grant_types` that the client may use.
    pub grant_types: Vec<GrantType>,
    /// Scopes that the client may ask for.
    pub scopes: Scopes,
    /// Whether this is a client of this project. Users are not asked for consent to it, and it may manage API keys.
    pub first_party: bool,
    /// Whether users may let this client create, change and delete API keys and trust rules in their name, although it
    /// is not a first-party client.
    pub may_keep_api_keys: bool,
    /// `id_token_signed_response_alg`: the `alg` of the client's ID tokens (OpenID Connect Dynamic Client Registration
    /// section 2). With `None` the server chooses.
    pub id_token_signed_response_alg: Option<String>,
    /// The time at which it was registered.
    pub created_at: UnixTime,
}

/// A user's consent to a client.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Consent {
    /// The user who consented.
    pub user_id: String,
    /// The client.
    pub client_id: ClientId,
    /// The scopes of all consents together.
    pub scopes: Scopes,
    /// The time of the latest consent.
    pub granted_at: UnixTime,
}

/// Storage of [`Client`]s and [`Consent`]s.
#[async_trait]
pub trait ClientStore: Send + Sync + 'static {
    /// Adds a client, or replaces the client with the same `client_id`.
    async fn put_client(&self, client: &Client) -> Result<(), StoreError>;
    /// Adds a client.
    ///
    /// # Errors
    /// [`StoreError::AlreadyExists`] if the `client_id` is taken.
    async fn create_client(&self, client: &Client) -> Result<(), StoreError>;
    /// Removes a client. The same transaction ends everything that the client obtained: unredeemed codes, all families
    /// and all consents. Returns `false` if the client does not exist.
    async fn delete_client(&self, id: &ClientId, now: UnixTime) -> Result<bool, StoreError>;
    /// Returns all clients, sorted by `client_id`.
    async fn clients(&self) -> Result<Vec<Client>, StoreError>;
    /// Returns the client with this `client_id`.
    async fn client_by_id(&self, id: &ClientId) -> Result<Option<Client>, StoreError>;
    /// Adds these scopes to the user's consent to the client.
    async fn add_consent(&self, consent: &Consent) -> Result<(), StoreError>;
    /// Returns the user's consents, sorted by `client_id`.
    async fn consents(&self, user_id: &str) -> Result<Vec<Consent>, StoreError>;
    /// Withdraws the user's consent to the client. The same transaction ends what the client obtained from the user:
    /// unredeemed codes, approved devices, and all families, which it returns. Returns `None` if there is no consent.
    async fn withdraw_consent(
        &self,
        user_id: &str,
        client_id: &ClientId,
        now: UnixTime,
    ) -> Result<Option<Vec<String>>, StoreError>;
    /// Returns the user's consent to the client.
    async fn consent(&self, user_id: &str, client_id: &ClientId) -> Result<Option<Consent>, StoreError>;
}
