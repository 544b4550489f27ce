//! Tokens of the issuer and of other issuers.

use base64::{Engine as _, prelude::BASE64_URL_SAFE_NO_PAD};
use jsonwebtoken::{Algorithm, EncodingKey, Header};
use serde_json::{Value, json};

use crate::testing::{Key, claims};
use crate::{SubjectToken, SubjectTokenError, subject_token::Verified};
use flyte_issuer::{ALGORITHMS, KeySet};
use flyte_testing::NOW;

const ISSUER: &str = "https://ci.example";

fn keys(jwks: &[Value]) -> KeySet {
    KeySet::parse(json!({"keys": jwks}).to_string().as_bytes()).unwrap()
}

fn verify(token: &str, keys: &KeySet) -> Result<Verified, SubjectTokenError> {
    SubjectToken::parse(token)?.verify(keys, NOW)
}

#[test]
fn every_listed_algorithm_is_accepted() {
    for algorithm in ALGORITHMS {
        let key = Key::new(algorithm, "k");
        let token = key.sign(&claims(ISSUER, json!({"aud": ["https://localhost:8443"]})));
        let read = SubjectToken::parse(&token).unwrap();
        assert_eq!((read.issuer.as_str(), read.kid()), (ISSUER, Some("k")));
        assert_eq!(read.audience, "https://localhost:8443");
        let verified = read.verify(&keys(&[key.jwk()]), NOW).unwrap();
        assert_eq!(verified.subject, "job-1");
        let stranger = Key::new(algorithm, "k");
        let refused = verify(&token, &keys(&[stranger.jwk()])).unwrap_err();
        assert_eq!(refused, SubjectTokenError::BadSignature, "{algorithm:?}");
    }
}

#[test]
fn other_algorithms_are_refused_and_never_confused() {
    let key = Key::new(Algorithm::RS256, "k");
    let published = keys(&[key.jwk()]);
    let claims = claims(ISSUER, json!({}));
    let unsigned = |header: Value| {
        let part = |value: &Value| BASE64_URL_SAFE_NO_PAD.encode(value.to_string());
        format!("{}.{}.", part(&header), part(&claims))
    };
    for alg in ["none", "None", "NONE", "RS1", ""] {
        let token = unsigned(json!({"alg": alg, "kid": "k", "typ": "JWT"}));
        assert_eq!(verify(&token, &published).unwrap_err(), SubjectTokenError::Malformed, "{alg}");
    }
    // The public key used as an HMAC secret, in each form that an attacker could have.
    let jwk = key.jwk();
    let modulus = BASE64_URL_SAFE_NO_PAD.decode(jwk["n"].as_str().unwrap()).unwrap();
    for secret in [modulus, jwk["n"].as_str().unwrap().into(), jwk.to_string().into_bytes()] {
        let mut header = Header::new(Algorithm::HS256);
        header.kid = Some("k".to_owned());
        let token = jsonwebtoken::encode(&header, &claims, &EncodingKey::from_secret(&secret)).unwrap();
        assert_eq!(verify(&token, &published).unwrap_err(), SubjectTokenError::WrongAlgorithm);
    }
    // A key that names its algorithm is not used with another algorithm of its family.
    let mut own = key.jwk();
    own["alg"] = json!("PS256");
    let token = key.sign(&claims);
    assert_eq!(verify(&token, &keys(&[own.clone()])).unwrap_err(), SubjectTokenError::WrongAlgorithm);
    own.as_object_mut().unwrap().remove("alg");
    assert!(verify(&token, &keys(&[own])).is_ok());
    let other_curve = Key::new(Algorithm::ES384, "k");
    let token = Key::new(Algorithm::ES256, "k").sign(&claims);
    assert_eq!(verify(&token, &keys(&[other_curve.jwk()])).unwrap_err(), SubjectTokenError::WrongAlgorithm);
}

#[test]
fn the_named_key_is_used() {
    let (a, b) = (Key::new(Algorithm::ES256, "a"), Key::new(Algorithm::ES256, "b"));
    let claims = claims(ISSUER, json!({}));
    let both = keys(&[a.jwk(), b.jwk()]);
    assert!(verify(&a.sign(&claims), &both).is_ok() && verify(&b.sign(&claims), &both).is_ok());
    let renamed = a.sign_with(&claims, |header| header.kid = Some("b".to_owned()));
    assert_eq!(verify(&renamed, &both).unwrap_err(), SubjectTokenError::BadSignature);
    let unknown = a.sign_with(&claims, |header| header.kid = Some("c".to_owned()));
    assert_eq!(verify(&unknown, &both).unwrap_err(), SubjectTokenError::UnknownKey);
    // Without a key identifier, exactly one key must be usable.
    let nameless = a.sign_with(&claims, |header| header.kid = None);
    assert_eq!(verify(&nameless, &both).unwrap_err(), SubjectTokenError::UnknownKey);
    assert!(verify(&nameless, &keys(&[a.jwk()])).is_ok());
    assert!(verify(&nameless, &keys(&[a.jwk(), Key::new(Algorithm::EdDSA, "d").jwk()])).is_ok());
}

