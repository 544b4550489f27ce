//! Devices that poll for tokens: each response of RFC 8628 section 3.5, and the tokens afterwards.

use http::header;
use serde_json::{Value, json};

use super::text;
use crate::fixture::{Answer, DEVICE_GRANT, ISSUER, Server, WEB_SECRET};
use flyte_model::ClientId;

/// A device that Ada approved.
async fn approved(server: &Server) -> Value {
    let device = server.device().await;
    let page = server.browser("Ada").await.answer(&device, "approve").await;
    assert!(page.text().contains("is connected"), "{}", page.text());
    device
}

/// The tokens of a device that Ada approved, and the device.
async fn signed_in(server: &Server) -> (Value, Value) {
    let device = approved(server).await;
    let tokens = server.poll(&device).await.json();
    (tokens, device)
}

#[tokio::test]
async fn an_approved_device_gets_tokens() {
    let server = Server::start().await;
    let device = server.device().await;
    let pending = server.poll(&device).await;
    assert_eq!((pending.status.as_u16(), pending.error().as_str()), (400, "authorization_pending"));
    assert_eq!(pending.headers[header::CACHE_CONTROL], "no-store");
    let mut browser = server.browser("Ada").await;
    server.state.clock.advance(20);
    browser.answer(&device, "approve").await;
    server.state.clock.advance(5);
    let answer = server.poll(&device).await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    assert_eq!(answer.headers[header::CACHE_CONTROL], "no-store");
    let tokens = answer.json();
    assert_eq!((&tokens["token_type"], &tokens["expires_in"]), (&json!("Bearer"), &json!(3600)));
    assert_eq!(tokens["scope"], "openid profile email offline_access all");
    let id = Answer::claims(&tokens["id_token"]);
    let access = Answer::claims(&tokens["access_token"]);
    let now = server.state.clock.now();
    for (claim, expected) in [
        ("iss", json!(ISSUER)),
        ("sub", json!("user-Ada")),
        ("aud", json!("flyte")),
        ("iat", json!(now)),
        ("auth_time", json!(now - 25)),
    ] {
        assert_eq!(id[claim], expected, "{claim}");
    }
    // The device has its own session, not the browser's.
    assert_eq!((&id["sid"], &access["sid"]), (&access["fid"], &access["fid"]));
    assert_ne!(text(&id["sid"]), browser.session.as_ref().unwrap().id);
    assert_eq!(server.userinfo(text(&tokens["access_token"])).await.json()["sub"], "user-Ada");
    let next = server.refresh(text(&tokens["refresh_token"])).await.json();
    assert_eq!(Answer::claims(&next["id_token"])["sid"], id["sid"]);
}

#[tokio::test]
async fn a_device_that_polls_too_often_must_slow_down_and_still_gets_tokens() {
    let server = Server::start().await;
    let device = server.device().await;
    let poll = async |seconds| {
        server.state.clock.advance(seconds);
        server.poll(&device).await.error()
    };
    assert_eq!(poll(0).await, "authorization_pending");
    assert_eq!(poll(5).await, "authorization_pending");
    assert_eq!(poll(3).await, "slow_down");
    // The interval is ten seconds now. A client that keeps five seconds gets slow_down each time, and the interval
    // grows.
    for _ in 0..10 {
        assert_eq!(poll(5).await, "slow_down");
    }
    assert_eq!(poll(60).await, "authorization_pending", "a client that uses the new interval");
    server.browser("Ada").await.answer(&device, "approve").await;
    assert_eq!(server.poll(&device).await.status, 200, "immediately");
}

#[tokio::test]
async fn the_interval_follows_the_setting() {
    let server = Server::with(|config| config.tokens.device_poll_interval = 30).await;
    let device = server.device().await;
    assert_eq!(device["interval"], 30);
    for (seconds, error) in [(0, "authorization_pending"), (20, "slow_down"), (34, "authorization_pending")] {
        server.state.clock.advance(seconds);
        assert_eq!(server.poll(&device).await.error(), error, "{seconds}");
    }
}

#[tokio::test]
async fn a_denied_device_gets_access_denied() {
    let server = Server::start().await;
    let device = server.device().await;
    let page = server.browser("Ada").await.answer(&device, "deny").await;
    assert!(page.text().contains("was denied"));
    for _ in 0..3 {
        assert_eq!(server.poll(&device).await.error(), "access_denied");
    }
    server.state.clock.advance(700);
    assert_eq!(server.poll(&device).await.error(), "access_denied", "after the expiry too");
}

