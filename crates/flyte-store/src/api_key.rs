//! API keys: confidential clients that act as themselves (RFC 6749 section 4.4).

use async_trait::async_trait;

use super::StoreError;
use flyte_model::{ClientId, ClientIdError, Rights, clock::UnixTime};
use flyte_secrets::SecretHash;

/// An API key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ApiKey {
    /// `client_id`, unique among all clients; also the `sub` of its tokens (RFC 9068 section 2.2).
    pub client_id: ClientId,
    /// The name, unique among API keys.
    pub name: String,
    /// SHA-256 of the secret; `None` if the key authenticates with `jwks`.
    pub secret_hash: Option<SecretHash>,
    /// The secret before the last rotation, while it is still valid.
    pub previous_secret: Option<PreviousSecret>,
    /// The public keys (a JSON Web Key Set) of an API key that authenticates with signed assertions (RFC 7523 section
    /// 2.2).
    pub jwks: Option<String>,
    /// The rights of its tokens.
    pub rights: Rights,
    /// Subject of the principal that created it.
    pub created_by: String,
    /// The time at which it was created.
    pub created_at: UnixTime,
    /// The time at which it expires; `None` if it never does.
    pub expires_at: Option<UnixTime>,
    /// The time at which it last obtained a token, exact to a minute.
    pub last_used_at: Option<UnixTime>,
    /// The family of all its tokens, a UUID. It is revoked when the key is deleted, or when its secret is replaced
    /// without an overlap.
    pub family_id: String,
}

/// A secret that was replaced.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PreviousSecret {
    /// SHA-256 of the secret.
    pub hash: SecretHash,
    /// The time at which it expires.
    pub expires_at: UnixTime,
}

/// A query for API keys, the newest first.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ApiKeyQuery {
    /// Only keys that this subject created.
    pub created_by: Option<String>,
    /// The most keys to return.
    pub limit: u32,
    /// The page token of the previous page; empty for the first page.
    pub page_token: String,
}

/// The replacement of a key's secret.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SecretRotation {
    /// SHA-256 of the new secret.
    pub secret_hash: SecretHash,
    /// The time until which the current secret stays valid. If it is not in the future, the tokens of that secret are
    /// revoked.
    pub previous_until: UnixTime,
    /// The family of future tokens if the existing tokens are revoked; a UUID.
    pub family_id: String,
    /// The new expiry of the key.
    pub expires_at: Option<UnixTime>,
}

/// The result of replacing a key's secret.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Rotation {
    /// The secret was replaced.
    Rotated(RotatedKey),
    /// Nothing has changed. The secret before the last rotation is still valid, and a second overlap would end it
    /// early.
    Overlapping {
        /// The time at which the current overlap ends.
        until: UnixTime,
    },
    /// The key does not exist or has no secret.
    Unknown,
}

/// A key whose secret was replaced.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RotatedKey {
    /// The key after the replacement.
    pub key: ApiKey,
    /// The family that was revoked.
    pub revoked_family: Option<String>,
}

/// A secret that is no longer valid.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RetiredSecret {
    /// `client_id` of the key that the secret belonged to.
    pub client_id: ClientId,
    /// The reason why the secret is no longer valid.
    pub why: Retired,
}

/// The reason why a secret is no longer valid.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Retired {
    /// The key was deleted.
    Deleted,
    /// The secret was replaced.
    Rotated,
}

impl Retired {
    /// Returns the name in the database and in the `reason` of audit records.
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
    /// [`StoreError::AlreadyExists`] if the name is taken, or the `client_id` is that of an API key, another client or
    /// an account.
    async fn create_api_key(&self, key: &ApiKey) -> Result<(), StoreError>;
    /// Returns the key with this `client_id`.
    async fn api_key_by_id(&self, client_id: &ClientId) -> Result<Option<ApiKey>, StoreError>;
    /// Returns the key with this `client_id`, which is also the subject of its tokens (RFC 9068 section 2.2). A text that is not
    /// a client identifier, for example the subject of another principal, is that of no key.
    async fn api_key_by_subject(&self, subject: &str) -> Result<Option<ApiKey>, StoreError> {
        match subject.parse() {
            Ok(id) => self.api_key_by_id(&id).await,
            Err(ClientIdError::Empty | ClientIdError::Malformed) => Ok(None),
        }
    }
    /// Returns the keys whose `client_id` or name is `text`. Two keys can match: one by `client_id`, the other by name.
    async fn api_keys_by_id_or_name(&self, text: &str) -> Result<Vec<ApiKey>, StoreError>;
    /// Returns a page of keys and the next page's token, which is empty on the last page.
    ///
    /// # Errors
    /// [`StoreError::InvalidPageToken`] for a token of another listing.
    async fn list_api_keys(&self, query: &ApiKeyQuery) -> Result<(Vec<ApiKey>, String), StoreError>;
    /// Renames a key. Returns `false` if the key does not exist.
    ///
    /// # Errors
    /// [`StoreError::AlreadyExists`] if the name is taken.
    async fn rename_api_key(&self, client_id: &ClientId, name: &str) -> Result<bool, StoreError>;
    /// Replaces a key's secret. While two secrets are valid, only a replacement that ends both is accepted.
    async fn rotate_api_key(
        &self,
        client_id: &ClientId,
        rotation: &SecretRotation,
        now: UnixTime,
    ) -> Result<Rotation, StoreError>;
    /// Deletes a key, the keys that it created, and the keys that those created, and revokes the families of their
    /// tokens. Returns the deleted keys, this one first, or nothing if the key does not exist.
    async fn delete_api_key(&self, client_id: &ClientId, now: UnixTime) -> Result<Vec<ApiKey>, StoreError>;
    /// Returns the keys that this subject created, and the keys that those created, the oldest first.
    async fn api_keys_of(&self, subject: &str) -> Result<Vec<ApiKey>, StoreError>;
    /// Deletes the keys that [`ApiKeyStore::api_keys_of`] returns, in the way of [`ApiKeyStore::delete_api_key`].
    async fn delete_api_keys_of(&self, subject: &str, now: UnixTime) -> Result<Vec<ApiKey>, StoreError>;
    /// Returns the key that had this secret before the key was deleted or got another secret, for the audit log. The
    /// record is kept for a year after the end of the secret. During an overlap, the method also returns the secret
    /// that is still valid.
    async fn retired_secret(&self, secret_hash: &SecretHash) -> Result<Option<RetiredSecret>, StoreError>;
    /// Records when keys last obtained a token. Earlier times than the recorded one, and keys that no longer exist, are
    /// ignored.
    async fn note_api_keys_used(&self, used: &[(ClientId, UnixTime)]) -> Result<(), StoreError>;
}
