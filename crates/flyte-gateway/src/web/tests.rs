//! The console and apps over real sockets: an app that echoes what it gets, sends events, and opens `WebSockets`.

use std::{collections::BTreeMap, net::SocketAddr, time::Duration};

use axum::{Json, body::Body, extract::Request, middleware, routing::any};
use futures_util::{StreamExt as _, stream};
use http_body_util::BodyExt as _;
use hyper::body::Incoming;
use hyper_util::rt::TokioIo;
use secrecy::ExposeSecret as _;
use serde_json::{Value, json};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpStream},
};

use super::*;
use flyte_access::{testing::Parts, token::TokenGrant};
use flyte_model::{ClientId, Scope};
use flyte_pages::ReturnTo;
use flyte_settings::MAIN_BACKEND;
use flyte_testing::NOW;

mod endings;
mod owners;

const APP: &str = "a.apps.example.com:8443";
/// The requests whose answers may wait.
const SLOTS: usize = 100;
const OWN: &str = "localhost:8443";
const PAGE: [(&str, &str); 3] =
    [("accept", "text/html,*/*"), ("sec-fetch-mode", "navigate"), ("sec-fetch-dest", "document")];

/// The requests for which the app has no answer, of the one test that sends one.
static WAITING: Semaphore = Semaphore::const_new(0);

/// Serves a router at a free port.
async fn listen(router: Router) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move { axum::serve(listener, router).await.unwrap() });
    address
}

/// What the app answers.
async fn app(mut request: Request) -> Response {
    match request.uri().path() {
        "/events" => {
            let first = stream::iter([Ok::<_, axum::Error>("data: 1\n\n")]);
            let body = Body::from_stream(first.chain(stream::pending()));
            ([("content-type", "text/event-stream")], body).into_response()
        }
        "/lines" => {
            let first = stream::iter([Ok::<_, axum::Error>("{}\n")]);
            let body = Body::from_stream(first.chain(stream::pending()));
            ([("content-type", "application/x-ndjson")], body).into_response()
        }
        "/never" => {
            WAITING.add_permits(1);
            std::future::pending().await
        }
        // It answers at once, and reads on.
        "/upload" => {
            let mut body = request.into_body().into_data_stream();
            body.next().await.unwrap().unwrap();
            tokio::spawn(async move { while let Some(Ok(_)) = body.next().await {} });
            StatusCode::ACCEPTED.into_response()
        }
        "/socket" => {
            let upgrade = hyper::upgrade::on(&mut request);
            tokio::spawn(async move {
                let (mut read, mut write) = tokio::io::split(TokioIo::new(upgrade.await.unwrap()));
                let _ = tokio::io::copy(&mut read, &mut write).await;
            });
            let headers =
                [("connection", "upgrade"), ("upgrade", "websocket"), ("sec-websocket-accept", "x")];
            (StatusCode::SWITCHING_PROTOCOLS, headers).into_response()
        }
        path => {
            let path = path.to_owned();
            let mut seen = BTreeMap::<String, Vec<String>>::new();
            for (name, value) in request.headers() {
                seen.entry(name.to_string()).or_default().push(value.to_str().unwrap_or("?").to_owned());
            }
            let headers = [
                ("set-cookie", "own=1; Path=/"),
                ("set-cookie", "__Host-flyte_session=evil; Path=/; Secure"),
                ("clear-site-data", "\"cookies\""),
                ("access-control-allow-origin", "https://evil.example"),
            ];
            let mut response = Json(json!({"path": path, "headers": seen})).into_response();
            for (name, value) in headers {
                response.headers_mut().append(name, HeaderValue::from_static(value));
            }
            response
        }
    }
}

struct Front {
    parts: Parts,
    web: Arc<Web>,
    sessions: Sessions,
    address: SocketAddr,
}

/// The answer to a request.
struct Answer {
    status: u16,
    headers: HeaderMap,
    body: Incoming,
}

impl Answer {
    fn header(&self, name: &str) -> &str {
        self.headers.get(name).map_or("", |value| value.to_str().unwrap())
    }

    /// The cookies that it sets, without their attributes.
    fn cookies(&self) -> Vec<String> {
        let set = self.headers.get_all("set-cookie").iter();
        set.map(|value| value.to_str().unwrap().split(';').next().unwrap().to_owned()).collect()
    }

    async fn json(self) -> Value {
        let bytes = self.body.collect().await.unwrap().to_bytes();
        serde_json::from_slice(&bytes).unwrap_or_else(|_| panic!("{} {bytes:?}", self.status))
    }
}

impl Front {
    async fn start() -> Self {
        // No test of a caller without a limit asks the backend.
        Self::before("127.0.0.1:9".parse().unwrap()).await
    }

