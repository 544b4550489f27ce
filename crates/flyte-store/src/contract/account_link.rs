//! One-time links for accounts.

use futures_util::future::join_all;

use super::{Backend, NOW, hash, session, sign_in, user};
use crate::{
    AccountLink, AccountLinkQuery, EmailProof, LinkPurpose, OutsideIdentity, RoleIn, StoreError, User,
};
use flyte_model::Role;

use LinkPurpose::{Email, Invitation, Password};

/// A link of an account that is valid for an hour.
fn link(name: &str, purpose: LinkPurpose) -> AccountLink {
    AccountLink {
        id: format!("link-{name}-{purpose:?}"),
        purpose,
        user_id: format!("id-{name}"),
        email: format!("{name}@example.com"),
        new_email: (purpose == Email).then(|| format!("new-{name}@example.com")),
        mailed: true,
        created_by: None,
        created_at: NOW,
        expires_at: NOW + 3600,
    }
}

async fn is_valid(store: &Backend, token: &str) -> bool {
    store.account_link_by_token(&hash(token), NOW).await.unwrap().is_some()
}

async fn with_ada(store: &Backend) {
    store.create_user(&User { password_hash: None, ..user("ada") }).await.unwrap();
}

pub async fn a_link_is_read_back_unchanged_and_used_once(store: Backend) {
    with_ada(&store).await;
    for purpose in [Password, Invitation] {
        let link = AccountLink { created_by: Some("root".to_owned()), ..link("ada", purpose) };
        assert!(store.create_account_link(&link, &hash("token")).await.unwrap());
        assert_eq!(store.account_link_by_token(&hash("token"), NOW).await.unwrap(), Some(link.clone()));
        assert_eq!(store.account_link_by_token(&hash("other"), NOW).await.unwrap(), None);
        let at_the_end = store.account_link_by_token(&hash("token"), link.expires_at).await.unwrap();
        assert_eq!(at_the_end, None);
        let late = store.set_password_by_link(&hash("token"), "$late", link.expires_at).await.unwrap();
        assert_eq!(late, None);
        assert_eq!(store.set_email_by_link(&hash("token"), "id-ada", NOW).await.unwrap(), None, "no address");
        let used = store.set_password_by_link(&hash("token"), "$new", NOW).await.unwrap().unwrap();
        assert_eq!((used.id.as_str(), used.password_hash.as_deref()), ("id-ada", Some("$new")));
        assert_eq!(store.set_password_by_link(&hash("token"), "$again", NOW).await.unwrap(), None);
        assert!(!is_valid(&store, "token").await);
    }
    let email = link("ada", Email);
    store.create_account_link(&email, &hash("email")).await.unwrap();
    assert_eq!(
        store.set_password_by_link(&hash("email"), "$no", NOW).await.unwrap(),
        None,
        "another purpose"
    );
    assert!(is_valid(&store, "email").await);
    assert_eq!(store.delete_expired_account_links(NOW + 3599).await.unwrap(), 0);
    assert_eq!(store.delete_expired_account_links(NOW + 3600).await.unwrap(), 1);
    let stored = store.user_by_id("id-ada").await.unwrap().unwrap();
    assert_eq!(stored.password_hash.as_deref(), Some("$new"));
}

pub async fn one_of_a_hundred_uses_of_a_link_wins(store: Backend) {
    with_ada(&store).await;
    store.create_account_link(&link("ada", Password), &hash("token")).await.unwrap();
    let uses = (0..100).map(|n| {
        let store = &store;
        async move { store.set_password_by_link(&hash("token"), &format!("${n}"), NOW).await.unwrap() }
    });
    let winners: Vec<_> = join_all(uses).await.into_iter().flatten().collect();
    assert_eq!(winners.len(), 1);
    assert_eq!(store.user_by_id("id-ada").await.unwrap().unwrap(), winners[0]);
}

