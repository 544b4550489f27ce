//! API keys, the rotation of their secrets, and their pages.

use super::*;
use crate::{ApiKey, ApiKeyQuery, Retired, RetiredSecret, RotatedKey, Rotation, SecretRotation, StoreError};
use flyte_model::{Limit, Rights, Role, Scope, Scopes};

fn key(n: i64) -> ApiKey {
    ApiKey {
        client_id: client_id(&format!("key-{n}")),
        name: format!("Key {n}"),
        secret_hash: Some(hash(&format!("secret-{n}"))),
        previous_secret: None,
        jwks: None,
        rights: Rights {
            role: Role::Viewer,
            scopes: [Scope::READ].into(),
            limit: Limit { project: Some("p".to_owned()), domain: Some("d".to_owned()) },
        },
        created_by: format!("id-{}", if n % 2 == 0 { "ada" } else { "bob" }),
        created_at: NOW + n / 3,
        expires_at: Some(NOW + 1000),
        last_used_at: None,
        family_id: format!("family-{n}"),
    }
}

pub async fn a_key_is_read_back_unchanged(store: Backend) {
    let signing = ApiKey {
        secret_hash: None,
        jwks: Some("{\"keys\":[]}".to_owned()),
        expires_at: None,
        rights: Rights { role: Role::Admin, scopes: Scopes::new(), limit: Limit::default() },
        ..key(2)
    };
    for key in [key(1), signing] {
        store.create_api_key(&key).await.unwrap();
        assert_eq!(store.api_key_by_id(&key.client_id).await.unwrap(), Some(key.clone()));
        for text in [key.client_id.as_str(), &key.name] {
            assert_eq!(store.api_keys_by_id_or_name(text).await.unwrap(), std::slice::from_ref(&key));
        }
    }
    assert_eq!(store.api_key_by_id(&client_id("Key 1")).await.unwrap(), None, "a name is not an identifier");
    assert_eq!(store.api_keys_by_id_or_name("key-3").await.unwrap(), []);
    store.create_api_key(&ApiKey { name: "key-1".to_owned(), ..key(3) }).await.unwrap();
    assert_eq!(store.api_keys_by_id_or_name("key-1").await.unwrap().len(), 2);
}

pub async fn names_and_identifiers_are_unique(store: Backend) {
    store.put_client(&client("flyte")).await.unwrap();
    store.create_user(&user("ada")).await.unwrap();
    for n in [1, 2] {
        store.create_api_key(&key(n)).await.unwrap();
    }
    for taken in [
        ApiKey { name: "Key 1".to_owned(), ..key(3) },
        ApiKey { client_id: client_id("key-1"), ..key(3) },
        ApiKey { client_id: client_id("flyte"), ..key(3) },
        // Its subject would be that of the user.
        ApiKey { client_id: client_id("id-ada"), ..key(3) },
    ] {
        let error = store.create_api_key(&taken).await.unwrap_err();
        assert!(matches!(error, StoreError::AlreadyExists { .. }), "{error}");
    }
    for error in [store.create_client(&client("key-1")).await, store.put_client(&client("key-1")).await] {
        let error = error.unwrap_err();
        assert!(matches!(error, StoreError::AlreadyExists { kind: "API key", .. }), "{error}");
    }
    let error = store.rename_api_key(&client_id("key-2"), "Key 1").await.unwrap_err();
    assert!(matches!(error, StoreError::AlreadyExists { kind: "API key", .. }), "{error}");
    assert!(store.rename_api_key(&client_id("key-2"), "other").await.unwrap());
    assert!(!store.rename_api_key(&client_id("key-3"), "other").await.unwrap());
    assert_eq!(store.api_keys_by_id_or_name("other").await.unwrap()[0].client_id, "key-2");
}

pub async fn pages_list_every_key_once_newest_first(store: Backend) {
    for n in 0..10 {
        store.create_api_key(&key(n)).await.unwrap();
    }
    for (created_by, expected) in [
        (None, "key-9 key-8 key-7 key-6 key-5 key-4 key-3 key-2 key-1 key-0"),
        (Some("id-ada"), "key-8 key-6 key-4 key-2 key-0"),
        (Some("id-eve"), ""),
    ] {
        for limit in [1, 2, 3, 100] {
            let mut query =
                ApiKeyQuery { created_by: created_by.map(str::to_owned), limit, ..ApiKeyQuery::default() };
            let mut found = Vec::new();
            loop {
                let (page, token) = store.list_api_keys(&query).await.unwrap();
                assert!(page.len() <= limit as usize);
                found.extend(page.into_iter().map(|key| String::from(key.client_id)));
                if token.is_empty() {
                    break;
                }
                query.page_token = token;
            }
            assert_eq!(found.join(" "), expected);
        }
    }
    let mut query = ApiKeyQuery { limit: 1, ..ApiKeyQuery::default() };
    query.page_token = store.list_api_keys(&query).await.unwrap().1;
    query.created_by = Some("id-ada".to_owned());
    for token in [&query.page_token.clone(), "x"] {
        query.page_token = token.to_owned();
        let error = store.list_api_keys(&query).await.unwrap_err();
        assert!(matches!(error, StoreError::InvalidPageToken), "{error}");
    }
}

