//! The question of a proxy whether a request may pass: nginx `auth_request`, Traefik `ForwardAuth`, Caddy `forward_auth`,
//! Envoy `ext_authz`. They all send the head of the request, pass it if the answer is 2xx, and refuse it otherwise.
//!
//! The proxy may say which path was requested; then the [door](flyte_access::door) decides by the path as well. It cannot
//! decide by the body, which proxies do not send. A caller whose rights are limited to a project is therefore refused.

use std::sync::Arc;

use axum::{
    Json,
    extract::{OriginalUri, State},
    response::{IntoResponse as _, Response},
};
use http::{HeaderMap, HeaderName, HeaderValue, StatusCode, Uri};
use serde_json::json;

use super::error;
use crate::AuthorizationServer;
use flyte_access::{
    Caller,
    door::{Door, Refusal, RequiredScope},
};
use flyte_model::Scope;
use flyte_policy::Permission;
use flyte_settings::endpoints;

/// The headers in which proxies name the requested path: nginx and ingress-nginx by convention, Traefik and Caddy always.
const REQUESTED: [&str; 3] = ["x-original-uri", "x-original-url", "x-forwarded-uri"];
/// The caller's subject; the name is that of oauth2-proxy.
const USER: HeaderName = HeaderName::from_static("x-auth-request-user");
/// The e-mail address of a user.
const EMAIL: HeaderName = HeaderName::from_static("x-auth-request-email");

/// Answers 200 if the request with this head may pass, 401 if it has no valid token, and 403 if its token is not enough.
pub(super) async fn respond(
    State(server): State<Arc<AuthorizationServer>>,
    OriginalUri(own): OriginalUri,
    headers: HeaderMap,
) -> Response {
    let mut response = match decide(&server, &own, &headers).await {
        Ok(response) | Err(response) => response,
    };
    error::no_store(response.headers_mut());
    response
}

async fn decide(server: &AuthorizationServer, own: &Uri, headers: &HeaderMap) -> Result<Response, Response> {
    let paths = requested(own, headers).map_err(|why| refused(&why))?;
    if !paths.is_empty() && paths.iter().all(|path| is_anonymous(path)) {
        return Ok(StatusCode::OK.into_response());
    }
    let caller =
        server.access.authenticate(headers).await.map_err(axum::response::IntoResponse::into_response)?;
    judge(&caller, &paths).map_err(|why| refused(&why))?;
    let mut response = StatusCode::OK.into_response();
    let mut add = |name: HeaderName, text: &str| {
        if let Ok(value) = HeaderValue::from_bytes(text.as_bytes()) {
            response.headers_mut().insert(name, value);
        }
    };
    add(USER, &caller.subject);
    if caller.principal.is_person() {
        let user = server.store.user_by_id(&caller.subject).await;
        let user = user.map_err(|error| error::OAuthError::from(error).into_response())?;
        if let Some(user) = user {
            add(EMAIL, &user.email);
        }
    }
    Ok(response)
}

/// The paths that the proxy names. If it names two that differ, both must pass.
///
/// # Errors
/// The name of a header that has no path.
fn requested(own: &Uri, headers: &HeaderMap) -> Result<Vec<String>, String> {
    // Envoy appends the path to that of this endpoint.
    let appended = own.path().strip_prefix(endpoints::FORWARD_AUTH).filter(|rest| !rest.is_empty());
    let mut paths: Vec<String> = appended.map(str::to_owned).into_iter().collect();
    for name in REQUESTED {
        for value in headers.get_all(name) {
            let uri = value.to_str().ok().and_then(|text| text.parse::<Uri>().ok());
            let path = uri.as_ref().map(Uri::path).filter(|path| path.starts_with('/'));
            paths.push(path.ok_or_else(|| format!("{name} is not a path"))?.to_owned());
        }
    }
    Ok(paths)
}

