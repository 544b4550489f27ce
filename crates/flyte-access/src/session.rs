//! Browser sessions as callers: a page of this server calls with the cookie of its user, without a token.
//!
//! The caller has all rights of the user. Its family is that of the browser session, so its streams end
//! when the user signs out there.

use super::{Access, Caller};
use crate::{
    door::{Door, Refusal, RequiredScope},
    policy,
};
use flyte_model::{PrincipalKind, Scope};
use flyte_policy::{Permission, Subject};
use flyte_settings::reserved;
use flyte_store::{BrowserSession, StoreError, User};

/// The prefix of the families of browser sessions. The families of tokens are UUIDs.
const FAMILY_PREFIX: &str = "session:";

impl Access {
    /// The caller behind a browser session of `user`, whose account is enabled.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn caller_of_session(
        &self,
        user: &User,
        session: &BrowserSession,
    ) -> Result<Caller, StoreError> {
        let policies = self.policies.current(&*self.store).await?;
        Ok(Caller {
            subject: user.id.clone(),
            client_id: reserved::CONSOLE,
            scopes: [Scope::ALL].into(),
            family_id: format!("{FAMILY_PREFIX}{}", session.id),
            token_id: session.id.clone(),
            expires_at: session.expires_at,
            principal: PrincipalKind::Person,
            authenticated_at: Some(session.authenticated_at),
            grants: policies.grants(&Subject::user(&user.id)),
            on_behalf_of: None,
        })
    }
}

impl Access {
    /// Decides by the caller alone, as [`Door::admit`]. A browser session also needs a recent sign-in for what only
    /// administrators may change, whichever page calls: a stolen cookie, or a browser that is left open, changes nothing.
    ///
    /// # Errors
    /// Those of [`Door::admit`], and [`Denied::StepUp`](policy::Denied::StepUp).
    pub fn admit(&self, caller: &Caller, path: &str) -> Result<(), Refusal> {
        let door = Door::published();
        door.admit(caller, path)?;
        let is_change = door.rpc(path).is_some_and(|rpc| {
            use Permission::{AdministerServer, ManagePermissions, ManageTrust};
            let administers =
                matches!(rpc.permission, Some(AdministerServer | ManagePermissions | ManageTrust));
            rpc.scope == RequiredScope::All && administers
        });
        if is_change && caller.session_id().is_some() {
            policy::recently_signed_in(caller, self.clock.now(), "a change by an administrator")?;
        }
        Ok(())
    }

    /// Ends the streams of a browser session that has just ended, at once on this replica.
    pub fn end_session(&self, session_id: &str) {
        self.revoked.insert_until_forgotten(&format!("{FAMILY_PREFIX}{session_id}"), self.clock.now());
        self.end_revoked_streams();
    }
}

impl Caller {
    /// The identifier of the browser session that calls; `None` if the caller has a token.
    #[must_use]
    pub fn session_id(&self) -> Option<&str> {
        self.family_id.strip_prefix(FAMILY_PREFIX)
    }
}
