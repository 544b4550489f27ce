//! Users, browser sessions, clients and consents.

use super::{
    Backend, NOW,
    api_key::{chain, ids},
    client, client_id, code, hash, session, sign_in, token,
    trust::rule,
    user,
};
use crate::{
    AuthorizationCode, CodeRedemption, Consent, Group, Policy, RoleIn, StoreError, TrustRule, User, UserQuery,
};
use flyte_model::{Limit, Scope};
use flyte_policy::{Binding, Subject};

pub async fn addresses_are_compared_without_regard_to_case(store: Backend) {
    assert!(!store.any_user().await.unwrap());
    let mut ada = user("ada");
    ada.email = "Ada.Ünal@Example.COM".to_owned();
    store.create_user(&ada).await.unwrap();
    assert!(store.any_user().await.unwrap());
    for spelling in ["ada.ünal@example.com", "ADA.ÜNAL@EXAMPLE.COM", "Ada.Ünal@Example.COM"] {
        assert_eq!(store.user_by_email(spelling).await.unwrap(), Some(ada.clone()), "{spelling}");
        let double = User { id: "id-other".to_owned(), email: spelling.to_owned(), ..user("other") };
        let error = store.create_user(&double).await.unwrap_err();
        assert!(matches!(error, StoreError::AlreadyExists { kind: "user", .. }), "{error}");
    }
    assert_eq!(store.user_by_email("ada.unal@example.com").await.unwrap(), None);
    let double = User { email: "new@example.com".to_owned(), ..ada };
    assert!(matches!(store.create_user(&double).await, Err(StoreError::AlreadyExists { .. })));
}

pub async fn a_user_is_read_back_unchanged(store: Backend) {
    for given in [
        user("admin"),
        User {
            password_hash: None,
            disabled_at: Some(NOW + 9),
            name: "Ada \"O'Nil\" \u{1f980}".into(),
            ..user("ada")
        },
    ] {
        store.create_user(&given).await.unwrap();
        assert_eq!(store.user_by_id(&given.id).await.unwrap(), Some(given));
    }
    assert_eq!(store.user_by_id("unknown").await.unwrap(), None);
}

pub async fn sessions_end_at_their_expiry(store: Backend) {
    store.create_user(&user("ada")).await.unwrap();
    let (short, long) = (session("short", "ada", NOW + 10), session("long", "ada", NOW + 20));
    assert!(store.create_session(&short, Some("$hash")).await.unwrap());
    assert!(store.create_session(&long, Some("$hash")).await.unwrap());
    let other = hash("another cookie");
    let found = async |cookie, now| store.session_by_cookie(cookie, now).await.unwrap();
    assert_eq!(found(&short.cookie_hash, NOW + 9).await, Some(short.clone()));
    assert_eq!(found(&short.cookie_hash, NOW + 10).await, None, "not in the second of its expiry");
    assert_eq!(found(&other, NOW).await, None);
    let by_id = async |id: &str, now| store.session_by_id(id, now).await.unwrap();
    assert_eq!(by_id(&short.id, NOW + 9).await, Some(short.clone()));
    assert_eq!(by_id(&short.id, NOW + 10).await, None);
    assert_eq!(by_id("another", NOW).await, None);

    assert_eq!(store.delete_expired_sessions(NOW + 9).await.unwrap(), 0);
    assert_eq!(store.delete_expired_sessions(NOW + 10).await.unwrap(), 1);
    assert_eq!(found(&short.cookie_hash, NOW).await, None);
    store.delete_session(&long.id).await.unwrap();
    store.delete_session(&long.id).await.unwrap();
    assert_eq!(found(&long.cookie_hash, NOW).await, None);
    assert_eq!(by_id(&long.id, NOW).await, None);
}

pub async fn a_session_needs_the_current_password(store: Backend) {
    store.create_user(&user("ada")).await.unwrap();
    store.create_user(&User { password_hash: None, ..user("elsewhere") }).await.unwrap();
    store.create_user(&User { disabled_at: Some(NOW), ..user("disabled") }).await.unwrap();
    assert!(store.set_password_hash("id-ada", "$new", NOW).await.unwrap());
    for (name, proved, expected) in [
        ("ada", Some("$hash"), false),
        ("ada", None, false),
        ("ada", Some("$new"), true),
        ("elsewhere", Some("$hash"), false),
        ("elsewhere", None, true),
        ("disabled", Some("$hash"), false),
        ("unknown", None, false),
    ] {
        let session = session(name, name, NOW + 10);
        assert_eq!(store.create_session(&session, proved).await.unwrap(), expected, "{name} {proved:?}");
        let found = store.session_by_cookie(&session.cookie_hash, NOW).await.unwrap();
        assert_eq!(found.is_some(), expected, "{name} {proved:?}");
    }
}

