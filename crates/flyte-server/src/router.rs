//! The whole server on one port: what every request passes, from the outside in: [`ClientAddr`](flyte_model::ClientAddr) and
//! request identifier, the refusal of requests with two meanings, the span of its log lines, the time limit, the task that
//! works on it, the limit of requests at a time, the limits of its kind, and the net that catches panics.

use std::{sync::Arc, time::Duration};

use axum::{
    Extension, Router,
    extract::DefaultBodyLimit,
    http::{HeaderValue, StatusCode},
    middleware,
    response::Response,
};
use tower::util::option_layer;
use tower_http::{
    catch_panic::CatchPanicLayer,
    limit::RequestBodyLimitLayer,
    request_id::{MakeRequestUuid, PropagateRequestIdLayer, SetRequestIdLayer},
    set_header::SetResponseHeaderLayer,
    timeout::TimeoutLayer,
};

use crate::{
    app::{App, Backend, Embedded},
    panic, upstream,
};
use flyte_account::{Account, ShownOnce};
use flyte_admin_pages::AdminPages;
use flyte_console::Console;
use flyte_gateway::Gateway;
use flyte_http::{
    Readiness, ambiguity, drain, edge, finish,
    health::{self, Dependency},
    limits::{self, Slots},
};
use flyte_model::is_loopback;
use flyte_oauth::{OverviewSource, form};
use flyte_pages::{Link, Overview};
use flyte_rpc::{Entrance, Services};
use flyte_scim::Scim;
use flyte_settings::Config;

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
    let Served { services, rest, limited, unlimited } = match &app.backend {
        Backend::Embedded(embedded) => embedded_services(&app.config, embedded, services),
        Backend::Upstream(gateway) => upstream_services(&app.entrance, gateway, services),
    };
    let services = Services::new(&app.entrance, services);
    let calls = flyte_rpc::router(&services, rest)
        .layer(CatchPanicLayer::custom(panic::connect_error))
        .layer(DefaultBodyLimit::disable());

    let account = account_pages(&app, services.clone());
    let admin = admin_pages(&app, services.clone());
    let console = Arc::new(Console {
        sessions: app.authorization_server.sessions.clone(),
        access: Arc::clone(&app.access),
        services,
        clock: app.clock.clone(),
        has_control_plane: matches!(app.backend, Backend::Embedded(_)),
    });
    let provisioning = flyte_scim::router(Arc::new(Scim::new(
        Arc::clone(&app.config),
        app.clock.clone(),
        Arc::clone(&app.store),
        app.audit.clone(),
        Arc::clone(&app.access),
    )))
    .layer(CatchPanicLayer::custom(panic::scim_error));
    let pages = pages.layer(Extension(overview(&app, &console)));
    let router = pages
        .merge(calls)
        .merge(limited)
        .merge(account)
        .merge(admin)
        .merge(console_pages(&app, console))
        .merge(provisioning)
        .layer(middleware::from_fn_with_state(
            Arc::new(Slots::new(http.max_concurrent_requests)),
            limits::limit_concurrency,
        ))
        .layer(middleware::from_fn(finish::finish))
        // The time limit ends when the response begins, so streams continue. The work continues too: see `finish`.
        .layer(TimeoutLayer::with_status_code(StatusCode::SERVICE_UNAVAILABLE, request_timeout))
        .merge(unlimited)
        .layer(edge::trace())
        // An overloaded server is still alive, and its probes would fill the log.
        .merge(health::router(Arc::clone(&app.store), readiness, dependency(&app)));
    // Not for this machine's own names: a browser would then also refuse `http://localhost:PORT/callback`, to which
    // the sign-in of the command returns, and other local programs.
    let is_strict = app.config.public_url.scheme() == "https" && !is_loopback(&app.config.public_url);
    let strict = is_strict.then(|| {
        let (name, value) = edge::STRICT_TRANSPORT_SECURITY;
        SetResponseHeaderLayer::overriding(name, HeaderValue::from_static(value))
    });
    // Hosts of apps have no routes of this server.
    let apps = app
        .web
        .as_ref()
        .map(|web| middleware::from_fn_with_state(Arc::clone(web), flyte_gateway::web::apps::serve));
    let trusted_proxies: Arc<[_]> = http.trusted_proxies.as_slice().into();
    // From the outside in. As one layer: a router puts each of its layers into a box, and every request clones all boxes that are
    // inside of it.
    router.layer((
        middleware::from_fn_with_state(trusted_proxies, edge::identify),
        option_layer(strict),
        SetRequestIdLayer::new(edge::REQUEST_ID, MakeRequestUuid),
        PropagateRequestIdLayer::new(edge::REQUEST_ID),
        // Outside of everything that may answer without reading the request.
        middleware::from_fn(drain::unread),
        middleware::from_fn(ambiguity::refuse),
        option_layer(apps),
    ))
}

/// The pages of users' own accounts.
fn account_pages(app: &App, services: Services) -> Router {
    let account = Account {
        sessions: app.authorization_server.sessions.clone(),
        access: Arc::clone(&app.access),
        services,
        config: Arc::clone(&app.config),
        store: Arc::clone(&app.store),
        audit: app.audit.clone(),
        clock: app.clock.clone(),
        shown_once: ShownOnce::default(),
    };
    flyte_account::router(Arc::new(account))
        .layer(middleware::map_response(flyte_pages::security_headers))
        .layer(CatchPanicLayer::custom(panic::page))
        .layer(RequestBodyLimitLayer::new(form::MAX_BYTES))
        .layer(middleware::from_fn(limits::limit_form_time))
}

