//! Signed assertions that were presented, so that each is accepted only once (RFC 7523 section 3, `jti`).

use async_trait::async_trait;

use super::StoreError;
use flyte_model::clock::UnixTime;
use flyte_secrets::SecretHash;

/// Storage of presented assertions.
#[async_trait]
pub trait AssertionStore: Send + Sync + 'static {
    /// Records that an assertion was presented. Returns `false` if it was presented before. `hash` is SHA-256 of the
    /// assertion's issuer and `jti`. The record is kept until the assertion expires.
    async fn consume_jti(&self, hash: &SecretHash, expires_at: UnixTime) -> Result<bool, StoreError>;
    /// Deletes the records of assertions that have expired; returns their number.
    async fn delete_expired_assertions(&self, now: UnixTime) -> Result<u64, StoreError>;
}
