//! Tests of signing, verifying, and the states of keys in a store that several servers share.

use std::sync::Arc;

use aws_lc_rs::digest;
use base64::{Engine as _, prelude::BASE64_URL_SAFE_NO_PAD};
use jsonwebtoken::{Algorithm, DecodingKey, EncodingKey, Header, Validation, jwk::JwkSet};
use serde_json::{Value, json};

use super::*;
use flyte_settings::Config;
use flyte_store::KeyState;
use flyte_store_sqlite::SqliteStore;

const NOW: i64 = 1_800_000_000;
const TYP: &str = "at+jwt";

/// The store, the clock and the key file that the servers share.
struct Shared {
    store: Arc<dyn Store>,
    clock: Clock,
    directory: tempfile::TempDir,
    config: TokenConfig,
}

impl Shared {
    fn new(algorithm: &str) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let mut config = Config::for_test(directory.path()).tokens;
        config.signing_algorithm = algorithm.to_owned();
        config.key_rotation_interval = 30 * 86_400;
        config.access_token_ttl = 7200;
        let store = Arc::new(SqliteStore::in_memory().unwrap());
        Self { store, clock: Clock::manual(NOW), directory, config }
    }

    fn sealing(&self) -> SealingKey {
        SealingKey::load_or_create(&self.directory.path().join("sealing.key")).unwrap()
    }

    /// Starts another server.
    async fn server(&self) -> SigningKeys {
        let (store, clock) = (Arc::clone(&self.store), self.clock.clone());
        SigningKeys::load(store, self.sealing(), clock, &self.config).await.unwrap()
    }

    /// Returns the stored keys of the configured algorithm. The store has another key for RS256.
    async fn stored(&self) -> Vec<SealedSigningKey> {
        let mut keys = self.store.signing_keys().await.unwrap();
        keys.retain(|key| key.algorithm == self.config.signing_algorithm);
        keys
    }

    async fn states(&self) -> Vec<KeyState> {
        self.stored().await.into_iter().map(|key| key.state).collect()
    }
}

/// Returns the published keys of the signing algorithm.
fn published(keys: &SigningKeys) -> Vec<Value> {
    let jwks: Value = serde_json::from_slice(&keys.jwks()).unwrap();
    let all = jwks["keys"].as_array().unwrap().iter();
    all.filter(|key| key["alg"] == keys.algorithm().as_str()).cloned().collect()
}

fn kids(keys: &SigningKeys) -> Vec<String> {
    published(keys).iter().map(|key| key["kid"].as_str().unwrap().to_owned()).collect()
}

fn part(token: &str, n: usize) -> Value {
    let part = token.split('.').nth(n).unwrap();
    serde_json::from_slice(&BASE64_URL_SAFE_NO_PAD.decode(part).unwrap()).unwrap()
}

fn kid(token: &str) -> String {
    part(token, 0)["kid"].as_str().unwrap().to_owned()
}

/// Returns a token with this header and signature, and the claims of `token`.
fn forged(token: &str, header: &Value, signature: &[u8]) -> String {
    let header = BASE64_URL_SAFE_NO_PAD.encode(header.to_string());
    let claims = token.split('.').nth(1).unwrap();
    format!("{header}.{claims}.{}", BASE64_URL_SAFE_NO_PAD.encode(signature))
}

#[tokio::test]
async fn each_algorithm_signs_tokens_that_the_jwks_verifies() {
    for alg in ALGORITHMS {
        let keys = Shared::new(alg).server().await;
        let claims = json!({"sub": "ada", "exp": 1});
        let token = keys.sign(TYP, &claims).unwrap();
        assert_eq!(part(&token, 0), json!({"typ": TYP, "alg": alg, "kid": kids(&keys)[0]}));
        assert_eq!(keys.verify::<Value>(&token, TYP), Ok(claims.clone()), "{alg}");
        // A verifier that has only the JWKS.
        let jwks: JwkSet = serde_json::from_slice(&keys.jwks()).unwrap();
        let mut validation = Validation::new(alg.parse().unwrap());
        validation.required_spec_claims.clear();
        validation.validate_exp = false;
        let decoding = DecodingKey::from_jwk(jwks.find(&kid(&token)).unwrap()).unwrap();
        let verified = jsonwebtoken::decode::<Value>(&token, &decoding, &validation).unwrap();
        assert_eq!(verified.claims, claims, "{alg}");
    }
}

