//! How the sign-in reaches the host of an app: by a ticket that can be used once, within a minute, at one host, and by the
//! browser alone that has asked for it.
//!
//! The host of the app sets a cookie with a random value and sends the browser to [`ISSUE`] of this server, with a MAC of that
//! value. If the user is signed in, the browser returns to [`REDEEM`] with the ticket. There it gets the cookie of that
//! host, which names the session, so signing out of this server signs out of all apps. Ticket and cookie are sealed with
//! the server's key, which all replicas share.

use std::sync::Arc;

use axum::{
    extract::{OriginalUri, Query, Request, State, rejection::QueryRejection},
    response::Response,
};
use base64::{Engine as _, prelude::BASE64_URL_SAFE_NO_PAD};
use http::{HeaderMap, HeaderValue, StatusCode, request::Parts as Head};
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use subtle::ConstantTimeEq as _;
use url::form_urlencoded;

use super::{Web, cookies, is_local_path, is_navigation, redirect, refuse};
use flyte_identity::{
    cookie::{self, CookieSecret},
    session::SignedIn,
};
use flyte_keys::SigningKeys;
use flyte_model::clock::UnixTime;
use flyte_settings::endpoints;
use flyte_store::StoreError;

/// Where this server issues tickets.
pub(super) const ISSUE: &str = "/apps/sign-in";
/// Where the host of an app takes them. Apps have no addresses below `/.flyte/`.
pub(super) const REDEEM: &str = "/.flyte/sign-in";
/// The cookie of an app's host.
const COOKIE: &str = "__Host-flyte_app";
/// The cookie that binds a ticket to a browser.
const STATE: &str = "__Host-flyte_app_state";
/// How long a ticket can be used, in seconds.
const TICKET_LIFETIME: i64 = 60;
/// How long a user may take to sign in, in seconds.
const STATE_LIFETIME: i64 = 3600;

/// Purposes of MACs. One for a purpose is not valid for another.
const TICKET: &str = "app ticket";
const TICKET_ID: &str = "identifier of an app ticket";
const SESSION: &str = "app session";
const STATE_MAC: &str = "app state";

#[derive(Serialize, Deserialize)]
struct Ticket {
    id: String,
    host: String,
    session: String,
    path: String,
    state: String,
    exp: UnixTime,
}

#[derive(Serialize, Deserialize)]
struct AppSession {
    host: String,
    session: String,
    exp: UnixTime,
}

/// Returns a value that only this server can have made.
fn seal(keys: &SigningKeys, purpose: &str, content: &impl Serialize) -> Option<String> {
    let content = BASE64_URL_SAFE_NO_PAD.encode(serde_json::to_vec(content).ok()?);
    let mac = BASE64_URL_SAFE_NO_PAD.encode(keys.mac(purpose, content.as_bytes()));
    Some(format!("{content}.{mac}"))
}

/// Returns the content of a sealed value.
fn open<T: DeserializeOwned>(keys: &SigningKeys, purpose: &str, sealed: &str) -> Option<T> {
    let (content, mac) = sealed.split_once('.')?;
    let mac = BASE64_URL_SAFE_NO_PAD.decode(mac).ok()?;
    if !bool::from(keys.mac(purpose, content.as_bytes()).ct_eq(&mac)) {
        return None;
    }
    serde_json::from_slice(&BASE64_URL_SAFE_NO_PAD.decode(content).ok()?).ok()
}

fn state(keys: &SigningKeys, secret: &CookieSecret) -> String {
    BASE64_URL_SAFE_NO_PAD.encode(keys.mac(STATE_MAC, secret.as_ref()))
}

/// Sends a browser to the sign-in of this server, from the host of an app.
pub(super) fn begin(web: &Web, head: &Head, host: &str) -> Response {
    let keys = &web.parts.keys;
    let mut set = Vec::new();
    // All tabs use one value.
    let secret = match cookie::read_all(&head.headers, STATE).into_iter().next() {
        Some(secret) => secret,
        None => match cookie::generate() {
            Some(secret) => secret,
            None => return refuse(StatusCode::SERVICE_UNAVAILABLE, "the system returned no random numbers"),
        },
    };
    set.extend(cookie::set(STATE, &secret, Some(STATE_LIFETIME)));
    if !cookies::values(&head.headers, COOKIE).is_empty() {
        set.extend(cookies::set(COOKIE, "", 0));
    }
    let path = head.uri.path_and_query().map_or("/", http::uri::PathAndQuery::as_str);
    let path = if is_local_path(path) { path } else { "/" };
    let query = form_urlencoded::Serializer::new(String::new())
        .append_pair("host", host)
        .append_pair("path", path)
        .append_pair("state", &state(keys, &secret))
        .finish();
    redirect(&format!("{}?{query}", web.parts.config.url(ISSUE)), set)
}

#[derive(Deserialize)]
pub(super) struct IssueQuery {
    host: String,
    path: String,
    state: String,
}

