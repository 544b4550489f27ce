//! The exchange of a pod's token for one of this server: for programs in pods that cannot send the pod's own.
//!
//! No rule is needed: the pod is a caller already, and the new token has its rights and ends with it.

use super::{Exchanged, invalid};
use crate::{
    AuthorizationServer,
    error::{ErrorCode, OAuthError},
    parameters::Parameters,
    token::client_credentials::granted,
};
use flyte_access::{Reason, token::MachineGrant};
use flyte_audit::{Detail, Event, Kind};
use flyte_federation::SubjectToken;
use flyte_model::ClientId;

/// The longest lifetime of a new token, in seconds.
const LIFETIME: i64 = 900;

/// Exchanges `text`, which was parsed as `token`. Returns `None` if the token is not that of a running pod of a task, but a
/// trust rule may accept it.
pub(super) async fn exchange(
    server: &AuthorizationServer,
    client_id: &ClientId,
    form: &Parameters<'_>,
    (text, token): (&str, &SubjectToken<'_>),
    audience: Option<String>,
) -> Result<Option<Exchanged>, OAuthError> {
    if form.one("trust")?.is_some() || !server.access.recognizes_workload(text) {
        return Ok(None);
    }
    let (pod, caller) = match server.access.identify_workload(text).await {
        Ok(found) => found,
        Err(Reason::Missing) => return Ok(None),
        Err(Reason::Invalid(why)) => {
            let rules = server.store.trust_rules_of_issuer(&token.issuer).await?;
            let has_rule = rules.iter().any(|rule| rule.audience == token.audience);
            return if has_rule { Ok(None) } else { Err(invalid(why)) };
        }
        Err(Reason::Store(error)) => return Err(error.into()),
        Err(Reason::Unavailable(error)) => {
            tracing::error!(%error, "a pod could not be checked");
            let text = "the pod cannot be checked at the moment; try again in a few seconds";
            return Err(OAuthError::new(ErrorCode::TemporarilyUnavailable, text));
        }
    };
    let now = server.clock.now();
    let grant = MachineGrant {
        principal: caller.principal,
        subject: caller.subject.clone(),
        client_id: client_id.clone(),
        scopes: granted(form.one("scope")?, &caller.scopes)?,
        audience,
        family_id: caller.family_id.clone(),
        lifetime: Some(LIFETIME.min(pod.expires_at.saturating_sub(now))),
    };
    let access_token = server.access.tokens().issue_to_machine(&grant)?;
    let event = Event::new(Kind::TokenExchanged)
        .subject(&caller.subject)
        .client(client_id)
        .object(&pod.workload.id.to_string())
        .detail(Detail::Issuer, &token.issuer)
        .detail(Detail::Token, &access_token.jti)
        .detail(Detail::ExpiresAt, now.saturating_add(access_token.expires_in));
    server.audit.record(caller.add_starter(event)).await;
    Ok(Some(Exchanged { access_token, scopes: grant.scopes }))
}
