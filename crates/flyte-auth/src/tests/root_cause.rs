//! Errors name the root cause, not its consequence.

use super::{
    person::{AtTheScreen, Habit, Person},
    transport::send,
    *,
};
use crate::{AuthError, ConnectFailure, Unattended};

#[tokio::test]
async fn a_job_without_a_login_learns_why_the_server_is_unreachable() {
    let served = Arc::new(Realm::default()).serve().await;
    let failure = |options: SessionOptions| async {
        match Session::new(options).token().await.unwrap_err() {
            error @ AuthError::Unreachable { .. } => {
                assert!(!error.is_authentication(), "{error}");
                let AuthError::Unreachable { failure, .. } = error else { unreachable!() };
                failure
            }
            error => panic!("{error}"),
        }
    };
    let options = || served.options(Arc::new(Unattended));
    let unused = format!("localhost:{}", free_port()).parse().unwrap();
    assert_eq!(failure(SessionOptions { endpoint: unused, ..options() }).await, ConnectFailure::Refused);
    let distrusting = SessionOptions { http: HttpOptions::default(), ..options() };
    assert_eq!(failure(distrusting).await, ConnectFailure::UnknownAuthority);
    // If only the login is missing, the error says so.
    let error = Session::new(options()).token().await.unwrap_err();
    assert!(matches!(error, AuthError::LoginRequired { .. }), "{error}");
}

#[tokio::test]
async fn a_control_plane_without_a_sign_in_is_recognized() {
    let realm = Arc::new(Realm::default());
    realm.rules(|rules| rules.plain = true);
    let served = realm.serve().await;
    let person = Person::new(&served, Habit::SignsIn);
    let at_terminal = served.session(AtTheScreen::new(&person));
    let job = served.session(Arc::new(Unattended));
    for error in [
        at_terminal.login().await.unwrap_err(),
        at_terminal.token().await.unwrap_err(),
        job.token().await.unwrap_err(),
        send(&job, served.url("flyteidl2.auth.IdentityService/UserInfo"), b"").await.unwrap_err(),
    ] {
        assert!(matches!(error, AuthError::NoSignIn { .. }), "{error}");
    }
    assert_eq!(person.asked.load(Ordering::SeqCst), 0);
}

#[tokio::test]
async fn any_refusal_of_a_refresh_leads_to_a_sign_in_and_keeps_the_login_until_it_works() {
    let realm = Arc::new(Realm::default());
    let served = realm.serve().await;
    let refusal = r#"{"error": "bad_refresh_token", "error_description": "it was revoked"}"#;
    for status in [200, 400] {
        // The access token has expired.
        let mut dead = login("a0", "r0");
        dead.details.as_mut().unwrap().expires_at = Some(NOW - 1);
        realm.rules(|rules| rules.fault = Some((status, refusal)));
        let person = Person::new(&served, Habit::SignsIn);
        let session = served.session(AtTheScreen::new(&person));
        session.keep_for_test(&dead).await;
        // The sign-in fails too: the token endpoint refuses everything.
        assert!(session.token().await.is_err());
        assert_eq!(person.asked.load(Ordering::SeqCst), 1, "the sign-in was offered");
        assert!(session.status().await.unwrap().signed_in, "the old tokens are still there");
        realm.rules(|rules| rules.fault = None);

        let job = served.session(Arc::new(Unattended));
        job.keep_for_test(&dead).await;
        realm.rules(|rules| rules.fault = Some((status, refusal)));
        let error = job.token().await.unwrap_err();
        assert!(matches!(error, AuthError::SessionEnded { .. }), "{error}");
        assert!(error.to_string().contains("it was revoked"), "the server's own words: {error}");
    }
}
