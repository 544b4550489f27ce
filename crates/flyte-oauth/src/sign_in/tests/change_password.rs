//! The page on which a signed-in user changes the password.

use super::{account_link::NEW, *};

const PATH: &str = "/account/password";

async fn change(browser: &mut Browser<'_>, fields: &[(&str, &str)]) -> Page {
    let csrf = browser.get(PATH).await.field("csrf").unwrap();
    browser.post(PATH, &[&[("csrf", csrf.as_str())], fields].concat()).await
}

async fn is_signed_in(browser: &Browser<'_>) -> bool {
    browser.server.state.sessions.current(&browser.headers()).await.unwrap().is_some()
}

#[tokio::test]
async fn a_new_password_ends_the_other_sign_ins_if_wanted() {
    let server = Server::start().await;
    let (mut here, mut there) = (server.browser(), server.browser());
    assert_eq!(here.get(PATH).await.location(), "/login?return_to=%2Faccount%2Fpassword");
    here.sign_in("ada@example.com", PASSWORD).await;
    there.sign_in("ada@example.com", PASSWORD).await;
    let page = here.get(PATH).await;
    assert!(page.body.contains("name=\"everywhere\" type=\"checkbox\" value=\"1\" checked"), "{}", page.body);

    let kept = change(&mut here, &[("current", PASSWORD), ("password", NEW)]).await;
    assert_eq!(kept.location(), "/account/password?changed=1");
    assert!(here.get("/account/password?changed=1").await.body.contains("Your password was changed"));
    assert!(is_signed_in(&here).await && is_signed_in(&there).await);

    let before = here.cookie("__Host-flyte_session").unwrap().to_owned();
    let next = "another kettle by the quiet river";
    change(&mut here, &[("current", NEW), ("password", next), ("everywhere", "1")]).await.location();
    assert!(is_signed_in(&here).await && !is_signed_in(&there).await);
    assert_ne!(here.cookie("__Host-flyte_session").unwrap(), before, "a stolen cookie is worth nothing");
    assert_eq!(server.browser().sign_in("ada@example.com", PASSWORD).await.status, StatusCode::UNAUTHORIZED);
    assert_eq!(server.browser().sign_in("ada@example.com", next).await.location(), "/");
}

#[tokio::test]
async fn a_change_needs_the_current_password_and_a_good_new_one() {
    let server = Server::start().await;
    let mut browser = server.browser();
    browser.sign_in("ada@example.com", PASSWORD).await;
    for (fields, why) in [
        (&[("current", "not the password"), ("password", NEW)][..], "current password is wrong"),
        (&[("password", NEW)], "current password is wrong"),
        (&[("current", PASSWORD), ("password", "short")], "at least 15 characters"),
        (&[("current", PASSWORD), ("password", "example ada@example.com")], "e-mail address"),
        (&[("current", PASSWORD), ("password", PASSWORD)], "is the current one"),
        (&[("current", PASSWORD), ("password", NEW), ("again", "x")], "differ"),
    ] {
        let page = change(&mut browser, fields).await;
        assert_eq!(page.status, StatusCode::BAD_REQUEST, "{fields:?}");
        assert!(page.body.contains(why), "{why}: {}", page.body);
    }
    let fields = [("csrf", "AAAA"), ("current", PASSWORD), ("password", NEW)];
    assert_eq!(browser.post(PATH, &fields).await.status, StatusCode::FORBIDDEN);
    assert_eq!(server.browser().post(PATH, &fields).await.status, StatusCode::FORBIDDEN);
    // Guesses are slowed down as at the sign-in.
    let mut throttled = false;
    for n in 0..8 {
        let page = change(&mut browser, &[("current", &format!("guess {n}")), ("password", NEW)]).await;
        throttled |= page.body.contains("Too many failed attempts");
    }
    assert!(throttled);
}
