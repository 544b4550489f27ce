//! The device authorization endpoint (RFC 8628 section 3.1): a device without a browser requests two codes. It polls
//! the token endpoint with the device code (`token`) and shows the user code, which the user enters at
//! `activate`.

pub mod activate;
mod number;
#[cfg(test)]
mod tests;
pub mod user_code;

use std::sync::Arc;

use axum::{
    Extension, Json,
    extract::State,
    response::{IntoResponse, Response},
};
use http::{HeaderMap, HeaderValue, StatusCode, header};
use secrecy::{ExposeSecret as _, SecretString};
use serde::Serialize;
use uuid::Uuid;

use self::user_code::UserCode;
use super::{
    authorize::request::max_age,
    client,
    error::{self, ErrorCode, OAuthError},
    form::Form,
    parameters, resource,
};
use crate::AuthorizationServer;
use flyte_audit::{Detail, Event, Kind};
use flyte_model::{ClientAddr, GrantType, Scopes};
use flyte_secrets::opaque_token;
use flyte_settings::endpoints;
use flyte_store::{DeviceAuthorization, StoreError};

/// The number of attempts to generate a user code that is not in use. With a million codes in use, one attempt in a
/// million fails.
const MAX_ATTEMPTS: usize = 4;

/// The body of a response (RFC 8628 section 3.2).
#[derive(Serialize)]
struct Body<'a> {
    device_code: &'a str,
    user_code: String,
    verification_uri: String,
    verification_uri_complete: String,
    expires_in: i64,
    interval: i64,
    /// Our extension: the number that the device shows, if the page asks for one.
    #[serde(skip_serializing_if = "Option::is_none")]
    matching_number: Option<String>,
}

/// Handles a device's request.
pub(super) async fn post(
    State(server): State<Arc<AuthorizationServer>>,
    Extension(ClientAddr(address)): Extension<ClientAddr>,
    headers: HeaderMap,
    form: Form,
) -> Result<Response, OAuthError> {
    // The limit comes before all lookups and writes.
    if let Err(throttled) = server.throttle.admit_device(address) {
        let event = Event::new(Kind::DeviceRefused).from(address).detail(Detail::Reason, "throttled");
        server.audit.record(event).await;
        return Ok(too_many(throttled.retry_after));
    }
    let form = form.parameters()?;
    let client = client::authenticate(&server, &headers, &form).await?;
    client.require_grant_type(GrantType::DeviceCode)?;
    let scopes: Scopes = form.one("scope")?.unwrap_or_default().parse()?;
    scopes.require_within(&client.scopes)?;
    let audience = resource::requested(&form, server.config.issuer())?;
    // An extension of RFC 8628: a client without a browser can request a recent sign-in, as RFC 9470 section 4
    // defines for authorization requests.
    let max_age = form.one("max_age")?.map(max_age).transpose()?;

    let tokens = &server.config.tokens;
    let match_number = number::choose(tokens.device_match, form.one(number::PARAMETER)?)?;

    let now = server.clock.now();
    let mut device = DeviceAuthorization {
        device_code_hash: Default::default(),
        user_code_hash: Default::default(),
        family_id: Uuid::new_v4().to_string(),
        client_id: client.id.clone(),
        scopes,
        audience,
        max_age,
        match_number,
        address: address.to_string(),
        interval: tokens.device_poll_interval,
        created_at: now,
        expires_at: now.saturating_add(tokens.device_code_ttl),
    };
    let (device_code, user_code) = create(&server, &mut device).await?;
    let verification_uri = server.config.url(endpoints::DEVICE);
    let mut verification_uri_complete = verification_uri.clone();
    parameters::append(&mut verification_uri_complete, "user_code", &user_code.to_string());
    let mut response = Json(Body {
        device_code: device_code.expose_secret(),
        user_code: user_code.to_string(),
        verification_uri,
        verification_uri_complete,
        expires_in: tokens.device_code_ttl,
        interval: tokens.device_poll_interval,
        matching_number: match_number.map(|number| number.to_string()),
    })
    .into_response();
    error::no_store(response.headers_mut());
    Ok(response)
}

/// Generates the two codes and stores the device.
async fn create(
    server: &AuthorizationServer,
    device: &mut DeviceAuthorization,
) -> Result<(SecretString, UserCode), OAuthError> {
    let mut attempts = MAX_ATTEMPTS;
    loop {
        let device_code = opaque_token::generate(opaque_token::Kind::DeviceCode)?;
        let user_code = UserCode::generate()?;
        device.device_code_hash = opaque_token::hash(device_code.expose_secret());
        device.user_code_hash = user_code.hash();
        attempts -= 1;
        match server.store.create_device(device).await {
            Ok(()) => return Ok((device_code, user_code)),
            Err(StoreError::AlreadyExists { .. }) if attempts > 0 => {}
            Err(error) => return Err(error.into()),
        }
    }
}

/// The response to an address that requests codes too fast.
fn too_many(retry_after: i64) -> Response {
    let description = format!("too many device requests from this address; try again in {retry_after} s");
    let mut response = OAuthError::new(ErrorCode::TemporarilyUnavailable, description).into_response();
    *response.status_mut() = StatusCode::TOO_MANY_REQUESTS;
    response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from(retry_after));
    response
}
