//! Authorization requests and callbacks.

use std::collections::HashMap;

use aws_lc_rs::digest::{SHA256, digest};
use base64::{Engine as _, prelude::BASE64_URL_SAFE_NO_PAD};
use jsonwebtoken::Algorithm;
use serde_json::json;

use super::World;
use crate::{Callback, ProviderError, Wishes};
use flyte_federation::testing::Key;
use flyte_settings::{ProviderCredential, ProviderPreset};

#[tokio::test]
async fn a_request_has_pkce_nonce_and_state_that_are_new_each_time() {
    let world = World::new().await;
    let wishes = Wishes { login_hint: Some("ida@corp.example".to_owned()), ..Wishes::default() };
    let (url, state, _) = world.provider.begin(&wishes).await.unwrap();
    let query: HashMap<_, _> = url.query_pairs().into_owned().collect();
    assert_eq!(url.path(), "/authorize");
    for (name, expected) in [
        ("response_type", "code"),
        ("client_id", "flyte-server"),
        ("redirect_uri", "https://localhost:8443/login/with/corp/callback"),
        ("scope", "openid email profile"),
        ("code_challenge_method", "S256"),
        ("state", state.as_str()),
        ("login_hint", "ida@corp.example"),
    ] {
        assert_eq!(query[name], expected, "{name}");
    }
    let (again, other_state, _) = world.provider.begin(&wishes).await.unwrap();
    let again: HashMap<_, _> = again.query_pairs().into_owned().collect();
    assert_ne!(state, other_state);
    for name in ["nonce", "code_challenge"] {
        assert_eq!(query[name].len(), 43, "{name}");
        assert_ne!(query[name], again[name], "{name}");
    }
    let (url, attempt) = world.begin().await;
    let code = world.remote.sign_in(&url);
    let profile = world.finish(&code, &attempt).await.unwrap();
    assert_eq!((profile.issuer, profile.subject), (world.remote.url.clone(), "u1".to_owned()));
    assert_eq!(profile.verified_email.unwrap().as_str(), "ida@corp.example");
    let verifier = world.remote.sent("code_verifier").unwrap();
    let challenge = BASE64_URL_SAFE_NO_PAD.encode(digest(&SHA256, verifier.as_bytes()));
    assert!(url.query_pairs().any(|(name, value)| name == "code_challenge" && value == challenge));
    assert_eq!(world.remote.sent("client_id").as_deref(), Some("flyte-server"));
    assert_eq!(world.remote.asked(), ["/.well-known/openid-configuration", "/token", "/keys"]);
}

#[tokio::test]
async fn organizations_and_new_sign_ins_are_asked_for() {
    for (preset, name, max_age, prompt) in [
        (ProviderPreset::Google, "hd", None, "select_account"),
        (ProviderPreset::Okta, "domain_hint", Some("0"), "login"),
    ] {
        let world = World::with(|settings| {
            settings.preset = preset;
            settings.domain_hint = Some("corp.example".to_owned());
        })
        .await;
        let wishes = Wishes { max_age: Some(0), another_account: true, ..Wishes::default() };
        let (url, ..) = world.provider.begin(&wishes).await.unwrap();
        let query: HashMap<_, _> = url.query_pairs().into_owned().collect();
        assert_eq!((query[name].as_str(), query["prompt"].as_str()), ("corp.example", prompt));
        assert_eq!(query.get("max_age").map(String::as_str), max_age);
    }
    let world = World::new().await;
    let wishes = Wishes { another_account: true, ..Wishes::default() };
    let (url, ..) = world.provider.begin(&wishes).await.unwrap();
    assert!(url.query().unwrap().contains("prompt=select_account"));
}

#[tokio::test]
async fn a_new_sign_in_must_be_proved() {
    let world = World::new().await;
    let outcome = async |max_age, auth_time: serde_json::Value| {
        let wishes = Wishes { max_age, ..Wishes::default() };
        let (url, _, attempt) = world.provider.begin(&wishes).await.unwrap();
        world.remote.claim(json!({"auth_time": auth_time}));
        let code = world.remote.sign_in(&url);
        world.finish(&code, &attempt).await.map(|profile| profile.authenticated_at)
    };
    let now = flyte_testing::NOW;
    assert_eq!(outcome(Some(0), json!(now)).await, Ok(Some(now)));
    assert_eq!(outcome(Some(0), json!(now - 60)).await, Ok(Some(now - 60)), "clocks differ");
    assert_eq!(outcome(Some(0), json!(now - 61)).await, Err(ProviderError::NotFresh));
    assert_eq!(outcome(Some(0), json!(null)).await, Err(ProviderError::NotFresh));
    assert_eq!(outcome(Some(0), json!("now")).await, Err(ProviderError::NotFresh));
    assert_eq!(outcome(Some(600), json!(now - 600)).await, Ok(Some(now - 600)));
    assert_eq!(outcome(None, json!(now - 9999)).await, Ok(Some(now - 9999)));
}

