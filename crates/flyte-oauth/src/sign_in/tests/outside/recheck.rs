//! Users who are no longer accepted by the provider.

use super::*;

/// A world in which Ada is signed in through a provider that is asked again each hour, with a grace of two hours.
async fn start() -> World {
    let world = World::with(|corp| {
        corp.allowed_groups = vec!["g".to_owned()];
        corp.groups_claim = Some("groups".to_owned());
    })
    .await;
    world.link("u1", "id-of-Ada").await;
    world
}

async fn signed_in(world: &World) -> Browser<'_> {
    let mut browser = world.server.browser();
    sign_in(world, &mut browser, claims(world, json!({"groups": ["g"]}))).await;
    assert!(who(&mut browser).await.is_some());
    let _ = world.remote.asked();
    browser
}

/// The claims with current times.
fn claims(world: &World, mut claims: Value) -> Value {
    let now = world.server.state.clock.now();
    claims["iat"] = json!(now);
    claims["exp"] = json!(now + 60);
    claims
}

/// Lets time pass, and asks the providers.
async fn after(world: &World, seconds: i64) {
    world.server.state.clock.advance(seconds);
    crate::recheck_outside_users(&world.server.state).await.unwrap();
}

async fn ended(world: &World) -> Vec<String> {
    let events = world.events().await.into_iter();
    events.filter(|(event, _)| event == "provider_access_ended").map(|(_, reason)| reason).collect()
}

#[tokio::test]
async fn a_user_who_is_removed_at_the_provider_loses_access() {
    let world = start().await;
    let mut browser = signed_in(&world).await;
    let mut password = world.server.browser();
    password.sign_in("ada@example.com", PASSWORD).await;
    after(&world, 3599).await;
    assert!(world.remote.asked().is_empty(), "it is not time yet");
    // Each question replaces the token.
    for wait in [1, 3600, 3600] {
        world.server.state.clock.advance(wait);
        world.remote.claim(claims(&world, json!({"groups": ["g", "h"]})));
        after(&world, 0).await;
        assert!(!world.remote.asked().is_empty());
        assert!(who(&mut browser).await.is_some());
    }
    let groups = world.store().groups_of_user("id-of-Ada").await.unwrap();
    assert_eq!(groups.len(), 2, "the groups are those of the last answer");
    world.remote.revoke();
    after(&world, 3600).await;
    assert_eq!(who(&mut browser).await, None);
    assert!(who(&mut password).await.is_some(), "the password is not the provider's");
    assert_eq!(ended(&world).await, ["refused"]);
    // Nothing is asked any more, and a new sign-in begins again.
    let _ = world.remote.asked();
    after(&world, 36_000).await;
    assert!(world.remote.asked().is_empty());
    signed_in(&world).await;
}

/// The same server with all endpoints.
fn whole(world: &World) -> Server {
    let state = world.server.state.clone();
    Server { router: crate::router(&state).with_state(state.clone()), state }
}

#[tokio::test]
async fn a_session_of_a_removed_user_authorizes_nothing() {
    let world = start().await;
    let browser = signed_in(&world).await;
    let whole = whole(&world);
    let mut browser = Browser { server: &whole, cookies: browser.cookies, address: HOME };
    // Before the turn of the users: the use itself asks.
    world.remote.revoke();
    world.server.state.clock.advance(3600);
    let path =
        format!("{AUTHORIZE}&response_type=code&scope=openid&code_challenge_method=S256&code_challenge=");
    let path = path + crate::fixture::CHALLENGE;
    let page = browser.get(&path).await;
    assert!(page.location().starts_with("/login"), "{}", page.location());
    assert_eq!(who(&mut browser).await, None);
    assert_eq!(ended(&world).await, ["refused"]);
}

#[tokio::test]
async fn a_refresh_of_a_removed_user_gives_nothing() {
    let world = start().await;
    let browser = signed_in(&world).await;
    let state = &world.server.state;
    let session = state.sessions.current(&browser.headers()).await.unwrap().unwrap().session;
    let grant_types = vec![flyte_model::GrantType::RefreshToken];
    state.store.put_client(&Client { grant_types, ..client("flyte", "Flyte") }).await.unwrap();
    let hash = flyte_secrets::opaque_token::hash("code");
    let code = flyte_store::AuthorizationCode {
        code_hash: hash,
        family_id: "family".to_owned(),
        client_id: "flyte".parse().unwrap(),
        user_id: "id-of-Ada".to_owned(),
        session_id: session.id,
        authenticated_at: NOW,
        redirect_uri: "http://localhost/callback".to_owned(),
        code_challenge: String::new(),
        scopes: [Scope::OPENID].into(),
        audience: None,
        nonce: None,
        expires_at: NOW + 60,
    };
    assert!(state.store.create_code(&code).await.unwrap());
    let token_hash = flyte_secrets::opaque_token::hash("rt");
    let refresh = flyte_store::NewRefreshToken { token_hash, expires_at: NOW + 86_400 };
    state.store.redeem_code(&hash, Some(&refresh), NOW).await.unwrap();
    world.remote.revoke();
    state.clock.advance(3600);
    let whole = whole(&world);
    let mut program = whole.browser();
    let form = [("grant_type", "refresh_token"), ("refresh_token", "rt"), ("client_id", "flyte")];
    let page = program.post("/oauth2/token", &form).await;
    assert!(page.status == 400 && page.body.contains("invalid_grant"), "{}", page.body);
    assert_eq!(ended(&world).await, ["refused"]);
}

