//! Sign-in with e-mail address and password.

use std::{net::IpAddr, sync::Arc};

use axum::{
    Extension, Form,
    extract::{
        DefaultBodyLimit, Query, State,
        rejection::{FormRejection, QueryRejection},
    },
    http::{HeaderMap, HeaderValue, StatusCode, header},
    response::{AppendHeaders, IntoResponse, Redirect, Response},
};
use secrecy::SecretString;
use serde::{Deserialize, Deserializer};

use crate::{AuthorizationServer, client, redirect_uri};
use flyte_audit::{Detail, Event, Kind};
use flyte_identity::{PasswordError, Passwords, first_password};
use flyte_model::ClientAddr;
use flyte_pages::{
    FormAction, LoginView, ReturnTo, csrf, duration, error_page, internal_error_page, login_page,
};
use flyte_store::{BrowserSession, StoreError, User};

/// The maximum length of an e-mail address in bytes (RFC 5321 section 4.5.3.1.3). No account has a longer one.
const MAX_EMAIL_BYTES: usize = 254;

/// Large enough for a form with a long authorization request in which every byte is percent-encoded.
pub(super) fn body_limit() -> DefaultBodyLimit {
    DefaultBodyLimit::max(40 * 1024)
}

/// Query of `GET /login`.
#[derive(Deserialize)]
pub(super) struct LoginQuery {
    #[serde(default)]
    return_to: String,
    /// Present if the user wants another account than the browser's.
    another_account: Option<String>,
}

/// Body of `POST /login`.
#[derive(Deserialize)]
pub(super) struct LoginForm {
    #[serde(default)]
    csrf: String,
    #[serde(default)]
    return_to: String,
    #[serde(default)]
    email: String,
    #[serde(default, deserialize_with = "secret")]
    password: SecretString,
}

/// Reads a secret field.
pub(super) fn secret<'de, D: Deserializer<'de>>(deserializer: D) -> Result<SecretString, D::Error> {
    String::deserialize(deserializer).map(SecretString::from)
}

/// `GET /login`
pub(super) async fn show(
    State(server): State<Arc<AuthorizationServer>>,
    query: Result<Query<LoginQuery>, QueryRejection>,
    headers: HeaderMap,
) -> Response {
    let query = query.ok().map(|Query(query)| query);
    let another_account = query.as_ref().is_some_and(|query| query.another_account.is_some());
    let return_to = query.and_then(|query| ReturnTo::parse(&query.return_to));
    let signed_in = match server.sessions.current(&headers).await {
        Ok(signed_in) => signed_in,
        Err(error) => return internal_error_page(&error),
    };
    if signed_in.is_some() && return_to.is_none() {
        return Redirect::to("/").into_response();
    }
    // A signed-in user who comes here must sign in again. The form contains their e-mail address unless they want
    // another account.
    let email = return_to
        .as_ref()
        .and_then(|request| request.parameter("login_hint"))
        .filter(|hint| hint.len() <= MAX_EMAIL_BYTES)
        .or_else(|| signed_in.map(|signed_in| signed_in.user.email))
        .filter(|_| !another_account);
    let page = LoginPage { email: &email.unwrap_or_default(), another_account, ..LoginPage::default() };
    form(&server, &headers, return_to.as_ref(), page).await
}

