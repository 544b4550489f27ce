//! Roles: sets of permissions of a `flyte-server`, or of actions of a hosted control plane. Each action is a permission of a
//! `flyte-server` too, which has some more.

use buffa::{EnumValue, Enumeration as _, MessageField};
use connectrpc::ConnectError;
use flyte_config::Endpoint;
use flyte_idl::cloudidl::common::{self, Action, ListRequest, RoleSpec, RoleType};
use flyte_idl::cloudidl::identity as hosted;
use flyte_idl::flyteauth as wire;
use serde::Serialize;

use crate::access::time;
use crate::error::ClientError;
use crate::grant::role_id;
use crate::pager::{Page, Pager, Source};
use crate::transport::Transport;
use crate::user::is_hosted;

/// A role.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Role {
    /// The name.
    pub name: String,
    /// The purpose.
    pub description: String,
    /// Whether the role is built in and cannot be changed.
    pub built_in: bool,
    /// The names of the permissions, for example `view-runs`; empty at a hosted control plane.
    pub permissions: Vec<String>,
    /// The names of the actions, for example `ACTION_VIEW_FLYTE_EXECUTIONS`.
    pub actions: Vec<String>,
    /// The creation time, Unix time in seconds; `None` if the server does not say.
    pub created_at: Option<i64>,
}

/// A role to create. Either permissions or actions.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct NewRole {
    /// The name.
    pub name: String,
    /// The purpose.
    pub description: String,
    /// Permissions of a `flyte-server`.
    pub permissions: Vec<String>,
    /// Actions, with or without `ACTION_`, in any case.
    pub actions: Vec<String>,
}

/// Changes of a role. A word is a permission or an action.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Changes {
    /// What the role gets.
    pub add: Vec<String>,
    /// What the role loses.
    pub remove: Vec<String>,
    /// The new purpose; `None` to keep it.
    pub description: Option<String>,
}

impl Changes {
    /// Whether nothing changes.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }
}

/// The name of an action as the messages have it; `None` if the word is not an action.
#[must_use]
pub fn action_name(word: &str) -> Option<&'static str> {
    let action = action(word)?;
    Some(action.proto_name())
}

fn action(word: &str) -> Option<Action> {
    let word = word.trim().to_ascii_uppercase();
    let name = if word.starts_with("ACTION_") { word } else { format!("ACTION_{word}") };
    Action::from_proto_name(&name).filter(|action| *action != Action::ACTION_NONE)
}

/// Splits words into permissions and actions.
fn split(words: Vec<String>) -> (Vec<String>, Vec<Action>) {
    let (mut permissions, mut actions) = (Vec::new(), Vec::new());
    for word in words {
        match action(&word) {
            Some(action) => actions.push(action),
            None => permissions.push(word),
        }
    }
    (permissions, actions)
}

/// Calls of `flyteauth.RoleService`, or of `cloudidl.identity.RoleService` if the server does not have the first.
#[derive(Clone)]
pub struct Roles<T> {
    service: wire::RoleServiceClient<T>,
    hosted: hosted::RoleServiceClient<T>,
    endpoint: Endpoint,
    org: String,
}

impl<T: Transport> Roles<T> {
    pub(crate) fn new(
        service: wire::RoleServiceClient<T>,
        hosted: hosted::RoleServiceClient<T>,
        endpoint: Endpoint,
        org: Option<String>,
    ) -> Self {
        Self { service, hosted, endpoint, org: org.unwrap_or_default() }
    }

    /// Creates a role and returns it.
    ///
    /// # Errors
    /// [`ClientError::AlreadyExists`] if a role has this name; [`ClientError::InvalidArgument`] for unknown actions and
    /// permissions, and for both together; [`ClientError::Unsupported`] for permissions at a hosted control plane.
    pub async fn create(&self, new: NewRole) -> Result<Role, ClientError> {
        let NewRole { name, description, permissions, actions } = new;
        if !permissions.is_empty() && !actions.is_empty() {
            return Err(ClientError::InvalidArgument {
                message: "a role is made of permissions or of actions, not of both".to_owned(),
            });
        }
        if actions.is_empty() {
            let request = wire::CreateRoleRequest {
                name: name.clone(),
                description: description.clone(),
                permissions: permissions.clone(),
                ..Default::default()
            };
            match self.service.create_role(request).await {
                Err(error) if is_hosted(&error) && permissions.is_empty() => {}
                answer => {
                    let answer = answer.map_err(|error| self.error(error))?;
                    return answered(answer.into_owned().role.into_option());
                }
            }
        }
        let known = |word: String| {
            action(&word)
                .map(EnumValue::from)
                .ok_or_else(|| ClientError::InvalidArgument { message: format!("{word:?} is not an action") })
        };
        let role = common::Role {
            id: MessageField::some(role_id(&self.org, &name)),
            role_spec: MessageField::some(RoleSpec { description, ..Default::default() }),
            role_type: RoleType::ROLE_TYPE_CUSTOM.into(),
            actions: actions.into_iter().map(known).collect::<Result<_, _>>()?,
            ..Default::default()
        };
        let request = hosted::CreateRoleRequest { role: MessageField::some(role), ..Default::default() };
        self.hosted.create_role(request).await.map_err(|error| self.error(error))?;
        self.get(&name).await
    }

