//! The lifecycle of a login with a real HTTP server.

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
use flyte_config::Endpoint;
use secrecy::SecretString;

use super::*;
use crate::{
    Unattended,
    clock::Clock,
    discovery::Overrides,
    http::HttpOptions,
    oauth::{ClientId, Scope},
    store::{LoginDetails, StoreError},
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
async fn a_refresh_whose_answer_was_lost_is_sent_again_at_once() {
    let scene = Scene::new(-10, Behaviour::LosesItsAnswer).await;
    assert_eq!(scene.session().token().await.unwrap().secret(), "a1");
    assert_eq!(scene.requests(), 2);
    assert_eq!(scene.store.refresh_token().as_deref(), Some("r1"));
}

#[tokio::test]
async fn a_refresh_token_is_sent_to_its_own_issuer_only() {
    let scene = Scene::new(-10, Behaviour::Rotates).await;
    let set_issuer = |issuer: &str| {
        let mut login = login("a0", "r0", "Pkce", NOW - 10);
        login.details.as_mut().unwrap().issuer = issuer.to_owned();
        *scene.store.login.lock().unwrap() = Some(login);
    };
    set_issuer("https://another.example");
    let session = scene.session();
    assert!(matches!(session.token().await, Err(AuthError::LoginRequired { .. })));
    assert!(!session.logout().await.unwrap().revoked);
    assert_eq!(scene.requests(), 0);
    set_issuer(&scene.provider.issuer);
    assert_eq!(scene.session().token().await.unwrap().secret(), "a1");
}

#[tokio::test(flavor = "multi_thread")]
async fn tasks_that_wait_for_one_refresh_share_its_failure() {
    let scene = Scene::new(-10, Behaviour::IsSlowAndFails).await;
    let session = scene.session();
    let tasks: Vec<_> = (0..20)
        .map(|_| {
            let session = Arc::clone(&session);
            tokio::spawn(async move { session.token().await.map(drop).unwrap_err() })
        })
        .collect();
    for task in tasks {
        assert!(matches!(task.await.unwrap(), AuthError::BadAnswer { .. }));
    }
    assert_eq!(scene.requests(), 1);
    // A later task sends a new request.
    assert!(session.token().await.is_err());
    assert_eq!(scene.requests(), 2);
}

#[tokio::test]
async fn only_invalid_grant_ends_a_session() {
    for behaviour in
        [Behaviour::Fails(500), Behaviour::Fails(503), Behaviour::Fails(200), Behaviour::Fails(404)]
    {
        let scene = Scene::new(-10, behaviour).await;
        let session = scene.session();
        let outcome = session.token().await;
        assert!(
            matches!(outcome, Err(AuthError::BadAnswer { .. } | AuthError::Busy { .. })),
            "{behaviour:?}"
        );
        assert_eq!(scene.store.refresh_token().as_deref(), Some("r0"), "{behaviour:?}");
        *scene.issuer.behaviour.lock().unwrap() = Behaviour::Rotates;
        assert_eq!(session.token().await.unwrap().secret(), "a1", "{behaviour:?}");
    }
    let mut scene = Scene::new(-10, Behaviour::Rotates).await;
    // Nothing listens on this port, which was free a moment ago.
    let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    scene.provider.token_endpoint = format!("http://{free}/token").parse().unwrap();
    let refused = scene.session().token().await.unwrap_err();
    assert!(
        matches!(refused, AuthError::Unreachable { failure: crate::ConnectFailure::Refused, .. }),
        "{refused:?}"
    );
    assert_eq!(scene.store.refresh_token().as_deref(), Some("r0"));

    let scene = Scene::new(-10, Behaviour::Rotates).await;
    scene.issuer.generation.store(7, Ordering::SeqCst);
    assert!(matches!(scene.session().token().await, Err(AuthError::SessionEnded { .. })));
    assert_eq!(scene.store.refresh_token(), None);
    assert!(matches!(scene.session().token().await, Err(AuthError::LoginRequired { .. })));
}

#[tokio::test]
async fn the_refresh_token_stays_if_the_answer_has_none() {
    let scene = Scene::new(-10, Behaviour::KeepsRefreshToken).await;
    assert_eq!(scene.session().token().await.unwrap().secret(), "fresh");
    assert_eq!(scene.store.refresh_token().as_deref(), Some("r0"));
}

#[tokio::test]
async fn a_refresh_token_is_not_used_if_its_successor_cannot_be_stored() {
    let scene = Scene::new(-10, Behaviour::Rotates).await;
    scene.store.full.store(true, Ordering::SeqCst);
    assert!(matches!(scene.session().token().await, Err(AuthError::Store(_))));
    assert_eq!(scene.requests(), 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_sent_refresh_finishes_without_its_caller() {
    let scene = Scene::new(-10, Behaviour::IsSlow).await;
    let session = scene.session();
    let caller = tokio::spawn({
        let session = Arc::clone(&session);
        async move { session.token().await }
    });
    while scene.requests() == 0 {
        tokio::task::yield_now().await;
    }
    caller.abort();
    // The next caller waits for the same refresh instead of sending the old token again.
    assert_eq!(session.token().await.unwrap().secret(), "a1");
    assert_eq!(scene.requests(), 1);
}

#[tokio::test]
async fn a_rejected_token_is_not_used_again() {
    let scene = Scene::new(3600, Behaviour::Rotates).await;
    let session = scene.session();
    let token = session.token().await.unwrap();
    session.invalidate(&token);
    *write(&session.provider) = Some(Arc::new(scene.provider.clone()));
    assert_eq!(session.token().await.unwrap().secret(), "a1");
}

#[tokio::test]
async fn a_tool_that_takes_no_lock_may_rotate_meanwhile() {
    let scene = Scene::new(-10, Behaviour::Rotates).await;
    scene.issuer.generation.store(1, Ordering::SeqCst);
    let session = scene.session();
    let stale = scene.store.load().await.unwrap().unwrap();
    *scene.store.login.lock().unwrap() = Some(login("a1", "r1", "Pkce", NOW + 3600));
    let Ok(renewal::Refreshed::Token(token)) = session.refresh_login(&*scene.store, &stale).await else {
        panic!("the login continues");
    };
    assert_eq!((token.secret(), scene.requests()), ("a1", 1));
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
