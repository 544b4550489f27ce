//! `grant_type=urn:ietf:params:oauth:grant-type:device_code` (RFC 8628 sections 3.4 and 3.5).

use super::{request::TokenRequest, response::TokenResponse};
use crate::error::{ErrorCode, OAuthError};
use flyte_access::token::TokenGrant;
use flyte_audit::{Detail, Event, Kind};
use flyte_model::GrantType;
use flyte_secrets::opaque_token;
use flyte_store::{DeviceGrant, DevicePoll, DeviceRedemption, SLOW_DOWN};

/// The same description for all problems that the device cannot act on.
const REFUSED: &str = "the device code is invalid, used, revoked or of another client; request a new one";

/// Answers a polling device: with its tokens after approval, otherwise with the state of its request.
///
/// The tokens are signed before the code is redeemed, so that no code is used up for a response that cannot be sent.
pub(super) async fn exchange(request: &TokenRequest<'_>) -> Result<TokenResponse, OAuthError> {
    let TokenRequest { server, client, .. } = *request;
    client.require_grant_type(GrantType::DeviceCode)?;
    let code = request.required("device_code")?;
    // This server is the only audience of every device.
    request.audience()?;

    let code_hash = opaque_token::hash(code);
    let grant = match server.store.poll_device(&code_hash, &client.id, server.clock.now()).await? {
        DevicePoll::Granted(grant) => grant,
        refused => return Err(refusal(&refused)),
    };
    request.require_active(&grant.user_id).await?;
    let (refresh_token, refresh_record) = request.first_refresh_token(&grant.scopes)?;
    let grant = token_grant(grant);
    let tokens = request.sign(&grant, None, refresh_token)?;

    let grace = server.config.tokens.refresh_token_grace;
    let redemption = server
        .store
        .redeem_device_code(&code_hash, refresh_record.as_ref(), grace, server.clock.now())
        .await?;
    match redemption {
        DeviceRedemption::Redeemed => Ok(tokens),
        DeviceRedemption::Replayed { family_id } => {
            server.access.revoke_family(&family_id);
            let event = Event::new(Kind::DeviceCodeReplayed).subject(&grant.user_id).client(&client.id);
            server.audit.record(event.detail(Detail::Family, family_id)).await;
            Err(OAuthError::invalid_grant(REFUSED))
        }
        DeviceRedemption::Unknown => Err(OAuthError::invalid_grant(REFUSED)),
    }
}

/// The error while there are no tokens (RFC 8628 section 3.5).
fn refusal(poll: &DevicePoll) -> OAuthError {
    match poll {
        DevicePoll::Pending => {
            OAuthError::new(ErrorCode::AuthorizationPending, "the device is not approved yet; try again")
        }
        DevicePoll::TooSoon => OAuthError::new(
            ErrorCode::SlowDown,
            format!("the device polls too often; add {SLOW_DOWN} s to the polling interval"),
        ),
        DevicePoll::Denied => OAuthError::new(ErrorCode::AccessDenied, "the user denied the request"),
        DevicePoll::Expired => {
            OAuthError::new(ErrorCode::ExpiredToken, "the codes have expired; request new ones")
        }
        DevicePoll::Unknown | DevicePoll::Granted(_) => OAuthError::invalid_grant(REFUSED),
    }
}

fn token_grant(grant: DeviceGrant) -> TokenGrant {
    TokenGrant {
        user_id: grant.user_id,
        client_id: grant.client_id,
        scopes: grant.scopes,
        audience: grant.audience,
        authenticated_at: grant.authenticated_at,
        // The device has its own session, which outlives the browser session of the approval.
        session_id: grant.family_id.clone(),
        family_id: grant.family_id,
    }
}
