//! Forms that were not sent from the server's pages.

use super::*;

async fn refused(browser: &mut Browser<'_>, csrf: &str) -> Page {
    let server = browser.server;
    let hashes = server.state.passwords.computed();
    let page =
        browser.post("/login", &[("csrf", csrf), ("email", "ada@example.com"), ("password", PASSWORD)]).await;
    assert_eq!(page.status, StatusCode::FORBIDDEN);
    assert_eq!(server.state.passwords.computed(), hashes, "the password is not checked");
    page
}

#[tokio::test]
async fn a_form_without_the_browsers_token_is_refused() {
    let server = Server::start().await;
    let mut browser = server.browser();
    let good = browser.csrf().await;
    let mut other = server.browser();
    let others = other.csrf().await;
    for csrf in ["", "garbage", &others, &good[1..], &format!("{good}A"), &good.to_lowercase()] {
        refused(&mut browser, csrf).await;
    }
    refused(&mut server.browser(), &good).await;

    // An attacker's page has no token, and the browser sends the origin of the form.
    for site in ["cross-site", "same-site"] {
        let request = Request::post("/login")
            .header(header::CONTENT_TYPE, "application/x-www-form-urlencoded")
            .header("sec-fetch-site", site);
        let body = format!("csrf={good}&email=ada%40example.com&password=correct+horse+battery");
        assert_eq!(browser.send(request, body).await.status, StatusCode::FORBIDDEN);
    }
}

#[tokio::test]
async fn the_refusal_contains_a_working_form() {
    let server = Server::start().await;
    let mut browser = server.browser();
    let page = refused(&mut browser, "").await;
    assert!(page.body.contains("This page was out of date."));
    assert_eq!(page.field("email").unwrap(), "ada@example.com");
    let csrf = page.field("csrf").unwrap();
    let fields = [("csrf", csrf.as_str()), ("email", "ada@example.com"), ("password", PASSWORD)];
    assert_eq!(browser.post("/login", &fields).await.location(), "/");
}

#[tokio::test]
async fn a_token_is_invalid_in_another_session() {
    let server = Server::start().await;
    let mut browser = server.browser();
    let before = browser.csrf().await;
    browser.sign_in("ada@example.com", PASSWORD).await;
    refused(&mut browser, &before).await;
    let first = browser.csrf().await;
    browser.sign_in("ada@example.com", PASSWORD).await;
    refused(&mut browser, &first).await;
}

#[tokio::test]
async fn an_invalid_body_gets_a_page() {
    let server = Server::start().await;
    let mut browser = server.browser();
    let form = |kind: &str| Request::post("/login").header(header::CONTENT_TYPE, kind);
    let page = browser.send(form("application/json"), "{}".to_owned()).await;
    assert_eq!(page.status, StatusCode::UNSUPPORTED_MEDIA_TYPE);
    assert!(page.body.contains("The form could not be read"));
    let page = browser.send(form("application/x-www-form-urlencoded"), "a".repeat(50_000)).await;
    assert_eq!(page.status, StatusCode::PAYLOAD_TOO_LARGE);
    let page = browser.send(form("application/x-www-form-urlencoded"), "email=a&email=b".to_owned()).await;
    assert!(page.status.is_client_error());
    // The longest request fits, with every byte percent-encoded.
    let longest = format!("/oauth2/authorize?{}", "%".repeat(8 * 1024 - 18));
    assert_eq!(browser.sign_in_for(&longest, "ada@example.com", PASSWORD).await.location(), longest);
}
