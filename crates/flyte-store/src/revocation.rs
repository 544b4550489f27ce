//! Revocations of what no authorization of a person stands behind: the families of machine identities, and single tokens.

use async_trait::async_trait;

use super::StoreError;
use flyte_model::clock::UnixTime;

/// Storage of revocations. They are told by [`super::GrantStore::families_revoked_since`] with those of families.
#[async_trait]
pub trait RevocationStore: Send + Sync + 'static {
    /// Revokes a family that has no row of its own, by its identifier, or a single access token, by its `jti`. Is no error
    /// where it was revoked before.
    async fn revoke_id(&self, id: &str, now: UnixTime) -> Result<(), StoreError>;
    /// Forgets what no living token can belong to any more; returns how many.
    async fn delete_expired_revocations(&self, now: UnixTime) -> Result<u64, StoreError>;
}
