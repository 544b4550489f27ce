//! Calls that need another sign-in (RFC 9470).

use super::{
    person::{AtTheScreen, Habit, Person},
    transport::send,
    *,
};
use crate::{AuthError, Holder, StepUp, Unattended, api_key::ApiKey, flows::device::DeviceCode};

async fn at_a_terminal() -> (Arc<Realm>, Served, Arc<Person>, Arc<Session>) {
    let realm = Arc::new(Realm::default());
    let served = realm.serve().await;
    let person = Person::new(&served, Habit::SignsIn);
    let session = served.session(AtTheScreen::new(&person));
    session.keep_for_test(&login("a0", "r0")).await;
    (realm, served, person, session)
}

#[tokio::test]
async fn the_person_signs_in_and_the_call_is_repeated() {
    let (realm, served, person, session) = at_a_terminal().await;
    let answer = send(&session, served.url("x.Y/StepUp"), b"body").await;
    assert_eq!(answer.unwrap(), (200, Bytes::from_static(b"body")));
    let request = realm.request.lock().unwrap().clone();
    assert_eq!((request["max_age"].as_str(), request["acr_values"].as_str()), ("900", "a b"));
    let calls = realm.calls.lock().unwrap().clone();
    let tokens: Vec<_> = calls.iter().map(|(token, _)| token.as_deref().unwrap()).collect();
    assert_eq!(tokens, ["Bearer a0", "Bearer a1"]);
    assert_eq!(calls[0].1, calls[1].1, "one call, one request id");
    assert_eq!(realm.count("token"), 1, "no refresh: it would not help");
    assert_eq!(session.token().await.unwrap().secret(), "a1", "it is the current login");
    // Other calls need no new sign-in.
    assert_eq!(send(&session, served.url("x.Y/GetZ"), b"").await.unwrap().0, 200);
    assert_eq!(person.asked.load(Ordering::SeqCst), 1);
}

#[tokio::test]
async fn an_insufficient_sign_in_is_not_repeated() {
    let (realm, served, person, session) = at_a_terminal().await;
    let error = send(&session, served.url("x.Y/StepUpForEver"), b"").await.unwrap_err();
    assert!(matches!(&error, AuthError::StepUpRequired { tried: true, .. }), "{error}");
    assert!(error.to_string().contains("was not enough"), "{error}");
    assert_eq!((realm.count("StepUpForEver"), realm.count("token")), (2, 1));
    assert_eq!(person.asked.load(Ordering::SeqCst), 1);
}

#[tokio::test]
async fn concurrent_tasks_ask_the_person_once() {
    let (realm, served, person, session) = at_a_terminal().await;
    let calls = (0..5).map(|_| send(&session, served.url("x.Y/StepUp"), b""));
    let answers = futures_util::future::join_all(calls).await;
    assert!(answers.into_iter().all(|answer| answer.unwrap().0 == 200));
    assert_eq!((person.asked.load(Ordering::SeqCst), realm.count("token")), (1, 1));
}

#[tokio::test]
async fn without_a_person_the_login_stays_and_the_error_names_the_requirement() {
    let realm = Arc::new(Realm::default());
    let served = realm.serve().await;
    let session = served.session(Arc::new(Unattended));
    session.keep_for_test(&login("a0", "r0")).await;
    let error = send(&session, served.url("x.Y/StepUp"), b"").await.unwrap_err();
    let fifteen_minutes = Some(Duration::from_secs(900));
    assert!(
        matches!(&error, AuthError::StepUpRequired { tried: false, max_age, .. } if *max_age == fifteen_minutes),
        "{error}"
    );
    assert!(error.is_authentication());
    assert!(error.to_string().contains("a sign-in of the last 15 minutes"), "{error}");

    assert_eq!((realm.count("StepUp"), realm.count("token")), (1, 0), "not repeated and not refreshed");
    assert_eq!(session.cached().await.unwrap().secret(), "a0");
    // A sign-in that meets the requirement works.
    let person = Person::new(&served, Habit::SignsIn);
    let terminal = served.session(AtTheScreen::new(&person));
    terminal.login_with(StepUp::within(Duration::from_secs(900))).await.unwrap();
    assert_eq!(realm.request.lock().unwrap()["max_age"], "900");
    assert_eq!(send(&terminal, served.url("x.Y/StepUp"), b"").await.unwrap().0, 200);
    assert_eq!(person.asked.load(Ordering::SeqCst), 1);
}

#[tokio::test]
async fn a_machine_cannot_sign_in() {
    let realm = Arc::new(Realm::default());
    let served = realm.serve().await;
    let key = ApiKey {
        endpoint: served.endpoint(),
        client_id: ClientId::parse("ci").unwrap(),
        client_secret: SecretString::from("s3 cr:et"),
        org: None,
    };
    let person = Person::new(&served, Habit::SignsIn);
    let session = Session::new(served.options(AtTheScreen::new(&person)).with_api_key(key));
    let error = send(&session, served.url("x.Y/StepUp"), b"").await.unwrap_err();
    assert!(matches!(&error, AuthError::StepUpRequired { .. }), "{error}");
    assert_eq!(person.asked.load(Ordering::SeqCst), 0, "a person cannot sign in for a machine");
}

/// A person with another device.
#[derive(Debug)]
struct WithTelephone;

#[async_trait::async_trait]
impl Interaction for WithTelephone {
    fn is_interactive(&self) -> bool {
        true
    }
    fn authorize_url(&self, _: &Url, _: bool) {}
    fn device_code(&self, _: &DeviceCode) {}
    fn waiting(&self, _: Option<&Holder>) {}
    fn done(&self) {}
}

#[tokio::test]
async fn the_device_flow_sends_the_required_age() {
    let realm = Arc::new(Realm::default());
    realm.rules(|rules| rules.device = true);
    let served = realm.serve().await;
    let options =
        SessionOptions { auth_type: AuthType::DeviceFlow, ..served.options(Arc::new(WithTelephone)) };
    let session = Session::new(options);
    let mut known = login("a0", "r0");
    if let Some(details) = &mut known.details {
        details.auth_type = "DeviceFlow".to_owned();
    }
    session.keep_for_test(&known).await;
    assert_eq!(send(&session, served.url("x.Y/StepUp"), b"").await.unwrap().0, 200);
    assert_eq!(realm.forms.lock().unwrap()[0].0["max_age"], "900");
}
