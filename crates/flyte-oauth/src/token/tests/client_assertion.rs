//! `private_key_jwt`: clients that sign assertions.

use std::sync::LazyLock;

use aws_lc_rs::{
    encoding::{AsDer, Pkcs8V1Der},
    rand::SystemRandom,
    rsa::KeySize,
    signature::{
        ECDSA_P256_SHA256_FIXED_SIGNING, EcdsaKeyPair, Ed25519KeyPair, KeyPair as _, RsaKeyPair,
        RsaPublicKeyComponents,
    },
};
use base64::{
    Engine as _,
    engine::general_purpose::{STANDARD, URL_SAFE_NO_PAD},
};
use jsonwebtoken::{Algorithm, EncodingKey, Header, jwk::Jwk};
use serde_json::json;

use super::*;
use crate::{
    client_assertion::TYPE,
    fixture::{Answer, ISSUER, NOW, api_key},
};
use flyte_model::ClientId;

/// A key pair for tests, created once because parsing it is slow.
static KEY: LazyLock<EncodingKey> = LazyLock::new(ecdsa);

fn ecdsa() -> EncodingKey {
    let pkcs8 = EcdsaKeyPair::generate_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &SystemRandom::new());
    EncodingKey::from_ec_der(pkcs8.unwrap().as_ref())
}

fn jwks(key: &EncodingKey, algorithm: Algorithm) -> String {
    json!({"keys": [Jwk::from_encoding_key(key, algorithm).unwrap()]}).to_string()
}

fn base64url(bytes: &[u8]) -> String {
    URL_SAFE_NO_PAD.encode(bytes)
}

/// The claims of a valid assertion with changes; a null value removes one.
fn claims(jti: &str, changes: Value) -> Value {
    let mut claims =
        json!({"iss": "ci", "sub": "ci", "aud": ISSUER, "exp": NOW + 60, "iat": NOW, "jti": jti});
    for (name, value) in changes.as_object().unwrap() {
        match value {
            Value::Null => drop(claims.as_object_mut().unwrap().remove(name)),
            value => claims[name] = value.clone(),
        }
    }
    claims
}

fn sign(algorithm: Algorithm, key: &EncodingKey, claims: &Value) -> String {
    jsonwebtoken::encode(&Header::new(algorithm), claims, key).unwrap()
}

async fn server(jwks: String) -> Server {
    let server = Server::start().await;
    api_key(&*server.state.store, "ci", |key| {
        key.secret_hash = None;
        key.jwks = Some(jwks);
    })
    .await;
    server
}

async fn present(server: &Server, assertion: &str) -> Answer {
    server
        .post(
            "/oauth2/token",
            &[
                ("grant_type", "client_credentials"),
                ("client_assertion_type", TYPE),
                ("client_assertion", assertion),
            ],
        )
        .await
}

#[tokio::test]
async fn an_assertion_is_accepted_once() {
    let server = server(jwks(&KEY, Algorithm::ES256)).await;
    let assertion = sign(Algorithm::ES256, &KEY, &claims("one", json!({})));
    let answer = present(&server, &assertion).await;
    assert_eq!(answer.status, 200, "{}", answer.text());
    assert_eq!(server.caller(text(&answer.json()["access_token"])).await.unwrap().subject, "ci");
    let answer = present(&server, &assertion).await;
    assert_eq!(answer.error(), "invalid_client");
    assert!(answer.text().contains("used before"), "{}", answer.text());
    let endpoints = ["token", "introspect", "revoke", "device_authorization"]
        .map(|name| json!(format!("{ISSUER}/oauth2/{name}")));
    for aud in endpoints.into_iter().chain([json!([ISSUER])]) {
        let assertion = sign(Algorithm::ES256, &KEY, &claims(&aud.to_string(), json!({"aud": aud})));
        assert_eq!(present(&server, &assertion).await.status, 200, "{aud}");
    }
}

