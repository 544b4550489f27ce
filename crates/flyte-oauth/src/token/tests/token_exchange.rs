//! Token exchange, with an issuer in the test.

use jsonwebtoken::Algorithm;
use serde_json::{Value, json};

use crate::fixture::{Answer, NOW, Server};
use flyte_access::Caller;
use flyte_federation::testing::{Answer as IssuerAnswer, Issuer, Key, claims, rule};
use flyte_model::{Limit, Rights, Role, Scope};
use flyte_store::{AuditQuery, AuditRecord, TrustRule};

const GRANT: &str = "urn:ietf:params:oauth:grant-type:token-exchange";
const JWT: &str = "urn:ietf:params:oauth:token-type:jwt";
const ID_TOKEN: &str = "urn:ietf:params:oauth:token-type:id_token";
const ACCESS_TOKEN: &str = "urn:ietf:params:oauth:token-type:access_token";

/// A server that trusts an issuer with one key under the rule `ci`.
struct World {
    server: Server,
    issuer: Issuer,
    key: Key,
}

impl World {
    async fn start() -> Self {
        let key = Key::new(Algorithm::ES256, "k1");
        let world = Self { server: Server::start().await, issuer: Issuer::start(&[&key]).await, key };
        world.trust(rule("ci", &world.issuer.url)).await;
        world
    }

    async fn trust(&self, rule: TrustRule) {
        self.server.state.store.create_trust_rule(&rule).await.unwrap();
    }

    /// A job's token with changes to its claims.
    fn token(&self, changes: Value) -> String {
        self.key.sign(&claims(&self.issuer.url, changes))
    }

    async fn send(&self, token: &str, changes: &[(&str, &str)]) -> Answer {
        let mut pairs = vec![("grant_type", GRANT), ("subject_token", token), ("subject_token_type", JWT)];
        for (name, value) in changes {
            pairs.retain(|(known, _)| known != name);
            if !value.is_empty() {
                pairs.push((name, value));
            }
        }
        self.server.post("/oauth2/token", &pairs).await
    }

    /// Error code and description of a refused exchange.
    async fn refused(&self, token: &str, changes: &[(&str, &str)]) -> (String, String) {
        let answer = self.send(token, changes).await;
        assert_ne!(answer.status, 200, "{}", answer.text());
        assert_eq!(answer.headers["cache-control"], "no-store");
        let description = answer.json()["error_description"].as_str().unwrap().to_owned();
        // %x20-21 / %x23-5B / %x5D-7E
        assert!(
            description.bytes().all(|b| matches!(b, 0x20..=0x21 | 0x23..=0x5B | 0x5D..=0x7E)),
            "{description}"
        );
        (answer.error(), description)
    }

    async fn recorded(&self, event: &str) -> Vec<AuditRecord> {
        self.server.state.audit.flush().await;
        let query = AuditQuery { limit: 100, event: Some(event.to_owned()), ..AuditQuery::default() };
        let (records, _) = self.server.state.store.list_audit_records(&query).await.unwrap();
        records.into_iter().map(|stored| stored.record).collect()
    }

    async fn status(&self, access_token: &str) -> Result<(String, Role), String> {
        let headers = [(http::header::AUTHORIZATION, format!("Bearer {access_token}").parse().unwrap())];
        let state = &self.server.state;
        let caller = state.access.authenticate(&headers.into_iter().collect()).await;
        let role = |caller: &Caller| {
            let place = caller.grants.only_limit().unwrap_or_default();
            caller.grants.role_over(&place).unwrap()
        };
        caller.map(|caller| (caller.subject.clone(), role(&caller))).map_err(|error| error.to_string())
    }
}

