//! Tests of the whole crate with a small server, over TLS.
//!
//! These tests are inside the crate so that they can replace the store of a session: they never touch a developer's keyring.
//! `tests/secret_service.rs` tests a real keyring in a separate session bus.

mod device;
mod discovery;
mod http;
mod machines;
mod person;
mod processes;
mod root_cause;
mod sign_in;
mod sign_in_once;
mod step_up;
mod transport;

use std::{
    collections::HashMap,
    path::PathBuf,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use axum::{
    Form, Json, Router,
    body::Bytes,
    extract::{Query, Request, State},
    http::{HeaderMap, StatusCode, header},
    response::{IntoResponse, Redirect, Response},
    routing::{get, post},
};
use axum_server::tls_rustls::RustlsConfig;
use flyte_config::{AuthType, Endpoint, StoreKind};
use flyte_idl::flyteidl2::auth::{GetOAuth2MetadataResponse, GetPublicClientConfigResponse};
use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair, date_time_ymd};
use secrecy::SecretString;
use serde_json::json;
use url::Url;

use self::person::{AtTheScreen, Habit, Person};
use crate::{
    Credentials, Interaction, Session, SessionOptions,
    clock::Clock,
    discovery::Overrides,
    http::HttpOptions,
    oauth::ClientId,
    store::{Login, LoginDetails},
    token::fingerprint,
};

const NOW: i64 = 1_700_000_000;

/// The kinds of server certificates.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Certificate {
    Good,
    Expired,
    NotYetValid,
    ForAnotherName,
    SelfSigned,
    /// Self-signed and marked as an authority, as `openssl req -x509` creates it.
    Authority,
}

/// A running TLS server, and the client's options for it.
struct Served {
    directory: tempfile::TempDir,
    port: u16,
}

impl Served {
    async fn new(certificate: Certificate, router: impl FnOnce(u16) -> Router) -> Self {
        let directory = tempfile::tempdir().unwrap();
        let (authority_key, leaf_key) = (KeyPair::generate().unwrap(), KeyPair::generate().unwrap());
        let mut authority = CertificateParams::new(Vec::new()).unwrap();
        authority.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        authority.distinguished_name.push(rcgen::DnType::CommonName, "test authority");
        std::fs::write(directory.path().join("ca.pem"), authority.self_signed(&authority_key).unwrap().pem())
            .unwrap();
        let name = if certificate == Certificate::ForAnotherName { "other.example" } else { "localhost" };
        let mut leaf = CertificateParams::new(vec![name.to_owned()]).unwrap();
        match certificate {
            Certificate::Expired => leaf.not_after = date_time_ymd(2001, 1, 1),
            Certificate::NotYetValid => leaf.not_before = date_time_ymd(2099, 1, 1),
            Certificate::Authority => leaf.is_ca = IsCa::Ca(BasicConstraints::Unconstrained),
            _ => {}
        }
        let leaf = match certificate {
            Certificate::SelfSigned | Certificate::Authority => leaf.self_signed(&leaf_key),
            _ => leaf.signed_by(&leaf_key, &Issuer::new(authority, authority_key)),
        }
        .unwrap();
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        listener.set_nonblocking(true).unwrap();
        let port = listener.local_addr().unwrap().port();
        let tls = RustlsConfig::from_pem(leaf.pem().into_bytes(), leaf_key.serialize_pem().into_bytes())
            .await
            .unwrap();
        let router = router(port);
        tokio::spawn(axum_server::from_tcp_rustls(listener, tls).unwrap().serve(router.into_make_service()));
        Self { directory, port }
    }

    fn endpoint(&self) -> Endpoint {
        format!("localhost:{}", self.port).parse().unwrap()
    }

    fn url(&self, path: &str) -> Url {
        self.endpoint().url().join(path).unwrap()
    }

    fn ca_file(&self) -> PathBuf {
        self.directory.path().join("ca.pem")
    }

    fn http_options(&self) -> HttpOptions {
        HttpOptions { ca_cert_file: Some(self.ca_file()), ..HttpOptions::default() }
    }

    fn http(&self) -> crate::http::Http {
        crate::http::Http::new(&self.http_options(), self.endpoint().url().clone()).unwrap()
    }

    /// Creates a session with tokens in memory only.
    fn session(&self, interaction: Arc<dyn Interaction>) -> Arc<Session> {
        Session::new(self.options(interaction))
    }

