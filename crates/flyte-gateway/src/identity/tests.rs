//! Tests of the headers, read as the backend and a verifier read them.

use base64::{Engine as _, prelude::BASE64_URL_SAFE_NO_PAD};
use jsonwebtoken::{DecodingKey, Validation, jwk::JwkSet};
use serde_json::{Value, json};

use super::*;
use flyte_access::testing::Parts;
use flyte_model::PrincipalKind;
use flyte_store::{Creator, CreatorKind, User};
use flyte_testing::NOW;

const UPSTREAM: &str = "http://flyte-binary:8090/";

fn identity(parts: &Parts, names: IdentityHeaderNames) -> Identity {
    let (store, clock, keys) = (Arc::clone(&parts.store), parts.clock.clone(), Arc::clone(&parts.keys));
    Identity::new(store, clock, keys, parts.config.issuer(), UPSTREAM, names)
}

fn ada(name: &str) -> User {
    User { name: name.to_owned(), ..flyte_testing::user("Ada") }
}

fn caller(subject: &str) -> Caller {
    let (subject, token_id) = (subject.to_owned(), format!("token of {subject}"));
    Caller { subject, token_id, expires_at: NOW + 3600, ..Caller::for_test() }
}

/// The claims as the backend reads them: three parts, the second one in base64url without padding.
fn read(headers: &HeaderMap) -> Value {
    let token = headers[&CLAIMS_HEADER].to_str().unwrap();
    let parts: Vec<_> = token.split('.').collect();
    assert_eq!(parts.len(), 3);
    serde_json::from_slice(&BASE64_URL_SAFE_NO_PAD.decode(parts[1]).unwrap()).unwrap()
}

async fn written(identity: &Identity, caller: &Caller) -> HeaderMap {
    let mut headers = HeaderMap::new();
    identity.write(caller, &mut headers).await.unwrap();
    headers
}

#[tokio::test]
async fn the_backend_reads_who_calls_and_can_verify_it() {
    let parts = Parts::new(|_| {}).await;
    parts.store.create_user(&ada("Ada King Lovelace")).await.unwrap();
    let identity = identity(&parts, IdentityHeaderNames::default());
    let headers = written(&identity, &caller("user-Ada")).await;
    assert_eq!(headers.len(), 2);
    assert_eq!(headers[&SUBJECT_HEADER], "user-Ada");
    let claims = read(&headers);
    assert_eq!(
        claims,
        json!({
            "iss": "https://localhost:8443", "aud": "http://flyte-binary:8090", "sub": "user-Ada",
            "iat": NOW, "exp": NOW + LIFETIME, "client_id": "flyte",
            "email": "ada@example.com", "preferred_username": "ada@example.com",
            "name": "Ada King Lovelace", "given_name": "Ada", "family_name": "King Lovelace",
        })
    );
    // A verifier needs only the published keys, the issuer and its own address.
    let token = headers[&CLAIMS_HEADER].to_str().unwrap();
    let header = jsonwebtoken::decode_header(token).unwrap();
    assert_eq!(header.typ.as_deref(), Some(TYP));
    let jwks: JwkSet = serde_json::from_slice(&parts.keys.jwks()).unwrap();
    let key = DecodingKey::from_jwk(jwks.find(&header.kid.unwrap()).unwrap()).unwrap();
    let mut validation = Validation::new(header.alg);
    validation.set_audience(&["http://flyte-binary:8090"]);
    validation.set_issuer(&["https://localhost:8443"]);
    // The tests' clock is in the future, so the claims have not expired.
    assert_eq!(jsonwebtoken::decode::<Value>(token, &key, &validation).unwrap().claims, claims);
    validation.set_audience(&["https://localhost:8443"]);
    assert!(jsonwebtoken::decode::<Value>(token, &key, &validation).is_err());
}

#[tokio::test]
async fn the_claims_are_never_an_access_token() {
    let parts = Parts::new(|_| {}).await;
    parts.store.create_user(&ada("Ada")).await.unwrap();
    // Even if the backend's URL were that of this server.
    let (store, clock, keys) = (Arc::clone(&parts.store), parts.clock.clone(), Arc::clone(&parts.keys));
    let issuer = parts.config.issuer();
    let identity = Identity::new(store, clock, keys, issuer, issuer, IdentityHeaderNames::default());
    let headers = written(&identity, &caller("user-Ada")).await;
    let token = headers[&CLAIMS_HEADER].to_str().unwrap();
    let mut request = HeaderMap::new();
    request.insert("authorization", format!("Bearer {token}").parse().unwrap());
    let refused = parts.access.authenticate(&request).await.unwrap_err();
    assert_eq!(refused.to_string(), "the token is not an access token");
    assert!(parts.access.inspect(token).await.is_err());
}