/// Whether a path needs no token, because it says how to get one.
fn is_anonymous(path: &str) -> bool {
    path == endpoints::AUTHORIZATION_SERVER_METADATA
        || Door::published().rpc(path).is_some_and(|rpc| rpc.scope == RequiredScope::None)
}

/// Decides by the caller and the paths.
///
/// # Errors
/// The reason for a refusal, for the caller.
fn judge(caller: &Caller, paths: &[String]) -> Result<(), String> {
    if !caller.grants.see_everything() {
        return Err("the caller's rights are limited to a project, which this proxy cannot check".to_owned());
    }
    if paths.is_empty() {
        return match caller.scopes.contains(&Scope::ALL) && caller.grants.may_everywhere(Permission::Run) {
            true => Ok(()),
            false => Err("the caller may only read, and the proxy does not say what is requested".to_owned()),
        };
    }
    for path in paths {
        match Door::published().admit(caller, path) {
            Ok(()) => {}
            Err(Refusal::Unknown(_)) if is_page(path) => {}
            Err(Refusal::Denied(denied)) => return Err(denied.to_string()),
            Err(_) => return Err("this server does not know what is requested".to_owned()),
        }
    }
    Ok(())
}

/// Whether a path cannot be taken for an RPC or an internal address by any reader: proxies and backends decode, merge and
/// normalize paths in their own ways.
fn is_page(path: &str) -> bool {
    let mut segments = path.split('/').skip(1);
    let first = segments.next().unwrap_or_default();
    let is_plain = |segment: &str| !matches!(segment, "." | "..") && !segment.contains(['%', '\\', ';']);
    is_plain(first)
        && !first.contains('.')
        && !first.eq_ignore_ascii_case("internal")
        && !path.contains("//")
        && segments.all(is_plain)
}

/// The refusal of a caller, as a Connect client reads it. A gRPC client reads the status.
fn refused(why: &str) -> Response {
    let body = json!({"code": "permission_denied", "message": why});
    (StatusCode::FORBIDDEN, Json(body)).into_response()
}

#[cfg(test)]
mod tests {
    use axum::body::Body;
    use http::{Request, header};
    use secrecy::ExposeSecret as _;

    use super::*;
    use crate::fixture::{Answer, Server, api_key};
    use flyte_model::{Limit, Role};

    const RUN: &str = "/flyteidl2.workflow.RunService/CreateRun";
    const LIST: &str = "/flyteidl2.workflow.RunService/ListRuns";

    async fn ask(server: &Server, token: &str, own: &str, headers: &[(&str, &str)]) -> Answer {
        let mut request = Request::post(own);
        if !token.is_empty() {
            request = request.header(header::AUTHORIZATION, format!("Bearer {token}"));
        }
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        server.send(request.body(Body::empty()).unwrap()).await
    }

    async fn status(server: &Server, token: &str, path: &str) -> u16 {
        let mut seen = Vec::new();
        for header in REQUESTED {
            seen.push(ask(server, token, "/oauth2/auth", &[(header, path)]).await.status.as_u16());
        }
        seen.push(ask(server, token, &format!("/oauth2/auth{path}"), &[]).await.status.as_u16());
        assert!(seen.iter().all(|status| *status == seen[0]), "{path}: {seen:?}");
        seen[0]
    }

