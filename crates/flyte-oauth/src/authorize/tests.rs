//! The authorization endpoint and the consent page, through the router.

use crate::{
    fixture::{Answer, REDIRECT_URI, Server, WEB_REDIRECT_URI, authorize_query, encode},
    parameters::MAX_QUERY_BYTES,
};
use flyte_model::ClientId;

/// A request of the third-party client.
const NATIVE: (&str, &str) = ("client_id", "native");

fn is_code(answer: &Answer) -> bool {
    let code = answer.query("code");
    assert_eq!(code.is_empty(), !answer.location().contains("code="), "{}", answer.location());
    !code.is_empty()
}

#[tokio::test]
async fn a_signed_in_user_returns_with_a_code() {
    let server = Server::start().await;
    let mut browser = server.browser("Ada").await;
    let answer = browser.authorize(&[("redirect_uri", "http://localhost:1/callback")]).await;
    assert!(answer.location().starts_with("http://localhost:1/callback?code=flc_"), "{}", answer.location());
    assert_eq!(answer.query("state"), "s t+a/t%e");
    assert_eq!(answer.query("iss"), "https://localhost:8443");
    assert_eq!(answer.headers["cache-control"], "no-store");
    assert_eq!(answer.headers["referrer-policy"], "no-referrer");
    assert!(!answer.headers.contains_key("access-control-allow-origin"));
    assert_eq!(answer.query("code").len(), 47);
    let again = browser.authorize(&[]).await;
    assert_ne!(answer.query("code"), again.query("code"));
    let stateless = browser.authorize(&[("state", "")]).await;
    assert!(is_code(&stateless) && !stateless.location().contains("state="));
}

#[tokio::test]
async fn without_a_valid_target_there_is_a_page_and_no_redirect() {
    let server = Server::start().await;
    let mut browser = server.browser("Ada").await;
    let long = "x".repeat(8 * 1024);
    for query in [
        authorize_query(&[("client_id", "")]),
        authorize_query(&[("client_id", "no-client")]),
        authorize_query(&[("client_id", "ada\u{e9}")]),
        authorize_query(&[("client_id", "flyte\0")]),
        authorize_query(&[("redirect_uri", "")]),
        authorize_query(&[("redirect_uri", "https://evil.example/callback")]),
        authorize_query(&[("redirect_uri", "http://localhost:53593/callback/")]),
        authorize_query(&[("redirect_uri", "http://localhost:1@evil.example/callback")]),
        authorize_query(&[("client_id", "web app"), ("redirect_uri", "https://web.example:443/cb?x=1")]),
        authorize_query(&[]) + "&client_id=flyte",
        authorize_query(&[]) + "&redirect_uri=https%3A%2F%2Fevil.example%2F",
        authorize_query(&[("state", &long)]),
        authorize_query(&[]) + "&state=%FF",
        String::new(),
    ] {
        let answer = browser.get(&format!("/oauth2/authorize?{query}")).await;
        assert_eq!(answer.status, 400, "{query}");
        assert!(!answer.headers.contains_key("location"), "{query}");
        assert!(answer.headers["content-type"].to_str().unwrap().starts_with("text/html"));
        assert!(!answer.text().contains("evil.example"), "the page does not repeat text from the request");
    }
    assert_eq!(browser.get("/oauth2/authorize").await.status, 400);
}

