//! The sign-out at the provider, after that here (OpenID Connect RP-Initiated Logout 1.0).

use std::{net::Ipv4Addr, sync::Arc};

use axum::{
    extract::{Path, Query, State, rejection::QueryRejection},
    http::{HeaderMap, HeaderValue},
    response::{IntoResponse as _, Response},
};
use serde::Deserialize;

use super::{COOKIE, browser, recheck, unknown};
use crate::{AuthorizationServer, authorize::see_other};
use flyte_identity::cookie;
use flyte_model::ClientAddr;
use flyte_pages::signed_out_page;
use flyte_provider::Provider;
use flyte_store::{OutsideSession, StoreError};

/// Returns the provider of a session at which its user can sign out too, with the session.
pub(crate) async fn provider_of(
    server: &AuthorizationServer,
    session_id: &str,
) -> Result<Option<(Arc<Provider>, OutsideSession)>, StoreError> {
    let Some(session) = server.store.outside_session(session_id).await? else { return Ok(None) };
    let provider = server.outside.providers.iter().find(|provider| provider.serves(&session.issuer));
    match provider {
        Some(provider) if provider.can_sign_out().await => Ok(Some((Arc::clone(provider), session))),
        _ => Ok(None),
    }
}

/// Returns the address of the sign-out at the provider and the cookie that belongs to it. The browser comes back and continues at
/// `location`. `None` if the provider cannot be asked: the user is signed out here in any case.
pub(crate) async fn leave(
    server: &AuthorizationServer,
    headers: &HeaderMap,
    (provider, session): &(Arc<Provider>, OutsideSession),
    location: Option<String>,
) -> Option<(String, HeaderValue)> {
    let id_token = recheck::id_token(server, session);
    let (url, state) = match provider.sign_out(id_token.as_ref()).await {
        Ok(found) => found?,
        Err(error) => {
            tracing::warn!(provider = provider.name(), %error, "the user could not be signed out at the provider");
            return None;
        }
    };
    let (secret, set_cookie) = browser(headers)?;
    let address = ClientAddr::current().map_or(Ipv4Addr::UNSPECIFIED.into(), |client| client.0);
    server.outside.leaving.put(state.as_bytes(), secret.as_ref(), address, location);
    Some((url.into(), set_cookie))
}

/// Query of the return.
#[derive(Deserialize)]
pub(in crate::sign_in) struct LeftQuery {
    #[serde(default)]
    state: String,
}

/// `GET /login/with/{name}/signed-out`
pub(in crate::sign_in) async fn left(
    State(server): State<Arc<AuthorizationServer>>,
    Path(name): Path<String>,
    query: Result<Query<LeftQuery>, QueryRejection>,
    headers: HeaderMap,
) -> Response {
    if server.outside.providers.get(&name).is_none() {
        return unknown();
    }
    let state = query.map(|Query(query)| query.state).unwrap_or_default();
    let browser = cookie::read(&headers, COOKIE);
    let left = browser.and_then(|browser| server.outside.leaving.take(state.as_bytes(), browser.as_ref()));
    match left.flatten() {
        Some(location) => see_other(&location),
        None => signed_out_page().into_response(),
    }
}
