//! Signing in with PKCE, from the authorization request to the last page.

use async_trait::async_trait;

use super::*;
use crate::{
    AuthError,
    flows::pkce,
    store::{Backend, StoreError, TokenStore},
};

/// A keyring without a file beside it: it has room for no login.
#[derive(Debug)]
struct Narrow;

#[async_trait]
impl TokenStore for Narrow {
    async fn load(&self) -> Result<Option<Login>, StoreError> {
        Ok(None)
    }
    async fn save(&self, _: &Login) -> Result<(), StoreError> {
        Err(StoreError::TooLarge { limit: 1280 })
    }
    async fn clear(&self) -> Result<(), StoreError> {
        Ok(())
    }
    fn backend(&self) -> Backend {
        Backend::Keyring("Credential Manager")
    }
}

async fn scene(
    habit: Habit,
    change: impl FnOnce(&mut Rules),
) -> (Arc<Realm>, Served, Arc<Person>, Arc<Session>) {
    let realm = Arc::new(Realm::default());
    realm.rules(change);
    let served = realm.serve().await;
    let person = Person::new(&served, habit);
    let session = served.session(AtTheScreen::new(&person));
    (realm, served, person, session)
}

#[tokio::test]
async fn the_browser_signs_in_and_gets_its_page() {
    let (realm, _served, person, session) = scene(Habit::SignsIn, |_| {}).await;
    realm.generation.store(77_777_776, Ordering::SeqCst);
    assert_eq!(session.token().await.unwrap().secret(), "a77777777");
    let (status, page) = person.page().await;
    assert!(status == 200 && page.contains("You are signed in"), "{status} {page}");
    assert!(!page.contains("<script") && !page.contains("the-code"));
    let first = realm.request.lock().unwrap().clone();
    assert_eq!(
        (first["audience"].as_str(), first["scope"].as_str()),
        ("the-audience", "openid offline_access")
    );
    let status = session.status().await.unwrap();
    assert_eq!(status.subject.as_deref(), Some("ada@example.com"));
    assert!(status.signed_in && status.has_refresh_token && status.expires_at == Some(NOW + 3600));
    // Verifier, state and nonce are used once.
    session.login().await.unwrap();
    let second = realm.request.lock().unwrap().clone();
    for once in ["state", "nonce", "code_challenge"] {
        assert_ne!(first[once], second[once], "{once}");
    }
    // Debug output holds no secret.
    let shown = format!("{session:?} {:?}", session.token().await.unwrap());
    assert!(!shown.contains("7777777"), "{shown}");
}

#[tokio::test]
async fn a_refusal_in_the_browser_ends_the_wait_on_both_sides() {
    let (_, _served, person, session) = scene(Habit::SignsIn, |rules| rules.denies = true).await;
    let error = session.token().await.unwrap_err();
    assert!(
        matches!(&error, AuthError::AccessDenied { description: Some(text) } if text == "not on a Sunday")
    );
    assert!(error.is_authentication());
    let (status, page) = person.page().await;
    assert!(status == 400 && page.contains("denied") && page.contains("not on a Sunday"), "{page}");
    assert!(page.contains("Try again."), "the next step of the interaction: {page}");
}

#[tokio::test]
async fn the_page_says_that_the_token_request_failed() {
    let (_, _served, person, session) =
        scene(Habit::SignsIn, |rules| rules.fault = Some((500, "<html>oops"))).await;
    assert!(matches!(session.token().await, Err(AuthError::BadAnswer { .. })));
    let (status, page) = person.page().await;
    assert!(
        status == 400 && page.contains("Sign-in failed") && !page.contains("You are signed in"),
        "{page}"
    );
}

#[tokio::test]
async fn an_answer_of_another_issuer_is_rejected() {
    for (says, issuer, passes) in [
        (true, None, false),
        (true, Some("https://evil.example"), false),
        (false, Some("https://evil.example"), false),
        (false, None, true),
    ] {
        let (realm, _served, _, session) = scene(Habit::SignsIn, |rules| {
            rules.says_issuer = says;
            rules.issuer = issuer.map(str::to_owned);
        })
        .await;
        let outcome = session.token().await;
        assert_eq!(outcome.is_ok(), passes, "{says} {issuer:?}: {outcome:?}");
        if !passes {
            assert!(matches!(outcome, Err(AuthError::IssuerMismatch { .. })));
            assert_eq!(realm.count("token"), 0, "the code is not sent");
        }
    }
    let (realm, served, _, session) = scene(Habit::SignsIn, |rules| rules.says_issuer = true).await;
    realm.rules(|rules| rules.issuer = Some(format!("https://localhost:{}/", served.port)));
    assert!(session.token().await.is_ok());
}

#[tokio::test]
async fn an_id_token_of_another_sign_in_is_rejected() {
    let (_, _served, person, session) = scene(Habit::SignsIn, |rules| rules.nonce = Some("replayed")).await;
    let error = session.token().await.unwrap_err();
    assert!(error.to_string().contains("nonce"), "{error}");
    assert!(!session.status().await.unwrap().signed_in);
    assert_eq!(person.page().await.0, 400);
}

