//! An issuer for tests, over HTTP on this machine, with its own keys.
#![expect(clippy::unwrap_used, clippy::missing_panics_doc, missing_docs, reason = "for tests")]

use std::{
    collections::BTreeMap,
    net::SocketAddr,
    sync::{Arc, Mutex},
};

use aws_lc_rs::{
    encoding::{AsDer as _, Pkcs8V1Der},
    rand::SystemRandom,
    rsa::KeySize,
    signature::{
        ECDSA_P256_SHA256_FIXED_SIGNING, ECDSA_P384_SHA384_FIXED_SIGNING, EcdsaKeyPair, Ed25519KeyPair,
        RsaKeyPair,
    },
};
use axum::{Router, extract::State, http::StatusCode, response::IntoResponse, routing::get};
use base64::{Engine as _, prelude::BASE64_STANDARD};
use jsonwebtoken::{Algorithm, EncodingKey, Header, jwk::Jwk};
use serde_json::{Value, json};

use flyte_model::{Limit, Rights, Role, Scope};
use flyte_store::TrustRule;
use flyte_testing::NOW;

/// A rule for an issuer's tokens with `sub` `job-*` and the audience `https://localhost:8443`.
#[must_use]
pub fn rule(name: &str, issuer: &str) -> TrustRule {
    TrustRule {
        name: name.to_owned(),
        issuer: issuer.to_owned(),
        audience: "https://localhost:8443".to_owned(),
        claims: BTreeMap::from([("sub".to_owned(), "job-*".to_owned())]),
        jwks_uri: None,
        rights: Rights { role: Role::Contributor, scopes: [Scope::ALL].into(), limit: Limit::default() },
        token_lifetime: None,
        created_by: "user-Root".to_owned(),
        created_at: NOW,
        last_used_at: None,
        family_id: format!("family-of-{name}"),
    }
}

/// A signing key of an issuer.
pub struct Key {
    algorithm: Algorithm,
    kid: String,
    pem: String,
    private: EncodingKey,
}

impl Key {
    #[must_use]
    pub fn new(algorithm: Algorithm, kid: &str) -> Self {
        let random = SystemRandom::new();
        let pkcs8 = match algorithm {
            Algorithm::RS256 | Algorithm::PS256 => {
                let pair = RsaKeyPair::generate(KeySize::Rsa2048).unwrap();
                let der: Pkcs8V1Der<'_> = pair.as_der().unwrap();
                der.as_ref().to_vec()
            }
            Algorithm::ES256 => EcdsaKeyPair::generate_pkcs8(&ECDSA_P256_SHA256_FIXED_SIGNING, &random)
                .unwrap()
                .as_ref()
                .to_vec(),
            Algorithm::ES384 => EcdsaKeyPair::generate_pkcs8(&ECDSA_P384_SHA384_FIXED_SIGNING, &random)
                .unwrap()
                .as_ref()
                .to_vec(),
            Algorithm::EdDSA => Ed25519KeyPair::generate_pkcs8v1(&random).unwrap().as_ref().to_vec(),
            other => panic!("{other:?}"),
        };
        let pem = format!(
            "-----BEGIN PRIVATE KEY-----\n{}\n-----END PRIVATE KEY-----\n",
            BASE64_STANDARD.encode(pkcs8)
        );
        let private = match algorithm {
            Algorithm::RS256 | Algorithm::PS256 => EncodingKey::from_rsa_pem(pem.as_bytes()),
            Algorithm::EdDSA => EncodingKey::from_ed_pem(pem.as_bytes()),
            _ => EncodingKey::from_ec_pem(pem.as_bytes()),
        };
        Self { algorithm, kid: kid.to_owned(), private: private.unwrap(), pem }
    }

    /// The private key as a PEM file (PKCS#8).
    #[must_use]
    pub fn pem(&self) -> &str {
        &self.pem
    }

    /// The public key as published.
    #[must_use]
    pub fn jwk(&self) -> Value {
        let mut jwk = Jwk::from_encoding_key(&self.private, self.algorithm).unwrap();
        jwk.common.key_id = Some(self.kid.clone());
        serde_json::to_value(jwk).unwrap()
    }

