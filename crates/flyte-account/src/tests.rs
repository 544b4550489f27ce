//! The pages as a browser gets them, with the authorization server and the services that they call.

mod activity;
mod api_keys;
mod applications;
mod connections;
mod profile;
mod sign_ins;

use std::sync::Arc;

use axum::{Router, body::Body};
use flyte_access::{door, testing::Parts, token::TokenGrant};
use flyte_administration::Administration;
use flyte_identity::{PasswordRules, Passwords};
use flyte_model::{ClientAddr, Scope};
use flyte_oauth::AuthorizationServer;
use flyte_rpc::{Entrance, Services};
use flyte_secrets::opaque_token;
use flyte_store::{AuditQuery, AuditRecord, AuthorizationCode, BrowserSession, NewRefreshToken};
use flyte_testing::{NOW, user};
use http::{Request, StatusCode, header, request::Builder};
use http_body_util::BodyExt as _;
use secrecy::ExposeSecret as _;
use tower::ServiceExt as _;

use crate::{Account, ShownOnce, router};

const FIREFOX: &str = "Mozilla/5.0 (X11; Linux x86_64; rv:145.0) Gecko/20100101 Firefox/145.0";

/// The server's pages and services.
struct Server {
    parts: Parts,
    oauth: Arc<AuthorizationServer>,
    services: Services,
    router: Router,
}

/// The answer to a request.
#[derive(Debug)]
struct Answer {
    status: StatusCode,
    location: String,
    body: String,
}

impl Server {
    async fn start() -> Self {
        let parts = Parts::new(|_| {}).await;
        for name in ["Ada", "Bob"] {
            parts.store.create_user(&user(name)).await.unwrap();
        }
        let (config, clock, store) = (&parts.config, &parts.clock, &parts.store);
        let oauth = flyte_oauth::testing::authorization_server(
            config,
            clock,
            store,
            &parts.keys,
            &parts.audit,
            &parts.access,
        );
        let oauth = Arc::new(oauth);
        let storage = Arc::new(door::Backend::new(&config.projects).unwrap());
        let entrance = Arc::new(Entrance {
            config: Arc::clone(config),
            audit: parts.audit.clone(),
            access: Arc::clone(&parts.access),
            storage: storage.clone(),
            sessions: None,
        });
        let administration = Arc::new(Administration {
            config: Arc::clone(config),
            clock: clock.clone(),
            store: Arc::clone(store),
            audit: parts.audit.clone(),
            access: Arc::clone(&parts.access),
            storage,
            passwords: Passwords::new(1, PasswordRules::default()),
            keys: Arc::clone(&parts.keys),
            providers: oauth.outside.providers.clone(),
            settings: Vec::new(),
        });
        let services = flyte_administration::register(&administration, connectrpc::Router::new());
        let services = Services::new(&entrance, services);
        let account = Account {
            sessions: oauth.sessions.clone(),
            access: Arc::clone(&parts.access),
            services: services.clone(),
            config: Arc::clone(config),
            store: Arc::clone(store),
            audit: parts.audit.clone(),
            clock: clock.clone(),
            shown_once: ShownOnce::default(),
        };
        let router = flyte_oauth::router(&oauth)
            .with_state(Arc::clone(&oauth))
            .merge(flyte_rpc::router(&services, Router::new()))
            .merge(router(Arc::new(account)));
        Self { parts, oauth, services, router }
    }

    /// Signs a program in with a browser: its family, and a refresh token.
    async fn program(&self, browser: &Browser<'_>, client: &str, family: &str) {
        let store = &self.parts.store;
        let code = AuthorizationCode {
            code_hash: opaque_token::hash(family),
            family_id: family.to_owned(),
            client_id: client.parse().unwrap(),
            user_id: browser.session.user_id.clone(),
            session_id: browser.session.id.clone(),
            authenticated_at: NOW,
            redirect_uri: "http://127.0.0.1/cb".to_owned(),
            code_challenge: "challenge".to_owned(),
            scopes: [Scope::ALL].into(),
            audience: None,
            nonce: None,
            expires_at: NOW + 60,
        };
        assert!(store.create_code(&code).await.unwrap());
        let token_hash = opaque_token::hash(&format!("refresh {family}"));
        let refresh = NewRefreshToken { token_hash, expires_at: NOW + 86_400 };
        store.redeem_code(&code.code_hash, Some(&refresh), NOW).await.unwrap();
    }