/// `GET /apps/sign-in`: returns a signed-in user to the app with a ticket, and sends others to the sign-in first.
pub(super) async fn issue(
    State(web): State<Arc<Web>>,
    OriginalUri(own): OriginalUri,
    query: Result<Query<IssueQuery>, QueryRejection>,
    request: Request,
) -> Response {
    let (head, _) = request.into_parts();
    let Ok(Query(IssueQuery { host, path, state })) = query else {
        return refuse(StatusCode::BAD_REQUEST, "this is not the address of an app's sign-in");
    };
    // A browser is only sent to a host of the setting, and to a path there.
    let is_app = web.apps.iter().any(|apps| apps.has(&host));
    if !is_app || !is_local_path(&path) || !state.bytes().all(|byte| byte.is_ascii_graphic()) {
        return refuse(StatusCode::BAD_REQUEST, "this server has no app at this address");
    }
    if !is_navigation(&head) {
        return refuse(StatusCode::UNAUTHORIZED, "open the app in a browser to sign in");
    }
    let signed_in = match web.parts.sessions.current(&head.headers).await {
        Ok(signed_in) => signed_in,
        Err(error) => return failed(&error),
    };
    let Some(signed_in) = signed_in else {
        let own = own.path_and_query().map_or(ISSUE, http::uri::PathAndQuery::as_str);
        let query = form_urlencoded::Serializer::new(String::new()).append_pair("return_to", own).finish();
        return redirect(&format!("{}?{query}", endpoints::LOGIN), Vec::new());
    };
    let ticket = Ticket {
        id: uuid::Uuid::new_v4().to_string(),
        session: signed_in.session.id,
        exp: web.parts.clock.now().saturating_add(TICKET_LIFETIME),
        host,
        path,
        state,
    };
    let Some(sealed) = seal(&web.parts.keys, TICKET, &ticket) else {
        return refuse(StatusCode::INTERNAL_SERVER_ERROR, "the ticket cannot be written");
    };
    redirect(&format!("{}{REDEEM}?ticket={sealed}", origin(&web, &ticket.host)), Vec::new())
}

/// `GET /.flyte/sign-in` at the host of an app: exchanges a ticket for the cookie of that host.
pub(super) async fn redeem(web: &Web, head: &Head, host: &str) -> Response {
    let expired = || refuse(StatusCode::BAD_REQUEST, "this link is used or too old: open the app again");
    let query = head.uri.query().unwrap_or_default();
    let sealed = form_urlencoded::parse(query.as_bytes()).find(|(name, _)| name == "ticket");
    let ticket: Option<Ticket> = sealed.and_then(|(_, sealed)| open(&web.parts.keys, TICKET, &sealed));
    let now = web.parts.clock.now();
    let Some(ticket) = ticket.filter(|ticket| ticket.host == host && ticket.exp > now) else {
        return expired();
    };
    let is_own = |secret: &CookieSecret| {
        bool::from(state(&web.parts.keys, secret).as_bytes().ct_eq(ticket.state.as_bytes()))
    };
    if !cookie::read_all(&head.headers, STATE).iter().any(is_own) {
        return expired();
    }
    let id = web.parts.keys.mac(TICKET_ID, ticket.id.as_bytes());
    let outcome = async {
        if !web.parts.store.consume_jti(&id, ticket.exp).await? {
            return Ok(None);
        }
        web.parts.sessions.by_id(&ticket.session).await
    };
    let signed_in = match outcome.await {
        Ok(Some(signed_in)) => signed_in,
        Ok(None) => return expired(),
        Err(error) => return failed(&error),
    };
    let session =
        AppSession { host: host.to_owned(), session: ticket.session, exp: signed_in.session.expires_at };
    let value = seal(&web.parts.keys, SESSION, &session);
    let cookie = value.and_then(|value| cookies::set(COOKIE, &value, session.exp.saturating_sub(now)));
    let Some(cookie) = cookie else {
        return refuse(StatusCode::INTERNAL_SERVER_ERROR, "the cookie cannot be written");
    };
    redirect(&ticket.path, vec![cookie])
}

/// The user who is signed in at the host of an app. All cookies of the name are tried.
pub(super) async fn signed_in(
    web: &Web,
    headers: &HeaderMap,
    host: &str,
) -> Result<Option<SignedIn>, StoreError> {
    let now = web.parts.clock.now();
    for value in cookies::values(headers, COOKIE) {
        let session: Option<AppSession> = open(&web.parts.keys, SESSION, value);
        if let Some(session) = session.filter(|session| session.host == host && session.exp > now)
            && let Some(signed_in) = web.parts.sessions.by_id(&session.session).await?
        {
            return Ok(Some(signed_in));
        }
    }
    Ok(None)
}

/// Removes the cookie of an app's host.
pub(super) fn clear() -> Option<HeaderValue> {
    cookies::set(COOKIE, "", 0)
}

/// The origin of an app's host: scheme and port are those of this server.
pub(super) fn origin(web: &Web, host: &str) -> String {
    let own = &web.parts.config.public_url;
    match own.port() {
        Some(port) => format!("{}://{host}:{port}", own.scheme()),
        None => format!("{}://{host}", own.scheme()),
    }
}

pub(super) fn failed(error: &StoreError) -> Response {
    tracing::error!(%error, "a session could not be read");
    refuse(StatusCode::SERVICE_UNAVAILABLE, "the server's database failed; try again later")
}
