//! A provider for tests, over HTTP on this machine, that can be made to lie.
#![expect(clippy::unwrap_used, clippy::missing_panics_doc, missing_docs, reason = "for tests")]

use std::{
    collections::HashMap,
    net::SocketAddr,
    sync::{Arc, Mutex},
};

use axum::{
    Router,
    extract::State,
    http::{HeaderMap, StatusCode, Uri},
    response::{IntoResponse as _, Response},
};
use jsonwebtoken::Algorithm;
use serde_json::{Value, json};
use url::{Url, form_urlencoded};

use flyte_federation::testing::Key;
use flyte_settings::{LinkRule, ProviderConfig, ProviderCredential, ProviderPreset};
use flyte_testing::NOW;

/// The settings of a provider `corp` with this issuer, a public client `flyte-server`, and no rules.
#[must_use]
pub fn settings(issuer: &str) -> ProviderConfig {
    ProviderConfig {
        name: "corp".to_owned(),
        preset: ProviderPreset::Oidc,
        label: "Corp".to_owned(),
        issuer: issuer.to_owned(),
        client_id: "flyte-server".to_owned(),
        credential: ProviderCredential::None,
        scopes: ["openid", "email", "profile"].map(str::to_owned).to_vec(),
        email_claim: "email".to_owned(),
        email_verified_claim: "email_verified".to_owned(),
        trust_xms_edov: false,
        verified_domains: Vec::new(),
        name_claim: "name".to_owned(),
        groups_claim: None,
        allowed_domains: Vec::new(),
        allowed_groups: Vec::new(),
        allowed_tenants: Vec::new(),
        link: LinkRule::SignIn,
        owned_domains: Vec::new(),
        create_accounts: false,
        account_roles: vec!["contributor".to_owned()],
        domain_hint: None,
        allow_internal: true,
        recheck: 3600,
        recheck_grace: 7200,
        max_session: 43_200,
    }
}

/// A provider at `http://127.0.0.1:PORT`. It ends with the runtime of the test.
pub struct TestProvider {
    pub url: String,
    state: Arc<Mutex<Inner>>,
}

struct Inner {
    url: String,
    key: Arc<Key>,
    /// Changes to the claims of ID tokens; `null` removes a claim.
    claims: Value,
    /// Replaces the ID token.
    id_token: Option<String>,
    /// Changes to the discovery document.
    discovery: Value,
    answers: HashMap<String, (u16, &'static str, String)>,
    /// The nonces of the codes that can be exchanged.
    codes: HashMap<String, String>,
    asked: Vec<String>,
    /// The number of refreshes; `None` if no refresh tokens are given.
    refreshed: Option<u32>,
    last_form: HashMap<String, String>,
    last_headers: HeaderMap,
}

impl TestProvider {
    pub async fn start() -> Self {
        let listener = tokio::net::TcpListener::bind(SocketAddr::from(([127, 0, 0, 1], 0))).await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let key = Arc::new(Key::new(Algorithm::ES256, "k"));
        let inner = Inner {
            url: url.clone(),
            claims: json!({}),
            id_token: None,
            discovery: json!({}),
            answers: HashMap::new(),
            codes: HashMap::new(),
            asked: Vec::new(),
            refreshed: Some(0),
            last_form: HashMap::new(),
            last_headers: HeaderMap::new(),
            key,
        };
        let state = Arc::new(Mutex::new(inner));
        let router = Router::new().fallback(respond).with_state(Arc::clone(&state));
        tokio::spawn(async move { axum::serve(listener, router).await });
        Self { url, state }
    }

    /// Signs the user in: returns the code for the request at this address, as its authorization endpoint does.
    #[must_use]
    pub fn sign_in(&self, request: &Url) -> String {
        let nonce = request.query_pairs().find(|(name, _)| name == "nonce");
        let nonce = nonce.map(|(_, nonce)| nonce.into_owned()).unwrap_or_default();
        let code = crate::authorization::random().unwrap();
        self.inner(|inner| inner.codes.insert(code.clone(), nonce));
        code
    }

    fn inner<T>(&self, change: impl FnOnce(&mut Inner) -> T) -> T {
        change(&mut self.state.lock().unwrap())
    }

    /// Changes the claims of the next ID tokens; `null` removes a claim.
    pub fn claim(&self, claims: Value) {
        self.inner(|inner| inner.claims = claims);
    }

    /// Replaces the next ID tokens.
    pub fn answer_id_token(&self, token: &str) {
        self.inner(|inner| inner.id_token = Some(token.to_owned()));
    }

    /// Changes members of the discovery document; `null` removes one.
    pub fn publish(&self, members: Value) {
        self.inner(|inner| inner.discovery = members);
    }

    /// Signs with another key from now on, and publishes only that one.
    pub fn rotate(&self, key: Key) {
        self.inner(|inner| inner.key = Arc::new(key));
    }

    /// The key that signs ID tokens.
    #[must_use]
    pub fn key(&self) -> Arc<Key> {
        self.inner(|inner| Arc::clone(&inner.key))
    }

