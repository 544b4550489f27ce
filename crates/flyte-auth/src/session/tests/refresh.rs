//! A refresh token is used once, stored, and never lost.

use super::*;
use crate::session::refresh::Refreshed;

#[tokio::test]
async fn a_refresh_whose_answer_was_lost_is_sent_again_at_once() {
    let scene = Scene::new(-10, Behaviour::LosesItsAnswer).await;
    assert_eq!(scene.session().token().await.unwrap().secret(), "a1");
    assert_eq!(scene.requests(), 2);
    assert_eq!(scene.store.refresh_token().as_deref(), Some("r1"));
}

#[tokio::test]
async fn a_refresh_token_is_sent_to_its_own_issuer_only() {
    let scene = Scene::new(-10, Behaviour::Rotates).await;
    let set_issuer = |issuer: &str| {
        let mut login = login("a0", "r0", "Pkce", NOW - 10);
        login.details.as_mut().unwrap().issuer = issuer.to_owned();
        *scene.store.login.lock().unwrap() = Some(login);
    };
    set_issuer("https://another.example");
    let session = scene.session();
    assert!(matches!(session.token().await, Err(AuthError::LoginRequired { .. })));
    assert!(!session.logout().await.unwrap().revoked);
    assert_eq!(scene.requests(), 0);
    set_issuer(&scene.provider.issuer);
    assert_eq!(scene.session().token().await.unwrap().secret(), "a1");
}

#[tokio::test(flavor = "multi_thread")]
async fn tasks_that_wait_for_one_refresh_share_its_failure() {
    let scene = Scene::new(-10, Behaviour::IsSlowAndFails).await;
    let session = scene.session();
    let tasks: Vec<_> = (0..20)
        .map(|_| {
            let session = Arc::clone(&session);
            tokio::spawn(async move { session.token().await.map(drop).unwrap_err() })
        })
        .collect();
    for task in tasks {
        assert!(matches!(task.await.unwrap(), AuthError::BadAnswer { .. }));
    }
    assert_eq!(scene.requests(), 1);
    // A later task sends a new request.
    assert!(session.token().await.is_err());
    assert_eq!(scene.requests(), 2);
}

#[tokio::test]
async fn only_invalid_grant_ends_a_session() {
    for behaviour in
        [Behaviour::Fails(500), Behaviour::Fails(503), Behaviour::Fails(200), Behaviour::Fails(404)]
    {
        let scene = Scene::new(-10, behaviour).await;
        let session = scene.session();
        let outcome = session.token().await;
        assert!(
            matches!(outcome, Err(AuthError::BadAnswer { .. } | AuthError::Busy { .. })),
            "{behaviour:?}"
        );
        assert_eq!(scene.store.refresh_token().as_deref(), Some("r0"), "{behaviour:?}");
        *scene.issuer.behaviour.lock().unwrap() = Behaviour::Rotates;
        assert_eq!(session.token().await.unwrap().secret(), "a1", "{behaviour:?}");
    }
    let mut scene = Scene::new(-10, Behaviour::Rotates).await;
    // Nothing listens on this port, which was free a moment ago.
    let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    scene.provider.token_endpoint = format!("http://{free}/token").parse().unwrap();
    let refused = scene.session().token().await.unwrap_err();
    assert!(
        matches!(refused, AuthError::Unreachable { failure: crate::ConnectFailure::Refused, .. }),
        "{refused:?}"
    );
    assert_eq!(scene.store.refresh_token().as_deref(), Some("r0"));

    let scene = Scene::new(-10, Behaviour::Rotates).await;
    scene.issuer.generation.store(7, Ordering::SeqCst);
    assert!(matches!(scene.session().token().await, Err(AuthError::SessionEnded { .. })));
    assert_eq!(scene.store.refresh_token(), None);
    assert!(matches!(scene.session().token().await, Err(AuthError::LoginRequired { .. })));
}

#[tokio::test]
async fn the_refresh_token_stays_if_the_answer_has_none() {
    let scene = Scene::new(-10, Behaviour::KeepsRefreshToken).await;
    assert_eq!(scene.session().token().await.unwrap().secret(), "fresh");
    assert_eq!(scene.store.refresh_token().as_deref(), Some("r0"));
}

#[tokio::test]
async fn a_refresh_token_is_not_used_if_its_successor_cannot_be_stored() {
    let scene = Scene::new(-10, Behaviour::Rotates).await;
    scene.store.full.store(true, Ordering::SeqCst);
    assert!(matches!(scene.session().token().await, Err(AuthError::Store(_))));
    assert_eq!(scene.requests(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sent_refresh_finishes_without_its_caller() {
    let scene = Scene::new(-10, Behaviour::IsSlow).await;
    let session = scene.session();
    let caller = tokio::spawn({
        let session = Arc::clone(&session);
        async move { session.token().await }
    });
    while scene.requests() == 0 {
        tokio::task::yield_now().await;
    }
    caller.abort();
    // The next caller waits for the same refresh instead of sending the old token again.
    assert_eq!(session.token().await.unwrap().secret(), "a1");
    assert_eq!(scene.requests(), 1);
}

#[tokio::test]
async fn a_rejected_token_is_not_used_again() {
    let scene = Scene::new(3600, Behaviour::Rotates).await;
    let session = scene.session();
    let token = session.token().await.unwrap();
    session.invalidate(&token);
    *write(&session.provider) = Some(Arc::new(scene.provider.clone()));
    assert_eq!(session.token().await.unwrap().secret(), "a1");
}

#[tokio::test]
async fn a_tool_that_takes_no_lock_may_rotate_meanwhile() {
    let scene = Scene::new(-10, Behaviour::Rotates).await;
    scene.issuer.generation.store(1, Ordering::SeqCst);
    let session = scene.session();
    let stale = scene.store.load().await.unwrap().unwrap();
    *scene.store.login.lock().unwrap() = Some(login("a1", "r1", "Pkce", NOW + 3600));
    let Ok(Refreshed::Token(token)) = session.refresh_login(&*scene.store, &stale).await else {
        panic!("the login continues");
    };
    assert_eq!((token.secret(), scene.requests()), ("a1", 1));
}
