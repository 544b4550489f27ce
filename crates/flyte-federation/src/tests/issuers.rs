//! Fetching, caching, rotation and refusal of keys.

use jsonwebtoken::Algorithm;
use serde_json::json;

use crate::testing::{Answer, Issuer, Key, rule};
use crate::{IssuerError, TrustedIssuers};
use flyte_model::clock::Clock;
use flyte_store::TrustRule;
use flyte_testing::NOW;

struct World {
    clock: Clock,
    issuers: TrustedIssuers,
    issuer: Issuer,
    rule: TrustRule,
}

impl World {
    async fn with(keys: &[&Key]) -> Self {
        let clock = Clock::manual(NOW);
        let issuer = Issuer::start(keys).await;
        let rule = rule("ci", &issuer.url);
        Self { issuers: TrustedIssuers::new(None, clock.clone()).unwrap(), clock, issuer, rule }
    }

    /// Whether the key `kid` is found.
    async fn has(&self, kid: &str) -> bool {
        self.issuers.keys(&self.rule, Some(kid)).await.unwrap().has(Some(kid))
    }

    async fn error(&self) -> String {
        self.issuers.keys(&self.rule, None).await.unwrap_err().to_string()
    }
}

fn key(kid: &str) -> Key {
    Key::new(Algorithm::ES256, kid)
}

#[tokio::test]
async fn keys_are_cached_and_refreshed() {
    let world = World::with(&[&key("a")]).await;
    for _ in 0..5 {
        assert!(world.has("a").await);
    }
    assert_eq!(world.issuer.asked(), ["discovery", "keys"]);
    world.clock.advance(299);
    assert!(world.has("a").await && world.issuer.asked().is_empty());
    world.clock.advance(1);
    assert!(world.has("a").await);
    assert_eq!(world.issuer.asked(), ["discovery", "keys"]);
}

#[tokio::test]
async fn simultaneous_jobs_cause_one_request() {
    let world = World::with(&[&key("a")]).await;
    let all = (0..50).map(|_| world.has("a"));
    assert!(futures_util::future::join_all(all).await.into_iter().all(|has| has));
    assert_eq!(world.issuer.asked(), ["discovery", "keys"]);
}

#[tokio::test]
async fn an_unknown_key_is_fetched_at_a_limited_rate() {
    let world = World::with(&[&key("a")]).await;
    assert!(world.has("a").await);
    world.issuer.publish(&[&key("a"), &key("b")]);
    // Right after a request there is no further request.
    for kid in ["b", "c", "d"] {
        assert!(!world.has(kid).await);
    }
    assert_eq!(world.issuer.asked(), ["discovery", "keys"]);
    world.clock.advance(10);
    assert!(world.has("b").await && world.has("a").await);
    for kid in 0..100 {
        assert!(!world.has(&kid.to_string()).await);
    }
    assert_eq!(world.issuer.asked(), ["discovery", "keys"]);
    // A withdrawn key is refused when the cache expires.
    world.issuer.publish(&[&key("b")]);
    world.clock.advance(300);
    assert!(!world.has("a").await);
}

#[tokio::test]
async fn cached_keys_bridge_an_issuers_failure_for_a_limited_time() {
    let world = World::with(&[&key("a")]).await;
    assert!(world.has("a").await);
    world.issuer.answer_keys(Answer { status: 503, location: None, body: Vec::new() });
    world.clock.advance(3599);
    assert!(world.has("a").await, "its keys are less than an hour old");
    world.clock.advance(10);
    let error = world.error().await;
    assert!(error.contains("/keys: the answer has status 503"), "{error}");
    // There is no further request for some seconds.
    let _ = world.issuer.asked();
    assert!(matches!(world.issuers.keys(&world.rule, None).await, Err(IssuerError::Paused { .. })));
    assert!(world.issuer.asked().is_empty());
    world.issuer.publish(&[&key("a")]);
    world.clock.advance(10);
    assert!(world.has("a").await);
}

