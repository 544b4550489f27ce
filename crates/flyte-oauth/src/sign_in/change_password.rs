//! `/account/password`: a signed-in user changes the password.

use std::sync::Arc;

use axum::{
    Extension, Form,
    extract::{Query, State, rejection::FormRejection},
    http::{HeaderMap, StatusCode, header},
    response::{IntoResponse as _, Redirect, Response},
};
use secrecy::{ExposeSecret as _, SecretString};
use serde::Deserialize;

use super::{
    account_link::{end_revoked, some_secret, unhashed},
    login::secret,
};
use crate::AuthorizationServer;
use flyte_audit::{Detail, Event, Kind};
use flyte_identity::{PasswordError, PasswordOwner, first_password, session::SignedIn};
use flyte_model::ClientAddr;
use flyte_pages::{
    ChangePasswordView, account::Frame, change_password_page, csrf, duration, encode, error_page,
    internal_error_page,
};
use flyte_store::StoreError;

/// The address of the page.
pub(super) const PATH: &str = "/account/password";

/// Query of `GET /account/password`.
#[derive(Deserialize)]
pub(super) struct ChangeQuery {
    /// Present after a change.
    changed: Option<String>,
}

/// Body of `POST /account/password`.
#[derive(Deserialize)]
pub(super) struct ChangeForm {
    #[serde(default)]
    csrf: String,
    #[serde(default, deserialize_with = "secret")]
    current: SecretString,
    #[serde(default, deserialize_with = "secret")]
    password: SecretString,
    /// The new password again, if the browser runs no script that shows it.
    #[serde(default, deserialize_with = "some_secret")]
    again: Option<SecretString>,
    /// Present if all other sign-ins are to end.
    everywhere: Option<String>,
}

async fn page(
    server: &AuthorizationServer,
    headers: &HeaderMap,
    who: &SignedIn,
    frame: Frame<'_>,
) -> Result<Response, StoreError> {
    let api_keys: Vec<_> =
        server.store.api_keys_of(&who.user.id).await?.into_iter().map(|key| key.name).collect();
    let view = ChangePasswordView {
        has_password: who.user.password_hash.is_some() && server.config.passwords,
        min_length: server.passwords.min_length(),
        api_keys: &api_keys,
    };
    Ok(change_password_page(headers, &Frame { email: &who.user.email, ..frame }, &view))
}

/// `GET /account/password`
pub(super) async fn show(
    State(server): State<Arc<AuthorizationServer>>,
    Query(query): Query<ChangeQuery>,
    headers: HeaderMap,
) -> Response {
    let shown = async {
        let Some(who) = server.sessions.current(&headers).await? else {
            return Ok(Redirect::to(&format!("/login?return_to={}", encode(PATH))).into_response());
        };
        let notice = query.changed.map(|_| "Your password was changed.");
        page(&server, &headers, &who, Frame { notice, ..Frame::default() }).await
    };
    shown.await.unwrap_or_else(|error: StoreError| internal_error_page(&error))
}

/// `POST /account/password`
pub(super) async fn submit(
    State(server): State<Arc<AuthorizationServer>>,
    Extension(ClientAddr(address)): Extension<ClientAddr>,
    headers: HeaderMap,
    body: Result<Form<ChangeForm>, FormRejection>,
) -> Response {
    let form = match body {
        Ok(Form(form)) => form,
        Err(rejection) => {
            return error_page(
                rejection.status(),
                "The form could not be read",
                "Nothing was changed. Open the page again, and send the form once more.",
            );
        }
    };
    let changed = async {
        let who = server.sessions.current(&headers).await?;
        let Some(who) = who.filter(|_| csrf::verify(&headers, &form.csrf)) else {
            return Ok(error_page(
                StatusCode::FORBIDDEN,
                "This page is out of date",
                "You signed in or out after this page was opened, or another site sent the form. Nothing was changed: open the page again.",
            ));
        };
        change(&server, &headers, who, form, address).await
    };
    changed.await.unwrap_or_else(|error: StoreError| internal_error_page(&error))
}

async fn change(
    server: &AuthorizationServer,
    headers: &HeaderMap,
    mut who: SignedIn,
    form: ChangeForm,
    address: std::net::IpAddr,
) -> Result<Response, StoreError> {
    let refuse = async |error: &str| {
        page(server, headers, &who, Frame { error: Some(error), ..Frame::default() }).await
    };
    let Some(current) = who.user.password_hash.clone().filter(|_| server.config.passwords) else {
        return refuse("Your account has no password. Nothing was changed.").await;
    };
    if form.again.as_ref().is_some_and(|again| again.expose_secret() != form.password.expose_secret()) {
        return refuse("The two new passwords differ. Enter the same password twice.").await;
    }
    // A stranger at an unlocked computer must not guess the password either.
    let known = server.known_browsers.recognize(headers, &who.user.email);
    let attempt = match server.throttle.admit(&who.user.email, address, known) {
        Ok(attempt) => attempt,
        Err(throttled) => {
            let wait = duration(throttled.retry_after);
            return refuse(&format!("Too many failed attempts. Try again in {wait}.")).await;
        }
    };
    match server.passwords.verify(form.current.clone(), Some(current.clone())).await {
        Ok(true) => attempt.succeeded(),
        Ok(false) => {
            let event = Event::new(Kind::SignInFailed).from(address).subject(&who.user.id);
            let event = event.detail(Detail::Email, &who.user.email);
            server.audit.record(event.detail(Detail::Reason, "change of the password")).await;
            return refuse("The current password is wrong. Nothing was changed.").await;
        }
        Err(error) => {
            attempt.withdrawn();
            return match error {
                PasswordError::Overloaded { .. } => {
                    refuse("Too many people are signing in. Try again in a moment.").await
                }
                PasswordError::Weak(_) | PasswordError::Failed(_) => Ok(internal_error_page(&error)),
            };
        }
    }
    if form.current.expose_secret() == form.password.expose_secret() {
        return refuse("The new password is the current one. Choose another one.").await;
    }
    let owner = PasswordOwner { email: who.user.email.clone(), name: who.user.name.clone() };
    let hash = match server.passwords.hash(form.password, owner).await {
        Ok(hash) => hash,
        Err(error) => {
            let message = match &error {
                PasswordError::Weak(weakness) => format!("This password cannot be used: {weakness}."),
                _ => return Ok(unhashed(&error, |_| internal_error_page(&error))),
            };
            return refuse(&message).await;
        }
    };
    let everywhere = form.everywhere.is_some();
    let (id, now) = (who.user.id.clone(), server.clock.now());
    if !server.store.change_password_hash(&id, &current, &hash, everywhere, now).await? {
        return refuse("The password was changed elsewhere just now. Open the page again.").await;
    }
    if let Err(error) = first_password::forget(&server.config.data_dir, &who.user.email) {
        tracing::warn!(%error, "the file with the first password could not be removed; remove it");
    }
    let event = Event::new(Kind::PasswordChanged).from(address).subject(&id).object(&who.user.email);
    let reason = if everywhere { "all sign-ins ended" } else { "other sign-ins stay" };
    server.audit.record(event.detail(Detail::Reason, reason)).await;
    let mut response = Redirect::to(&format!("{PATH}?changed=1")).into_response();
    if everywhere {
        end_revoked(server).await;
        who.user.password_hash = Some(hash);
        // This browser stays signed in, with another cookie, since the same time: the old password is no new sign-in.
        let since = who.session.authenticated_at;
        if let Some((_, cookie)) = server.sessions.start_since(&who.user, since).await? {
            response.headers_mut().append(header::SET_COOKIE, cookie);
        }
    }
    Ok(response)
}
