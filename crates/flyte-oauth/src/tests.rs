//! A whole sign-in, from discovery to the sign-out.

use super::fixture::{CHALLENGE, Server, VERIFIER};

/// Path and query of a URL of this server.
fn path(url: &serde_json::Value) -> &str {
    url.as_str().unwrap().strip_prefix("https://localhost:8443").unwrap()
}

#[tokio::test]
async fn from_discovery_to_signing_out() {
    let server = Server::start().await;
    let mut browser = server.stranger();
    let metadata = browser.get("/.well-known/oauth-authorization-server").await.json();
    let token_endpoint = path(&metadata["token_endpoint"]);

    // The program listens on a free port and opens the browser; the user signs in.
    let redirect_uri = "http://127.0.0.1:40123/callback";
    let query = super::fixture::encode(&[
        ("client_id", "flyte"),
        ("response_type", "code"),
        ("scope", "openid profile email offline_access all"),
        ("redirect_uri", redirect_uri),
        ("state", "state"),
        ("nonce", "nonce"),
        ("code_challenge", CHALLENGE),
        ("code_challenge_method", "S256"),
    ]);
    let answer = browser.get(&format!("{}?{query}", path(&metadata["authorization_endpoint"]))).await;
    let return_to = answer.return_to();
    browser.sign_in("Ada").await;
    let answer = browser.get(&return_to).await;
    assert!(answer.location().starts_with(redirect_uri));
    assert_eq!(
        (answer.query("state").as_str(), answer.query("iss").as_str()),
        ("state", "https://localhost:8443")
    );

    // The code becomes tokens, and the tokens identify the user.
    let code = answer.query("code");
    let redeem = [
        ("client_id", "flyte"),
        ("grant_type", "authorization_code"),
        ("code", code.as_str()),
        ("redirect_uri", redirect_uri),
        ("code_verifier", VERIFIER),
    ];
    let mut tokens = server.post(token_endpoint, &redeem).await.json();
    for _ in 0..20 {
        let user = server.userinfo(tokens["access_token"].as_str().unwrap()).await.json();
        assert_eq!(user["email"], "ada@example.com");
        // After a working day and many refreshes it is still the same sign-in.
        server.state.clock.advance(3590);
        tokens = server.refresh(tokens["refresh_token"].as_str().unwrap()).await.json();
    }

    // A superseded token is used again: the whole family is revoked. The user signs in again.
    let stolen = tokens["refresh_token"].as_str().unwrap().to_owned();
    tokens = server.refresh(&stolen).await.json();
    server.state.clock.advance(600);
    assert_eq!(server.refresh(&stolen).await.error(), "invalid_grant");
    assert_eq!(server.userinfo(tokens["access_token"].as_str().unwrap()).await.status, 401);
    browser.sign_in("Ada").await;
    let code = browser.get(&return_to).await.query("code");
    let redeem = redeem.map(|(name, value)| (name, if name == "code" { code.as_str() } else { value }));
    let tokens = server.post(token_endpoint, &redeem).await.json();

    // One program revokes its tokens; another one, of the same browser session, loses its tokens when the user signs
    // out.
    let code = browser.get(&return_to).await.query("code");
    let redeem = redeem.map(|(name, value)| (name, if name == "code" { code.as_str() } else { value }));
    let second = server.post(token_endpoint, &redeem).await.json();
    let token = tokens["refresh_token"].as_str().unwrap();
    let revoke = [("client_id", "flyte"), ("token", token), ("token_type_hint", "refresh_token")];
    assert_eq!(server.post(path(&metadata["revocation_endpoint"]), &revoke).await.status, 200);
    assert_eq!(server.userinfo(tokens["access_token"].as_str().unwrap()).await.status, 401);
    let access = second["access_token"].as_str().unwrap();
    assert_eq!(server.userinfo(access).await.status, 200);
    let hint = second["id_token"].as_str().unwrap();
    let logout = format!("{}?id_token_hint={hint}", path(&metadata["end_session_endpoint"]));
    assert_eq!(browser.get(&logout).await.status, 200);
    assert_eq!(server.userinfo(access).await.status, 401);
    browser.get(&return_to).await.return_to();
}