    #[tokio::test]
    async fn the_token_and_the_path_decide() {
        let server = Server::start().await;
        let tokens = server.tokens().await;
        let token = tokens["access_token"].as_str().unwrap();
        for (path, expected) in [
            (RUN, 200),
            (LIST, 200),
            ("/v2/runs?x=%2F", 200),
            ("/v2/assets/main.js", 200),
            ("/flyteidl2.workflow.InternalRunService/RecordAction", 403),
            ("/flyteidl2.cacheservice.CacheService/Get", 403),
            ("/internal/x", 403),
            ("/flyteidl2.workflow.RunService/Nothing", 403),
            ("//flyteidl2.workflow.InternalRunService/RecordAction", 403),
            ("/v2/../flyteidl2.workflow.InternalRunService/RecordAction", 403),
            ("/v2/%2e%2e/flyteidl2.workflow.InternalRunService/RecordAction", 403),
            ("/v2/./x", 403),
            ("/%66lyteidl2.workflow.InternalRunService/RecordAction", 403),
        ] {
            assert_eq!(status(&server, token, path).await, expected, "{path}");
            assert_eq!(status(&server, "", path).await, 401, "{path}");
        }
        let anonymous = "/flyteidl2.auth.AuthMetadataService/GetOAuth2Metadata";
        for path in [anonymous, "/.well-known/oauth-authorization-server"] {
            assert_eq!(status(&server, "", path).await, 200, "{path}");
            assert_eq!(status(&server, token, path).await, 200, "{path}");
        }
        assert_eq!(status(&server, "", "/.well-known/oauth-authorization-server/x").await, 401);
        // Two paths that differ must both pass.
        let both = [("x-original-uri", anonymous), ("x-forwarded-uri", RUN)];
        assert_eq!(ask(&server, "", "/oauth2/auth", &both).await.status, 401);
        let answer = ask(&server, token, "/oauth2/auth", &[("x-original-uri", "mailto:x")]).await;
        assert_eq!(
            (answer.status.as_u16(), answer.json()["code"].as_str()),
            (403, Some("permission_denied"))
        );

        let answer = ask(&server, token, "/oauth2/auth", &[]).await;
        assert_eq!(answer.status, 200);
        assert_eq!(answer.headers["x-auth-request-user"], "user-Ada");
        assert_eq!(answer.headers["x-auth-request-email"], "ada@example.com");
        assert_eq!(answer.headers["cache-control"], "no-store");
        let answer = ask(&server, "", "/oauth2/auth", &[]).await;
        assert_eq!(answer.status, 401);
        assert!(
            answer.headers["www-authenticate"].to_str().unwrap().starts_with("Bearer resource_metadata=")
        );
    }

    #[tokio::test]
    async fn a_revoked_token_is_refused_at_once() {
        let server = Server::start().await;
        let tokens = server.tokens().await;
        let token = tokens["access_token"].as_str().unwrap();
        assert_eq!(ask(&server, token, "/oauth2/auth", &[]).await.status, 200);
        server.post("/oauth2/revoke", &[("client_id", "flyte"), ("token", token)]).await;
        assert_eq!(ask(&server, token, "/oauth2/auth", &[]).await.status, 401);
    }

    #[tokio::test]
    async fn rights_that_the_proxy_cannot_check_are_not_assumed() {
        let server = Server::start().await;
        let store = &*server.state.store;
        let limit = || Limit { project: Some("flytesnacks".to_owned()), domain: None };
        let (_, limited) = api_key(store, "limited", |key| key.rights.limit = limit()).await;
        let (_, viewer) = api_key(store, "viewer", |key| key.rights.role = Role::Viewer).await;
        let (_, reader) = api_key(store, "reader", |key| key.rights.scopes = [Scope::READ].into()).await;
        let (_, full) = api_key(store, "full", |_| {}).await;
        for (id, secret, [without_a_path, list, run]) in [
            ("limited", limited, [403, 403, 403]),
            ("viewer", viewer, [403, 200, 403]),
            ("full", full, [200, 200, 200]),
            ("reader", reader, [403, 200, 403]),
        ] {
            let pairs = [("grant_type", "client_credentials")];
            let answer = server.post_as("/oauth2/token", (id, secret.expose_secret()), &pairs).await.json();
            let token = answer["access_token"].as_str().unwrap_or_else(|| panic!("{answer}"));
            assert_eq!(ask(&server, token, "/oauth2/auth", &[]).await.status, without_a_path, "{id}");
            assert_eq!(status(&server, token, LIST).await, list, "{id}");
            assert_eq!(status(&server, token, RUN).await, run, "{id}");
        }
    }
}
