//! Groups of users. Hosted control planes have no service for them.

use connectrpc::ConnectError;
use flyte_config::Endpoint;
use flyte_idl::flyteauth as wire;
use serde::Serialize;

use crate::access::time;
use crate::error::ClientError;
use crate::grant::Grant;
use crate::pager::{Page, Pager, Source};
use crate::transport::Transport;
use crate::user::User;

/// A group of users.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Group {
    /// The identifier.
    pub id: String,
    /// The name.
    pub name: String,
    /// The purpose.
    pub description: String,
    /// The provider whose group it mirrors; empty for a group of this server.
    pub provider: String,
    /// The group's own roles, and where; only of a group that was asked for by its name.
    pub roles: Vec<Grant>,
    /// The names of the group's policies; only of a group that was asked for by its name.
    pub policies: Vec<String>,
    /// The creation time, Unix time in seconds.
    pub created_at: Option<i64>,
}

/// Calls of `flyteauth.GroupService`. A group is named by its identifier, or by its name if it is a group of this server.
#[derive(Clone)]
pub struct Groups<T> {
    service: wire::GroupServiceClient<T>,
    endpoint: Endpoint,
}

impl<T: Transport> Groups<T> {
    pub(crate) fn new(service: wire::GroupServiceClient<T>, endpoint: Endpoint) -> Self {
        Self { service, endpoint }
    }

    /// Creates a group without members.
    ///
    /// # Errors
    /// [`ClientError::AlreadyExists`] if a group of this server has this name.
    pub async fn create(&self, name: &str, description: &str) -> Result<Group, ClientError> {
        let request = wire::CreateGroupRequest {
            name: name.to_owned(),
            description: description.to_owned(),
            ..Default::default()
        };
        let answer = self.service.create_group(request).await.map_err(|error| self.error(error))?;
        answered(answer.into_owned().group.into_option())
    }

    /// Returns one group, with its roles and policies.
    ///
    /// # Errors
    /// [`ClientError::NotFound`] if there is no such group.
    pub async fn get(&self, group: &str) -> Result<Group, ClientError> {
        let request = wire::GetGroupRequest { group: group.to_owned(), ..Default::default() };
        let answer = self.service.get_group(request).await.map_err(|error| self.error(error))?;
        answered(answer.into_owned().group.into_option())
    }

    /// Lists all groups. Pages are fetched on demand.
    pub fn list(&self, limit: Option<u32>) -> Pager<Listing<T>> {
        Pager::new(Listing(self.clone()), limit)
    }

    /// Changes the name and the description of a group. `None` keeps what is.
    ///
    /// # Errors
    /// [`ClientError::NotFound`] if there is no such group; [`ClientError::InvalidArgument`] for the name of a provider's group.
    pub async fn update(
        &self,
        group: &str,
        name: Option<String>,
        description: Option<String>,
    ) -> Result<(), ClientError> {
        let request = wire::UpdateGroupRequest {
            group: group.to_owned(),
            name: name.unwrap_or_default(),
            description,
            ..Default::default()
        };
        self.service.update_group(request).await.map(drop).map_err(|error| self.error(error))
    }

    /// Deletes a group. Its members lose what it gave them.
    ///
    /// # Errors
    /// [`ClientError::NotFound`] if there is no such group.
    pub async fn delete(&self, group: &str) -> Result<(), ClientError> {
        let request = wire::DeleteGroupRequest { group: group.to_owned(), ..Default::default() };
        self.service.delete_group(request).await.map(drop).map_err(|error| self.error(error))
    }

    /// Lists the members of a group. Pages are fetched on demand. Their roles, policies and groups are not listed.
    pub fn members(&self, group: &str, limit: Option<u32>) -> Pager<MemberListing<T>> {
        Pager::new(MemberListing { groups: self.clone(), group: group.to_owned() }, limit)
    }

    /// Adds a user, by subject or e-mail address. Nothing happens if the user is a member already.
    ///
    /// # Errors
    /// [`ClientError::NotFound`] if there is no such group or user.
    pub async fn add_member(&self, group: &str, user: &str) -> Result<(), ClientError> {
        let request = wire::AddGroupMemberRequest {
            group: group.to_owned(),
            user: user.to_owned(),
            ..Default::default()
        };
        self.service.add_group_member(request).await.map(drop).map_err(|error| self.error(error))
    }

    /// Removes a user, by subject or e-mail address.
    ///
    /// # Errors
    /// [`ClientError::NotFound`] if there is no such group or user, or the user is not a member.
    pub async fn remove_member(&self, group: &str, user: &str) -> Result<(), ClientError> {
        let request = wire::RemoveGroupMemberRequest {
            group: group.to_owned(),
            user: user.to_owned(),
            ..Default::default()
        };
        self.service.remove_group_member(request).await.map(drop).map_err(|error| self.error(error))
    }

    /// Gives a policy to a group.
    pub(crate) async fn assign_policy(&self, group: &str, policy: &str) -> Result<(), ClientError> {
        let request = wire::AssignGroupPolicyRequest {
            group: group.to_owned(),
            policy: policy.to_owned(),
            ..Default::default()
        };
        self.service.assign_group_policy(request).await.map(drop).map_err(|error| self.error(error))
    }

    /// Takes a policy from a group.
    pub(crate) async fn unassign_policy(&self, group: &str, policy: &str) -> Result<(), ClientError> {
        let request = wire::UnassignGroupPolicyRequest {
            group: group.to_owned(),
            policy: policy.to_owned(),
            ..Default::default()
        };
        self.service.unassign_group_policy(request).await.map(drop).map_err(|error| self.error(error))
    }

    fn error(&self, error: ConnectError) -> ClientError {
        ClientError::from_connect(error, &self.endpoint)
    }
}

/// The source of a list of groups.
pub struct Listing<T>(Groups<T>);

impl<T: Transport> Source for Listing<T> {
    type Item = Group;

    async fn page(&self, limit: u32, token: &str) -> Result<Page<Group>, ClientError> {
        let request = wire::ListGroupsRequest { limit, token: token.to_owned(), ..Default::default() };
        let answer = self.0.service.list_groups(request).await.map_err(|error| self.0.error(error))?;
        let answer = answer.into_owned();
        Ok(Page { items: answer.groups.into_iter().map(Group::from).collect(), next: answer.token })
    }
}

/// The source of a list of members.
pub struct MemberListing<T> {
    groups: Groups<T>,
    group: String,
}

impl<T: Transport> Source for MemberListing<T> {
    type Item = User;

    async fn page(&self, limit: u32, token: &str) -> Result<Page<User>, ClientError> {
        let request = wire::ListGroupMembersRequest {
            group: self.group.clone(),
            limit,
            token: token.to_owned(),
            ..Default::default()
        };
        let answer = self.groups.service.list_group_members(request).await;
        let answer = answer.map_err(|error| self.groups.error(error))?.into_owned();
        Ok(Page { items: answer.members.into_iter().map(User::from).collect(), next: answer.token })
    }
}

fn answered(group: Option<wire::Group>) -> Result<Group, ClientError> {
    group.map(Group::from).ok_or_else(|| ClientError::Server {
        code: "internal",
        message: "the server's answer contains no group".to_owned(),
    })
}

impl From<wire::Group> for Group {
    fn from(message: wire::Group) -> Self {
        Self {
            id: message.id,
            name: message.name,
            description: message.description,
            provider: message.provider,
            roles: message.roles.into_iter().map(Grant::from).collect(),
            policies: message.policies,
            created_at: time(message.created_at),
        }
    }
}