#[tokio::test]
async fn every_listed_algorithm_is_accepted() {
    let pkcs8 = Ed25519KeyPair::generate_pkcs8(&SystemRandom::new()).unwrap();
    let public = Ed25519KeyPair::from_pkcs8(pkcs8.as_ref()).unwrap();
    let okp = json!({"kty": "OKP", "crv": "Ed25519", "x": base64url(public.public_key().as_ref())});
    let ed25519 = EncodingKey::from_ed_der(pkcs8.as_ref());
    let pair = RsaKeyPair::generate(KeySize::Rsa2048).unwrap();
    let public = RsaPublicKeyComponents::<Vec<u8>>::from(pair.public_key());
    let of_rsa =
        |alg: &str| json!({"kty": "RSA", "alg": alg, "n": base64url(&public.n), "e": base64url(&public.e)});
    let pkcs8 = AsDer::<Pkcs8V1Der<'_>>::as_der(&pair).unwrap();
    let pem = format!(
        "-----BEGIN PRIVATE KEY-----\n{}\n-----END PRIVATE KEY-----\n",
        STANDARD.encode(pkcs8.as_ref())
    );
    let rsa = EncodingKey::from_rsa_pem(pem.as_bytes()).unwrap();
    for (algorithm, key, jwk) in [
        (Algorithm::EdDSA, &ed25519, okp),
        (Algorithm::RS256, &rsa, of_rsa("RS256")),
        (Algorithm::PS256, &rsa, of_rsa("PS256")),
    ] {
        let server = server(json!({"keys": [jwk]}).to_string()).await;
        let answer = present(&server, &sign(algorithm, key, &claims("j", json!({})))).await;
        assert_eq!(answer.status, 200, "{algorithm:?}: {}", answer.text());
        let other = sign(Algorithm::ES256, &KEY, &claims("k", json!({})));
        assert_eq!(present(&server, &other).await.error(), "invalid_client");
    }
    let server = server(json!({"keys": [of_rsa("PS256")]}).to_string()).await;
    let other = sign(Algorithm::RS256, &rsa, &claims("j", json!({})));
    assert_eq!(
        present(&server, &other).await.error(),
        "invalid_client",
        "a key is used with its algorithm only"
    );
}

#[tokio::test]
async fn the_error_says_what_is_wrong_with_an_assertion() {
    let public = jwks(&KEY, Algorithm::ES256);
    let server = server(public.clone()).await;
    api_key(&*server.state.store, "cd", |_| {}).await;
    let good = |changes: Value| sign(Algorithm::ES256, &KEY, &claims("j", changes));
    let hmac = sign(Algorithm::HS256, &EncodingKey::from_secret(public.as_bytes()), &claims("j", json!({})));
    let stranger = sign(Algorithm::ES256, &ecdsa(), &claims("j", json!({})));
    let mut altered = good(json!({}));
    altered.replace_range(altered.len() - 2.., "AA");
    for (assertion, reason) in [
        (good(json!({"aud": "https://other.example"})), "aud"),
        (good(json!({"aud": [ISSUER.to_uppercase()]})), "aud"),
        (good(json!({"aud": [ISSUER, "https://other.example"]})), "only this server"),
        (good(json!({"aud": [ISSUER, ISSUER]})), "only this server"),
        (good(json!({"aud": []})), "aud"),
        (good(json!({"aud": format!("{ISSUER}/oauth2/userinfo")})), "aud"),
        (good(json!({"exp": NOW})), "expired"),
        (good(json!({"exp": NOW + 86_400})), "more than an hour"),
        (good(json!({"exp": null})), "exp"),
        (good(json!({"iat": NOW + 600})), "not valid yet"),
        (good(json!({"nbf": NOW + 600})), "not valid yet"),
        (good(json!({"jti": null})), "jti"),
        (good(json!({"jti": ""})), "jti"),
        (good(json!({"iss": "other"})), "iss and sub"),
        (good(json!({"iss": "no-client", "sub": "no-client"})), "unknown"),
        (good(json!({"iss": "cd", "sub": "cd"})), "unknown"),
        (hmac, "alg"),
        (stranger, "not signed by a key"),
        (altered, "not signed by a key"),
        ("x.y.z".to_owned(), "not a JWT"),
        ("x".repeat(10_000), "too long"),
    ] {
        let answer = present(&server, &assertion).await;
        assert_eq!(answer.error(), "invalid_client", "{assertion}");
        assert!(answer.text().contains(reason), "{reason}: {}", answer.text());
    }
    // None of these used up the assertion.
    assert_eq!(present(&server, &good(json!({}))).await.status, 200);
    let assertion = good(json!({"jti": "other"}));
    for pairs in [
        &[("client_assertion", assertion.as_str())][..],
        &[("client_assertion", assertion.as_str()), ("client_assertion_type", "x")],
        &[("client_assertion", assertion.as_str()), ("client_assertion_type", TYPE), ("client_id", "cd")],
        &[("client_assertion", assertion.as_str()), ("client_assertion_type", TYPE), ("client_secret", "s")],
    ] {
        let pairs = [&[("grant_type", "client_credentials")], pairs].concat();
        assert_eq!(server.post("/oauth2/token", &pairs).await.error(), "invalid_request", "{pairs:?}");
    }
    let secret = [("grant_type", "client_credentials"), ("client_id", "ci"), ("client_secret", "s")];
    assert_eq!(server.post("/oauth2/token", &secret).await.error(), "invalid_client", "it has no secret");
}

