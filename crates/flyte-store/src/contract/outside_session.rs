//! Sign-ins through outside providers that are in use.

use super::{
    Backend, NOW, client, code, hash, outside_identity::identity, session, token as refresh_token, user,
};
use crate::{
    AuthorizationCode, BrowserSession, DeviceAuthorization, DeviceDecision, DevicePoll, EndedAtProvider,
    OutsideSession, ProviderGrant,
};

const ISSUER: &str = "https://id.example";

fn outside(session_id: &str, subject: &str, sid: Option<&str>, started_at: i64) -> OutsideSession {
    OutsideSession {
        session_id: session_id.to_owned(),
        issuer: ISSUER.to_owned(),
        subject: subject.to_owned(),
        sid: sid.map(str::to_owned),
        hidden_id_token: Some(b"hidden".to_vec()),
        started_at,
    }
}

/// Connects `1` to Ada and `2` to Bob, and signs Ada in three times (`a` and `b` through `1`, `c` with her password) and Bob once
/// (`d`).
async fn sign_ins(store: &Backend) {
    for (name, subject) in [("ada", "1"), ("bob", "2")] {
        store.create_user(&user(name)).await.unwrap();
        assert!(store.link_outside_identity(&identity(subject, name)).await.unwrap());
    }
    store.put_client(&client("flyte")).await.unwrap();
    for (name, user) in [("a", "ada"), ("b", "ada"), ("c", "ada"), ("d", "bob")] {
        let session = BrowserSession { id: format!("session-{name}"), ..session(name, user, NOW + 1000) };
        assert!(store.create_session(&session, Some("$hash")).await.unwrap());
        let code = AuthorizationCode { user_id: format!("id-{user}"), session_id: session.id, ..code(name) };
        assert!(store.create_code(&code).await.unwrap());
        store.redeem_code(&code.code_hash, Some(&refresh_token(name)), NOW).await.unwrap();
    }
    for (name, subject, sid) in [("a", "1", Some("s")), ("b", "1", Some("t")), ("d", "2", Some("s"))] {
        let started_at = if name == "b" { NOW + 10 } else { NOW };
        let session = outside(&format!("session-{name}"), subject, sid, started_at);
        store.add_outside_session(&session).await.unwrap();
        assert_eq!(store.outside_session(&session.session_id).await.unwrap(), Some(session));
    }
}

/// The sessions that are left.
async fn left(store: &Backend) -> String {
    let mut left = String::new();
    for name in ["a", "b", "c", "d"] {
        let session = store.session_by_id(&format!("session-{name}"), NOW).await.unwrap();
        let token = store.active_refresh_token(&hash(name), NOW).await.unwrap();
        assert_eq!(session.is_some(), token.is_some(), "{name}: both or none");
        left.extend(session.map(|_| name));
    }
    left
}

pub async fn exactly_the_sessions_that_ended_at_the_provider_end(store: Backend) {
    sign_ins(&store).await;
    let end = async |issuer: &str, which: EndedAtProvider| {
        let ended = store.end_outside_sessions(issuer, &which, NOW + 1).await.unwrap();
        assert_eq!(ended.sessions.len(), ended.families.len());
        ended.sessions.into_iter().map(|(session, user)| session + " of " + &user).collect::<Vec<_>>()
    };
    let of_session = |sid: &str, subject: Option<&str>| EndedAtProvider::Session {
        sid: sid.to_owned(),
        subject: subject.map(str::to_owned),
    };
    let of_user = |subject: &str, until| EndedAtProvider::User { subject: subject.to_owned(), until };
    for (issuer, which) in [
        ("https://other.example", of_session("s", None)),
        (ISSUER, of_session("u", None)),
        (ISSUER, of_session("s", Some("3"))),
        (ISSUER, of_user("3", i64::MAX)),
        (ISSUER, of_user("1", NOW - 1)),
    ] {
        assert!(end(issuer, which).await.is_empty());
    }
    assert_eq!(left(&store).await, "abcd");
    assert_eq!(end(ISSUER, of_session("s", Some("1"))).await, ["session-a of id-ada"]);
    assert_eq!(left(&store).await, "bcd");
    assert!(end(ISSUER, of_user("1", NOW)).await.is_empty(), "the other one began later");
    assert_eq!(store.oldest_outside_session(ISSUER, "1").await.unwrap(), Some(NOW + 10));
    assert_eq!(end(ISSUER, of_user("1", NOW + 10)).await, ["session-b of id-ada"]);
    assert_eq!(left(&store).await, "cd", "a sign-in with the password is not the provider's");
    assert_eq!(store.oldest_outside_session(ISSUER, "1").await.unwrap(), None);
    assert_eq!(end(ISSUER, of_session("s", None)).await, ["session-d of id-bob"]);
    assert_eq!(store.families_revoked_since(NOW + 1).await.unwrap().len(), 3);
}