#[tokio::test]
async fn other_errors_go_to_the_client_with_state_and_issuer() {
    let server = Server::start().await;
    // Errors of the request do not need a signed-in user.
    let mut browser = server.stranger();
    for (name, value, error) in [
        ("response_type", "token", "unsupported_response_type"),
        ("response_type", "", "invalid_request"),
        ("response_mode", "fragment", "invalid_request"),
        ("code_challenge", "", "invalid_request"),
        ("code_challenge_method", "", "invalid_request"),
        ("code_challenge_method", "plain", "invalid_request"),
        ("scope", "", "invalid_scope"),
        ("scope", "openid admin", "invalid_scope"),
        ("request", "e30.e30.", "request_not_supported"),
        ("request_uri", "https://a.example/", "request_uri_not_supported"),
        ("registration", "{}", "registration_not_supported"),
        ("resource", "https://other.example", "invalid_target"),
        ("audience", "https://other.example", "invalid_target"),
        ("prompt", "none login", "invalid_request"),
        ("prompt", "none select_account", "invalid_request"),
        ("prompt", "none", "login_required"),
        ("max_age", "soon", "invalid_request"),
        ("id_token_hint", "e30.e30.e30", "invalid_request"),
    ] {
        let answer = browser.authorize(&[(name, value)]).await;
        assert!(answer.location().starts_with(&format!("{REDIRECT_URI}?error={error}&")), "{name}={value}");
        assert_eq!(answer.query("state"), "s t+a/t%e", "{name}={value}");
        assert_eq!(answer.query("iss"), "https://localhost:8443", "{name}={value}");
        assert!(!answer.query("error_description").is_empty());
    }
    let repeated = browser.get(&format!("/oauth2/authorize?{}&state=2", authorize_query(&[]))).await;
    assert_eq!((repeated.query("error").as_str(), repeated.query("state").as_str()), ("invalid_request", ""));
    let web = [("client_id", "web app"), ("redirect_uri", WEB_REDIRECT_URI), ("scope", "all")];
    let answer = browser.authorize(&web).await;
    assert!(answer.location().starts_with("https://web.example/cb?x=1&error=invalid_scope&"));
}

#[tokio::test]
async fn confidential_clients_need_pkce_too() {
    let server = Server::start().await;
    let web = [("client_id", "web app"), ("redirect_uri", WEB_REDIRECT_URI), ("scope", "openid")];
    let answer = server.stranger().authorize(&[&web[..], &[("code_challenge", "")]].concat()).await;
    assert_eq!(answer.query("error"), "invalid_request");
}

#[tokio::test]
async fn a_user_signs_in_and_returns_to_the_same_request() {
    let server = Server::start().await;
    let mut browser = server.stranger();
    let query = authorize_query(&[("nonce", "n+o n&c=e")]);
    let answer = browser.get(&format!("/oauth2/authorize?{query}")).await;
    let return_to = answer.return_to();
    assert_eq!(return_to, format!("/oauth2/authorize?{query}"), "byte for byte");
    browser.sign_in("Ada").await;
    let answer = browser.get(&return_to).await;
    assert!(is_code(&answer));
    assert_eq!(answer.query("state"), "s t+a/t%e");
}

#[tokio::test]
async fn prompt_none_never_asks() {
    let server = Server::start().await;
    assert!(is_code(&server.browser("Ada").await.authorize(&[("prompt", "none")]).await));
    let mut native = server.browser("Ada").await;
    let answer = native.authorize(&[NATIVE, ("prompt", "none")]).await;
    assert_eq!(answer.query("error"), "consent_required");
    server.state.clock.advance(11);
    let answer = native.authorize(&[("prompt", "none"), ("max_age", "10")]).await;
    assert_eq!(answer.query("error"), "login_required");
}

#[tokio::test]
async fn a_new_sign_in_is_demanded_once() {
    for change in [("prompt", "login"), ("max_age", "0"), ("prompt", "login consent")] {
        let server = Server::start().await;
        let mut browser = server.browser("Ada").await;
        server.state.clock.advance(1);
        let return_to = browser.authorize(&[change]).await.return_to();
        // Returning without a sign-in is not sufficient.
        let again = browser.get(&return_to).await.return_to();
        assert!(
            again.starts_with(&format!("/oauth2/authorize?{}&flyte_sign_in=", authorize_query(&[change])))
        );
        // The mark is refused with another request, and so is text that is not a mark.
        let (request, mark) = again.rsplit_once('&').unwrap();
        browser.sign_in("Ada").await;
        browser.get(&format!("{request}&nonce=other&{mark}")).await.return_to();
        browser.get(&format!("{request}&flyte_sign_in=e30.e30.e30")).await.return_to();
        browser.get(request).await.return_to();
        // A new sign-in is sufficient, when the request returns with its mark.
        server.state.clock.advance(30);
        let answer = browser.get(&again).await;
        if change.1.contains("consent") {
            assert_eq!(answer.status, 200);
            let answer = browser.press(&answer, "/oauth2/consent", "allow").await;
            assert!(is_code(&answer));
        } else {
            assert!(is_code(&answer), "{change:?}");
            assert_eq!(answer.query("state"), "s t+a/t%e");
        }
        // The next request demands its own sign-in.
        browser.authorize(&[change]).await.return_to();
        // The mark expires.
        server.state.clock.advance(3601);
        browser.get(&again).await.return_to();
    }
}

