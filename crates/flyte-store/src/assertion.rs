//! Signed assertions that were presented, so that none is taken twice (RFC 7523 section 3, `jti`).

use async_trait::async_trait;

use super::StoreError;
use flyte_model::clock::UnixTime;
use flyte_secrets::SecretHash;

/// Storage of presented assertions.
#[async_trait]
pub trait AssertionStore: Send + Sync + 'static {
    /// Notes that an assertion was presented; `false` where it had been before. `hash` is SHA-256 of who made it and its
    /// `jti`; it is remembered until it expires by itself.
    async fn spend_assertion(&self, hash: &SecretHash, expires_at: UnixTime) -> Result<bool, StoreError>;
    /// Forgets assertions that have expired; returns how many.
    async fn delete_expired_assertions(&self, now: UnixTime) -> Result<u64, StoreError>;
}
