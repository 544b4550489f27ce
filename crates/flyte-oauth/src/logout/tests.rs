//! The logout endpoint, through the router.

use serde_json::Value;

use crate::fixture::{Browser, Server, encode};

/// Signs in to `flyte` with this browser; returns the tokens.
async fn tokens(server: &Server, browser: &mut Browser<'_>) -> Value {
    let code = browser.authorize(&[]).await.query("code");
    server.redeem(&code).await.json()
}

fn path(pairs: &[(&str, &str)]) -> String {
    format!("/oauth2/logout?{}", encode(pairs))
}

async fn is_signed_in(browser: &mut Browser<'_>) -> bool {
    browser.authorize(&[("prompt", "none")]).await.query("error").is_empty()
}

#[tokio::test]
async fn an_id_token_of_the_session_signs_out_without_a_question() {
    let server = Server::start().await;
    let mut browser = server.browser("Ada").await;
    let tokens = tokens(&server, &mut browser).await;
    let elsewhere = server.tokens().await;
    // The ID token may have expired.
    server.state.clock.advance(3600 * 3);
    let tokens = server.refresh(tokens["refresh_token"].as_str().unwrap()).await.json();
    let access = tokens["access_token"].as_str().unwrap();
    assert_eq!(server.userinfo(access).await.status, 200);
    let hint = tokens["id_token"].as_str().unwrap();
    server.state.clock.advance(3599);
    let query = path(&[
        ("id_token_hint", hint),
        ("client_id", "flyte"),
        ("post_logout_redirect_uri", "http://127.0.0.1:9/bye"),
        ("state", "a b+c"),
    ]);
    let answer = browser.get(&query).await;
    assert_eq!(answer.location(), "http://127.0.0.1:9/bye?state=a%20b%2Bc");
    assert!(!is_signed_in(&mut browser).await);
    assert_eq!(server.userinfo(access).await.status, 401, "immediately");
    assert_eq!(server.refresh(tokens["refresh_token"].as_str().unwrap()).await.error(), "invalid_grant");
    let other = server.refresh(elsewhere["refresh_token"].as_str().unwrap()).await;
    assert_eq!(other.status, 200, "another browser's session continues");
}

#[tokio::test]
async fn without_a_redirect_there_is_a_page() {
    let server = Server::start().await;
    let mut browser = server.browser("Ada").await;
    let tokens = tokens(&server, &mut browser).await;
    let answer = browser.get(&path(&[("id_token_hint", tokens["id_token"].as_str().unwrap())])).await;
    assert_eq!(answer.status, 200);
    assert!(!answer.headers.contains_key("location"));
    assert!(!is_signed_in(&mut browser).await);
}

#[tokio::test]
async fn without_an_id_token_of_the_session_the_user_is_asked() {
    let server = Server::start().await;
    let others = server.tokens().await;
    let other_session = others["id_token"].as_str().unwrap();
    for pairs in [
        &[][..],
        &[("client_id", "flyte")],
        &[("id_token_hint", other_session)],
        &[("id_token_hint", "e30.e30.e30")],
        &[("id_token_hint", others["access_token"].as_str().unwrap())],
    ] {
        let mut browser = server.browser("Ada").await;
        let tokens = tokens(&server, &mut browser).await;
        let page = browser.get(&path(pairs)).await;
        assert_eq!(page.status, 200, "{pairs:?}");
        assert!(page.text().contains("ada@example.com"), "{pairs:?}");
        assert!(is_signed_in(&mut browser).await, "{pairs:?}");
        assert_eq!(browser.press(&page, "/oauth2/logout", "stay").await.status, 200);
        assert!(is_signed_in(&mut browser).await, "{pairs:?}");
        let answer = browser.press(&page, "/oauth2/logout", "sign-out").await;
        assert_eq!(answer.status, 200);
        assert!(!is_signed_in(&mut browser).await, "{pairs:?}");
        assert_eq!(server.refresh(tokens["refresh_token"].as_str().unwrap()).await.error(), "invalid_grant");
    }
    assert_eq!(server.refresh(others["refresh_token"].as_str().unwrap()).await.status, 200);
}