#[tokio::test]
async fn codes_expire() {
    let server = Server::start().await;
    let (late, never) = (server.device().await, server.device().await);
    server.browser("Ada").await.answer(&late, "approve").await;
    server.state.clock.advance(599);
    assert_eq!(server.poll(&never).await.error(), "authorization_pending");
    server.state.clock.advance(1);
    for device in [&late, &never] {
        assert_eq!(server.poll(device).await.error(), "expired_token");
    }
    let mut browser = server.browser("Ada").await;
    assert_eq!(browser.look_at(&never).await.status, 404);
    // Long after that, the record is deleted.
    server.state.clock.advance(3600);
    server.state.store.delete_expired_devices(server.state.clock.now()).await.unwrap();
    assert_eq!(server.poll(&never).await.error(), "invalid_grant");
}

#[tokio::test]
async fn a_code_belongs_to_its_client() {
    let server = Server::start().await;
    let device = approved(&server).await;
    let code = text(&device["device_code"]);
    let pairs = [("grant_type", DEVICE_GRANT), ("device_code", code)];
    let native = [&[("client_id", "native")], &pairs[..]].concat();
    assert_eq!(server.post("/oauth2/token", &native).await.error(), "invalid_grant");
    let tokens = server.poll(&device).await.json();
    // Another client that presents the code afterwards does not revoke its tokens.
    server.state.clock.advance(600);
    assert_eq!(server.post("/oauth2/token", &native).await.error(), "invalid_grant");
    assert_eq!(server.userinfo(text(&tokens["access_token"])).await.status, 200);
}

#[tokio::test]
async fn a_confidential_client_authenticates_at_both_endpoints() {
    let server = Server::start().await;
    let ask = [("scope", "openid email")];
    let path = "/oauth2/device_authorization";
    let encoded = "p+w%3A%25%2B";
    assert_eq!(server.post_as(path, ("web+app", "wrong"), &ask).await.error(), "invalid_client");
    let by_form = [("client_id", "web app"), ("client_secret", WEB_SECRET), ask[0]];
    for device in [server.post_as(path, ("web+app", encoded), &ask).await, server.post(path, &by_form).await]
    {
        assert_eq!(device.status, 200, "{}", device.text());
        let device = device.json();
        server.browser("Ada").await.answer(&device, "approve").await;
        let pairs = [("grant_type", DEVICE_GRANT), ("device_code", text(&device["device_code"]))];
        let unauthenticated = [&pairs[..], &[("client_id", "web app")]].concat();
        assert_eq!(server.post("/oauth2/token", &unauthenticated).await.error(), "invalid_client");
        let tokens = server.post_as("/oauth2/token", ("web+app", encoded), &pairs).await.json();
        assert_eq!(tokens["scope"], "openid email");
        assert_eq!(tokens.get("refresh_token"), None, "not registered for it");
    }
}

#[tokio::test]
async fn a_poll_can_be_repeated_after_a_lost_response() {
    let server = Server::start().await;
    let (lost, device) = signed_in(&server).await;
    server.state.clock.advance(server.state.config.tokens.refresh_token_grace - 1);
    let again = server.poll(&device).await;
    assert_eq!(again.status, 200);
    let next = server.refresh(text(&again.json()["refresh_token"])).await.json();
    // The tokens in the lost response are invalid now, because only an attacker can have them.
    assert_eq!(server.refresh(text(&lost["refresh_token"])).await.error(), "invalid_grant");
    assert_eq!(server.refresh(text(&next["refresh_token"])).await.error(), "invalid_grant");
}

#[tokio::test]
async fn a_replayed_code_revokes_its_tokens() {
    for used in [false, true] {
        let server = Server::start().await;
        let (mut tokens, device) = signed_in(&server).await;
        if used {
            tokens = server.refresh(text(&tokens["refresh_token"])).await.json();
        } else {
            server.state.clock.advance(server.state.config.tokens.refresh_token_grace + 1);
        }
        let access = text(&tokens["access_token"]);
        assert_eq!(server.userinfo(access).await.status, 200);
        assert_eq!(server.poll(&device).await.error(), "invalid_grant");
        assert_eq!(server.userinfo(access).await.status, 401, "immediately");
        assert_eq!(server.refresh(text(&tokens["refresh_token"])).await.error(), "invalid_grant");
        assert_eq!(server.poll(&device).await.error(), "invalid_grant");
    }
}

