//! Accounts, groups, roles and policies, and who has them: what the services have in common.
//!
//! Whether a caller may use a service at all is decided by the door. What is decided here is where: a caller gives others
//! nothing that it does not have, and one who manages permissions in some projects changes nothing elsewhere.

mod activity;
mod assignments;
mod groups;
mod links;
mod people;
mod policies;
pub(super) mod resource;
mod roles;

use std::sync::Arc;

use connectrpc::{ConnectError, RequestContext};

pub(super) use self::{
    assignments::{everywhere, identity},
    groups::group_message,
    links::{Invitation, link_message},
    people::{NewPerson, own_message},
    policies::{NewPolicy, granted, role_in},
};
use crate::Administration;
use flyte_access::{Caller, policy};
use flyte_audit::{Detail, Event, Kind};
use flyte_model::{Limit, check_display_text, clock::UnixTime};
use flyte_policy::{Permissions, PolicySet, builtin, check_role_name};
use flyte_rpc::{allow, caller, invalid, store_error};
use flyte_store::ApiKey;

/// The length of a page if the request does not say one.
const DEFAULT_PAGE: u32 = 100;
/// The longest page.
const MAX_PAGE: u32 = 1000;

/// What the services do, on behalf of a caller.
#[derive(Clone)]
pub(super) struct Directory {
    pub(super) state: Arc<Administration>,
}

impl Directory {
    pub(super) fn new(state: Arc<Administration>) -> Self {
        Self { state }
    }

    /// Records a change, and puts it into effect at once.
    async fn changed(&self, context: &RequestContext, kind: Kind, event: impl FnOnce(Event) -> Event) {
        let mut recorded = Event::new(kind);
        if let Ok(caller) = caller(context) {
            recorded = recorded.subject(&caller.subject).client(&caller.client_id);
        }
        self.state.audit.record(event(recorded)).await;
        // Everything else sees the change within a second anyway.
        if let Err(error) = self.state.access.reload_policies().await {
            tracing::warn!(%error, "reading the policies failed; they are read again within a second");
        }
    }

    /// The policies as they are stored now.
    async fn policies(&self) -> Result<Arc<PolicySet>, ConnectError> {
        self.state.access.reload_policies().await.map_err(store_error)
    }

    /// What a role allows.
    async fn permissions_of(&self, field: &str, role: &str) -> Result<Permissions, ConnectError> {
        if let Some(permissions) = builtin(role) {
            return Ok(permissions);
        }
        let known = self.state.store.role_by_name(role).await.map_err(store_error)?;
        known.map(|role| role.permissions).ok_or_else(|| invalid(field, &format!("{role:?} does not exist")))
    }

    /// Checks that the caller may give others a role somewhere.
    async fn allow_role(
        &self,
        context: &RequestContext,
        permissions: Permissions,
        limit: &Limit,
        what: &'static str,
    ) -> Result<(), ConnectError> {
        let caller = caller(context)?;
        let verdict = policy::may_manage_permissions(caller, limit, what)
            .and_then(|()| policy::may_hand_out(caller, permissions, limit))
            .and_then(|()| may_appoint(caller, permissions, self.state.clock.now()));
        allow(&self.state.audit, context, verdict).await
    }

    /// Checks that the caller manages permissions in a part of the control plane.
    async fn allow_change(
        &self,
        context: &RequestContext,
        limit: &Limit,
        what: &'static str,
    ) -> Result<(), ConnectError> {
        let verdict = policy::may_manage_permissions(caller(context)?, limit, what);
        allow(&self.state.audit, context, verdict).await
    }
}

/// Making others administrators: by people only, because an API key cannot sign in again, and the server cannot distinguish its
/// holder from a thief.
fn may_appoint(caller: &Caller, permissions: Permissions, now: UnixTime) -> Result<(), policy::Denied> {
    use flyte_policy::Permission::{AdministerServer, ManagePermissions, ManageTrust};
    let appoints = [AdministerServer, ManagePermissions, ManageTrust];
    let appoints = appoints.into_iter().any(|permission| permissions.contains(permission));
    let what = "making others administrators";
    match appoints {
        true if !caller.principal.is_person() => Err(policy::Denied::Person(what)),
        true => policy::recently_signed_in(caller, now, what),
        false => Ok(()),
    }
}

/// The length of a page.
pub(super) fn page(limit: u32) -> u32 {
    match limit {
        0 => DEFAULT_PAGE,
        limit => limit.min(MAX_PAGE),
    }
}

/// Checks the name of a new role, policy or group.
fn check_name(field: &str, name: &str) -> Result<(), ConnectError> {
    check_role_name(name).map_err(|error| invalid(field, &error.to_string()))
}

/// Checks a text for people.
fn check_text(field: &str, text: &str) -> Result<(), ConnectError> {
    check_display_text(text).map_err(|error| invalid(field, &error.to_string()))
}

/// Adds a part of the control plane to an event.
fn place(event: Event, limit: &Limit) -> Event {
    let event = limit.project.iter().fold(event, |event, project| event.detail(Detail::Project, project));
    limit.domain.iter().fold(event, |event, domain| event.detail(Detail::Domain, domain))
}

/// The event of an API key that ended with its creator.
fn ended_key(key: &ApiKey, why: &str) -> Event {
    Event::new(Kind::ApiKeyDeleted)
        .object(key.client_id.as_str())
        .detail(Detail::Family, &key.family_id)
        .detail(Detail::Reason, why)
}