fn rotation(secret: &str, previous_until: i64) -> SecretRotation {
    SecretRotation {
        secret_hash: hash(secret),
        previous_until,
        family_id: format!("family-{secret}"),
        expires_at: Some(NOW + 1000),
    }
}

async fn rotate(store: &Backend, secret: &str, previous_until: i64, now: i64) -> RotatedKey {
    match store.rotate_api_key(&client_id("key-1"), &rotation(secret, previous_until), now).await.unwrap() {
        Rotation::Rotated(rotated) => rotated,
        other => panic!("{other:?}"),
    }
}

pub async fn the_previous_secret_stays_valid_during_the_overlap(store: Backend) {
    store.create_api_key(&key(1)).await.unwrap();
    for (secret, before, now) in [("second", "secret-1", NOW), ("third", "second", NOW + 60)] {
        let rotated = rotate(&store, secret, now + 60, now).await;
        let previous = rotated.key.previous_secret.clone().unwrap();
        assert_eq!((rotated.key.secret_hash, rotated.revoked_family), (Some(hash(secret)), None));
        assert_eq!((previous.hash, previous.expires_at), (hash(before), now + 60));
        assert_eq!(rotated.key.family_id, "family-1");
        assert_eq!(store.api_key_by_id(&client_id("key-1")).await.unwrap(), Some(rotated.key));
    }
    let unknown = store.rotate_api_key(&client_id("key-2"), &rotation("x", NOW), NOW).await.unwrap();
    assert_eq!(unknown, Rotation::Unknown);
    assert_eq!(store.families_revoked_since(0).await.unwrap(), [""; 0]);
}

pub async fn a_second_overlap_does_not_shorten_the_first(store: Backend) {
    store.create_api_key(&key(1)).await.unwrap();
    let before = rotate(&store, "second", NOW + 60, NOW).await.key;
    for until in [NOW + 60, NOW + 1000] {
        let refused =
            store.rotate_api_key(&client_id("key-1"), &rotation("third", until), NOW + 59).await.unwrap();
        assert_eq!(refused, Rotation::Overlapping { until: NOW + 60 });
        assert_eq!(store.api_key_by_id(&client_id("key-1")).await.unwrap(), Some(before.clone()));
    }
    rotate(&store, "third", NOW + 120, NOW + 60).await;
}

pub async fn a_rotation_without_overlap_revokes_tokens(store: Backend) {
    store.create_api_key(&key(1)).await.unwrap();
    rotate(&store, "second", NOW + 60, NOW).await;
    let rotated = rotate(&store, "third", NOW, NOW).await;
    assert_eq!(
        (rotated.key.previous_secret.as_ref(), rotated.revoked_family.as_deref()),
        (None, Some("family-1"))
    );
    assert_eq!(rotated.key.family_id, "family-third");
    assert_eq!(store.api_key_by_id(&client_id("key-1")).await.unwrap(), Some(rotated.key));
    assert_eq!(store.families_revoked_since(NOW).await.unwrap(), ["family-1"]);
}

pub async fn rotated_secrets_are_recorded(store: Backend) {
    store.create_api_key(&key(1)).await.unwrap();
    rotate(&store, "second", NOW + 60, NOW).await;
    rotate(&store, "third", NOW + 120, NOW + 60).await;
    rotate(&store, "fourth", NOW + 70, NOW + 70).await;
    let retired = async |secret: &str| store.retired_secret(&hash(secret)).await.unwrap();
    let of_key_1 = |why| Some(RetiredSecret { client_id: client_id("key-1"), why });
    for secret in ["secret-1", "second", "third"] {
        assert_eq!(retired(secret).await, of_key_1(Retired::Rotated), "{secret}");
    }
    assert_eq!(retired("fourth").await, None, "it is still valid");
    store.delete_api_key(&client_id("key-1"), NOW + 80).await.unwrap();
    assert_eq!(retired("fourth").await, of_key_1(Retired::Deleted));
    assert_eq!(retired("third").await, of_key_1(Retired::Rotated));
}

pub async fn deleting_a_key_revokes_its_family(store: Backend) {
    for n in [1, 2] {
        store.create_api_key(&key(n)).await.unwrap();
    }
    assert_eq!(store.delete_api_key(&client_id("key-1"), NOW).await.unwrap()[0].family_id, "family-1");
    assert_eq!(store.delete_api_key(&client_id("key-1"), NOW).await.unwrap(), []);
    let deleted = RetiredSecret { client_id: client_id("key-1"), why: Retired::Deleted };
    for (secret, expected) in [("secret-1", Some(deleted)), ("secret-2", None)] {
        assert_eq!(store.retired_secret(&hash(secret)).await.unwrap(), expected);
    }
    assert_eq!(store.api_key_by_id(&client_id("key-1")).await.unwrap(), None);
    assert!(store.api_key_by_id(&client_id("key-2")).await.unwrap().is_some());
    assert_eq!(store.families_revoked_since(NOW).await.unwrap(), ["family-1"]);
    store.create_api_key(&key(1)).await.unwrap();
    store.delete_api_key(&client_id("key-2"), NOW + 365 * 86_400 + 1).await.unwrap();
    assert_eq!(store.retired_secret(&hash("secret-1")).await.unwrap(), None, "not for ever");
}