pub async fn devices_end_with_the_user_that_approved_them(store: Backend) {
    sign_ins(&store).await;
    let device = |name: &str| DeviceAuthorization {
        device_code_hash: hash(&format!("device-{name}")),
        user_code_hash: hash(&format!("user-{name}")),
        ..super::device::device(name)
    };
    for name in ["fetched", "waiting"] {
        store.create_device(&device(name)).await.unwrap();
        let approve = DeviceDecision::Approve {
            user_id: "id-ada".to_owned(),
            session_id: "session-a".to_owned(),
            authenticated_at: NOW,
        };
        let decided = store.decide_device(&device(name).user_code_hash, &approve, NOW).await.unwrap();
        assert!(decided.is_some(), "{name}");
    }
    let fetched = device("fetched");
    let refresh = refresh_token("device");
    store.redeem_device_code(&fetched.device_code_hash, Some(&refresh), 0, NOW).await.unwrap();
    let is_active = async || store.active_refresh_token(&refresh.token_hash, NOW).await.unwrap().is_some();
    // The end of the browser's session leaves the device; the end of the user does not.
    let session = EndedAtProvider::Session { sid: "s".to_owned(), subject: None };
    store.end_outside_sessions(ISSUER, &session, NOW).await.unwrap();
    assert!(is_active().await);
    let poll = async |name: &str| {
        store.poll_device(&device(name).device_code_hash, &device(name).client_id, NOW + 60).await.unwrap()
    };
    assert_eq!(poll("waiting").await, DevicePoll::Denied, "it would still get what the session authorized");
    store.delete_unused_outside_sessions(NOW).await.unwrap();
    let user = EndedAtProvider::User { subject: "1".to_owned(), until: i64::MAX };
    let ended = store.end_outside_sessions(ISSUER, &user, NOW).await.unwrap();
    assert!(ended.families.contains(&fetched.family_id), "{ended:?}");
    assert!(!is_active().await);
}

pub async fn a_grant_has_one_owner_at_a_time(store: Backend) {
    let grant = |token: Option<&[u8]>, due_at| ProviderGrant {
        issuer: ISSUER.to_owned(),
        subject: "1".to_owned(),
        hidden_token: token.map(<[u8]>::to_vec),
        checked_at: NOW,
        due_at,
        failing_since: None,
    };
    let due = async |now| store.due_provider_grants(now, 10).await.unwrap();
    store.put_provider_grant(&grant(Some(b"a"), NOW)).await.unwrap();
    assert_eq!(due(NOW).await, [], "there is no identity");
    sign_ins(&store).await;
    let first = grant(Some(b"a"), NOW + 10);
    store.add_provider_grant(&first).await.unwrap();
    store.add_provider_grant(&grant(None, NOW)).await.unwrap();
    assert_eq!(store.provider_grant(ISSUER, "1").await.unwrap().as_ref(), Some(&first), "it has one");
    store.put_provider_grant(&first).await.unwrap();
    assert_eq!(due(NOW + 9).await, []);
    assert_eq!(due(NOW + 10).await, std::slice::from_ref(&first));
    assert_eq!(store.due_provider_grants(NOW + 10, 0).await.unwrap(), []);
    // The first of two that take it wins.
    let taken = grant(Some(b"a"), NOW + 100);
    assert!(store.replace_provider_grant(&first, &taken).await.unwrap());
    assert!(!store.replace_provider_grant(&first, &taken).await.unwrap());
    // A sign-in replaces it in the meantime.
    let signed_in = ProviderGrant { failing_since: Some(NOW), ..grant(None, NOW + 100) };
    store.put_provider_grant(&signed_in).await.unwrap();
    assert!(!store.replace_provider_grant(&taken, &first).await.unwrap());
    assert!(!store.delete_provider_grant(&taken).await.unwrap());
    assert_eq!(store.provider_grant(ISSUER, "1").await.unwrap(), Some(signed_in.clone()));
    assert!(store.delete_provider_grant(&signed_in).await.unwrap());
    assert_eq!(store.provider_grant(ISSUER, "1").await.unwrap(), None);
}

pub async fn what_is_no_longer_in_use_is_deleted(store: Backend) {
    sign_ins(&store).await;
    for subject in ["1", "2"] {
        let grant = ProviderGrant {
            issuer: ISSUER.to_owned(),
            subject: subject.to_owned(),
            hidden_token: None,
            checked_at: NOW,
            due_at: NOW,
            failing_since: None,
        };
        store.put_provider_grant(&grant).await.unwrap();
    }
    assert_eq!(store.delete_unused_outside_sessions(NOW).await.unwrap(), 0);
    // Programs outlive the browser's session, also those that have not redeemed their code yet.
    let late = AuthorizationCode {
        user_id: "id-bob".to_owned(),
        session_id: "session-d".to_owned(),
        expires_at: NOW + 60,
        ..code("late")
    };
    assert!(store.create_code(&late).await.unwrap());
    store.delete_session("session-d").await.unwrap();
    assert_eq!(store.delete_unused_outside_sessions(NOW).await.unwrap(), 0);
    let family = code("d").family_id;
    assert_eq!(store.end_sign_in("id-bob", &family, NOW).await.unwrap().families, [family]);
    assert_eq!(store.delete_unused_outside_sessions(NOW).await.unwrap(), 0, "of the code");
    store.redeem_code(&late.code_hash, Some(&refresh_token("late")), NOW).await.unwrap();
    assert_eq!(store.delete_unused_outside_sessions(NOW).await.unwrap(), 0, "of the program");
    store.revoke_session_families("session-d", NOW).await.unwrap();
    assert_eq!(store.delete_unused_outside_sessions(NOW).await.unwrap(), 2, "the session and the grant");
    assert_eq!(store.outside_session("session-d").await.unwrap(), None);
    // Both go with the identity.
    let ended = store
        .unlink_outside_identity("id-ada", ISSUER, "1", crate::LastWay::MayGo, NOW)
        .await
        .unwrap()
        .unwrap();
    assert_eq!(ended.sessions.len(), 2, "and with its sessions");
    assert_eq!(left(&store).await, "c");
    assert_eq!(store.outside_session("session-a").await.unwrap(), None);
    assert_eq!(store.provider_grant(ISSUER, "1").await.unwrap(), None);
}