    /// Signs a token with these claims.
    #[must_use]
    pub fn sign(&self, claims: &Value) -> String {
        self.sign_with(claims, |_| {})
    }

    pub fn sign_with(&self, claims: &Value, change: impl FnOnce(&mut Header)) -> String {
        let mut header = Header::new(self.algorithm);
        header.kid = Some(self.kid.clone());
        change(&mut header);
        jsonwebtoken::encode(&header, claims, &self.private).unwrap()
    }
}

/// The claims of a token for a CI job, issued now by `issuer`, with changes; `null` removes a claim.
#[must_use]
pub fn claims(issuer: &str, changes: Value) -> Value {
    let mut claims = json!({
        "iss": issuer, "sub": "job-1", "aud": "https://localhost:8443", "iat": NOW, "nbf": NOW, "exp": NOW + 300,
    });
    for (name, value) in changes.as_object().unwrap() {
        claims[name] = value.clone();
    }
    claims.as_object_mut().unwrap().retain(|_, value| !value.is_null());
    claims
}

/// An issuer's answer.
#[derive(Clone, Debug)]
pub struct Answer {
    pub status: u16,
    pub location: Option<String>,
    pub body: Vec<u8>,
}

impl Answer {
    #[must_use]
    pub fn json(body: &Value) -> Self {
        Self { status: 200, location: None, body: body.to_string().into_bytes() }
    }
}

/// An issuer at `http://127.0.0.1:PORT`. It ends with the runtime of the test.
pub struct Issuer {
    pub url: String,
    state: Arc<Mutex<Answers>>,
}

struct Answers {
    discovery: Answer,
    keys: Answer,
    asked: Vec<String>,
}

impl Issuer {
    /// Starts an issuer with these keys.
    pub async fn start(keys: &[&Key]) -> Self {
        let listener = tokio::net::TcpListener::bind(SocketAddr::from(([127, 0, 0, 1], 0))).await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let discovery = Answer::json(&json!({"issuer": url, "jwks_uri": format!("{url}/keys")}));
        let answers = Answers { discovery, keys: Answer::json(&json!({"keys": []})), asked: Vec::new() };
        let state = Arc::new(Mutex::new(answers));
        let router = Router::new()
            .route("/.well-known/openid-configuration", get(discovery_document))
            .route("/keys", get(key_set))
            .with_state(Arc::clone(&state));
        tokio::spawn(async move { axum::serve(listener, router).await });
        let issuer = Self { url, state };
        issuer.publish(keys);
        issuer
    }

    /// Publishes exactly these keys from now on.
    pub fn publish(&self, keys: &[&Key]) {
        let keys: Vec<_> = keys.iter().map(|key| key.jwk()).collect();
        self.answer_keys(Answer::json(&json!({"keys": keys})));
    }

    pub fn answer_keys(&self, answer: Answer) {
        self.state.lock().unwrap().keys = answer;
    }

    pub fn answer_discovery(&self, answer: Answer) {
        self.state.lock().unwrap().discovery = answer;
    }

    /// Returns the requests since the last call.
    #[must_use]
    pub fn asked(&self) -> Vec<String> {
        std::mem::take(&mut self.state.lock().unwrap().asked)
    }
}

async fn discovery_document(State(state): State<Arc<Mutex<Answers>>>) -> axum::response::Response {
    let mut state = state.lock().unwrap();
    state.asked.push("discovery".to_owned());
    respond(state.discovery.clone())
}

async fn key_set(State(state): State<Arc<Mutex<Answers>>>) -> axum::response::Response {
    let mut state = state.lock().unwrap();
    state.asked.push("keys".to_owned());
    respond(state.keys.clone())
}

fn respond(answer: Answer) -> axum::response::Response {
    let status = StatusCode::from_u16(answer.status).unwrap();
    match answer.location {
        Some(location) => (status, [("location", location)], answer.body).into_response(),
        None => (status, answer.body).into_response(),
    }
}