/// Creates keys 1, 2 and 3, each created by the key before, the first one by Ada, and key 9, created by Bob.
pub(super) async fn chain(store: &Backend) {
    for (n, created_by) in [(1, "id-ada"), (2, "key-1"), (3, "key-2"), (9, "id-bob")] {
        store.create_api_key(&ApiKey { created_by: created_by.to_owned(), ..key(n) }).await.unwrap();
    }
}

pub(super) fn ids(keys: &[ApiKey]) -> Vec<&str> {
    keys.iter().map(|key| key.client_id.as_str()).collect()
}

pub async fn deleting_a_key_deletes_the_keys_that_it_created(store: Backend) {
    chain(&store).await;
    assert_eq!(ids(&store.api_keys_of("id-ada").await.unwrap()), ["key-1", "key-2", "key-3"]);
    assert_eq!(ids(&store.delete_api_key(&client_id("key-2"), NOW).await.unwrap()), ["key-2", "key-3"]);
    assert_eq!(store.families_revoked_since(NOW).await.unwrap(), ["family-2", "family-3"]);
    let retired = store.retired_secret(&hash("secret-3")).await.unwrap().unwrap();
    assert_eq!(retired, RetiredSecret { client_id: client_id("key-3"), why: Retired::Deleted });
    assert_eq!(ids(&store.api_keys_of("id-ada").await.unwrap()), ["key-1"]);
    // A cycle of two keys that created each other must not make it loop forever.
    for (n, created_by) in [(4, "key-5"), (5, "key-4")] {
        store.create_api_key(&ApiKey { created_by: created_by.to_owned(), ..key(n) }).await.unwrap();
    }
    assert_eq!(ids(&store.delete_api_key(&client_id("key-4"), NOW).await.unwrap()), ["key-4", "key-5"]);
    assert_eq!(ids(&store.delete_api_keys_of("id-bob", NOW).await.unwrap()), ["key-9"]);
    assert_eq!(store.delete_api_keys_of("id-bob", NOW).await.unwrap(), []);
}

pub async fn disabling_an_account_deletes_its_keys(store: Backend) {
    store.create_user(&user("ada")).await.unwrap();
    chain(&store).await;
    let ended = store.disable_user("id-ada", NOW + 1).await.unwrap().unwrap();
    assert_eq!(ids(&ended), ["key-1", "key-2", "key-3"]);
    assert_eq!(store.families_revoked_since(NOW).await.unwrap(), ["family-1", "family-2", "family-3"]);
    for id in ["key-1", "key-2", "key-3"] {
        assert_eq!(store.api_key_by_id(&client_id(id)).await.unwrap(), None, "{id}");
    }
    assert!(store.api_key_by_id(&client_id("key-9")).await.unwrap().is_some(), "the key of another user");
    assert!(store.enable_user("id-ada").await.unwrap());
    assert_eq!(store.api_keys_of("id-ada").await.unwrap(), [], "nothing comes back");
    assert_eq!(store.disable_user("id-ada", NOW + 2).await.unwrap(), Some(vec![]));
}

pub async fn a_rotation_can_change_the_expiry(store: Backend) {
    store.create_api_key(&key(1)).await.unwrap();
    for (secret, end) in [("second", Some(NOW + 5000)), ("third", None), ("fourth", Some(NOW + 1))] {
        let rotation = SecretRotation { expires_at: end, ..rotation(secret, NOW) };
        store.rotate_api_key(&client_id("key-1"), &rotation, NOW).await.unwrap();
        assert_eq!(store.api_key_by_id(&client_id("key-1")).await.unwrap().unwrap().expires_at, end);
    }
}

pub async fn only_the_latest_use_is_kept(store: Backend) {
    store.create_api_key(&key(1)).await.unwrap();
    let used = |at| [(client_id("key-1"), at), (client_id("gone"), at)];
    for (at, expected) in [(NOW + 5, NOW + 5), (NOW, NOW + 5), (NOW + 9, NOW + 9)] {
        store.note_api_keys_used(&used(at)).await.unwrap();
        assert_eq!(
            store.api_key_by_id(&client_id("key-1")).await.unwrap().unwrap().last_used_at,
            Some(expected)
        );
    }
}

pub async fn an_assertion_is_accepted_once(store: Backend) {
    assert!(store.consume_jti(&hash("one"), NOW + 60).await.unwrap());
    assert!(store.consume_jti(&hash("two"), NOW + 90).await.unwrap());
    assert!(!store.consume_jti(&hash("one"), NOW + 60).await.unwrap());
    assert_eq!(store.delete_expired_assertions(NOW + 59).await.unwrap(), 0);
    assert_eq!(store.delete_expired_assertions(NOW + 60).await.unwrap(), 1);
    assert!(!store.consume_jti(&hash("two"), NOW + 90).await.unwrap());
}
