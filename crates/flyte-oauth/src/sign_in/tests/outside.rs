//! Sign-in through an outside provider, with a provider that can lie.

mod accounts;
mod addresses;
mod invitations;
mod logout;
mod recheck;

use serde_json::{Value, json};
use url::Url;

use super::*;
use flyte_provider::testing::{TestProvider, settings};
use flyte_settings::ProviderConfig;
use flyte_store::{AuditQuery, OutsideIdentity};
use flyte_testing::NOW;

struct World {
    server: Server,
    remote: TestProvider,
}

impl World {
    async fn start() -> Self {
        Self::with(|_| {}).await
    }

    /// A server with the provider `corp`, and with the accounts of [`Server`].
    async fn with(change: impl FnOnce(&mut ProviderConfig)) -> Self {
        let remote = TestProvider::start().await;
        let mut corp = settings(&remote.url);
        change(&mut corp);
        Self { server: Server::with(|config| config.providers = vec![corp]).await, remote }
    }

    fn store(&self) -> &dyn flyte_store::Store {
        &*self.server.state.store
    }

    /// Connects the user `subject` of the provider to an account.
    async fn link(&self, subject: &str, user_id: &str) {
        let identity = OutsideIdentity {
            issuer: self.remote.url.clone(),
            subject: subject.to_owned(),
            provider: "corp".to_owned(),
            user_id: user_id.to_owned(),
            email: None,
            linked_at: NOW,
            last_sign_in_at: None,
        };
        assert!(self.store().link_outside_identity(&identity).await.unwrap());
    }

    /// The account that the user `subject` is connected to.
    async fn account(&self, subject: &str) -> Option<String> {
        Some(self.store().outside_identity(&self.remote.url, subject).await.unwrap()?.user_id)
    }

    async fn events(&self) -> Vec<(String, String)> {
        self.server.state.audit.flush().await;
        let query = AuditQuery { limit: 100, ..AuditQuery::default() };
        let (records, _) = self.store().list_audit_records(&query).await.unwrap();
        let reason =
            |record: &flyte_store::AuditRecord| record.details.get("reason").cloned().unwrap_or_default();
        records.iter().rev().map(|record| (record.record.event.clone(), reason(&record.record))).collect()
    }
}

/// Goes to the provider; returns the request there.
async fn begin(browser: &mut Browser<'_>, path: &str) -> Url {
    let page = browser.get(path).await;
    Url::parse(page.location()).unwrap()
}

/// The path with which the provider sends the browser back.
fn callback(request: &Url, code: &str) -> String {
    let state = request.query_pairs().find(|(name, _)| name == "state").unwrap().1.into_owned();
    let query = form_urlencoded::Serializer::new(String::new())
        .extend_pairs([("code", code), ("state", &state)])
        .finish();
    format!("/login/with/corp/callback?{query}")
}

/// Signs in at the provider with these claims, and comes back.
async fn sign_in(world: &World, browser: &mut Browser<'_>, claims: Value) -> Page {
    sign_in_for(world, browser, "/login/with/corp", claims).await
}

async fn sign_in_for(world: &World, browser: &mut Browser<'_>, path: &str, claims: Value) -> Page {
    world.remote.claim(claims);
    let request = begin(browser, path).await;
    let code = world.remote.sign_in(&request);
    browser.get(&callback(&request, &code)).await
}

/// The address of the account that a browser is signed in to.
async fn who(browser: &mut Browser<'_>) -> Option<String> {
    let signed_in = browser.server.state.sessions.current(&browser.headers()).await.unwrap();
    signed_in.map(|signed_in| signed_in.user.email)
}

fn title(page: &Page) -> &str {
    page.body.split_once("<h1>").unwrap().1.split_once("</h1>").unwrap().0
}

