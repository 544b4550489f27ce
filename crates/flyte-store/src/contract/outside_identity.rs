//! Users of outside providers, and proofs of e-mail addresses.

use super::{Backend, NOW, user};
use crate::{EmailProof, LastWay, OutsideIdentity, RoleIn, StoreError, User};
use flyte_model::Role;

pub(super) fn identity(subject: &str, user: &str) -> OutsideIdentity {
    OutsideIdentity {
        issuer: "https://id.example".to_owned(),
        subject: subject.to_owned(),
        provider: "corp".to_owned(),
        user_id: format!("id-{user}"),
        email: Some(format!("{user}@id.example")),
        linked_at: NOW,
        last_sign_in_at: None,
    }
}

pub async fn issuer_and_subject_identify(store: Backend) {
    for name in ["ada", "bob"] {
        store.create_user(&user(name)).await.unwrap();
    }
    let first = identity("1", "ada");
    assert!(store.link_outside_identity(&first).await.unwrap());
    for taken in [first.clone(), identity("1", "bob")] {
        let error = store.link_outside_identity(&taken).await.unwrap_err();
        assert!(matches!(error, StoreError::AlreadyExists { kind: "outside identity", .. }), "{error}");
    }
    let elsewhere = OutsideIdentity { issuer: "https://id.example/".to_owned(), ..identity("1", "bob") };
    assert!(store.link_outside_identity(&elsewhere).await.unwrap(), "another issuer");
    let found = async |issuer: &str, subject: &str| store.outside_identity(issuer, subject).await.unwrap();
    assert_eq!(found("https://id.example", "1").await, Some(first.clone()));
    assert_eq!(found("https://id.example/", "1").await, Some(elsewhere));
    for (issuer, subject) in
        [("https://ID.example", "1"), ("https://id.example", "2"), ("https://id.example", "1 ")]
    {
        assert_eq!(found(issuer, subject).await, None, "{issuer} {subject}");
    }
    let second = OutsideIdentity { linked_at: NOW + 1, ..identity("0", "ada") };
    assert!(store.link_outside_identity(&second).await.unwrap());
    assert_eq!(store.outside_identities_of("id-ada").await.unwrap(), [first.clone(), second]);

    let now = OutsideIdentity { provider: "new".to_owned(), email: None, ..first.clone() };
    store.note_outside_sign_in(&now, NOW + 5).await.unwrap();
    let noted = OutsideIdentity { last_sign_in_at: Some(NOW + 5), ..now };
    assert_eq!(found("https://id.example", "1").await, Some(noted));

    let unlink = async |user: &str| {
        store
            .unlink_outside_identity(user, "https://id.example", "1", LastWay::MayGo, NOW)
            .await
            .unwrap()
            .is_some()
    };
    assert!(!unlink("id-bob").await);
    assert!(unlink("id-ada").await);
    assert!(!unlink("id-ada").await);
    assert!(store.link_outside_identity(&identity("1", "bob")).await.unwrap());
}

pub async fn only_enabled_accounts_are_connected(store: Backend) {
    store.create_user(&User { disabled_at: Some(NOW), ..user("ada") }).await.unwrap();
    assert!(!store.link_outside_identity(&identity("1", "ada")).await.unwrap());
    assert!(!store.link_outside_identity(&identity("1", "unknown")).await.unwrap());
    assert_eq!(store.outside_identity("https://id.example", "1").await.unwrap(), None);
}