pub async fn a_newer_link_replaces_the_older_one(store: Backend) {
    with_ada(&store).await;
    let older = link("ada", Password);
    store.create_account_link(&older, &hash("older")).await.unwrap();
    store.create_account_link(&link("ada", Email), &hash("email")).await.unwrap();
    let newer = AccountLink { id: "newer".to_owned(), ..older.clone() };
    assert!(store.create_account_link(&newer, &hash("newer")).await.unwrap());
    assert!(!is_valid(&store, "older").await);
    assert!(is_valid(&store, "newer").await && is_valid(&store, "email").await, "another purpose");
    // The mail that is sent has a token of its own.
    assert_eq!(store.renew_account_link("newer", &hash("mailed"), NOW).await.unwrap(), Some(newer.clone()));
    assert!(!is_valid(&store, "newer").await && is_valid(&store, "mailed").await);
    assert_eq!(store.renew_account_link(&older.id, &hash("x"), NOW).await.unwrap(), None);
    assert_eq!(store.renew_account_link("newer", &hash("late"), newer.expires_at).await.unwrap(), None);
}

pub async fn a_link_ends_with_what_it_was_made_for(store: Backend) {
    with_ada(&store).await;
    let begin = async || {
        for purpose in [Password, Invitation, Email] {
            store.create_account_link(&link("ada", purpose), &hash(&format!("{purpose:?}"))).await.unwrap();
        }
        assert!(is_valid(&store, "Password").await);
    };
    let all_ended = async || {
        for purpose in [Password, Invitation, Email] {
            assert!(!is_valid(&store, &format!("{purpose:?}")).await, "{purpose:?}");
        }
    };
    begin().await;
    store.set_password_hash("id-ada", "$other", NOW).await.unwrap();
    all_ended().await;
    begin().await;
    store.disable_user("id-ada", NOW).await.unwrap();
    all_ended().await;
    assert!(!store.create_account_link(&link("ada", Password), &hash("disabled")).await.unwrap());
    store.enable_user("id-ada").await.unwrap();
    all_ended().await;
    let elsewhere = AccountLink { email: "old@example.com".to_owned(), ..link("ada", Password) };
    assert!(!store.create_account_link(&elsewhere, &hash("x")).await.unwrap(), "another address");
    assert!(!store.create_account_link(&link("unknown", Password), &hash("x")).await.unwrap());
    begin().await;
    assert!(store.delete_account_link("link-ada-Password").await.unwrap().is_some());
    assert!(store.delete_account_link("link-ada-Password").await.unwrap().is_none());
    store.delete_user("id-ada", NOW).await.unwrap();
    all_ended().await;
}

pub async fn links_end_with_the_account_of_the_user_who_made_them(store: Backend) {
    with_ada(&store).await;
    for name in ["dan", "eve"] {
        store.create_user(&user(name)).await.unwrap();
    }
    let made_by =
        |name: &str, purpose| AccountLink { created_by: Some(format!("id-{name}")), ..link("ada", purpose) };
    store.create_account_link(&made_by("dan", Password), &hash("dan")).await.unwrap();
    store.create_account_link(&made_by("eve", Invitation), &hash("eve")).await.unwrap();
    store.disable_user("id-dan", NOW).await.unwrap();
    assert!(!is_valid(&store, "dan").await && is_valid(&store, "eve").await);
    store.enable_user("id-dan").await.unwrap();
    assert!(!is_valid(&store, "dan").await, "it does not come back");
    store.delete_user("id-eve", NOW).await.unwrap();
    assert!(!is_valid(&store, "eve").await);
}

pub async fn a_sign_in_ends_links_that_set_a_password(store: Backend) {
    store.create_user(&user("ada")).await.unwrap();
    for purpose in [Password, Invitation, Email] {
        store.create_account_link(&link("ada", purpose), &hash(&format!("{purpose:?}"))).await.unwrap();
    }
    let refused = store.create_session(&session("a", "ada", NOW + 9), Some("$wrong")).await.unwrap();
    assert!(!refused && is_valid(&store, "Password").await, "only a sign-in counts");
    assert!(store.create_session(&session("a", "ada", NOW + 9), Some("$hash")).await.unwrap());
    assert!(!is_valid(&store, "Password").await && !is_valid(&store, "Invitation").await);
    assert!(is_valid(&store, "Email").await);
}

