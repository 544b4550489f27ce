//! Machines: clients with a secret or a private key, commands and CI jobs. They never use a person's login.

use std::path::Path;

use axum::response::Response;
use base64::{Engine as _, engine::general_purpose::STANDARD};
use secrecy::ExposeSecret as _;

use super::{transport::send, *};
use crate::{
    AuthError, Unattended,
    api_key::ApiKey,
    flows::{
        client_credentials::{ClientCredentials, CredentialSource},
        external_command::{self, CommandFailure},
        token_exchange::IdTokenSource,
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

/// A JWT that expires at this time.
fn jwt(expires_at: i64) -> String {
    use base64::engine::general_purpose::URL_SAFE_NO_PAD;
    format!("e30.{}.sig", URL_SAFE_NO_PAD.encode(json!({ "exp": expires_at }).to_string()))
}

async fn realm(change: impl FnOnce(&mut Rules)) -> (Arc<Realm>, Served) {
    let realm = Arc::new(Realm::default());
    realm.rules(change);
    let served = realm.serve().await;
    (realm, served)
}

#[tokio::test]
async fn a_client_uses_the_authentication_method_of_the_server() {
    for (methods, in_body) in [
        (vec![], false),
        (vec!["client_secret_post"], true),
        (vec!["client_secret_post", "client_secret_basic"], false),
    ] {
        let (realm, served) = realm(|rules| rules.client_authentication = methods).await;
        let session = machine(&served, AuthType::ClientSecret, secret());
        assert_eq!(session.token().await.unwrap().secret(), "a1");
        let (form, authorization) = realm.forms.lock().unwrap()[0].clone();
        assert_eq!(form["grant_type"], "client_credentials");
        assert_eq!(form["audience"], "the-audience");
        assert_eq!(form.get("scope"), None, "the advertised scopes are for people");
        assert_eq!(form.contains_key("client_secret"), in_body);
        assert_eq!(authorization.is_some(), !in_body);
        // The token stays in memory until it is due. Then a new one is requested, because there is no refresh token.
        assert_eq!(session.token().await.unwrap().secret(), "a1");
        session.options().clock.advance(3599);
        assert_eq!(session.token().await.unwrap().secret(), "a2");
        assert_eq!((realm.count("token"), realm.count("metadata")), (2, 1));
        assert!(!format!("{session:?} {:?}", session.options()).contains("s3"));
    }
}

#[tokio::test]
async fn a_client_signs_with_its_private_key_and_requests_the_configured_scopes() {
    let (realm, served) = realm(|_| {}).await;
    let key = rcgen::KeyPair::generate_for(&rcgen::PKCS_ECDSA_P256_SHA256).unwrap();
    let path = served.directory.path().join("key.pem");
    std::fs::write(&path, key.serialize_pem()).unwrap();
    let options = SessionOptions {
        auth_type: AuthType::ClientSecret,
        credentials: client(CredentialSource::PrivateKey(path)),
        overrides: Overrides { scopes: Scope::parse_list("all openid"), ..Overrides::default() },
        ..served.options(Arc::new(Unattended))
    };
    let session = Session::new(options);
    session.token().await.unwrap();
    let (form, authorization) = realm.forms.lock().unwrap()[0].clone();
    assert_eq!((form["scope"].as_str(), form["client_id"].as_str()), ("all openid", "ci"));
    assert_eq!(form["client_assertion_type"], "urn:ietf:params:oauth:client-assertion-type:jwt-bearer");
    assert_eq!(authorization, None);
    let mut validation = jsonwebtoken::Validation::new(jsonwebtoken::Algorithm::ES256);
    validation.validate_exp = false;
    validation.set_audience(&[served.url("token").as_str()]);
    validation.set_issuer(&["ci"]);
    let public = jsonwebtoken::DecodingKey::from_ec_pem(key.public_key_pem().as_bytes()).unwrap();
    let claims: serde_json::Value =
        jsonwebtoken::decode(form["client_assertion"].as_str(), &public, &validation).unwrap().claims;
    assert_eq!((claims["sub"].as_str(), claims["exp"].as_i64()), (Some("ci"), Some(NOW + 120)));
    // Each assertion is used once.
    session.login().await.unwrap();
    assert_ne!(realm.forms.lock().unwrap()[1].0["client_assertion"], form["client_assertion"]);
}

#[tokio::test]
async fn a_rejected_api_key_is_not_an_ended_session() {
    let (_, served) = realm(|_| {}).await;
    let text = STANDARD.encode(format!("localhost:{}:ci:wrong:None", served.port));
    let options = served.options(Arc::new(Unattended)).with_api_key(ApiKey::decode(&text).unwrap());
    assert_eq!(
        (options.auth_type, options.endpoint.authority()),
        (AuthType::ClientSecret, served.endpoint().authority())
    );
    let error = Session::new(options).token().await.unwrap_err();
    assert!(
        matches!(&error, AuthError::ClientRefused { client_id, .. } if client_id.as_str() == "ci"),
        "{error:?}"
    );
    assert!(error.is_authentication() && !error.to_string().contains("wrong"));
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

/// A job's token with the server as audience and this `sub`.
fn job_token(served: &Served, sub: &str) -> String {
    job_token_for(json!(format!("https://localhost:{}", served.port)), sub)
}

fn job_token_for(audience: serde_json::Value, sub: &str) -> String {
    use base64::engine::general_purpose::URL_SAFE_NO_PAD;
    format!("e30.{}.s3cret", URL_SAFE_NO_PAD.encode(json!({ "aud": audience, "sub": sub }).to_string()))
}

/// The `sub` of a job's token.
fn job_of(token: &str) -> Option<String> {
    use base64::engine::general_purpose::URL_SAFE_NO_PAD;
    let claims = URL_SAFE_NO_PAD.decode(token.split('.').nth(1)?).ok()?;
    let claims: serde_json::Value = serde_json::from_slice(&claims).ok()?;
    claims["sub"].as_str().map(str::to_owned)
}

#[tokio::test]
async fn a_jobs_token_is_sent_to_its_audience_only() {
    let (realm, served) = realm(|_| {}).await;
    let own = format!("https://localhost:{}", served.port);
    let slashed = format!("{own}/");
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("token");
    for (audience, named, accepted) in [
        (json!(own), None, true),
        (json!(slashed), None, true),
        (json!(["https://vault.example.com", own]), None, true),
        (json!("https://vault.example.com"), None, false),
        (json!(["https://kubernetes.default.svc"]), None, false),
        (json!([]), None, false),
        (json!(7), None, false),
        // The trust rule names another audience, and so does the job's variable.
        (json!("flyte-ci"), Some("flyte-ci"), true),
        (json!(own), Some("flyte-ci"), false),
    ] {
        let token = job_token_for(audience.clone(), "job");
        std::fs::write(&file, &token).unwrap();
        for (name, value) in
            [("FLYTE_ID_TOKEN", token.as_str()), ("FLYTE_ID_TOKEN_FILE", file.to_str().unwrap())]
        {
            realm.forms.lock().unwrap().clear();
            let mut variables = vec![(name, value)];
            variables.extend(named.map(|named| ("FLYTE_ID_TOKEN_AUDIENCE", named)));
            let outcome = machine(&served, AuthType::TokenExchange, job(&variables)).token().await;
            assert_eq!(outcome.is_ok(), accepted, "{audience} {named:?}: {outcome:?}");
            assert_eq!(realm.forms.lock().unwrap().len(), usize::from(accepted), "it was sent");
            if let Err(error) = outcome {
                assert!(matches!(&error, AuthError::IdTokenAudience { .. }) && error.is_authentication());
                let text = error.to_string();
                assert!(text.contains(named.unwrap_or(&own)) && !text.contains(&token), "{text}");
            }
        }
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
async fn a_commands_output_is_the_token_until_it_expires() {
    let (_, served) = realm(|_| {}).await;
    let counter = served.directory.path().join("runs");
    let count = || std::fs::read_to_string(&counter).unwrap_or_default().lines().count();
    let runs = |token: &str| Credentials {
        command: shell(&format!("echo run >> {}; printf '  {token}\\n\\n'", counter.display())),
        ..Credentials::default()
    };
    let session = machine(&served, AuthType::ExternalCommand, runs(&jwt(NOW + 100)));
    let token = session.token().await.unwrap();
    assert_eq!((token.secret(), token.expires_at()), (jwt(NOW + 100).as_str(), Some(NOW + 100)));
    session.token().await.unwrap();
    assert_eq!(count(), 1);
    session.options().clock.advance(99);
    session.token().await.unwrap();
    assert_eq!(count(), 2);
    // A token with an unknown expiry is used until the server rejects it.
    let opaque = machine(&served, AuthType::ExternalCommand, runs("opaque"));
    opaque.token().await.unwrap();
    opaque.options().clock.advance(1_000_000);
    let token = opaque.token().await.unwrap();
    assert_eq!((token.secret(), count()), ("opaque", 3));
    opaque.invalidate(&token);
    opaque.token().await.unwrap();
    assert_eq!(count(), 4);
}

#[tokio::test]
async fn a_commands_token_works_without_discovery() {
    let received: Arc<Mutex<Vec<String>>> = Arc::default();
    let served = Served::new(Certificate::Good, |_| {
        let received = Arc::clone(&received);
        Router::new().route(
            "/x.Y/GetZ",
            post(move |headers: HeaderMap| async move {
                received.lock().unwrap().push(headers["authorization"].to_str().unwrap().to_owned());
            }),
        )
    })
    .await;
    let credentials = Credentials { command: command(&["echo", "opaque"]), ..Credentials::default() };
    let session = machine(&served, AuthType::ExternalCommand, credentials);
    assert_eq!(send(&session, served.url("x.Y/GetZ"), b"").await.unwrap().0, 200);
    assert_eq!(*received.lock().unwrap(), ["Bearer opaque"]);
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
async fn the_person_is_warned_once_in_the_last_week_of_a_key() {
    const DAY: i64 = 86_400;
    for (expires_at, warning) in [
        (None, ""),
        // RFC 7591 section 3.2.1: the secret never expires.
        (Some(0), ""),
        (Some(NOW + 7 * DAY + 7200), ""),
        (Some(NOW + 7 * DAY), "ci expires at 1700604800, in 604800s. "),
        (Some(NOW - 1), "ci expires at 1699999999, in 0ns. "),
    ] {
        let (_, served) = realm(|rules| rules.secret_expires_at = expires_at).await;
        let listener = Arc::new(Recorder::default());
        let interaction = Arc::clone(&listener) as Arc<dyn Interaction>;
        let options = served.options(interaction);
        let session = Session::new(SessionOptions {
            auth_type: AuthType::ClientSecret,
            credentials: secret(),
            ..options
        });
        for _ in 0..2 {
            session.token().await.unwrap();
            session.options().clock.advance(3600);
        }
        assert_eq!(*listener.0.lock().unwrap(), warning, "{expires_at:?}");
    }
}

#[tokio::test]
async fn a_commands_standard_error_is_shown_and_its_failure_is_an_error() {
    let listener = Recorder::default();
    let failure = |words: Vec<String>| {
        let listener = &listener;
        async move {
            let error = external_command::token(&words, "admin.command", listener).await.unwrap_err();
            assert!(error.is_authentication() && error.to_string().contains("admin.command"), "{error}");
            assert!(!error.to_string().contains("s3cret"), "{error}");
            match error {
                AuthError::Command { failure, .. } => failure,
                other => panic!("{other:?}"),
            }
        }
    };
    let failed = failure(shell("printf 'Password: ' >&2; echo s3cret; exit 3")).await;
    assert!(matches!(failed, CommandFailure::Failed(status) if status.contains('3')));
    assert_eq!(*listener.0.lock().unwrap(), "Password: ", "unchanged, without a newline");
    assert_eq!(failure(shell("echo '  '")).await, CommandFailure::Empty);
    assert_eq!(failure(Vec::new()).await, CommandFailure::Missing);
    assert!(matches!(failure(command(&["/nowhere/at-all", "s3cret"])).await, CommandFailure::NotStarted(_)));
    for output in ["a b", r#"{"token":"s3cret"}"#, "\\303\\251", "a\\033[31m"] {
        let failed = failure(shell(&format!("printf '{output}'"))).await;
        assert!(matches!(failed, CommandFailure::NotAToken(_)), "{output}");
    }
    assert!(matches!(failure(shell("yes s3cret | head -c 200000")).await, CommandFailure::NotAToken(_)));
    // Without a shell, nothing is expanded.
    let words = command(&["echo", "$HOME;x"]);
    let token = external_command::token(&words, "admin.command", &listener).await.unwrap();
    assert_eq!(token.expose_secret(), "$HOME;x");
}

#[tokio::test]
async fn all_output_of_a_command_is_passed_on_before_its_token() {
    for _ in 0..20 {
        let listener = Recorder::default();
        // More than a pipe holds, until the end.
        let words = shell("head -c 200000 /dev/zero >&2; printf token; printf end >&2");
        let token = external_command::token(&words, "admin.command", &listener).await.unwrap();
        assert_eq!(token.expose_secret(), "token");
        let output = listener.0.lock().unwrap();
        assert_eq!((output.len(), output.ends_with("\0end")), (200_003, true));
    }
}

#[tokio::test]
async fn a_process_that_a_command_leaves_behind_delays_no_token() {
    let listener = Recorder::default();
    let words = shell("sleep 600 & echo $! >&2; echo token");
    let token = external_command::token(&words, "admin.command", &listener).await.unwrap();
    assert_eq!(token.expose_secret(), "token");
    let process = listener.0.lock().unwrap().trim().to_owned();
    // The process was still running, so nothing waited for its end.
    assert!(std::process::Command::new("kill").arg(process).status().unwrap().success());
}

#[tokio::test]
async fn a_command_that_hangs_is_ended() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("pid");
    let words = shell(&format!("echo $$ > {}; exec sleep 600", file.display()));
    let limit = Duration::from_millis(300);
    let outcome = external_command::token_within(limit, &words, "admin.command", &Unattended).await;
    assert!(
        matches!(outcome, Err(AuthError::Command { failure: CommandFailure::TimedOut(_), .. })),
        "{outcome:?}"
    );
    let process = format!("/proc/{}/stat", std::fs::read_to_string(&file).unwrap().trim());
    for _ in 0..200 {
        // The process is gone or a zombie.
        match std::fs::read_to_string(Path::new(&process)) {
            Ok(text) if !text.contains(") Z") => tokio::time::sleep(Duration::from_millis(10)).await,
            _ => return,
        }
    }
    panic!("it still runs");
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

fn job(variables: &[(&str, &str)]) -> Credentials {
    let variables = variables.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
    let environment = flyte_config::Environment { variables, ..Default::default() };
    Credentials { id_token: IdTokenSource::find(&environment), ..Credentials::default() }
}

#[tokio::test]
async fn a_ci_jobs_own_token_is_exchanged_for_each_new_token() {
    let (realm, served) = realm(|_| {}).await;
    let own = job_token(&served, "job");
    let session = machine(&served, AuthType::TokenExchange, job(&[("FLYTE_ID_TOKEN", &format!("{own}\n"))]));
    assert_eq!(session.token().await.unwrap().secret(), "a1");
    session.options().clock.advance(3599);
    assert_eq!(session.token().await.unwrap().secret(), "a2");
    let (form, _) = realm.forms.lock().unwrap()[0].clone();
    assert_eq!(form["subject_token_type"], "urn:ietf:params:oauth:token-type:jwt");
    assert_eq!((form["audience"].as_str(), form["client_id"].as_str()), ("the-audience", "flyte"));
    // A mode for people uses it too if no person can be asked.
    let unattended = machine(&served, AuthType::Pkce, job(&[("FLYTE_ID_TOKEN", &own)]));
    let status = unattended.status().await.unwrap();
    assert!(status.signed_in && status.job_token.as_deref() == Some("FLYTE_ID_TOKEN"), "{status:?}");
    assert_eq!(unattended.token().await.unwrap().secret(), "a3");
    assert_eq!(unattended.cached().await.unwrap().secret(), "a3");
    assert!(unattended.status().await.unwrap().job_token.is_some(), "it was not stored as a person's login");
    let attended =
        Session::new(SessionOptions { credentials: job(&[]), ..served.options(Arc::new(Unattended)) });
    assert!(!attended.status().await.unwrap().signed_in);
    // No trust rule matches this job.
    let other =
        machine(&served, AuthType::TokenExchange, job(&[("FLYTE_ID_TOKEN", &job_token(&served, "other"))]));
    let error = other.token().await.unwrap_err();
    assert!(matches!(&error, AuthError::ExchangeRefused { .. }) && error.is_authentication(), "{error:?}");
    assert!(!error.to_string().contains("s3cret"), "{error}");
    for (name, value) in [("FLYTE_ID_TOKEN", "s3cret"), ("FLYTE_ID_TOKEN_FILE", "/nowhere/at/all")] {
        let error =
            machine(&served, AuthType::TokenExchange, job(&[(name, value)])).token().await.unwrap_err();
        assert!(matches!(&error, AuthError::IdToken { .. }), "{error:?}");
        assert!(!error.to_string().contains("s3cret"), "{error}");
    }
    let none = machine(&served, AuthType::TokenExchange, Credentials::default());
    assert!(none.token().await.unwrap_err().to_string().contains("FLYTE_ID_TOKEN_FILE"));
}

#[tokio::test]
async fn github_gives_a_token_with_this_issuer_as_audience() {
    let (realm, served) = realm(|_| {}).await;
    let requests: Arc<Mutex<Vec<(Parameters, String)>>> = Arc::default();
    let router = Router::new().route(
        "/token",
        get({
            let requests = Arc::clone(&requests);
            move |Query(query): Query<Parameters>, headers: HeaderMap| async move {
                requests
                    .lock()
                    .unwrap()
                    .push((query.clone(), headers["authorization"].to_str().unwrap().to_owned()));
                Json(json!({ "value": job_token_for(json!(query["audience"]), "job") }))
            }
        }),
    );
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/token?api-version=2", listener.local_addr().unwrap());
    tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
    let variables =
        [("ACTIONS_ID_TOKEN_REQUEST_URL", url.as_str()), ("ACTIONS_ID_TOKEN_REQUEST_TOKEN", "request-token")];
    let session = machine(&served, AuthType::TokenExchange, job(&variables));
    session.token().await.unwrap();
    let (query, authorization) = requests.lock().unwrap()[0].clone();
    assert_eq!((query["api-version"].as_str(), authorization.as_str()), ("2", "Bearer request-token"));
    assert_eq!(query["audience"], format!("https://localhost:{}/", served.port), "the issuer");
    assert_eq!(realm.forms.lock().unwrap().len(), 1);
    // The job's request token is sent unencrypted to this machine only.
    let clear = [("ACTIONS_ID_TOKEN_REQUEST_URL", "http://ci.example.com/"), variables[1]];
    let error = machine(&served, AuthType::TokenExchange, job(&clear)).token().await.unwrap_err();
    assert!(error.to_string().contains("https"), "{error}");
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
