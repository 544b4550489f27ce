//! Revocations that consist of an identifier.

use super::*;
use crate::FAMILY_RETENTION;

pub async fn identifiers_without_a_family_can_be_revoked(store: Backend) {
    store.revoke_id("one", NOW).await.unwrap();
    store.revoke_id("two", NOW + 5).await.unwrap();
    assert_eq!(store.families_revoked_since(NOW).await.unwrap(), ["one", "two"]);
    assert_eq!(store.families_revoked_since(NOW + 1).await.unwrap(), ["two"]);
    store.revoke_id("one", NOW + 9).await.unwrap();
    assert_eq!(store.families_revoked_since(NOW + 9).await.unwrap(), [""; 0], "the first revocation counts");
    // Together with the revocations of users' families.
    sign_in(&store, "ada").await;
    assert!(store.create_code(&code("a")).await.unwrap());
    store.redeem_code(&hash("code-a"), None, NOW).await.unwrap();
    assert!(store.revoke_family("family-a", super::super::RevokedBy::Server, NOW + 9).await.unwrap());
    assert_eq!(store.families_revoked_since(NOW + 5).await.unwrap(), ["family-a", "two"]);
}

pub async fn revocations_are_kept_as_long_as_tokens_can_live(store: Backend) {
    store.revoke_id("one", NOW).await.unwrap();
    assert_eq!(store.delete_expired_revocations(NOW + FAMILY_RETENTION).await.unwrap(), 0);
    assert_eq!(store.delete_expired_revocations(NOW + FAMILY_RETENTION + 1).await.unwrap(), 1);
    assert_eq!(store.families_revoked_since(0).await.unwrap(), [""; 0]);
}
