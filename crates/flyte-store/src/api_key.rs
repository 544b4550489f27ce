//! API keys: confidential clients that act as themselves (RFC 6749 section 4.4).

use async_trait::async_trait;

use super::StoreError;
use flyte_model::Rights;
use flyte_model::clock::UnixTime;
use flyte_secrets::SecretHash;

/// An API key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ApiKey {
    /// `client_id`, unique among all clients; also the `sub` of its tokens (RFC 9068 section 2.2).
    pub client_id: String,
    /// Its name, unique among the keys.
    pub name: String,
    /// SHA-256 of its secret; `None` where it proves itself by `jwks`.
    pub secret_hash: Option<SecretHash>,
    /// The secret before the last rotation, as long as it works.
    pub previous_secret: Option<PreviousSecret>,
    /// The public keys of a key that proves itself by signing (RFC 7523 section 2.2), a JSON Web Key Set.
    pub jwks: Option<String>,
    /// What it may do.
    pub rights: Rights,
    /// Subject of who made it.
    pub created_by: String,
    /// When it was made.
    pub created_at: UnixTime,
    /// When it ceases to work; `None` where it does not by itself.
    pub expires_at: Option<UnixTime>,
    /// When it last gave a token, exact to a minute.
    pub last_used_at: Option<UnixTime>,
    /// The family of all its tokens, a UUID; revoked when the key is deleted or its secret replaced at once.
    pub family_id: String,
}

/// A secret that was replaced.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PreviousSecret {
    /// SHA-256 of it.
    pub hash: SecretHash,
    /// When it ceases to work.
    pub expires_at: UnixTime,
}

/// Which keys to list, the newest first.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ApiKeyQuery {
    /// Only keys that this subject made.
    pub created_by: Option<String>,
    /// The most keys to return.
    pub limit: u32,
    /// The page token of the page before; empty for the first page.
    pub page_token: String,
}

/// What replaces a key's secret.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SecretRotation {
    /// SHA-256 of the new secret.
    pub secret_hash: SecretHash,
    /// Until when the secret in use now works on. Where that is over already, what it gave is revoked.
    pub previous_until: UnixTime,
    /// The family of tokens from now on, where those given so far are revoked; a UUID.
    pub family_id: String,
    /// When the key ends from now on.
    pub expires_at: Option<UnixTime>,
}

/// What came of replacing a key's secret.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Rotation {
    /// It is replaced.
    Rotated(RotatedKey),
    /// Nothing has changed: the secret before the last rotation works until then, and a second overlap would end it early.
    Overlapping {
        /// When it ends.
        until: UnixTime,
    },
    /// There is no such key, or it has no secret.
    Unknown,
}

/// A key whose secret was replaced.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RotatedKey {
    /// The key as it is now.
    pub key: ApiKey,
    /// The family that was revoked.
    pub revoked_family: Option<String>,
}

/// A secret that works no more.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RetiredSecret {
    /// `client_id` of the key that had it.
    pub client_id: String,
    /// Why it does not.
    pub why: Retired,
}

/// Why a secret works no more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Retired {
    /// Its key was deleted.
    Deleted,
    /// Another one took its place.
    Rotated,
}

impl Retired {
    /// As it is stored, and as the audit log's `reason`.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Deleted => "deleted",
            Self::Rotated => "rotated",
        }
    }
}

/// Storage of [`ApiKey`]s.
#[async_trait]
pub trait ApiKeyStore: Send + Sync + 'static {
    /// Adds a key.
    ///
    /// # Errors
    /// [`StoreError::AlreadyExists`] where the name, or the `client_id` among keys, other clients and accounts, is taken.
    async fn create_api_key(&self, key: &ApiKey) -> Result<(), StoreError>;
    /// The key with this `client_id`.
    async fn api_key_by_id(&self, client_id: &str) -> Result<Option<ApiKey>, StoreError>;
    /// The keys whose `client_id` or name this is: one may have the one, and another the other.
    async fn api_keys_by_id_or_name(&self, text: &str) -> Result<Vec<ApiKey>, StoreError>;
    /// A page of keys and the next page's token, empty on the last page.
    ///
    /// # Errors
    /// [`StoreError::InvalidPageToken`] for a token of another listing.
    async fn list_api_keys(&self, query: &ApiKeyQuery) -> Result<(Vec<ApiKey>, String), StoreError>;
    /// Gives a key another name; `false` where there is no such key.
    ///
    /// # Errors
    /// [`StoreError::AlreadyExists`] where the name is taken.
    async fn rename_api_key(&self, client_id: &str, name: &str) -> Result<bool, StoreError>;
    /// Replaces a key's secret. While two work, only by one that ends both at once.
    async fn rotate_api_key(
        &self,
        client_id: &str,
        rotation: &SecretRotation,
        now: UnixTime,
    ) -> Result<Rotation, StoreError>;
    /// Deletes a key with all keys that it made, and those that they made, and revokes the families of their tokens. The keys
    /// as they were, this one first; none where there is no such key.
    async fn delete_api_key(&self, client_id: &str, now: UnixTime) -> Result<Vec<ApiKey>, StoreError>;
    /// The keys that this subject made, and those that these keys made, the oldest first.
    async fn api_keys_of(&self, subject: &str) -> Result<Vec<ApiKey>, StoreError>;
    /// Deletes what [`ApiKeyStore::api_keys_of`] tells, as [`ApiKeyStore::delete_api_key`] does.
    async fn delete_api_keys_of(&self, subject: &str, now: UnixTime) -> Result<Vec<ApiKey>, StoreError>;
    /// Whose this secret was, which a key had that was deleted or got another one; within a year of its end, for the audit log.
    /// During an overlap, also the secret that still works.
    async fn retired_secret(&self, secret_hash: &SecretHash) -> Result<Option<RetiredSecret>, StoreError>;
    /// Notes when keys last gave a token; a time before the one that is known is ignored, as is a key that is gone.
    async fn note_api_keys_used(&self, used: &[(String, UnixTime)]) -> Result<(), StoreError>;
}
