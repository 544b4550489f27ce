//! Signing in on another device, over HTTP. `flows/device/tests.rs` has the tests of intervals and expiry.

use super::*;
use crate::{AuthError, flows::device::DeviceCode};

/// A person with another device, and perhaps a browser on this machine.
#[derive(Debug, Default)]
struct WithTelephone {
    browser: bool,
    codes: Mutex<Vec<DeviceCode>>,
    links: Mutex<Vec<Url>>,
    notices: AtomicUsize,
}

#[async_trait::async_trait]
impl Interaction for WithTelephone {
    fn is_interactive(&self) -> bool {
        true
    }
    fn has_browser(&self) -> bool {
        self.browser
    }
    async fn open_browser(&self, _: &Url) -> bool {
        false
    }
    fn authorize_url(&self, url: &Url, _: bool) {
        self.links.lock().unwrap().push(url.clone());
    }
    fn device_instead(&self) {
        self.notices.fetch_add(1, Ordering::SeqCst);
    }
    fn device_code(&self, code: &DeviceCode) {
        self.codes.lock().unwrap().push(code.clone());
    }
    fn waiting(&self, _: Option<&crate::Holder>) {}
    fn done(&self) {}
}

async fn scene(
    change: impl FnOnce(&mut SessionOptions),
    device: bool,
) -> (Arc<Realm>, Served, Arc<WithTelephone>, Arc<Session>) {
    let realm = Arc::new(Realm::default());
    realm.rules(|rules| rules.device = device);
    let served = realm.serve().await;
    let person = Arc::new(WithTelephone::default());
    let mut options = served.options(Arc::clone(&person) as Arc<dyn Interaction>);
    options.auth_type_chosen = false;
    change(&mut options);
    (realm, served, person, Session::new(options))
}

#[tokio::test]
async fn the_code_is_shown_and_the_login_is_stored_and_renewed() {
    let (realm, served, person, session) =
        scene(|options| options.auth_type = AuthType::DeviceFlow, true).await;
    assert_eq!(session.token().await.unwrap().secret(), "a1");
    let codes = person.codes.lock().unwrap().clone();
    assert_eq!((codes.len(), codes[0].user_code.as_str()), (1, "TKBJ-XFFW"));
    assert_eq!(codes[0].url, served.url("activate?user_code=TKBJ-XFFW"));
    assert_eq!(person.notices.load(Ordering::SeqCst), 0);
    let forms = realm.forms.lock().unwrap().clone();
    assert_eq!(
        (forms[0].0["client_id"].as_str(), forms[0].0["scope"].as_str()),
        ("flyte", "openid offline_access")
    );
    assert_eq!(forms[0].0["audience"], "the-audience");
    assert_eq!(forms[1].0["client_id"], "flyte");
    session.options().clock.advance(3599);
    assert_eq!(session.token().await.unwrap().secret(), "a2", "renewed with the refresh token");
    assert_eq!(person.codes.lock().unwrap().len(), 1);
}

#[tokio::test]
async fn without_a_browser_the_person_is_notified_and_uses_another_device() {
    let (_, _served, person, session) = scene(|_| {}, true).await;
    session.token().await.unwrap();
    assert_eq!((person.notices.load(Ordering::SeqCst), person.codes.lock().unwrap().len()), (1, 1));
    assert!(!session.is_of_another_mode_for_test().await, "the next command uses it too");
}

#[tokio::test]
async fn the_browser_flow_stays_if_it_was_chosen_or_there_is_no_device_flow() {
    let chosen = |options: &mut SessionOptions| options.auth_type_chosen = true;
    let open = |_: &mut SessionOptions| {};
    for (change, device) in [(&chosen as &dyn Fn(&mut SessionOptions), true), (&open, false)] {
        let (_, _served, person, session) = scene(change, device).await;
        let signing_in = tokio::spawn(async move { session.token().await });
        while person.links.lock().unwrap().is_empty() {
            assert!(!signing_in.is_finished());
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        signing_in.abort();
        assert!(
            person.links.lock().unwrap()[0].path() == "/authorize",
            "the link can be opened on another machine"
        );
        assert!(person.codes.lock().unwrap().is_empty());
    }
}

#[tokio::test]
async fn headless_applies_to_this_sign_in_only() {
    let (_, _served, person, session) = scene(
        |options| {
            options.headless = true;
            options.auth_type_chosen = true;
        },
        true,
    )
    .await;
    session.token().await.unwrap();
    assert_eq!(person.codes.lock().unwrap().len(), 1);
    assert!(!session.is_of_another_mode_for_test().await);
}

#[tokio::test]
async fn a_server_without_device_flow_is_an_error() {
    let (_, _served, _, session) = scene(|options| options.auth_type = AuthType::DeviceFlow, false).await;
    let error = session.token().await.unwrap_err();
    assert!(matches!(&error, AuthError::NoDeviceFlow { .. }) && error.is_authentication(), "{error:?}");
}
