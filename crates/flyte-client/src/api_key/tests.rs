use std::sync::{Arc, Mutex};

use connectrpc::client::ServiceTransport;
use connectrpc::{
    ConnectRpcService, Encodable, RequestContext, Response, Router, ServiceRequest, ServiceResult,
};
use flyte_idl::cloudidl::identity::{self as apps, AppsServiceExt as _};
use flyte_idl::flyteauth::{ApiKeyService, ApiKeyServiceExt as _};
use secrecy::ExposeSecret as _;

use super::*;
use crate::client::Client;

/// A fake server with API keys.
#[derive(Default)]
struct Server {
    api_keys: Mutex<Vec<wire::ApiKey>>,
    created: Mutex<Vec<wire::CreateApiKeyRequest>>,
    pages: Mutex<Vec<(u32, String)>>,
    /// Whether answers have no secret.
    mute: bool,
}

impl Server {
    fn find(&self, key: &str) -> Result<wire::ApiKey, ConnectError> {
        let api_keys = self.api_keys.lock().unwrap();
        let found = api_keys.iter().find(|found| found.client_id == key || found.name == key);
        found.cloned().ok_or_else(|| ConnectError::not_found(format!("no key {key}")))
    }

    fn secret(&self) -> String {
        if self.mute { String::new() } else { "hunter2".to_owned() }
    }
}

impl ApiKeyService for Server {
    async fn create_api_key<'a>(
        &'a self,
        _: RequestContext,
        request: ServiceRequest<'_, wire::CreateApiKeyRequest>,
    ) -> ServiceResult<impl Encodable<wire::CreateApiKeyResponse> + Send + use<'a>> {
        let request = request.to_owned_message();
        self.created.lock().unwrap().push(request.clone());
        let client_id = request.name.to_lowercase().replace(' ', "-");
        if self.find(&client_id).is_ok() {
            return Err(ConnectError::already_exists(client_id));
        }
        let key =
            wire::ApiKey { client_id, name: request.name, access: request.access, ..Default::default() };
        self.api_keys.lock().unwrap().push(key.clone());
        let answer = wire::CreateApiKeyResponse {
            api_key: key.into(),
            client_secret: self.secret(),
            ..Default::default()
        };
        Response::ok(answer)
    }

    async fn get_api_key<'a>(
        &'a self,
        _: RequestContext,
        request: ServiceRequest<'_, wire::GetApiKeyRequest>,
    ) -> ServiceResult<impl Encodable<wire::GetApiKeyResponse> + Send + use<'a>> {
        let api_key = self.find(&request.client_id)?;
        Response::ok(wire::GetApiKeyResponse { api_key: api_key.into(), ..Default::default() })
    }

    async fn list_api_keys<'a>(
        &'a self,
        _: RequestContext,
        request: ServiceRequest<'_, wire::ListApiKeysRequest>,
    ) -> ServiceResult<impl Encodable<wire::ListApiKeysResponse> + Send + use<'a>> {
        self.pages.lock().unwrap().push((request.limit, request.token.clone()));
        let api_keys = self.api_keys.lock().unwrap();
        let start: usize = request.token.parse().unwrap_or(0);
        let end = api_keys.len().min(start + request.limit as usize);
        let token = if end < api_keys.len() { end.to_string() } else { String::new() };
        let api_keys = api_keys[start..end].to_vec();
        Response::ok(wire::ListApiKeysResponse { api_keys, token, ..Default::default() })
    }

    async fn delete_api_key<'a>(
        &'a self,
        _: RequestContext,
        request: ServiceRequest<'_, wire::DeleteApiKeyRequest>,
    ) -> ServiceResult<impl Encodable<wire::DeleteApiKeyResponse> + Send + use<'a>> {
        let gone = self.find(&request.client_id)?;
        self.api_keys.lock().unwrap().retain(|key| key.client_id != gone.client_id);
        Response::ok(wire::DeleteApiKeyResponse::default())
    }

    async fn rotate_api_key<'a>(
        &'a self,
        _: RequestContext,
        request: ServiceRequest<'_, wire::RotateApiKeyRequest>,
    ) -> ServiceResult<impl Encodable<wire::RotateApiKeyResponse> + Send + use<'a>> {
        let mut key = self.find(&request.client_id)?;
        key.previous_secret_expires_at = 1_000 + request.overlap;
        let answer = wire::RotateApiKeyResponse {
            api_key: key.into(),
            client_secret: self.secret(),
            ..Default::default()
        };
        Response::ok(answer)
    }
}