#[tokio::test]
async fn signing_out_of_the_browser_only_keeps_programs_signed_in() {
    let server = Server::start().await;
    let mut browser = server.browser("Ada").await;
    let tokens = tokens(&server, &mut browser).await;
    let page = browser.get("/oauth2/logout").await;
    // The page offers and describes both.
    let text = page.text();
    assert!(
        text.contains("sign-out-browser") && text.contains("everywhere") && text.contains("terminals"),
        "{text}"
    );
    assert_eq!(browser.press(&page, "/oauth2/logout", "sign-out-browser").await.status, 200);
    assert!(!is_signed_in(&mut browser).await);
    assert_eq!(server.refresh(tokens["refresh_token"].as_str().unwrap()).await.status, 200);
}

#[tokio::test]
async fn the_question_leads_back_to_the_client() {
    let server = Server::start().await;
    let mut browser = server.browser("Ada").await;
    let pairs = [
        ("client_id", "web app"),
        ("post_logout_redirect_uri", "https://web.example/bye?x=1"),
        ("state", "s\"<>&"),
    ];
    let page = browser.get(&path(&pairs)).await;
    let answer = browser.press(&page, "/oauth2/logout", "sign-out").await;
    assert_eq!(answer.location(), "https://web.example/bye?x=1&state=s%22%3C%3E%26");
}

#[tokio::test]
async fn only_the_page_can_confirm() {
    let server = Server::start().await;
    let mut browser = server.browser("Ada").await;
    browser.get("/oauth2/logout").await;
    let pairs = [("csrf", "AAAA"), ("request", ""), ("decision", "sign-out")];
    assert_eq!(browser.post("/oauth2/logout", &pairs).await.status, 403);
    // Without a CSRF token it is a client's request, for which the user is asked.
    let answer = browser.post("/oauth2/logout", &pairs[1..]).await;
    let page = browser.get(answer.location()).await;
    assert_eq!(page.status, 200);
    assert!(is_signed_in(&mut browser).await);
}

#[tokio::test]
async fn contradictory_requests_are_refused_and_end_nothing() {
    let server = Server::start().await;
    let mut browser = server.browser("Ada").await;
    let tokens = tokens(&server, &mut browser).await;
    let hint = ("id_token_hint", tokens["id_token"].as_str().unwrap());
    let back = "post_logout_redirect_uri";
    for pairs in [
        &[hint, (back, "https://evil.example/")][..],
        &[hint, (back, "http://127.0.0.1:9/bye2")],
        &[hint, (back, "https://web.example/bye?x=1")],
        &[hint, ("client_id", "native")],
        &[hint, ("client_id", "flyte"), ("client_id", "flyte")],
        &[hint, ("state", "1"), ("state", "2")],
        &[(back, "http://127.0.0.1:9/bye")],
        &[("client_id", "unknown"), (back, "http://127.0.0.1:9/bye")],
        &[("id_token_hint", "e30.e30.e30"), (back, "http://127.0.0.1:9/bye")],
    ] {
        let answer = browser.get(&path(pairs)).await;
        assert_eq!(answer.status, 400, "{pairs:?}");
        assert!(!answer.headers.contains_key("location"), "{pairs:?}");
    }
    assert!(is_signed_in(&mut browser).await);
    assert_eq!(server.refresh(tokens["refresh_token"].as_str().unwrap()).await.status, 200);
}

#[tokio::test]
async fn without_a_session_the_browser_is_redirected() {
    let server = Server::start().await;
    let mut browser = server.stranger();
    assert_eq!(browser.get("/oauth2/logout").await.status, 200);
    let pairs = [("client_id", "flyte"), ("post_logout_redirect_uri", "http://127.0.0.1:9/bye")];
    assert_eq!(browser.get(&path(&pairs)).await.location(), "http://127.0.0.1:9/bye");
}

#[tokio::test]
async fn a_form_becomes_a_query() {
    let server = Server::start().await;
    let pairs = [("client_id", "flyte"), ("state", "a&b")];
    assert_eq!(server.post("/oauth2/logout", &pairs).await.location(), path(&pairs));
}
