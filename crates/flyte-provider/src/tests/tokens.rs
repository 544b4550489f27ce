//! ID tokens that must not be accepted.

use base64::{Engine as _, prelude::BASE64_URL_SAFE_NO_PAD};
use jsonwebtoken::{Algorithm, EncodingKey, Header};
use secrecy::SecretString;
use serde_json::{Value, json};

use super::World;
use crate::{Groups, ProviderError, id_token::half_hash};
use flyte_federation::testing::Key;
use flyte_settings::ProviderPreset;
use flyte_testing::NOW;

#[tokio::test]
async fn only_claims_of_this_sign_in_are_accepted() {
    let world = World::new().await;
    let slash = format!("{}/", world.remote.url);
    for (claims, reason) in [
        (json!({"nonce": "other"}), "nonce"),
        (json!({"nonce": null}), "nonce"),
        (json!({"nonce": 5}), "nonce"),
        (json!({"iss": "https://other.example"}), "issuer"),
        (json!({"iss": slash}), "issuer"),
        (json!({"iss": null}), "issuer"),
        (json!({"aud": "another-client"}), "audience"),
        (json!({"aud": null}), "audience"),
        (json!({"aud": []}), "audience"),
        (json!({"aud": ["another-client"]}), "audience"),
        (json!({"aud": ["flyte-server", "another-client"]}), "audience"),
        (json!({"aud": ["flyte-server", "another-client"], "azp": "another-client"}), "audience"),
        (json!({"azp": "another-client"}), "audience"),
        (json!({"azp": 5}), "audience"),
        (json!({"exp": NOW - 60}), "expired"),
        (json!({"exp": null}), "no exp"),
        (json!({"exp": "tomorrow"}), "not a number"),
        (json!({"iat": NOW + 61}), "not valid yet"),
        (json!({"iat": null}), "no iat"),
        (json!({"nbf": NOW + 61}), "not valid yet"),
        (json!({"sub": null}), "no usable sub"),
        (json!({"sub": ""}), "no usable sub"),
        (json!({"sub": "a\u{0}b"}), "no usable sub"),
        (json!({"sub": 5}), "no usable sub"),
        (json!({"sub": "x".repeat(513)}), "no usable sub"),
        (json!({"at_hash": "AAAA"}), "at_hash"),
        (json!({"at_hash": 5}), "at_hash"),
        (json!({"events": {"http://schemas.openid.net/event/backchannel-logout": {}}}), "events"),
        (json!({"pad": "x".repeat(130 * 1024)}), "too long"),
    ] {
        let error = world.wrong(claims.clone()).await;
        assert!(error.contains(reason), "{reason}: {error}");
    }
    let at_hash = half_hash(Algorithm::ES256, &SecretString::from("at"));
    for claims in [
        json!({}),
        json!({"aud": ["flyte-server"]}),
        json!({"aud": ["flyte-server", "other"], "azp": "flyte-server"}),
        json!({"exp": NOW - 59, "nbf": NOW + 60, "iat": NOW + 60}),
        json!({"at_hash": at_hash}),
    ] {
        world.remote.claim(claims.clone());
        assert!(world.sign_in().await.is_ok(), "{claims}");
    }
}

#[test]
fn the_hash_of_an_access_token_is_that_of_the_specification() {
    // The example of OpenID Connect Core appendix A.3.
    let token = SecretString::from("jHkWEdUXMU1BwAsC4vtUsZwnNvTIxEl0z9K3vx5KF0Y");
    assert_eq!(half_hash(Algorithm::RS256, &token), "77QmUPtjPfzWtF2AnpK9RQ");
}