#[tokio::test]
async fn a_demand_in_the_same_second_as_a_sign_in_needs_a_new_one() {
    let server = Server::start().await;
    let mut browser = server.browser("Ada").await;
    let return_to = browser.authorize(&[("prompt", "login")]).await.return_to();
    browser.get(&return_to).await.return_to();
    browser.sign_in("Ada").await;
    assert!(is_code(&browser.get(&return_to).await));
}

#[tokio::test]
async fn one_sign_in_is_enough_without_a_session() {
    let server = Server::start().await;
    for change in [("prompt", "login"), ("max_age", "0"), ("prompt", "select_account")] {
        let mut browser = server.stranger();
        let return_to = browser.authorize(&[change]).await.return_to();
        browser.sign_in("Ada").await;
        assert!(is_code(&browser.get(&return_to).await), "{change:?}");
    }
}

#[tokio::test]
async fn the_longest_request_returns_unchanged() {
    let server = Server::with(|config| config.tokens.signing_algorithm = "RS256".into()).await;
    let changes = |state| [("prompt", "login"), ("state", state)];
    let room = MAX_QUERY_BYTES - authorize_query(&changes("x")).len() + 1;
    let (fits, too_long) = ("x".repeat(room), "x".repeat(room + 1));
    let mut browser = server.browser("Ada").await;
    let return_to = browser.authorize(&changes(&fits)).await.return_to();
    browser.sign_in("Ada").await;
    assert_eq!(browser.get(&return_to).await.query("state"), fits);
    assert_eq!(browser.authorize(&changes(&too_long)).await.status, 400);
}

#[tokio::test]
async fn max_age_is_compared_with_the_time_of_the_sign_in() {
    let server = Server::start().await;
    let mut browser = server.browser("Ada").await;
    server.state.clock.advance(100);
    assert!(is_code(&browser.authorize(&[("max_age", "100")]).await));
    browser.authorize(&[("max_age", "99")]).await.return_to();
}

#[tokio::test]
async fn the_hint_determines_the_user() {
    let server = Server::start().await;
    let tokens = server.tokens().await;
    let hint = ("id_token_hint", tokens["id_token"].as_str().unwrap());
    // An expired ID token still identifies the user.
    server.state.clock.advance(3600 * 5);
    assert!(is_code(&server.browser("Ada").await.authorize(&[hint]).await));
    let mut bob = server.browser("Bob").await;
    let answer = bob.authorize(&[hint, ("prompt", "none")]).await;
    assert_eq!(answer.query("error"), "login_required");
    let return_to = bob.authorize(&[hint]).await.return_to();
    let (mut persistent, mut stranger) = (bob, server.stranger());
    persistent.sign_in("Bob").await;
    assert_eq!(persistent.get(&return_to).await.query("error"), "login_required");
    persistent.sign_in("Ada").await;
    assert!(is_code(&persistent.get(&return_to).await));
    let return_to = stranger.authorize(&[hint]).await.return_to();
    stranger.sign_in("Ada").await;
    assert!(is_code(&stranger.get(&return_to).await));
    // Tokens of another client and access tokens are refused.
    let answer = persistent.authorize(&[NATIVE, hint]).await;
    assert_eq!(answer.query("error"), "invalid_request");
    let access = ("id_token_hint", tokens["access_token"].as_str().unwrap());
    assert_eq!(persistent.authorize(&[access]).await.query("error"), "invalid_request");
}

