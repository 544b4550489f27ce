//! The pages over HTTP, without a network: a browser's requests and their responses.

mod account_link;
mod change_password;
mod form;
mod headers;
mod login;
mod outside;
mod throttle;

use std::{
    net::{IpAddr, Ipv4Addr},
    sync::Arc,
};

use axum::{
    Router,
    body::Body,
    http::{HeaderMap, HeaderName, HeaderValue, Request, StatusCode, header, request},
    response::Response,
};
use http_body_util::BodyExt;
use tower::ServiceExt;
use url::form_urlencoded;

use crate::{AuthorizationServer, fixture};
use flyte_model::{ClientAddr, Scope};
use flyte_store::{Client, ClientKind, User};

const PASSWORD: &str = "correct horse battery";
const HOME: IpAddr = IpAddr::V4(Ipv4Addr::new(203, 0, 113, 9));
const AUTHORIZE: &str =
    "/oauth2/authorize?client_id=flyte&redirect_uri=http%3A%2F%2Flocalhost%3A53593%2Fcallback&state=s";

/// A server with the client `flyte` and the accounts `ada@example.com`, `disabled@example.com` and
/// `elsewhere@example.com` (which has no password).
struct Server {
    state: Arc<AuthorizationServer>,
    router: Router,
}

impl Server {
    async fn start() -> Self {
        Self::with(|_| {}).await
    }

    async fn with(change: impl FnOnce(&mut flyte_settings::Config)) -> Self {
        let state = fixture::authorization_server(change).await;
        let hash = state.passwords.rehash(PASSWORD.into()).await.unwrap();
        for (name, password_hash, disabled_at) in
            [("Ada", Some(&hash), None), ("Disabled", Some(&hash), Some(1)), ("Elsewhere", None, None)]
        {
            let user = User {
                id: format!("id-of-{name}"),
                email: format!("{name}@example.com"),
                name: name.to_owned(),
                password_hash: password_hash.cloned(),
                admin: false,
                created_at: 0,
                disabled_at,
            };
            state.store.create_user(&user).await.unwrap();
        }
        state.store.put_client(&client("flyte", "Flyte <CLI>")).await.unwrap();
        let state = Arc::new(state);
        Self { router: super::router().with_state(state.clone()), state }
    }

    fn browser(&self) -> Browser<'_> {
        Browser { server: self, cookies: Vec::new(), address: HOME }
    }
}

fn client(id: &str, name: &str) -> Client {
    Client {
        id: id.parse().unwrap(),
        name: name.to_owned(),
        kind: ClientKind::Public,
        secret_hash: None,
        jwks: None,
        redirect_uris: ["http://localhost:53593/callback", "http://[::1]/callback"]
            .map(str::to_owned)
            .to_vec(),
        post_logout_redirect_uris: Vec::new(),
        grant_types: vec![flyte_model::GrantType::AuthorizationCode],
        scopes: [Scope::OPENID].into(),
        first_party: true,
        may_keep_api_keys: false,
        id_token_signed_response_alg: None,
        created_at: 0,
    }
}

/// A browser with cookies.
#[derive(Clone)]
struct Browser<'a> {
    server: &'a Server,
    cookies: Vec<(String, String)>,
    address: IpAddr,
}

impl Browser<'_> {
    async fn get(&mut self, path: &str) -> Page {
        self.send(Request::get(path), String::new()).await
    }

    async fn post(&mut self, path: &str, fields: &[(&str, &str)]) -> Page {
        let body = form_urlencoded::Serializer::new(String::new()).extend_pairs(fields).finish();
        let request = Request::post(path).header(header::CONTENT_TYPE, "application/x-www-form-urlencoded");
        self.send(request, body).await
    }

    /// Opens the sign-in page and sends the form.
    async fn sign_in(&mut self, email: &str, password: &str) -> Page {
        self.sign_in_for("", email, password).await
    }

    async fn sign_in_for(&mut self, return_to: &str, email: &str, password: &str) -> Page {
        let csrf = self.csrf().await;
        let fields =
            [("csrf", csrf.as_str()), ("return_to", return_to), ("email", email), ("password", password)];
        self.post("/login", &fields).await
    }

    /// Returns a new token. Requests the form that is shown to signed-in users too.
    async fn csrf(&mut self) -> String {
        self.get(&login_for(AUTHORIZE)).await.field("csrf").unwrap()
    }

    fn cookie_header(&self) -> HeaderValue {
        let pairs: Vec<_> = self.cookies.iter().map(|(name, value)| format!("{name}={value}")).collect();
        pairs.join("; ").parse().unwrap()
    }

    fn headers(&self) -> HeaderMap {
        HeaderMap::from_iter([(header::COOKIE, self.cookie_header())])
    }

    fn cookie(&self, name: &str) -> Option<&str> {
        self.cookies.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str())
    }

    async fn send(&mut self, request: request::Builder, body: String) -> Page {
        let request = request
            .header(header::COOKIE, self.cookie_header())
            .extension(ClientAddr(self.address))
            .body(Body::from(body))
            .unwrap();
        let page = Page::read(self.server.router.clone().oneshot(request).await.unwrap()).await;
        for set in page.all(header::SET_COOKIE) {
            let (name, value) = set.split(';').next().unwrap().split_once('=').unwrap();
            self.cookies.retain(|(key, _)| key != name);
            if !set.contains("Max-Age=0") {
                self.cookies.push((name.to_owned(), value.to_owned()));
            }
        }
        page
    }
}

fn login_for(return_to: &str) -> String {
    let query = form_urlencoded::Serializer::new(String::new()).append_pair("return_to", return_to).finish();
    format!("/login?{query}")
}

/// A complete response.
struct Page {
    status: StatusCode,
    headers: HeaderMap,
    body: String,
}

impl Page {
    async fn read(response: Response) -> Self {
        let (parts, body) = response.into_parts();
        let body = body.collect().await.unwrap().to_bytes();
        let body = String::from_utf8(body.to_vec()).unwrap();
        Self { status: parts.status, headers: parts.headers, body }
    }

    fn header(&self, name: impl Into<HeaderName>) -> &str {
        self.headers.get(name.into()).map_or("", |value| value.to_str().unwrap())
    }

    fn all(&self, name: HeaderName) -> Vec<&str> {
        self.headers.get_all(name).iter().map(|value| value.to_str().unwrap()).collect()
    }

    fn location(&self) -> &str {
        assert_eq!(self.status, StatusCode::SEE_OTHER, "{}", self.body);
        self.header(header::LOCATION)
    }

    /// The value of the input called `name`, still escaped for HTML.
    fn field(&self, name: &str) -> Option<String> {
        let (_, input) = self.body.split_once(&format!("name=\"{name}\""))?;
        let (_, value) = input.split_once('>')?.0.split_once("value=\"")?;
        Some(value.split_once('"')?.0.to_owned())
    }
}