#[tokio::test]
async fn a_client_can_choose_rs256() {
    for alg in ALGORITHMS {
        let shared = Shared::new(alg);
        let keys = shared.server().await;
        let jwks: JwkSet = serde_json::from_slice(&keys.jwks()).unwrap();
        let verified = |token: &str| {
            let mut validation = Validation::new(Algorithm::RS256);
            validation.required_spec_claims.clear();
            validation.validate_exp = false;
            let decoding = DecodingKey::from_jwk(jwks.find(&kid(token)).unwrap()).unwrap();
            jsonwebtoken::decode::<Value>(token, &decoding, &validation).unwrap().claims
        };
        let token = keys.sign_by(RS256, TYP, &json!({"sub": "ada"})).unwrap();
        assert_eq!(verified(&token), json!({"sub": "ada"}), "{alg}");
        assert_eq!(keys.verify::<Value>(&token, TYP), Ok(json!({"sub": "ada"})), "{alg}");
        assert_eq!(part(&keys.sign(TYP, &json!({})).unwrap(), 0)["alg"], alg);
        assert_eq!(jwks.keys.len(), if alg == RS256 { 1 } else { 2 });
        assert!(
            matches!(keys.sign_by("ES384", TYP, &json!({})), Err(KeyError::NoKeyFor(alg)) if alg == "ES384")
        );

        // After a manual rotation the new keys sign immediately, including the one for RS256.
        keys.replace_all().await.unwrap();
        assert_eq!(keys.verify::<Value>(&token, TYP), Err(VerifyError::UnknownKey), "{alg}");
        let token = keys.sign_by(RS256, TYP, &json!({})).unwrap();
        assert!(keys.verify::<Value>(&token, TYP).is_ok());
        assert_eq!(shared.store.signing_keys().await.unwrap().len(), if alg == RS256 { 1 } else { 2 });
    }
}

#[tokio::test]
async fn an_older_database_gets_a_key_for_rs256_and_keeps_its_own() {
    let shared = Shared::new("ES256");
    let before = shared.server().await;
    let token = before.sign(TYP, &json!({})).unwrap();
    let all = shared.store.signing_keys().await.unwrap();
    let expected: Vec<_> = all.iter().map(|key| (key.id.clone(), key.state)).collect();
    assert!(shared.store.replace_signing_keys(&expected, &shared.stored().await).await.unwrap());
    let after = shared.server().await;
    assert!(after.verify::<Value>(&token, TYP).is_ok());
    assert_eq!(kid(&after.sign(TYP, &json!({})).unwrap()), kid(&token), "the same key signs");
    assert!(after.sign_by(RS256, TYP, &json!({})).is_ok());
}

#[tokio::test]
async fn published_keys_have_no_secret_and_thumbprints_as_names() {
    for (alg, members, use_order) in [
        ("ES256", &["alg", "crv", "kid", "kty", "use", "x", "y"][..], &["crv", "kty", "x", "y"][..]),
        ("EdDSA", &["alg", "crv", "kid", "kty", "use", "x"], &["crv", "kty", "x"]),
        ("RS256", &["alg", "e", "kid", "kty", "n", "use"], &["e", "kty", "n"]),
    ] {
        let shared = Shared::new(alg);
        let keys = shared.server().await;
        let [key] = &published(&keys)[..] else { panic!("one key is expected") };
        let mut found: Vec<_> = key.as_object().unwrap().keys().map(String::as_str).collect();
        found.sort_unstable();
        assert_eq!(found, members, "{alg}");
        assert_eq!((&key["alg"], &key["use"]), (&json!(alg), &json!("sig")));
        // RFC 7638 section 3: the required members in order, without white space.
        let canonical: Vec<_> =
            use_order.iter().map(|member| format!("\"{member}\":{}", key[*member])).collect();
        let canonical = format!("{{{}}}", canonical.join(","));
        let thumbprint = digest::digest(&digest::SHA256, canonical.as_bytes());
        assert_eq!(key["kid"], BASE64_URL_SAFE_NO_PAD.encode(thumbprint), "{alg}");
        // The private key is neither in the stored form nor in the debug output.
        let stored = shared.stored().await.remove(0);
        assert!(KeyPair::from_pkcs8(alg, &stored.sealed_private_key).is_err());
        let debug = format!("{keys:?}");
        assert!(debug.contains(&stored.id) && debug.len() < 300, "{debug}");
    }
}

