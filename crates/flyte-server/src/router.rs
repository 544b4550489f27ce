//! The whole server on one port: what every request passes, from the outside in: [`ClientAddr`](flyte_model::ClientAddr) and
//! request identifier, the refusal of requests with two meanings, the span of its log lines, the time limit, the task that
//! works on it, the limit of requests at a time, the limits of its kind, and the net that catches panics.

use std::{sync::Arc, time::Duration};

use axum::{
    Router,
    extract::DefaultBodyLimit,
    http::{HeaderValue, StatusCode},
    middleware,
    response::Response,
};
use tower_http::{
    catch_panic::CatchPanicLayer,
    limit::RequestBodyLimitLayer,
    request_id::{MakeRequestUuid, PropagateRequestIdLayer, SetRequestIdLayer},
    set_header::SetResponseHeaderLayer,
    timeout::TimeoutLayer,
};

use crate::{app::App, panic};
use flyte_http::{
    Readiness, ambiguity, drain, edge, finish, health,
    limits::{self, Slots},
};
use flyte_model::is_loopback;
use flyte_oauth::form;

/// The whole server: OAuth, pages, control plane and health on one port. The peer's address comes in as
/// `ConnectInfo<SocketAddr>`.
pub fn router(app: Arc<App>, readiness: Readiness) -> Router {
    let http = &app.config.http;
    let request_timeout = Duration::from_secs(http.request_timeout.unsigned_abs());

    let pages = Router::new()
        .merge(flyte_oauth::router(&app.authorization_server))
        .fallback(not_found)
        .with_state(Arc::clone(&app.authorization_server))
        .layer(CatchPanicLayer::custom(panic::page))
        .layer(RequestBodyLimitLayer::new(form::MAX_BYTES))
        .layer(middleware::from_fn(limits::limit_form_time));
    let services =
        flyte_oauth::auth_metadata(Arc::clone(&app.authorization_server), connectrpc::Router::new());
    let services = flyte_administration::register(&app.administration, services);
    let services = flyte_control_plane::register(&app.control_plane, services);
    let unsupported = flyte_control_plane::unsupported(&app.config);
    let calls = flyte_rpc::router(&app.entrance, services, unsupported)
        .layer(CatchPanicLayer::custom(panic::connect_error))
        .layer(DefaultBodyLimit::disable());

    let downloads = flyte_control_plane::objects::downloads(Arc::clone(&app.control_plane))
        .layer(CatchPanicLayer::custom(panic::page));
    // Uploads may take any time, and have their own limits.
    let uploads = flyte_control_plane::objects::uploads(Arc::clone(&app.control_plane))
        .layer(CatchPanicLayer::custom(panic::page))
        .layer(middleware::from_fn(finish::finish));

    let mut router = pages
        .merge(calls)
        .merge(downloads)
        .layer(middleware::from_fn_with_state(
            Arc::new(Slots::new(http.max_concurrent_requests)),
            limits::limit_concurrency,
        ))
        .layer(middleware::from_fn(finish::finish))
        // The time limit ends when the response begins, so streams continue. The work continues too: see `finish`.
        .layer(TimeoutLayer::with_status_code(StatusCode::SERVICE_UNAVAILABLE, request_timeout))
        .merge(uploads)
        .layer(edge::trace())
        // An overloaded server is still alive, and its probes would fill the log.
        .merge(health::router(Arc::clone(&app.store), readiness))
        .layer(middleware::from_fn(ambiguity::refuse))
        // Outside of everything that may answer without reading the request.
        .layer(middleware::from_fn(drain::unread))
        .layer(PropagateRequestIdLayer::new(edge::REQUEST_ID))
        .layer(SetRequestIdLayer::new(edge::REQUEST_ID, MakeRequestUuid));
    // Not for this machine's own names: a browser would then also refuse `http://localhost:PORT/callback`, to which
    // the sign-in of the command returns, and other local programs.
    if app.config.public_url.scheme() == "https" && !is_loopback(&app.config.public_url) {
        let (name, value) = edge::STRICT_TRANSPORT_SECURITY;
        router = router.layer(SetResponseHeaderLayer::overriding(name, HeaderValue::from_static(value)));
    }
    let trusted_proxies: Arc<[_]> = http.trusted_proxies.as_slice().into();
    router.layer(middleware::from_fn_with_state(trusted_proxies, edge::identify))
}

async fn not_found() -> Response {
    flyte_pages::error_page(
        StatusCode::NOT_FOUND,
        "Page not found",
        "This server has no page at this address.",
    )
}

#[cfg(test)]
mod tests {
    use axum::body::Body;
    use http::Request;
    use tower::ServiceExt as _;

    use super::*;
    use crate::testing;

    #[tokio::test]
    async fn an_answer_has_the_identifier_of_its_request() {
        let router = router(Arc::new(testing::app(|_| {}).await), Readiness::default());
        for (path, id) in [("/healthz", Some("r-1")), ("/oauth2/jwks", Some("r-2")), ("/nowhere", None)] {
            let mut request = Request::get(path);
            if let Some(id) = id {
                request = request.header(edge::REQUEST_ID, id);
            }
            let answer = router.clone().oneshot(request.body(Body::empty()).unwrap()).await.unwrap();
            let answered = answer.headers()[edge::REQUEST_ID].to_str().unwrap();
            match id {
                Some(id) => assert_eq!(answered, id, "{path}"),
                None => assert_eq!(answered.len(), 36, "{path}: a new one"),
            }
        }
    }
}
