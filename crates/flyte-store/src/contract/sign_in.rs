//! What a user is signed in with.

use super::{Backend, NOW, client, client_id, code, hash, session, sign_in, token};
use crate::{
    AuthorizationCode, DeviceAuthorization, DeviceDecision, DeviceRedemption, EndedSignIns, SignIn,
    SignInKind, SignInQuery, SignInUse,
};

fn query(user: &str, now: i64) -> SignInQuery {
    SignInQuery {
        user_id: format!("id-{user}"),
        now,
        access_token_ttl: 600,
        limit: 100,
        page_token: String::new(),
    }
}

async fn ids(store: &Backend, user: &str, now: i64) -> Vec<String> {
    let (found, token) = store.list_sign_ins(&query(user, now)).await.unwrap();
    assert_eq!(token, "");
    found.into_iter().map(|found| found.id).collect()
}

/// Authorizes a program in Ada's browser session.
async fn program(store: &Backend, name: &str, at: i64) {
    assert!(store.create_code(&code(name)).await.unwrap());
    store.redeem_code(&code(name).code_hash, Some(&token(name)), at).await.unwrap();
}

/// Ada's approved device.
async fn device(store: &Backend, name: &str) -> DeviceAuthorization {
    let device = DeviceAuthorization {
        device_code_hash: hash(&format!("device-{name}")),
        user_code_hash: hash(&format!("user-{name}")),
        family_id: format!("family-{name}"),
        client_id: client_id("flyte"),
        scopes: code(name).scopes,
        audience: None,
        max_age: None,
        match_number: None,
        address: "203.0.113.9".to_owned(),
        interval: 5,
        created_at: NOW,
        expires_at: NOW + 600,
    };
    store.create_device(&device).await.unwrap();
    let decision = DeviceDecision::Approve {
        user_id: "id-ada".to_owned(),
        session_id: "session-ada".to_owned(),
        authenticated_at: NOW,
    };
    store.decide_device(&device.user_code_hash, &decision, NOW).await.unwrap().unwrap();
    device
}

async fn redeem(store: &Backend, device: &DeviceAuthorization, name: &str, at: i64) -> DeviceRedemption {
    store.redeem_device_code(&device.device_code_hash, Some(&token(name)), 60, at).await.unwrap()
}

/// Ada with a browser, a program and a device, and Bob with a browser.
async fn people(store: &Backend) {
    store.put_client(&client("flyte")).await.unwrap();
    sign_in(store, "ada").await;
    sign_in(store, "bob").await;
    program(store, "one", NOW + 1).await;
    let device = device(store, "two").await;
    assert_eq!(redeem(store, &device, "two", NOW + 2).await, DeviceRedemption::Redeemed);
}

pub async fn browsers_programs_and_devices_are_listed_newest_first(store: Backend) {
    people(&store).await;
    let (found, _) = store.list_sign_ins(&query("ada", NOW + 5)).await.unwrap();
    let (client_id, scopes) = (client_id("flyte"), code("one").scopes);
    let expected = |id: &str, kind, started_at, expires_at| SignIn {
        id: id.to_owned(),
        kind,
        started_at,
        expires_at: Some(expires_at),
        last_use: None,
    };
    let device = SignInKind::Device { client_id: client_id.clone(), scopes: scopes.clone() };
    let program = SignInKind::Program { client_id, scopes };
    assert_eq!(
        found,
        [
            expected("family-two", device, NOW + 2, NOW + 3600),
            expected("family-one", program, NOW + 1, NOW + 3600),
            expected("session-ada", SignInKind::Browser, NOW, i64::MAX),
        ]
    );
    assert_eq!(ids(&store, "bob", NOW).await, ["session-bob"]);
    // What has expired is not listed.
    assert_eq!(ids(&store, "ada", NOW + 3600).await, ["session-ada"]);
    // A program without a refresh token is signed in for as long as an access token lives.
    assert!(store.create_code(&AuthorizationCode { expires_at: NOW + 9000, ..code("short") }).await.unwrap());
    store.redeem_code(&code("short").code_hash, None, NOW + 5000).await.unwrap();
    assert_eq!(ids(&store, "ada", NOW + 5599).await, ["family-short", "session-ada"]);
    assert_eq!(ids(&store, "ada", NOW + 5600).await, ["session-ada"]);
}