    /// An access token of Ada in this family.
    fn token(&self, client: &str, family: &str) -> String {
        let grant = TokenGrant {
            user_id: "user-Ada".to_owned(),
            client_id: client.parse().unwrap(),
            scopes: [Scope::ALL].into(),
            audience: None,
            authenticated_at: NOW,
            session_id: "session".to_owned(),
            family_id: family.to_owned(),
        };
        self.parts.access.tokens().issue(&grant).unwrap().token.expose_secret().to_owned()
    }

    /// The status of a call with this token.
    async fn call(&self, token: &str) -> StatusCode {
        let call = Request::post("/flyteidl2.auth.IdentityService/UserInfo")
            .header(header::AUTHORIZATION, format!("Bearer {token}"))
            .header(header::CONTENT_TYPE, "application/json");
        self.send(call, "{}").await.status
    }

    /// The recorded events of a kind.
    async fn events(&self, kind: &str) -> Vec<AuditRecord> {
        self.parts.audit.flush().await;
        let query = AuditQuery { limit: 100, event: Some(kind.to_owned()), ..AuditQuery::default() };
        let (found, _) = self.parts.store.list_audit_records(&query).await.unwrap();
        found.into_iter().map(|stored| stored.record).collect()
    }

    async fn send(&self, request: Builder, body: &str) -> Answer {
        let request = request.body(Body::from(body.to_owned())).unwrap();
        let here = ClientAddr("203.0.113.9".parse().unwrap());
        let response = here.answer(self.router.clone().oneshot(request)).await.unwrap();
        let location = response.headers().get(header::LOCATION);
        let location = location.map_or_else(String::new, |it| it.to_str().unwrap().to_owned());
        let status = response.status();
        let body = response.into_body().collect().await.unwrap().to_bytes();
        Answer { status, location, body: String::from_utf8(body.to_vec()).unwrap() }
    }

    /// A browser in which a user is signed in.
    async fn browser(&self, name: &str) -> Browser<'_> {
        let (session, cookie) = self.oauth.sessions.start(&user(name)).await.unwrap().unwrap();
        Browser { server: self, session, cookies: pair(cookie.to_str().unwrap()) }
    }
}

/// The name and the value of a cookie.
fn pair(set_cookie: &str) -> String {
    set_cookie.split(';').next().unwrap().to_owned()
}

struct Browser<'s> {
    server: &'s Server,
    session: BrowserSession,
    cookies: String,
}

impl Browser<'_> {
    async fn get(&self, path: &str) -> Answer {
        let request =
            Request::get(path).header(header::COOKIE, &self.cookies).header(header::USER_AGENT, FIREFOX);
        self.server.send(request, "").await
    }

    async fn page(&self, path: &str) -> String {
        let answer = self.get(path).await;
        assert_eq!(answer.status, StatusCode::OK, "{path}: {answer:?}");
        answer.body
    }

    /// Posts a form to the page at this path, with the token of that page.
    async fn post(&self, path: &str, fields: &str) -> Answer {
        let csrf = format!("__Host-flyte_csrf={}", "A".repeat(43));
        let cookies = format!("{}; {csrf}", self.cookies);
        let headers = [(header::COOKIE, cookies.parse().unwrap())].into_iter().collect();
        let token = flyte_pages::csrf::token(&headers).token;
        let form = Request::post(path)
            .header(header::COOKIE, cookies)
            .header(header::CONTENT_TYPE, "application/x-www-form-urlencoded");
        self.server.send(form, &format!("csrf={token}&{fields}")).await
    }
}

#[tokio::test]
async fn the_pages_need_a_session_and_come_back_after_a_sign_in() {
    let server = Server::start().await;
    for path in [
        "/account",
        "/account/profile",
        "/account/sessions",
        "/account/applications",
        "/account/keys",
        "/account/activity",
    ] {
        let answer = server.send(Request::get(path), "").await;
        assert_eq!(answer.status, StatusCode::SEE_OTHER, "{path}");
        assert_eq!(answer.location, format!("/login?return_to={}", path.replace('/', "%2F")));
        assert!(flyte_pages::ReturnTo::parse(path).is_some(), "{path}");
    }
    let form = Request::post("/account/profile").header("content-type", "application/x-www-form-urlencoded");
    assert_eq!(server.send(form, "name=x").await.status, StatusCode::UNAUTHORIZED);
}

#[tokio::test]
async fn each_section_of_the_list_has_a_page() {
    let server = Server::start().await;
    let ada = server.browser("Ada").await;
    let page = ada.page("/account").await;
    let links: Vec<_> =
        page.split("href=\"/account/").skip(1).map(|rest| rest.split('"').next().unwrap()).collect();
    assert!(!links.is_empty());
    for link in links {
        ada.page(&format!("/account/{link}")).await;
    }
}
