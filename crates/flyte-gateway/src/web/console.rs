//! The console of a backend: its pages, below `/v2` of this server.

use std::sync::Arc;

use axum::{
    body::Body,
    extract::{Request, State},
    response::Response,
};
use http::{Method, StatusCode, header};
use url::form_urlencoded;

use super::{
    Visitor, Web, busy,
    forward::{self, Target},
    is_navigation, redirect, refuse,
};
use flyte_http::is_same_origin;
use flyte_settings::endpoints;

/// Shows a page of the console to a signed-in user. Others are sent to the sign-in if they have opened the page, and get 401
/// otherwise.
pub(super) async fn serve(State(web): State<Arc<Web>>, request: Request) -> Response {
    let Some(url) = &web.console else { return refuse(StatusCode::NOT_FOUND, "there is no console") };
    let Some(_slot) = web.slot() else { return busy() };
    let (head, body) = request.into_parts();
    let signed_in = match web.parts.sessions.current(&head.headers).await {
        Ok(signed_in) => signed_in,
        Err(error) => {
            tracing::error!(%error, "a session could not be read");
            return refuse(StatusCode::SERVICE_UNAVAILABLE, "the server's database failed; try again later");
        }
    };
    let Some(signed_in) = signed_in else {
        if !is_navigation(&head) {
            return refuse(StatusCode::UNAUTHORIZED, "sign in first");
        }
        let path = head.uri.path_and_query().map_or("/v2", http::uri::PathAndQuery::as_str);
        let query = form_urlencoded::Serializer::new(String::new()).append_pair("return_to", path).finish();
        return redirect(&format!("{}?{query}", endpoints::LOGIN), Vec::new());
    };
    let is_read = head.method == Method::GET || head.method == Method::HEAD;
    let changes = !is_read || head.headers.contains_key(header::UPGRADE);
    if changes && !is_same_origin(&head.headers, web.parts.config.issuer()) {
        return refuse(StatusCode::FORBIDDEN, "this request must come from a page of this server");
    }
    if !is_plain(head.uri.path()) {
        return refuse(StatusCode::BAD_REQUEST, "this path has more than one meaning");
    }
    let caller = match web.parts.access.caller_of_session(&signed_in.user, &signed_in.session).await {
        Ok(caller) => Arc::new(caller),
        Err(error) => return super::ticket::failed(&error),
    };
    let visitor = Visitor { caller, by_cookie: true };
    // A request that may be refused for this must not have had an effect yet.
    let open = match web.parts.access.open_stream(&visitor.caller, &head.headers) {
        Ok(open) => open,
        Err(why) => return refuse(StatusCode::TOO_MANY_REQUESTS, &why.to_string()),
    };
    let target = Target { url, is_app: false, origin: web.parts.config.issuer() };
    let request = http::Request::from_parts(head, body).map(Body::new);
    forward::send(&web, target, (&visitor.caller, open), request).await
}

/// Whether every reader understands a path as the same one.
fn is_plain(path: &str) -> bool {
    let lower = path.to_ascii_lowercase();
    let is_encoded = |code: &str| lower.contains(code);
    !path.contains("//")
        && !path.contains('\\')
        && !path.split('/').any(|segment| matches!(segment, "." | ".."))
        && !["%2e", "%2f", "%5c", "%00"].into_iter().any(is_encoded)
}