#[tokio::test]
async fn a_connected_user_signs_in_and_continues_where_they_were() {
    let world = World::start().await;
    world.link("u1", "id-of-Ada").await;
    let mut browser = world.server.browser();
    for return_to in [AUTHORIZE, "/device?user_code=WDJB-MJH7"] {
        let page = browser.get(&login_for(return_to)).await;
        assert!(
            page.body.contains("Continue with Corp") && page.body.contains("name=\"password\""),
            "{}",
            page.body
        );
        let href = page.body.split_once("href=\"/login/with/").unwrap().1.split_once('"').unwrap().0;
        let href = format!("/login/with/{}", href.replace("&#38;", "&"));
        let page = sign_in_for(&world, &mut browser, &href, json!({})).await;
        assert_eq!(page.status, 200, "{}", page.body);
        let target = page.body.split_once("0; url=").unwrap().1.split_once('"').unwrap().0;
        assert_eq!(target.replace("&#38;", "&"), return_to);
        assert_eq!(who(&mut browser).await.as_deref(), Some("Ada@example.com"));
    }
    let home = sign_in(&world, &mut browser, json!({})).await;
    assert!(home.body.contains("0; url=/\""), "{}", home.body);
    assert_eq!(world.events().await[0], ("signed_in".to_owned(), String::new()));
}

#[tokio::test]
async fn a_callback_belongs_to_the_browser_that_began_it() {
    let world = World::start().await;
    world.link("u1", "id-of-Ada").await;
    let (mut browser, mut other) = (world.server.browser(), world.server.browser());
    let request = begin(&mut browser, "/login/with/corp").await;
    let path = callback(&request, &world.remote.sign_in(&request));
    let _ = world.remote.asked();
    // Without the cookie, and with the cookie of another sign-in.
    for _ in 0..2 {
        let page = other.get(&path).await;
        assert_eq!((page.status.as_u16(), title(&page)), (400, "This sign-in is not known"));
        assert_eq!(who(&mut other).await, None);
        let _ = begin(&mut other, "/login/with/corp").await;
    }
    assert!(world.remote.asked().is_empty(), "the code was not spent");
    assert_eq!(browser.get(&path).await.status, 200);
    assert_eq!(browser.get(&path).await.status, 400, "state is used once");
    for bad in [
        "/login/with/corp/callback",
        "/login/with/corp/callback?code=c",
        "/login/with/corp/callback?state=a&state=b",
    ] {
        assert_eq!(browser.get(bad).await.status, 400, "{bad}");
    }
    assert_eq!(browser.get("/login/with/none").await.status, 404);
}

#[tokio::test]
async fn tabs_do_not_disturb_each_other_and_background_calls_get_nothing() {
    let world = World::start().await;
    world.link("u1", "id-of-Ada").await;
    let mut browser = world.server.browser();
    let first = begin(&mut browser, "/login/with/corp").await;
    let second = begin(&mut browser, "/login/with/corp").await;
    for request in [first, second] {
        let path = callback(&request, &world.remote.sign_in(&request));
        assert_eq!(browser.get(&path).await.status, 200);
    }
    let cookie = browser.cookie("__Host-flyte_provider").unwrap();
    assert_eq!(cookie.len(), 43, "a secret, no tokens");
    for (name, value) in [("sec-fetch-mode", "cors"), ("sec-purpose", "prefetch")] {
        let request = Request::get("/login/with/corp").header(name, value);
        let page = world.server.browser().send(request, String::new()).await;
        assert_eq!(page.status, 403);
        assert!(page.all(header::SET_COOKIE).is_empty());
    }
}

#[tokio::test]
async fn answers_of_another_issuer_and_errors_start_no_session() {
    let world = World::start().await;
    world.link("u1", "id-of-Ada").await;
    let mut browser = world.server.browser();
    for (extra, status, heading) in [
        ("&iss=https://other.example", 502, "The answer of Corp was not accepted"),
        ("&error=access_denied", 403, "The sign-in was cancelled"),
        ("&error=access_denied&iss=https://other.example", 502, "The answer of Corp was not accepted"),
        ("&error=%3Cscript%3E", 502, "Corp refused the sign-in"),
    ] {
        let request = begin(&mut browser, "/login/with/corp").await;
        let path = callback(&request, &world.remote.sign_in(&request));
        let _ = world.remote.asked();
        let page = browser.get(&format!("{path}{extra}")).await;
        assert_eq!((page.status.as_u16(), title(&page)), (status, heading), "{extra}");
        assert!(world.remote.asked().is_empty() && !page.body.contains("<script"));
        assert_eq!(who(&mut browser).await, None);
    }
    let page = sign_in(&world, &mut browser, json!({"nonce": "other"})).await;
    assert_eq!(page.status, 502);
    assert!(
        world
            .events()
            .await
            .contains(&("provider_sign_in_refused".to_owned(), "the ID token has another nonce".to_owned()))
    );
}

