//! Trust rules, and the revocation of their tokens.

use std::collections::BTreeMap;

use super::{Backend, NOW};
use crate::{StoreError, TrustRule};
use flyte_model::{Limit, Rights, Role, Scope, Scopes};

pub(super) fn rule(name: &str) -> TrustRule {
    TrustRule {
        name: name.to_owned(),
        issuer: "https://ci.example".to_owned(),
        audience: "https://flyte.example".to_owned(),
        claims: BTreeMap::from([("sub".to_owned(), "repo:acme/*:**".to_owned())]),
        jwks_uri: Some("https://ci.example/keys".to_owned()),
        rights: Rights {
            role: Role::Viewer,
            scopes: [Scope::ALL].into(),
            limit: Limit { project: Some("p".to_owned()), domain: Some("d".to_owned()) },
        },
        token_lifetime: Some(600),
        created_by: "id-admin".to_owned(),
        created_at: NOW,
        last_used_at: None,
        family_id: format!("family-{name}"),
    }
}

pub async fn a_rule_is_read_back_unchanged(store: Backend) {
    let bare = TrustRule {
        jwks_uri: None,
        rights: Rights { role: Role::Admin, scopes: Scopes::new(), limit: Limit::default() },
        token_lifetime: None,
        ..rule("bare")
    };
    for rule in [rule("full"), bare] {
        store.create_trust_rule(&rule).await.unwrap();
        assert_eq!(store.trust_rule_by_name(&rule.name).await.unwrap().as_ref(), Some(&rule));
        assert_eq!(store.trust_rule_by_family(&rule.family_id).await.unwrap(), Some(rule));
    }
    let again = TrustRule { family_id: "other".to_owned(), ..rule("full") };
    let error = store.create_trust_rule(&again).await.unwrap_err();
    assert!(matches!(error, StoreError::AlreadyExists { kind: "trust rule", .. }), "{error}");
    assert_eq!(store.trust_rule_by_name("none").await.unwrap(), None);
    assert_eq!(store.trust_rule_by_family("full").await.unwrap(), None);
}

pub async fn rules_are_found_by_issuer_in_order(store: Backend) {
    for name in ["c", "a", "b"] {
        store.create_trust_rule(&rule(name)).await.unwrap();
    }
    let elsewhere = TrustRule { issuer: "https://ci.example/".to_owned(), ..rule("d") };
    store.create_trust_rule(&elsewhere).await.unwrap();
    let names = |rules: Vec<TrustRule>| rules.into_iter().map(|rule| rule.name).collect::<String>();
    assert_eq!(names(store.list_trust_rules().await.unwrap()), "abcd");
    assert_eq!(names(store.trust_rules_of_issuer("https://ci.example").await.unwrap()), "abc");
    assert_eq!(names(store.trust_rules_of_issuer("https://ci.example/").await.unwrap()), "d");
    assert_eq!(names(store.trust_rules_of_issuer("HTTPS://ci.example").await.unwrap()), "");
}

pub async fn deleting_a_rule_revokes_its_tokens(store: Backend) {
    store.create_trust_rule(&rule("a")).await.unwrap();
    assert_eq!(store.delete_trust_rule("b", NOW).await.unwrap(), None);
    assert_eq!(store.delete_trust_rule("a", NOW + 1).await.unwrap().as_deref(), Some("family-a"));
    assert_eq!(store.delete_trust_rule("a", NOW + 2).await.unwrap(), None);
    assert_eq!(store.families_revoked_since(NOW).await.unwrap(), ["family-a"]);
    assert_eq!(store.list_trust_rules().await.unwrap(), []);
    // The name is free again. Tokens of the new rule belong to another family.
    store.create_trust_rule(&TrustRule { family_id: "family-2".to_owned(), ..rule("a") }).await.unwrap();
}

pub async fn the_last_use_only_moves_forward(store: Backend) {
    store.create_trust_rule(&rule("a")).await.unwrap();
    for (at, expected) in [(NOW, NOW), (NOW + 60, NOW + 60), (NOW + 1, NOW + 60)] {
        let used = [("family-a".to_owned(), at), ("gone".to_owned(), at)];
        store.note_trust_rules_used(&used).await.unwrap();
        assert_eq!(store.trust_rule_by_name("a").await.unwrap().unwrap().last_used_at, Some(expected));
    }
}
