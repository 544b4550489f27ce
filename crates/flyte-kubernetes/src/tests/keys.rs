//! Keys: absent at the start, absent later, rotated, asked for by strangers.

use futures_util::future::join_all;

use super::lab::{ISSUER, Key, Lab, claims};
use crate::keys::ClusterKeys;
use flyte_access::workload::{WorkloadError, Workloads as _};

const JWKS: &str = "/openid/v1/jwks";
const CONFIGURATION: &str = "/.well-known/openid-configuration";

#[tokio::test]
async fn the_server_starts_before_the_api_server_and_recovers() {
    let mut lab = Lab::with(|_| {}, |_| {}, false).await;
    let token = lab.token("r-a0-1", "u1");
    let error = lab.identify(&token).await.unwrap_err();
    assert!(matches!(error, WorkloadError::Unavailable(_)), "not unauthenticated: {error:?}");
    lab.stub.set(|content| content.is_down = true);
    lab.start().await;
    lab.clock.advance(1);
    let error = lab.identify(&token).await.unwrap_err();
    assert!(matches!(error, WorkloadError::Unavailable(_)), "an answer without keys: {error:?}");
    lab.stub.set(|content| content.is_down = false);
    lab.clock.advance(1);
    lab.accepted(&token).await;
}

#[tokio::test]
async fn known_keys_are_used_while_the_api_server_is_down_but_not_for_ever() {
    let lab = Lab::new().await;
    lab.accepted(&lab.token("r-a0-1", "u1")).await;
    let keys = match &lab.cluster.verification {
        crate::Verification::Keys { keys, .. } => keys,
        crate::Verification::Reviews(_) => panic!("the default is keys"),
    };
    lab.stub.set(|content| content.is_down = true);
    lab.clock.advance(301);
    assert_eq!(keys.with(Some("one")).await.unwrap().issuer, ISSUER);
    let error = keys.with(Some("two")).await.unwrap_err();
    assert!(!error.0.is_empty(), "a key that may be new");
    lab.clock.advance(3300);
    assert!(keys.with(Some("one")).await.is_err(), "it may have been withdrawn an hour ago");
}

#[tokio::test]
async fn a_rotation_is_noticed() {
    let lab = Lab::new().await;
    let before = lab.token("r-a0-1", "u1");
    lab.accepted(&before).await;
    let next = Key::new("next");
    let after = next.sign(&claims("flyte", "r-a0-1", "u1"));
    lab.stub.set(|content| content.jwks = vec![next.jwk()]);
    lab.clock.advance(10);
    lab.accepted(&after).await;
    assert_eq!(
        lab.refusal(&before).await,
        "the pod's token was signed by a key that the cluster does not have",
        "the withdrawn key"
    );
}

#[tokio::test]
async fn a_flood_of_unknown_keys_causes_one_request() {
    let lab = Lab::new().await;
    let token = lab.token("r-a0-1", "u1");
    lab.accepted(&token).await;
    lab.clock.advance(10);
    let before = lab.stub.requests(JWKS);
    let flood = || async {
        let strangers: Vec<_> = (0..50)
            .map(|n| Key::new(&format!("stranger-{n}")).sign(&claims("flyte", "r-a0-1", "u1")))
            .collect();
        for error in join_all(strangers.iter().map(|token| lab.identify(token))).await {
            assert!(matches!(error, Err(WorkloadError::Invalid(_))), "{error:?}");
        }
    };
    flood().await;
    flood().await;
    assert_eq!(lab.stub.requests(JWKS), before + 1);
    lab.clock.advance(9);
    lab.accepted(&token).await;
    flood().await;
    assert_eq!(lab.stub.requests(JWKS), before + 1, "within the pause");
    lab.clock.advance(1);
    flood().await;
    assert_eq!(lab.stub.requests(JWKS), before + 2);
}

#[tokio::test]
async fn the_issuer_can_be_a_setting() {
    let lab = Lab::with(|config| config.issuer = Some(ISSUER.to_owned()), |_| {}, true).await;
    lab.stub.set(|content| content.issuer = "https://wrong".to_owned());
    lab.accepted(&lab.token("r-a0-1", "u1")).await;
    assert_eq!(lab.stub.requests(CONFIGURATION), 0);
    let other = lab.token_with(|claims| claims["iss"] = serde_json::json!("https://wrong"));
    assert!(!lab.cluster.recognizes(&other));
    assert_eq!(lab.refusal(&other).await, "the token is from another issuer than this cluster");
}

#[tokio::test]
async fn one_request_serves_all_who_wait() {
    let lab = Lab::new().await;
    let crate::Verification::Keys { keys, .. } = &lab.cluster.verification else { panic!() };
    lab.accepted(&lab.token("r-a0-1", "u1")).await;
    let fresh = ClusterKeys::new(lab.cluster.api.clone(), lab.clock.clone(), None);
    let before = lab.stub.requests(JWKS);
    for found in join_all((0..20).map(|_| fresh.with(Some("one")))).await {
        assert_eq!(found.unwrap().issuer, ISSUER);
    }
    assert_eq!(lab.stub.requests(JWKS), before + 1);
    assert!(keys.issuer().is_some());
}