    /// Answers requests for this path with this status, media type and body.
    pub fn answer(&self, path: &str, status: u16, media_type: &'static str, body: impl Into<String>) {
        self.inner(|inner| inner.answers.insert(path.to_owned(), (status, media_type, body.into())));
    }

    /// Answers requests for this path with JSON.
    pub fn answer_json(&self, path: &str, body: &Value) {
        self.answer(path, 200, "application/json", body.to_string());
    }

    /// Returns the paths of the requests since the last call.
    #[must_use]
    pub fn asked(&self) -> Vec<String> {
        self.inner(|inner| std::mem::take(&mut inner.asked))
    }

    /// Accepts no refresh token that it has given.
    pub fn revoke(&self) {
        self.inner(|inner| inner.refreshed = inner.refreshed.map(|count| count + 100));
    }

    /// Gives no refresh tokens.
    pub fn give_no_refresh_tokens(&self) {
        self.inner(|inner| inner.refreshed = None);
    }

    /// Answers requests for this path as usual again.
    pub fn recover(&self, path: &str) {
        self.inner(|inner| inner.answers.remove(path));
    }

    /// A field of the last token request.
    #[must_use]
    pub fn sent(&self, field: &str) -> Option<String> {
        self.inner(|inner| inner.last_form.get(field).cloned())
    }

    /// A header of the last token request.
    #[must_use]
    pub fn sent_header(&self, name: &str) -> Option<String> {
        self.inner(|inner| Some(inner.last_headers.get(name)?.to_str().unwrap().to_owned()))
    }

    /// The claims of an ID token with this nonce, with the changes.
    #[must_use]
    pub fn claims(&self, nonce: &str) -> Value {
        self.inner(|inner| claims(inner, nonce))
    }
}

fn merge(base: &mut Value, changes: &Value) {
    for (name, value) in changes.as_object().unwrap() {
        base[name] = value.clone();
    }
    base.as_object_mut().unwrap().retain(|_, value| !value.is_null());
}

fn claims(inner: &Inner, nonce: &str) -> Value {
    let mut claims = json!({
        "iss": inner.url, "sub": "u1", "aud": "flyte-server", "iat": NOW, "exp": NOW + 300, "nonce": nonce,
        "email": "ida@corp.example", "email_verified": true, "name": "Ida",
    });
    merge(&mut claims, &inner.claims);
    claims
}

async fn respond(
    State(state): State<Arc<Mutex<Inner>>>,
    uri: Uri,
    headers: HeaderMap,
    body: String,
) -> Response {
    let mut inner = state.lock().unwrap();
    let path = uri.path().to_owned();
    inner.asked.push(path.clone());
    if let Some((status, media_type, body)) = inner.answers.get(&path).cloned() {
        return (StatusCode::from_u16(status).unwrap(), [("content-type", media_type)], body).into_response();
    }
    let url = inner.url.clone();
    let document = match path.as_str() {
        "/.well-known/openid-configuration" => {
            let mut document = json!({
                "issuer": url, "authorization_endpoint": format!("{url}/authorize"),
                "token_endpoint": format!("{url}/token"), "jwks_uri": format!("{url}/keys"),
                "userinfo_endpoint": format!("{url}/userinfo"),
            });
            merge(&mut document, &inner.discovery);
            document
        }
        "/keys" => json!({"keys": [inner.key.jwk()]}),
        "/token" => {
            inner.last_form = form_urlencoded::parse(body.as_bytes()).into_owned().collect();
            inner.last_headers = headers;
            let is_refresh = inner.last_form.get("grant_type").is_some_and(|grant| grant == "refresh_token");
            let nonce = if is_refresh {
                // Each refresh token works once.
                let expected = inner.refreshed.map(|count| format!("rt-{count}"));
                let given = inner.last_form.get("refresh_token").cloned();
                (expected.is_some() && given == expected).then(|| {
                    inner.refreshed = inner.refreshed.map(|count| count + 1);
                    None
                })
            } else {
                // A code can be exchanged once.
                let code = inner.last_form.get("code").cloned().unwrap_or_default();
                inner.codes.remove(&code).map(Some)
            };
            let Some(nonce) = nonce else {
                return (StatusCode::BAD_REQUEST, json!({"error": "invalid_grant"}).to_string())
                    .into_response();
            };
            let mut claims = claims(&inner, nonce.as_deref().unwrap_or_default());
            if is_refresh {
                claims.as_object_mut().unwrap().remove("nonce");
            }
            let id_token = inner.id_token.clone().unwrap_or_else(|| inner.key.sign(&claims));
            let mut tokens = json!({"access_token": "at", "token_type": "Bearer", "id_token": id_token});
            if let Some(count) = inner.refreshed {
                tokens["refresh_token"] = json!(format!("rt-{count}"));
            }
            tokens
        }
        _ => return StatusCode::NOT_FOUND.into_response(),
    };
    ([("content-type", "application/json")], document.to_string()).into_response()
}
