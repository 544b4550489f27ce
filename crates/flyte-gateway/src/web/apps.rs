//! Apps, each at a host of its own.

use std::sync::Arc;

use axum::{
    extract::{Request, State},
    middleware::Next,
    response::Response,
};
use http::{HeaderMap, Method, StatusCode, header, request::Parts as Head};

use super::{
    Visitor, Web, busy,
    forward::{self, Target},
    is_navigation, redirect, refuse, ticket,
};
use crate::headers;
use flyte_access::Reason;
use flyte_http::is_same_origin;
use flyte_policy::Permission;
use flyte_settings::{AppHosts, endpoints};

/// The addresses of this server at the hosts of apps.
const RESERVED: &str = "/.flyte/";
/// Where a user signs out of all apps.
const SIGN_OUT: &str = "/.flyte/sign-out";

/// Answers requests for hosts of apps; passes all others on.
pub async fn serve(State(web): State<Arc<Web>>, request: Request, next: Next) -> Response {
    let host = headers::host(request.uri(), request.headers());
    let Some((host, apps)) = host.and_then(|host| {
        let host = host.trim_end_matches('.').to_ascii_lowercase();
        let apps = web.apps.iter().find(|apps| apps.has(&host))?;
        Some((host, apps))
    }) else {
        return next.run(request).await;
    };
    // This is outside of the other limits of the server.
    let Some(_slot) = web.slot() else { return busy() };
    let (mut head, body) = request.into_parts();
    let path = head.uri.path();
    if path.starts_with(RESERVED) {
        return match (path, &head.method) {
            (ticket::REDEEM, &Method::GET) => ticket::redeem(&web, &head, &host).await,
            (SIGN_OUT, &Method::GET) => {
                redirect(&web.parts.config.url(endpoints::LOGOUT), ticket::clear().into_iter().collect())
            }
            _ => refuse(StatusCode::NOT_FOUND, "there is no such page"),
        };
    }
    if is_preflight(&head) {
        return refuse(StatusCode::FORBIDDEN, "apps are not called by pages of other origins");
    }
    let visitor = match identify(&web, &head.headers, &host).await {
        Ok(Some(visitor)) => visitor,
        Ok(None) if is_navigation(&head) => return ticket::begin(&web, &head, &host),
        Ok(None) => return refuse(StatusCode::UNAUTHORIZED, "sign in first"),
        Err(response) => return response,
    };
    let origin = ticket::origin(&web, &host);
    if visitor.by_cookie && !comes_from(&head, &origin) {
        return refuse(StatusCode::FORBIDDEN, "this request must come from a page of this app");
    }
    // A request that may be refused for this must not have had an effect yet.
    let open = match web.parts.access.open_stream(&visitor.caller, &head.headers) {
        Ok(open) => open,
        Err(why) => return refuse(StatusCode::TOO_MANY_REQUESTS, &why.to_string()),
    };
    if let Err(refusal) = may_reach(&web, &visitor, apps, &host).await {
        return refusal;
    }
    if web.parts.access.has_own_token(&head.headers) {
        // The app must not see it.
        head.headers.remove(header::AUTHORIZATION);
    }
    let target = Target { url: &apps.url, is_app: true, origin: &origin };
    forward::send(&web, target, (&visitor.caller, open), http::Request::from_parts(head, body)).await
}

/// Checks that the app belongs to a project that the caller may see. Without a limit, that is each.
async fn may_reach(web: &Web, visitor: &Visitor, apps: &AppHosts, host: &str) -> Result<(), Response> {
    if visitor.caller.grants.may_everywhere(Permission::ViewInventory) {
        return Ok(());
    }
    match web.owners.may_see(&web.parts.gateway, &visitor.caller, apps.backend(), host).await {
        Ok(true) => Ok(()),
        Ok(false) => {
            Err(refuse(StatusCode::NOT_FOUND, "there is no such app in the project that you are limited to"))
        }
        Err(error) => {
            tracing::warn!(%error, host, "it was not found out to which project an app belongs");
            let why = "the backend did not say to which project the app belongs; try again later";
            Err(refuse(StatusCode::SERVICE_UNAVAILABLE, why))
        }
    }
}

fn is_preflight(head: &Head) -> bool {
    head.method == Method::OPTIONS && head.headers.contains_key(header::ACCESS_CONTROL_REQUEST_METHOD)
}

/// Whether a request with a cookie may have its effect: it only reads, or a page of the app has sent it. Browsers say so for
/// each handshake of a WebSocket.
fn comes_from(head: &Head, origin: &str) -> bool {
    if head.headers.contains_key(header::UPGRADE) {
        return head.headers.contains_key(header::ORIGIN) && is_same_origin(&head.headers, origin);
    }
    let only_reads = matches!(head.method, Method::GET | Method::HEAD | Method::OPTIONS);
    only_reads || is_same_origin(&head.headers, origin)
}

/// The caller: by the cookie of this host, or else by a token of this server. `Authorization` may have a credential of the
/// app itself, which does not count here.
async fn identify(web: &Web, headers: &HeaderMap, host: &str) -> Result<Option<Visitor>, Response> {
    let signed_in = ticket::signed_in(web, headers, host).await.map_err(|error| ticket::failed(&error))?;
    if let Some(signed_in) = signed_in {
        let (user, session) = (&signed_in.user, &signed_in.session);
        let caller = web.parts.access.caller_of_session(user, session).await;
        let caller = Arc::new(caller.map_err(|error| ticket::failed(&error))?);
        return Ok(Some(Visitor { caller, by_cookie: true }));
    }
    if !headers.contains_key("flyte-authorization") && !web.parts.access.has_own_token(headers) {
        return Ok(None);
    }
    match web.parts.access.authenticate(headers).await {
        Ok(caller) => Ok(Some(Visitor { caller, by_cookie: false })),
        Err(error) => {
            let is_down = matches!(error.reason, Reason::Store(_));
            let status = if is_down { StatusCode::SERVICE_UNAVAILABLE } else { StatusCode::UNAUTHORIZED };
            Err(refuse(status, &error.to_string()))
        }
    }
}
