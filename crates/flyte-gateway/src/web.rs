//! Browsers: the console and apps, for signed-in users only.
//!
//! The console is below `/v2` of this server ([`router`]). Its pages call RPCs with the cookie of the sign-in, which
//! `flyte-rpc` checks. Apps have hosts of their own ([`apps::serve`]), each with a cookie of its own, which a one-use
//! ticket of this server brings there (`ticket`). Neither the console nor an app sees our cookies and tokens, and
//! neither can set them (`forward`).

pub mod apps;
mod client;
mod console;
mod cookies;
mod forward;
mod guarded;
mod owners;
mod ticket;
mod websocket;

use std::{fmt, sync::Arc};

use axum::{
    Router,
    response::{IntoResponse as _, Response},
    routing::{any, get},
};
use http::{HeaderMap, HeaderValue, Method, StatusCode, header, request::Parts as Head};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use url::Url;

use self::{client::Client, owners::Owners};
use crate::Gateway;
use flyte_access::{Access, Caller};
use flyte_identity::session::Sessions;
use flyte_keys::SigningKeys;
use flyte_model::{Stopping, clock::Clock};
use flyte_settings::{AppHosts, Config, UpstreamConfig};
use flyte_store::Store;

/// What the console and apps share with the rest of the server.
pub struct WebParts {
    /// The configuration.
    pub config: Arc<Config>,
    /// The current time.
    pub clock: Clock,
    /// Remembers used tickets.
    pub store: Arc<dyn Store>,
    /// Seal tickets and the cookies of apps.
    pub keys: Arc<SigningKeys>,
    /// Programs call apps with tokens; open streams end with their callers.
    pub access: Arc<Access>,
    /// Asks the backends to which projects apps belong.
    pub gateway: Arc<Gateway>,
    /// The sessions of browsers.
    pub sessions: Sessions,
    /// Streams end when the server stops.
    pub stopping: Stopping,
}

/// The console and the apps.
pub struct Web {
    parts: WebParts,
    console: Option<Url>,
    apps: Vec<AppHosts>,
    client: Client,
    slots: Arc<Semaphore>,
    owners: Owners,
}

impl Web {
    /// Creates it without connections.
    #[must_use]
    pub fn new(parts: WebParts, upstream: &UpstreamConfig) -> Self {
        let slots = parts.config.http.max_concurrent_requests.min(Semaphore::MAX_PERMITS);
        Self {
            console: upstream.console_url.clone(),
            apps: upstream.apps.clone(),
            client: Client::new(upstream),
            slots: Arc::new(Semaphore::new(slots)),
            owners: Owners::default(),
            parts,
        }
    }

    /// A place among the requests whose answers have not begun. To be taken before anything is done for a request; what comes
    /// after the beginning of the answer counts as a stream.
    fn slot(&self) -> Option<OwnedSemaphorePermit> {
        Arc::clone(&self.slots).try_acquire_owned().ok()
    }
}

impl fmt::Debug for Web {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Web")
            .field("console", &self.console)
            .field("apps", &self.apps)
            .finish_non_exhaustive()
    }
}

/// The routes of this server's own host: the console, and the sign-in of apps.
pub fn router(web: Arc<Web>) -> Router {
    let mut router = Router::new();
    if web.console.is_some() {
        let console = any(console::serve);
        router =
            router.route("/v2", console.clone()).route("/v2/", console.clone()).route("/v2/{*path}", console);
    }
    if !web.apps.is_empty() {
        router = router.route(ticket::ISSUE, get(ticket::issue));
    }
    router.with_state(web)
}

/// The caller of a request by a browser or a program.
#[derive(Clone)]
struct Visitor {
    caller: Arc<Caller>,
    /// Whether a cookie says so: any page can make a browser send it.
    by_cookie: bool,
}

/// Whether a user has opened this address, so that a page is expected as the answer. Programs and the requests of pages
/// get a status instead.
fn is_navigation(head: &Head) -> bool {
    let has = |name: &str, wanted: &str| match head.headers.get(name) {
        Some(value) => value == wanted,
        None => true,
    };
    let accepts_html = head.headers.get_all(header::ACCEPT).iter().any(|value| {
        value.to_str().is_ok_and(|text| text.split(',').any(|one| one.trim().starts_with("text/html")))
    });
    head.method == Method::GET
        && accepts_html
        && has("sec-fetch-mode", "navigate")
        && has("sec-fetch-dest", "document")
        && !head.headers.contains_key(header::UPGRADE)
}

/// The refusal without a place.
fn busy() -> Response {
    refuse(StatusCode::SERVICE_UNAVAILABLE, "the server is busy; try again later")
}

/// A refusal for programs and pages.
fn refuse(status: StatusCode, why: &str) -> Response {
    let mut response = (status, format!("{why}\n")).into_response();
    response.headers_mut().insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    if status == StatusCode::UNAUTHORIZED {
        // A 401 must name a scheme (RFC 9110 section 15.5.2). Browsers show no dialog for these.
        response.headers_mut().insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
    }
    response
}

/// A redirect that no cache keeps.
fn redirect(to: &str, cookies: Vec<HeaderValue>) -> Response {
    let Ok(location) = HeaderValue::from_str(to) else {
        return refuse(StatusCode::BAD_REQUEST, "the address has characters that are not allowed");
    };
    let mut response = StatusCode::SEE_OTHER.into_response();
    let headers: &mut HeaderMap = response.headers_mut();
    headers.insert(header::LOCATION, location);
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(header::REFERRER_POLICY, HeaderValue::from_static("no-referrer"));
    for cookie in cookies {
        headers.append(header::SET_COOKIE, cookie);
    }
    response
}

/// Whether a text is a path on the same host for every browser: browsers read `\` as `/`, and `//` as the beginning of
/// another host.
fn is_local_path(text: &str) -> bool {
    text.starts_with('/')
        && !text.starts_with("//")
        && text.len() <= 4096
        && text.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'\\' && byte != b'#')
}

#[cfg(test)]
mod tests;