#[tokio::test]
async fn a_rule_that_no_longer_admits_a_user_ends_access() {
    for (changed, reason) in [
        (json!({"groups": []}), "not in a group"),
        (json!({"groups": null}), "groups unknown"),
        (json!({"groups": ["g"], "sub": "u2"}), "another user"),
    ] {
        let world = start().await;
        let mut browser = signed_in(&world).await;
        world.server.state.clock.advance(3600);
        world.remote.answer_json("/userinfo", &json!({"sub": "u1"}));
        world.remote.claim(claims(&world, changed));
        after(&world, 0).await;
        assert_eq!(who(&mut browser).await, None, "{reason}");
        assert_eq!(ended(&world).await, [reason]);
    }
}

#[tokio::test]
async fn a_provider_that_is_down_has_a_grace_period() {
    let world = start().await;
    let mut browser = signed_in(&world).await;
    world.remote.answer("/token", 503, "text/plain", "");
    after(&world, 3600).await;
    for _ in 0..3 {
        after(&world, 2399).await;
        assert!(who(&mut browser).await.is_some(), "within the grace period");
    }
    // It recovers, and the next failure has a grace period of its own.
    world.remote.recover("/token");
    world.remote.claim(claims(&world, json!({"groups": ["g"]})));
    after(&world, 60).await;
    world.remote.answer("/token", 503, "text/plain", "");
    after(&world, 3600).await;
    assert!(who(&mut browser).await.is_some());
    after(&world, 7200).await;
    assert_eq!(who(&mut browser).await, None, "after the grace period");
    assert_eq!(ended(&world).await, ["not available"]);
}

#[tokio::test]
async fn a_wrong_setup_or_answer_is_no_refusal() {
    let world = start().await;
    let mut browser = signed_in(&world).await;
    world.remote.answer("/token", 401, "application/json", json!({"error": "invalid_client"}).to_string());
    after(&world, 3600).await;
    assert!(who(&mut browser).await.is_some());
    // The refresh works, but its answer cannot be used: the new token is kept.
    world.remote.recover("/token");
    world.remote.claim(claims(&world, json!({"aud": "another"})));
    after(&world, 60).await;
    world.remote.claim(claims(&world, json!({"groups": ["g"]})));
    after(&world, 60).await;
    assert!(who(&mut browser).await.is_some(), "{:?}", ended(&world).await);
    world.remote.claim(claims(&world, json!({"groups": ["g"]})));
    after(&world, 3600).await;
    assert!(ended(&world).await.is_empty());
}

#[tokio::test]
async fn without_a_token_users_sign_in_again_after_a_set_time() {
    let world = start().await;
    world.remote.give_no_refresh_tokens();
    let mut first = signed_in(&world).await;
    world.server.state.clock.advance(3600);
    let mut second = signed_in(&world).await;
    after(&world, 43_200 - 3601).await;
    assert!(who(&mut first).await.is_some());
    after(&world, 1).await;
    assert_eq!(who(&mut first).await, None);
    assert!(who(&mut second).await.is_some(), "it began an hour later");
    after(&world, 3600).await;
    assert_eq!(who(&mut second).await, None);
    assert_eq!(ended(&world).await, ["sign-in too old", "sign-in too old"]);
    assert!(world.remote.asked().is_empty());
}

#[tokio::test]
async fn two_questions_at_once_are_one() {
    let world = start().await;
    let mut browser = signed_in(&world).await;
    world.server.state.clock.advance(3600);
    world.remote.claim(claims(&world, json!({"groups": ["g"]})));
    let run = || crate::recheck_outside_users(&world.server.state);
    let (one, two, three) = tokio::join!(run(), run(), run());
    one.and(two).and(three).unwrap();
    let asked = world.remote.asked();
    assert_eq!(asked.iter().filter(|path| *path == "/token").count(), 1, "{asked:?}");
    assert!(who(&mut browser).await.is_some());
}

#[tokio::test]
async fn tokens_of_the_provider_are_stored_encrypted() {
    let world = start().await;
    signed_in(&world).await;
    let grant = world.store().provider_grant(&world.remote.url, "u1").await.unwrap().unwrap();
    let hidden = grant.hidden_token.unwrap();
    assert!(!String::from_utf8_lossy(&hidden).contains("rt-"), "{hidden:?}");
}

#[tokio::test]
async fn a_provider_that_is_removed_from_the_settings_ends_access() {
    let world = start().await;
    let mut browser = signed_in(&world).await;
    let state = &world.server.state;
    let config = Arc::new(flyte_settings::Config { providers: Vec::new(), ..(*state.config).clone() });
    let without = crate::testing::authorization_server(
        &config,
        &state.clock,
        &state.store,
        &state.keys,
        &state.audit,
        &state.access,
    );
    state.clock.advance(3600);
    crate::recheck_outside_users(&Arc::new(without)).await.unwrap();
    assert_eq!(who(&mut browser).await, None);
    assert_eq!(ended(&world).await, ["provider removed"]);
}

#[tokio::test]
async fn a_session_without_a_grant_is_asked_about_too() {
    const MAX_SESSION: i64 = 900;
    let world = World::with(|corp| corp.max_session = MAX_SESSION).await;
    world.link("u1", "id-of-Ada").await;
    let browser = signed_in(&world).await;
    let grant = world.store().provider_grant(&world.remote.url, "u1").await.unwrap().unwrap();
    assert!(world.store().delete_provider_grant(&grant).await.unwrap(), "as if nothing had been asked then");
    let state = &world.server.state;
    let user = async |browser: &Browser<'_>| state.signed_in(&browser.headers()).await.unwrap();
    state.clock.advance(MAX_SESSION - 1);
    assert!(user(&browser).await.is_some());
    state.clock.advance(1);
    assert!(user(&browser).await.is_none());
    assert_eq!(ended(&world).await, ["sign-in too old"]);
}
