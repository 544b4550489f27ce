//! A provider says that a user has signed out there (OpenID Connect Back-Channel Logout 1.0 section 2.5).

use std::{collections::BTreeMap, sync::Arc};

use aws_lc_rs::digest::{SHA256, digest};
use axum::{
    Json,
    extract::{Path, State},
    response::{IntoResponse as _, Response},
};
use http::{HeaderValue, StatusCode, header};
use serde_json::json;

use crate::{AuthorizationServer, form::Form};
use flyte_audit::{Detail, Event, Kind};
use flyte_provider::{LogoutToken, Provider, ProviderError};
use flyte_secrets::SecretHash;
use flyte_store::{EndedAtProvider, EndedSessions, StoreError};

/// How long a token's identifier is remembered at most, in seconds.
const MAX_REMEMBERED: i64 = 86_400;

/// `POST /login/with/{name}/backchannel-logout`
pub(in crate::sign_in) async fn post(
    State(server): State<Arc<AuthorizationServer>>,
    Path(name): Path<String>,
    form: Form,
) -> Response {
    let Some(provider) = server.outside.providers.get(&name) else {
        return refused(StatusCode::NOT_FOUND, "invalid_request", "this server has no such provider");
    };
    let parameters = form.parameters();
    let token = parameters.as_ref().ok().and_then(|form| form.one("logout_token").ok()).flatten();
    let Some(token) = token else {
        return refused(StatusCode::BAD_REQUEST, "invalid_request", "one logout_token is expected");
    };
    let token = match provider.logout_token(token).await {
        Ok(token) => token,
        Err(ProviderError::Wrong(what)) => {
            tracing::warn!(provider = name, what, "a logout token was refused");
            return refused(StatusCode::BAD_REQUEST, "invalid_request", what);
        }
        Err(error) => {
            tracing::warn!(provider = name, %error, "a logout token could not be checked");
            let what = "the keys of the provider cannot be read now";
            return refused(StatusCode::SERVICE_UNAVAILABLE, "temporarily_unavailable", what);
        }
    };
    match end(&server, provider, &token).await {
        Ok(true) => {
            (StatusCode::OK, [(header::CACHE_CONTROL, HeaderValue::from_static("no-store"))]).into_response()
        }
        Ok(false) => refused(StatusCode::BAD_REQUEST, "invalid_request", "the logout token was used before"),
        Err(error) => {
            tracing::error!(%error, "sessions could not be ended for a logout token");
            let what = "the sessions could not be ended";
            refused(StatusCode::INTERNAL_SERVER_ERROR, "server_error", what)
        }
    }
}

/// Ends the sessions; `false` if the token was used before.
async fn end(
    server: &AuthorizationServer,
    provider: &Provider,
    token: &LogoutToken,
) -> Result<bool, StoreError> {
    let now = server.clock.now();
    let expires_at = token.expires_at.clamp(now, now.saturating_add(MAX_REMEMBERED)).saturating_add(60);
    // Clocks differ by up to a minute.
    let until = token.issued_at.saturating_add(60).min(now);
    let which = match (&token.sid, &token.subject) {
        (Some(sid), subject) => EndedAtProvider::Session { sid: sid.clone(), subject: subject.clone() },
        (None, subject) => EndedAtProvider::User { subject: subject.clone().unwrap_or_default(), until },
    };
    let EndedSessions { sessions, families } =
        server.store.end_outside_sessions(&token.issuer, &which, now).await?;
    for family in &families {
        server.access.revoke_family(family);
    }
    let mut users = BTreeMap::new();
    for (session, user) in sessions {
        users.insert(user, session);
    }
    for (user, session) in users {
        let event = Event::new(Kind::ProviderAccessEnded).subject(&user).object(provider.name());
        let event = event.detail(Detail::Provider, provider.name()).detail(Detail::Issuer, &token.issuer);
        let event = event.detail(Detail::Session, session).detail(Detail::Families, families.len());
        server.audit.record(event.detail(Detail::Reason, "signed out at the provider")).await;
    }
    // Last: if something fails before, the provider sends the token again. Ending twice changes nothing.
    server.store.consume_jti(&hash(token), expires_at).await
}

/// SHA-256 of issuer and identifier, apart from those of client assertions.
fn hash(token: &LogoutToken) -> SecretHash {
    let text = format!("logout\0{}\0{}", token.issuer, token.id);
    let mut hash = [0; 32];
    hash.copy_from_slice(digest(&SHA256, text.as_bytes()).as_ref());
    hash
}

fn refused(status: StatusCode, error: &str, description: &str) -> Response {
    let body = json!({"error": error, "error_description": description});
    (status, [(header::CACHE_CONTROL, HeaderValue::from_static("no-store"))], Json(body)).into_response()
}
