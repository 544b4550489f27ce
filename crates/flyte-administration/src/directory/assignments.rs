//! Who has which roles and policies.

use buffa::MessageField;
use connectrpc::{ConnectError, RequestContext};
use flyte_idl::cloudidl::{authorizer::IdentityAssignment, common as cloud, common::identity::Principal};

use super::{Directory, policies, resource};
use crate::find_api_key;
use flyte_access::policy;
use flyte_audit::{Detail, Kind};
use flyte_model::Limit;
use flyte_policy::{Binding, Permissions, Subject, SubjectKind, builtin};
use flyte_rpc::{allow, caller, invalid, store_error};

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
            Some(Principal::ApplicationId(id)) => match find_api_key(&self.state, &id.subject).await? {
                Some(key) => Ok(Subject::application(key.client_id.as_str())),
                None => Err(ConnectError::not_found(format!("there is no API key {:?}", id.subject))),
            },
            Some(Principal::ExternalIdentity(_)) => {
                Err(invalid("identity.external_identity", "cannot have roles or policies of its own"))
            }
            None => Err(invalid("identity", "is missing: a user or an application")),
        }
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
        if let Some(permissions) = builtin(name) {
            return self.assign_role(context, subject, name, permissions).await;
        }
        self.require_policy(name).await?;
        self.allow_policy(context, name, Change::Assign).await?;
        let now = self.state.clock.now();
        if self.state.store.assign_policy(subject, name, now).await.map_err(store_error)? {
            self.record(context, Kind::PolicyAssigned, subject, Detail::Policy, name).await;
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
            return self.unassign_role(context, subject, name).await;
        }
        self.require_policy(name).await?;
        self.allow_policy(context, name, Change::Unassign).await?;
        if !self.state.store.unassign_policy(subject, name).await.map_err(store_error)? {
            return Err(ConnectError::not_found(format!(
                "the {} does not have the policy {name:?}",
                subject.kind.noun()
            )));
        }
        self.record(context, Kind::PolicyUnassigned, subject, Detail::Policy, name).await;
        Ok(())
    }

    async fn require_policy(&self, name: &str) -> Result<(), ConnectError> {
        if name.is_empty() {
            return Err(invalid("policy_id.name", "is missing"));
        }
        let known = self.state.store.policy_by_name(name).await.map_err(store_error)?;
        known.map(|_| ()).ok_or_else(|| policies::not_found(name))
    }

    /// Gives a subject a role by its name, everywhere.
    pub(crate) async fn assign_named_role(
        &self,
        context: &RequestContext,
        subject: &Subject,
        name: &str,
    ) -> Result<(), ConnectError> {
        let role = self.role("role_id.name", name).await?;
        self.assign_role(context, subject, &role.name, role.permissions).await
    }

    /// Gives a subject a role everywhere.
    async fn assign_role(
        &self,
        context: &RequestContext,
        subject: &Subject,
        role: &str,
        permissions: Permissions,
    ) -> Result<(), ConnectError> {
        self.allow_role(context, permissions, &Limit::default(), "giving a role everywhere").await?;
        let binding = Binding { subject: subject.clone(), role: role.to_owned(), limit: Limit::default() };
        if self.state.store.bind_role(&binding, self.state.clock.now()).await.map_err(store_error)? {
            self.record(context, Kind::RoleGranted, subject, Detail::Role, role).await;
        }
        Ok(())
    }

    /// Takes a role that a subject has everywhere.
    pub(crate) async fn unassign_role(
        &self,
        context: &RequestContext,
        subject: &Subject,
        role: &str,
    ) -> Result<(), ConnectError> {
        self.allow_change(context, &Limit::default(), "taking a role everywhere").await?;
        let binding = Binding { subject: subject.clone(), role: role.to_owned(), limit: Limit::default() };
        if !self.state.store.unbind_role(&binding).await.map_err(store_error)? {
            return Err(ConnectError::not_found(format!(
                "the {} does not have the role {role:?} everywhere",
                subject.kind.noun()
            )));
        }
        self.record(context, Kind::RoleRevoked, subject, Detail::Role, role).await;
        Ok(())
    }

    async fn record(
        &self,
        context: &RequestContext,
        kind: Kind,
        subject: &Subject,
        detail: Detail,
        name: &str,
    ) {
        // People are known by their addresses.
        let email = match subject.kind {
            SubjectKind::User => self.state.store.user_by_id(&subject.id).await.ok().flatten(),
            _ => None,
        };
        self.changed(context, kind, |event| match email {
            Some(user) => event.object(&user.email).detail(Detail::User, &subject.id).detail(detail, name),
            None => event.object(&subject.id).detail(detail, name),
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
        let mut verdict = policy::may_hand_out_all(caller, &grants);
        for permission in flyte_policy::Permission::ALL {
            for limit in grants.limits(permission) {
                verdict = verdict
                    .and_then(|()| policy::may_manage_permissions(caller, &limit, "giving access there"))
                    .and_then(|()| super::may_appoint(caller, permission.into()));
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
