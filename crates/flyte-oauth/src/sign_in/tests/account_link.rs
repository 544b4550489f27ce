//! One-time links that set a password.

use super::*;
use flyte_identity::account_link::{self, LinkToken};
use flyte_model::clock::UnixTime;
use flyte_policy::{Binding, Subject};
use flyte_store::{AccountLink, LinkPurpose};
use secrecy::ExposeSecret as _;

pub(super) const NEW: &str = "a kettle over the quiet river";

/// Creates a link of Ada; returns the path of its page.
pub(super) async fn link(server: &Server, purpose: LinkPurpose, lifetime: UnixTime) -> String {
    link_by(server, None, purpose, lifetime).await
}

/// Creates a link of Ada that this user made.
async fn link_by(server: &Server, maker: Option<&str>, purpose: LinkPurpose, lifetime: UnixTime) -> String {
    let state = &server.state;
    let user = state.store.user_by_email("ada@example.com").await.unwrap().unwrap();
    let token = LinkToken::generate().unwrap();
    let link = account_link::link(&user, purpose, state.clock.now(), lifetime);
    let link = AccountLink { created_by: maker.map(str::to_owned), ..link };
    assert!(state.store.create_account_link(&link, &token.hash).await.unwrap());
    let url = token.url(&state.config, purpose).expose_secret().to_owned();
    url.strip_prefix("https://localhost:8443").unwrap().to_owned()
}

/// Sends the form of a link's page.
async fn send(browser: &mut Browser<'_>, page: &Page, path: &str, fields: &[(&str, &str)]) -> Page {
    let (csrf, token) = (page.field("csrf").unwrap(), page.field("token").unwrap());
    let fields = [&[("csrf", csrf.as_str()), ("token", token.as_str())], fields].concat();
    browser.post(path, &fields).await
}

#[tokio::test]
async fn a_link_sets_a_password_once_and_is_no_sign_in() {
    let server = Server::start().await;
    let mut signed_in = server.browser();
    signed_in.sign_in("ada@example.com", PASSWORD).await;
    for (purpose, path) in [(LinkPurpose::Password, "/reset"), (LinkPurpose::Invitation, "/invitation")] {
        let href = link(&server, purpose, 60).await;
        let (mut one, mut other) = (server.browser(), server.browser());
        // Opening it changes nothing, however often.
        for browser in [&mut one, &mut other] {
            let page = browser.get(&href).await;
            assert_eq!(page.status, 200, "{}", page.body);
            assert!(
                page.body.contains("Ada@example.com") && page.body.contains("minlength=\"15\""),
                "{}",
                page.body
            );
            assert_eq!(page.header(header::REFERRER_POLICY), "same-origin");
        }
        let (page, stale) = (one.get(&href).await, other.get(&href).await);
        let done = send(&mut one, &page, path, &[("password", NEW)]).await;
        assert_eq!(done.location(), format!("{path}?done=1"));
        assert!(one.get(&format!("{path}?done=1")).await.body.contains("Your password is set"));
        assert!(one.cookie("__Host-flyte_session").is_none(), "a link is no sign-in");
        let late = send(&mut other, &stale, path, &[("password", "another kettle by the river")]).await;
        assert_eq!(late.status, StatusCode::GONE, "{}", late.body);
        assert_eq!(one.get(&href).await.status, StatusCode::GONE);
        assert_eq!(server.browser().sign_in("ada@example.com", NEW).await.location(), "/");
    }
    let state = &server.state;
    assert!(
        state.sessions.current(&signed_in.headers()).await.unwrap().is_none(),
        "the old password's session"
    );
}