    /// The same, with a backend that knows the apps.
    async fn before(backend: SocketAddr) -> Self {
        Self::with(&[("main", backend)], |_| {}).await
    }

    /// The same, with several backends: the apps of `main` are below `apps.example.com`, those of others below
    /// `apps.NAME.example.com`.
    async fn with(backends: &[(&str, SocketAddr)], configure: impl FnOnce(&mut Config)) -> Self {
        let upstream = listen(Router::new().fallback(any(app))).await;
        let parts = Parts::new(configure).await;
        parts.store.create_user(&flyte_testing::user("Ada")).await.unwrap();
        let sessions = Sessions::new(Arc::clone(&parts.store), parts.clock.clone(), 3600);
        let url: Url = format!("http://{upstream}").parse().unwrap();
        let web = Web {
            console: Some(url.clone()),
            apps: backends
                .iter()
                .map(|(name, _)| {
                    let cluster = Some((*name).to_owned()).filter(|name| name != MAIN_BACKEND);
                    let own = cluster.iter().map(|name| format!("{name}.")).collect::<String>();
                    AppHosts { suffix: format!("apps.{own}example.com"), url: url.clone(), cluster }
                })
                .collect(),
            client: Client::for_test(),
            slots: Arc::new(Semaphore::new(SLOTS)),
            owners: Owners::default(),
            parts: WebParts {
                gateway: owners::gateway(&parts, backends),
                config: Arc::clone(&parts.config),
                clock: parts.clock.clone(),
                store: Arc::clone(&parts.store),
                keys: Arc::clone(&parts.keys),
                access: Arc::clone(&parts.access),
                sessions: sessions.clone(),
                stopping: Stopping::default(),
            },
        };
        let web = Arc::new(web);
        let router = router(Arc::clone(&web)).fallback(async || "our own page");
        let layer = middleware::from_fn_with_state(Arc::clone(&web), apps::serve);
        let address = listen(router.layer(layer)).await;
        Self { parts, web, sessions, address }
    }

    /// A session of Ada: its cookie and its identifier.
    async fn sign_in(&self) -> (String, String) {
        let (session, cookie) = self.sessions.start(&flyte_testing::user("Ada")).await.unwrap().unwrap();
        (cookie.to_str().unwrap().split(';').next().unwrap().to_owned(), session.id)
    }

    fn token(&self) -> String {
        let grant = TokenGrant {
            user_id: "user-Ada".to_owned(),
            client_id: ClientId::from_static("flyte"),
            scopes: [Scope::ALL].into(),
            audience: None,
            authenticated_at: NOW,
            session_id: "session".to_owned(),
            family_id: "family".to_owned(),
        };
        self.parts.access.tokens().issue(&grant).unwrap().token.expose_secret().to_owned()
    }

    async fn open(
        &self,
        method: &str,
        host: &str,
        path: &str,
        headers: &[(&str, &str)],
    ) -> http::Response<Incoming> {
        self.send(method, host, path, headers, Body::empty()).await
    }

    async fn send(
        &self,
        method: &str,
        host: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: Body,
    ) -> http::Response<Incoming> {
        let stream = TcpStream::connect(self.address).await.unwrap();
        let (mut sender, connection) =
            hyper::client::conn::http1::handshake(TokioIo::new(stream)).await.unwrap();
        tokio::spawn(connection.with_upgrades());
        let mut request = Request::builder().method(method).uri(path).header("host", host);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        sender.send_request(request.body(body).unwrap()).await.unwrap()
    }

    async fn ask(&self, method: &str, host: &str, path: &str, headers: &[(&str, &str)]) -> Answer {
        let (head, body) = self.open(method, host, path, headers).await.into_parts();
        Answer { status: head.status.as_u16(), headers: head.headers, body }
    }

    async fn page(&self, host: &str, path: &str, cookies: &str) -> Answer {
        self.ask("GET", host, path, &[&PAGE[..], &[("cookie", cookies)]].concat()).await
    }

    /// Opens the app without its cookie: the cookie that binds the ticket, and the address of the sign-in.
    async fn begin(&self, path: &str) -> (String, String) {
        let begun = self.page(APP, path, "").await;
        assert_eq!(begun.status, 303);
        let ours = begun.header("location").strip_prefix("https://localhost:8443").unwrap().to_owned();
        assert_eq!(begun.cookies().len(), 1);
        (begun.cookies().remove(0), ours)
    }

    /// The path of the ticket at the app's host.
    async fn ticket(&self, ours: &str, session: &str) -> String {
        let issued = self.page(OWN, ours, session).await;
        let there = issued.header("location");
        there.strip_prefix("https://a.apps.example.com:8443").unwrap_or_else(|| panic!("{there}")).to_owned()
    }

