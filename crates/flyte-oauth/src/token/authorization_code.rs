//! `grant_type=authorization_code` (RFC 6749 section 4.1.3, RFC 7636 section 4.6).

use super::{Tokens, may_refresh, new_refresh_token, require_active, require_grant};
use crate::{AuthorizationServer, error::OAuthError, parameters::Parameters, pkce, resource};
use flyte_access::token::TokenGrant;
use flyte_audit::{Detail, Event, Kind};
use flyte_model::GrantType;
use flyte_secrets::opaque_token;
use flyte_store::{AuthorizationCode, Client, CodeRedemption};

/// One answer to everything that may be wrong with a code, so that nobody learns which codes there are.
const REFUSED: &str = "the code is unknown, expired, used, or was not issued for this request";

/// Exchanges a code.
///
/// What the request must match is checked before the code is spent: a mistaken or a stranger's request does not cost the
/// client its code. Tokens are signed before that too, so that a code is not spent for an answer that cannot be given.
pub(super) async fn exchange(
    server: &AuthorizationServer,
    client: &Client,
    form: &Parameters<'_>,
) -> Result<Tokens, OAuthError> {
    require_grant(client, GrantType::AuthorizationCode)?;
    let required = |name: &'static str| {
        form.one(name)?.ok_or_else(|| OAuthError::invalid_request(format!("{name} is missing")))
    };
    let (code, redirect_uri, verifier) =
        (required("code")?, required("redirect_uri")?, required("code_verifier")?);
    if !pkce::is_verifier(verifier) {
        return Err(OAuthError::invalid_request("code_verifier must be 43 to 128 unreserved characters"));
    }
    // The server's one audience is the audience of every code.
    resource::requested(form, server.config.issuer())?;

    let code_hash = opaque_token::hash(code);
    let Some(code) = server.store.peek_code(&code_hash, server.clock.now()).await? else {
        // Unknown, or spent: redeeming it tells, and revokes what a spent one gave.
        redeem(server, client, &code_hash, None).await?;
        return Err(OAuthError::invalid_grant(REFUSED));
    };
    let matches = code.client_id == client.id
        && code.redirect_uri == redirect_uri
        && pkce::verify(&code.code_challenge, verifier);
    if !matches {
        return Err(OAuthError::invalid_grant(REFUSED));
    }
    require_active(server, &code.user_id).await?;
    let (refresh_token, refresh_record) = if may_refresh(client, &code.scopes) {
        let (token, record) = new_refresh_token(server)?;
        (Some(token), Some(record))
    } else {
        (None, None)
    };
    let (grant, nonce) = grant(code);
    let tokens = Tokens::sign(server, client, &grant, nonce, refresh_token)?;
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

/// Spends the code, or finds that it was spent.
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
