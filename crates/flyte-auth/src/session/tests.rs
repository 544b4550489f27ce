//! The lifecycle of a login with a real HTTP server.

mod refresh;

use std::{
    path::Path,
    sync::{
        Mutex as StdMutex,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    time::Duration,
};

use async_trait::async_trait;
use axum::{
    Form, Router,
    body::{Body, Bytes},
    extract::State,
    http::StatusCode,
    response::{IntoResponse as _, Response},
    routing::post,
};
use flyte_config::{AuthType, Endpoint};
use secrecy::{ExposeSecret as _, SecretString};

use super::*;
use crate::{
    Unattended,
    clock::Clock,
    discovery::Overrides,
    http::HttpOptions,
    oauth::{ClientId, Scope},
    store::{Backend, Login, LoginDetails, StoreError},
};

const NOW: i64 = 1_700_000_000;

/// A store that several sessions share, like processes that share a keyring.
#[derive(Debug, Default)]
struct SharedStore {
    login: StdMutex<Option<Login>>,
    full: AtomicBool,
}

#[async_trait]
impl TokenStore for SharedStore {
    async fn load(&self) -> Result<Option<Login>, StoreError> {
        Ok(self.login.lock().unwrap().clone())
    }
    async fn probe(&self) -> Result<(), StoreError> {
        if self.full.load(Ordering::SeqCst) { Err(StoreError::KeyringLocked { seconds: 0 }) } else { Ok(()) }
    }
    async fn save(&self, login: &Login) -> Result<(), StoreError> {
        self.probe().await?;
        *self.login.lock().unwrap() = Some(login.clone());
        Ok(())
    }
    async fn clear(&self) -> Result<(), StoreError> {
        *self.login.lock().unwrap() = None;
        Ok(())
    }
    fn backend(&self) -> Backend {
        // A kind of store that processes share.
        Backend::Keyring("shared")
    }
}

impl SharedStore {
    fn refresh_token(&self) -> Option<String> {
        let login = self.login.lock().unwrap();
        login.as_ref()?.refresh_token.as_ref().map(|token| token.expose_secret().to_owned())
    }
}

/// A token endpoint that rotates refresh tokens: only the latest one is active.
#[derive(Debug)]
struct Issuer {
    generation: AtomicUsize,
    requests: AtomicUsize,
    behaviour: StdMutex<Behaviour>,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Behaviour {
    Rotates,
    KeepsRefreshToken,
    Fails(u16),
    IsSlow,
    IsSlowAndFails,
    /// Once, the connection breaks in the middle of the answer.
    LosesItsAnswer,
}

async fn token(
    State(issuer): State<Arc<Issuer>>,
    Form(form): Form<std::collections::HashMap<String, String>>,
) -> Response {
    issuer.requests.fetch_add(1, Ordering::SeqCst);
    let behaviour = *issuer.behaviour.lock().unwrap();
    let generation = issuer.generation.load(Ordering::SeqCst);
    if form["refresh_token"] != format!("r{generation}") {
        return (StatusCode::BAD_REQUEST, r#"{"error":"invalid_grant"}"#).into_response();
    }
    match behaviour {
        Behaviour::LosesItsAnswer => {
            *issuer.behaviour.lock().unwrap() = Behaviour::Rotates;
            let broken = Err::<Bytes, _>(std::io::Error::other("the cable was pulled"));
            return Body::from_stream(futures_util::stream::iter([broken])).into_response();
        }
        Behaviour::Fails(status) => (StatusCode::from_u16(status).unwrap(), "<html>oops</html>".to_owned()),
        Behaviour::IsSlowAndFails => {
            tokio::time::sleep(Duration::from_millis(200)).await;
            (StatusCode::BAD_GATEWAY, String::new())
        }
        Behaviour::KeepsRefreshToken => {
            (StatusCode::OK, r#"{"access_token":"fresh","expires_in":3600}"#.to_owned())
        }
        Behaviour::Rotates | Behaviour::IsSlow => {
            let next = generation + 1;
            issuer.generation.store(next, Ordering::SeqCst);
            if behaviour == Behaviour::IsSlow {
                tokio::time::sleep(Duration::from_millis(200)).await;
            }
            let body = format!(r#"{{"access_token":"a{next}","refresh_token":"r{next}","expires_in":3600}}"#);
            (StatusCode::OK, body)
        }
    }
    .into_response()
}

/// The server, a store with a login that expires `left` seconds after [`NOW`], and a directory that the sessions share.
struct Scene {
    issuer: Arc<Issuer>,
    store: Arc<SharedStore>,
    clock: Clock,
    directory: tempfile::TempDir,
    endpoint: Endpoint,
    provider: Provider,
}

impl Scene {
    async fn new(left: i64, behaviour: Behaviour) -> Self {
        let issuer = Arc::new(Issuer {
            generation: AtomicUsize::new(0),
            requests: AtomicUsize::new(0),
            behaviour: StdMutex::new(behaviour),
        });
        let app = Router::new().route("/token", post(token)).with_state(Arc::clone(&issuer));
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        tokio::spawn(async move { axum::serve(listener, app).await });
        let provider = Provider {
            issuer: format!("http://{address}"),
            authorization_endpoint: None,
            token_endpoint: format!("http://{address}/token").parse().unwrap(),
            device_authorization_endpoint: None,
            revocation_endpoint: None,
            client_id: ClientId::parse("flyte"),
            redirect_uri: "http://localhost/callback".parse().unwrap(),
            scopes: Scope::parse_list("all"),
            audience: None,
            header: "authorization".to_owned(),
            answers_with_issuer: false,
            flyte: true,
            client_authentication: Vec::new(),
            others: std::collections::BTreeMap::new(),
            unusable: std::collections::BTreeMap::new(),
        };
        let store = Arc::new(SharedStore::default());
        *store.login.lock().unwrap() = Some(login("a0", "r0", "Pkce", NOW + left));
        Self {
            issuer,
            store,
            clock: Clock::manual(NOW),
            directory: tempfile::tempdir().unwrap(),
            endpoint: address.to_string().parse::<Endpoint>().unwrap().with_insecure(true),
            provider,
        }
    }

    /// Creates a session with separate memory, like another process.
    fn session(&self) -> Arc<Session> {
        let session = Session::new(SessionOptions {
            endpoint: self.endpoint.clone(),
            auth_type: AuthType::Pkce,
            auth_type_chosen: true,
            headless: false,
            match_number: false,
            credentials: Credentials::default(),
            http: HttpOptions::default(),
            overrides: Overrides::default(),
            token_store: None,
            data_dir: Some(self.path().join("data")),
            state_dir: Some(self.path().join("state")),
            interaction: Arc::new(Unattended),
            clock: self.clock.clone(),
        });
        session.store.set(Arc::clone(&self.store) as Arc<dyn TokenStore>).unwrap();
        *write(&session.provider) = Some(Arc::new(self.provider.clone()));
        session
    }

    fn path(&self) -> &Path {
        self.directory.path()
    }

    fn requests(&self) -> usize {
        self.issuer.requests.load(Ordering::SeqCst)
    }
}

fn login(access: &str, refresh: &str, auth_type: &str, expires_at: i64) -> Login {
    Login {
        access_token: SecretString::from(access),
        refresh_token: Some(SecretString::from(refresh)),
        details: Some(LoginDetails {
            access_token_sha256: fingerprint(access),
            issued_at: Some(expires_at - 3600),
            expires_at: Some(expires_at),
            scopes: Scope::parse_list("all"),
            client_id: ClientId::parse("flyte").unwrap(),
            issuer: String::new(),
            subject: None,
            auth_type: auth_type.to_owned(),
        }),
    }
}

#[tokio::test]
async fn a_fresh_token_needs_no_request() {
    let scene = Scene::new(3600, Behaviour::Rotates).await;
    let session = scene.session();
    assert_eq!(session.token().await.unwrap().secret(), "a0");
    assert_eq!(session.token().await.unwrap().secret(), "a0");
    assert_eq!(scene.requests(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn fifty_tasks_and_two_processes_make_one_refresh() {
    let scene = Scene::new(-10, Behaviour::IsSlow).await;
    let sessions = [scene.session(), scene.session()];
    let tasks: Vec<_> = (0..50)
        .map(|n| {
            let session = Arc::clone(&sessions[n % 2]);
            tokio::spawn(async move { session.token().await.unwrap().secret().to_owned() })
        })
        .collect();
    for task in tasks {
        assert_eq!(task.await.unwrap(), "a1");
    }
    assert_eq!(scene.requests(), 1);
    assert_eq!(scene.store.refresh_token().as_deref(), Some("r1"));
}

#[tokio::test]
async fn a_token_is_renewed_before_it_expires() {
    let scene = Scene::new(3600, Behaviour::Rotates).await;
    let session = scene.session();
    session.token().await.unwrap();
    scene.clock.advance(3600 - 100);
    assert_eq!(session.token().await.unwrap().secret(), "a1");
}

#[tokio::test]
async fn a_failed_early_renewal_is_not_an_error() {
    let scene = Scene::new(100, Behaviour::Fails(503)).await;
    let session = scene.session();
    for _ in 0..5 {
        assert_eq!(session.token().await.unwrap().secret(), "a0");
    }
    assert_eq!(scene.requests(), 1, "the next attempt is delayed");
    scene.clock.advance(RETRY_DELAY_SECONDS);
    assert_eq!(session.token().await.unwrap().secret(), "a0");
    assert_eq!(scene.requests(), 2);
    // After the expiry there is no token to use.
    scene.clock.advance(70);
    assert!(matches!(session.token().await, Err(AuthError::Busy { .. })));
}

#[tokio::test]
async fn another_modes_login_is_not_used() {
    let scene = Scene::new(3600, Behaviour::Rotates).await;
    *scene.store.login.lock().unwrap() = Some(login("a0", "r0", "DeviceFlow", NOW + 3600));
    assert!(matches!(scene.session().token().await, Err(AuthError::LoginRequired { .. })));
    assert_eq!((scene.requests(), scene.store.refresh_token().as_deref()), (0, Some("r0")));
}

#[tokio::test]
async fn another_tools_login_is_used() {
    let scene = Scene::new(3600, Behaviour::Rotates).await;
    scene.store.login.lock().unwrap().as_mut().unwrap().details = None;
    let session = scene.session();
    let token = session.token().await.unwrap();
    assert_eq!((token.secret(), token.expires_at()), ("a0", None));
    session.invalidate(&token);
    *write(&session.provider) = Some(Arc::new(scene.provider.clone()));
    assert_eq!(session.token().await.unwrap().secret(), "a1");
}

#[tokio::test]
async fn signing_out_clears_the_store_even_if_the_server_is_unreachable() {
    let scene = Scene::new(3600, Behaviour::Rotates).await;
    let session = scene.session();
    session.token().await.unwrap();
    let outcome = session.logout().await.unwrap();
    assert_eq!(outcome, SignedOut { was_signed_in: true, revoked: false });
    assert!(matches!(session.cached().await, Err(AuthError::LoginRequired { .. })));
}
