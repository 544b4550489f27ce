//! `grant_type=refresh_token` (RFC 6749 section 6), with rotation (RFC 9700 section 4.14.2).

use super::{Tokens, new_refresh_token, require_active, require_grant};
use crate::{
    AuthorizationServer,
    error::{ErrorCode, OAuthError},
    parameters::Parameters,
    resource,
};
use flyte_access::token::TokenGrant;
use flyte_audit::{Detail, Event, Kind};
use flyte_model::{GrantType, scope};
use flyte_secrets::opaque_token;
use flyte_store::{Client, RefreshRotation, RefreshToken, RevokedBy};

/// One answer to everything that may be wrong with a refresh token.
const REFUSED: &str = "the refresh token is unknown, expired, revoked, or not this client's; sign in again";

/// Rotates a refresh token: the one presented is superseded by the one in the answer.
pub(super) async fn exchange(
    server: &AuthorizationServer,
    client: &Client,
    form: &Parameters<'_>,
) -> Result<Tokens, OAuthError> {
    require_grant(client, GrantType::RefreshToken)?;
    let presented =
        form.one("refresh_token")?.ok_or_else(|| OAuthError::invalid_request("refresh_token is missing"))?;
    let wanted = form.one("scope")?.map(scope::parse).transpose()?;
    resource::requested(form, server.config.issuer())?;

    let hash = opaque_token::hash(presented);
    if let Some(wanted) = &wanted {
        // Before the rotation: a request for too much must not cost the client its token. A token that is not there is
        // the rotation's to report.
        if let Some(token) = server.store.peek_refresh_token(&hash, &client.id, server.clock.now()).await? {
            scope::within(wanted, &token.scopes)?;
        }
    }
    let (next, record) = new_refresh_token(server)?;
    let grace = server.config.tokens.refresh_token_grace;
    let rotation =
        server.store.rotate_refresh_token(&hash, &client.id, &record, grace, server.clock.now()).await?;
    let token = match rotation {
        RefreshRotation::Rotated(token) => token,
        RefreshRotation::Reused { family_id, user_id, client_id } => {
            server.access.revoke_family(&family_id);
            let event = Event::new(Kind::RefreshReused).subject(&user_id).client(&client_id);
            server.audit.record(event.detail(Detail::Family, family_id)).await;
            return Err(OAuthError::invalid_grant(REFUSED));
        }
        RefreshRotation::Unknown => return Err(OAuthError::invalid_grant(REFUSED)),
    };
    if let Err(error) = require_active(server, &token.user_id).await {
        if error.code == ErrorCode::InvalidGrant {
            // A disabled account can do nothing; enabling it again does not bring back what it had open.
            server.store.revoke_family(&token.family_id, RevokedBy::Server, server.clock.now()).await?;
            server.access.revoke_family(&token.family_id);
        }
        return Err(error);
    }
    Tokens::sign(server, client, &grant(token, wanted), None, Some(next))
}

/// The new access token's grant. A narrower scope is this access token's alone; the refresh token keeps the whole.
fn grant(token: RefreshToken, wanted: Option<Vec<String>>) -> TokenGrant {
    TokenGrant {
        user_id: token.user_id,
        client_id: token.client_id,
        scopes: wanted.unwrap_or(token.scopes),
        audience: token.audience,
        authenticated_at: token.authenticated_at,
        session_id: token.session_id,
        family_id: token.family_id,
    }
}
