//! Connecting an account with a user of a provider, by the account's own user.
//!
//! The user has signed in at the provider, and then here in another way. The page shows both, and a form of this server
//! confirms. The user of the provider is bound to the browser by a cookie, so no other site can make a browser connect an
//! account with a stranger's identity.

use std::sync::Arc;

use axum::{
    Extension, Form,
    extract::{State, rejection::FormRejection},
    http::{HeaderMap, StatusCode},
    response::{IntoResponse as _, Redirect, Response},
};
use serde::Deserialize;

use super::{
    COOKIE, Unconnected,
    account::{self, Found},
    failure,
};
use crate::AuthorizationServer;
use flyte_identity::{cookie, session::SignedIn};
use flyte_model::ClientAddr;
use flyte_pages::{
    ConnectView, ProviderLink, connect_page, continue_page, csrf, encode, error_page, internal_error_page,
};
use flyte_provider::Profile;
use flyte_store::StoreError;

/// How long after the sign-in here an account can be connected, in seconds. An older session needs a new proof: otherwise
/// a few moments at an unlocked computer would give access for ever.
const MAX_SESSION_AGE: i64 = 600;

/// Body of `POST /login/connect`.
#[derive(Deserialize)]
pub(in crate::sign_in) struct ConnectForm {
    #[serde(default)]
    csrf: String,
    #[serde(default)]
    decision: String,
    /// The identity that the page showed.
    #[serde(default)]
    identity: String,
}

/// Names an identity in the form. Another tab can replace the one that the browser has brought last.
fn identity(profile: &Profile) -> String {
    format!("{} {}", profile.issuer, profile.subject)
}

/// Returns the signed-in user with a recent sign-in.
async fn recent(server: &AuthorizationServer, headers: &HeaderMap) -> Result<Option<SignedIn>, StoreError> {
    let oldest = server.clock.now().saturating_sub(MAX_SESSION_AGE);
    let signed_in = server.signed_in(headers).await?;
    Ok(signed_in.filter(|signed_in| signed_in.session.authenticated_at >= oldest))
}

fn to_sign_in() -> Response {
    Redirect::to(&format!("/login?return_to={}", encode("/login/connect"))).into_response()
}

/// `GET /login/connect`
pub(in crate::sign_in) async fn show(
    State(server): State<Arc<AuthorizationServer>>,
    headers: HeaderMap,
) -> Response {
    let browser = cookie::read(&headers, COOKIE);
    let pending =
        browser.and_then(|browser| server.outside.unconnected.get(browser.as_ref(), browser.as_ref()));
    let Some(Unconnected { profile, .. }) = pending else { return Redirect::to("/").into_response() };
    let signed_in = match recent(&server, &headers).await {
        Ok(Some(signed_in)) => signed_in,
        Ok(None) => return to_sign_in(),
        Err(error) => return internal_error_page(&error),
    };
    let provider = server.outside.providers.get(&profile.provider);
    let view = ConnectView {
        provider: provider.map_or(profile.provider.as_str(), |provider| provider.label()),
        outside: profile.email.as_deref().unwrap_or(&profile.subject),
        outside_name: profile.name.as_deref(),
        user_email: &signed_in.user.email,
        user_name: &signed_in.user.name,
        identity: &identity(&profile),
    };
    connect_page(&server.config, &headers, &view)
}

/// `POST /login/connect`
pub(in crate::sign_in) async fn submit(
    State(server): State<Arc<AuthorizationServer>>,
    Extension(ClientAddr(address)): Extension<ClientAddr>,
    headers: HeaderMap,
    body: Result<Form<ConnectForm>, FormRejection>,
) -> Response {
    let form = match body {
        Ok(Form(form)) => form,
        Err(rejection) => {
            return error_page(rejection.status(), "The form could not be read", "Go back and try again.");
        }
    };
    if !csrf::verify(&headers, &form.csrf) {
        return error_page(
            StatusCode::FORBIDDEN,
            "This page is out of date",
            "You signed in or out after this page was opened, or another site sent the form. Go back and try again.",
        );
    }
    let signed_in = match recent(&server, &headers).await {
        Ok(Some(signed_in)) => signed_in,
        Ok(None) => return to_sign_in(),
        Err(error) => return internal_error_page(&error),
    };
    // Single use, whatever the decision.
    let browser = cookie::read(&headers, COOKIE);
    let pending =
        browser.and_then(|browser| server.outside.unconnected.take(browser.as_ref(), browser.as_ref()));
    let Some(Unconnected { profile, return_to }) = pending else { return failure::not_begun(&server) };
    let href = return_to.as_ref().map_or_else(|| "/".to_owned(), ToString::to_string);
    if form.decision != "connect" {
        return continue_page(&href);
    }
    if form.identity != identity(&profile) {
        return error_page(
            StatusCode::CONFLICT,
            "This page is out of date",
            "You signed in at the provider again after this page was opened. Nothing was connected. Sign in with the provider again.",
        );
    }
    let user = &signed_in.user;
    let linked = account::link(&server, &profile, user, address).await;
    match linked {
        Ok(Found::Account(_)) => {
            if let Err(error) = account::set_groups(&server, &profile, user).await {
                return internal_error_page(&error);
            }
            if let Some(provider) = server.outside.providers.get(&profile.provider)
                && let Err(error) = account::vouch(&server, provider.settings(), &profile, user).await
            {
                return internal_error_page(&error);
            }
            continue_page(&href)
        }
        Ok(Found::Disabled | Found::None) => to_sign_in(),
        Err(StoreError::AlreadyExists { .. }) => {
            let links = [ProviderLink { label: "Continue".to_owned(), href }];
            failure::failed(
                &server,
                StatusCode::CONFLICT,
                "It is connected already",
                "Another account was connected in the meantime. To use it, sign in with the provider again.",
                &links,
            )
        }
        Err(error) => internal_error_page(&error),
    }
}
