//! Logout tokens, and the address of the sign-out.

use serde_json::{Value, json};

use super::World;
use crate::ProviderError;

fn claims(world: &World, changes: Value) -> Value {
    let mut claims = json!({
        "iss": world.remote.url, "aud": "flyte-server", "iat": flyte_testing::NOW, "exp": flyte_testing::NOW + 120,
        "jti": "1", "sub": "u1", "sid": "s",
        "events": {"http://schemas.openid.net/event/backchannel-logout": {}},
    });
    for (name, value) in changes.as_object().unwrap() {
        claims[name] = value.clone();
    }
    claims.as_object_mut().unwrap().retain(|_, value| !value.is_null());
    claims
}

#[tokio::test]
async fn only_logout_tokens_for_this_server_are_accepted() {
    let world = World::new().await;
    let check = async |changes: Value| {
        let token = world.remote.key().sign(&claims(&world, changes));
        world.provider.logout_token(&token).await
    };
    let valid = check(json!({})).await.unwrap();
    assert_eq!(
        (valid.subject.as_deref(), valid.sid.as_deref(), valid.id.as_str()),
        (Some("u1"), Some("s"), "1")
    );
    assert_eq!(check(json!({"sid": null})).await.unwrap().sid, None);
    assert_eq!(check(json!({"sub": null})).await.unwrap().subject, None);
    let event = "http://schemas.openid.net/event/backchannel-logout";
    for wrong in [
        json!({"iss": "https://other.example"}),
        json!({"aud": "another"}),
        json!({"iat": null}),
        json!({"exp": null}),
        json!({"exp": flyte_testing::NOW - 61}),
        json!({"iat": flyte_testing::NOW + 61}),
        json!({"events": null}),
        json!({"events": {}}),
        json!({"events": [event]}),
        json!({"events": {event: null}}),
        json!({"events": {event: true}}),
        json!({"nonce": "n"}),
        json!({"nonce": ""}),
        json!({"sub": null, "sid": null}),
        json!({"sub": 7, "sid": []}),
        json!({"jti": null}),
    ] {
        let error = check(wrong.clone()).await.unwrap_err();
        assert!(matches!(error, ProviderError::Wrong(_)), "{wrong}: {error}");
    }
    // An ID token, and a token that another key signed.
    let id_token = world.remote.key().sign(&world.remote.claims("n"));
    assert!(world.provider.logout_token(&id_token).await.is_err());
    let stranger = flyte_federation::testing::Key::new(jsonwebtoken::Algorithm::ES256, "k");
    let forged = stranger.sign(&claims(&world, json!({})));
    assert!(world.provider.logout_token(&forged).await.is_err());
}

#[tokio::test]
async fn the_browser_is_sent_to_sign_out_only_where_the_provider_has_a_page() {
    let world = World::new().await;
    assert!(!world.provider.can_sign_out().await);
    assert_eq!(world.provider.sign_out(None).await.unwrap(), None);
    let world = World::new().await;
    let page = format!("{}/end?a=b", world.remote.url);
    world.remote.publish(json!({"end_session_endpoint": page}));
    assert!(world.provider.can_sign_out().await);
    let (url, state) = world.provider.sign_out(Some(&"e.y.J".into())).await.unwrap().unwrap();
    let query: Vec<_> = url.query_pairs().into_owned().collect();
    let expected = [
        ("a", "b"),
        ("id_token_hint", "e.y.J"),
        ("client_id", "flyte-server"),
        ("post_logout_redirect_uri", "https://localhost:8443/login/with/corp/signed-out"),
        ("state", state.as_str()),
    ];
    assert_eq!(query, expected.map(|(name, value)| (name.to_owned(), value.to_owned())));
}