#[tokio::test]
async fn another_free_port_is_used_if_the_server_accepts_any() {
    let usual = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = usual.local_addr().unwrap().port();
    let (realm, _served, _, session) = scene(Habit::SignsIn, |rules| {
        rules.redirect_uri = format!("http://localhost:{port}/callback");
        rules.any_port = true;
    })
    .await;
    assert_eq!(session.token().await.unwrap().secret(), "a1");
    assert!(!realm.request.lock().unwrap()["redirect_uri"].contains(&format!(":{port}/")));
    // If the server does not, the sign-in fails at once.
    let (_, _served, person, session) =
        scene(Habit::SignsIn, |rules| rules.redirect_uri = format!("http://localhost:{port}/callback")).await;
    let error = session.token().await.unwrap_err();
    assert!(matches!(&error, AuthError::CallbackPort { port: taken, .. } if *taken == port), "{error:?}");
    assert_eq!(person.asked.load(Ordering::SeqCst), 0, "no browser was opened");
}

#[tokio::test]
async fn the_callback_can_be_pasted_and_other_addresses_are_rejected() {
    let (_, _served, person, session) = scene(Habit::Pastes, |_| {}).await;
    assert_eq!(session.token().await.unwrap().secret(), "a1");
    let complaints = person.complaints.lock().unwrap();
    assert!(complaints.len() == 1 && complaints[0].contains("not the end of this sign-in"), "{complaints:?}");
}

#[tokio::test]
async fn waiting_for_the_person_ends_in_time() {
    let (_, _served, person, session) = scene(Habit::LooksAway, |_| {}).await;
    let provider = session.provider().await.unwrap();
    let interaction = AtTheScreen::new(&person);
    let limit = Duration::from_millis(50);
    let outcome =
        pkce::sign_in_within(limit, session.http().unwrap(), &provider, &*interaction, &Default::default())
            .await;
    assert!(matches!(outcome, Err(AuthError::TimedOut { .. })), "{outcome:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn the_person_is_asked_once_for_many_tasks() {
    let (_, _served, person, session) = scene(Habit::SignsIn, |rules| rules.denies = true).await;
    let tasks: Vec<_> = (0..20)
        .map(|_| {
            let session = Arc::clone(&session);
            tokio::spawn(async move { session.token().await.map(drop).unwrap_err() })
        })
        .collect();
    for task in tasks {
        let error = task.await.unwrap();
        assert!(matches!(error, AuthError::AccessDenied { .. }), "{error:?}");
    }
    assert_eq!(person.asked.load(Ordering::SeqCst), 1);
    // A later call asks the person again.
    assert!(session.token().await.is_err());
    assert_eq!(person.asked.load(Ordering::SeqCst), 2);
}

#[tokio::test]
async fn an_aborted_call_frees_the_port_and_the_lock() {
    let (realm, _served, person, session) = scene(Habit::LooksAway, |_| {}).await;
    let caller = tokio::spawn({
        let session = Arc::clone(&session);
        async move { session.token().await }
    });
    while person.asked.load(Ordering::SeqCst) == 0 {
        tokio::task::yield_now().await;
    }
    caller.abort();
    // The next call asks the person again, on the same port.
    let next = tokio::spawn(async move { session.login().await });
    while person.asked.load(Ordering::SeqCst) == 1 {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    let port = Url::parse(&realm.seen().redirect_uri).unwrap().port().unwrap();
    assert!(std::net::TcpListener::bind(("127.0.0.1", port)).is_err(), "the port is in use again");
    next.abort();
}

#[tokio::test]
async fn signing_out_revokes_at_the_server() {
    let (realm, _served, _, session) = scene(Habit::SignsIn, |_| {}).await;
    session.token().await.unwrap();
    let outcome = session.logout().await.unwrap();
    assert!(outcome.was_signed_in && outcome.revoked);
    assert_eq!(realm.count("revoke r1"), 1, "revoking the refresh token revokes its access tokens");
    assert!(!session.status().await.unwrap().signed_in);
    assert!(!session.logout().await.unwrap().was_signed_in);
}

#[tokio::test]
async fn a_login_that_cannot_be_stored_is_used_until_the_process_ends() {
    let (_realm, _served, person, session) = scene(Habit::SignsIn, |_| {}).await;
    session.use_store_for_test(Arc::new(Narrow));
    assert_eq!(session.token().await.unwrap().secret(), "a1");
    assert_eq!(session.token().await.unwrap().secret(), "a1");
    assert_eq!(person.asked.load(Ordering::SeqCst), 1);
    // Who signs in explicitly wants a login that stays.
    let error = session.login().await.unwrap_err();
    assert!(matches!(error, AuthError::Store(StoreError::TooLarge { limit: 1280 })), "{error:?}");
    // That one is usable too.
    assert_eq!(session.token().await.unwrap().secret(), "a2");
}