pub async fn a_new_password_ends_all_sign_ins(store: Backend) {
    for name in ["ada", "bob"] {
        sign_in(&store, name).await;
        let (user_id, session_id) = (format!("id-{name}"), format!("session-{name}"));
        let redeemed = AuthorizationCode { user_id, session_id, ..code(name) };
        assert!(store.create_code(&redeemed).await.unwrap());
        let refresh = token(&format!("token-{name}"));
        store.redeem_code(&redeemed.code_hash, Some(&refresh), NOW).await.unwrap();
        let other = code(&format!("{name}-2"));
        let waiting =
            AuthorizationCode { code_hash: other.code_hash, family_id: other.family_id, ..redeemed };
        assert!(store.create_code(&waiting).await.unwrap());
    }
    assert!(store.set_password_hash("id-ada", "new", NOW + 1).await.unwrap());
    assert_eq!(store.user_by_id("id-ada").await.unwrap().unwrap().password_hash.as_deref(), Some("new"));
    for (name, lives) in [("ada", false), ("bob", true)] {
        let cookie = hash(&format!("cookie-{name}"));
        assert_eq!(store.session_by_cookie(&cookie, NOW).await.unwrap().is_some(), lives, "{name}");
        let refresh = hash(&format!("token-{name}"));
        assert_eq!(
            store.peek_refresh_token(&refresh, &client_id("flyte"), NOW).await.unwrap().is_some(),
            lives,
            "{name}"
        );
        let redeemed = store.redeem_code(&code(&format!("{name}-2")).code_hash, None, NOW).await.unwrap();
        assert_eq!(matches!(redeemed, CodeRedemption::Redeemed(_)), lives, "{name}: {redeemed:?}");
    }
    assert_eq!(store.families_revoked_since(NOW).await.unwrap(), ["family-ada"]);
    assert!(!store.set_password_hash("id-unknown", "new", NOW).await.unwrap());
}

pub async fn a_new_hash_of_the_same_password_keeps_sign_ins(store: Backend) {
    store.create_user(&user("ada")).await.unwrap();
    let session = session("ada", "ada", NOW + 10);
    assert!(store.create_session(&session, Some("$hash")).await.unwrap());
    assert!(!store.upgrade_password_hash("id-ada", "$stale", "$new").await.unwrap());
    assert!(store.upgrade_password_hash("id-ada", "$hash", "$new").await.unwrap());
    assert!(!store.upgrade_password_hash("id-unknown", "$hash", "$new").await.unwrap());
    assert!(store.session_by_cookie(&session.cookie_hash, NOW).await.unwrap().is_some());
}

pub async fn put_client_replaces_every_field(store: Backend) {
    assert_eq!(store.client_by_id(&client_id("web")).await.unwrap(), None);
    let first = client("web");
    store.put_client(&first).await.unwrap();
    assert_eq!(store.client_by_id(&client_id("web")).await.unwrap(), Some(first.clone()));
    assert_eq!(
        store.client_by_id(&client_id("WEB")).await.unwrap(),
        None,
        "identifiers are compared exactly"
    );

    store.create_user(&user("ada")).await.unwrap();
    let consent = Consent {
        user_id: "id-ada".to_owned(),
        client_id: client_id("web"),
        scopes: [Scope::ALL].into(),
        granted_at: NOW,
    };
    store.add_consent(&consent).await.unwrap();
    let mut second = client("web");
    second.kind = crate::ClientKind::Public;
    second.secret_hash = None;
    second.redirect_uris.clear();
    second.name = "Other".to_owned();
    store.put_client(&second).await.unwrap();
    let found = store.client_by_id(&client_id("web")).await.unwrap().unwrap();
    assert_eq!(found, second);
    assert_eq!(
        store.consent("id-ada", &client_id("web")).await.unwrap(),
        Some(consent),
        "consents outlive a change"
    );
}

pub async fn consents_are_added_together(store: Backend) {
    store.create_user(&user("ada")).await.unwrap();
    store.put_client(&client("web")).await.unwrap();
    let give = async |scopes: &str, granted_at| {
        let consent = Consent {
            user_id: "id-ada".to_owned(),
            client_id: client_id("web"),
            scopes: scopes.parse().unwrap(),
            granted_at,
        };
        store.add_consent(&consent).await.unwrap();
        store.consent("id-ada", &client_id("web")).await.unwrap().unwrap()
    };
    assert_eq!(store.consent("id-ada", &client_id("web")).await.unwrap(), None);
    assert_eq!(give("openid email", NOW).await.scopes, [Scope::EMAIL, Scope::OPENID].into());
    let both = give("all openid", NOW + 5).await;
    assert_eq!((both.scopes.to_string().as_str(), both.granted_at), ("all email openid", NOW + 5));
    assert_eq!(store.consent("id-bob", &client_id("web")).await.unwrap(), None);
}

