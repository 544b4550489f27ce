//! Discovery, the token endpoint and UserInfo of a provider that fails or lies.

use serde_json::json;

use super::World;
use crate::{Groups, ProviderError, Wishes};

#[tokio::test]
async fn a_provider_that_is_down_is_asked_again_later() {
    let world = World::new().await;
    let path = "/.well-known/openid-configuration";
    world.remote.answer(path, 503, "text/plain", "");
    let begin = async || world.provider.begin(&Wishes::default()).await;
    assert!(matches!(begin().await, Err(ProviderError::Unavailable(_))));
    assert!(matches!(begin().await, Err(ProviderError::Unavailable(_))), "not again at once");
    assert_eq!(world.remote.asked(), [path]);
    let document = json!({"issuer": world.remote.url, "authorization_endpoint": format!("{}/authorize", world.remote.url),
        "token_endpoint": format!("{}/token", world.remote.url), "jwks_uri": format!("{}/keys", world.remote.url)});
    world.remote.answer_json(path, &document);
    world.clock.advance(10);
    assert!(begin().await.is_ok());
    // A document that is known bridges a failure.
    world.remote.answer(path, 503, "text/plain", "");
    world.clock.advance(3600);
    assert!(begin().await.is_ok());
    world.clock.advance(86_400);
    assert!(begin().await.is_err());
}

#[tokio::test]
async fn only_a_document_of_the_issuer_is_used() {
    for (change, reason) in [
        (json!({"issuer": "https://other.example"}), "its issuer is \"https://other.example\""),
        (json!({"issuer": null}), "not a discovery document"),
        (json!({"token_endpoint": null}), "no usable token_endpoint"),
        (json!({"authorization_endpoint": "javascript:alert(1)"}), "no usable authorization_endpoint"),
        (json!({"token_endpoint": "http://corp.example/token"}), "no usable token_endpoint"),
        (json!({"jwks_uri": "file:///etc/passwd"}), "no usable jwks_uri"),
        (json!({"pad": "x".repeat(300 * 1024)}), "more than 262144 bytes"),
    ] {
        let world = World::new().await;
        world.remote.publish(change);
        let error = world.provider.begin(&Wishes::default()).await.unwrap_err().to_string();
        assert!(error.contains(reason), "{reason}: {error}");
    }
    // A slash at the end belongs to the issuer.
    let world = World::with(|settings| settings.issuer.push('/')).await;
    assert!(world.provider.begin(&Wishes::default()).await.is_err());
    let world = World::with(|settings| settings.issuer.push('/')).await;
    let issuer = format!("{}/", world.remote.url);
    world.remote.publish(json!({"issuer": issuer}));
    world.remote.claim(json!({"iss": issuer}));
    assert_eq!(world.sign_in().await.unwrap().issuer, issuer);
}

#[tokio::test]
async fn token_answers_are_distinguished() {
    for (status, body, expected) in [
        (
            400,
            json!({"error": "invalid_grant"}).to_string(),
            ProviderError::Refused("invalid_grant".to_owned()),
        ),
        (
            401,
            json!({"error": "invalid_client"}).to_string(),
            ProviderError::Refused("invalid_client".to_owned()),
        ),
        (
            200,
            json!({"error": "bad_verification_code"}).to_string(),
            ProviderError::Refused("bad_verification_code".to_owned()),
        ),
        (400, json!({"error": "<script>\n"}).to_string(), ProviderError::Refused("unreadable".to_owned())),
        (403, String::new(), ProviderError::Refused("status 403".to_owned())),
        (200, "{}".to_owned(), ProviderError::Wrong("the token endpoint's answer has no access token")),
        (
            200,
            json!({"access_token": "a", "token_type": "DPoP"}).to_string(),
            ProviderError::Wrong("the access token is of another type than Bearer"),
        ),
        (
            200,
            json!({"access_token": "a", "token_type": "Bearer"}).to_string(),
            ProviderError::Wrong("the token endpoint's answer has no ID token"),
        ),
    ] {
        let world = World::new().await;
        world.remote.answer("/token", status, "application/json", body);
        assert_eq!(world.sign_in().await.unwrap_err(), expected);
    }
    for (status, body) in [(503, String::new()), (200, "x".repeat(300 * 1024)), (302, String::new())] {
        let world = World::new().await;
        world.remote.answer("/token", status, "text/plain", body);
        let error = world.sign_in().await.unwrap_err();
        assert!(matches!(error, ProviderError::Unavailable(_) | ProviderError::Refused(_)), "{error}");
    }
}

#[tokio::test]
async fn userinfo_fills_in_what_is_missing_and_nothing_else() {
    let world = World::with(|settings| settings.groups_claim = Some("groups".to_owned())).await;
    world.remote.claim(json!({"email": null, "email_verified": null, "name": null}));
    let claims = json!({"sub": "u1", "email": "ida@corp.example", "email_verified": "true", "name": "Ida", "groups": ["g"]});
    world.remote.answer_json("/userinfo", &claims);
    let profile = world.sign_in().await.unwrap();
    assert_eq!(profile.verified_email.unwrap().as_str(), "ida@corp.example");
    assert_eq!(
        (profile.name.as_deref(), profile.groups),
        (Some("Ida"), Groups::Listed(vec!["g".to_owned()]))
    );
    // The same, signed.
    let signed = world.remote.key().sign(&claims);
    world.remote.answer("/userinfo", 200, "application/jwt", signed);
    assert!(world.sign_in().await.unwrap().verified_email.is_some());
    // Claims of another user.
    for sub in [json!("u2"), json!(null), json!("U1"), json!(1)] {
        let mut other = claims.clone();
        other["sub"] = sub.clone();
        world.remote.answer_json("/userinfo", &other);
        let error = world.sign_in().await.unwrap_err();
        assert!(error.to_string().contains("another user"), "{sub}: {error}");
    }
    // Signed by a stranger, or for another client.
    let stranger = flyte_federation::testing::Key::new(jsonwebtoken::Algorithm::ES256, "k");
    world.remote.answer("/userinfo", 200, "application/jwt", stranger.sign(&claims));
    assert!(world.sign_in().await.is_err());
    let mut other = claims.clone();
    other["aud"] = json!("another-client");
    world.remote.answer("/userinfo", 200, "application/jwt", world.remote.key().sign(&other));
    assert!(world.sign_in().await.is_err());
    world.remote.answer("/userinfo", 200, "application/json", "x".repeat(300 * 1024));
    assert!(matches!(world.sign_in().await, Err(ProviderError::Unavailable(_))));
    // If nothing is missing, it is not asked.
    world.remote.claim(json!({"groups": []}));
    let _ = world.remote.asked();
    world.sign_in().await.unwrap();
    assert!(!world.remote.asked().contains(&"/userinfo".to_owned()));
}