    /// Creates a session with tokens in the encrypted file, which other processes can read.
    fn session_on_disk(&self, interaction: Arc<dyn Interaction>) -> Arc<Session> {
        Session::new(SessionOptions { token_store: Some(StoreKind::File), ..self.options(interaction) })
    }

    fn options(&self, interaction: Arc<dyn Interaction>) -> SessionOptions {
        SessionOptions {
            endpoint: self.endpoint(),
            auth_type: AuthType::Pkce,
            auth_type_chosen: true,
            headless: false,
            credentials: Credentials::default(),
            http: self.http_options(),
            overrides: Overrides::default(),
            token_store: Some(StoreKind::Memory),
            data_dir: Some(self.directory.path().join("data")),
            state_dir: Some(self.directory.path().join("state")),
            interaction,
            clock: Clock::manual(NOW),
        }
    }
}

/// A control plane with its authorization server. Its rules can change while it runs.
#[derive(Debug, Default)]
struct Realm {
    rules: Mutex<Rules>,
    /// `a<generation>` is the active access token and `r<generation>` the active refresh token.
    generation: AtomicUsize,
    /// The previous refresh token. It is accepted too, because its answer may have been lost.
    parent: Mutex<String>,
    /// The requests, in order: `token`, `authorize`, or the method of a call.
    asked: Mutex<Vec<String>>,
    /// The form and the `authorization` of each token request of a machine or a device.
    forms: Mutex<Vec<(Parameters, Option<String>)>>,
    /// The parameters of the last authorization request.
    request: Mutex<HashMap<String, String>>,
    /// `authorization` and `x-request-id` of each call.
    calls: Mutex<Vec<(Option<String>, Option<String>)>>,
}

