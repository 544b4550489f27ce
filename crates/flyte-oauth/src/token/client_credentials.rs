//! `grant_type=client_credentials` (RFC 6749 section 4.4): API keys act as themselves.

use super::{request::TokenRequest, response::TokenResponse};
use crate::error::{ErrorCode, OAuthError};
use flyte_access::token::MachineGrant;
use flyte_model::{PrincipalKind, Scope, ScopeError, Scopes};

/// Issues an access token, and no refresh token (RFC 6749 section 4.4.3): the key itself gets the next one.
pub(super) fn exchange(request: &TokenRequest<'_>) -> Result<TokenResponse, OAuthError> {
    let TokenRequest { server, client, form, .. } = *request;
    let Some(key) = client.api_key() else {
        return Err(OAuthError::new(
            ErrorCode::UnauthorizedClient,
            "client_credentials requires an API key: create one with `flyte create api-key NAME`",
        ));
    };
    let scopes = granted(form.one("scope")?, &key.rights.scopes)?;
    let audience = request.audience()?;
    let now = server.clock.now();
    let grant = MachineGrant {
        principal: PrincipalKind::ApiKey,
        subject: key.client_id.to_string(),
        client_id: key.client_id.clone(),
        scopes,
        audience,
        family_id: key.family_id.clone(),
        // No token outlives its key.
        lifetime: key.expires_at.map(|end| end.saturating_sub(now)),
    };
    let access_token = server.access.tokens().issue_to_machine(&grant)?;
    server.access.note_api_key_use(&key.client_id, now);
    Ok(TokenResponse {
        access_token,
        refresh_token: None,
        id_token: None,
        scopes: grant.scopes,
        client_secret_expires_at: client.proof_ends_at(),
    })
}

/// Returns those requested scopes that the key has, or all its scopes if none are requested. The published client
/// always requests the scopes of a user's sign-in, so requesting more is not an error; having none of the requested
/// scopes is.
pub(super) fn granted(asked: Option<&str>, own: &Scopes) -> Result<Scopes, ScopeError> {
    let Some(asked) = asked else { return Ok(own.clone()) };
    let asked: Scopes = asked.parse()?;
    // `all` includes `read`.
    let wanted =
        |scope: &Scope| asked.contains(scope) || (*scope == Scope::READ && asked.contains(&Scope::ALL));
    let mut granted: Scopes = own.iter().filter(|scope| wanted(scope)).cloned().collect();
    if granted.is_empty() && own.contains(&Scope::ALL) && asked.contains(&Scope::READ) {
        granted.insert(Scope::READ);
    }
    if granted.is_empty() { Err(ScopeError::Excessive(asked.to_string())) } else { Ok(granted) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_granted_scopes_are_requested_and_owned() {
        for (asked, own, expected) in [
            (None, "all", Some("all")),
            (None, "read", Some("read")),
            (Some("all"), "all", Some("all")),
            // The published client requests these.
            (Some("openid offline_access all"), "all", Some("all")),
            (Some("openid offline_access all"), "read", Some("read")),
            (Some("read"), "all", Some("read")),
            (Some("all read"), "all read", Some("all read")),
            (Some("read"), "all read", Some("read")),
            (Some("openid"), "all", None),
            (Some("openid email"), "read", None),
        ] {
            let granted = granted(asked, &own.parse().unwrap()).ok().map(|scopes| scopes.to_string());
            assert_eq!(granted.as_deref(), expected, "{asked:?} of {own}");
        }
    }
}