#[tokio::test]
async fn coordinates_have_their_full_length() {
    // One in 128 P-256 keys has a coordinate that begins with a zero byte. It must not be left out (RFC 7518 section
    // 6.2.1.2).
    for _ in 0..300 {
        let (pair, _) = KeyPair::generate("ES256").unwrap();
        let jwk = serde_json::to_value(pair.jwk().unwrap()).unwrap();
        for coordinate in ["x", "y"] {
            let bytes = BASE64_URL_SAFE_NO_PAD.decode(jwk[coordinate].as_str().unwrap()).unwrap();
            assert_eq!(bytes.len(), 32);
        }
    }
}

#[tokio::test]
async fn a_token_of_another_type_is_rejected() {
    let keys = Shared::new("ES256").server().await;
    let claims = json!({"sub": "ada"});
    for typ in ["JWT", "logout+jwt", "at", "at+jwt ", "", "application/jwt", "application/"] {
        let token = keys.sign(typ, &claims).unwrap();
        assert_eq!(keys.verify::<Value>(&token, TYP), Err(VerifyError::WrongType), "{typ:?}");
    }
    for typ in ["at+jwt", "AT+JWT", "application/at+jwt"] {
        let token = keys.sign(typ, &claims).unwrap();
        assert!(keys.verify::<Value>(&token, TYP).is_ok(), "{typ:?}");
    }
    let token = keys.sign(TYP, &claims).unwrap();
    let header = json!({"alg": "ES256", "kid": kid(&token)});
    assert_eq!(keys.verify::<Value>(&forged(&token, &header, &[0; 64]), TYP), Err(VerifyError::WrongType));
    assert_eq!(keys.verify::<String>(&token, TYP), Err(VerifyError::BadClaims));
}

#[tokio::test]
async fn the_algorithm_is_that_of_the_key_whatever_the_header_says() {
    for alg in ALGORITHMS {
        let keys = Shared::new(alg).server().await;
        let token = keys.sign(TYP, &json!({"sub": "ada"})).unwrap();
        let kid = kid(&token);
        let own: Vec<u8> = BASE64_URL_SAFE_NO_PAD.decode(token.rsplit('.').next().unwrap()).unwrap();
        for other in ["none", "None", "", "HS256", "HS512", "ES256", "ES384", "EdDSA", "RS256", "PS256"] {
            if other == alg {
                continue;
            }
            let header = json!({"typ": TYP, "alg": other, "kid": kid});
            for signature in [&own[..], &[]] {
                let outcome = keys.verify::<Value>(&forged(&token, &header, signature), TYP);
                assert!(
                    matches!(outcome, Err(VerifyError::WrongAlgorithm | VerifyError::Malformed)),
                    "{alg} as {other}: {outcome:?}"
                );
            }
        }
        // A known attack: an HMAC with the public key as its key, in each form that a careless verifier could use.
        let jwk = &published(&keys)[0];
        let raw = jwk.get("x").or(jwk.get("n")).unwrap().as_str().unwrap();
        for secret in [jwk.to_string().into_bytes(), raw.into(), BASE64_URL_SAFE_NO_PAD.decode(raw).unwrap()]
        {
            let mut header = Header::new(Algorithm::HS256);
            header.typ = Some(TYP.to_owned());
            header.kid = Some(kid.clone());
            let key = EncodingKey::from_secret(&secret);
            let token = jsonwebtoken::encode(&header, &json!({"sub": "admin"}), &key).unwrap();
            assert_eq!(keys.verify::<Value>(&token, TYP), Err(VerifyError::WrongAlgorithm), "{alg}");
        }
    }
}

