//! Calls from pages: with the cookie of a browser session, and from other origins.

use serde_json::json;

use super::{
    run::Runs,
    streams::{PROTOCOLS, read},
    *,
};

const WATCH: &str = "/flyteidl2.workflow.RunService/WatchRuns";
const SAME: (&str, &str) = ("sec-fetch-site", "same-origin");
const JSON: (&str, &str) = ("content-type", "application/json");

/// The cookie of a new session of Ada, and the identifier of the session.
pub(super) async fn sign_in(server: &Server) -> (String, String) {
    let plane = &server.plane;
    let oauth = flyte_oauth::testing::authorization_server(
        &plane.config,
        &plane.clock,
        &plane.store,
        &plane.keys,
        &plane.audit,
        &plane.access,
    );
    let (session, cookie) = oauth.sessions.start(&flyte_testing::user("Ada")).await.unwrap().unwrap();
    (cookie.to_str().unwrap().split(';').next().unwrap().to_owned(), session.id)
}

fn request(method: &str, path: &str, headers: &[(&str, &str)]) -> http::request::Builder {
    headers.iter().fold(Request::builder().method(method).uri(path), |request, (name, value)| {
        request.header(*name, *value)
    })
}

async fn post(server: &Server, path: &str, headers: &[(&str, &str)]) -> Answer {
    server.send(request("POST", path, headers).body(Body::from("{}")).unwrap()).await
}

#[tokio::test]
async fn a_page_of_this_server_calls_with_the_cookie_of_its_user() {
    let server = Server::start().await;
    let (cookie, session) = sign_in(&server).await;
    let cookie = ("cookie", &*cookie);
    let answer = post(&server, USER_INFO, &[JSON, SAME, cookie]).await;
    assert_eq!((answer.status, answer.json()["subject"].as_str()), (StatusCode::OK, Some("user-Ada")));
    assert_eq!(answer.header("cache-control"), "no-store");
    let answer = post(&server, USER_INFO, &[JSON, ("origin", "https://localhost:8443"), cookie]).await;
    assert_eq!(answer.status, StatusCode::OK, "a browser without fetch metadata");
    // The door is the same.
    assert_eq!(post(&server, CREATE, &[JSON, SAME, cookie]).await.error().0, "permission_denied");
    // A stale cookie of the same name does not hide the good one.
    let stale = format!("__Host-flyte_session={}; {}", "A".repeat(43), cookie.1);
    assert_eq!(post(&server, USER_INFO, &[JSON, SAME, ("cookie", &stale)]).await.status, StatusCode::OK);
    // Calls of other pages, which any page can make a browser send.
    for headers in [
        &[JSON, cookie][..],
        &[JSON, cookie, ("sec-fetch-site", "same-site")],
        &[JSON, cookie, ("sec-fetch-site", "cross-site")],
        &[JSON, cookie, ("sec-fetch-site", "none")],
        &[JSON, cookie, ("origin", "https://evil.example")],
        &[JSON, cookie, ("origin", "null")],
        &[JSON, cookie, SAME, ("origin", "https://evil.example")],
        &[cookie, SAME, ("content-type", "text/plain")],
        &[cookie, SAME, ("content-type", "text/plain; application/json")],
        &[cookie, SAME, ("content-type", "application/json; text/plain")],
        &[cookie, SAME, ("content-type", "application/x-www-form-urlencoded")],
        &[cookie, SAME],
    ] {
        let answer = post(&server, USER_INFO, headers).await;
        assert_eq!(answer.status, StatusCode::FORBIDDEN, "{headers:?} {answer:?}");
        assert_eq!(answer.header("cache-control"), "no-store", "{headers:?}");
    }
    // A bad token is not replaced by a good cookie.
    for token in ["authorization", "flyte-authorization"] {
        for value in ["Bearer x", "Basic eDp5", "x"] {
            let answer = post(&server, USER_INFO, &[JSON, SAME, cookie, (token, value)]).await;
            assert_eq!(answer.status, StatusCode::UNAUTHORIZED, "{token}: {value}");
        }
    }
    // GET is for what changes nothing.
    let get = async |path: &str, headers: &[(&str, &str)]| {
        let path = format!("{path}?connect=v1&encoding=json&message=%7B%7D");
        server.send(request("GET", &path, headers).body(Body::empty()).unwrap()).await.status
    };
    assert_eq!(get(CREATE, &[SAME, cookie]).await, StatusCode::FORBIDDEN);
    assert_ne!(get(USER_INFO, &[SAME, cookie]).await, StatusCode::FORBIDDEN);
    assert_eq!(get(USER_INFO, &[("sec-fetch-site", "none"), cookie]).await, StatusCode::FORBIDDEN);
    // The user signs out.
    server.plane.store.delete_session(&session).await.unwrap();
    assert_eq!(post(&server, USER_INFO, &[JSON, SAME, cookie]).await.error().0, "unauthenticated");
}

