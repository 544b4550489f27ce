//! Policies. Each built-in role is also a policy, which gives it everywhere: the hosted control plane has such policies.

use buffa::MessageField;
use connectrpc::{ConnectError, RequestContext};
use flyte_idl::{cloudidl::common as cloud, flyteauth};

use super::{Directory, check_name, check_text, page, place, resource, roles};
use crate::rights::check_limit;
use flyte_audit::{Detail, Kind};
use flyte_model::Limit;
use flyte_policy::{Binding, Subject, builtin};
use flyte_rpc::{caller, invalid, store_error};
use flyte_store::{NameQuery, Policy, RoleIn};

/// A policy that is asked for.
pub(crate) struct NewPolicy {
    pub(crate) name: String,
    pub(crate) description: String,
    pub(crate) bindings: Vec<RoleIn>,
}

pub(super) fn not_found(name: &str) -> ConnectError {
    ConnectError::not_found(format!("there is no policy {name:?}"))
}

fn is_built_in(name: &str) -> ConnectError {
    ConnectError::failed_precondition(format!("the policy {name:?} is built in and cannot be changed"))
}

/// The role in a part of the control plane that a message says.
///
/// # Errors
/// `invalid_argument` that names the field.
pub(crate) fn role_in(field: &str, binding: Option<cloud::PolicyBinding>) -> Result<RoleIn, ConnectError> {
    let binding = binding.ok_or_else(|| invalid(field, "is missing"))?;
    let role = binding.role_id.into_option().map(|id| id.name).unwrap_or_default();
    if role.is_empty() {
        return Err(invalid(&format!("{field}.role_id.name"), "is missing"));
    }
    let limit = resource::limit(&format!("{field}.resource"), binding.resource.into_option())?;
    Ok(RoleIn { role, limit })
}

/// The role in a part of the control plane that one of our own messages says.
///
/// # Errors
/// `invalid_argument` that names the field.
pub(crate) fn granted(field: &str, grant: Option<flyteauth::Grant>) -> Result<RoleIn, ConnectError> {
    let flyteauth::Grant { role, project, domain, .. } =
        grant.ok_or_else(|| invalid(field, "is missing: a role, and where"))?;
    if role.is_empty() {
        return Err(invalid(&format!("{field}.role"), "is missing"));
    }
    let given = |text: String| Some(text).filter(|text| !text.is_empty());
    Ok(RoleIn { role, limit: Limit { project: given(project), domain: given(domain) } })
}

impl Directory {
    /// The description and bindings of a policy.
    pub(crate) async fn policy(&self, name: &str) -> Result<cloud::Policy, ConnectError> {
        if name.is_empty() {
            return Err(invalid("id.name", "is missing"));
        }
        if let Some(role) = roles::all_built_in().find(|role| role.name == name) {
            let bindings = [RoleIn { role: role.name.clone(), limit: Limit::default() }];
            return Ok(self.policy_message(role.name, role.description, bindings));
        }
        let policy = self.state.store.policy_by_name(name).await.map_err(store_error)?;
        self.with_bindings(policy.ok_or_else(|| not_found(name))?).await
    }

    /// The message of a stored policy.
    pub(super) async fn with_bindings(&self, policy: Policy) -> Result<cloud::Policy, ConnectError> {
        let bindings = self.bindings(&Subject::policy(&policy.name)).await?;
        let bindings = bindings.into_iter().map(|Binding { role, limit, .. }| RoleIn { role, limit });
        Ok(self.policy_message(policy.name, policy.description, bindings))
    }

    fn policy_message(
        &self,
        name: String,
        description: String,
        bindings: impl IntoIterator<Item = RoleIn>,
    ) -> cloud::Policy {
        let org = &self.state.config.org;
        let bindings = bindings.into_iter().map(|RoleIn { role, limit }| cloud::PolicyBinding {
            role_id: MessageField::some(self.role_id(role)),
            resource: MessageField::some(resource::message(org, &limit)),
            ..cloud::PolicyBinding::default()
        });
        cloud::Policy {
            bindings: bindings.collect(),
            id: MessageField::some(cloud::PolicyIdentifier {
                organization: org.clone(),
                name,
                ..cloud::PolicyIdentifier::default()
            }),
            description,
            ..cloud::Policy::default()
        }
    }

