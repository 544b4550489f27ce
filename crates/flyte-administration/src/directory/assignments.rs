//! Who has which roles and policies.

use buffa::MessageField;
use connectrpc::{ConnectError, RequestContext};
use flyte_idl::{
    cloudidl::{authorizer::IdentityAssignment, common as cloud, common::identity::Principal},
    flyteauth::{self, subject},
};

use super::{Directory, place, policies, resource};
use crate::{find_api_key, rights::check_limit};
use flyte_access::policy;
use flyte_audit::{Detail, Event, Kind};
use flyte_model::Limit;
use flyte_policy::{Binding, Subject, SubjectKind, builtin};
use flyte_rpc::{allow, caller, invalid, store_error};
use flyte_store::RoleIn;

/// A change of what a subject has.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Change {
    Assign,
    Unassign,
}

impl Directory {
    /// The subject that a message names. It exists.
    pub(crate) async fn subject(&self, identity: Option<cloud::Identity>) -> Result<Subject, ConnectError> {
        match identity.and_then(|identity| identity.principal) {
            Some(Principal::UserId(id)) => {
                Ok(Subject::user(&self.person("identity.user_id.subject", &id.subject).await?.id))
            }
            Some(Principal::ApplicationId(id)) => self.application(&id.subject).await,
            Some(Principal::ExternalIdentity(_)) => {
                Err(invalid("identity.external_identity", "cannot have roles or policies of its own"))
            }
            None => Err(invalid("identity", "is missing: a user or an application")),
        }
    }

    /// The subject that one of our own messages names. It exists.
    pub(crate) async fn own_subject(
        &self,
        subject: Option<flyteauth::Subject>,
    ) -> Result<Subject, ConnectError> {
        match subject.and_then(|subject| subject.subject) {
            Some(subject::Subject::User(text)) => {
                Ok(Subject::user(&self.person("subject.user", &text).await?.id))
            }
            Some(subject::Subject::ApiKey(client_id)) => self.application(&client_id).await,
            Some(subject::Subject::Group(text)) => Ok(Subject::group(&self.group(&text).await?.id)),
            None => Err(invalid("subject", "is missing: a user, an API key or a group")),
        }
    }

    async fn application(&self, client_id: &str) -> Result<Subject, ConnectError> {
        let key = find_api_key(&self.state, client_id).await?;
        let key = key.ok_or_else(|| ConnectError::not_found(format!("there is no API key {client_id:?}")))?;
        Ok(Subject::application(key.client_id.as_str()))
    }

    /// Checks that the caller may give a subject a policy, or take it: that it manages permissions wherever the policy gives a role
    /// and, to give it, has what the policy gives.
    async fn allow_policy(
        &self,
        context: &RequestContext,
        name: &str,
        change: Change,
    ) -> Result<(), ConnectError> {
        let what = "assigning a policy that gives roles there";
        let bindings = self.bindings(&Subject::policy(name)).await?;
        for Binding { role, limit, .. } in bindings {
            match change {
                Change::Assign => {
                    let permissions = self.permissions_of("policy_id.name", &role).await?;
                    self.allow_role(context, permissions, &limit, what).await?;
                }
                Change::Unassign => self.allow_change(context, &limit, what).await?,
            }
        }
        Ok(())
    }

    /// Gives a subject a policy. Nothing happens if it has the policy already.
    pub(crate) async fn assign_policy(
        &self,
        context: &RequestContext,
        subject: &Subject,
        name: &str,
    ) -> Result<(), ConnectError> {
        if builtin(name).is_some() {
            return self.assign_role(context, subject, everywhere(name)).await;
        }
        self.require_policy(name).await?;
        self.allow_policy(context, name, Change::Assign).await?;
        let now = self.state.clock.now();
        if self.state.store.assign_policy(subject, name, now).await.map_err(store_error)? {
            self.record(context, Kind::PolicyAssigned, subject, |event| event.detail(Detail::Policy, name))
                .await;
        }
        Ok(())
    }

    /// Takes a policy from a subject.
    pub(crate) async fn unassign_policy(
        &self,
        context: &RequestContext,
        subject: &Subject,
        name: &str,
    ) -> Result<(), ConnectError> {
        if builtin(name).is_some() {
            return self.unassign_role(context, subject, everywhere(name)).await;
        }
        self.require_policy(name).await?;
        self.allow_policy(context, name, Change::Unassign).await?;
        if !self.state.store.unassign_policy(subject, name).await.map_err(store_error)? {
            return Err(ConnectError::not_found(format!(
                "the {} does not have the policy {name:?}",
                subject.kind.noun()
            )));
        }
        self.record(context, Kind::PolicyUnassigned, subject, |event| event.detail(Detail::Policy, name))
            .await;
        Ok(())
    }

    async fn require_policy(&self, name: &str) -> Result<(), ConnectError> {
        if name.is_empty() {
            return Err(invalid("policy_id.name", "is missing"));
        }
        let known = self.state.store.policy_by_name(name).await.map_err(store_error)?;
        known.map(|_| ()).ok_or_else(|| policies::not_found(name))
    }

