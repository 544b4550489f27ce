//! Questions about users who have signed in.

use serde_json::json;

use super::World;
use crate::{Proof, ProviderError, Wishes};
use flyte_settings::ProviderPreset;

#[tokio::test]
async fn a_refresh_returns_the_user_and_the_next_token() {
    let world = World::new().await;
    let first = world.sign_in().await.unwrap();
    let recheck = async |token: &str, subject: &str| {
        world.provider.recheck(&Proof::Refresh(token.into()), &first.issuer, subject).await
    };
    let answer = recheck("rt-0", "u1").await;
    assert_eq!(answer.outcome, Ok(first.clone()));
    let next = answer.proof.unwrap().to_text();
    let next = Proof::parse(secrecy::ExposeSecret::expose_secret(&next));
    assert!(
        matches!(next, Some(Proof::Refresh(token)) if secrecy::ExposeSecret::expose_secret(&token) == "rt-1")
    );
    let error = recheck("rt-0", "u1").await.outcome.unwrap_err();
    assert!(error.ends_access(), "{error}");
    // An answer that must not be trusted is no refusal, and does not lose the token.
    world.remote.claim(json!({"aud": "another"}));
    let answer = recheck("rt-1", "u1").await;
    assert!(!answer.outcome.unwrap_err().ends_access());
    assert!(answer.proof.is_some());
    for (code, ends) in [
        ("invalid_client", false),
        ("temporarily_unavailable", false),
        ("interaction_required", true),
        ("invalid_grant", true),
    ] {
        assert_eq!(ProviderError::Refused(code.to_owned()).ends_access(), ends, "{code}");
    }
}

#[tokio::test]
async fn a_refresh_without_an_id_token_asks_userinfo() {
    let world = World::new().await;
    world.sign_in().await.unwrap();
    let answer = json!({"access_token": "at", "token_type": "Bearer"});
    world.remote.answer_json("/token", &answer);
    let userinfo = json!({"sub": "u1", "email": "new@corp.example", "email_verified": true, "name": "Ida"});
    world.remote.answer_json("/userinfo", &userinfo);
    let url = world.remote.url.clone();
    let recheck = async |subject: &str| {
        world.provider.recheck(&Proof::Refresh("rt".into()), &url, subject).await.outcome
    };
    let profile = recheck("u1").await.unwrap();
    assert_eq!((profile.issuer.as_str(), profile.subject.as_str()), (url.as_str(), "u1"));
    assert_eq!(profile.email.as_deref(), Some("new@corp.example"));
    assert!(matches!(recheck("u2").await, Err(ProviderError::Wrong(_))), "another user");
    world.remote.answer("/userinfo", 503, "text/plain", "");
    assert!(matches!(recheck("u1").await, Err(ProviderError::Unavailable(_))));
}

#[tokio::test]
async fn a_refresh_token_is_asked_for_in_the_provider_s_way() {
    for (preset, recheck, supported, expected, absent) in [
        (ProviderPreset::Oidc, 3600, true, "profile+offline_access", "access_type"),
        (ProviderPreset::Oidc, 3600, false, "scope=openid", "offline_access"),
        (ProviderPreset::Oidc, 0, true, "scope=openid", "offline_access"),
        (ProviderPreset::Google, 3600, false, "access_type=offline", "offline_access"),
        (ProviderPreset::Google, 0, false, "auth_time", "access_type"),
    ] {
        let world = World::with(|settings| {
            settings.preset = preset;
            settings.recheck = recheck;
        })
        .await;
        let scopes = if supported { json!(["openid", "offline_access"]) } else { json!(["openid"]) };
        world.remote.publish(json!({"scopes_supported": scopes}));
        let (url, ..) = world.provider.begin(&Wishes::default()).await.unwrap();
        let query = url.query().unwrap();
        assert!(query.contains(expected) && !query.contains(absent), "{preset:?} {recheck}: {query}");
    }
}

#[tokio::test]
async fn google_must_say_when_the_user_signed_in() {
    let world = World::with(|settings| settings.preset = ProviderPreset::Google).await;
    let now = flyte_testing::NOW;
    let outcome = async |auth_time: serde_json::Value| {
        let wishes = Wishes { max_age: Some(0), ..Wishes::default() };
        let (url, _, attempt) = world.provider.begin(&wishes).await.unwrap();
        world.remote.claim(json!({"auth_time": auth_time}));
        let code = world.remote.sign_in(&url);
        world.finish(&code, &attempt).await.map(|profile| profile.authenticated_at)
    };
    assert_eq!(outcome(json!(null)).await, Err(ProviderError::NotFresh));
    assert_eq!(outcome(json!(now - 3600)).await, Err(ProviderError::NotFresh), "let through");
    assert_eq!(outcome(json!(now)).await, Ok(Some(now)));
}