    /// Returns one role.
    ///
    /// # Errors
    /// [`ClientError::NotFound`] if there is no such role.
    pub async fn get(&self, name: &str) -> Result<Role, ClientError> {
        let request = wire::GetRoleRequest { name: name.to_owned(), ..Default::default() };
        match self.service.get_role(request).await {
            Err(error) if is_hosted(&error) => {
                let id = MessageField::some(role_id(&self.org, name));
                let answer = self.hosted.get_role(hosted::GetRoleRequest { id, ..Default::default() }).await;
                let role = answer.map_err(|error| self.error(error))?.into_owned().role.into_option();
                role.map(Role::from).ok_or_else(without_role)
            }
            answer => answered(answer.map_err(|error| self.error(error))?.into_owned().role.into_option()),
        }
    }

    /// Lists all roles, the built-in ones first. Pages are fetched on demand.
    pub fn list(&self, limit: Option<u32>) -> Pager<Listing<T>> {
        Pager::new(Listing(self.clone()), limit)
    }

    /// Changes a role everywhere where it is given.
    ///
    /// # Errors
    /// [`ClientError::NotFound`] if there is no such role; [`ClientError::InvalidArgument`] for a built-in role;
    /// [`ClientError::Unsupported`] for permissions and descriptions at a hosted control plane.
    pub async fn update(&self, name: &str, changes: Changes) -> Result<(), ClientError> {
        let ((add, add_actions), (remove, remove_actions)) = (split(changes.add), split(changes.remove));
        // What only a `flyte-server` can do comes first, so that a hosted control plane refuses before anything has changed.
        if !add.is_empty() || !remove.is_empty() || changes.description.is_some() {
            let request = wire::UpdateRoleRequest {
                name: name.to_owned(),
                add,
                remove,
                description: changes.description,
                ..Default::default()
            };
            self.service.update_role(request).await.map_err(|error| self.error(error))?;
        }
        for action in add_actions {
            let request = hosted::CreateRoleActionRequest {
                id: MessageField::some(role_id(&self.org, name)),
                action: action.into(),
                ..Default::default()
            };
            self.hosted.create_role_action(request).await.map_err(|error| self.error(error))?;
        }
        for action in remove_actions {
            let request = hosted::DeleteRoleActionRequest {
                id: MessageField::some(role_id(&self.org, name)),
                action: action.into(),
                ..Default::default()
            };
            self.hosted.delete_role_action(request).await.map_err(|error| self.error(error))?;
        }
        Ok(())
    }

    /// Deletes a role that nothing has.
    ///
    /// # Errors
    /// [`ClientError::NotFound`] if there is no such role; [`ClientError::InvalidArgument`] if it is built in or in use.
    pub async fn delete(&self, name: &str) -> Result<(), ClientError> {
        let id = MessageField::some(role_id(&self.org, name));
        let answer = self.hosted.delete_role(hosted::DeleteRoleRequest { id, ..Default::default() }).await;
        answer.map(drop).map_err(|error| self.error(error))
    }

    fn error(&self, error: ConnectError) -> ClientError {
        ClientError::from_connect(error, &self.endpoint)
    }
}

/// The source of a list of roles.
pub struct Listing<T>(Roles<T>);

impl<T: Transport> Source for Listing<T> {
    type Item = Role;

    async fn page(&self, limit: u32, token: &str) -> Result<Page<Role>, ClientError> {
        let request = wire::ListRolesRequest { limit, token: token.to_owned(), ..Default::default() };
        match self.0.service.list_roles(request).await {
            Err(error) if is_hosted(&error) => {
                let page = ListRequest { limit, token: token.to_owned(), ..Default::default() };
                let request = hosted::ListRolesRequest {
                    organization: self.0.org.clone(),
                    request: MessageField::some(page),
                    ..Default::default()
                };
                let answer = self.0.hosted.list(request).await.map_err(|error| self.0.error(error))?;
                let answer = answer.into_owned();
                Ok(Page { items: answer.roles.into_iter().map(Role::from).collect(), next: answer.token })
            }
            answer => {
                let answer = answer.map_err(|error| self.0.error(error))?.into_owned();
                Ok(Page { items: answer.roles.into_iter().map(Role::from).collect(), next: answer.token })
            }
        }
    }
}

fn without_role() -> ClientError {
    ClientError::Server { code: "internal", message: "the server's answer contains no role".to_owned() }
}

fn answered(role: Option<wire::Role>) -> Result<Role, ClientError> {
    role.map(Role::from).ok_or_else(without_role)
}

impl From<wire::Role> for Role {
    fn from(message: wire::Role) -> Self {
        Self {
            name: message.name,
            description: message.description,
            built_in: message.built_in,
            permissions: message.permissions,
            actions: message.actions,
            created_at: time(message.created_at),
        }
    }
}

impl From<common::Role> for Role {
    fn from(message: common::Role) -> Self {
        let name_of =
            |action: EnumValue<Action>| action.as_known().map(|action| action.proto_name().to_owned());
        Self {
            name: message.id.into_option().map(|id| id.name).unwrap_or_default(),
            description: message.role_spec.into_option().map(|spec| spec.description).unwrap_or_default(),
            built_in: message.role_type.as_known() != Some(RoleType::ROLE_TYPE_CUSTOM),
            actions: message.actions.into_iter().filter_map(name_of).collect(),
            ..Self::default()
        }
    }
}

#[cfg(test)]
mod tests;