#[tokio::test]
async fn a_callback_of_another_issuer_spends_no_code() {
    let world = World::new().await;
    let (url, attempt) = world.begin().await;
    let code = world.remote.sign_in(&url);
    let _ = world.remote.asked();
    let with =
        |issuer: Option<&str>| Callback { code: code.as_str().into(), issuer: issuer.map(str::to_owned) };
    for issuer in ["https://other.example", "", &format!("{}/", world.remote.url)] {
        let error = world.provider.finish(&with(Some(issuer)), &attempt).await.unwrap_err();
        assert_eq!(error, ProviderError::Wrong("the callback is from another issuer"), "{issuer}");
    }
    assert!(world.remote.asked().is_empty(), "no token request");
    assert!(world.provider.finish(&with(Some(&world.remote.url)), &attempt).await.is_ok());

    // If the provider announces `iss`, it must be there.
    let world = World::new().await;
    world.remote.publish(json!({"authorization_response_iss_parameter_supported": true}));
    assert_eq!(world.sign_in().await.unwrap_err(), ProviderError::Wrong("the callback has no iss"));
}

#[tokio::test]
async fn providers_are_not_mixed_up() {
    let (world, other) =
        (World::new().await, World::with(|settings| settings.name = "other".to_owned()).await);
    let (url, attempt) = world.begin().await;
    let code = world.remote.sign_in(&url);
    let error = other.finish(&code, &attempt).await.unwrap_err();
    assert_eq!(error, ProviderError::Wrong("the sign-in was begun at another provider"));
    assert!(!other.remote.asked().contains(&"/token".to_owned()));
}

#[tokio::test]
async fn a_code_is_used_once() {
    let world = World::new().await;
    let (url, attempt) = world.begin().await;
    let code = world.remote.sign_in(&url);
    assert!(world.finish(&code, &attempt).await.is_ok());
    let error = world.finish(&code, &attempt).await.unwrap_err();
    assert_eq!(error, ProviderError::Refused("invalid_grant".to_owned()));
}

#[tokio::test]
async fn this_server_authenticates_as_the_provider_wants() {
    let directory = tempfile::tempdir().unwrap();
    let secret = directory.path().join("secret");
    std::fs::write(&secret, "p w:%+\n").unwrap();
    let world =
        World::with(|settings| settings.credential = ProviderCredential::Secret(secret.clone())).await;
    world.sign_in().await.unwrap();
    let basic = base64::prelude::BASE64_STANDARD.encode("flyte-server:p+w%3A%25%2B");
    assert_eq!(world.remote.sent_header("authorization"), Some(format!("Basic {basic}")));
    assert_eq!(world.remote.sent("client_secret"), None);

    let world =
        World::with(|settings| settings.credential = ProviderCredential::Secret(secret.clone())).await;
    world.remote.publish(json!({"token_endpoint_auth_methods_supported": ["client_secret_post"]}));
    world.sign_in().await.unwrap();
    assert_eq!(world.remote.sent("client_secret").as_deref(), Some("p w:%+"));

    let file = directory.path().join("key.pem");
    std::fs::write(&file, Key::new(Algorithm::ES256, "k").pem()).unwrap();
    let credential = ProviderCredential::Key { file, id: Some("client-key".to_owned()) };
    let world = World::with(|settings| settings.credential = credential).await;
    world.sign_in().await.unwrap();
    let assertion = world.remote.sent("client_assertion").unwrap();
    let header = jsonwebtoken::decode_header(&assertion).unwrap();
    assert_eq!((header.alg, header.kid.as_deref()), (Algorithm::ES256, Some("client-key")));
    let claims: serde_json::Value = jsonwebtoken::dangerous::insecure_decode_claims(&assertion).unwrap();
    assert_eq!(claims["aud"], format!("{}/token", world.remote.url));
    assert_eq!((&claims["iss"], &claims["sub"]), (&json!("flyte-server"), &json!("flyte-server")));

    let missing = ProviderCredential::Secret(directory.path().join("missing"));
    let world = World::with(|settings| settings.credential = missing).await;
    let error = world.sign_in().await.unwrap_err();
    assert!(
        matches!(error, ProviderError::Credential(_)) && error.to_string().contains("missing"),
        "{error}"
    );
}
