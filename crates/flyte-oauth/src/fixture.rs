//! A whole authorization server in memory, with browsers and clients that call it, for tests of the endpoints.

use std::{
    net::{IpAddr, Ipv4Addr},
    sync::Arc,
};

use axum::{Router, body::Body};
use bytes::Bytes;
use http::{HeaderMap, Method, Request, StatusCode, header};
use http_body_util::BodyExt as _;
use serde_json::Value;
use tower::ServiceExt as _;
use url::{Url, form_urlencoded};

use crate::AuthorizationServer;
use flyte_access::Caller;
use flyte_access::testing::Parts;
use flyte_model::{ClientAddr, ClientId, GrantType, Scope};
use flyte_pages::ReturnTo;
use flyte_secrets::opaque_token;
use flyte_settings::Config;
use flyte_store::{BrowserSession, Client, ClientKind};
pub(super) use flyte_testing::{NOW, api_key, user};

pub(super) const ISSUER: &str = "https://localhost:8443";
pub(super) const VERIFIER: &str = "dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk";
pub(super) const CHALLENGE: &str = "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM";
pub(super) const REDIRECT_URI: &str = "http://localhost:53593/callback";
pub(super) const WEB_REDIRECT_URI: &str = "https://web.example/cb?x=1";
/// The address of all clients, if a test sets no other.
pub(super) const HOME: IpAddr = IpAddr::V4(Ipv4Addr::new(203, 0, 113, 9));
pub(super) const WEB_SECRET: &str = "p w:%+";

pub(super) const DEVICE_GRANT: &str = "urn:ietf:params:oauth:grant-type:device_code";

/// Parameters as written in tests.
pub(super) type Pairs<'a> = &'a [(&'a str, &'a str)];

/// An empty authorization server.
pub(crate) async fn authorization_server(change: impl FnOnce(&mut Config)) -> AuthorizationServer {
    let Parts { config, clock, store, keys, audit, access } = Parts::new(change).await;
    crate::testing::authorization_server(&config, &clock, &store, &keys, &audit, &access)
}

/// The server with the first-party public client `flyte`, two third-party clients (the public `native` and the
/// confidential `web app`), and the accounts of Ada and Bob.
pub(super) struct Server {
    pub(super) state: Arc<AuthorizationServer>,
    router: Router,
}

impl Server {
    pub(super) async fn start() -> Self {
        Self::with(|_| {}).await
    }

    pub(super) async fn with(change: impl FnOnce(&mut Config)) -> Self {
        let state = Arc::new(authorization_server(change).await);
        for client in clients() {
            state.store.put_client(&client).await.unwrap();
        }
        for name in ["Ada", "Bob"] {
            state.store.create_user(&user(name)).await.unwrap();
        }
        Self { router: super::router(&state).with_state(state.clone()), state }
    }

    pub(super) async fn send(&self, mut request: Request<Body>) -> Answer {
        request.extensions_mut().get_or_insert(ClientAddr(HOME));
        let response = self.router.clone().oneshot(request).await.unwrap();
        let (parts, body) = response.into_parts();
        Answer {
            status: parts.status,
            headers: parts.headers,
            body: body.collect().await.unwrap().to_bytes(),
        }
    }

    /// Sends a client's form.
    pub(super) async fn post(&self, path: &str, pairs: Pairs<'_>) -> Answer {
        self.send(form(path, pairs).body(encode(pairs).into()).unwrap()).await
    }

    /// Sends a client's form with HTTP Basic; both parts are sent unchanged.
    pub(super) async fn post_as(&self, path: &str, client: (&str, &str), pairs: Pairs<'_>) -> Answer {
        use base64::{Engine as _, engine::general_purpose::STANDARD};
        let basic = format!("Basic {}", STANDARD.encode(format!("{}:{}", client.0, client.1)));
        let request = form(path, pairs).header(header::AUTHORIZATION, basic);
        self.send(request.body(encode(pairs).into()).unwrap()).await
    }

    /// Sends a token request of an API key, as the published client does.
    pub(super) async fn client_credentials(&self, id: &str, secret: &str) -> Answer {
        let pairs = [
            ("grant_type", "client_credentials"),
            ("scope", "openid offline_access all"),
            ("audience", ISSUER),
        ];
        self.post_as("/oauth2/token", (id, secret), &pairs).await
    }

    /// The caller of a bearer token at the control plane, or the reason for its refusal.
    pub(super) async fn caller(&self, token: &str) -> Result<Arc<Caller>, String> {
        let mut headers = HeaderMap::new();
        headers.insert(header::AUTHORIZATION, format!("Bearer {token}").parse().unwrap());
        self.state.access.authenticate(&headers).await.map_err(|error| error.to_string())
    }

    /// Sends a token request of `flyte`.
    pub(super) async fn token(&self, pairs: Pairs<'_>) -> Answer {
        self.post("/oauth2/token", &[&[("client_id", "flyte")], pairs].concat()).await
    }

