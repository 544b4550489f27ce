//! Keys of SCIM clients.

use async_trait::async_trait;

use crate::StoreError;
use flyte_model::clock::UnixTime;
use flyte_secrets::SecretHash;

/// A key by which a SCIM client authenticates. It is not an API key, and gives no access to anything else.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ScimKey {
    /// The name, unique among the keys.
    pub name: String,
    /// The client, which owns what it provisions. Several keys may have the same client, so that one can replace another.
    pub client: String,
    /// SHA-256 of the secret.
    pub secret_hash: SecretHash,
    /// What the client may do.
    pub rules: ScimRules,
    /// Subject of the administrator who created it; empty if it was created at the server's console.
    pub created_by: String,
    /// The time at which it was created.
    pub created_at: UnixTime,
    /// The time at which it expires; `None` if it never does.
    pub expires_at: Option<UnixTime>,
    /// The time at which it was last used, exact to a minute.
    pub last_used_at: Option<UnixTime>,
}

/// The administrator's rules for a client.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ScimRules {
    /// Whether the client takes over an existing account with the address of a user that it provisions.
    pub adopts: bool,
    /// The role of new accounts in all projects and domains. With `None`, they have only what their groups have.
    pub role: Option<String>,
    /// The issuer whose `sub` is the `externalId` of the client's users. New accounts are connected to it, so that their users
    /// sign in through that provider.
    pub issuer: Option<String>,
}

/// Storage of [`ScimKey`]s.
#[async_trait]
pub trait ScimKeyStore: Send + Sync + 'static {
    /// Adds a key.
    ///
    /// # Errors
    /// [`StoreError::AlreadyExists`] if the name is taken.
    async fn create_scim_key(&self, key: &ScimKey) -> Result<(), StoreError>;
    /// Returns the key with this secret, also if it has expired.
    async fn scim_key_by_hash(&self, hash: &SecretHash) -> Result<Option<ScimKey>, StoreError>;
    /// Returns all keys, sorted by name.
    async fn scim_keys(&self) -> Result<Vec<ScimKey>, StoreError>;
    /// Deletes a key. What its client provisioned stays. Returns the key, or `None` if it does not exist.
    async fn delete_scim_key(&self, name: &str) -> Result<Option<ScimKey>, StoreError>;
    /// Records when a key was used. An earlier time than the recorded one is ignored.
    async fn note_scim_key_used(&self, name: &str, now: UnixTime) -> Result<(), StoreError>;
}