#[tokio::test]
async fn a_jobs_token_is_exchanged() {
    let world = World::start().await;
    let token = world.token(json!({}));
    for client in [&[][..], &[("client_id", "flyte")], &[("subject_token_type", ID_TOKEN)]] {
        let answer = world.send(&token, client).await;
        assert_eq!(answer.status, 200, "{}", answer.text());
        assert_eq!(answer.headers["cache-control"], "no-store");
        let body = answer.json();
        assert_eq!(
            (&body["issued_token_type"], &body["token_type"], &body["expires_in"], &body["scope"]),
            (&json!(ACCESS_TOKEN), &json!("Bearer"), &json!(3600), &json!("all"))
        );
        assert_eq!((body.get("refresh_token"), body.get("id_token")), (None, None));
        let claims = Answer::claims(&body["access_token"]);
        assert_eq!(
            (&claims["sub"], &claims["client_id"], &claims["principal"], &claims["fid"]),
            (&json!("ci:job-1"), &json!("flyte"), &json!("federated"), &json!("family-of-ci"))
        );
        let caller = world.status(body["access_token"].as_str().unwrap()).await;
        assert_eq!(caller, Ok(("ci:job-1".to_owned(), Role::Contributor)));
    }
    let records = world.recorded("token_exchanged").await;
    assert_eq!(records.len(), 3);
    let record = &records[0];
    assert_eq!(record.subject.as_deref(), Some("ci:job-1"));
    assert_eq!(record.object.as_deref(), Some("ci"));
    assert_eq!(record.details["issuer"], world.issuer.url);
    assert_eq!(record.details["foreign_subject"], "job-1");
    assert!(!format!("{records:?}").contains(&token));
    world.server.state.access.write_usage().await.unwrap();
    let used = world.server.state.store.trust_rule_by_name("ci").await.unwrap().unwrap();
    assert_eq!(used.last_used_at, Some(NOW));
}

#[tokio::test]
async fn every_parameter_is_checked() {
    let world = World::start().await;
    let token = world.token(json!({}));
    let accepted: [&[(&str, &str)]; 5] = [
        &[("requested_token_type", ACCESS_TOKEN)],
        &[("requested_token_type", JWT)],
        &[("audience", "https://localhost:8443"), ("resource", "https://localhost:8443/")],
        &[("scope", "all"), ("trust", "ci")],
        &[("scope", "openid offline_access read")],
    ];
    for changes in accepted {
        assert_eq!(world.send(&token, changes).await.status, 200, "{changes:?}");
    }
    for (changes, error, what) in [
        (&[("subject_token", "")][..], "invalid_request", "subject_token is missing"),
        (&[("subject_token", "x")], "invalid_request", "not a signed JWT"),
        (&[("subject_token_type", "")], "invalid_request", "subject_token_type is missing"),
        (&[("subject_token_type", ACCESS_TOKEN)], "invalid_request", "subject_token_type must be"),
        (
            &[("requested_token_type", "urn:ietf:params:oauth:token-type:refresh_token")],
            "invalid_request",
            "requested_token_type",
        ),
        (&[("actor_token", "x"), ("actor_token_type", JWT)], "invalid_request", "actor_token"),
        (&[("audience", "https://other.example")], "invalid_target", "only for itself"),
        (&[("scope", "openid")], "invalid_scope", "openid"),
        (&[("scope", "a\"b")], "invalid_scope", "characters"),
        (&[("trust", "other")], "invalid_request", "no trust rule called other"),
        (&[("client_id", "no-client")], "invalid_client", "unknown"),
        (&[("client_id", "native")], "unauthorized_client", "not registered"),
        (&[("client_id", "flyte"), ("client_secret", "x")], "invalid_client", "secret"),
        (&[("client_secret", "x")], "invalid_request", "client_id"),
    ] {
        let refusal = world.refused(&token, changes).await;
        assert!(refusal.0 == error && refusal.1.contains(what), "{changes:?}: {refusal:?}");
    }
}

