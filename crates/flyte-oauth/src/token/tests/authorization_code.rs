//! Authorization codes.

use aws_lc_rs::digest;
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use http::header;
use jsonwebtoken::Algorithm;
use serde_json::{Value, json};

use super::text;
use crate::fixture::{Answer, CHALLENGE, ISSUER, REDIRECT_URI, Server, VERIFIER};
use flyte_model::ClientId;

const OTHER_VERIFIER: &str = "eBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk";

async fn code(server: &Server) -> String {
    server.browser("Ada").await.authorize(&[("nonce", "n")]).await.query("code")
}

#[tokio::test]
async fn a_code_gives_tokens() {
    let server = Server::start().await;
    let code = code(&server).await;
    server.state.clock.advance(5);
    let answer = server.redeem(&code).await;
    assert_eq!(answer.status, 200);
    assert_eq!(answer.headers[header::CACHE_CONTROL], "no-store");
    assert_eq!(answer.headers[header::PRAGMA], "no-cache");
    assert_eq!(answer.headers[header::CONTENT_TYPE], "application/json");
    let tokens = answer.json();
    assert_eq!(tokens["token_type"], "Bearer");
    assert_eq!(tokens["expires_in"], 3600);
    assert_eq!(tokens["scope"], "openid profile email offline_access all");
    assert!(text(&tokens["refresh_token"]).starts_with("flr_"));
    let now = server.state.clock.now();
    let id = Answer::claims(&tokens["id_token"]);
    for (claim, expected) in [
        ("iss", json!(ISSUER)),
        ("sub", json!("user-Ada")),
        ("aud", json!("flyte")),
        ("azp", json!("flyte")),
        ("nonce", json!("n")),
        ("iat", json!(now)),
        ("exp", json!(now + 3600)),
        ("auth_time", json!(now - 5)),
    ] {
        assert_eq!(id[claim], expected, "{claim}");
    }
    let access = Answer::claims(&tokens["access_token"]);
    assert_eq!((&access["sub"], &access["client_id"]), (&json!("user-Ada"), &json!("flyte")));
    assert_eq!(access["sid"], id["sid"]);
    let hash = digest::digest(&digest::SHA256, text(&tokens["access_token"]).as_bytes());
    assert_eq!(text(&id["at_hash"]), URL_SAFE_NO_PAD.encode(&hash.as_ref()[..16]));
    assert_eq!(server.userinfo(text(&tokens["access_token"])).await.json()["sub"], "user-Ada");
    assert_eq!(
        server.userinfo(text(&tokens["id_token"])).await.status,
        401,
        "an ID token is not an access token"
    );
}

#[tokio::test]
async fn the_id_token_has_the_registered_algorithm() {
    let server = Server::start().await;
    let mut flyte = server.state.store.client_by_id(&ClientId::from_static("flyte")).await.unwrap().unwrap();
    let alg = |token: &Value| jsonwebtoken::decode_header(text(token)).unwrap().alg;
    let tokens = server.tokens().await;
    assert_eq!(alg(&tokens["id_token"]), Algorithm::ES256, "the server's default");
    flyte.id_token_signed_response_alg = Some("RS256".to_owned());
    server.state.store.put_client(&flyte).await.unwrap();
    // For each grant that issues one.
    let tokens = server.tokens().await;
    let refreshed = server.refresh(text(&tokens["refresh_token"])).await.json();
    let device = server.device().await;
    server.browser("Ada").await.answer(&device, "approve").await;
    let polled = server.poll(&device).await.json();
    for tokens in [&tokens, &refreshed, &polled] {
        assert_eq!(alg(&tokens["id_token"]), Algorithm::RS256);
        assert_eq!(
            alg(&tokens["access_token"]),
            Algorithm::ES256,
            "access tokens have the server's algorithm"
        );
        let hash = digest::digest(&digest::SHA256, text(&tokens["access_token"]).as_bytes());
        let at_hash = &Answer::claims(&tokens["id_token"])["at_hash"];
        assert_eq!(text(at_hash), URL_SAFE_NO_PAD.encode(&hash.as_ref()[..16]));
    }
    let hint = [("id_token_hint", text(&tokens["id_token"])), ("prompt", "none")];
    let answer = server.browser("Ada").await.authorize(&hint).await;
    assert!(!answer.query("code").is_empty(), "{}", answer.location());
    // The client registered before the server's setting changed: no other algorithm is used instead.
    flyte.id_token_signed_response_alg = Some("EdDSA".to_owned());
    server.state.store.put_client(&flyte).await.unwrap();
    let code = code(&server).await;
    assert_eq!(server.redeem(&code).await.status, 500);
}

#[tokio::test]
async fn the_published_client_repeats_its_parameters() {
    let server = Server::start().await;
    let code = code(&server).await;
    let answer = server
        .token(&[
            ("code", &code),
            ("grant_type", "authorization_code"),
            ("code_verifier", VERIFIER),
            ("response_type", "code"),
            ("scope", "openid profile email offline_access all"),
            ("redirect_uri", REDIRECT_URI),
            ("state", "s t+a/t%e"),
            ("audience", ISSUER),
            ("code_challenge", CHALLENGE),
            ("code_challenge_method", "S256"),
        ])
        .await;
    assert_eq!(answer.status, 200, "{}", answer.text());
}