/// `POST /login`
pub(super) async fn submit(
    State(server): State<Arc<AuthorizationServer>>,
    Extension(ClientAddr(address)): Extension<ClientAddr>,
    headers: HeaderMap,
    body: Result<Form<LoginForm>, FormRejection>,
) -> Response {
    let LoginForm { csrf, return_to, email, password } = match body {
        Ok(Form(form)) => form,
        Err(rejection) => {
            return error_page(
                rejection.status(),
                "The form could not be read",
                "Go back, reload the page, and sign in again.",
            );
        }
    };
    let return_to = ReturnTo::parse(&return_to);
    let email = email.trim();
    let refuse = async |refusal: Refusal| {
        let page = LoginPage { email, refusal: Some(refusal), ..LoginPage::default() };
        form(&server, &headers, return_to.as_ref(), page).await
    };
    if !server.config.passwords {
        return error_page(
            StatusCode::FORBIDDEN,
            "Passwords are turned off",
            "This server has no sign-in with a password. Go to the sign-in page, and use one of the providers.",
        );
    }

    let refused = |reason| Event::new(Kind::SignInRefused).from(address).detail(Detail::Reason, reason);
    if !csrf::verify(&headers, &csrf) {
        server.audit.record(refused("csrf")).await;
        return refuse(Refusal::OutOfDate).await;
    }
    // The limits are checked before anything that depends on the account.
    let known = server.known_browsers.recognize(&headers, email);
    let attempt = match server.throttle.admit(email, address, known) {
        Ok(attempt) => attempt,
        Err(throttled) => {
            server.audit.record(refused("throttled")).await;
            return refuse(Refusal::Throttled { retry_after: throttled.retry_after }).await;
        }
    };
    let account = match account(&server, email).await {
        Ok(account) => account,
        Err(error) => {
            attempt.withdrawn();
            return internal_error_page(&error);
        }
    };
    let hash = account.as_ref().and_then(|user| user.password_hash.clone());
    match server.passwords.verify(password.clone(), hash).await {
        Ok(true) => {}
        Ok(false) => {
            server.audit.record(failed_attempt(account.as_ref(), address)).await;
            return refuse(Refusal::WrongCredentials).await;
        }
        Err(error) => {
            attempt.withdrawn();
            return match error {
                PasswordError::Overloaded { retry_after } => refuse(Refusal::Busy { retry_after }).await,
                PasswordError::Weak(_) | PasswordError::Failed(_) => internal_error_page(&error),
            };
        }
    }
    let Some(mut user) = account else { return refuse(Refusal::WrongCredentials).await };
    match sign_in(&server, &headers, &mut user, password).await {
        Ok(None) => {
            server.audit.record(failed_attempt(Some(&user), address)).await;
            refuse(Refusal::WrongCredentials).await
        }
        Ok(Some((session, cookie))) => {
            attempt.succeeded();
            if let Err(error) = first_password::forget(&server.config.data_dir, &user.email) {
                tracing::warn!(%error, "the file with the first password could not be removed; remove it");
            }
            let event = with_user(Event::new(Kind::SignedIn).from(address), &user);
            server.audit.record(event.detail(Detail::Session, session.id)).await;
            let location = return_to.as_ref().and_then(ReturnTo::location);
            let location = location.unwrap_or(HeaderValue::from_static("/"));
            let cookies = [Some(cookie), server.known_browsers.remember(&headers, email)];
            let cookies = cookies.into_iter().flatten().map(|cookie| (header::SET_COOKIE, cookie));
            (StatusCode::SEE_OTHER, [(header::LOCATION, location)], AppendHeaders(cookies)).into_response()
        }
        Err(error) => {
            attempt.withdrawn();
            internal_error_page(&error)
        }
    }
}

/// Adds the user to an event.
fn with_user(event: Event, user: &User) -> Event {
    event.subject(&user.id).detail(Detail::Email, &user.email)
}

/// The event for a wrong password. The typed e-mail address is recorded only if it belongs to an account: it may be a
/// password in the wrong field.
fn failed_attempt(account: Option<&User>, address: IpAddr) -> Event {
    account.into_iter().fold(Event::new(Kind::SignInFailed).from(address), with_user)
}

/// Returns the account that can sign in with this address; `None` if it is disabled.
async fn account(server: &AuthorizationServer, email: &str) -> Result<Option<User>, StoreError> {
    if email.len() > MAX_EMAIL_BYTES {
        return Ok(None);
    }
    let user = server.store.user_by_email(email).await?;
    Ok(user.filter(|user| user.disabled_at.is_none()))
}