#[tokio::test]
async fn a_registered_client_uses_assertions_for_other_grants_too() {
    let server = Server::start().await;
    let mut web = server.state.store.client_by_id(&ClientId::from_static("web app")).await.unwrap().unwrap();
    (web.secret_hash, web.jwks) = (None, Some(jwks(&KEY, Algorithm::ES256)));
    server.state.store.put_client(&web).await.unwrap();
    let authorize = [("client_id", "web app"), ("redirect_uri", WEB_REDIRECT_URI), ("scope", "openid email")];
    let mut browser = server.browser("Ada").await;
    let page = browser.authorize(&authorize).await;
    let code = browser.press(&page, "/oauth2/consent", "allow").await.query("code");
    let assertion = sign(Algorithm::ES256, &KEY, &claims("j", json!({"iss": "web app", "sub": "web app"})));
    let answer = server
        .post(
            "/oauth2/token",
            &[
                ("grant_type", "authorization_code"),
                ("code", &code),
                ("redirect_uri", WEB_REDIRECT_URI),
                ("code_verifier", VERIFIER),
                ("client_id", "web app"),
                ("client_assertion_type", TYPE),
                ("client_assertion", &assertion),
            ],
        )
        .await;
    assert_eq!(answer.status, 200, "{}", answer.text());
}

#[test]
fn a_key_set_contains_public_keys_of_known_types() {
    let good: Value = serde_json::from_str(&jwks(&KEY, Algorithm::ES256)).unwrap();
    let key = |changes: Value| {
        let mut key = good["keys"][0].clone();
        for (name, value) in changes.as_object().unwrap() {
            key[name] = value.clone();
        }
        json!({"keys": [key]}).to_string()
    };
    assert_eq!(flyte_keys::jwks::parse(&good.to_string()).map(|keys| keys.len()), Ok(1));
    let many = json!({"keys": vec![good["keys"][0].clone(); 9]}).to_string();
    let short = json!({"keys": [{"kty": "RSA", "n": "AQAB", "e": "AQAB"}]}).to_string();
    for (text, reason) in [
        (String::new(), "not a JSON Web Key Set"),
        ("{}".to_owned(), "not a JSON Web Key Set"),
        ("{\"keys\":[]}".to_owned(), "1 to 8"),
        (many, "1 to 8"),
        (key(json!({"d": "AQAB"})), "private"),
        ("{\"keys\":[{\"kty\":\"oct\",\"k\":\"AQAB\"}]}".to_owned(), "private"),
        (key(json!({"use": "enc"})), "not for signatures"),
        (key(json!({"crv": "P-384"})), "other than P-256"),
        (short, "other than P-256"),
        (" ".repeat(20_000), "16 KiB"),
    ] {
        let error = flyte_keys::jwks::parse(&text).unwrap_err();
        assert!(error.contains(reason), "{text}: {error}");
    }
}