    /// A page of policies. The first one begins with the built-in policies.
    pub(crate) async fn list_policies(
        &self,
        limit: u32,
        token: String,
    ) -> Result<(Vec<cloud::Policy>, String), ConnectError> {
        let mut messages = Vec::new();
        if token.is_empty() {
            for role in roles::all_built_in() {
                messages.push(self.policy(&role.name).await?);
            }
        }
        let query = NameQuery { limit: page(limit), page_token: token };
        let (policies, next) = self.state.store.list_policies(&query).await.map_err(store_error)?;
        for policy in policies {
            messages.push(self.with_bindings(policy).await?);
        }
        Ok((messages, next))
    }

    pub(crate) async fn create_policy(
        &self,
        context: &RequestContext,
        new: NewPolicy,
    ) -> Result<(), ConnectError> {
        let NewPolicy { name, description, bindings } = new;
        check_name("policy.id.name", &name)?;
        check_text("policy.description", &description)?;
        for RoleIn { role, limit } in &bindings {
            let permissions = self.permissions_of("policy.bindings.role_id.name", role).await?;
            check_limit(&self.state, caller(context)?, "policy.bindings.resource", limit).await?;
            self.allow_role(context, permissions, limit, "creating a policy there").await?;
        }
        let policy = Policy { name, description, created_at: self.state.clock.now() };
        self.state.store.create_policy(&policy, &bindings).await.map_err(store_error)?;
        self.changed(context, Kind::PolicyCreated, |event| event.object(&policy.name)).await;
        for RoleIn { role, limit } in &bindings {
            self.record_binding(context, &policy.name, role, limit, "added").await;
        }
        Ok(())
    }

    async fn record_binding(
        &self,
        context: &RequestContext,
        policy: &str,
        role: &str,
        limit: &Limit,
        change: &str,
    ) {
        self.changed(context, Kind::PolicyChanged, |event| {
            let event = event.object(policy).detail(Detail::Role, role).detail(Detail::Change, change);
            place(event, limit)
        })
        .await;
    }

    /// Adds a role to a policy. All who have the policy get it.
    pub(crate) async fn add_binding(
        &self,
        context: &RequestContext,
        name: &str,
        new: RoleIn,
    ) -> Result<(), ConnectError> {
        if builtin(name).is_some() {
            return Err(is_built_in(name));
        }
        let permissions = self.permissions_of("binding.role_id.name", &new.role).await?;
        check_limit(&self.state, caller(context)?, "binding.resource", &new.limit).await?;
        self.allow_role(context, permissions, &new.limit, "changing a policy there").await?;
        let RoleIn { role, limit } = new;
        let binding = Binding { subject: Subject::policy(name), role, limit };
        if self.state.store.bind_role(&binding, self.state.clock.now()).await.map_err(store_error)? {
            self.record_binding(context, name, &binding.role, &binding.limit, "added").await;
        }
        Ok(())
    }

    /// Takes a role from a policy.
    pub(crate) async fn remove_binding(
        &self,
        context: &RequestContext,
        name: &str,
        old: RoleIn,
    ) -> Result<(), ConnectError> {
        if builtin(name).is_some() {
            return Err(is_built_in(name));
        }
        self.allow_change(context, &old.limit, "changing a policy there").await?;
        let RoleIn { role, limit } = old;
        let binding = Binding { subject: Subject::policy(name), role, limit };
        if !self.state.store.unbind_role(&binding).await.map_err(store_error)? {
            return Err(ConnectError::not_found(format!(
                "the policy {name:?} does not have the role {:?} there",
                binding.role
            )));
        }
        self.record_binding(context, name, &binding.role, &binding.limit, "removed").await;
        Ok(())
    }

    /// Deletes a policy. The caller must manage permissions wherever it gives a role.
    pub(crate) async fn delete_policy(
        &self,
        context: &RequestContext,
        name: &str,
    ) -> Result<(), ConnectError> {
        if builtin(name).is_some() {
            return Err(is_built_in(name));
        }
        for binding in self.bindings(&Subject::policy(name)).await? {
            self.allow_change(context, &binding.limit, "deleting a policy that gives roles there").await?;
        }
        if !self.state.store.delete_policy(name).await.map_err(store_error)? {
            return Err(not_found(name));
        }
        self.changed(context, Kind::PolicyDeleted, |event| event.object(name)).await;
        Ok(())
    }
}
