//! Machines: clients with a secret or a private key, commands and CI jobs. They never use a person's login.

mod client;
mod command;
mod job;

use axum::response::Response;
use base64::{Engine as _, engine::general_purpose::STANDARD};
use secrecy::ExposeSecret as _;

use self::job::{job, job_of, job_token};
use super::{transport::send, *};
use crate::{
    AuthError, Unattended,
    api_key::ApiKey,
    flows::{
        client_credentials::{ClientCredentials, CredentialSource},
        external_command::{self, CommandFailure},
    },
    oauth::{ClientId, Scope},
    store::{StoreOptions, encrypted_file},
    token::AccessToken,
};

/// The error code of the token endpoint; `None` for success.
pub(super) fn error_code(
    form: &HashMap<String, String>,
    authorization: Option<&str>,
) -> Option<&'static str> {
    let secret = format!("Basic {}", STANDARD.encode("ci:s3+cr%3Aet"));
    match form["grant_type"].rsplit(':').next().unwrap() {
        "client_credentials" => {
            let known = authorization == Some(&secret)
                || form.get("client_secret").is_some_and(|secret| secret == "s3 cr:et")
                || form.contains_key("client_assertion");
            (!known).then_some("invalid_client")
        }
        "token-exchange" => {
            (job_of(&form["subject_token"]).as_deref() != Some("job")).then_some("invalid_grant")
        }
        "device_code" => (form["device_code"] != "the-device-code").then_some("invalid_grant"),
        _ => Some("unsupported_grant_type"),
    }
}

pub(super) async fn device_authorization(
    State((realm, port)): Shared,
    Form(form): Form<Parameters>,
) -> Response {
    realm.note("device");
    realm.forms.lock().unwrap().push((form, None));
    Json(json!({
        "device_code": "the-device-code",
        "user_code": "TKBJ-XFFW",
        "verification_uri": format!("https://localhost:{port}/activate"),
        "expires_in": 600,
        "interval": 1,
    }))
    .into_response()
}

/// A session with a machine's credentials and no person.
fn machine(served: &Served, auth_type: AuthType, credentials: Credentials) -> Arc<Session> {
    Session::new(SessionOptions { auth_type, credentials, ..served.options(Arc::new(Unattended)) })
}

fn client(source: CredentialSource) -> Credentials {
    let client = ClientCredentials { client_id: ClientId::parse("ci"), source };
    Credentials { client: Some(client), ..Credentials::default() }
}

fn secret() -> Credentials {
    client(CredentialSource::Secret(SecretString::from("s3 cr:et")))
}

fn command(words: &[&str]) -> Vec<String> {
    words.iter().map(|word| (*word).to_owned()).collect()
}

fn shell(script: &str) -> Vec<String> {
    command(&["sh", "-c", script])
}

async fn realm(change: impl FnOnce(&mut Rules)) -> (Arc<Realm>, Served) {
    let realm = Arc::new(Realm::default());
    realm.rules(change);
    let served = realm.serve().await;
    (realm, served)
}

/// Records the output of commands and the warnings; no person can be asked.
#[derive(Debug, Default)]
struct Recorder(Mutex<String>);

#[async_trait::async_trait]
impl Interaction for Recorder {
    fn is_interactive(&self) -> bool {
        false
    }
    fn authorize_url(&self, _: &Url, _: bool) {}
    fn waiting(&self, _: Option<&crate::Holder>) {}
    fn done(&self) {}
    fn command_output(&self, text: &str) {
        self.0.lock().unwrap().push_str(text);
    }
    fn credentials_expire(&self, client_id: &ClientId, at: i64, left: Duration) {
        self.0.lock().unwrap().push_str(&format!("{client_id} expires at {at}, in {left:?}. "));
    }
}

#[tokio::test]
async fn a_rejected_token_is_renewed_once() {
    let (realm, served) = realm(|_| {}).await;
    let session = machine(&served, AuthType::ClientSecret, secret());
    session.token().await.unwrap();
    realm.generation.store(7, Ordering::SeqCst);
    let answer = send(&session, served.url("flyteidl2.project.ProjectService/CreateProject"), b"x").await;
    assert_eq!(answer.unwrap().0, 200);
    assert_eq!((realm.count("token"), realm.count("CreateProject")), (2, 2));
}

#[tokio::test]
async fn a_failed_early_renewal_leaves_the_token_in_use() {
    let (realm, served) = realm(|_| {}).await;
    let session = machine(&served, AuthType::ClientSecret, secret());
    session.token().await.unwrap();
    session.options().clock.advance(3500);
    realm.rules(|rules| rules.fault = Some((503, "busy")));
    assert_eq!(session.token().await.unwrap().secret(), "a1");
    assert_eq!(session.token().await.unwrap().secret(), "a1");
    assert_eq!(realm.count("token"), 2, "not tried again at once");
    session.options().clock.advance(200);
    assert!(matches!(session.token().await, Err(AuthError::Busy { status: 503, .. })));
}