#[tokio::test]
async fn of_simultaneous_polls_one_sign_in_remains() {
    let server = Server::start().await;
    let device = approved(&server).await;
    let answers = futures_util::future::join_all((0..8).map(|_| server.poll(&device))).await;
    let mut good = 0;
    for answer in &answers {
        assert_eq!(answer.status, 200);
        good += u32::from(server.refresh(text(&answer.json()["refresh_token"])).await.status == 200);
    }
    assert!(good <= 1, "{good}");
}

#[tokio::test]
async fn signing_out_of_the_browser_keeps_the_device_signed_in() {
    let server = Server::start().await;
    let (waiting, fetched) = (server.device().await, server.device().await);
    let mut browser = server.browser("Ada").await;
    for device in [&waiting, &fetched] {
        browser.answer(device, "approve").await;
    }
    let tokens = server.poll(&fetched).await.json();
    let code = browser.authorize(&[]).await.query("code");
    let own = server.redeem(&code).await.json();
    let hint = text(&own["id_token"]);
    assert_eq!(browser.get(&format!("/oauth2/logout?id_token_hint={hint}")).await.status, 200);
    assert_eq!(server.userinfo(text(&own["access_token"])).await.status, 401, "the browser's own ends");
    assert_eq!(server.userinfo(text(&tokens["access_token"])).await.status, 200);
    assert_eq!(server.refresh(text(&tokens["refresh_token"])).await.status, 200);
    assert_eq!(server.poll(&waiting).await.status, 200);
    // The device signs out separately.
    let token = text(&tokens["access_token"]);
    let revoke = [("client_id", "flyte"), ("token", token)];
    assert_eq!(server.post("/oauth2/revoke", &revoke).await.status, 200);
    assert_eq!(server.userinfo(token).await.status, 401);
}

#[tokio::test]
async fn a_new_password_revokes_the_tokens_of_devices() {
    let server = Server::start().await;
    let waiting = approved(&server).await;
    let (tokens, _) = signed_in(&server).await;
    server.state.store.set_password_hash("user-Ada", "$new", server.state.clock.now()).await.unwrap();
    assert_eq!(server.poll(&waiting).await.error(), "access_denied");
    assert_eq!(server.refresh(text(&tokens["refresh_token"])).await.error(), "invalid_grant");
}

#[tokio::test]
async fn a_disabled_account_gets_no_tokens() {
    let server = Server::start().await;
    let device = server.device().await;
    server.browser("Ada").await.answer(&device, "approve").await;
    assert!(server.state.store.disable_user("user-Ada", server.state.clock.now()).await.unwrap().is_some());
    assert_eq!(server.poll(&device).await.error(), "access_denied");
}

#[tokio::test]
async fn invalid_polls_are_refused() {
    let server = Server::start().await;
    let device = server.device().await;
    let code = text(&device["device_code"]);
    let grant = ("grant_type", DEVICE_GRANT);
    for (pairs, error) in [
        (vec![grant], "invalid_request"),
        (vec![grant, ("device_code", code), ("device_code", code)], "invalid_request"),
        (vec![grant, ("device_code", "fld_unknown")], "invalid_grant"),
        (vec![grant, ("device_code", &code[4..])], "invalid_grant"),
        (vec![grant, ("device_code", text(&device["user_code"]))], "invalid_grant"),
        (vec![grant, ("device_code", code), ("resource", "https://other.example")], "invalid_target"),
        (vec![("grant_type", "device_code"), ("device_code", code)], "unsupported_grant_type"),
    ] {
        assert_eq!(server.token(&pairs).await.error(), error, "{pairs:?}");
    }
    // The published client repeats its parameters in the poll.
    let published = [
        grant,
        ("device_code", code),
        ("scope", "openid profile email offline_access all"),
        ("audience", ISSUER),
    ];
    assert_eq!(server.token(&published).await.error(), "authorization_pending");
}

#[tokio::test]
async fn a_client_without_the_grant_type_gets_no_tokens() {
    let server = Server::start().await;
    let device = approved(&server).await;
    let mut client = server.state.store.client_by_id(&ClientId::from_static("flyte")).await.unwrap().unwrap();
    client.grant_types.retain(|grant| *grant != flyte_model::GrantType::DeviceCode);
    server.state.store.put_client(&client).await.unwrap();
    assert_eq!(server.poll(&device).await.error(), "unauthorized_client");
}