#[tokio::test]
async fn a_mismatching_request_does_not_use_up_the_code() {
    let server = Server::start().await;
    let code = code(&server).await;
    let good = [
        ("client_id", "flyte"),
        ("grant_type", "authorization_code"),
        ("code", code.as_str()),
        ("redirect_uri", REDIRECT_URI),
        ("code_verifier", VERIFIER),
    ];
    let other_code = code.replace("flc_", "flc-");
    for (name, value, error) in [
        ("client_id", "native", "invalid_grant"),
        ("redirect_uri", "http://localhost:53594/callback", "invalid_grant"),
        ("redirect_uri", "http://127.0.0.1/callback", "invalid_grant"),
        ("code_verifier", OTHER_VERIFIER, "invalid_grant"),
        ("code_verifier", CHALLENGE, "invalid_grant"),
        ("code", &other_code, "invalid_grant"),
        ("client_id", "no-client", "invalid_client"),
        ("client_id", "", "invalid_request"),
        ("code", "", "invalid_request"),
        ("redirect_uri", "", "invalid_request"),
        ("code_verifier", "", "invalid_request"),
        ("code_verifier", "short", "invalid_request"),
        ("code_verifier", &"é".repeat(43), "invalid_request"),
        ("code_verifier", &"a".repeat(129), "invalid_request"),
        ("resource", "https://other.example", "invalid_target"),
        ("grant_type", "", "invalid_request"),
        ("grant_type", "password", "unsupported_grant_type"),
        ("grant_type", "client_credentials", "unauthorized_client"),
        ("client_secret", "s", "invalid_client"),
    ] {
        let mut pairs = good.to_vec();
        pairs.retain(|(known, _)| *known != name);
        pairs.push((name, value));
        let answer = server.post("/oauth2/token", &pairs).await;
        assert_eq!(answer.error(), error, "{name}={value}");
        assert_eq!(answer.status, if error == "invalid_client" { 401 } else { 400 }, "{name}={value}");
        assert_eq!(answer.headers.contains_key(header::WWW_AUTHENTICATE), error == "invalid_client");
        assert_eq!(answer.headers[header::CACHE_CONTROL], "no-store");
    }
    for (name, value) in good {
        let answer = server.post("/oauth2/token", &[&good[..], &[(name, value)]].concat()).await;
        assert_eq!(answer.error(), "invalid_request", "{name} twice");
    }
    assert_eq!(server.post("/oauth2/token", &good).await.status, 200);
}

#[tokio::test]
async fn a_code_is_valid_for_one_minute() {
    for (seconds, status) in [(59, 200), (60, 400), (61, 400)] {
        let server = Server::start().await;
        let code = code(&server).await;
        server.state.clock.advance(seconds);
        assert_eq!(server.redeem(&code).await.status, status, "{seconds}");
    }
}

#[tokio::test]
async fn a_replayed_code_revokes_its_tokens() {
    let server = Server::start().await;
    let code = code(&server).await;
    let tokens = server.redeem(&code).await.json();
    let access = text(&tokens["access_token"]);
    assert_eq!(server.userinfo(access).await.status, 200);
    assert_eq!(server.redeem(&code).await.error(), "invalid_grant");
    assert_eq!(server.userinfo(access).await.status, 401);
    assert_eq!(server.refresh(text(&tokens["refresh_token"])).await.error(), "invalid_grant");
}

#[tokio::test]
async fn of_simultaneous_requests_one_gets_tokens_and_they_are_revoked() {
    let server = Server::start().await;
    let code = code(&server).await;
    let answers = futures_util::future::join_all((0..8).map(|_| server.redeem(&code))).await;
    let good: Vec<_> = answers.iter().filter(|answer| answer.status == 200).collect();
    assert_eq!(good.len(), 1);
    let refresh = good[0].json()["refresh_token"].clone();
    assert_eq!(server.refresh(text(&refresh)).await.error(), "invalid_grant");
}

#[tokio::test]
async fn refresh_tokens_depend_on_client_and_scope() {
    let server = Server::start().await;
    for (client, scope, expected) in [
        ("flyte", "openid all offline_access", true),
        ("flyte", "all", true),
        ("native", "openid offline_access", true),
        ("native", "openid", false),
    ] {
        let mut browser = server.browser("Ada").await;
        let mut answer = browser.authorize(&[("client_id", client), ("scope", scope)]).await;
        if answer.status == 200 {
            answer = browser.press(&answer, "/oauth2/consent", "allow").await;
        }
        let pairs = [
            ("client_id", client),
            ("grant_type", "authorization_code"),
            ("code", &answer.query("code")),
            ("redirect_uri", REDIRECT_URI),
            ("code_verifier", VERIFIER),
        ];
        let tokens = server.post("/oauth2/token", &pairs).await.json();
        assert_eq!(tokens.get("refresh_token").is_some(), expected, "{client} {scope}");
        assert_eq!(tokens.get("id_token").is_some(), scope.contains("openid"), "{client} {scope}");
        assert_eq!(tokens["scope"], scope);
    }
}

#[tokio::test]
async fn a_disabled_account_gets_no_tokens() {
    let server = Server::start().await;
    let code = server.browser("Ada").await.authorize(&[]).await.query("code");
    let tokens = server.tokens().await;
    assert!(server.state.store.disable_user("user-Ada", server.state.clock.now()).await.unwrap().is_some());
    assert_eq!(server.redeem(&code).await.error(), "invalid_grant");
    let refresh = tokens["refresh_token"].as_str().unwrap();
    assert_eq!(server.refresh(refresh).await.error(), "invalid_grant");
    server.state.access.maintain().await.unwrap();
    assert_eq!(server.userinfo(tokens["access_token"].as_str().unwrap()).await.status, 401);
    // Enabling the account does not restore the tokens.
    assert!(server.state.store.enable_user("user-Ada").await.unwrap());
    assert_eq!(server.redeem(&code).await.error(), "invalid_grant");
    assert_eq!(server.refresh(refresh).await.error(), "invalid_grant");
    assert_eq!(server.userinfo(tokens["access_token"].as_str().unwrap()).await.status, 401);
}
