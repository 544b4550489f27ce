//! The pages as a browser gets them, with the services that they call.

mod group;
mod machine;
mod rights;
mod role;
mod server;
mod user;

use std::{collections::BTreeMap, sync::Arc};

use axum::{Router, body::Body};
use flyte_access::{door, testing::Parts};
use flyte_administration::Administration;
use flyte_identity::{Passwords, session::Sessions};
use flyte_model::{Limit, Role};
use flyte_policy::{Binding, Subject};
use flyte_provider::Providers;
use flyte_rpc::{Entrance, Services};
use flyte_settings::ShownSetting;
use flyte_store::{AuditQuery, Project, ProjectState, StoredAuditRecord};
use flyte_testing::user;
use http::{Request, StatusCode, header};
use http_body_util::BodyExt as _;
use tower::ServiceExt as _;

use crate::{AdminPages, router};

/// What no page may have as markup, and what may not turn or hide text.
pub(crate) const HOSTILE: &str = "<script>alert(1)</script>\" onload=x '";

/// The server's pages and services. Root administers the server, Pia the project `p`, Vic only looks.
pub(crate) struct Server {
    parts: Parts,
    sessions: Sessions,
    router: Router,
}

/// The answer to a request.
#[derive(Debug)]
pub(crate) struct Answer {
    status: StatusCode,
    location: String,
    policy: String,
    body: String,
}

impl Server {
    pub(crate) async fn start() -> Self {
        let parts = Parts::new(|_| {}).await;
        let of_project = Limit { project: Some("p".to_owned()), domain: None };
        for (name, role, limit) in [
            ("Root", Role::Admin, Limit::default()),
            ("Pia", Role::Admin, of_project),
            ("Vic", Role::Viewer, Limit::default()),
        ] {
            parts.store.create_user_with(&user(name), &[]).await.unwrap();
            let subject = Subject::user(&format!("user-{name}"));
            let binding = Binding { subject, role: role.to_string(), limit };
            assert!(parts.store.bind_role(&binding, 0).await.unwrap());
        }
        for id in ["p", "q"] {
            parts.store.create_project(&project(id)).await.unwrap();
        }
        let (config, clock, store) = (&parts.config, &parts.clock, &parts.store);
        let sessions = Sessions::new(Arc::clone(store), clock.clone(), config.session_ttl);
        let storage = Arc::new(door::Backend::new(&config.projects).unwrap());
        let entrance = Arc::new(Entrance {
            config: Arc::clone(config),
            audit: parts.audit.clone(),
            access: Arc::clone(&parts.access),
            storage: storage.clone(),
            sessions: None,
        });
        let setting = ShownSetting {
            section: "tls".to_owned(),
            key: "certificate".to_owned(),
            value: Some(HOSTILE.to_owned()),
            source: "/etc/flyte-server.toml:3".to_owned(),
            help: "PEM file.".to_owned(),
        };
        let administration = Arc::new(Administration {
            config: Arc::clone(config),
            clock: clock.clone(),
            store: Arc::clone(store),
            audit: parts.audit.clone(),
            access: Arc::clone(&parts.access),
            storage,
            passwords: Passwords::new(1, flyte_identity::PasswordRules::default()),
            keys: Arc::clone(&parts.keys),
            providers: Providers::new(config, clock).unwrap(),
            settings: vec![setting],
        });
        let services = flyte_administration::register(&administration, connectrpc::Router::new());
        let pages = AdminPages {
            sessions: sessions.clone(),
            access: Arc::clone(&parts.access),
            services: Services::new(&entrance, services),
            clock: clock.clone(),
        };
        let router = router(Arc::new(pages));
        Self { parts, sessions, router }
    }