#[tokio::test]
async fn a_disabled_account_is_not_signed_in() {
    let server = Server::start().await;
    let mut browser = server.browser("Ada").await;
    assert!(server.state.store.disable_user("user-Ada", 1).await.unwrap().is_some());
    browser.authorize(&[]).await.return_to();
    assert_eq!(browser.authorize(&[("prompt", "none")]).await.query("error"), "login_required");
}

#[tokio::test]
async fn a_public_third_party_client_needs_consent_each_time() {
    let server = Server::start().await;
    let mut browser = server.browser("Ada").await;
    for _ in 0..2 {
        let page = browser.authorize(&[NATIVE]).await;
        assert_eq!(page.status, 200, "RFC 8252 section 8.6");
        assert!(is_code(&browser.press(&page, "/oauth2/consent", "allow").await));
        let answer = browser.authorize(&[NATIVE, ("prompt", "none")]).await;
        assert_eq!(answer.query("error"), "consent_required");
    }
}

#[tokio::test]
async fn the_page_says_that_a_client_may_manage_api_keys() {
    let server = Server::start().await;
    let mut browser = server.browser("Ada").await;
    let text = "Create, change and delete API keys";
    assert!(!browser.authorize(&[NATIVE]).await.text().contains(text));
    let mut native =
        server.state.store.client_by_id(&ClientId::from_static("native")).await.unwrap().unwrap();
    native.may_keep_api_keys = true;
    server.state.store.put_client(&native).await.unwrap();
    assert!(browser.authorize(&[NATIVE]).await.text().contains(text));
    // Without the scope of the control plane it cannot manage keys.
    assert!(!browser.authorize(&[NATIVE, ("scope", "openid")]).await.text().contains(text));
}

#[tokio::test]
async fn confidential_third_party_clients_need_consent_once() {
    let server = Server::start().await;
    let mut native =
        server.state.store.client_by_id(&ClientId::from_static("native")).await.unwrap().unwrap();
    native.kind = flyte_store::ClientKind::Confidential;
    native.secret_hash = Some([0; 32]);
    server.state.store.put_client(&native).await.unwrap();
    let mut browser = server.browser("Ada").await;
    let narrow = [NATIVE, ("scope", "openid email")];
    let page = browser.authorize(&narrow).await;
    assert_eq!(page.status, 200);
    assert!(page.text().contains("Third-party program") && page.text().contains("localhost:53593"));
    let answer = browser.press(&page, "/oauth2/consent", "allow").await;
    assert!(is_code(&answer));
    assert_eq!(answer.query("state"), "s t+a/t%e");
    assert!(is_code(&browser.authorize(&narrow).await), "asked once");
    assert!(is_code(&browser.authorize(&[NATIVE, ("scope", "email")]).await), "less needs no question");
    assert_eq!(browser.authorize(&[NATIVE]).await.status, 200, "more does");
    let page = browser.authorize(&[&narrow[..], &[("prompt", "consent")]].concat()).await;
    assert_eq!(page.status, 200, "and prompt=consent");
    assert!(
        is_code(&browser.press(&page, "/oauth2/consent", "allow").await),
        "asked once with prompt=consent"
    );
    assert_eq!(server.browser("Bob").await.authorize(&narrow).await.status, 200, "Bob did not agree");
    assert_eq!(
        browser.authorize(&[("prompt", "consent")]).await.status,
        200,
        "a first-party client asks with prompt=consent"
    );
}