#[tokio::test]
async fn a_provider_that_is_down_leaves_the_other_ways() {
    let world = World::start().await;
    world.remote.answer("/.well-known/openid-configuration", 503, "text/plain", "");
    let mut browser = world.server.browser();
    let page = browser.get("/login/with/corp").await;
    assert_eq!((page.status.as_u16(), title(&page)), (503, "Corp is not available"));
    assert!(page.body.contains("Sign in another way"), "{}", page.body);
    assert!(browser.sign_in("ada@example.com", PASSWORD).await.location() == "/");
}

#[tokio::test]
async fn the_only_way_is_taken_at_once() {
    let remote = TestProvider::start().await;
    let corp = settings(&remote.url);
    let server = Server::with(|config| {
        config.providers = vec![corp.clone()];
        config.passwords = false;
    })
    .await;
    let mut browser = server.browser();
    let page = browser.get(&login_for(AUTHORIZE)).await;
    assert!(
        page.body.contains("http-equiv=\"refresh\" content=\"0; url=/login/with/corp?return_to="),
        "{}",
        page.body
    );
    assert!(!page.body.contains("name=\"password\""));
    let page = browser.post("/login", &[("email", "ada@example.com"), ("password", PASSWORD)]).await;
    assert_eq!((page.status.as_u16(), title(&page)), (403, "Passwords are turned off"));
    let other = ProviderConfig { name: "other".to_owned(), label: "Other".to_owned(), ..corp.clone() };
    let server = Server::with(|config| {
        config.providers = vec![corp, other];
        config.passwords = false;
    })
    .await;
    let page = server.browser().get("/login").await;
    assert!(!page.body.contains("refresh") && page.body.contains("Continue with Other"), "{}", page.body);
}

#[tokio::test]
async fn a_new_sign_in_is_asked_for_and_checked() {
    let world = World::start().await;
    world.link("u1", "id-of-Ada").await;
    let mut browser = world.server.browser();
    let path = format!(
        "/login/with/corp?return_to={}",
        flyte_pages::encode(&format!("{AUTHORIZE}&prompt=login&login_hint=ida%40corp.example"))
    );
    let request = begin(&mut browser, &path).await;
    let query = request.query().unwrap();
    for expected in ["max_age=0", "prompt=login", "login_hint=ida%40corp.example"] {
        assert!(query.contains(expected), "{query}");
    }
    let page = sign_in_for(&world, &mut browser, &path, json!({"auth_time": NOW - 600})).await;
    assert_eq!((page.status.as_u16(), title(&page)), (403, "A new sign-in is needed"));
    assert_eq!(sign_in_for(&world, &mut browser, &path, json!({"auth_time": NOW - 30})).await.status, 200);
    let authenticated_at = async |browser: &Browser<'_>| {
        let signed_in = world.server.state.sessions.current(&browser.headers()).await.unwrap();
        signed_in.unwrap().session.authenticated_at
    };
    assert_eq!(authenticated_at(&browser).await, NOW, "clocks differ");
    // Otherwise the sign-in is as old as the one at the provider. If it does not say so, the sign-in counts as old: the browser may
    // have passed there without one.
    for (claim, expected) in
        [(json!(NOW - 600), NOW - 600), (json!(null), NOW - 86_400), (json!(NOW + 600), NOW)]
    {
        sign_in(&world, &mut browser, json!({"auth_time": claim})).await;
        assert_eq!(authenticated_at(&browser).await, expected);
    }
    // The visitor chooses the largest age, so meeting it makes no sign-in new.
    let aged = flyte_pages::encode(&format!("{AUTHORIZE}&max_age=99999"));
    let path = format!("/login/with/corp?return_to={aged}");
    sign_in_for(&world, &mut browser, &path, json!({"auth_time": NOW - 600})).await;
    assert_eq!(authenticated_at(&browser).await, NOW - 600);
}
