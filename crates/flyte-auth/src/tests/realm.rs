//! An authorization server and control plane for tests.

use super::*;

/// A control plane with its authorization server. Its rules can change while it runs.
#[derive(Debug, Default)]
pub(super) struct Realm {
    pub(super) rules: Mutex<Rules>,
    /// `a<generation>` is the active access token and `r<generation>` the active refresh token.
    pub(super) generation: AtomicUsize,
    /// The previous refresh token. It is accepted too, because its answer may have been lost.
    pub(super) parent: Mutex<String>,
    /// The requests, in order: `token`, `authorize`, or the method of a call.
    pub(super) asked: Mutex<Vec<String>>,
    /// The form and the `authorization` of each token request of a machine or a device.
    pub(super) forms: Mutex<Vec<(Parameters, Option<String>)>>,
    /// The parameters of the last authorization request.
    pub(super) request: Mutex<HashMap<String, String>>,
    /// `authorization` and `x-request-id` of each call.
    pub(super) calls: Mutex<Vec<(Option<String>, Option<String>)>>,
}

#[derive(Clone, Debug)]
pub(super) struct Rules {
    pub(super) flyte: bool,
    /// A plain Flyte 2 backend: its discovery service answers that its methods are not implemented.
    pub(super) plain: bool,
    pub(super) header: &'static str,
    pub(super) redirect_uri: String,
    /// Accept any loopback port besides the redirect URI.
    pub(super) any_port: bool,
    /// `iss` of authorization answers.
    pub(super) issuer: Option<String>,
    pub(super) says_issuer: bool,
    pub(super) denies: bool,
    /// `nonce` of ID tokens, if it is not the request's.
    pub(super) nonce: Option<&'static str>,
    /// The failure of the token endpoint.
    pub(super) fault: Option<(u16, &'static str)>,
    /// The number of further calls that are answered with 503.
    pub(super) unavailable: usize,
    /// `Date` of refusals.
    pub(super) date: Option<String>,
    /// The authentication methods of clients.
    pub(super) client_authentication: Vec<&'static str>,
    /// Whether there is a device authorization endpoint.
    pub(super) device: bool,
    /// `client_secret_expires_at` of token answers.
    pub(super) secret_expires_at: Option<i64>,
    /// The `proxy-authorization` that calls need, if there is a proxy in front.
    pub(super) proxy: Option<&'static str>,
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

pub(super) fn date(at: i64) -> String {
    httpdate::fmt_http_date(std::time::UNIX_EPOCH + Duration::from_secs(u64::try_from(at).unwrap()))
}

/// A form or a query.
pub(super) type Parameters = HashMap<String, String>;

pub(super) type Shared = State<(Arc<Realm>, u16)>;

impl Realm {
    pub(super) async fn serve(self: &Arc<Self>) -> Served {
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

    pub(super) fn rules(&self, change: impl FnOnce(&mut Rules)) {
        change(&mut self.rules.lock().unwrap());
    }

    pub(super) fn seen(&self) -> Rules {
        self.rules.lock().unwrap().clone()
    }

    pub(super) fn note(&self, what: &str) {
        self.asked.lock().unwrap().push(what.to_owned());
    }

    pub(super) fn count(&self, what: &str) -> usize {
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