fn serve(server: Server) -> (Arc<Server>, ApiKeys<ServiceTransport<ConnectRpcService>>) {
    let server = Arc::new(server);
    let router = Arc::clone(&server).register(Router::new());
    let transport = ServiceTransport::new(ConnectRpcService::new(router));
    (server, Client::new(transport, "localhost".parse().unwrap()).unwrap().api_keys())
}

fn new(name: &str) -> NewApiKey {
    NewApiKey { name: name.into(), ..NewApiKey::default() }
}

#[tokio::test]
async fn an_api_key_is_created_rotated_and_deleted() {
    let (server, api_keys) = serve(Server::default());
    let access = Access {
        role: "viewer".into(),
        scopes: vec!["all".into()],
        project: "flytesnacks".into(),
        domain: "development".into(),
    };
    let lifetime = Lifetime::For(Duration::from_secs(60 * 86_400));
    let wanted = NewApiKey { access: access.clone(), lifetime, ..new("My CI") };
    let issued = api_keys.create(wanted.clone()).await.unwrap();
    assert_eq!((issued.api_key.client_id.as_str(), &issued.api_key.access), ("my-ci", &access));
    assert_eq!(issued.secret.expose_secret(), "hunter2");
    assert_eq!(server.created.lock().unwrap()[0].lifetime, 5_184_000);
    assert!(matches!(api_keys.create(wanted).await.unwrap_err(), ClientError::AlreadyExists { .. }));

    let found = api_keys.get("My CI").await.unwrap();
    assert_eq!(found, issued.api_key);
    // A 0 on the wire means that the field is not set; it is not the year 1970.
    assert_eq!((found.created_at, found.expires_at, found.last_used_at), (None, None, None));
    let rotated = api_keys.rotate("my-ci", Duration::from_secs(60), None).await.unwrap();
    assert_eq!(rotated.api_key.previous_secret_expires_at, Some(1_060));
    api_keys.delete("my-ci").await.unwrap();
    for error in [api_keys.get("my-ci").await.unwrap_err(), api_keys.delete("my-ci").await.unwrap_err()] {
        assert!(matches!(error, ClientError::NotFound { .. }), "{error}");
    }
}

#[tokio::test]
async fn the_default_request_has_no_limits() {
    let (server, api_keys) = serve(Server::default());
    api_keys.create(new("ci")).await.unwrap();
    let created = server.created.lock().unwrap();
    assert_eq!(created[0].access.role, "");
    assert_eq!(
        (created[0].lifetime, created[0].no_expiry),
        (90 * 86_400, false),
        "API keys expire by default"
    );
}

#[tokio::test]
async fn no_expiry_is_an_explicit_field() {
    let (server, api_keys) = serve(Server::default());
    api_keys.create(NewApiKey { lifetime: Lifetime::NoExpiry, ..new("ci") }).await.unwrap();
    let created = server.created.lock().unwrap();
    assert_eq!((created[0].lifetime, created[0].no_expiry), (0, true));
}

#[tokio::test]
async fn pages_are_fetched_on_demand() {
    let key = |index| wire::ApiKey { client_id: format!("k{index}"), ..Default::default() };
    let (server, api_keys) =
        serve(Server { api_keys: Mutex::new((0..150).map(key).collect()), ..Server::default() });
    let mut pager = api_keys.list(None);
    assert_eq!(pager.next().await.unwrap().unwrap().client_id, "k0");
    assert_eq!(server.pages.lock().unwrap().len(), 1);
    assert_eq!(pager.collect().await.unwrap().len(), 149);
    assert_eq!(api_keys.list(Some(7)).collect().await.unwrap().len(), 7);
    let pages = server.pages.lock().unwrap();
    assert_eq!(*pages, [(100, String::new()), (100, "100".to_owned()), (7, String::new())]);
}

#[tokio::test]
async fn a_missing_secret_is_an_error_and_debug_output_hides_the_secret() {
    let (_, api_keys) = serve(Server { mute: true, ..Server::default() });
    let error = api_keys.create(new("ci")).await.unwrap_err();
    assert_eq!(error.to_string(), "the server failed (internal): the server's answer contains no secret");
    let (_, api_keys) = serve(Server::default());
    let issued = api_keys.create(new("ci")).await.unwrap();
    assert!(!format!("{issued:?}").contains("hunter2"));
}

#[tokio::test]
async fn a_signing_api_key_has_no_secret() {
    let (server, api_keys) = serve(Server { mute: true, ..Server::default() });
    let jwks = r#"{"keys":[]}"#;
    let made = api_keys.create_signing(new("ci"), jwks.to_owned()).await.unwrap();
    assert_eq!(made.client_id, "ci");
    assert_eq!(server.created.lock().unwrap()[0].jwks, jwks);
}

/// A fake hosted control plane. It has applications, and no service of flyte-server.
#[derive(Default)]
struct HostedServer(Mutex<Vec<apps::App>>);

