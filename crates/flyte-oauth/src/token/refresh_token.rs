//! `grant_type=refresh_token` (RFC 6749 section 6), with rotation (RFC 9700 section 4.14.2).

use super::{request::TokenRequest, response::TokenResponse};
use crate::{
    error::{ErrorCode, OAuthError},
    sign_in::outside::recheck,
};
use flyte_access::token::TokenGrant;
use flyte_audit::{Detail, Event, Kind};
use flyte_model::{GrantType, Scopes};
use flyte_secrets::opaque_token;
use flyte_store::{RefreshRotation, RefreshToken, RevokedBy};

/// The same description for all problems, so that it does not reveal which refresh tokens exist.
const REFUSED: &str = "the refresh token is invalid, expired, revoked or of another client; sign in again";

/// Rotates a refresh token: the token in the response replaces the one in the request.
pub(super) async fn exchange(request: &TokenRequest<'_>) -> Result<TokenResponse, OAuthError> {
    let TokenRequest { server, client, form, .. } = *request;
    client.require_grant_type(GrantType::RefreshToken)?;
    let presented = request.required("refresh_token")?;
    let wanted = form.one("scope")?.map(str::parse::<Scopes>).transpose()?;
    request.audience()?;

    let hash = opaque_token::hash(presented);
    if let Some(token) = server.store.peek_refresh_token(&hash, &client.id, server.clock.now()).await? {
        // This check comes before the rotation, so that a request for too many scopes does not cost the client its
        // token. The rotation reports a missing token.
        if let Some(wanted) = &wanted {
            wanted.require_within(&token.scopes)?;
        }
        // If the provider no longer accepts the user, this revokes the family.
        recheck::before_use(server, &token.session_id).await?;
    }
    let (next, record) = request.new_refresh_token()?;
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
    if let Err(error) = request.require_active(&token.user_id).await {
        if error.code == ErrorCode::InvalidGrant {
            // A disabled account has no access. If it is enabled again, its earlier tokens stay revoked.
            server.store.revoke_family(&token.family_id, RevokedBy::Server, server.clock.now()).await?;
            server.access.revoke_family(&token.family_id);
        }
        return Err(error);
    }
    request.sign(&grant(token, wanted), None, Some(next))
}

/// The grant for the new access token. A narrower scope applies only to this access token; the refresh token keeps
/// its scopes.
fn grant(token: RefreshToken, wanted: Option<Scopes>) -> TokenGrant {
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
