//! The service through its routes.

mod clients;
mod entra;
mod groups;
mod many;
mod okta;
mod users;

use std::{net::IpAddr, sync::Arc};

use axum::{Router, body::Body};
use http::{HeaderMap, Method, Request, header};
use secrecy::ExposeSecret as _;
use serde_json::{Value, json};
use tower::ServiceExt as _;

use super::*;
use crate::keys::NewKey;
use flyte_access::{testing::Parts, token::TokenGrant};
use flyte_model::{ClientAddr, ClientId, Scope};
use flyte_store::{AuditQuery, ScimRules};
use flyte_testing::NOW;
use uuid::Uuid;

/// A server, and the secret of a key of the client `okta`.
struct Server {
    parts: Parts,
    router: Router,
    secret: String,
}

/// A response.
#[derive(Debug)]
struct Answer {
    status: u16,
    headers: HeaderMap,
    body: Value,
}

impl Answer {
    /// The body of a response with this status.
    fn with(self, status: u16) -> Value {
        assert_eq!(self.status, status, "{self:?}");
        self.body
    }

    /// The `scimType` of an error with this status.
    fn error(self, status: u16) -> String {
        assert_eq!(self.status, status, "{self:?}");
        assert_eq!(self.body["schemas"], json!(["urn:ietf:params:scim:api:messages:2.0:Error"]));
        assert_eq!(self.body["status"], json!(status.to_string()));
        assert!(self.body["detail"].as_str().is_some_and(|detail| !detail.is_empty()), "{self:?}");
        self.body["scimType"].as_str().unwrap_or_default().to_owned()
    }

    fn header(&self, name: header::HeaderName) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().unwrap())
    }
}

impl Server {
    async fn start() -> Self {
        Self::with(ScimRules::default()).await
    }

    async fn with(rules: ScimRules) -> Self {
        let parts = Parts::new(|_| {}).await;
        let scim = Scim::new(
            Arc::clone(&parts.config),
            parts.clock.clone(),
            Arc::clone(&parts.store),
            parts.audit.clone(),
            Arc::clone(&parts.access),
        );
        let router = router(Arc::new(scim));
        let mut server = Self { parts, router, secret: String::new() };
        server.secret = server.key("okta", rules).await;
        server
    }

    /// Creates a key of a client. Returns its secret.
    async fn key(&self, client: &str, rules: ScimRules) -> String {
        let name = format!("{client}-{}", Uuid::new_v4().simple());
        let new =
            NewKey { name, client: client.to_owned(), rules, lifetime: Some(86_400), ..NewKey::default() };
        let (_, secret) = keys::create(&*self.parts.store, new, self.parts.clock.now()).await.unwrap();
        secret.expose_secret().to_owned()
    }

    async fn send(&self, request: Request<Body>) -> Answer {
        let response = self.router.clone().oneshot(request).await.unwrap();
        let (head, body) = response.into_parts();
        let bytes = axum::body::to_bytes(body, 64 << 20).await.unwrap();
        if !bytes.is_empty() {
            assert_eq!(head.headers[header::CONTENT_TYPE], "application/scim+json");
        }
        let body = if bytes.is_empty() { Value::Null } else { serde_json::from_slice(&bytes).unwrap() };
        Answer { status: head.status.as_u16(), headers: head.headers, body }
    }

    fn request(&self, method: Method, path: &str) -> http::request::Builder {
        let path = path.strip_prefix("https://localhost:8443/scim/v2").unwrap_or(path);
        let uri = format!("/scim/v2{path}").replace(' ', "%20").replace('"', "%22");
        let address: IpAddr = "192.0.2.1".parse().unwrap();
        Request::builder()
            .method(method)
            .uri(uri)
            .header(header::AUTHORIZATION, format!("Bearer {}", self.secret))
            .extension(ClientAddr(address))
    }

    async fn call(&self, method: Method, path: &str, body: Value) -> Answer {
        let request = self.request(method, path).header(header::CONTENT_TYPE, "application/scim+json");
        self.send(request.body(body.to_string().into()).unwrap()).await
    }

    async fn get(&self, path: &str) -> Answer {
        self.send(self.request(Method::GET, path).body(Body::empty()).unwrap()).await
    }

    async fn post(&self, path: &str, body: Value) -> Answer {
        self.call(Method::POST, path, body).await
    }

    async fn put(&self, path: &str, body: Value) -> Answer {
        self.call(Method::PUT, path, body).await
    }

    async fn patch(&self, path: &str, operations: Value) -> Answer {
        let schemas = ["urn:ietf:params:scim:api:messages:2.0:PatchOp"];
        self.call(Method::PATCH, path, json!({"schemas": schemas, "Operations": operations})).await
    }

    async fn delete(&self, path: &str) -> Answer {
        self.send(self.request(Method::DELETE, path).body(Body::empty()).unwrap()).await
    }

    /// Creates a user. Returns its identifier.
    async fn user(&self, name: &str) -> String {
        let user =
            json!({"userName": format!("{name}@example.com"), "externalId": name, "displayName": name});
        id(&self.post("/Users", user).await.with(201))
    }

    /// Creates a group. Returns its identifier.
    async fn group(&self, name: &str, members: &[&String]) -> String {
        let members: Vec<_> = members.iter().map(|id| json!({"value": id})).collect();
        id(&self.post("/Groups", json!({"displayName": name, "members": members})).await.with(201))
    }

    /// The names of a group's members.
    async fn members(&self, group: &str) -> Vec<String> {
        let group = self.get(&format!("/Groups/{group}")).await.with(200);
        let members = group["members"].as_array().cloned().unwrap_or_default();
        let mut names: Vec<_> =
            members.iter().map(|member| member["display"].as_str().unwrap().to_owned()).collect();
        names.sort();
        names
    }

    /// The headers of a call with an access token of a user.
    fn token_of(&self, user: &str) -> HeaderMap {
        let grant = TokenGrant {
            user_id: user.to_owned(),
            client_id: ClientId::from_static("flyte"),
            scopes: [Scope::ALL].into(),
            audience: None,
            authenticated_at: NOW,
            session_id: "session".to_owned(),
            family_id: "family".to_owned(),
        };
        let token = self.parts.access.tokens().issue(&grant).unwrap().token;
        let value = format!("Bearer {}", token.expose_secret()).parse().unwrap();
        [(header::AUTHORIZATION, value)].into_iter().collect()
    }

    /// The kinds of recorded events, the newest first.
    async fn events(&self) -> Vec<String> {
        self.parts.audit.flush().await;
        let query = AuditQuery { limit: 100, ..AuditQuery::default() };
        let (records, _) = self.parts.store.list_audit_records(&query).await.unwrap();
        records.into_iter().map(|it| it.record.event).collect()
    }
}

fn id(resource: &Value) -> String {
    resource["id"].as_str().unwrap().to_owned()
}