    /// The cookie of the app's host, after the whole sign-in.
    async fn app_cookie(&self, session: &str) -> String {
        let (state, ours) = self.begin("/page?x=1").await;
        let ticket = self.ticket(&ours, session).await;
        let redeemed = self.page(APP, &ticket, &state).await;
        assert_eq!((redeemed.status, redeemed.header("location")), (303, "/page?x=1"));
        redeemed.cookies().remove(0)
    }
}

#[tokio::test]
async fn an_app_is_reached_after_a_sign_in_and_sees_no_credential_of_ours() {
    let front = Front::start().await;
    let (state, ours) = front.begin("/page?x=1").await;
    // The user is not signed in yet, and comes back after the sign-in.
    let login = front.page(OWN, &ours, "").await;
    let return_to = login.header("location").strip_prefix("/login?return_to=").unwrap();
    let return_to: String = form_urlencoded_one(return_to);
    assert_eq!((login.status, return_to.as_str()), (303, ours.as_str()));
    assert!(ReturnTo::parse(&return_to).is_some());
    let (session, session_id) = front.sign_in().await;
    let ticket = front.ticket(&ours, &session).await;
    // Only this browser, at this host, can use the ticket.
    assert_eq!(front.page(APP, &ticket, "").await.status, 400);
    assert_eq!(front.page("b.apps.example.com:8443", &ticket, &state).await.status, 400);
    let redeemed = front.page(APP, &ticket, &state).await;
    assert_eq!((redeemed.status, redeemed.header("location")), (303, "/page?x=1"));
    assert_eq!(redeemed.header("cache-control"), "no-store");
    assert_eq!(front.page(APP, &ticket, &state).await.status, 400, "a ticket is used once");
    let cookie = redeemed.cookies().remove(0);
    assert!(cookie.starts_with("__Host-flyte_app="));

    // A stale cookie beside the good one, our main cookie, and a credential of the app's own.
    let all = format!("own=1; __Host-flyte_app=stale; {cookie}; {session}");
    let headers = [
        ("cookie", &*all),
        ("authorization", "Bearer of-the-app"),
        ("flyte-authorization", "Bearer x"),
        ("x-amzn-oidc-identity", "mallory"),
        ("x_amzn_oidc_identity", "mallory"),
        ("x-forwarded-for", "192.0.2.1"),
        ("connection", "x-dropped"),
        ("x-dropped", "1"),
    ];
    let answer = front.ask("GET", APP, "/x", &headers).await;
    assert_eq!(answer.status, 200);
    assert_eq!(answer.cookies(), ["own=1"]);
    assert_eq!(answer.header("clear-site-data"), "");
    let seen = answer.json().await;
    let text = seen.to_string();
    assert!(
        !text.contains("__Host-flyte") && !text.contains("mallory") && !text.contains("flyte-auth"),
        "{text}"
    );
    assert_eq!(seen["headers"]["cookie"], json!(["own=1"]));
    assert_eq!(seen["headers"]["authorization"], json!(["Bearer of-the-app"]));
    assert_eq!(seen["headers"]["host"], json!([APP]));
    assert_eq!(seen["headers"]["x-forwarded-proto"], json!(["https"]));
    assert!(seen["headers"].get("x-dropped").is_none() && seen["headers"].get("x-forwarded-for").is_none());
    // The cookie is for one host.
    assert_eq!(front.page("b.apps.example.com:8443", "/x", &cookie).await.status, 303);

    // The user signs out of this server.
    front.parts.store.delete_session(&session_id).await.unwrap();
    let again = front.page(APP, "/x", &cookie).await;
    assert_eq!(again.status, 303);
    assert!(again.cookies().contains(&"__Host-flyte_app=".to_owned()), "the old cookie is cleared first");
    assert_eq!(
        front.ask("GET", APP, "/x", &[("cookie", &cookie)]).await.status,
        401,
        "a status, no redirect"
    );
}

fn form_urlencoded_one(text: &str) -> String {
    let pair = format!("x={text}");
    url::form_urlencoded::parse(pair.as_bytes()).next().unwrap().1.into_owned()
}