pub async fn only_a_mailed_link_proves_the_address(store: Backend) {
    with_ada(&store).await;
    for mailed in [false, true] {
        let link = AccountLink { mailed, ..link("ada", Password) };
        store.create_account_link(&link, &hash("token")).await.unwrap();
        store.set_password_by_link(&hash("token"), "$new", NOW).await.unwrap().unwrap();
        assert_eq!(store.email_proof("id-ada").await.unwrap().is_some(), mailed);
    }
}

pub async fn an_invited_account_is_created_with_its_invitation_or_not_at_all(store: Backend) {
    let invited = User { password_hash: None, ..user("eve") };
    let roles = [RoleIn::everywhere(Role::Viewer)];
    let link = link("eve", Invitation);
    store.create_invited_user(&invited, &roles, &link, &hash("token")).await.unwrap();
    assert_eq!(store.user_by_id("id-eve").await.unwrap(), Some(invited.clone()));
    assert!(is_valid(&store, "token").await);
    let double = User { id: "other".to_owned(), ..invited };
    let taken = AccountLink { id: "other".to_owned(), user_id: "other".to_owned(), ..link.clone() };
    let error = store.create_invited_user(&double, &roles, &taken, &hash("other")).await.unwrap_err();
    assert!(matches!(error, StoreError::AlreadyExists { kind: "user", .. }), "{error}");
    let missing = RoleIn { role: "missing".to_owned(), ..roles[0].clone() };
    let mallory = User { password_hash: None, ..user("mallory") };
    let link = super::account_link::link("mallory", Invitation);
    let error = store.create_invited_user(&mallory, &[missing], &link, &hash("m")).await.unwrap_err();
    assert!(matches!(error, StoreError::Missing { .. }), "{error}");
    assert_eq!(store.user_by_id("id-mallory").await.unwrap(), None);
}

pub async fn an_invitation_connects_a_user_of_a_provider(store: Backend) {
    with_ada(&store).await;
    let identity = |subject: &str| OutsideIdentity {
        issuer: "https://id.example".to_owned(),
        subject: subject.to_owned(),
        provider: "corp".to_owned(),
        user_id: String::new(),
        email: None,
        linked_at: NOW,
        last_sign_in_at: Some(NOW),
    };
    let not_mailed = |purpose| AccountLink { mailed: false, ..link("ada", purpose) };
    store.create_account_link(&not_mailed(Password), &hash("reset")).await.unwrap();
    let link = async |token: &str, subject: &str| {
        store.link_identity_by_invitation(&hash(token), &identity(subject), NOW).await
    };
    assert_eq!(link("reset", "1").await.unwrap(), None, "another purpose");
    store.create_account_link(&not_mailed(Invitation), &hash("token")).await.unwrap();
    assert_eq!(link("token", "1").await.unwrap().unwrap().id, "id-ada");
    assert_eq!(store.email_proof("id-ada").await.unwrap(), None, "a provider says so, no mail");
    let connected = store.outside_identity("https://id.example", "1").await.unwrap().unwrap();
    assert_eq!(connected.user_id, "id-ada");
    assert_eq!(link("token", "2").await.unwrap(), None, "used");
    store.create_account_link(&not_mailed(Invitation), &hash("again")).await.unwrap();
    let taken = link("again", "1").await.unwrap_err();
    assert!(matches!(taken, StoreError::AlreadyExists { kind: "outside identity", .. }), "{taken}");
    assert!(is_valid(&store, "again").await, "nothing has happened");
}

