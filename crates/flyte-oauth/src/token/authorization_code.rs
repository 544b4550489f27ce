//! `grant_type=authorization_code` (RFC 6749 section 4.1.3, RFC 7636 section 4.6).

use super::{request::TokenRequest, response::TokenResponse};
use crate::{AuthorizationServer, error::OAuthError, pkce};
use flyte_access::token::TokenGrant;
use flyte_audit::{Detail, Event, Kind};
use flyte_model::GrantType;
use flyte_secrets::opaque_token;
use flyte_store::{AuthorizationCode, Client, CodeRedemption};

/// The same description for all problems, so that it does not reveal which codes exist.
const REFUSED: &str = "the code is unknown, expired, used, or was not issued for this request";

/// Exchanges a code.
///
/// The request is checked before the code is redeemed, so a wrong request or a stranger's request does not cost the
/// client its code. The tokens are signed before that too, so that no code is used up for a response that cannot be
/// sent.
pub(super) async fn exchange(request: &TokenRequest<'_>) -> Result<TokenResponse, OAuthError> {
    let TokenRequest { server, client, .. } = *request;
    client.require_grant_type(GrantType::AuthorizationCode)?;
    let (code, redirect_uri, verifier) =
        (request.required("code")?, request.required("redirect_uri")?, request.required("code_verifier")?);
    if !pkce::is_verifier(verifier) {
        return Err(OAuthError::invalid_request("code_verifier must be 43 to 128 unreserved characters"));
    }
    // This server is the only audience of every code.
    request.audience()?;

    let code_hash = opaque_token::hash(code);
    let Some(code) = server.store.peek_code(&code_hash, server.clock.now()).await? else {
        // The code is unknown or was redeemed before. `redeem` finds out, and revokes the tokens of a code that is
        // redeemed twice.
        redeem(server, client, &code_hash, None).await?;
        return Err(OAuthError::invalid_grant(REFUSED));
    };
    let matches = code.client_id == client.id
        && code.redirect_uri == redirect_uri
        && pkce::verify(&code.code_challenge, verifier);
    if !matches {
        return Err(OAuthError::invalid_grant(REFUSED));
    }
    request.require_active(&code.user_id).await?;
    let (refresh_token, refresh_record) = request.first_refresh_token(&code.scopes)?;
    let (grant, nonce) = grant(code);
    let tokens = request.sign(&grant, nonce, refresh_token)?;
    redeem(server, client, &code_hash, refresh_record.as_ref()).await?;
    Ok(tokens)
}

fn grant(code: AuthorizationCode) -> (TokenGrant, Option<String>) {
    let grant = TokenGrant {
        user_id: code.user_id,
        client_id: code.client_id,
        scopes: code.scopes,
        audience: code.audience,
        authenticated_at: code.authenticated_at,
        session_id: code.session_id,
        family_id: code.family_id,
    };
    (grant, code.nonce)
}

/// Redeems the code. Revokes its tokens if it was redeemed before.
async fn redeem(
    server: &AuthorizationServer,
    client: &Client,
    code_hash: &flyte_secrets::SecretHash,
    refresh: Option<&flyte_store::NewRefreshToken>,
) -> Result<(), OAuthError> {
    match server.store.redeem_code(code_hash, refresh, server.clock.now()).await? {
        CodeRedemption::Redeemed(_) => Ok(()),
        CodeRedemption::Replayed { family_id } => {
            server.access.revoke_family(&family_id);
            let event = Event::new(Kind::CodeReplayed).client(&client.id).detail(Detail::Family, family_id);
            server.audit.record(event).await;
            Err(OAuthError::invalid_grant(REFUSED))
        }
        CodeRedemption::Unknown => Err(OAuthError::invalid_grant(REFUSED)),
    }
}