    pub(super) async fn redeem(&self, code: &str) -> Answer {
        self.token(&[
            ("grant_type", "authorization_code"),
            ("code", code),
            ("redirect_uri", REDIRECT_URI),
            ("code_verifier", VERIFIER),
        ])
        .await
    }

    pub(super) async fn refresh(&self, token: &str) -> Answer {
        self.token(&[("grant_type", "refresh_token"), ("refresh_token", token)]).await
    }

    /// Requests codes for a device of `flyte`.
    pub(super) async fn device(&self) -> Value {
        let pairs = [("client_id", "flyte"), ("scope", "openid profile email offline_access all")];
        self.post("/oauth2/device_authorization", &pairs).await.json()
    }

    /// Polls for the tokens of a device of `flyte`.
    pub(super) async fn poll(&self, device: &Value) -> Answer {
        let code = device["device_code"].as_str().unwrap();
        self.token(&[("grant_type", DEVICE_GRANT), ("device_code", code)]).await
    }

    pub(super) async fn userinfo(&self, access_token: &str) -> Answer {
        let request = Request::get("/oauth2/userinfo")
            .header(header::AUTHORIZATION, format!("Bearer {access_token}"))
            .body(Body::empty());
        self.send(request.unwrap()).await
    }

    /// A browser with a signed-in user.
    pub(super) async fn browser(&self, name: &str) -> Browser<'_> {
        let mut browser = self.stranger();
        browser.sign_in(name).await;
        browser
    }

    /// A browser without a signed-in user.
    pub(super) fn stranger(&self) -> Browser<'_> {
        Browser { server: self, cookies: Vec::new(), session: None, address: HOME }
    }

    /// The tokens of a sign-in of Ada to `flyte`.
    pub(super) async fn tokens(&self) -> Value {
        let code = self.browser("Ada").await.authorize(&[]).await.query("code");
        self.redeem(&code).await.json()
    }
}

fn form(path: &str, _: Pairs<'_>) -> http::request::Builder {
    Request::post(path).header(header::CONTENT_TYPE, "application/x-www-form-urlencoded")
}

fn clients() -> [Client; 3] {
    let owned = |texts: &[&str]| texts.iter().map(ToString::to_string).collect::<Vec<_>>();
    let scopes = "openid profile email offline_access all".parse().unwrap();
    let native = Client {
        id: ClientId::from_static("native"),
        name: "Third-party program".into(),
        kind: ClientKind::Public,
        secret_hash: None,
        jwks: None,
        redirect_uris: owned(&["http://127.0.0.1/cb", REDIRECT_URI]),
        post_logout_redirect_uris: owned(&["http://127.0.0.1/bye"]),
        grant_types: vec![GrantType::AuthorizationCode, GrantType::RefreshToken, GrantType::DeviceCode],
        scopes,
        first_party: false,
        may_keep_api_keys: false,
        id_token_signed_response_alg: None,
        created_at: 0,
    };
    let flyte = Client {
        id: ClientId::from_static("flyte"),
        name: "Flyte".into(),
        redirect_uris: owned(&[REDIRECT_URI, "http://127.0.0.1/callback"]),
        grant_types: vec![
            GrantType::AuthorizationCode,
            GrantType::RefreshToken,
            GrantType::DeviceCode,
            GrantType::TokenExchange,
        ],
        first_party: true,
        ..native.clone()
    };
    let web = Client {
        id: ClientId::from_static("web app"),
        kind: ClientKind::Confidential,
        secret_hash: Some(opaque_token::hash(WEB_SECRET)),
        redirect_uris: owned(&[WEB_REDIRECT_URI]),
        post_logout_redirect_uris: owned(&["https://web.example/bye?x=1"]),
        grant_types: vec![GrantType::AuthorizationCode, GrantType::DeviceCode],
        scopes: [Scope::OPENID, Scope::EMAIL].into(),
        ..native.clone()
    };
    [flyte, native, web]
}

/// A browser: it keeps cookies.
pub(super) struct Browser<'a> {
    server: &'a Server,
    cookies: Vec<String>,
    pub(super) session: Option<BrowserSession>,
    pub(super) address: IpAddr,
}