#[tokio::test]
async fn only_tokens_that_match_a_rule_are_accepted() {
    let world = World::start().await;
    for (changes, what) in [
        (json!({"iss": "https://other.example"}), "no trust rule for tokens of https://other.example"),
        (json!({"iss": format!("{}/", world.issuer.url)}), "no trust rule"),
        (json!({"aud": "https://other.example"}), "with the audience https://other.example"),
        (json!({"aud": "https://localhost:8443/"}), "no trust rule"),
        (json!({"aud": []}), "has no valid claim aud"),
        (json!({"aud": ["https://localhost:8443", "https://other.example"]}), "one audience"),
        (json!({"iss": "\"\\\u{e9}\n"}), "no trust rule for tokens of ????"),
        (json!({"exp": NOW - 61}), "has expired"),
        (json!({"nbf": NOW + 100}), "not valid yet"),
        (json!({"sub": "other"}), "its claims match no trust rule"),
        (json!({"sub": "job-1/x"}), "its claims match no trust rule"),
    ] {
        let refusal = world.refused(&world.token(changes.clone()), &[]).await;
        assert!(refusal.0 == "invalid_request" && refusal.1.contains(what), "{changes}: {refusal:?}");
        assert!(!refusal.1.contains("job-*"), "the response does not reveal the pattern: {refusal:?}");
    }
    // Valid tokens without a matching rule are recorded; tokens that anyone can forge are not.
    let records = world.recorded("token_exchange_refused").await;
    assert_eq!(records.len(), 2);
    assert_eq!(records[0].details["reason"], "the claim sub does not match the rule ci");
    assert_eq!(records[0].details["foreign_subject"], "job-1/x");
    assert_eq!(world.recorded("token_exchanged").await, []);
}

#[tokio::test]
async fn a_stranger_with_valid_tokens_cannot_fill_the_audit_log() {
    let world = World::start().await;
    // Everyone can get any number of tokens from a public issuer.
    let token = world.token(json!({"sub": "other"}));
    let mut looked_at = 0;
    while world.send(&token, &[]).await.status != 429 {
        looked_at += 1;
        assert!(looked_at <= 100);
    }
    let answer = world.send(&token, &[]).await;
    assert_eq!(answer.error(), "temporarily_unavailable");
    assert!(answer.headers["retry-after"].to_str().unwrap().parse::<u32>().unwrap() > 0);
    let records = world.recorded("token_exchange_refused").await;
    assert_eq!(records.len(), 2, "the first, and how often it came again");
    let repeated: Vec<_> = records.iter().filter_map(|record| record.details.get("repeated")).collect();
    assert_eq!(repeated, [&(looked_at + 1).to_string()]);
    assert_eq!(world.send(&world.token(json!({})), &[]).await.status, 200, "a matching token never waits");
}

#[tokio::test]
async fn a_token_signed_with_another_key_is_refused() {
    let world = World::start().await;
    let claims = claims(&world.issuer.url, json!({}));
    let stranger = Key::new(Algorithm::ES256, "k1");
    assert!(world.refused(&stranger.sign(&claims), &[]).await.1.contains("invalid signature"));
    let unknown = Key::new(Algorithm::ES256, "k2");
    assert!(
        world.refused(&unknown.sign(&claims), &[]).await.1.contains("key that its issuer does not publish")
    );
    // After the issuer has published the key, it is found.
    world.issuer.publish(&[&world.key, &unknown]);
    assert!(
        world.refused(&unknown.sign(&claims), &[]).await.1.contains("does not publish"),
        "at a limited rate"
    );
    world.server.state.clock.advance(10);
    assert_eq!(world.send(&unknown.sign(&claims), &[]).await.status, 200);
    assert_eq!(world.send(&world.token(json!({})), &[]).await.status, 200);
    // This server's own tokens are not from a trusted issuer.
    let own = world.send(&world.token(json!({})), &[]).await.json();
    let refusal = world.refused(own["access_token"].as_str().unwrap(), &[]).await;
    assert!(refusal.1.contains("for another purpose"), "{refusal:?}");
}

