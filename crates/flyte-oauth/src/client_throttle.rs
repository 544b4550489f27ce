//! Limits clients that repeatedly fail to authenticate, or send foreign tokens that no trust rule accepts.
//!
//! Each request is handled first, and only a failed request can be refused because of earlier failures. So a
//! misconfigured client or an attacker blocks neither other clients at the same address, nor the client itself once
//! it is correct.

use std::{net::IpAddr, sync::Arc};

use axum::{
    body::{Body, Bytes, to_bytes},
    extract::{Request, State},
    middleware::Next,
    response::{IntoResponse as _, Response},
};
use http::{HeaderMap, StatusCode, header};

use super::{
    client::Credentials,
    error::{ErrorCode, OAuthError},
    form,
    parameters::Parameters,
};
use flyte_identity::Failures;
use flyte_model::ClientAddr;

/// An extension of a response that counts as a failure with any status. Refused token exchanges have it: each is
/// recorded, and anyone can send one without a secret.
#[derive(Clone, Copy, Debug)]
pub(super) struct Failed;

/// Counts responses with status 401 and responses marked [`Failed`]. Replaces the response with status 429 after
/// too many failures.
pub(super) async fn limit(State(failures): State<Arc<Failures>>, request: Request, next: Next) -> Response {
    let Some(ClientAddr(address)) = request.extensions().get::<ClientAddr>().copied() else {
        return next.run(request).await;
    };
    let (parts, body) = request.into_parts();
    let headers = parts.headers.clone();
    // The form contains the client ID.
    let Ok(body) = to_bytes(body, form::MAX_BYTES).await else {
        return form::unreadable().into_response();
    };
    let response = next.run(Request::from_parts(parts, Body::from(body.clone()))).await;
    if response.status() == StatusCode::UNAUTHORIZED || response.extensions().get::<Failed>().is_some() {
        return too_many_failures(&failures, &headers, &body, address).unwrap_or(response);
    }
    response
}

/// Counts a failure. Returns the response with status 429 if there were too many failures before.
fn too_many_failures(
    failures: &Failures,
    headers: &HeaderMap,
    body: &Bytes,
    address: IpAddr,
) -> Option<Response> {
    let parameters = Parameters::parse(body).ok();
    let credentials = parameters.and_then(|form| Credentials::parse(headers, &form).ok());
    let client = credentials.as_ref().map_or("", Credentials::id);
    let throttled = failures.count(client, address).err()?;
    let error = OAuthError::new(ErrorCode::TemporarilyUnavailable, throttled.to_string());
    let mut response = error.into_response();
    *response.status_mut() = StatusCode::TOO_MANY_REQUESTS;
    response.headers_mut().insert(header::RETRY_AFTER, throttled.retry_after.into());
    Some(response)
}