pub async fn a_withdrawn_consent_ends_what_it_gave(store: Backend) {
    for name in ["ada", "bob"] {
        sign_in(&store, name).await;
    }
    for id in ["flyte", "web", "another"] {
        store.put_client(&client(id)).await.unwrap();
    }
    let consent = |user: &str, client: &str| Consent {
        user_id: format!("id-{user}"),
        client_id: client_id(client),
        scopes: [Scope::OPENID].into(),
        granted_at: NOW,
    };
    for (user, client) in [("ada", "web"), ("ada", "another"), ("bob", "web")] {
        store.add_consent(&consent(user, client)).await.unwrap();
    }
    let clients = async |user: &str| {
        let consents = store.consents(user).await.unwrap();
        consents.iter().map(|consent| consent.client_id.to_string()).collect::<Vec<_>>()
    };
    assert_eq!(clients("id-ada").await, ["another", "web"]);
    for (name, client) in [("a", "web"), ("waiting", "web"), ("b", "another")] {
        let code = AuthorizationCode { client_id: client_id(client), ..code(name) };
        assert!(store.create_code(&code).await.unwrap());
    }
    for name in ["a", "b"] {
        store.redeem_code(&code(name).code_hash, Some(&token(name)), NOW).await.unwrap();
    }
    let withdraw = async |user: &str, client: &str| {
        store.withdraw_consent(user, &client_id(client), NOW + 1).await.unwrap()
    };
    assert_eq!(withdraw("id-ada", "flyte").await, None, "no consent was needed");
    assert_eq!(withdraw("id-ada", "web").await, Some(vec!["family-a".to_owned()]));
    assert_eq!(withdraw("id-ada", "web").await, None);
    assert_eq!(store.peek_code(&code("waiting").code_hash, NOW).await.unwrap(), None);
    assert_eq!(clients("id-ada").await, ["another"]);
    assert_eq!(clients("id-bob").await, ["web"]);
    assert_eq!(store.families_revoked_since(NOW).await.unwrap(), ["family-a"]);
}

pub async fn disabling_an_account_ends_all_its_sign_ins(store: Backend) {
    sign_in(&store, "ada").await;
    assert!(store.create_code(&code("a")).await.unwrap());
    assert!(store.create_code(&code("waiting")).await.unwrap());
    store.redeem_code(&code("a").code_hash, Some(&token("a")), NOW).await.unwrap();
    assert!(store.disable_user("id-ada", NOW + 1).await.unwrap().is_some());
    assert!(store.disable_user("id-ada", NOW + 2).await.unwrap().is_some());
    assert_eq!(store.user_by_id("id-ada").await.unwrap().unwrap().disabled_at, Some(NOW + 1));
    assert!(store.session_by_cookie(&hash("cookie-ada"), NOW).await.unwrap().is_none());
    let waiting = store.redeem_code(&code("waiting").code_hash, None, NOW).await.unwrap();
    assert_eq!(waiting, CodeRedemption::Unknown);
    assert!(store.peek_refresh_token(&hash("a"), &client_id("flyte"), NOW).await.unwrap().is_none());
    assert_eq!(store.families_revoked_since(NOW).await.unwrap(), ["family-a"]);

    assert!(store.enable_user("id-ada").await.unwrap());
    assert_eq!(store.user_by_id("id-ada").await.unwrap().unwrap().disabled_at, None);
    assert!(store.session_by_cookie(&hash("cookie-ada"), NOW).await.unwrap().is_none());
    assert_eq!(store.disable_user("id-unknown", NOW).await.unwrap(), None);
    assert!(!store.enable_user("id-unknown").await.unwrap());
}

pub async fn users_are_listed_by_address(store: Backend) {
    assert_eq!(store.users().await.unwrap(), []);
    let bob = User { email: "B@example.com".to_owned(), ..user("ada") };
    let ada = User { email: "a@example.com".to_owned(), ..user("bob") };
    store.create_user(&bob).await.unwrap();
    store.create_user(&ada).await.unwrap();
    assert_eq!(store.users().await.unwrap(), [ada, bob]);
}

