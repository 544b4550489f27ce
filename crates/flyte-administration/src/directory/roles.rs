//! Roles.

use buffa::{EnumValue, MessageField};
use connectrpc::{ConnectError, RequestContext};
use flyte_idl::cloudidl::common as cloud;

use super::{Directory, check_name, check_text, may_appoint, page, resource};
use flyte_access::policy;
use flyte_audit::{Detail, Kind};
use flyte_model::{Limit, Role};
use flyte_policy::{Permission, Permissions, builtin};
use flyte_rpc::{allow, caller, invalid, store_error};
use flyte_store::{CustomRole, NameQuery};

fn not_found(name: &str) -> ConnectError {
    ConnectError::not_found(format!("there is no role {name:?}"))
}

/// A built-in role.
fn built_in(role: Role) -> CustomRole {
    let description = match role {
        Role::Viewer => "Sees projects, tasks, runs and their data",
        Role::Contributor => "Deploys and runs",
        Role::Admin => "May do everything",
    };
    CustomRole {
        name: role.to_string(),
        description: description.to_owned(),
        permissions: Permissions::of_role(role),
        created_at: 0,
    }
}

/// All built-in roles.
pub(crate) fn all_built_in() -> impl Iterator<Item = CustomRole> {
    Role::ALL.into_iter().map(built_in)
}

impl Directory {
    /// The role with this name, built-in or custom.
    pub(crate) async fn role(&self, field: &str, name: &str) -> Result<CustomRole, ConnectError> {
        if name.is_empty() {
            return Err(invalid(field, "is missing"));
        }
        if let Ok(role) = name.parse() {
            return Ok(built_in(role));
        }
        let role = self.state.store.role_by_name(name).await.map_err(store_error)?;
        role.ok_or_else(|| not_found(name))
    }

    /// The custom role with this name, which can be changed.
    async fn custom_role(&self, field: &str, name: &str) -> Result<CustomRole, ConnectError> {
        let role = self.role(field, name).await?;
        match builtin(name) {
            Some(_) => Err(ConnectError::failed_precondition(format!(
                "the role {name:?} is built in and cannot be changed"
            ))),
            None => Ok(role),
        }
    }

    pub(crate) async fn create_role(
        &self,
        context: &RequestContext,
        name: String,
        description: String,
        permissions: Permissions,
    ) -> Result<CustomRole, ConnectError> {
        check_name("name", &name)?;
        check_text("description", &description)?;
        let role = CustomRole { name, description, permissions, created_at: self.state.clock.now() };
        self.state.store.create_role(&role).await.map_err(store_error)?;
        self.changed(context, Kind::RoleCreated, |event| {
            event.object(&role.name).detail(Detail::Permission, role.permissions)
        })
        .await;
        Ok(role)
    }

    /// Adds a permission to a role. All who have the role get it.
    pub(crate) async fn add_permission(
        &self,
        context: &RequestContext,
        name: &str,
        permission: Permission,
    ) -> Result<(), ConnectError> {
        let role = self.custom_role("name", name).await?;
        let caller = caller(context)?;
        let verdict = policy::may_hand_out(caller, permission.into(), &Limit::default())
            .and_then(|()| may_appoint(caller, permission.into(), self.state.clock.now()));
        allow(&self.state.audit, context, verdict).await?;
        if self.state.store.add_role_permission(&role.name, permission).await.map_err(store_error)? {
            self.changed(context, Kind::RoleChanged, |event| {
                event
                    .object(&role.name)
                    .detail(Detail::Permission, permission)
                    .detail(Detail::Change, "added")
            })
            .await;
        }
        Ok(())
    }

    /// Removes a permission from a role.
    pub(crate) async fn remove_permission(
        &self,
        context: &RequestContext,
        name: &str,
        permission: Permission,
    ) -> Result<(), ConnectError> {
        let role = self.custom_role("name", name).await?;
        if self.state.store.remove_role_permission(&role.name, permission).await.map_err(store_error)? {
            self.changed(context, Kind::RoleChanged, |event| {
                event
                    .object(&role.name)
                    .detail(Detail::Permission, permission)
                    .detail(Detail::Change, "removed")
            })
            .await;
        }
        Ok(())
    }

    /// Replaces the description of a role.
    pub(crate) async fn describe_role(
        &self,
        context: &RequestContext,
        name: &str,
        description: &str,
    ) -> Result<(), ConnectError> {
        check_text("description", description)?;
        let role = self.custom_role("name", name).await?;
        let store = &self.state.store;
        if !store.update_role(&role.name, description, role.permissions).await.map_err(store_error)? {
            return Err(not_found(name));
        }
        self.changed(context, Kind::RoleChanged, |event| event.object(name)).await;
        Ok(())
    }

    pub(crate) async fn delete_role(&self, context: &RequestContext, name: &str) -> Result<(), ConnectError> {
        let role = self.custom_role("name", name).await?;
        if !self.state.store.delete_role(&role.name).await.map_err(store_error)? {
            return Err(not_found(name));
        }
        self.changed(context, Kind::RoleDeleted, |event| event.object(name)).await;
        Ok(())
    }

    /// A page of roles. The first one begins with the built-in roles.
    pub(crate) async fn roles(
        &self,
        limit: u32,
        token: String,
    ) -> Result<(Vec<CustomRole>, String), ConnectError> {
        let is_first = token.is_empty();
        let query = NameQuery { limit: page(limit), page_token: token };
        let (custom, next) = self.state.store.list_roles(&query).await.map_err(store_error)?;
        let built_in = all_built_in().filter(|_| is_first);
        Ok((built_in.chain(custom).collect(), next))
    }

    /// The hosted control plane's message of a role.
    pub(crate) fn role_message(&self, role: CustomRole) -> cloud::Role {
        let kind = match role.name.parse() {
            Ok(Role::Admin) => cloud::RoleType::ROLE_TYPE_ADMIN,
            Ok(Role::Contributor) => cloud::RoleType::ROLE_TYPE_CONTRIBUTOR,
            Ok(Role::Viewer) => cloud::RoleType::ROLE_TYPE_VIEWER,
            Err(_) => cloud::RoleType::ROLE_TYPE_CUSTOM,
        };
        cloud::Role {
            id: MessageField::some(self.role_id(role.name)),
            role_spec: MessageField::some(cloud::RoleSpec {
                description: role.description,
                ..cloud::RoleSpec::default()
            }),
            role_type: EnumValue::from(kind),
            actions: resource::actions(role.permissions),
            ..cloud::Role::default()
        }
    }

    pub(super) fn role_id(&self, name: String) -> cloud::RoleIdentifier {
        cloud::RoleIdentifier {
            organization: self.state.config.org.clone(),
            name,
            ..cloud::RoleIdentifier::default()
        }
    }
}