    async fn send(&self, request: http::request::Builder, body: &str) -> (Answer, Vec<String>) {
        let request = request.body(Body::from(body.to_owned())).unwrap();
        let response = self.router.clone().oneshot(request).await.unwrap();
        let header = |name| {
            let value = response.headers().get(name);
            value.map_or_else(String::new, |it| it.to_str().unwrap().to_owned())
        };
        let (location, policy) = (header(header::LOCATION), header(header::CONTENT_SECURITY_POLICY));
        let cookies = response.headers().get_all(header::SET_COOKIE).iter();
        let cookies = cookies.map(|cookie| pair(cookie.to_str().unwrap())).collect();
        let status = response.status();
        let body = response.into_body().collect().await.unwrap().to_bytes();
        let body = String::from_utf8(body.to_vec()).unwrap();
        (Answer { status, location, policy, body }, cookies)
    }

    /// A browser in which a user is signed in.
    pub(crate) async fn browser(&self, name: &str) -> Browser<'_> {
        let (_, cookie) = self.sessions.start(&user(name)).await.unwrap().unwrap();
        Browser { server: self, cookies: pair(cookie.to_str().unwrap()) }
    }

    /// What was recorded, the newest first.
    pub(crate) async fn events(&self, event: &str) -> Vec<StoredAuditRecord> {
        self.parts.audit.flush().await;
        let query = AuditQuery { event: Some(event.to_owned()), limit: 10, ..AuditQuery::default() };
        self.parts.store.list_audit_records(&query).await.unwrap().0
    }
}

fn project(id: &str) -> Project {
    Project {
        id: id.to_owned(),
        name: id.to_owned(),
        description: String::new(),
        labels: BTreeMap::new(),
        state: ProjectState::Active,
        created_at: 0,
        updated_at: 0,
    }
}

/// The name and the value of a cookie.
fn pair(set_cookie: &str) -> String {
    set_cookie.split(';').next().unwrap().to_owned()
}

pub(crate) struct Browser<'s> {
    server: &'s Server,
    cookies: String,
}

impl Browser<'_> {
    pub(crate) async fn get(&self, path: &str) -> Answer {
        self.server.send(Request::get(path).header(header::COOKIE, &self.cookies), "").await.0
    }

    pub(crate) async fn page(&self, path: &str) -> String {
        let answer = self.get(path).await;
        assert_eq!(answer.status, StatusCode::OK, "{path}: {answer:?}");
        assert!(answer.policy.contains("default-src 'none'"), "{}", answer.policy);
        assert!(!answer.body.contains("<script>alert"), "{path}: {}", answer.body);
        answer.body
    }

    /// Sends a form with the token that a page of this browser has.
    pub(crate) async fn post(&self, path: &str, fields: &[(&str, &str)]) -> Answer {
        let request = Request::get("/admin").header(header::COOKIE, &self.cookies);
        let (_, cookies) = self.server.send(request, "").await;
        let cookies = [vec![self.cookies.clone()], cookies].concat().join("; ");
        let mut headers = http::HeaderMap::new();
        headers.insert(header::COOKIE, cookies.parse().unwrap());
        let token = flyte_pages::csrf::token(&headers).token;
        let mut body = url::form_urlencoded::Serializer::new(String::new());
        body.append_pair("csrf", &token).extend_pairs(fields);
        let request = Request::post(path)
            .header(header::COOKIE, &cookies)
            .header(header::CONTENT_TYPE, "application/x-www-form-urlencoded");
        self.server.send(request, &body.finish()).await.0
    }

    /// The same, and the page that the change leads to.
    pub(crate) async fn change(&self, path: &str, fields: &[(&str, &str)]) -> String {
        let answer = self.post(path, fields).await;
        assert_eq!(answer.status, StatusCode::SEE_OTHER, "{path} {fields:?}: {answer:?}");
        self.page(&answer.location).await
    }

    /// The same for a change that fails, with what the page says about it.
    pub(crate) async fn fails(&self, path: &str, fields: &[(&str, &str)], status: StatusCode) -> String {
        let answer = self.post(path, fields).await;
        assert_eq!(answer.status, status, "{path} {fields:?}: {answer:?}");
        answer.body
    }
}