pub async fn users_are_listed_in_pages(store: Backend) {
    let names = ["ada", "bob", "cyd", "dan", "eve"];
    for name in names.iter().rev() {
        store.create_user(&user(name)).await.unwrap();
    }
    assert_eq!(store.user_count().await.unwrap(), 5);
    let (mut seen, mut token) = (Vec::new(), String::new());
    loop {
        let query = UserQuery { limit: 2, page_token: token, ..UserQuery::default() };
        let (users, next) = store.list_users(&query).await.unwrap();
        assert!(users.len() <= 2);
        seen.extend(users.into_iter().map(|user| user.id));
        token = next;
        if token.is_empty() {
            break;
        }
    }
    assert_eq!(seen, names.map(|name| format!("id-{name}")));
    let other = UserQuery { limit: 2, page_token: "other".to_owned(), ..UserQuery::default() };
    assert!(matches!(store.list_users(&other).await, Err(StoreError::InvalidPageToken)));
    assert!(store.rename_user("id-ada", "Ada Lovelace").await.unwrap());
    assert_eq!(store.user_by_id("id-ada").await.unwrap().unwrap().name, "Ada Lovelace");
    assert!(!store.rename_user("id-unknown", "x").await.unwrap());
}

pub async fn users_are_found_by_text_state_and_role(store: Backend) {
    for (name, full) in
        [("ada", "Ada Ünal"), ("bob", "Bob 100%"), ("cyd", "Çyd"), ("dan", "Dan"), ("eve", "Eve Adams")]
    {
        let user = User { name: full.to_owned(), email: format!("{name}@Example.com"), ..user(name) };
        store.create_user_with(&user, &[]).await.unwrap();
    }
    let none = UserQuery { limit: 10, ..UserQuery::default() };
    let find = async |query: &UserQuery| {
        let (users, token) = store.list_users(query).await.unwrap();
        assert_eq!(token, "");
        users.into_iter().map(|user| user.id.trim_start_matches("id-").to_owned()).collect::<Vec<_>>()
    };
    for (text, expected) in [
        ("ADA", &["ada", "eve"][..]),
        ("ünAL", &["ada"]),
        ("çYD", &["cyd"]),
        (" bob@EXAMPLE.com ", &["bob"]),
        ("%", &["bob"]),
        ("_", &[]),
        ("example.com", &["ada", "bob", "cyd", "dan", "eve"]),
    ] {
        assert_eq!(find(&UserQuery { text: text.to_owned(), ..none.clone() }).await, expected, "{text}");
    }
    // Pages of a search, also if the last match of a page is the last one of all.
    let mut page = UserQuery { limit: 2, text: "example".to_owned(), ..none.clone() };
    let mut seen = Vec::new();
    loop {
        let (users, token) = store.list_users(&page).await.unwrap();
        seen.push(users.len());
        if token.is_empty() {
            break;
        }
        page.page_token = token;
    }
    assert_eq!(seen, [2, 2, 1]);
    let other = UserQuery { text: "ada".to_owned(), ..page };
    assert!(matches!(store.list_users(&other).await, Err(StoreError::InvalidPageToken)), "of another search");

    store.disable_user("id-dan", NOW).await.unwrap();
    let enabled = |enabled| UserQuery { enabled: Some(enabled), ..none.clone() };
    assert_eq!(find(&enabled(false)).await, ["dan"]);
    assert_eq!(find(&enabled(true)).await, ["ada", "bob", "cyd", "eve"]);
    assert_eq!(find(&UserQuery { text: "dan".to_owned(), ..enabled(true) }).await, [""; 0]);

    // A role is that of the account, of its group, of its policy, and of its group's policy.
    let group = |id: &str| Group {
        id: id.to_owned(),
        name: id.to_owned(),
        description: String::new(),
        origin: None,
        created_at: NOW,
    };
    let viewer = |subject: Subject| Binding { subject, role: "viewer".to_owned(), limit: Limit::default() };
    for id in ["g1", "g2"] {
        store.create_group(&group(id)).await.unwrap();
    }
    let policy = Policy { name: "p".to_owned(), description: String::new(), created_at: NOW };
    let role =
        RoleIn { role: "viewer".to_owned(), limit: Limit { project: Some("x".to_owned()), domain: None } };
    store.create_policy(&policy, &[role]).await.unwrap();
    store.bind_role(&viewer(Subject::user("id-ada")), NOW).await.unwrap();
    store.bind_role(&viewer(Subject::group("g1")), NOW).await.unwrap();
    store.add_group_member("g1", "id-bob").await.unwrap();
    store.assign_policy(&Subject::user("id-cyd"), "p", NOW).await.unwrap();
    store.assign_policy(&Subject::group("g2"), "p", NOW).await.unwrap();
    store.add_group_member("g2", "id-dan").await.unwrap();
    let with = |role: &str| UserQuery { role: role.to_owned(), ..none.clone() };
    assert_eq!(find(&with("viewer")).await, ["ada", "bob", "cyd", "dan"]);
    assert_eq!(find(&with("admin")).await, [""; 0]);
    assert_eq!(
        find(&UserQuery { enabled: Some(true), text: "a".to_owned(), ..with("viewer") }).await.len(),
        3
    );
}