#[tokio::test]
async fn an_unreachable_issuer_is_a_temporary_error() {
    let world = World::start().await;
    world.issuer.answer_keys(IssuerAnswer { status: 500, location: None, body: b"secret".to_vec() });
    let answer = world.send(&world.token(json!({})), &[]).await;
    assert_eq!((answer.status.as_u16(), answer.error().as_str()), (503, "temporarily_unavailable"));
    assert!(!answer.text().contains("secret") && !answer.text().contains("500"));
    world.issuer.publish(&[&world.key]);
    world.server.state.clock.advance(10);
    assert_eq!(world.send(&world.token(json!({})), &[]).await.status, 200);
    // Issuers without a rule are not contacted.
    let other = Issuer::start(&[&world.key]).await;
    let token = world.key.sign(&claims(&other.url, json!({})));
    world.refused(&token, &[]).await;
    assert!(other.asked().is_empty());
}

#[tokio::test]
async fn the_rule_determines_rights_and_lifetime() {
    let world = World::start().await;
    let limited = TrustRule {
        rights: Rights {
            role: Role::Viewer,
            scopes: [Scope::READ].into(),
            limit: Limit { project: Some("p".to_owned()), domain: Some("d".to_owned()) },
        },
        token_lifetime: Some(600),
        claims: [("env".to_owned(), "prod".to_owned())].into(),
        ..rule("limited", &world.issuer.url)
    };
    world.trust(limited).await;
    let token = world.token(json!({"sub": "x", "env": "prod"}));
    let body = world.send(&token, &[("scope", "openid all")]).await.json();
    assert_eq!((&body["expires_in"], &body["scope"]), (&json!(600), &json!("read")));
    assert_eq!(world.status(body["access_token"].as_str().unwrap()).await.unwrap().1, Role::Viewer);
    // The server's own maximum applies.
    world
        .trust(TrustRule {
            token_lifetime: Some(86_400),
            claims: [("env".to_owned(), "long".to_owned())].into(),
            ..rule("long", &world.issuer.url)
        })
        .await;
    let body = world.send(&world.token(json!({"sub": "x", "env": "long"})), &[]).await.json();
    assert_eq!(body["expires_in"], 3600);

    // If two rules match, the job must name one.
    let both = world.token(json!({"env": "prod"}));
    let refusal = world.refused(&both, &[]).await;
    assert!(refusal.1.contains("the rules ci and limited both match"), "{refusal:?}");
    for name in ["ci", "limited"] {
        let body = world.send(&both, &[("trust", name)]).await.json();
        assert_eq!(Answer::claims(&body["access_token"])["sub"], format!("{name}:job-1"));
    }
}

#[tokio::test]
async fn deleting_the_rule_revokes_its_tokens_immediately() {
    let world = World::start().await;
    let issued = world.send(&world.token(json!({})), &[]).await.json();
    let access = issued["access_token"].as_str().unwrap();
    assert!(world.status(access).await.is_ok());
    let state = &world.server.state;
    let family = state.store.delete_trust_rule("ci", NOW).await.unwrap().unwrap();
    state.access.revoke_family(&family);
    assert_eq!(world.status(access).await.unwrap_err(), "the token has been revoked");
    assert!(world.refused(&world.token(json!({})), &[]).await.1.contains("no trust rule"));
    // A new rule of the same name accepts new tokens.
    world.trust(TrustRule { family_id: "family-2".to_owned(), ..rule("ci", &world.issuer.url) }).await;
    assert!(world.status(access).await.is_err());
    assert_eq!(world.send(&world.token(json!({})), &[]).await.status, 200);
}

#[tokio::test]
async fn a_token_of_a_deleted_rule_is_refused_without_a_revocation() {
    let world = World::start().await;
    let issued = world.send(&world.token(json!({})), &[]).await.json();
    let access = issued["access_token"].as_str().unwrap();
    world.server.state.store.delete_trust_rule("ci", NOW).await.unwrap();
    assert_eq!(world.status(access).await.unwrap_err(), "the trust rule is gone");
}

#[tokio::test]
async fn a_jobs_token_may_be_used_again_until_it_expires() {
    let world = World::start().await;
    let token = world.token(json!({"jti": "once"}));
    for _ in 0..3 {
        assert_eq!(world.send(&token, &[]).await.status, 200);
        world.server.state.clock.advance(100);
    }
    world.server.state.clock.advance(61);
    assert!(world.refused(&token, &[]).await.1.contains("has expired"));
}