#[tokio::test]
async fn an_altered_token_does_not_verify() {
    for alg in ALGORITHMS {
        let keys = Shared::new(alg).server().await;
        let token = keys.sign(TYP, &json!({"sub": "ada"})).unwrap();
        let [header, claims, signature] = token.split('.').collect::<Vec<_>>()[..] else { panic!() };
        let admin = BASE64_URL_SAFE_NO_PAD.encode(r#"{"sub":"admin"}"#);
        let other = keys.sign(TYP, &json!({"sub": "bob"})).unwrap();
        let others = other.rsplit('.').next().unwrap();
        for altered in [
            format!("{header}.{admin}.{signature}"),
            format!("{header}.{claims}.{others}"),
            format!("{header}.{claims}."),
            format!("{header}.{claims}.{}", BASE64_URL_SAFE_NO_PAD.encode([0; 64])),
        ] {
            assert_eq!(
                keys.verify::<Value>(&altered, TYP),
                Err(VerifyError::BadSignature),
                "{alg} {altered}"
            );
        }
        for malformed in
            ["", ".", "..", "...", &token[1..], &format!("{header}.{claims}"), &format!("{token}.x")]
        {
            let outcome = keys.verify::<Value>(malformed, TYP);
            assert!(
                matches!(outcome, Err(VerifyError::Malformed | VerifyError::BadSignature)),
                "{alg} {malformed}: {outcome:?}"
            );
        }
        let signed: Vec<u8> = BASE64_URL_SAFE_NO_PAD.decode(signature).unwrap();
        let with = |extra: (&str, Value)| {
            let mut header = part(&token, 0);
            header[extra.0] = extra.1;
            keys.verify::<Value>(&forged(&token, &header, &signed), TYP)
        };
        assert_eq!(with(("crit", json!(["exp"]))), Err(VerifyError::Malformed));
        assert_eq!(with(("kid", json!("unknown"))), Err(VerifyError::UnknownKey));
        // A key in the token itself is not trusted.
        assert_eq!(with(("jwk", published(&keys)[0].clone())), Err(VerifyError::BadSignature));
        assert_eq!(
            Shared::new(alg).server().await.verify::<Value>(&token, TYP),
            Err(VerifyError::UnknownKey),
            "a token of another server"
        );
    }
}

#[tokio::test]
async fn a_key_is_published_before_its_use_and_removed_after_its_last_token() {
    use KeyState::{Active, Published, Retired};
    let shared = Shared::new("ES256");
    let keys = shared.server().await;
    let interval = shared.config.key_rotation_interval;
    let early = keys.sign(TYP, &json!({})).unwrap();

    shared.clock.advance(interval - PUBLISH_LEAD - 1);
    keys.maintain().await.unwrap();
    assert_eq!(shared.states().await, [Active]);
    shared.clock.advance(1);
    keys.maintain().await.unwrap();
    assert_eq!(shared.states().await, [Active, Published]);
    assert_eq!(kids(&keys).len(), 2, "verifiers see it an hour in advance");
    assert_eq!(kid(&keys.sign(TYP, &json!({})).unwrap()), kid(&early), "it does not sign yet");

    shared.clock.advance(PUBLISH_LEAD - 1);
    keys.maintain().await.unwrap();
    assert_eq!(shared.states().await, [Active, Published]);
    let last = keys.sign(TYP, &json!({})).unwrap();
    shared.clock.advance(1);
    keys.maintain().await.unwrap();
    assert_eq!(shared.states().await, [Retired, Active]);
    let next = keys.sign(TYP, &json!({})).unwrap();
    assert_ne!(kid(&next), kid(&last));
    assert_eq!(kid(&next), kids(&keys)[1]);

    // The last signed token expires now; clocks can differ.
    shared.clock.advance(shared.config.access_token_ttl);
    keys.maintain().await.unwrap();
    assert!(keys.verify::<Value>(&last, TYP).is_ok());
    shared.clock.advance(300);
    keys.maintain().await.unwrap();
    assert_eq!(shared.states().await, [Active]);
    assert_eq!(keys.verify::<Value>(&last, TYP), Err(VerifyError::UnknownKey));
    assert_eq!(kids(&keys), [kid(&next)]);
}

#[tokio::test]
async fn servers_on_one_store_agree() {
    let shared = Shared::new("ES256");
    let (store, clock) = (&shared.store, &shared.clock);
    let load = || SigningKeys::load(Arc::clone(store), shared.sealing(), clock.clone(), &shared.config);
    // If several servers start for the first time at once, they generate one key.
    let _ = shared.sealing();
    let servers = futures_util::future::join_all((0..4).map(|_| load())).await;
    let servers: Vec<_> = servers.into_iter().map(Result::unwrap).collect();
    assert_eq!(shared.states().await, [KeyState::Active]);
    for pair in servers.windows(2) {
        assert_eq!(pair[0].jwks(), pair[1].jwks());
        assert!(pair[1].verify::<Value>(&pair[0].sign(TYP, &json!({})).unwrap(), TYP).is_ok());
    }

    // One server rotates; another one sees a token by an unknown key.
    servers[0].rotate_now().await.unwrap();
    let token = servers[0].sign(TYP, &json!({})).unwrap();
    assert_eq!(servers[1].verify::<Value>(&token, TYP), Err(VerifyError::UnknownKey));
    assert!(servers[1].reload().await.unwrap());
    assert!(servers[1].verify::<Value>(&token, TYP).is_ok());
    assert_eq!(kid(&servers[1].sign(TYP, &json!({})).unwrap()), kid(&token), "it signs with the new key");
    // Made-up identifiers cause one read of the store in ten seconds.
    assert!(!servers[1].reload().await.unwrap());
    clock.advance(9);
    assert!(!servers[1].reload().await.unwrap());
    clock.advance(1);
    assert!(servers[1].reload().await.unwrap());

    servers[2].maintain().await.unwrap();
    assert!(servers[2].verify::<Value>(&token, TYP).is_ok(), "maintenance also loads it");

    // All servers do their maintenance at the moment when a rotation is due.
    clock.advance(shared.config.key_rotation_interval);
    for _ in 0..3 {
        let upkeep = servers.iter().map(SigningKeys::maintain);
        assert!(futures_util::future::join_all(upkeep).await.iter().all(Result::is_ok));
        clock.advance(PUBLISH_LEAD);
    }
    let active = shared.states().await.into_iter().filter(|state| *state == KeyState::Active).count();
    assert_eq!((active, shared.states().await.len()), (1, 2));
    for pair in servers.windows(2) {
        assert_eq!(pair[0].jwks(), pair[1].jwks());
    }
}

#[tokio::test]
async fn a_wrong_key_file_is_reported_and_changes_nothing() {
    let shared = Shared::new("ES256");
    let keys = shared.server().await;
    let token = keys.sign(TYP, &json!({})).unwrap();
    let stored = shared.store.signing_keys().await.unwrap();
    // A rotation is due too.
    shared.clock.advance(2 * shared.config.key_rotation_interval);
    let other = SealingKey::generate().unwrap();
    let (store, clock) = (Arc::clone(&shared.store), shared.clock.clone());
    let error = SigningKeys::load(store, other, clock, &shared.config).await.unwrap_err();
    assert!(matches!(&error, KeyError::WrongSealingKey { kid } if *kid == stored[0].id), "{error}");
    assert!(error.to_string().contains("restore the key file"), "{error}");
    assert_eq!(shared.store.signing_keys().await.unwrap(), stored);
    // It works again with the right key file.
    assert!(shared.server().await.verify::<Value>(&token, TYP).is_ok());
}

#[tokio::test]
async fn an_unknown_algorithm_is_rejected_by_name() {
    let shared = Shared::new("HS256");
    let (store, clock) = (Arc::clone(&shared.store), shared.clock.clone());
    let error = SigningKeys::load(store, shared.sealing(), clock, &shared.config).await.unwrap_err();
    assert!(error.to_string().contains("\"HS256\""), "{error}");
    assert!(shared.store.signing_keys().await.unwrap().is_empty());
}

#[tokio::test]
async fn what_one_replica_hides_each_of_them_reveals() {
    let shared = Shared::new("ES256");
    let (one, other) = (shared.server().await, shared.server().await);
    let hidden = one.hide("a list", b"42").unwrap();
    assert_ne!(hidden, one.hide("a list", b"42").unwrap(), "it does not show what is equal");
    assert_eq!(other.reveal("a list", &hidden).unwrap().as_slice(), b"42");
    assert!(other.reveal("another list", &hidden).is_none());
    assert!(other.reveal("a list", &hidden[1..]).is_none());
    // The key of the signing keys is another one.
    assert!(shared.sealing().open("a list", &hidden).is_none());
    assert!(Shared::new("ES256").server().await.reveal("a list", &hidden).is_none());
}
