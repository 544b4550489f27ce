//! `grant_type=urn:ietf:params:oauth:grant-type:device_code` (RFC 8628 sections 3.4 and 3.5).

use super::{Tokens, may_refresh, new_refresh_token, require_active, require_grant};
use crate::{
    AuthorizationServer,
    error::{ErrorCode, OAuthError},
    parameters::Parameters,
    resource,
};
use flyte_access::token::TokenGrant;
use flyte_audit::{Detail, Event, Kind};
use flyte_model::GrantType;
use flyte_secrets::opaque_token;
use flyte_store::{Client, DeviceGrant, DevicePoll, DeviceRedemption, SLOW_DOWN};

/// One answer to everything that may be wrong with a device code, save what the device is to act on.
const REFUSED: &str = "the device code is unknown, used, revoked, or not this client's; ask for a new one";

/// Tells a device what has come of its request, and gives it its tokens once somebody has approved it.
///
/// Tokens are signed before the code is spent, so that it is not spent for an answer that cannot be given.
pub(super) async fn exchange(
    server: &AuthorizationServer,
    client: &Client,
    form: &Parameters<'_>,
) -> Result<Tokens, OAuthError> {
    require_grant(client, GrantType::DeviceCode)?;
    let code =
        form.one("device_code")?.ok_or_else(|| OAuthError::invalid_request("device_code is missing"))?;
    // The server's one audience is the audience of every device.
    resource::requested(form, server.config.issuer())?;

    let code_hash = opaque_token::hash(code);
    let grant = match server.store.poll_device(&code_hash, &client.id, server.clock.now()).await? {
        DevicePoll::Granted(grant) => grant,
        refused => return Err(refusal(&refused)),
    };
    require_active(server, &grant.user_id).await?;
    let (refresh_token, refresh_record) = if may_refresh(client, &grant.scopes) {
        let (token, record) = new_refresh_token(server)?;
        (Some(token), Some(record))
    } else {
        (None, None)
    };
    let grant = token_grant(grant);
    let tokens = Tokens::sign(server, client, &grant, None, refresh_token)?;

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

/// What the device is told while it has no tokens (RFC 8628 section 3.5).
fn refusal(poll: &DevicePoll) -> OAuthError {
    match poll {
        DevicePoll::Pending => {
            OAuthError::new(ErrorCode::AuthorizationPending, "nobody has approved the device yet; ask again")
        }
        DevicePoll::TooSoon => OAuthError::new(
            ErrorCode::SlowDown,
            format!("the device asks too often: wait {SLOW_DOWN} s longer before each further request"),
        ),
        DevicePoll::Denied => OAuthError::new(ErrorCode::AccessDenied, "the request was denied"),
        DevicePoll::Expired => {
            OAuthError::new(ErrorCode::ExpiredToken, "the codes have expired; ask for new ones")
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
        // A session of its own, which outlives the one that approved it.
        session_id: grant.family_id.clone(),
        family_id: grant.family_id,
    }
}