    /// Gives a subject a role in a part of the control plane. Nothing happens if it has the role there already.
    pub(crate) async fn assign_role(
        &self,
        context: &RequestContext,
        subject: &Subject,
        RoleIn { role, limit }: RoleIn,
    ) -> Result<(), ConnectError> {
        let permissions = self.role("role", &role).await?.permissions;
        check_limit(&self.state, caller(context)?, "grant", &limit).await?;
        self.allow_role(context, permissions, &limit, "giving a role there").await?;
        let binding = Binding { subject: subject.clone(), role, limit };
        if self.state.store.bind_role(&binding, self.state.clock.now()).await.map_err(store_error)? {
            self.record_role(context, Kind::RoleGranted, &binding).await;
        }
        Ok(())
    }

    /// Takes a role that a subject has in a part of the control plane.
    pub(crate) async fn unassign_role(
        &self,
        context: &RequestContext,
        subject: &Subject,
        RoleIn { role, limit }: RoleIn,
    ) -> Result<(), ConnectError> {
        self.allow_change(context, &limit, "taking a role there").await?;
        let binding = Binding { subject: subject.clone(), role, limit };
        if !self.state.store.unbind_role(&binding).await.map_err(store_error)? {
            return Err(ConnectError::not_found(format!(
                "the {} does not have the role {:?} {}",
                subject.kind.noun(),
                binding.role,
                policy::describe(&binding.limit)
            )));
        }
        self.record_role(context, Kind::RoleRevoked, &binding).await;
        Ok(())
    }

    pub(super) async fn record_role(&self, context: &RequestContext, kind: Kind, binding: &Binding) {
        let Binding { subject, role, limit } = binding;
        self.record(context, kind, subject, |event| place(event.detail(Detail::Role, role), limit)).await;
    }

    /// Records a change of what a subject has.
    async fn record(
        &self,
        context: &RequestContext,
        kind: Kind,
        subject: &Subject,
        what: impl FnOnce(Event) -> Event,
    ) {
        // People are known by their addresses.
        let email = match subject.kind {
            SubjectKind::User => self.state.store.user_by_id(&subject.id).await.ok().flatten(),
            _ => None,
        };
        self.changed(context, kind, |event| {
            what(match email {
                Some(user) => event.object(&user.email).detail(Detail::User, &subject.id),
                None => event.object(&subject.id),
            })
        })
        .await;
    }

    /// Checks that the caller has all that a subject has, which the caller is about to give to another.
    pub(super) async fn allow_all_of(
        &self,
        context: &RequestContext,
        subject: &Subject,
    ) -> Result<(), ConnectError> {
        let grants = self.policies().await?.grants(subject);
        let caller = caller(context)?;
        let now = self.state.clock.now();
        let mut verdict = policy::may_hand_out_all(caller, &grants);
        for permission in flyte_policy::Permission::ALL {
            for limit in grants.limits(permission) {
                verdict = verdict
                    .and_then(|()| policy::may_manage_permissions(caller, &limit, "giving access there"))
                    .and_then(|()| super::may_appoint(caller, permission.into(), now));
            }
        }
        allow(&self.state.audit, context, verdict).await
    }

    /// The roles and policies of a subject itself. A role that it does not have everywhere says where.
    pub(crate) async fn assigned(
        &self,
        subject: &Subject,
    ) -> Result<(Vec<cloud::Role>, Vec<cloud::Policy>), ConnectError> {
        let (mut roles, mut policies) = (Vec::new(), Vec::new());
        for Binding { role, limit, .. } in self.bindings(subject).await? {
            if limit.is_none() && builtin(&role).is_some() {
                policies.push(self.policy(&role).await?);
            }
            let mut message = self.role_message(self.role("role", &role).await?);
            if !limit.is_none() {
                message.permissions = vec![cloud::Permission {
                    resource: MessageField::some(resource::message(&self.state.config.org, &limit)),
                    actions: message.actions.clone(),
                    ..cloud::Permission::default()
                }];
            }
            roles.push(message);
        }
        for policy in self.state.store.policies_of(subject).await.map_err(store_error)? {
            policies.push(self.with_bindings(policy).await?);
        }
        Ok((roles, policies))
    }

    /// The message of what a person or an API key has.
    pub(crate) async fn assignment(&self, subject: &Subject) -> Result<IdentityAssignment, ConnectError> {
        let (roles, policies) = self.assigned(subject).await?;
        Ok(IdentityAssignment {
            identity: MessageField::some(identity(subject)),
            roles,
            policies,
            ..IdentityAssignment::default()
        })
    }
}

/// A role everywhere.
pub(crate) fn everywhere(role: &str) -> RoleIn {
    RoleIn { role: role.to_owned(), limit: Limit::default() }
}

/// The message of a person or an API key.
pub(crate) fn identity(subject: &Subject) -> cloud::Identity {
    let id = subject.id.clone();
    let principal = match subject.kind {
        SubjectKind::Application => {
            cloud::ApplicationIdentifier { subject: id, ..cloud::ApplicationIdentifier::default() }.into()
        }
        SubjectKind::User | SubjectKind::Group | SubjectKind::Policy => {
            Principal::from(cloud::UserIdentifier { subject: id, ..cloud::UserIdentifier::default() })
        }
    };
    cloud::Identity { principal: Some(principal), ..cloud::Identity::default() }
}
