//! What an account has open, who it is elsewhere, and its groups.

use connectrpc::{ConnectError, RequestContext};
use flyte_idl::flyteauth;

use super::{Directory, people::about};
use flyte_audit::Kind;
use flyte_rpc::store_error;
use flyte_store::{SignIn, SignInKind, SignInQuery, User};

/// The most sign-ins of an answer.
const MOST_SIGN_INS: u32 = 100;

fn sign_in(found: SignIn) -> flyteauth::SignIn {
    let last = found.last_use.unwrap_or_default();
    let (kind, client_id, scopes) = match found.kind {
        SignInKind::Browser => ("browser", String::new(), Vec::new()),
        SignInKind::Program { client_id, scopes } => ("program", client_id.to_string(), scopes.into()),
        SignInKind::Device { client_id, scopes } => ("device", client_id.to_string(), scopes.into()),
    };
    flyteauth::SignIn {
        id: found.id,
        kind: kind.to_owned(),
        client_id,
        scopes,
        started_at: found.started_at,
        expires_at: found.expires_at.unwrap_or_default(),
        last_used_at: last.at,
        address: last.address.unwrap_or_default(),
        agent: last.agent.unwrap_or_default(),
        ..flyteauth::SignIn::default()
    }
}

impl Directory {
    /// The message of what an account has open.
    pub(crate) async fn activity(
        &self,
        user: &User,
    ) -> Result<flyteauth::GetUserActivityResponse, ConnectError> {
        let store = &self.state.store;
        let query = SignInQuery {
            user_id: user.id.clone(),
            now: self.state.clock.now(),
            access_token_ttl: self.state.config.tokens.access_token_ttl,
            limit: MOST_SIGN_INS,
            page_token: String::new(),
        };
        let (sign_ins, more) = store.list_sign_ins(&query).await.map_err(store_error)?;
        let identities = store.outside_identities_of(&user.id).await.map_err(store_error)?;
        let groups = store.groups_of_user(&user.id).await.map_err(store_error)?;
        let identities = identities.into_iter().map(|identity| flyteauth::OutsideIdentity {
            provider: identity.provider,
            issuer: identity.issuer,
            subject: identity.subject,
            email: identity.email.unwrap_or_default(),
            linked_at: identity.linked_at,
            last_sign_in_at: identity.last_sign_in_at.unwrap_or_default(),
            ..flyteauth::OutsideIdentity::default()
        });
        let groups = groups.into_iter().map(|group| flyteauth::Membership {
            group: group.id,
            name: group.name,
            provider: group.origin.map(|origin| origin.provider).unwrap_or_default(),
            ..flyteauth::Membership::default()
        });
        Ok(flyteauth::GetUserActivityResponse {
            sign_ins: sign_ins.into_iter().map(sign_in).collect(),
            has_more_sign_ins: !more.is_empty(),
            identities: identities.collect(),
            groups: groups.collect(),
            ..flyteauth::GetUserActivityResponse::default()
        })
    }

    /// Ends the browser sessions and the logins of an account.
    pub(crate) async fn end_sessions(
        &self,
        context: &RequestContext,
        user: &User,
    ) -> Result<(), ConnectError> {
        let now = self.state.clock.now();
        let ended = self.state.store.end_sign_ins(&user.id, None, now).await.map_err(store_error)?;
        for family in &ended.families {
            self.state.access.revoke_family(family);
        }
        self.changed(context, Kind::UserSessionsEnded, |event| about(event, user)).await;
        self.end_revoked().await;
        Ok(())
    }
}
