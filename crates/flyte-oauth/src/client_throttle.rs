//! Slows down clients that keep failing to prove themselves, or that send tokens of others that no rule takes.
//!
//! A request is looked at first and refused for its past only if it fails: one client that is set up wrongly, or somebody
//! who wants to, locks nobody else out who shares its address, and not even itself once it is right.

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

/// In an answer's extensions: it counts as a failure, whatever its status. Refused token exchanges do, which are recorded
/// and for which nobody needs a secret.
#[derive(Clone, Copy, Debug)]
pub(super) struct Failed;

/// Counts those answers that say that a client did not prove itself, or that are [`Failed`], and answers 429 in their place
/// where there were too many.
pub(super) async fn limit(State(failures): State<Arc<Failures>>, request: Request, next: Next) -> Response {
    let Some(ClientAddr(address)) = request.extensions().get::<ClientAddr>().copied() else {
        return next.run(request).await;
    };
    let (parts, body) = request.into_parts();
    let headers = parts.headers.clone();
    // The client names itself in the form.
    let Ok(body) = to_bytes(body, form::MAX_BYTES).await else {
        return form::unreadable().into_response();
    };
    let response = next.run(Request::from_parts(parts, Body::from(body.clone()))).await;
    if response.status() == StatusCode::UNAUTHORIZED || response.extensions().get::<Failed>().is_some() {
        return failed(&failures, &headers, &body, address).unwrap_or(response);
    }
    response
}

/// The answer to a failure if there were too many before it.
fn failed(failures: &Failures, headers: &HeaderMap, body: &Bytes, address: IpAddr) -> Option<Response> {
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