#[test]
fn time_and_claims_are_checked() {
    let key = Key::new(Algorithm::EdDSA, "k");
    let published = keys(&[key.jwk()]);
    let outcome =
        |changes: Value| verify(&key.sign(&claims(ISSUER, changes)), &published).map(|it| it.subject);
    for (changes, error) in [
        (json!({"exp": NOW - 60}), SubjectTokenError::Expired),
        (json!({"exp": 0}), SubjectTokenError::Expired),
        (json!({"exp": -1}), SubjectTokenError::Expired),
        (json!({"exp": null}), SubjectTokenError::Claim("exp")),
        (json!({"exp": "tomorrow"}), SubjectTokenError::Claim("exp")),
        (json!({"exp": 1e300}), SubjectTokenError::Claim("exp")),
        (json!({"nbf": NOW + 61}), SubjectTokenError::NotYet),
        (json!({"iat": NOW + 61}), SubjectTokenError::NotYet),
        (json!({"iat": true}), SubjectTokenError::Claim("iat")),
        (json!({"sub": null}), SubjectTokenError::Claim("sub")),
        (json!({"sub": ""}), SubjectTokenError::Claim("sub")),
        (json!({"sub": 5}), SubjectTokenError::Claim("sub")),
        (json!({"sub": "a\nb"}), SubjectTokenError::Claim("sub")),
        (json!({"sub": "x".repeat(513)}), SubjectTokenError::Claim("sub")),
        (json!({"iss": null}), SubjectTokenError::Claim("iss")),
        (json!({"iss": ["a"]}), SubjectTokenError::Claim("iss")),
        (json!({"aud": null}), SubjectTokenError::Claim("aud")),
        (json!({"aud": [5]}), SubjectTokenError::Claim("aud")),
        (json!({"aud": []}), SubjectTokenError::Claim("aud")),
        (json!({"aud": ""}), SubjectTokenError::Claim("aud")),
        (json!({"aud": ["https://localhost:8443", "other"]}), SubjectTokenError::Audiences),
        (json!({"aud": ["https://localhost:8443", "https://localhost:8443"]}), SubjectTokenError::Audiences),
        (json!({"aud": {}}), SubjectTokenError::Claim("aud")),
        (json!({"pad": "x".repeat(16 * 1024)}), SubjectTokenError::Malformed),
    ] {
        assert_eq!(outcome(changes.clone()), Err(error), "{changes}");
    }
    for good in [
        json!({"exp": NOW - 59}),
        json!({"exp": NOW as f64 + 0.5}),
        json!({"nbf": NOW + 60, "iat": NOW + 60}),
        json!({"nbf": null, "iat": null}),
    ] {
        assert!(outcome(good.clone()).is_ok(), "{good}");
    }
}

#[test]
fn only_a_jwt_that_identifies_its_subject_is_parsed() {
    let key = Key::new(Algorithm::EdDSA, "k");
    let claims = claims(ISSUER, json!({}));
    let published = keys(&[key.jwk()]);
    for (typ, good) in [
        (None, true),
        (Some("JWT"), true),
        (Some("jwt"), true),
        (Some("at+jwt"), false),
        (Some("logout+jwt"), false),
    ] {
        let token = key.sign_with(&claims, |header| header.typ = typ.map(str::to_owned));
        assert_eq!(verify(&token, &published).is_ok(), good, "{typ:?}");
    }
    let token = key.sign(&claims);
    for changed in
        ["", "x", "a.b", "a.b.c", "a.b.c.d", &token[1..], &token.replace('.', ""), &format!("{token}.x")]
    {
        assert!(verify(changed, &published).is_err(), "{changed}");
    }
    // The signature covers each part.
    let parts: Vec<_> = token.split('.').collect();
    let other = key.sign(&crate::testing::claims(ISSUER, json!({"sub": "job-2"})));
    let mixed = format!("{}.{}.{}", parts[0], other.split('.').nth(1).unwrap(), parts[2]);
    assert_eq!(verify(&mixed, &published).unwrap_err(), SubjectTokenError::BadSignature);
}

proptest::proptest! {
    #[test]
    fn every_text_is_parsed_or_refused(text in proptest::prelude::any::<String>()) {
        let _ = SubjectToken::parse(&text);
        let _ = KeySet::parse(text.as_bytes());
    }
}