/// The pages for administrators.
fn admin_pages(app: &App, services: Services) -> Router {
    let pages = AdminPages {
        sessions: app.authorization_server.sessions.clone(),
        access: Arc::clone(&app.access),
        services,
        clock: app.clock.clone(),
    };
    flyte_admin_pages::router(Arc::new(pages))
        .layer(middleware::map_response(flyte_pages::security_headers))
        .layer(CatchPanicLayer::custom(panic::page))
        .layer(middleware::from_fn(limits::limit_form_time))
}

/// The console: our own pages, or that of a backend with the sign-in of its apps.
fn console_pages(app: &App, console: Arc<Console>) -> Router {
    let router = match (&app.backend, &app.web) {
        (Backend::Embedded(_), _) => {
            flyte_console::router(console).layer(middleware::map_response(flyte_pages::security_headers))
        }
        (Backend::Upstream(_), Some(web)) => flyte_gateway::web::router(Arc::clone(web)),
        (Backend::Upstream(_), None) => return Router::new(),
    };
    router.layer(CatchPanicLayer::custom(panic::page))
}

/// What the home page says about a user, with a link to the console of a backend.
fn overview(app: &App, console: &Arc<Console>) -> OverviewSource {
    let upstream = app.config.upstream.as_ref();
    let open = upstream
        .and_then(|upstream| upstream.console_url.as_ref())
        .map(|_| Link { href: "/v2".to_owned(), text: "Open the console".to_owned() });
    let console = Arc::clone(console);
    OverviewSource(Arc::new(move |who| {
        let (console, open) = (Arc::clone(&console), open.clone());
        Box::pin(async move { Overview { open, ..flyte_console::overview(console, who).await } })
    }))
}

/// What the backend serves.
struct Served {
    /// The services of this server, together with the others that it has.
    services: connectrpc::Router,
    /// The calls that none of them answers.
    rest: Router,
    /// Routes with the usual limits.
    limited: Router,
    /// Routes that may take any time and have limits of their own.
    unlimited: Router,
}

fn embedded_services(config: &Config, embedded: &Embedded, services: connectrpc::Router) -> Served {
    let plane = &embedded.control_plane;
    let limited = flyte_control_plane::objects::downloads(Arc::clone(plane))
        .layer(CatchPanicLayer::custom(panic::page));
    let unlimited = flyte_control_plane::objects::uploads(Arc::clone(plane))
        .layer(CatchPanicLayer::custom(panic::page))
        .layer(middleware::from_fn(finish::finish));
    let rest = flyte_control_plane::unsupported(config);
    Served { services: flyte_control_plane::register(plane, services), rest, limited, unlimited }
}

/// The gateway's calls are outside of the limits: a stream may be silent for hours before its answer begins, and the gateway must
/// notice that a client has gone.
fn upstream_services(
    entrance: &Arc<Entrance>,
    gateway: &Arc<Gateway>,
    services: connectrpc::Router,
) -> Served {
    let calls = flyte_rpc::authenticated(entrance, flyte_gateway::router(Arc::clone(gateway)))
        .layer(CatchPanicLayer::custom(panic::connect_error));
    Served {
        services: upstream::register(services),
        rest: Router::new(),
        limited: Router::new(),
        unlimited: calls,
    }
}

/// Whether the backends that the server needs can be reached.
fn dependency(app: &App) -> Dependency {
    match &app.backend {
        Backend::Embedded(_) => Dependency::none(),
        Backend::Upstream(gateway) => {
            let gateway = Arc::clone(gateway);
            Dependency::new("backend", move || gateway.is_reachable())
        }
    }
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

    #[tokio::test]
    async fn a_backend_replaces_the_control_plane() {
        let upstream = Some(testing::upstream("http://127.0.0.1:9"));
        let router =
            router(Arc::new(testing::app(|config| config.upstream = upstream).await), Readiness::default());
        let ask = async |request: Request<Body>| {
            let answer = router.clone().oneshot(request).await.unwrap();
            let (status, body) = (answer.status().as_u16(), answer.into_body());
            let body = axum::body::to_bytes(body, 1 << 16).await.unwrap();
            (status, String::from_utf8(body.to_vec()).unwrap())
        };
        let get = async |path: &str| ask(Request::get(path).body(Body::empty()).unwrap()).await;
        assert_eq!(get("/healthz").await, (200, "ok\n".to_owned()));
        assert_eq!(get("/readyz").await, (503, "backend\n".to_owned()));
        for (path, status) in [
            ("/flyteidl2.workflow.RunService/GetRunDetails", 401),
            ("/flyteidl2.auth.IdentityService/UserInfo", 401),
            ("/flyteauth.ApiKeyService/ListApiKeys", 401),
            ("/flyteidl2.auth.AuthMetadataService/GetPublicClientConfig", 200),
            ("/.well-known/oauth-protected-resource", 405),
            ("/nowhere/at-all", 404),
        ] {
            let request = Request::post(path).header("content-type", "application/json");
            let (found, body) = ask(request.body("{}".into()).unwrap()).await;
            assert_eq!(found, status, "{path}: {body}");
        }
    }
}