pub async fn the_last_use_of_a_sign_in_is_kept(store: Backend) {
    people(&store).await;
    let text = |text: &str| Some(text.to_owned());
    let note = async |id: &str, at, address, agent| {
        store.note_sign_ins_used(&[(id.to_owned(), SignInUse { at, address, agent })]).await.unwrap();
    };
    let used = async |id: &str| {
        let (found, _) = store.list_sign_ins(&query("ada", NOW + 5)).await.unwrap();
        found.into_iter().find(|found| found.id == id).unwrap().last_use
    };
    for id in ["session-ada", "family-one"] {
        note(id, NOW + 10, text("10.0.0.1"), text("Firefox")).await;
        note(id, NOW + 20, text("10.0.0.2"), None).await;
        note(id, NOW + 15, text("10.0.0.3"), text("late")).await;
        let last = SignInUse { at: NOW + 20, address: text("10.0.0.2"), agent: text("Firefox") };
        assert_eq!(used(id).await, Some(last), "{id}");
    }
    note("unknown", NOW, None, None).await;
    assert_eq!(used("family-two").await, None);
}

pub async fn one_sign_in_ends_with_what_it_authorized(store: Backend) {
    people(&store).await;
    program(&store, "three", NOW + 3).await;
    let end = async |user: &str, id: &str| store.end_sign_in(user, id, NOW + 5).await.unwrap();
    // Only the own ones.
    assert_eq!(end("id-bob", "session-ada").await, EndedSignIns::default());
    assert_eq!(end("id-bob", "family-one").await, EndedSignIns::default());
    assert_eq!(end("id-ada", "session-bob").await, EndedSignIns::default());
    assert_eq!(end("id-ada", "unknown").await, EndedSignIns::default());

    let one = EndedSignIns { sessions: vec![], families: vec!["family-one".to_owned()] };
    assert_eq!(end("id-ada", "family-one").await, one);
    assert_eq!(end("id-ada", "family-one").await, EndedSignIns::default(), "it has ended already");
    let flyte = client_id("flyte");
    let refresh = store.peek_refresh_token(&token("one").token_hash, &flyte, NOW + 6).await.unwrap();
    assert_eq!(refresh, None);

    // The session ends with the program, and with a code and a device that have no tokens yet; the device that has is apart.
    assert!(store.create_code(&code("four")).await.unwrap());
    let waiting = device(&store, "five").await;
    let rest =
        EndedSignIns { sessions: vec!["session-ada".to_owned()], families: vec!["family-three".to_owned()] };
    assert_eq!(end("id-ada", "session-ada").await, rest);
    assert_eq!(store.peek_code(&code("four").code_hash, NOW + 6).await.unwrap(), None);
    assert_eq!(redeem(&store, &waiting, "five", NOW + 6).await, DeviceRedemption::Unknown);
    assert_eq!(ids(&store, "ada", NOW + 6).await, ["family-two"]);
    let revoked = store.families_revoked_since(NOW + 5).await.unwrap();
    assert_eq!(revoked.len(), 2, "{revoked:?}");
}

pub async fn all_sign_ins_end_but_the_one_that_is_kept(store: Backend) {
    people(&store).await;
    assert!(store.create_session(&session("second", "ada", i64::MAX), Some("$hash")).await.unwrap());
    let waiting = device(&store, "five").await;
    let ended = store.end_sign_ins("id-ada", Some("session-second"), NOW + 5).await.unwrap();
    assert_eq!(ended.sessions, ["session-ada"]);
    let mut families = ended.families;
    families.sort();
    assert_eq!(families, ["family-one", "family-two"]);
    assert_eq!(redeem(&store, &waiting, "five", NOW + 6).await, DeviceRedemption::Unknown);
    assert_eq!(ids(&store, "ada", NOW + 6).await, ["session-second"]);
    assert_eq!(ids(&store, "bob", NOW + 6).await, ["session-bob"]);
    let ended = store.end_sign_ins("id-ada", None, NOW + 7).await.unwrap();
    assert_eq!(ended.sessions, ["session-second"]);
    assert!(ids(&store, "ada", NOW + 8).await.is_empty());
}

pub async fn sign_ins_are_listed_in_pages(store: Backend) {
    people(&store).await;
    for number in 0..40 {
        // Many at the same time, so that the order depends on the identifier too.
        let mut session = session(&format!("{number:02}"), "ada", i64::MAX);
        session.authenticated_at = NOW + number / 10;
        assert!(store.create_session(&session, Some("$hash")).await.unwrap());
    }
    let all = ids(&store, "ada", NOW + 5).await;
    assert_eq!(all.len(), 43);
    let (mut pages, mut token) = (Vec::new(), String::new());
    loop {
        let page = SignInQuery { limit: 7, page_token: token, ..query("ada", NOW + 5) };
        let (found, next) = store.list_sign_ins(&page).await.unwrap();
        pages.extend(found.into_iter().map(|found| found.id));
        token = next;
        if token.is_empty() {
            break;
        }
        let other = SignInQuery { page_token: token.clone(), ..query("bob", NOW + 5) };
        assert!(store.list_sign_ins(&other).await.is_err(), "the token of another user");
    }
    assert_eq!(pages, all);
}
