//! The token endpoint, through the router: tests for all grants.

mod authorization_code;
mod client_assertion;
mod client_credentials;
mod device_code;
mod pod;
mod refresh_token;
mod token_exchange;

use http::{Method, header};
use serde_json::Value;

use crate::fixture::{Server, VERIFIER, WEB_REDIRECT_URI, WEB_SECRET, encode, request};

fn text(value: &Value) -> &str {
    value.as_str().unwrap()
}

#[tokio::test]
async fn only_forms_are_accepted() {
    let server = Server::start().await;
    let body = encode(&[("client_id", "flyte"), ("grant_type", "refresh_token"), ("refresh_token", "x")]);
    let get = request(Method::GET, &format!("/oauth2/token?{body}")).body(Default::default()).unwrap();
    let answer = server.send(get).await;
    assert_eq!((answer.status.as_u16(), &answer.headers[header::ALLOW]), (405, &"POST".parse().unwrap()));
    let large = format!("{body}&padding={}", "x".repeat(64 * 1024));
    for (kind, body, reason) in [
        ("application/json", "{\"grant_type\":\"refresh_token\"}".to_owned(), "x-www-form-urlencoded"),
        ("text/plain", body.clone(), "x-www-form-urlencoded"),
        ("application/x-www-form-urlencoded", large, "too large"),
        ("application/x-www-form-urlencoded", format!("{body}&x=%FF"), "UTF-8"),
        ("application/x-www-form-urlencoded", body.clone(), "refresh token is invalid"),
    ] {
        let post = request(Method::POST, "/oauth2/token").header(header::CONTENT_TYPE, kind);
        let answer = server.send(post.body(body.into()).unwrap()).await;
        assert_eq!(answer.status, 400, "{kind}");
        assert!(answer.json()["error_description"].as_str().unwrap().contains(reason), "{}", answer.text());
    }
    let in_query = format!("/oauth2/token?{body}");
    assert_eq!(server.post(&in_query, &[]).await.error(), "invalid_request", "a query is not a form");
}

#[tokio::test]
async fn browsers_of_any_origin_may_call_without_credentials() {
    let server = Server::start().await;
    let preflight = request(Method::OPTIONS, "/oauth2/token")
        .header(header::ORIGIN, "https://app.example")
        .header(header::ACCESS_CONTROL_REQUEST_METHOD, "POST")
        .header(header::ACCESS_CONTROL_REQUEST_HEADERS, "authorization");
    let answer = server.send(preflight.body(Default::default()).unwrap()).await;
    assert_eq!(answer.status, 200);
    assert_eq!(answer.headers[header::ACCESS_CONTROL_ALLOW_ORIGIN], "*");
    assert!(!answer.headers.contains_key(header::ACCESS_CONTROL_ALLOW_CREDENTIALS));
    let refused = server.token(&[]).await;
    assert_eq!(refused.headers[header::ACCESS_CONTROL_ALLOW_ORIGIN], "*", "errors are readable too");
}

#[tokio::test]
async fn a_confidential_client_authenticates() {
    let server = Server::start().await;
    let web = [("client_id", "web app"), ("redirect_uri", WEB_REDIRECT_URI), ("scope", "openid email")];
    let mut browser = server.browser("Ada").await;
    let page = browser.authorize(&web).await;
    let code = browser.press(&page, "/oauth2/consent", "allow").await.query("code");
    let pairs = |code| {
        [
            ("grant_type", "authorization_code"),
            ("code", code),
            ("redirect_uri", WEB_REDIRECT_URI),
            ("code_verifier", VERIFIER),
        ]
    };
    for (client, status) in [
        (("web+app", "wrong"), 401),
        (("web+app", ""), 401),
        (("no-client", "p+w%3A%25%2B"), 401),
        // The published client does not encode the identifier.
        (("web app", "p+w%3A%25%2B"), 200),
        (("web+app", "p+w%3A%25%2B"), 400),
    ] {
        let answer = server.post_as("/oauth2/token", client, &pairs(&code)).await;
        assert_eq!(answer.status, status, "{client:?} {}", answer.text());
    }
    let code = browser.authorize(&web).await.query("code");
    let answer = server.post_as("/oauth2/token", ("web+app", "p+w%3A%25%2B"), &pairs(&code)).await;
    assert_eq!(answer.status, 200, "with the right encoding");
    assert_eq!(answer.json().get("refresh_token"), None, "not registered for it");
    let code = browser.authorize(&web).await.query("code");
    for (secret, status) in [("", 401), ("wrong", 401), (WEB_SECRET, 200)] {
        let credentials = [("client_id", "web app"), ("client_secret", secret)];
        let answer = server.post("/oauth2/token", &[&credentials[..], &pairs(&code)].concat()).await;
        assert_eq!(answer.status, status, "{secret}");
    }
    let refresh = [("grant_type", "refresh_token"), ("refresh_token", "flr_x")];
    let answer = server.post_as("/oauth2/token", ("web+app", "p+w%3A%25%2B"), &refresh).await;
    assert_eq!(answer.error(), "unauthorized_client");
}