#[tokio::test]
async fn a_link_that_has_ended_sets_no_password() {
    let server = Server::start().await;
    let mut browser = server.browser();
    let href = link(&server, LinkPurpose::Password, 60).await;
    let page = browser.get(&href).await;
    // It is for its own page only.
    let elsewhere = browser.get(&href.replace("/reset", "/invitation")).await;
    assert_eq!(elsewhere.status, StatusCode::GONE);
    assert_eq!(send(&mut browser, &page, "/invitation", &[("password", NEW)]).await.status, StatusCode::GONE);
    let newer = link(&server, LinkPurpose::Password, 60).await;
    assert_eq!(send(&mut browser, &page, "/reset", &[("password", NEW)]).await.status, StatusCode::GONE);
    let page = browser.get(&newer).await;
    server.browser().sign_in("ada@example.com", PASSWORD).await;
    assert_eq!(send(&mut browser, &page, "/reset", &[("password", NEW)]).await.status, StatusCode::GONE);
    let last = link(&server, LinkPurpose::Password, 60).await;
    let page = browser.get(&last).await;
    server.state.clock.advance(60);
    assert_eq!(send(&mut browser, &page, "/reset", &[("password", NEW)]).await.status, StatusCode::GONE);
    for unknown in ["/reset", "/reset?token=", "/reset?token=fll_x", "/invitation?token=%00"] {
        assert_eq!(browser.get(unknown).await.status, StatusCode::GONE, "{unknown}");
    }
    assert_eq!(server.browser().sign_in("ada@example.com", PASSWORD).await.location(), "/");
}

#[tokio::test]
async fn a_refused_password_keeps_the_link() {
    let server = Server::start().await;
    let mut browser = server.browser();
    let href = link(&server, LinkPurpose::Password, 60).await;
    let mut page = browser.get(&href).await;
    for (fields, why) in [
        (&[("password", "short")][..], "at least 15 characters"),
        (&[("password", "passwordpassword")], "easy to guess"),
        (&[("password", NEW), ("again", "a kettle over the quiet rivet")], "The two passwords differ"),
    ] {
        page = send(&mut browser, &page, "/reset", fields).await;
        assert_eq!(page.status, StatusCode::BAD_REQUEST, "{fields:?}");
        assert!(page.body.contains(why), "{why}: {}", page.body);
        assert!(!page.body.contains("passwordpassword"), "a password is not sent back");
    }
    let forged = browser.post("/reset", &[("csrf", "AAAA"), ("token", "x"), ("password", NEW)]).await;
    assert_eq!(forged.status, StatusCode::FORBIDDEN);
    let again = [("password", NEW), ("again", NEW)];
    assert_eq!(send(&mut browser, &page, "/reset", &again).await.location(), "/reset?done=1");
}

#[tokio::test]
async fn a_link_works_only_while_its_maker_has_all_that_the_account_has() {
    let server = Server::start().await;
    let store = &server.state.store;
    let role = |user: &str, role: &str| Binding {
        subject: Subject::user(user),
        role: role.to_owned(),
        limit: flyte_model::Limit::default(),
    };
    // Both are contributors.
    let of_maker = role("id-of-Elsewhere", "contributor");
    for purpose in [LinkPurpose::Invitation, LinkPurpose::Password] {
        let ada = store.user_by_email("ada@example.com").await.unwrap().unwrap();
        let href = link_by(&server, Some("id-of-Elsewhere"), purpose, 60).await;
        let mut browser = server.browser();
        let page = browser.get(&href).await;
        assert_eq!(page.status, 200, "{}", page.body);
        assert!(store.unbind_role(&of_maker).await.unwrap());
        let path = href.split('?').next().unwrap();
        assert_eq!(send(&mut browser, &page, path, &[("password", NEW)]).await.status, StatusCode::GONE);
        assert_eq!(browser.get(&href).await.status, StatusCode::GONE);
        assert_eq!(store.user_by_id(&ada.id).await.unwrap(), Some(ada), "nothing has happened");
        assert!(store.bind_role(&of_maker, 0).await.unwrap());
    }
    // The account gets more.
    let href = link_by(&server, Some("id-of-Elsewhere"), LinkPurpose::Invitation, 60).await;
    let mut browser = server.browser();
    let status = browser.get(&href).await.status;
    store.bind_role(&role("id-of-Ada", "admin"), 0).await.unwrap();
    assert_eq!((status.as_u16(), browser.get(&href).await.status), (200, StatusCode::GONE));
}
