//! Accepting an invitation by a sign-in at a provider.
//!
//! The browser has confirmed the invitation with a form, and holds its token in a cookie. The provider must have verified the
//! address that was invited: a link that was passed on lets no other person in.

use axum::{
    http::{HeaderMap, StatusCode, header},
    response::Response,
};
use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};

use super::{Address, account, failure};
use crate::{AuthorizationServer, sign_in::account_link};
use flyte_audit::{Event, Kind};
use flyte_identity::cookie;
use flyte_pages::error_page;
use flyte_provider::{Profile, VerifiedEmail, normalize_email};
use flyte_secrets::opaque_token;
use flyte_store::{LinkPurpose, OutsideIdentity, StoreError};

/// The cookie of a browser that accepts an invitation: the random part of its token.
pub(in crate::sign_in) const COOKIE: &str = "__Host-flyte_invitation";
/// Lifetime of the cookie in seconds.
pub(in crate::sign_in) const COOKIE_SECONDS: i64 = 3600;

/// Connects the user of a provider with the account whose invitation the browser has confirmed. Returns the page that says why
/// not; `None` if there is no invitation, or if it was accepted.
pub(super) async fn accept(
    server: &AuthorizationServer,
    headers: &HeaderMap,
    profile: &Profile,
    address: Address,
) -> Result<Option<Response>, StoreError> {
    let Some(secret) = cookie::read(headers, COOKIE) else { return Ok(None) };
    let token =
        format!("{}{}", opaque_token::Kind::AccountLink.prefix(), URL_SAFE_NO_PAD.encode(secret.as_ref()));
    let (hash, now) = (opaque_token::hash(&token), server.clock.now());
    let found = account_link::valid(server, &token, LinkPurpose::Invitation).await?;
    let Some(link) = found else { return Ok(None) };
    let invited = normalize_email(&link.email);
    let verified = profile.verified_email.as_ref().map(VerifiedEmail::as_str);
    if invited.is_none() || invited.as_deref() != verified {
        failure::record(server, profile, "the invitation is for another address", address).await;
        return Ok(Some(other_address(&link.email, profile.email.as_deref())));
    }
    let identity =
        OutsideIdentity { last_sign_in_at: Some(now), ..account::identity(profile, &link.user_id, now) };
    match server.store.link_identity_by_invitation(&hash, &identity, now).await {
        Ok(Some(user)) => {
            let event = Event::new(Kind::InvitationAccepted).from(address).subject(&user.id);
            server.audit.record(failure::with_profile(event.object(&user.email), profile)).await;
            account::record_link(server, profile, &user, "invitation", address).await;
        }
        // The invitation has just ended, or the provider's user has an account: the sign-in says so.
        Ok(None) | Err(StoreError::AlreadyExists { .. }) => {}
        Err(error) => return Err(error),
    }
    Ok(None)
}

/// The page for a user with another address than the invited one. The next sign-in in this browser is no acceptance.
fn other_address(invited: &str, own: Option<&str>) -> Response {
    let detail = match own {
        Some(own) => format!(
            "It is for {invited}, and you signed in at the provider as {own}. Open the invitation again, and use the invited address."
        ),
        None => format!(
            "It is for {invited}, and the provider does not say that this is your address. Open the invitation again."
        ),
    };
    let mut response = error_page(StatusCode::FORBIDDEN, "This invitation is for another address", &detail);
    if let Some(cookie) = cookie::clear(COOKIE) {
        response.headers_mut().append(header::SET_COOKIE, cookie);
    }
    response
}