#[tokio::test]
async fn a_ticket_expires_and_no_redirect_leads_elsewhere() {
    let front = Front::start().await;
    let (session, _) = front.sign_in().await;
    let (state, ours) = front.begin("/").await;
    let ticket = front.ticket(&ours, &session).await;
    front.parts.clock.advance(60);
    assert_eq!(front.page(APP, &ticket, &state).await.status, 400);
    let forged = format!("{ticket}x");
    assert_eq!(front.page(APP, &forged, &state).await.status, 400);
    for query in [
        "host=evil.example&path=/&state=x",
        "host=a.apps.example.com.evil.example&path=/&state=x",
        "host=a.apps.example.com%40evil.example&path=/&state=x",
        "host=a.apps.example.com&path=//evil.example&state=x",
        "host=a.apps.example.com&path=%2F%5Cevil.example&state=x",
        "host=a.apps.example.com&path=https://evil.example&state=x",
        "host=a.apps.example.com&path=%2F%0D%0Ax&state=x",
        "host=a.apps.example.com",
    ] {
        let answer = front.page(OWN, &format!("/apps/sign-in?{query}"), &session).await;
        assert_eq!((answer.status, answer.header("location")), (400, ""), "{query}");
    }
    // Twenty tabs have one cookie.
    let (state, _) = front.begin("/").await;
    assert_eq!(front.page(APP, "/y", &state).await.cookies(), [state]);
    let out = front.page(APP, "/.flyte/sign-out", "").await;
    assert_eq!((out.status, out.header("location")), (303, "https://localhost:8443/oauth2/logout"));
    assert_eq!(front.page(APP, "/.flyte/other", "").await.status, 404);
    assert_eq!(front.page("other.example", "/", "").await.status, 200, "not the host of an app");
}

#[tokio::test]
async fn other_pages_cannot_use_the_cookie_of_an_app() {
    let front = Front::start().await;
    let (session, _) = front.sign_in().await;
    let cookie = front.app_cookie(&session).await;
    let cookie = ("cookie", &*cookie);
    let own = ("origin", "https://a.apps.example.com:8443");
    let sibling = ("origin", "https://b.apps.example.com:8443");
    for (headers, expected) in [
        (&[cookie, own][..], 200),
        (&[cookie, ("sec-fetch-site", "same-origin")], 200),
        (&[cookie], 403),
        (&[cookie, sibling], 403),
        (&[cookie, ("sec-fetch-site", "same-site")], 403),
    ] {
        assert_eq!(front.ask("POST", APP, "/x", headers).await.status, expected, "{headers:?}");
    }
    let preflight = [sibling, ("access-control-request-method", "POST")];
    assert_eq!(front.ask("OPTIONS", APP, "/x", &preflight).await.status, 403);
    // A program with a token of ours: the app does not see it.
    let token = format!("Bearer {}", front.token());
    for name in ["authorization", "flyte-authorization"] {
        let answer = front.ask("POST", APP, "/x", &[(name, &token)]).await;
        assert_eq!(answer.status, 200, "{name}");
        assert!(answer.json().await["headers"].get("authorization").is_none());
    }
    assert_eq!(front.ask("GET", APP, "/x", &[("flyte-authorization", "Bearer x")]).await.status, 401);
    assert_eq!(front.ask("GET", APP, "/x", &[("authorization", "Bearer of-the-app")]).await.status, 401);
}

#[tokio::test]
async fn the_console_is_for_signed_in_users() {
    let front = Front::start().await;
    let (session, _) = front.sign_in().await;
    let login = front.page(OWN, "/v2/runs?q=1", "").await;
    assert_eq!((login.status, login.header("location")), (303, "/login?return_to=%2Fv2%2Fruns%3Fq%3D1"));
    for (method, headers) in [
        ("GET", &[("accept", "*/*")][..]),
        ("GET", &[("accept", "application/json")]),
        ("GET", &[PAGE[0], ("sec-fetch-mode", "cors")]),
        ("POST", &PAGE),
        ("HEAD", &PAGE),
    ] {
        let answer = front.ask(method, OWN, "/v2/x", headers).await;
        assert_eq!((answer.status, answer.header("location")), (401, ""), "{method} {headers:?}");
    }
    let headers =
        [("cookie", &*format!("{session}; own=1")), ("authorization", "Bearer x"), ("x-user", "mallory")];
    let answer = front.ask("GET", OWN, "/v2/runs", &headers).await;
    assert_eq!((answer.status, answer.cookies()), (200, vec!["own=1".to_owned()]));
    assert_eq!(answer.header("access-control-allow-origin"), "");
    let seen = answer.json().await;
    assert_eq!((seen["path"].as_str(), &seen["headers"]["cookie"]), (Some("/v2/runs"), &json!(["own=1"])));
    let text = seen.to_string();
    assert!(
        !text.contains("Bearer") && !text.contains("mallory") && !text.contains("__Host-flyte"),
        "{text}"
    );
    let cookie = ("cookie", &*session);
    assert_eq!(front.ask("POST", OWN, "/v2/x", &[cookie]).await.status, 403);
    assert_eq!(
        front.ask("POST", OWN, "/v2/x", &[cookie, ("origin", "https://localhost:8443")]).await.status,
        200
    );
    for path in ["/v2/../x", "/v2/%2e%2e/x", "/v2//x", "/v2/a%2fb", "/v2/a%5Cb"] {
        assert_eq!(front.ask("GET", OWN, path, &[cookie]).await.status, 400, "{path}");
    }
    assert_eq!(front.page(OWN, "/v2x", "").await.status, 200, "not the console");
}