#[derive(Clone, Debug)]
struct Rules {
    flyte: bool,
    /// A plain Flyte 2 backend: its discovery service answers that its methods are not implemented.
    plain: bool,
    header: &'static str,
    redirect_uri: String,
    /// Accept any loopback port besides the redirect URI.
    any_port: bool,
    /// `iss` of authorization answers.
    issuer: Option<String>,
    says_issuer: bool,
    denies: bool,
    /// `nonce` of ID tokens, if it is not the request's.
    nonce: Option<&'static str>,
    /// The failure of the token endpoint.
    fault: Option<(u16, &'static str)>,
    /// The number of further calls that are answered with 503.
    unavailable: usize,
    /// `Date` of refusals.
    date: Option<String>,
    /// The authentication methods of clients.
    client_authentication: Vec<&'static str>,
    /// Whether there is a device authorization endpoint.
    device: bool,
    /// `client_secret_expires_at` of token answers.
    secret_expires_at: Option<i64>,
    /// The `proxy-authorization` that calls need, if there is a proxy in front.
    proxy: Option<&'static str>,
}

impl Default for Rules {
    fn default() -> Self {
        Self {
            flyte: true,
            plain: false,
            header: "flyte-authorization",
            redirect_uri: format!("http://localhost:{}/callback", free_port()),
            any_port: false,
            issuer: None,
            says_issuer: false,
            denies: false,
            nonce: None,
            fault: None,
            unavailable: 0,
            date: Some(date(NOW)),
            client_authentication: Vec::new(),
            device: false,
            secret_expires_at: None,
            proxy: None,
        }
    }
}

fn date(at: i64) -> String {
    httpdate::fmt_http_date(std::time::UNIX_EPOCH + Duration::from_secs(u64::try_from(at).unwrap()))
}

/// A port that was free a moment ago.
fn free_port() -> u16 {
    std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

/// A form or a query.
type Parameters = HashMap<String, String>;

type Shared = State<(Arc<Realm>, u16)>;

impl Realm {
    async fn serve(self: &Arc<Self>) -> Served {
        let realm = Arc::clone(self);
        Served::new(Certificate::Good, |port| {
            Router::new()
                .route("/flyteidl2.auth.AuthMetadataService/GetOAuth2Metadata", post(metadata))
                .route("/flyteidl2.auth.AuthMetadataService/GetPublicClientConfig", post(public_client))
                .route("/.well-known/oauth-authorization-server", get(well_known))
                .route("/authorize", get(authorize))
                .route("/token", post(token))
                .route("/device", post(machines::device_authorization))
                .route("/revoke", post(revoke))
                .fallback(call)
                .with_state((realm, port))
        })
        .await
    }

    fn rules(&self, change: impl FnOnce(&mut Rules)) {
        change(&mut self.rules.lock().unwrap());
    }

    fn seen(&self) -> Rules {
        self.rules.lock().unwrap().clone()
    }

    fn note(&self, what: &str) {
        self.asked.lock().unwrap().push(what.to_owned());
    }

    fn count(&self, what: &str) -> usize {
        self.asked.lock().unwrap().iter().filter(|asked| *asked == what).count()
    }
}

fn proto(message: &impl buffa::Message) -> Response {
    ([(header::CONTENT_TYPE, "application/proto")], message.encode_to_vec()).into_response()
}

async fn metadata(State((realm, port)): Shared) -> Response {
    realm.note("metadata");
    if realm.seen().plain {
        return unimplemented();
    }
    if !realm.seen().flyte {
        return StatusCode::NOT_FOUND.into_response();
    }
    proto(&GetOAuth2MetadataResponse {
        issuer: format!("https://localhost:{port}/"),
        authorization_endpoint: format!("https://localhost:{port}/authorize"),
        token_endpoint: format!("https://localhost:{port}/token"),
        token_endpoint_auth_methods_supported: realm
            .seen()
            .client_authentication
            .into_iter()
            .map(str::to_owned)
            .collect(),
        device_authorization_endpoint: match realm.seen().device {
            true => format!("https://localhost:{port}/device"),
            false => String::new(),
        },
        ..Default::default()
    })
}

async fn public_client(State((realm, _)): Shared) -> Response {
    let rules = realm.seen();
    if rules.plain {
        return unimplemented();
    }
    if !rules.flyte {
        return StatusCode::NOT_FOUND.into_response();
    }
    proto(&GetPublicClientConfigResponse {
        client_id: "flyte".to_owned(),
        redirect_uri: rules.redirect_uri,
        scopes: vec!["openid".to_owned(), "offline_access".to_owned()],
        authorization_metadata_key: rules.header.to_owned(),
        audience: "the-audience".to_owned(),
        ..Default::default()
    })
}

fn unimplemented() -> Response {
    (StatusCode::NOT_IMPLEMENTED, Json(json!({ "code": "unimplemented" }))).into_response()
}

async fn well_known(State((realm, port)): Shared) -> Response {
    realm.note("well-known");
    if realm.seen().plain {
        return StatusCode::NOT_FOUND.into_response();
    }
    let base = format!("https://localhost:{port}");
    Json(json!({
        "issuer": format!("{base}/"),
        "authorization_endpoint": format!("{base}/authorize"),
        "token_endpoint": format!("{base}/token"),
        "revocation_endpoint": format!("{base}/revoke"),
        "authorization_response_iss_parameter_supported": realm.seen().says_issuer,
    }))
    .into_response()
}

async fn authorize(State((realm, _)): Shared, Query(request): Query<HashMap<String, String>>) -> Response {
    realm.note("authorize");
    let rules = realm.seen();
    let mut back: Url = request["redirect_uri"].parse().unwrap();
    let mut usual = back.clone();
    usual.set_port(Url::parse(&rules.redirect_uri).unwrap().port()).unwrap();
    if back.as_str() != rules.redirect_uri && !(rules.any_port && usual.as_str() == rules.redirect_uri) {
        return (StatusCode::BAD_REQUEST, "unknown redirect URI").into_response();
    }
    {
        let mut query = back.query_pairs_mut();
        query.append_pair("state", &request["state"]);
        if rules.denies {
            query.append_pair("error", "access_denied").append_pair("error_description", "not on a Sunday");
        } else {
            query.append_pair("code", "the-code");
        }
        if let Some(issuer) = &rules.issuer {
            query.append_pair("iss", issuer);
        }
    }
    *realm.request.lock().unwrap() = request;
    Redirect::to(back.as_str()).into_response()
}

async fn token(State((realm, _)): Shared, headers: HeaderMap, Form(form): Form<Parameters>) -> Response {
    use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD as BASE64};
    realm.note("token");
    let rules = realm.seen();
    let refused = |code: &str| (StatusCode::BAD_REQUEST, Json(json!({ "error": code }))).into_response();
    if let Some((status, body)) = rules.fault {
        return (StatusCode::from_u16(status).unwrap(), [("retry-after", "7")], body).into_response();
    }
    let mut id_token = None;
    match form["grant_type"].as_str() {
        "authorization_code" => {
            let request = realm.request.lock().unwrap().clone();
            let challenge =
                aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, form["code_verifier"].as_bytes());
            if form["code"] != "the-code"
                || form["redirect_uri"] != request["redirect_uri"]
                || BASE64.encode(challenge) != request["code_challenge"]
                || request["code_challenge_method"] != "S256"
            {
                return refused("invalid_grant");
            }
            let nonce = rules.nonce.map_or_else(|| request["nonce"].clone(), str::to_owned);
            let claims = json!({ "sub": "1234", "email": "ada@example.com", "nonce": nonce });
            id_token = Some(format!("e30.{}.sig", BASE64.encode(claims.to_string())));
        }
        "refresh_token" => {
            let active = format!("r{}", realm.generation.load(Ordering::SeqCst));
            let mut parent = realm.parent.lock().unwrap();
            if form["refresh_token"] != active && form["refresh_token"] != *parent {
                return refused("invalid_grant");
            }
            parent.clone_from(&form["refresh_token"]);
        }
        "client_credentials"
        | "urn:ietf:params:oauth:grant-type:token-exchange"
        | "urn:ietf:params:oauth:grant-type:device_code" => {
            let authorization = headers.get("authorization").map(|value| value.to_str().unwrap().to_owned());
            let code = machines::error_code(&form, authorization.as_deref());
            realm.forms.lock().unwrap().push((form, authorization));
            if let Some(code) = code {
                return refused(code);
            }
        }
        _ => return refused("unsupported_grant_type"),
    }
    let next = realm.generation.fetch_add(1, Ordering::SeqCst) + 1;
    Json(json!({
        "access_token": format!("a{next}"),
        "refresh_token": format!("r{next}"),
        "token_type": "Bearer",
        "expires_in": 3600,
        "id_token": id_token,
        "client_secret_expires_at": rules.secret_expires_at,
    }))
    .into_response()
}