impl Browser<'_> {
    /// Signs in, as the sign-in page does after the right password.
    pub(super) async fn sign_in(&mut self, name: &str) {
        let (session, cookie) = self.server.state.sessions.start(&user(name)).await.unwrap().unwrap();
        self.keep(cookie.to_str().unwrap());
        self.session = Some(session);
    }

    fn keep(&mut self, cookie: &str) {
        let pair = cookie.split(';').next().unwrap().to_owned();
        let name = format!("{}=", pair.split('=').next().unwrap());
        self.cookies.retain(|known| !known.starts_with(&name));
        self.cookies.push(pair);
    }

    async fn send(&mut self, request: http::request::Builder, body: Body) -> Answer {
        let request =
            request.header(header::COOKIE, self.cookies.join("; ")).extension(ClientAddr(self.address));
        let answer = self.server.send(request.body(body).unwrap()).await;
        for cookie in answer.headers.get_all(header::SET_COOKIE) {
            self.keep(cookie.to_str().unwrap());
        }
        answer
    }

    pub(super) async fn get(&mut self, path: &str) -> Answer {
        self.send(Request::get(path), Body::empty()).await
    }

    pub(super) async fn post(&mut self, path: &str, pairs: Pairs<'_>) -> Answer {
        self.send(form(path, pairs), encode(pairs).into()).await
    }

    /// Sends a valid request of `flyte` with changes; see [`authorize_query`].
    pub(super) async fn authorize(&mut self, changes: Pairs<'_>) -> Answer {
        self.get(&format!("/oauth2/authorize?{}", authorize_query(changes))).await
    }

    /// The page that asks about a device.
    pub(super) async fn look_at(&mut self, device: &Value) -> Answer {
        self.get(&format!("/device?user_code={}", device["user_code"].as_str().unwrap())).await
    }

    /// Opens the page that asks about a device and presses `approve` or `deny`.
    pub(super) async fn answer(&mut self, device: &Value, decision: &str) -> Answer {
        let page = self.look_at(device).await;
        let (csrf, code) = (page.field("csrf"), page.field("user_code"));
        self.post("/device", &[("csrf", &csrf), ("user_code", &code), ("decision", decision)]).await
    }

    /// Presses a button of the form on a page.
    pub(super) async fn press(&mut self, page: &Answer, path: &str, decision: &str) -> Answer {
        let (csrf, request) = (page.field("csrf"), page.field("request"));
        self.post(path, &[("csrf", &csrf), ("request", &request), ("decision", decision)]).await
    }
}

/// The query of a valid request of `flyte` in which parameters are replaced, added, or removed (if empty).
pub(super) fn authorize_query(changes: Pairs<'_>) -> String {
    let mut pairs = vec![
        ("client_id", "flyte"),
        ("response_type", "code"),
        ("scope", "openid profile email offline_access all"),
        ("redirect_uri", REDIRECT_URI),
        ("state", "s t+a/t%e"),
        ("code_challenge", CHALLENGE),
        ("code_challenge_method", "S256"),
    ];
    for (name, value) in changes {
        pairs.retain(|(known, _)| known != name);
        if !value.is_empty() {
            pairs.push((name, value));
        }
    }
    encode(&pairs)
}

pub(super) fn encode(pairs: Pairs<'_>) -> String {
    form_urlencoded::Serializer::new(String::new()).extend_pairs(pairs).finish()
}

/// A response.
pub(super) struct Answer {
    pub(super) status: StatusCode,
    pub(super) headers: HeaderMap,
    pub(super) body: Bytes,
}

impl Answer {
    pub(super) fn text(&self) -> &str {
        std::str::from_utf8(&self.body).unwrap()
    }

    pub(super) fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|_| panic!("{} {}", self.status, self.text()))
    }

    /// `error` of a JSON response; empty if there is none.
    pub(super) fn error(&self) -> String {
        self.json()["error"].as_str().unwrap_or_default().to_owned()
    }

    pub(super) fn location(&self) -> &str {
        let location = self.headers.get(header::LOCATION).map(|location| location.to_str().unwrap());
        assert_eq!(self.status, 303, "{}", self.text());
        location.unwrap()
    }

    /// The target of the redirect, on this server or elsewhere.
    pub(super) fn url(&self) -> Url {
        Url::parse(ISSUER).unwrap().join(self.location()).unwrap()
    }

    /// A parameter of the location; empty if there is none.
    pub(super) fn query(&self, name: &str) -> String {
        let url = self.url();
        url.query_pairs().find(|(key, _)| key == name).map(|(_, value)| value.into()).unwrap_or_default()
    }

    /// The page to which the sign-in page leads back.
    pub(super) fn return_to(&self) -> String {
        assert_eq!(self.url().path(), "/login", "{}", self.location());
        let return_to = self.query("return_to");
        assert!(ReturnTo::parse(&return_to).is_some(), "the sign-in page would not lead back to {return_to}");
        return_to
    }

    /// The value of a hidden field of a page.
    pub(super) fn field(&self, name: &str) -> String {
        let start = format!("name=\"{name}\" value=\"");
        let text = self.text();
        let from = text.find(&start).unwrap_or_else(|| panic!("no {name} in {text}")) + start.len();
        let value = &text[from..from + text[from..].find('"').unwrap()];
        value.replace("&#38;", "&").replace("&amp;", "&").replace("&#39;", "'").replace("&#34;", "\"")
    }

    /// The payload of a JWT, unverified.
    pub(super) fn claims(token: &Value) -> Value {
        use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
        let payload = token.as_str().unwrap().split('.').nth(1).unwrap();
        serde_json::from_slice(&URL_SAFE_NO_PAD.decode(payload).unwrap()).unwrap()
    }
}

/// A request without cookies.
pub(super) fn request(method: Method, path: &str) -> http::request::Builder {
    Request::builder().method(method).uri(path)
}
