//! `grant_type=client_credentials` (RFC 6749 section 4.4): API keys act as themselves.

use super::Tokens;
use crate::{
    AuthorizationServer,
    client::Authenticated,
    error::{ErrorCode, OAuthError},
    parameters::Parameters,
    resource,
};
use flyte_access::token::MachineGrant;
use flyte_model::{
    PrincipalKind,
    scope::{self, ScopeError},
};

/// Gives an access token, and never a refresh token (RFC 6749 section 4.4.3): the key itself is good for the next one.
pub(super) fn exchange(
    server: &AuthorizationServer,
    client: &Authenticated,
    form: &Parameters<'_>,
) -> Result<Tokens, OAuthError> {
    let Some(key) = client.api_key() else {
        return Err(OAuthError::new(
            ErrorCode::UnauthorizedClient,
            "client_credentials is for API keys: make one with `flyte create api-key NAME`",
        ));
    };
    let scopes = granted(form.one("scope")?, &key.rights.scopes)?;
    let audience = resource::requested(form, server.config.issuer())?;
    let now = server.clock.now();
    let grant = MachineGrant {
        principal: PrincipalKind::ApiKey,
        subject: key.client_id.clone(),
        client_id: key.client_id.clone(),
        scopes,
        audience,
        family_id: key.family_id.clone(),
        // No token outlives its key.
        lifetime: key.expires_at.map(|end| end.saturating_sub(now)),
    };
    let access_token = server.access.tokens().issue_to_machine(&grant)?;
    server.access.note_use(PrincipalKind::ApiKey, &key.client_id, now);
    Ok(Tokens {
        access_token,
        refresh_token: None,
        id_token: None,
        scope: scope::join(&grant.scopes),
        client_secret_expires_at: client.proof_ends_at(),
    })
}

/// What of the scopes asked for the key has; all of them where none is asked for. The published client asks for the scopes of
/// people's sign-ins, whatever the key has, so that asking for more is no error; a key that has nothing of it is one.
pub(super) fn granted(asked: Option<&str>, own: &[String]) -> Result<Vec<String>, ScopeError> {
    let Some(asked) = asked else { return Ok(own.to_vec()) };
    let asked = scope::parse(asked)?;
    // `all` includes `read`, so that it asks for that too.
    let wanted = |scope: &String| {
        asked.contains(scope) || (scope == scope::READ && scope::contains(&asked, scope::ALL))
    };
    let mut granted: Vec<String> = own.iter().filter(|scope| wanted(scope)).cloned().collect();
    if granted.is_empty() && scope::contains(own, scope::ALL) && scope::contains(&asked, scope::READ) {
        granted.push(scope::READ.to_owned());
    }
    if granted.is_empty() { Err(ScopeError::Excessive(scope::join(&asked))) } else { Ok(granted) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_granted_is_what_is_asked_for_and_there() {
        let owned = |text: &str| -> Vec<String> { text.split_whitespace().map(str::to_owned).collect() };
        for (asked, own, expected) in [
            (None, "all", Some("all")),
            (None, "read", Some("read")),
            (Some("all"), "all", Some("all")),
            // What the published client asks for.
            (Some("openid offline_access all"), "all", Some("all")),
            (Some("openid offline_access all"), "read", Some("read")),
            (Some("read"), "all", Some("read")),
            (Some("all read"), "all read", Some("all read")),
            (Some("read"), "all read", Some("read")),
            (Some("openid"), "all", None),
            (Some("openid email"), "read", None),
        ] {
            let granted = granted(asked, &owned(own)).ok().map(|scopes| scope::join(&scopes));
            assert_eq!(granted.as_deref(), expected, "{asked:?} of {own}");
        }
    }
}
