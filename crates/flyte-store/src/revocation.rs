//! Revocations that no user's authorization covers: families of machine identities, and single tokens.

use async_trait::async_trait;

use super::StoreError;
use flyte_model::clock::UnixTime;

/// Storage of revocations. [`super::GrantStore::families_revoked_since`] returns them together with those of families.
#[async_trait]
pub trait RevocationStore: Send + Sync + 'static {
    /// Revokes a family that has no record of its own, by its identifier, or a single access token, by its `jti`.
    /// Revoking twice is not an error.
    async fn revoke_id(&self, id: &str, now: UnixTime) -> Result<(), StoreError>;
    /// Removes revocations that no unexpired token can belong to; returns their number.
    async fn delete_expired_revocations(&self, now: UnixTime) -> Result<u64, StoreError>;
}