async fn revoke(State((realm, _)): Shared, Form(form): Form<Parameters>) -> StatusCode {
    realm.note(&format!("revoke {}", form["token"]));
    StatusCode::OK
}

/// Handles any other path as a call. It needs the active access token and answers with the request body.
async fn call(State((realm, _)): Shared, headers: HeaderMap, request: Request) -> Response {
    let method = request.uri().path().rsplit('/').next().unwrap_or_default().to_owned();
    realm.note(&method);
    let rules = realm.seen();
    let text = |name: &str| headers.get(name).map(|value| value.to_str().unwrap().to_owned());
    realm.calls.lock().unwrap().push((text(rules.header), text("x-request-id")));
    if rules.proxy.is_some() && text("proxy-authorization").as_deref() != rules.proxy {
        return StatusCode::PROXY_AUTHENTICATION_REQUIRED.into_response();
    }
    if rules.unavailable > 0 {
        realm.rules(|rules| rules.unavailable -= 1);
        return StatusCode::SERVICE_UNAVAILABLE.into_response();
    }
    let active = format!("Bearer a{}", realm.generation.load(Ordering::SeqCst));
    if text(rules.header) != Some(active) || method == "Never" {
        let mut refusal =
            (StatusCode::UNAUTHORIZED, Json(json!({ "code": "unauthenticated" }))).into_response();
        if let Some(date) = rules.date {
            refusal.headers_mut().insert(header::DATE, date.parse().unwrap());
        }
        return refusal;
    }
    // Required until the person has signed in for this purpose, in the browser or on another device.
    let recent = Some("900".to_owned());
    let stepped_up = realm.request.lock().unwrap().get("max_age").cloned() == recent
        || realm.forms.lock().unwrap().iter().any(|(form, _)| form.get("max_age").cloned() == recent);
    if method == "StepUpForEver" || (method == "StepUp" && !stepped_up) {
        let challenge =
            "Bearer error=\"insufficient_user_authentication\", max_age=\"900\", acr_values=\"a b\"";
        let headers = [(header::WWW_AUTHENTICATE, challenge)];
        return (StatusCode::UNAUTHORIZED, headers, Json(json!({ "code": "unauthenticated" })))
            .into_response();
    }
    let body: Bytes = axum::body::to_bytes(request.into_body(), usize::MAX).await.unwrap();
    body.into_response()
}

/// A login that expires an hour after [`NOW`].
fn login(access: &str, refresh: &str) -> Login {
    Login {
        access_token: SecretString::from(access),
        refresh_token: Some(SecretString::from(refresh)),
        details: Some(LoginDetails {
            access_token_sha256: fingerprint(access),
            issued_at: Some(NOW),
            expires_at: Some(NOW + 3600),
            scopes: Vec::new(),
            client_id: ClientId::parse("flyte").unwrap(),
            issuer: String::new(),
            subject: None,
            auth_type: "Pkce".to_owned(),
        }),
    }
}