#[tokio::test]
async fn a_busy_server_says_nothing_about_the_credentials() {
    let (realm, served) = realm(|_| {}).await;
    let job = job(&[("FLYTE_ID_TOKEN", &job_token(&served, "job"))]);
    for (auth_type, credentials) in [(AuthType::ClientSecret, secret()), (AuthType::TokenExchange, job)] {
        for (status, body) in [
            (429, r#"{"error":"temporarily_unavailable"}"#),
            (429, r#"{"error":"invalid_client"}"#),
            (503, "<html>"),
            (400, r#"{"error":"temporarily_unavailable"}"#),
        ] {
            realm.rules(|rules| rules.fault = Some((status, body)));
            let error = machine(&served, auth_type, credentials.clone()).token().await.unwrap_err();
            assert!(matches!(&error, AuthError::Busy { retry_after: Some(7), .. }), "{error:?}");
            assert!(!error.is_authentication());
        }
        realm.rules(|rules| rules.fault = Some((400, r#"{"error":"invalid_scope"}"#)));
        let error = machine(&served, auth_type, credentials).token().await.unwrap_err();
        assert!(matches!(&error, AuthError::Refused { code, .. } if code == "invalid_scope"), "{error:?}");
    }
}

/// The store of a person on this machine.
fn persons_store(served: &Served) -> StoreOptions {
    let options = served.options(Arc::new(Unattended));
    StoreOptions {
        service: options.endpoint.keyring_service(),
        data_dir: options.data_dir,
        state_dir: options.state_dir,
        kind: None,
        keyring_timeout: Duration::from_secs(1),
        unlock_timeout: Duration::from_secs(1),
    }
}

#[tokio::test]
async fn a_machines_token_and_a_persons_login_are_separate() {
    let (realm, served) = realm(|_| {}).await;
    realm.generation.store(4, Ordering::SeqCst);
    let store = encrypted_file(&persons_store(&served));
    store.save(&login("persons", "persons-refresh")).await.unwrap();
    let options = SessionOptions { token_store: None, ..served.options(Arc::new(Unattended)) };
    let modes = [
        (AuthType::ClientSecret, secret()),
        (
            AuthType::ExternalCommand,
            Credentials { command: command(&["echo", "commands"]), ..Credentials::default() },
        ),
    ];
    for (auth_type, credentials) in modes {
        let session = Session::new(SessionOptions { auth_type, credentials, ..options.clone() });
        let token = session.token().await.unwrap();
        assert_ne!(token.secret(), "persons");
        assert!(!session.logout().await.unwrap().was_signed_in);
        let kept = store.load().await.unwrap().unwrap();
        assert_eq!(kept.access_token.expose_secret(), "persons", "{auth_type}");
    }
    assert!(!realm.asked.lock().unwrap().iter().any(|asked| asked.starts_with("revoke")));
    // The person's login still works.
    let person = Session::new(options);
    person.use_store_for_test(store);
    assert_eq!(person.token().await.unwrap().secret(), "persons");
}

#[tokio::test]
async fn a_proxy_gets_its_own_token() {
    let (realm, served) = realm(|rules| rules.proxy = Some("Bearer for-the-proxy")).await;
    let file = served.directory.path().join("proxy-token");
    std::fs::write(&file, "for-the-proxy\n").unwrap();
    let credentials = Credentials { proxy_command: command(&["cat", file.to_str().unwrap()]), ..secret() };
    let session = machine(&served, AuthType::ClientSecret, credentials);
    let url = served.url("flyteidl2.project.ProjectService/ListProjects");
    assert_eq!(send(&session, url.clone(), b"").await.unwrap().0, 200);
    // If the proxy rejects its token, only that token is renewed.
    std::fs::write(&file, "another").unwrap();
    realm.rules(|rules| rules.proxy = Some("Bearer another"));
    assert_eq!(send(&session, url.clone(), b"").await.unwrap().0, 200);
    assert_eq!(realm.count("token"), 1);
    std::fs::remove_file(&file).unwrap();
    realm.rules(|rules| rules.proxy = Some("Bearer a third"));
    let error = send(&session, url, b"").await.unwrap_err();
    assert!(error.to_string().contains("admin.proxyCommand"), "{error}");
}

#[tokio::test]
async fn the_headers_of_passthrough_are_sent_unchanged() {
    let (realm, served) = realm(|rules| rules.header = "x-mine").await;
    let mut headers = HeaderMap::new();
    headers.insert("x-mine", "Bearer a0".parse().unwrap());
    let credentials = Credentials { headers, ..Credentials::default() };
    let nothing = machine(&served, AuthType::Passthrough, Credentials::default());
    assert!(!nothing.status().await.unwrap().signed_in, "no header is sent");
    let session = machine(&served, AuthType::Passthrough, credentials);
    assert!(session.status().await.unwrap().signed_in);
    let answer = send(&session, served.url("flyteidl2.project.ProjectService/ListProjects"), b"").await;
    assert_eq!(answer.unwrap().0, 200);
    assert_eq!((realm.count("metadata"), realm.count("token")), (0, 0));
    assert!(matches!(session.token().await, Err(AuthError::UnsupportedAuthType { .. })));
}

#[tokio::test]
async fn the_status_of_a_machine_needs_no_network() {
    let (realm, served) = realm(|_| {}).await;
    let status = machine(&served, AuthType::ClientSecret, secret()).status().await.unwrap();
    assert!(status.signed_in && status.client_id == ClientId::parse("ci"));
    assert!(status.backend.to_string().contains("memory"), "{}", status.backend);
    let missing = client(CredentialSource::Variable { name: "MY_SECRET".to_owned(), value: None });
    let session = machine(&served, AuthType::ClientSecret, missing);
    for error in [session.status().await.map(drop).unwrap_err(), session.token().await.map(drop).unwrap_err()]
    {
        assert!(error.to_string().contains("MY_SECRET"), "{error}");
    }
    let keyring = machine(&served, AuthType::ClientSecret, client(CredentialSource::Keyring));
    let error = keyring.token().await.unwrap_err().to_string();
    assert!(error.contains("client-secret:ci") && error.contains("clientSecretLocation"), "{error}");
    assert!(realm.asked.lock().unwrap().is_empty());
    let shown = |token: AccessToken| format!("{token:?}");
    assert!(!shown(machine(&served, AuthType::ClientSecret, secret()).token().await.unwrap()).contains("a1"));
}
