//! Encrypted signing keys.

use futures_util::future::join_all;

use super::{Backend, NOW};
use crate::{KeyState, SealedSigningKey};

fn key(id: &str, state: KeyState, created_at: i64) -> SealedSigningKey {
    SealedSigningKey {
        id: id.to_owned(),
        algorithm: "ES256".to_owned(),
        sealed_private_key: id.repeat(40).into_bytes(),
        state,
        created_at,
        state_since: created_at + 1,
    }
}

pub async fn a_set_is_replaced_only_if_it_is_as_expected(store: Backend) {
    assert!(store.signing_keys().await.unwrap().is_empty());
    let (a, b) = (key("a", KeyState::Active, NOW + 1), key("b", KeyState::Published, NOW));
    assert!(store.replace_signing_keys(&[], &[a.clone(), b.clone()]).await.unwrap());
    assert_eq!(store.signing_keys().await.unwrap(), [b.clone(), a.clone()], "oldest first");

    let retired = key("a", KeyState::Retired, NOW + 1);
    for stale in [
        vec![],
        vec![("a".to_owned(), KeyState::Active)],
        vec![("a".to_owned(), KeyState::Active), ("b".to_owned(), KeyState::Active)],
        vec![("a".to_owned(), KeyState::Active), ("c".to_owned(), KeyState::Published)],
    ] {
        assert!(
            !store.replace_signing_keys(&stale, std::slice::from_ref(&retired)).await.unwrap(),
            "{stale:?}"
        );
    }
    assert_eq!(store.signing_keys().await.unwrap(), [b, a]);
    // The order does not matter.
    let expected = [("a".to_owned(), KeyState::Active), ("b".to_owned(), KeyState::Published)];
    assert!(store.replace_signing_keys(&expected, std::slice::from_ref(&retired)).await.unwrap());
    assert_eq!(store.signing_keys().await.unwrap(), [retired]);
}

pub async fn one_of_many_replacements_wins(store: Backend) {
    let keys: Vec<_> = (0..20).map(|n| [key(&n.to_string(), KeyState::Active, NOW)]).collect();
    let outcomes = join_all(keys.iter().map(|keys| store.replace_signing_keys(&[], keys))).await;
    assert_eq!(outcomes.into_iter().filter(|outcome| *outcome.as_ref().unwrap()).count(), 1);
    assert_eq!(store.signing_keys().await.unwrap().len(), 1);
}