#[tokio::test]
async fn exactly_one_value_arrives_and_it_is_ours() {
    let parts = Parts::new(|_| {}).await;
    parts.store.create_user(&ada("Ada")).await.unwrap();
    let names = IdentityHeaderNames {
        subject: Some(HeaderName::from_static("x-auth-request-user")),
        email: Some(HeaderName::from_static("kc-email")),
    };
    let identity = identity(&parts, names);
    let mut headers = HeaderMap::new();
    for name in [
        "x-amzn-oidc-data",
        "x_amzn_oidc_data",
        "x.amzn.oidc.data",
        "x-amzn-oidc-identity",
        "x_amzn_oidc_identity",
        "x-amzn-oidc-identity-bin",
        "x-auth-request-user",
        "x_auth_request_user",
        "x-auth-request-email",
        "kc-email",
        "kc_email",
        "kc.email",
        "x_user",
        "x.user",
        "x-user",
        "x-user-bin",
    ] {
        let name: HeaderName = name.parse().unwrap();
        headers.append(name.clone(), "mallory".parse().unwrap());
        headers.append(name, "mallory@example.com".parse().unwrap());
    }
    identity.write(&caller("user-Ada"), &mut headers).await.unwrap();
    assert_eq!(read(&headers)["sub"], "user-Ada");
    let claims = headers.remove(&CLAIMS_HEADER).unwrap();
    assert!(claims.is_sensitive());
    let mut rest: Vec<_> =
        headers.iter().map(|(name, value)| (name.as_str(), value.to_str().unwrap())).collect();
    rest.sort_unstable();
    assert_eq!(
        rest,
        [
            ("kc-email", "ada@example.com"),
            ("x-amzn-oidc-identity", "user-Ada"),
            ("x-auth-request-user", "user-Ada")
        ]
    );
    // A caller who cannot be described leaves none of the client's headers behind.
    let mut forged = HeaderMap::new();
    forged.insert("x-amzn-oidc-identity", "mallory".parse().unwrap());
    let gone = identity.write(&caller("user-Bob"), &mut forged).await;
    assert!(matches!(gone, Err(IdentityError::Gone)) && forged.is_empty(), "{gone:?}");
}

#[tokio::test]
async fn machines_differ_from_people() {
    let parts = Parts::new(|_| {}).await;
    flyte_testing::api_key(&*parts.store, "nightly-build", |key| key.name = "Nightly build".to_owned()).await;
    let uuid = "0b6e9f0e-4a0c-4c1e-8c55-3b1d4a0a9d11";
    flyte_testing::api_key(&*parts.store, uuid, |key| key.name = "Old".to_owned()).await;
    let identity = identity(&parts, IdentityHeaderNames::default());
    let machine = |principal, subject: &str| Caller {
        principal,
        client_id: subject.parse().unwrap_or(flyte_model::ClientId::from_static("flyte")),
        ..caller(subject)
    };
    for (principal, subject, sub, given_name) in [
        (PrincipalKind::ApiKey, "nightly-build", "nightly-build", "Nightly build"),
        (PrincipalKind::ApiKey, uuid, &*format!("api-key:{uuid}"), "Old"),
        (PrincipalKind::Federated, "deploy:repo:org/app", "deploy:repo:org/app", "repo:org/app"),
        (PrincipalKind::Run, "p/d/r1", "p/d/r1", "run p/d/r1"),
    ] {
        let claims = read(&written(&identity, &machine(principal, subject)).await);
        assert_eq!((claims["sub"].as_str(), claims["given_name"].as_str()), (Some(sub), Some(given_name)));
        assert!(claims.get("email").is_none() && claims.get("family_name").is_none(), "{claims}");
        assert_eq!(claims["principal"], serde_json::to_value(principal).unwrap());
    }
}