pub async fn an_account_of_an_identity_is_created_with_it_or_not_at_all(store: Backend) {
    store.create_user(&user("bob")).await.unwrap();
    let ada = User { password_hash: None, ..user("ada") };
    store
        .create_user_of_identity(&ada, &[RoleIn::everywhere(Role::Viewer)], &identity("1", "ada"), true)
        .await
        .unwrap();
    assert_eq!(store.user_by_id("id-ada").await.unwrap(), Some(ada));
    assert_eq!(store.outside_identity("https://id.example", "1").await.unwrap().unwrap().user_id, "id-ada");
    let vouched = EmailProof { issuer: Some("https://id.example".to_owned()), proved_at: NOW };
    assert_eq!(store.email_proof("id-ada").await.unwrap(), Some(vouched));
    store.create_user_of_identity(&user("zoe"), &[], &identity("9", "zoe"), false).await.unwrap();
    assert_eq!(store.email_proof("id-zoe").await.unwrap(), None, "the issuer does not vouch for addresses");
    // The address is taken, in another case; then the identity is.
    let double = User { email: "BOB@example.com".to_owned(), ..user("eve") };
    let error = store.create_user_of_identity(&double, &[], &identity("2", "eve"), true).await.unwrap_err();
    assert!(matches!(error, StoreError::AlreadyExists { kind: "user", .. }), "{error}");
    assert_eq!(store.outside_identity("https://id.example", "2").await.unwrap(), None);
    let error =
        store.create_user_of_identity(&user("eve"), &[], &identity("1", "eve"), true).await.unwrap_err();
    assert!(matches!(error, StoreError::AlreadyExists { kind: "outside identity", .. }), "{error}");
    assert_eq!(store.user_by_id("id-eve").await.unwrap(), None);
}

pub async fn a_proof_is_for_one_address(store: Backend) {
    store.create_user(&user("ada")).await.unwrap();
    let own = EmailProof { issuer: None, proved_at: NOW };
    let word = |issuer: &str| EmailProof { issuer: Some(issuer.to_owned()), proved_at: NOW + 1 };
    let proof = async || store.email_proof("id-ada").await.unwrap();
    assert_eq!(proof().await, None);
    assert!(!store.prove_email("id-ada", "other@example.com", &own).await.unwrap());
    assert!(!store.prove_email("id-unknown", "ada@example.com", &own).await.unwrap());
    assert_eq!(proof().await, None);
    for word in [word("https://a.example"), word("https://b.example")] {
        assert!(store.prove_email("id-ada", " Ada@Example.com", &word).await.unwrap());
        assert_eq!(proof().await, Some(word));
    }
    for given in [own.clone(), word("https://a.example")] {
        assert!(store.prove_email("id-ada", "ada@example.com", &given).await.unwrap());
        assert_eq!(
            proof().await,
            Some(own.clone()),
            "a provider's word does not replace the user's own proof"
        );
    }
}

pub async fn only_the_first_identity_is_connected_without_its_user(store: Backend) {
    store.create_user(&user("ada")).await.unwrap();
    let elsewhere = OutsideIdentity { issuer: "https://b.example".to_owned(), ..identity("1", "ada") };
    assert!(store.link_first_outside_identity(&identity("1", "ada")).await.unwrap());
    for second in [elsewhere.clone(), identity("2", "ada")] {
        assert!(!store.link_first_outside_identity(&second).await.unwrap());
    }
    assert!(store.link_outside_identity(&elsewhere).await.unwrap(), "the user connects it");
}

pub async fn the_last_way_to_sign_in_stays(store: Backend) {
    store.create_user(&User { password_hash: None, ..user("ada") }).await.unwrap();
    store.create_user(&user("bob")).await.unwrap();
    for (subject, name) in [("1", "ada"), ("2", "ada"), ("3", "bob")] {
        assert!(store.link_outside_identity(&identity(subject, name)).await.unwrap());
    }
    let remove = async |name: &str, subject: &str, passwords| {
        let (id, last) = (format!("id-{name}"), LastWay::MustStay { passwords });
        store.unlink_outside_identity(&id, "https://id.example", subject, last, NOW).await
    };
    assert!(remove("ada", "1", true).await.unwrap().is_some());
    for (name, subject, passwords) in [("ada", "2", true), ("bob", "3", false)] {
        let error = remove(name, subject, passwords).await.unwrap_err();
        assert!(matches!(error, StoreError::InUse { .. }), "{name}: {error}");
    }
    assert!(remove("bob", "3", true).await.unwrap().is_some(), "a password is left");
    assert!(remove("ada", "3", true).await.unwrap().is_none(), "not connected");
    // What was removed is not connected by an address again.
    assert!(!store.link_first_outside_identity(&identity("4", "bob")).await.unwrap());
    let elsewhere = OutsideIdentity { issuer: "https://b.example".to_owned(), ..identity("4", "bob") };
    assert!(store.link_first_outside_identity(&elsewhere).await.unwrap(), "another issuer");
    assert!(store.link_outside_identity(&identity("4", "bob")).await.unwrap(), "by the user");
}