/// Starts a session in place of the browser's current one; `None` if the password has just been changed.
async fn sign_in(
    server: &AuthorizationServer,
    headers: &HeaderMap,
    user: &mut User,
    password: SecretString,
) -> Result<Option<(BrowserSession, HeaderValue)>, StoreError> {
    if let Some(outdated) = user.password_hash.as_deref().filter(|hash| Passwords::is_outdated(hash)) {
        match server.passwords.rehash(password).await {
            Ok(hash) => {
                if server.store.upgrade_password_hash(&user.id, outdated, &hash).await? {
                    user.password_hash = Some(hash);
                }
            }
            Err(error) => {
                tracing::warn!(%error, user_id = user.id, "the password hash could not be renewed; the old one stays valid");
            }
        }
    }
    if let Some(old) = server.sessions.current(headers).await? {
        server.sessions.end(&old.session).await?;
    }
    server.sessions.start(user).await
}

/// The reason for refusing a sign-in.
enum Refusal {
    WrongCredentials,
    Throttled { retry_after: i64 },
    Busy { retry_after: u32 },
    OutOfDate,
}

impl Refusal {
    fn status(&self) -> StatusCode {
        match self {
            Self::WrongCredentials => StatusCode::UNAUTHORIZED,
            Self::Throttled { .. } => StatusCode::TOO_MANY_REQUESTS,
            Self::Busy { .. } => StatusCode::SERVICE_UNAVAILABLE,
            Self::OutOfDate => StatusCode::FORBIDDEN,
        }
    }

    fn message(&self) -> String {
        match self {
            Self::WrongCredentials => "The e-mail address or the password is wrong.".to_owned(),
            Self::Throttled { retry_after } => {
                format!("Too many failed attempts. Try again in {}.", duration(*retry_after))
            }
            Self::Busy { .. } => "Too many people are signing in. Try again in a moment.".to_owned(),
            Self::OutOfDate => "This page was out of date. Please sign in again.".to_owned(),
        }
    }

    fn header(&self) -> Option<(header::HeaderName, HeaderValue)> {
        match self {
            // A 401 must name an authentication scheme (RFC 9110 section 15.5.2). Browsers show no dialog for an
            // unknown scheme.
            Self::WrongCredentials => {
                Some((header::WWW_AUTHENTICATE, HeaderValue::from_static("Cookie form-action=\"/login\"")))
            }
            Self::Throttled { retry_after } => Some((header::RETRY_AFTER, HeaderValue::from(*retry_after))),
            Self::Busy { retry_after } => Some((header::RETRY_AFTER, HeaderValue::from(*retry_after))),
            Self::OutOfDate => None,
        }
    }
}

/// What differs between the sign-in pages.
#[derive(Default)]
struct LoginPage<'a> {
    email: &'a str,
    another_account: bool,
    refusal: Option<Refusal>,
}

async fn form(
    server: &AuthorizationServer,
    headers: &HeaderMap,
    return_to: Option<&ReturnTo>,
    page: LoginPage<'_>,
) -> Response {
    let LoginPage { email, another_account, refusal } = page;
    let client = match return_to.and_then(|request| request.parameter("client_id")) {
        Some(id) => match client::registered(server, &id).await {
            Ok(client) => client,
            Err(error) => return internal_error_page(&error),
        },
        None => None,
    };
    let forms = client
        .as_ref()
        .zip(return_to.and_then(|request| request.parameter("redirect_uri")))
        .filter(|(client, uri)| redirect_uri::is_registered(&client.redirect_uris, uri))
        .map_or_else(FormAction::own, |(_, uri)| FormAction::and_redirect(&uri));
    let message = refusal.as_ref().map(Refusal::message);
    let view = LoginView {
        return_to,
        client: client
            .as_ref()
            .map(|client| client.name.as_str())
            .or_else(|| return_to.filter(|request| request.is_device()).map(|_| "your other device")),
        email,
        error: message.as_deref(),
        providers: &server.outside.links(return_to, another_account),
        passwords: server.config.passwords,
        straight: !server.config.passwords && refusal.is_none() && server.outside.providers.only().is_some(),
        wrong: matches!(refusal, Some(Refusal::WrongCredentials)),
    };
    let status = refusal.as_ref().map_or(StatusCode::OK, Refusal::status);
    let mut response = login_page(status, &server.config, headers, &view, &forms);
    if let Some((name, value)) = refusal.as_ref().and_then(Refusal::header) {
        response.headers_mut().insert(name, value);
    }
    response
}