pub async fn deleting_an_account_ends_all_that_it_has(store: Backend) {
    store.create_user(&User { admin: true, ..user("root") }).await.unwrap();
    sign_in(&store, "ada").await;
    assert!(store.create_code(&code("a")).await.unwrap());
    store.redeem_code(&code("a").code_hash, Some(&token("a")), NOW).await.unwrap();
    chain(&store).await;
    let own = TrustRule { created_by: "id-ada".to_owned(), ..rule("own") };
    store.create_trust_rule(&own).await.unwrap();
    store.create_trust_rule(&rule("others")).await.unwrap();

    let ended = store.delete_user("id-ada", NOW + 1).await.unwrap().unwrap();
    assert_eq!(ids(&ended.api_keys), ["key-1", "key-2", "key-3"]);
    assert_eq!(ended.trust_rules, [own]);
    assert_eq!(store.user_by_id("id-ada").await.unwrap(), None);
    assert!(store.session_by_cookie(&hash("cookie-ada"), NOW).await.unwrap().is_none());
    assert!(store.peek_refresh_token(&hash("a"), &client_id("flyte"), NOW).await.unwrap().is_none());
    let mut revoked = store.families_revoked_since(NOW).await.unwrap();
    revoked.sort();
    assert_eq!(revoked, ["family-1", "family-2", "family-3", "family-a", "family-own"]);
    assert_eq!(store.list_trust_rules().await.unwrap(), [rule("others")]);
    assert_eq!(store.bindings_of(&Subject::user("id-ada")).await.unwrap(), []);
    assert_eq!(store.delete_user("id-ada", NOW + 1).await.unwrap(), None);
    // The address is free again, for an account that has nothing of the old one.
    store.create_user_with(&user("ada"), &[]).await.unwrap();
    assert_eq!(store.bindings_of(&Subject::user("id-ada")).await.unwrap(), []);
    let last = store.delete_user("id-root", NOW).await;
    assert!(matches!(last, Err(StoreError::LastAdministrator)), "{last:?}");
    assert!(store.user_by_id("id-root").await.unwrap().is_some());
}

pub async fn deleting_a_client_revokes_all_its_tokens(store: Backend) {
    sign_in(&store, "ada").await;
    for id in ["flyte", "other"] {
        store.create_client(&client(id)).await.unwrap();
    }
    let error = store.create_client(&client("flyte")).await.unwrap_err();
    assert!(matches!(error, StoreError::AlreadyExists { kind: "client", .. }), "{error}");
    assert_eq!(store.clients().await.unwrap(), [client("flyte"), client("other")]);
    let consent = Consent {
        user_id: "id-ada".to_owned(),
        client_id: client_id("flyte"),
        scopes: [Scope::ALL].into(),
        granted_at: NOW,
    };
    store.add_consent(&consent).await.unwrap();
    for name in ["a", "waiting"] {
        assert!(store.create_code(&code(name)).await.unwrap());
    }
    let others = AuthorizationCode { client_id: client_id("other"), ..code("others") };
    assert!(store.create_code(&others).await.unwrap());
    for name in ["a", "others"] {
        store.redeem_code(&code(name).code_hash, Some(&token(name)), NOW).await.unwrap();
    }

    assert!(store.delete_client(&client_id("flyte"), NOW + 1).await.unwrap());
    assert!(!store.delete_client(&client_id("flyte"), NOW + 1).await.unwrap());
    assert_eq!(store.clients().await.unwrap(), [client("other")]);
    assert_eq!(store.families_revoked_since(0).await.unwrap(), ["family-a"]);
    let waiting = store.redeem_code(&code("waiting").code_hash, None, NOW).await.unwrap();
    assert_eq!(waiting, CodeRedemption::Unknown);
    assert!(store.peek_refresh_token(&hash("others"), &client_id("other"), NOW).await.unwrap().is_some());
    // A client that is registered again under the same identifier is another client.
    store.create_client(&client("flyte")).await.unwrap();
    assert_eq!(store.consent("id-ada", &client_id("flyte")).await.unwrap(), None);
    assert!(store.peek_refresh_token(&hash("a"), &client_id("flyte"), NOW).await.unwrap().is_none());
}