pub async fn a_new_address_is_proved_and_ends_other_links(store: Backend) {
    with_ada(&store).await;
    store.create_user(&user("bob")).await.unwrap();
    for purpose in [Password, Email] {
        store.create_account_link(&link("ada", purpose), &hash(&format!("{purpose:?}"))).await.unwrap();
    }
    assert_eq!(store.set_email_by_link(&hash("Email"), "id-bob", NOW).await.unwrap(), None, "not theirs");
    let ada = store.set_email_by_link(&hash("Email"), "id-ada", NOW).await.unwrap().unwrap();
    assert_eq!(ada.email, "new-ada@example.com");
    assert!(store.user_by_email("NEW-ada@example.com").await.unwrap().is_some());
    assert!(store.user_by_email("ada@example.com").await.unwrap().is_none());
    let proof = EmailProof { issuer: None, proved_at: NOW };
    assert_eq!(store.email_proof("id-ada").await.unwrap(), Some(proof));
    assert!(!is_valid(&store, "Password").await && !is_valid(&store, "Email").await);

    let to_bob = AccountLink {
        email: "new-ada@example.com".to_owned(),
        new_email: Some("BOB@example.com".to_owned()),
        ..link("ada", Email)
    };
    store.create_account_link(&to_bob, &hash("taken")).await.unwrap();
    let taken = store.set_email_by_link(&hash("taken"), "id-ada", NOW).await.unwrap_err();
    assert!(matches!(taken, StoreError::AlreadyExists { kind: "user", .. }), "{taken}");
}

pub async fn links_are_listed_in_pages(store: Backend) {
    for name in ["cid", "ada", "bob"] {
        store.create_user(&user(name)).await.unwrap();
        store.create_account_link(&link(name, Password), &hash(name)).await.unwrap();
    }
    let invitation = AccountLink { expires_at: NOW + 9, ..link("bob", Invitation) };
    store.create_account_link(&invitation, &hash("bob-2")).await.unwrap();
    let list = async |limit: u32, now: i64| {
        let (mut names, mut page_token) = (Vec::new(), String::new());
        loop {
            let query = AccountLinkQuery { limit, page_token };
            let (links, next) = store.list_account_links(&query, now).await.unwrap();
            names.extend(links.into_iter().map(|link| link.id));
            if next.is_empty() {
                break names;
            }
            page_token = next;
        }
    };
    let all = ["link-ada-Password", "link-bob-Password", "link-bob-Invitation", "link-cid-Password"];
    assert_eq!(list(1, NOW).await, all);
    assert_eq!(list(3, NOW).await, all);
    assert_eq!(list(9, NOW + 9).await.len(), 3, "without those that have expired");
}

pub async fn a_password_is_changed_only_from_the_current_one(store: Backend) {
    sign_in(&store, "ada").await;
    store.create_account_link(&link("ada", Password), &hash("token")).await.unwrap();
    for (id, from) in [("id-ada", "$wrong"), ("id-bob", "$hash")] {
        assert!(!store.change_password_hash(id, from, "$new", true, NOW).await.unwrap(), "{id} {from}");
    }
    assert!(store.session_by_id("session-ada", NOW).await.unwrap().is_some(), "nothing has happened");
    assert!(store.change_password_hash("id-ada", "$hash", "$next", false, NOW).await.unwrap());
    assert!(store.session_by_id("session-ada", NOW).await.unwrap().is_some(), "sign-ins stay");
    assert!(!is_valid(&store, "token").await);
    store.create_account_link(&link("ada", Password), &hash("token")).await.unwrap();
    assert!(store.change_password_hash("id-ada", "$next", "$new", true, NOW).await.unwrap());
    assert!(store.session_by_id("session-ada", NOW).await.unwrap().is_none());
    assert!(!is_valid(&store, "token").await);
    store.disable_user("id-ada", NOW).await.unwrap();
    assert!(!store.change_password_hash("id-ada", "$new", "$newer", true, NOW).await.unwrap());
}