#[tokio::test]
async fn only_key_sets_of_the_issuer_are_accepted() {
    let good = json!({"keys": [key("a").jwk()]});
    let padding = "x".repeat(256 * 1024);
    let secret = json!({"kty": "oct", "k": "c2VjcmV0", "kid": "a", "alg": "HS256"});
    let encryption = {
        let mut jwk = key("a").jwk();
        jwk["use"] = json!("enc");
        jwk
    };
    let elsewhere = Answer { status: 302, location: Some("/elsewhere".to_owned()), body: Vec::new() };
    for (keys, what) in [
        (Answer::json(&json!({"keys": [key("a").jwk()], "padding": padding})), "more than 262144 bytes"),
        (Answer::json(&json!({"keys": []})), "not a JSON Web Key Set"),
        (Answer::json(&json!({"keys": [secret]})), "not a JSON Web Key Set"),
        (Answer::json(&json!({"keys": [encryption]})), "not a JSON Web Key Set"),
        (Answer::json(&json!([])), "not a JSON Web Key Set"),
        (Answer { status: 200, location: None, body: b"<html>".to_vec() }, "not a JSON Web Key Set"),
        (Answer { status: 404, ..Answer::json(&good) }, "the answer has status 404"),
        (elsewhere.clone(), "the answer has status 302"),
    ] {
        let world = World::with(&[]).await;
        world.issuer.answer_keys(keys);
        let error = world.error().await;
        assert!(error.contains("/keys: ") && error.contains(what), "{what}: {error}");
    }
    let url = "https://other.example";
    for (discovery, what) in [
        (json!({"issuer": url, "jwks_uri": "http://127.0.0.1/keys"}), "another issuer"),
        (json!({"jwks_uri": "http://127.0.0.1/keys"}), "not a discovery document"),
        (json!({"issuer": "ISSUER"}), "not a discovery document"),
        (json!({"issuer": "ISSUER", "jwks_uri": "http://ci.example/keys"}), "not https"),
        (json!({"issuer": "ISSUER", "jwks_uri": "file:///etc/passwd"}), "not https"),
        (json!({"issuer": "ISSUER", "jwks_uri": "keys"}), "relative URL"),
    ] {
        let world = World::with(&[&key("a")]).await;
        let text = discovery.to_string().replace("ISSUER", &world.issuer.url);
        world.issuer.answer_discovery(Answer { status: 200, location: None, body: text.into_bytes() });
        let error = world.error().await;
        assert!(error.contains(what), "{what}: {error}");
        assert_eq!(world.issuer.asked(), ["discovery"], "{what}");
    }
    let world = World::with(&[&key("a")]).await;
    world.issuer.answer_discovery(elsewhere);
    assert!(world.error().await.contains("the answer has status 302"));
}

#[tokio::test]
async fn a_rule_can_contain_the_url_of_the_keys() {
    let mut world = World::with(&[&key("a")]).await;
    world.rule.jwks_uri = Some(format!("{}/keys", world.issuer.url));
    world.rule.issuer = "https://kubernetes.default.svc".to_owned();
    assert!(world.has("a").await);
    assert_eq!(world.issuer.asked(), ["keys"]);
}

#[tokio::test]
async fn an_unreachable_issuer_is_reported() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    drop(listener);
    let issuers = TrustedIssuers::new(None, Clock::manual(NOW)).unwrap();
    let error = issuers.keys(&rule("ci", &format!("http://{address}")), None).await.unwrap_err();
    assert!(error.to_string().contains("refused"), "{error}");
}

#[test]
fn an_unusable_ca_file_is_an_error_at_the_start() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("ca.pem");
    let open = || TrustedIssuers::new(Some(path.clone()), Clock::manual(NOW)).unwrap_err().to_string();
    assert!(open().starts_with("cannot read \"trust.ca-file\""));
    std::fs::write(&path, "nothing").unwrap();
    assert!(open().contains("no PEM certificate"), "{}", open());
}