#[tokio::test]
async fn a_run_acts_in_the_name_of_who_started_it() {
    let parts = Parts::new(|_| {}).await;
    parts.store.create_user(&flyte_testing::user("Ada")).await.unwrap();
    flyte_testing::api_key(&*parts.store, "ci", |key| key.name = "CI".to_owned()).await;
    let identity = identity(&parts, IdentityHeaderNames::default());
    for (kind, subject, client, given_name, email) in [
        (CreatorKind::Person, "user-Ada", "flyte", "Ada", Some("ada@example.com")),
        (CreatorKind::ApiKey, "ci", "ci", "CI", None),
    ] {
        let starter = Creator {
            subject: subject.to_owned(),
            kind,
            client_id: client.parse().unwrap(),
            family_id: String::new(),
            role: flyte_model::Role::Contributor,
            limit: flyte_model::Limit::default(),
        };
        let pod = Caller { principal: PrincipalKind::Run, on_behalf_of: Some(starter), ..caller("p/d/r1") };
        let claims = read(&written(&identity, &pod).await);
        assert_eq!(
            (claims["sub"].as_str(), claims["given_name"].as_str()),
            (Some(subject), Some(given_name))
        );
        assert_eq!(claims.get("email").and_then(serde_json::Value::as_str), email);
        assert_eq!(claims["act"], serde_json::json!({"sub": "p/d/r1", "principal": "run"}));
    }
}

#[tokio::test]
async fn claims_are_signed_once_and_renewed_in_time() {
    let parts = Parts::new(|_| {}).await;
    flyte_testing::api_key(&*parts.store, "ci", |key| key.name = "CI".to_owned()).await;
    let identity = identity(&parts, IdentityHeaderNames::default());
    let key = Caller { principal: PrincipalKind::ApiKey, client_id: "ci".parse().unwrap(), ..caller("ci") };
    let first = identity.of(&key).await.unwrap();
    parts.clock.advance(ACCOUNT_CHECK_INTERVAL);
    // ES256 signatures are random, so equal headers mean the same signature.
    assert_eq!(identity.of(&key).await.unwrap(), first, "the account is read, and nothing is signed");
    parts.clock.advance(ACCOUNT_CHECK_INTERVAL - 1);
    parts.store.rename_api_key(&"ci".parse().unwrap(), "Nightly").await.unwrap();
    assert_eq!(identity.of(&key).await.unwrap(), first);
    parts.clock.advance(1);
    let renamed = identity.of(&key).await.unwrap();
    assert_ne!(renamed, first, "another name is signed at once");
    parts.clock.advance(REUSE);
    let renewed = identity.of(&key).await.unwrap();
    assert_ne!(renewed, renamed);
    parts.keys.replace_all().await.unwrap();
    assert_ne!(identity.of(&key).await.unwrap(), renewed, "the signing key may have leaked");

    // The claims end with the token.
    parts.clock.advance(3600 - 2 * ACCOUNT_CHECK_INTERVAL - REUSE - 100);
    let mut headers = HeaderMap::new();
    identity.write(&key, &mut headers).await.unwrap();
    assert_eq!(read(&headers)["exp"], NOW + 3600);
    parts.clock.advance(100);
    assert!(matches!(identity.of(&key).await, Err(IdentityError::Expired)));
}

#[tokio::test]
async fn another_caller_with_the_same_token_identifier_gets_its_own_claims() {
    let parts = Parts::new(|_| {}).await;
    parts.store.create_user(&ada("Ada")).await.unwrap();
    parts.store.create_user(&flyte_testing::user("Bob")).await.unwrap();
    let identity = identity(&parts, IdentityHeaderNames::default());
    let [one, other] =
        ["user-Ada", "user-Bob"].map(|subject| Caller { token_id: "same".to_owned(), ..caller(subject) });
    for _ in 0..2 {
        assert_eq!(read(&written(&identity, &one).await)["sub"], "user-Ada");
        assert_eq!(read(&written(&identity, &other).await)["sub"], "user-Bob");
    }
}

#[tokio::test]
async fn the_number_of_kept_callers_is_bounded() {
    let parts = Parts::new(|_| {}).await;
    parts.store.create_user(&ada("Ada")).await.unwrap();
    let identity = identity(&parts, IdentityHeaderNames::default());
    let entry = {
        identity.of(&caller("user-Ada")).await.unwrap();
        identity.cache.get(&caller("user-Ada")).unwrap()
    };
    for n in 0..20_000 {
        let other = Caller { token_id: n.to_string(), ..caller("user-Ada") };
        identity.cache.put(&other, entry.clone(), NOW);
    }
    assert!(identity.cache.len() <= 8192 && identity.cache.len() > 4000, "{}", identity.cache.len());
}