#[tokio::test]
async fn algorithms_are_not_confused() {
    let world = World::new().await;
    let (url, attempt) = world.begin().await;
    let nonce = url.query_pairs().find(|(name, _)| name == "nonce").unwrap().1.into_owned();
    let claims = world.remote.claims(&nonce);
    let refused = async |token: &str| {
        world.remote.answer_id_token(token);
        let error = world.finish(&world.remote.sign_in(&url), &attempt).await.unwrap_err();
        assert!(matches!(error, ProviderError::Wrong(_)), "{error}");
    };
    let part = |value: &Value| BASE64_URL_SAFE_NO_PAD.encode(value.to_string());
    for alg in ["none", "None", "NONE", "", "RS1"] {
        refused(&format!("{}.{}.", part(&json!({"alg": alg, "kid": "k"})), part(&claims))).await;
    }
    // The public key as the secret of an HMAC.
    let jwk = world.remote.key().jwk();
    for secret in [jwk["x"].as_str().unwrap().to_owned(), jwk.to_string()] {
        let mut header = Header::new(Algorithm::HS256);
        header.kid = Some("k".to_owned());
        let key = EncodingKey::from_secret(secret.as_bytes());
        refused(&jsonwebtoken::encode(&header, &claims, &key).unwrap()).await;
    }
    // A stranger's key under the same name, in the set or in the header.
    let stranger = Key::new(Algorithm::ES256, "k");
    refused(&stranger.sign(&claims)).await;
    let embedded = stranger.sign_with(&claims, |header| {
        header.jwk = serde_json::from_value(stranger.jwk()).ok();
    });
    refused(&embedded).await;
    // A token for another purpose, although the right key signed it.
    let key = world.remote.key();
    for typ in ["logout+jwt", "at+jwt"] {
        refused(&key.sign_with(&claims, |header| header.typ = Some(typ.to_owned()))).await;
    }
    for text in ["", "a.b.c", "x"] {
        refused(text).await;
    }
}

#[tokio::test]
async fn new_keys_are_fetched_at_a_limited_rate() {
    let world = World::new().await;
    world.sign_in().await.unwrap();
    world.remote.rotate(Key::new(Algorithm::EdDSA, "next"));
    let _ = world.remote.asked();
    assert!(world.sign_in().await.is_err(), "right after a request there is no further one");
    assert_eq!(world.remote.asked(), ["/token"]);
    world.clock.advance(10);
    world.sign_in().await.unwrap();
    assert_eq!(world.remote.asked(), ["/token", "/keys"]);
}

#[tokio::test]
async fn tenants_of_entra_are_those_of_the_issuer() {
    let world = World::with(|settings| {
        settings.preset = ProviderPreset::Entra;
        settings.groups_claim = Some("groups".to_owned());
        settings.allowed_tenants = vec!["t1".to_owned()];
    })
    .await;
    let template = format!("{}/{{tenantid}}/v2.0", world.remote.url);
    world.remote.publish(json!({"issuer": template}));
    world.remote.answer_json("/userinfo", &json!({"sub": "u1"}));
    let issuer = |tenant: &str| format!("{}/{tenant}/v2.0", world.remote.url);
    world
        .remote
        .claim(json!({"iss": issuer("T1"), "tid": "T1", "oid": "o9", "_claim_names": {"groups": "s"},
        "_claim_sources": {"s": {"endpoint": format!("{}/graph", world.remote.url)}}}));
    let profile = world.sign_in().await.unwrap();
    assert_eq!((profile.issuer, profile.subject.as_str()), (issuer("T1"), "o9"), "not sub");
    assert_eq!(profile.organization.as_deref(), Some("t1"));
    assert_eq!(profile.groups, Groups::TooMany);
    assert!(!world.remote.asked().contains(&"/graph".to_owned()), "an address in a token is not called");
    for (claims, reason) in [
        (json!({"iss": issuer("T2"), "tid": "T1", "oid": "o9"}), "issuer"),
        (json!({"iss": issuer("T1"), "tid": null, "oid": "o9"}), "no tid"),
        (json!({"iss": issuer("a/b"), "tid": "a/b", "oid": "o9"}), "no tid"),
        (json!({"iss": issuer("T1"), "tid": "T1", "oid": null}), "does not identify"),
    ] {
        let error = world.wrong(claims).await;
        assert!(error.contains(reason), "{reason}: {error}");
    }
    // Without a list of tenants, each of them could sign in.
    let world = World::with(|settings| settings.preset = ProviderPreset::Entra).await;
    world.remote.publish(json!({"issuer": format!("{}/{{tenantid}}/v2.0", world.remote.url)}));
    let error = world.provider.begin(&crate::Wishes::default()).await.unwrap_err();
    assert!(error.to_string().contains("its issuer is"), "{error}");
    // Other presets take no template.
    let world = World::new().await;
    world.remote.publish(json!({"issuer": format!("{}/{{tenantid}}/v2.0", world.remote.url)}));
    let error = world.provider.begin(&crate::Wishes::default()).await.unwrap_err();
    assert!(error.to_string().contains("its issuer is"), "{error}");
}