#[tokio::test]
async fn a_refusal_is_returned_to_the_client() {
    let server = Server::start().await;
    let mut browser = server.browser("Ada").await;
    let page = browser.authorize(&[NATIVE]).await;
    let answer = browser.press(&page, "/oauth2/consent", "deny").await;
    assert_eq!(answer.query("error"), "access_denied");
    assert_eq!(answer.query("state"), "s t+a/t%e");
    assert_eq!(answer.query("iss"), "https://localhost:8443");
    assert_eq!(browser.authorize(&[NATIVE]).await.status, 200);
    let page = browser.authorize(&[NATIVE]).await;
    assert_eq!(browser.press(&page, "/oauth2/consent", "maybe").await.status, 200, "asked again");
}

#[tokio::test]
async fn only_the_page_can_consent() {
    let server = Server::start().await;
    let mut browser = server.browser("Ada").await;
    let page = browser.authorize(&[NATIVE]).await;
    let query = authorize_query(&[NATIVE]);
    for pairs in [
        &[("request", query.as_str()), ("decision", "allow")][..],
        &[("csrf", "AAAA"), ("request", query.as_str()), ("decision", "allow")],
    ] {
        let answer = browser.post("/oauth2/consent", pairs).await;
        assert_eq!(answer.status, 403);
        assert!(!answer.headers.contains_key("location"));
    }
    // Another user signed in meanwhile, so the page is not theirs.
    browser.sign_in("Bob").await;
    assert_eq!(browser.press(&page, "/oauth2/consent", "allow").await.status, 403);
    assert_eq!(browser.authorize(&[NATIVE]).await.status, 200, "no consent was given");
}

#[tokio::test]
async fn the_request_is_checked_again_after_consent() {
    let server = Server::start().await;
    let mut browser = server.browser("Ada").await;
    let page = browser.authorize(&[NATIVE]).await;
    let mut client =
        server.state.store.client_by_id(&ClientId::from_static("native")).await.unwrap().unwrap();
    client.redirect_uris.clear();
    server.state.store.put_client(&client).await.unwrap();
    let answer = browser.press(&page, "/oauth2/consent", "allow").await;
    assert_eq!(answer.status, 400);
    // The session ends while the page is open.
    let server = Server::start().await;
    let mut browser = server.browser("Ada").await;
    let page = browser.authorize(&[NATIVE]).await;
    server.state.clock.advance(server.state.config.session_ttl + 1);
    browser.press(&page, "/oauth2/consent", "allow").await.return_to();
}

#[tokio::test]
async fn a_form_becomes_a_query() {
    let server = Server::start().await;
    let pairs = [("client_id", "flyte"), ("state", "a&b#c é"), ("scope", "openid all")];
    let answer = server.post("/oauth2/authorize", &pairs).await;
    assert_eq!(answer.location(), format!("/oauth2/authorize?{}", encode(&pairs)));
}

#[tokio::test]
async fn unknown_parameters_are_ignored() {
    let server = Server::start().await;
    let query = authorize_query(&[("ui_locales", "de"), ("acr_values", "x"), ("claims", "{}")]);
    let path = format!("/oauth2/authorize?{query}&foreign=1&foreign=2&display=page");
    assert!(is_code(&server.browser("Ada").await.get(&path).await));
    let resource = [("resource", "https://localhost:8443/"), ("audience", "https://localhost:8443")];
    assert!(is_code(&server.browser("Ada").await.authorize(&resource).await));
}

#[tokio::test]
async fn a_session_that_ends_meanwhile_authorizes_nothing() {
    // The password is reset after this number of store operations.
    for operations in 0..8 {
        let server = Server::start().await;
        let mut browser = server.browser("Ada").await;
        let store = &server.state.store;
        let reset = async {
            for _ in 0..operations {
                store.any_user().await.unwrap();
            }
            assert!(store.set_password_hash("user-Ada", "$new", server.state.clock.now()).await.unwrap());
        };
        let (answer, ()) = tokio::join!(browser.authorize(&[]), reset);
        if answer.location().starts_with("/login") {
            continue;
        }
        assert!(is_code(&answer), "{}", answer.location());
        assert_eq!(server.redeem(&answer.query("code")).await.error(), "invalid_grant", "{operations}");
    }
}