impl HostedServer {
    fn find(&self, id: &str) -> Result<apps::App, ConnectError> {
        let apps = self.0.lock().unwrap();
        apps.iter().find(|app| app.client_id == id).cloned().ok_or_else(|| ConnectError::not_found(id))
    }
}

impl apps::AppsService for HostedServer {
    async fn create<'a>(
        &'a self,
        _: RequestContext,
        request: ServiceRequest<'_, apps::CreateAppRequest>,
    ) -> ServiceResult<impl Encodable<apps::CreateAppResponse> + Send + use<'a>> {
        let request = request.to_owned_message();
        let app = apps::App {
            client_id: request.client_id,
            client_name: request.client_name,
            grant_types: request.grant_types,
            client_secret: "hunter2".into(),
            ..Default::default()
        };
        self.0.lock().unwrap().push(apps::App { client_secret: String::new(), ..app.clone() });
        Response::ok(apps::CreateAppResponse { app: app.into(), ..Default::default() })
    }

    async fn get<'a>(
        &'a self,
        _: RequestContext,
        request: ServiceRequest<'_, apps::GetAppRequest>,
    ) -> ServiceResult<impl Encodable<apps::GetAppResponse> + Send + use<'a>> {
        let app = self.find(&request.client_id)?;
        Response::ok(apps::GetAppResponse { app: app.into(), ..Default::default() })
    }

    async fn update<'a>(
        &'a self,
        _: RequestContext,
        _: ServiceRequest<'_, apps::UpdateAppRequest>,
    ) -> ServiceResult<impl Encodable<apps::UpdateAppResponse> + Send + use<'a>> {
        Response::ok(apps::UpdateAppResponse::default())
    }

    async fn delete<'a>(
        &'a self,
        _: RequestContext,
        request: ServiceRequest<'_, apps::DeleteAppRequest>,
    ) -> ServiceResult<impl Encodable<apps::DeleteAppResponse> + Send + use<'a>> {
        self.0.lock().unwrap().retain(|app| app.client_id != request.client_id);
        Response::ok(apps::DeleteAppResponse::default())
    }

    async fn list<'a>(
        &'a self,
        _: RequestContext,
        request: ServiceRequest<'_, apps::ListAppsRequest>,
    ) -> ServiceResult<impl Encodable<apps::ListAppsResponse> + Send + use<'a>> {
        let list = request.to_owned_message().request.into_option().unwrap();
        let apps = self.0.lock().unwrap();
        let start: usize = list.token.parse().unwrap_or(0);
        let token = if start + 1 < apps.len() { (start + 1).to_string() } else { String::new() };
        let apps = apps.iter().skip(start).take(1).cloned().collect();
        Response::ok(apps::ListAppsResponse { apps, token, ..Default::default() })
    }
}

#[tokio::test]
async fn hosted_control_planes_have_api_keys_without_limits() {
    let router = Arc::new(HostedServer::default()).register(Router::new());
    let transport = ServiceTransport::new(ConnectRpcService::new(router));
    let api_keys = Client::new(transport, "localhost".parse().unwrap()).unwrap().api_keys();

    let issued = api_keys.create(new("My CI")).await.unwrap();
    assert_eq!((issued.api_key.client_id.as_str(), issued.secret.expose_secret()), ("my-ci", "hunter2"));
    api_keys.create(new("other")).await.unwrap();
    assert_eq!(api_keys.list(None).collect().await.unwrap().len(), 2);
    for name in ["My CI", "my-ci"] {
        assert_eq!(api_keys.get(name).await.unwrap().client_id, "my-ci");
    }
    api_keys.delete("My CI").await.unwrap();
    assert!(matches!(api_keys.delete("My CI").await.unwrap_err(), ClientError::NotFound { .. }));
    assert_eq!(api_keys.list(None).collect().await.unwrap().len(), 1);

    // Limits are rejected before an API key is created.
    let limited = NewApiKey { lifetime: Lifetime::For(Duration::from_secs(60)), ..new("limited") };
    let viewer = NewApiKey { access: Access { role: "viewer".into(), ..Access::default() }, ..new("viewer") };
    for wanted in [limited, viewer] {
        let error = api_keys.create(wanted).await.unwrap_err();
        assert!(error.to_string().contains("cannot expire, and cannot be limited"), "{error}");
    }
    let error = api_keys.rotate("other", Duration::ZERO, None).await.unwrap_err();
    assert!(
        matches!(&error, ClientError::Unsupported { message, .. } if message.contains("rotated")),
        "{error}"
    );
    assert_eq!(api_keys.list(None).collect().await.unwrap().len(), 1);
}