#[tokio::test]
async fn an_old_sign_in_in_a_browser_changes_nothing_of_administrators() {
    let server = Server::start().await;
    let binding = flyte_policy::Binding {
        subject: flyte_policy::Subject::user("user-Ada"),
        role: "admin".to_owned(),
        limit: flyte_model::Limit::default(),
    };
    server.plane.store.bind_role(&binding, NOW).await.unwrap();
    server.plane.access.reload_policies().await.unwrap();
    let (cookie, _) = sign_in(&server).await;
    let headers = [JSON, SAME, ("cookie", &*cookie)];
    let changes = [
        "/cloudidl.identity.UserService/DeleteUser",
        "/flyteauth.UserService/UpdateUser",
        "/flyteauth.UserService/EndUserSessions",
        "/flyteauth.ClientService/DeleteClient",
        "/flyteauth.TrustService/DeleteTrust",
    ];
    for path in changes {
        let (code, message) = post(&server, path, &headers).await.error();
        assert!(code != "unauthenticated" && code != "permission_denied", "{path}: {code} {message}");
    }
    server.plane.clock.advance(901);
    for path in changes {
        let (code, message) = post(&server, path, &headers).await.error();
        assert!(code == "unauthenticated" && message.contains("15 minutes"), "{path}: {code} {message}");
    }
    for path in [USER_INFO, "/flyteauth.UserService/ListUsers"] {
        assert_eq!(post(&server, path, &headers).await.status, StatusCode::OK, "{path}");
    }
}

#[tokio::test]
async fn a_stream_of_a_page_ends_when_its_user_signs_out() {
    let server = Runs::start().await;
    let (cookie, session) = sign_in(&server).await;
    let mut streams = Vec::new();
    for protocol in PROTOCOLS {
        let message = json!({"projectId": {"name": "p", "domain": "development"}}).to_string();
        let length = u32::try_from(message.len()).unwrap().to_be_bytes();
        let body = [&[0], &length[..], message.as_bytes()].concat();
        let headers = [("content-type", protocol), SAME, ("cookie", &cookie)];
        let request = request("POST", WATCH, &headers).body(Body::from(body)).unwrap();
        streams.push(server.router.clone().oneshot(request).await.unwrap());
    }
    server.plane.access.check_streams().await;
    server.plane.store.delete_session(&session).await.unwrap();
    server.plane.access.check_streams().await;
    for stream in streams {
        assert_eq!(read(stream).await.1, 16);
    }
}

#[tokio::test]
async fn pages_of_other_origins_call_with_a_token_only() {
    let server = Server::start().await;
    let preflight = [
        ("origin", "https://notebook.example"),
        ("access-control-request-method", "POST"),
        ("access-control-request-headers", "authorization,content-type,connect-protocol-version"),
    ];
    let answer = server.send(request("OPTIONS", CREATE, &preflight).body(Body::empty()).unwrap()).await;
    assert_eq!(answer.status, StatusCode::OK, "{answer:?}");
    assert_eq!(answer.header("access-control-allow-origin"), "*");
    assert_eq!(answer.header("access-control-allow-credentials"), "");
    assert!(answer.header("access-control-allow-headers").contains("authorization"));
    // Errors can be read too.
    let answer = post(&server, USER_INFO, &[JSON, preflight[0]]).await;
    assert_eq!(
        (answer.status, answer.header("access-control-allow-origin")),
        (StatusCode::UNAUTHORIZED, "*")
    );
    assert!(answer.header("access-control-expose-headers").contains("grpc-status"));
}
