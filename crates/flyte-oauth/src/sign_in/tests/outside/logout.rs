//! Sign-outs at the provider: its messages, and the way there.

use super::*;

fn whole(world: &World) -> Server {
    let state = world.server.state.clone();
    Server { router: crate::router(&state).with_state(state.clone()), state }
}

/// A logout token with these changes.
fn token(world: &World, changes: Value) -> String {
    let mut claims = json!({
        "iss": world.remote.url, "aud": "flyte-server", "iat": NOW, "exp": NOW + 120, "jti": "1",
        "events": {"http://schemas.openid.net/event/backchannel-logout": {}},
    });
    for (name, value) in changes.as_object().unwrap() {
        claims[name] = value.clone();
    }
    world.remote.key().sign(&claims)
}

async fn send(world: &World, token: &str) -> Page {
    world.server.browser().post("/login/with/corp/backchannel-logout", &[("logout_token", token)]).await
}

#[tokio::test]
async fn a_logout_token_ends_exactly_its_sessions_once() {
    let world = World::start().await;
    world.link("u1", "id-of-Ada").await;
    let mut browsers = Vec::new();
    for sid in ["s", "t", "t"] {
        let mut browser = world.server.browser();
        sign_in(&world, &mut browser, json!({"sid": sid})).await;
        browsers.push(browser);
    }
    let mut password = world.server.browser();
    password.sign_in("ada@example.com", PASSWORD).await;
    let mut signed_in = async || {
        let mut signed_in = 0;
        for browser in &mut browsers {
            signed_in += u32::from(who(browser).await.is_some());
        }
        signed_in
    };
    for wrong in [
        json!({"sid": "s", "nonce": "n"}),
        json!({"sid": "s", "events": null}),
        json!({"sid": "s", "aud": "another"}),
        json!({}),
    ] {
        let page = send(&world, &token(&world, wrong.clone())).await;
        assert!(page.status == 400 && page.body.contains("invalid_request"), "{wrong}: {}", page.body);
    }
    assert_eq!(send(&world, "").await.status, 400);
    assert_eq!(send(&world, &token(&world, json!({"sid": "other"}))).await.status, 200);
    assert_eq!(signed_in().await, 3);
    let one = token(&world, json!({"sid": "s", "sub": "u1", "jti": "2"}));
    assert_eq!(send(&world, &one).await.status, 200);
    assert_eq!(signed_in().await, 2, "the session that it names");
    assert_eq!(send(&world, &one).await.status, 400, "used once");
    assert_eq!(send(&world, &token(&world, json!({"sub": "u2", "jti": "3"}))).await.status, 200);
    assert_eq!(signed_in().await, 2, "another user");
    assert_eq!(send(&world, &token(&world, json!({"sub": "u1", "jti": "4"}))).await.status, 200);
    assert_eq!(signed_in().await, 0, "all of the user");
    assert!(who(&mut password).await.is_some(), "but not those that the provider did not begin");
    let reasons = world.events().await.into_iter().filter(|(event, _)| event == "provider_access_ended");
    let reasons: Vec<_> = reasons.map(|(_, reason)| reason).collect();
    assert_eq!(reasons, ["signed out at the provider", "signed out at the provider"]);
}

#[tokio::test]
async fn a_user_signs_out_at_the_provider_too_if_they_choose_to() {
    let world = World::start().await;
    world.link("u1", "id-of-Ada").await;
    world.remote.publish(json!({"end_session_endpoint": format!("{}/end", world.remote.url)}));
    let whole = whole(&world);
    for there in [false, true] {
        let mut browser = whole.browser();
        sign_in(&world, &mut browser, json!({})).await;
        let page = browser.get("/oauth2/logout").await;
        assert!(page.body.contains("Also sign out at Corp"), "{}", page.body);
        let csrf = page.field("csrf").unwrap();
        let mut form = vec![("csrf", csrf.as_str()), ("request", ""), ("decision", "sign-out")];
        form.extend(there.then_some(("provider", "1")));
        let page = browser.post("/oauth2/logout", &form).await;
        assert_eq!((page.status.as_u16(), who(&mut browser).await), (200, None));
        assert_eq!(page.body.contains("/end?id_token_hint=ey"), there, "{}", page.body);
        if there {
            let state = page.body.split_once("state=").unwrap().1.split_once('"').unwrap().0.to_owned();
            for state in [state.as_str(), "made-up"] {
                let page = browser.get(&format!("/login/with/corp/signed-out?state={state}")).await;
                assert_eq!(page.status, 200, "{state}");
            }
        }
    }
    // A session of another kind has no such choice.
    let mut browser = whole.browser();
    browser.sign_in("ada@example.com", PASSWORD).await;
    assert!(!browser.get("/oauth2/logout").await.body.contains("Also sign out"));
}
