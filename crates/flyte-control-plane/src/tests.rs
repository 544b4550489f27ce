//! Tests of the control plane through its HTTP routes, in each protocol.

mod account_links;
mod action_data;
mod api_key;
mod api_key_rules;
mod app;
mod audit;
mod browser;
mod cache;
mod console;
mod dataproxy;
mod directory;
mod limits;
mod logs;
mod permission;
mod project;
mod protocol;
mod run;
mod scim_key;
mod settings;
mod stream_limits;
mod streams;
mod task;
mod trigger;
mod trust;
mod unsupported;

use std::sync::Arc;

use axum::{Router, body::Body};
use buffa::Message;
use bytes::Bytes;
use http::{HeaderMap, Request, StatusCode, header};
use http_body_util::BodyExt as _;
use secrecy::ExposeSecret as _;
use serde_json::Value;
use tower::ServiceExt as _;

use crate::{ControlPlane, testing};
use flyte_access::token::{self, TokenGrant};
use flyte_model::{ClientId, GrantType, Scope, clock::UnixTime};
use flyte_settings::Config;
use flyte_store::{Client, ClientKind};
use flyte_testing::NOW;

/// A server with two accounts: Ada, and the administrator Root.
struct Server {
    plane: Arc<ControlPlane>,
    router: Router,
}

impl Server {
    async fn start() -> Self {
        Self::with(|_| {}).await
    }

    async fn with(change: impl FnOnce(&mut Config)) -> Self {
        let plane = testing::control_plane(|config| {
            config.org = "acme".to_owned();
            change(config);
        })
        .await;
        for name in ["Ada", "Root"] {
            let mut user = flyte_testing::user(name);
            user.admin = name == "Root";
            plane.store.create_user(&user).await.unwrap();
        }
        for (id, first_party) in [("flyte", true), ("other", false)] {
            plane.store.put_client(&client(id, first_party)).await.unwrap();
        }
        let plane = Arc::new(plane);
        Self { router: testing::router(&plane), plane }
    }

    fn token(&self, user: &str, scopes: &[&str]) -> String {
        self.token_by("flyte", user, scopes, NOW)
    }

    /// A token of a user who signed in to a client at this time.
    fn token_by(&self, client_id: &str, user: &str, scopes: &[&str], authenticated_at: UnixTime) -> String {
        let grant = TokenGrant {
            user_id: format!("user-{user}"),
            client_id: client_id.parse().unwrap(),
            scopes: scopes.iter().map(|scope| scope.parse().unwrap()).collect(),
            audience: None,
            authenticated_at,
            session_id: "session".to_owned(),
            family_id: "family".to_owned(),
        };
        self.plane.access.tokens().issue(&grant).unwrap().token.expose_secret().to_owned()
    }

    /// A token of a given token family, that is, of a given sign-in.
    fn token_in(&self, family: &str, user: &str) -> String {
        let grant = TokenGrant {
            user_id: format!("user-{user}"),
            client_id: ClientId::from_static("flyte"),
            scopes: [Scope::ALL].into(),
            audience: None,
            authenticated_at: NOW,
            session_id: "session".to_owned(),
            family_id: family.to_owned(),
        };
        self.plane.access.tokens().issue(&grant).unwrap().token.expose_secret().to_owned()
    }

    async fn send(&self, request: Request<Body>) -> Answer {
        let (parts, body) = self.router.clone().oneshot(request).await.unwrap().into_parts();
        let body = body.collect().await.unwrap();
        let trailers = body.trailers().cloned().unwrap_or_default();
        Answer { status: parts.status, headers: parts.headers, trailers, body: body.to_bytes() }
    }

    /// Sends a Connect call with a JSON body and, if `user` is set, with a token of that user.
    async fn json(&self, method: &str, user: Option<&str>, body: &Value) -> Answer {
        let mut request = Request::post(method).header(header::CONTENT_TYPE, "application/json");
        if let Some(user) = user {
            request = request.header(header::AUTHORIZATION, bearer(&self.token(user, &["all"])));
        }
        self.send(request.body(body.to_string().into()).unwrap()).await
    }
}

/// A public client that may request the scope `all`.
fn client(id: &str, first_party: bool) -> Client {
    Client {
        id: id.parse().unwrap(),
        name: id.to_owned(),
        kind: ClientKind::Public,
        secret_hash: None,
        jwks: None,
        redirect_uris: vec!["http://127.0.0.1/callback".to_owned()],
        post_logout_redirect_uris: vec![],
        grant_types: vec![GrantType::AuthorizationCode],
        scopes: [Scope::ALL].into(),
        first_party,
        may_keep_api_keys: false,
        id_token_signed_response_alg: None,
        created_at: 0,
    }
}

fn bearer(token: &str) -> String {
    format!("Bearer {token}")
}

/// The response to a request.
#[derive(Debug)]
struct Answer {
    status: StatusCode,
    headers: HeaderMap,
    trailers: HeaderMap,
    body: Bytes,
}

impl Answer {
    fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().unwrap())
    }

    fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or_else(|_| panic!("{self:?}"))
    }

    /// The response message of a Connect call that succeeded.
    fn message<M: Message>(&self) -> M {
        assert_eq!(self.status, StatusCode::OK, "{self:?}");
        M::decode_from_slice(&self.body).unwrap()
    }

    /// The code and the message of a Connect call that failed.
    fn error(&self) -> (String, String) {
        assert_ne!(self.status, StatusCode::OK, "{self:?}");
        let error = self.json();
        let text = |name: &str| error[name].as_str().unwrap_or_default().to_owned();
        (text("code"), text("message"))
    }
}

const METADATA: &str = "/flyteidl2.auth.AuthMetadataService/GetOAuth2Metadata";
const CLIENT_CONFIG: &str = "/flyteidl2.auth.AuthMetadataService/GetPublicClientConfig";
const USER_INFO: &str = "/flyteidl2.auth.IdentityService/UserInfo";
const CREATE: &str = "/flyteidl2.project.ProjectService/CreateProject";
const UPDATE: &str = "/flyteidl2.project.ProjectService/UpdateProject";
const GET: &str = "/flyteidl2.project.ProjectService/GetProject";
const LIST: &str = "/flyteidl2.project.ProjectService/ListProjects";
