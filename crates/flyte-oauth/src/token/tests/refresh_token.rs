//! Refresh tokens.

use http::header;
use serde_json::json;

use super::text;
use crate::fixture::{Answer, ISSUER, Server};

#[tokio::test]
async fn a_refresh_rotates() {
    let server = Server::start().await;
    let first = server.tokens().await;
    server.state.clock.advance(3000);
    let second = server.refresh(text(&first["refresh_token"])).await;
    assert_eq!(second.headers[header::CACHE_CONTROL], "no-store");
    let second = second.json();
    assert_ne!(first["refresh_token"], second["refresh_token"]);
    assert_ne!(first["access_token"], second["access_token"]);
    assert_eq!((&second["expires_in"], &second["token_type"]), (&json!(3600), &json!("Bearer")));
    assert_eq!(second["scope"], first["scope"]);
    let (before, after) = (Answer::claims(&first["id_token"]), Answer::claims(&second["id_token"]));
    for claim in ["iss", "sub", "aud", "azp", "auth_time", "sid"] {
        assert_eq!(before[claim], after[claim], "{claim}");
    }
    assert_eq!(after["iat"], server.state.clock.now());
    assert_eq!(after.get("nonce"), None);
    assert_eq!(server.userinfo(text(&second["access_token"])).await.status, 200);
}

#[tokio::test]
async fn a_refresh_may_request_fewer_scopes() {
    let server = Server::start().await;
    let first = server.tokens().await;
    let mut token = text(&first["refresh_token"]).to_owned();
    for (scope, expected) in [
        ("all", Ok("all")),
        ("openid all", Ok("openid all")),
        ("all admin", Err("invalid_scope")),
        ("a\"", Err("invalid_scope")),
        ("", Ok("openid profile email offline_access all")),
    ] {
        let pairs = [("grant_type", "refresh_token"), ("refresh_token", &token), ("scope", scope)];
        let answer = server.token(&pairs).await;
        match expected {
            Ok(granted) => {
                assert_eq!(answer.json()["scope"], granted);
                assert_eq!(answer.json().get("id_token").is_some(), granted.contains("openid"));
                token = text(&answer.json()["refresh_token"]).to_owned();
                // After the grace period, so that the test would notice a token that a refused request has used up.
                server.state.clock.advance(600);
            }
            Err(error) => assert_eq!(answer.error(), error),
        }
    }
    let pairs =
        [("grant_type", "refresh_token"), ("refresh_token", &token), ("resource", "https://other.example")];
    assert_eq!(server.token(&pairs).await.error(), "invalid_target");
    let pairs = [("grant_type", "refresh_token"), ("refresh_token", &token), ("audience", ISSUER)];
    assert_eq!(server.token(&pairs).await.status, 200);
}

#[tokio::test]
async fn a_refresh_can_be_repeated_after_a_lost_response() {
    let server = Server::start().await;
    let first = server.tokens().await;
    let lost = server.refresh(text(&first["refresh_token"])).await.json();
    server.state.clock.advance(server.state.config.tokens.refresh_token_grace - 1);
    let second = server.refresh(text(&first["refresh_token"])).await;
    assert_eq!(second.status, 200);
    // The tokens in the lost response are invalid now, because only an attacker can have them.
    let third = server.refresh(text(&second.json()["refresh_token"])).await.json();
    assert_eq!(server.refresh(text(&lost["refresh_token"])).await.error(), "invalid_grant");
    assert_eq!(server.refresh(text(&third["refresh_token"])).await.error(), "invalid_grant");
}

#[tokio::test]
async fn a_superseded_token_revokes_the_family_immediately() {
    let server = Server::start().await;
    let first = server.tokens().await;
    let second = server.refresh(text(&first["refresh_token"])).await.json();
    server.state.clock.advance(server.state.config.tokens.refresh_token_grace + 1);
    let access = text(&second["access_token"]);
    assert_eq!(server.userinfo(access).await.status, 200);
    assert_eq!(server.refresh(text(&first["refresh_token"])).await.error(), "invalid_grant");
    assert_eq!(server.userinfo(access).await.status, 401);
    assert_eq!(server.userinfo(text(&first["access_token"])).await.status, 401);
    assert_eq!(server.refresh(text(&second["refresh_token"])).await.error(), "invalid_grant");
    // Another sign-in is another family.
    let other = server.tokens().await;
    assert_eq!(server.userinfo(text(&other["access_token"])).await.status, 200);
}

#[tokio::test]
async fn invalid_refreshes_are_refused() {
    let server = Server::start().await;
    let first = server.tokens().await;
    let token = text(&first["refresh_token"]);
    let refresh = ("grant_type", "refresh_token");
    for (pairs, error) in [
        (vec![("client_id", "native"), refresh, ("refresh_token", token)], "invalid_grant"),
        (vec![("client_id", "flyte"), refresh, ("refresh_token", "flr_unknown")], "invalid_grant"),
        (vec![("client_id", "flyte"), refresh, ("refresh_token", &token[4..])], "invalid_grant"),
        (vec![("client_id", "flyte"), refresh], "invalid_request"),
        (
            vec![("client_id", "flyte"), refresh, ("refresh_token", token), ("refresh_token", token)],
            "invalid_request",
        ),
        (vec![refresh, ("refresh_token", token)], "invalid_request"),
    ] {
        assert_eq!(server.post("/oauth2/token", &pairs).await.error(), error, "{pairs:?}");
    }
    server.state.clock.advance(server.state.config.tokens.refresh_token_ttl - 1);
    let next = server.refresh(token).await.json();
    server.state.clock.advance(server.state.config.tokens.refresh_token_ttl);
    assert_eq!(server.refresh(text(&next["refresh_token"])).await.error(), "invalid_grant");
}
