//! The key of a request (RFC 7644 section 2).

use std::sync::Arc;

use axum::{
    extract::{Request, State},
    middleware::Next,
    response::{IntoResponse as _, Response},
};
use http::{HeaderMap, HeaderValue, StatusCode, header};

use crate::{Scim, error::ScimError};
use flyte_audit::{Detail, Event, Kind};
use flyte_model::ClientAddr;
use flyte_secrets::opaque_token;
use flyte_store::ScimKey;

/// How often the use of a key is recorded, in seconds.
const USE_INTERVAL: i64 = 60;

fn bearer(headers: &HeaderMap) -> Option<&str> {
    let mut values = headers.get_all(header::AUTHORIZATION).iter();
    let value = values.next()?.to_str().ok()?;
    let (scheme, token) = value.split_once(' ')?;
    let is_one = scheme.eq_ignore_ascii_case("Bearer") && values.next().is_none();
    Some(token.trim()).filter(|token| is_one && !token.is_empty())
}

fn too_many() -> Response {
    let error = ScimError::new(StatusCode::TOO_MANY_REQUESTS, "too many requests; try again in a second");
    let mut response = error.into_response();
    response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from_static("1"));
    response
}

/// Lets requests with a key pass, with the key as an extension.
pub(crate) async fn require_key(State(scim): State<Arc<Scim>>, mut request: Request, next: Next) -> Response {
    let now = scim.clock.now();
    let address = request.extensions().get::<ClientAddr>().map(|client| client.0);
    if address.is_some_and(|address| !scim.limits.admit_network(address, now)) {
        return too_many();
    }
    let key = match find(&scim, request.headers()).await {
        Ok(key) => key,
        Err(error) => {
            if let Some(address) = address.filter(|_| error.status == StatusCode::UNAUTHORIZED) {
                scim.limits.count_failure(address, now);
            }
            return error.into_response();
        }
    };
    if !scim.limits.admit_client(&key.client, now) {
        tracing::warn!(client = key.client, "too many SCIM requests of one client: responding with 429");
        return too_many();
    }
    if key.last_used_at.is_none_or(|used| used.saturating_add(USE_INTERVAL) <= now)
        && let Err(error) = scim.store.note_scim_key_used(&key.name, now).await
    {
        tracing::warn!(%error, "the use of a SCIM key was not recorded");
    }
    request.extensions_mut().insert(Arc::new(key));
    next.run(request).await
}

async fn find(scim: &Scim, headers: &HeaderMap) -> Result<ScimKey, ScimError> {
    let refused = |detail: &str| ScimError::new(StatusCode::UNAUTHORIZED, detail);
    let Some(secret) = bearer(headers) else {
        return Err(refused("a SCIM key is needed as a bearer token"));
    };
    // Other credentials of this server do not work here: they have another prefix, and another table.
    let key = scim.store.scim_key_by_hash(&opaque_token::hash(secret)).await?;
    let Some(key) = key else {
        tracing::warn!("a request with an unknown SCIM key was refused");
        return Err(refused("this is not a SCIM key of this server"));
    };
    if key.expires_at.is_some_and(|end| end <= scim.clock.now()) {
        let event = Event::new(Kind::ScimKeyRefused).object(&key.name);
        scim.audit.record(event.detail(Detail::Reason, "expired")).await;
        return Err(refused("the SCIM key has expired; ask the server's administrator for a new one"));
    }
    Ok(key)
}
