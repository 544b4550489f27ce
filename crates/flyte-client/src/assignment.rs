//! Who has which roles and policies.

use buffa::MessageField;
use connectrpc::ConnectError;
use flyte_config::Endpoint;
use flyte_idl::cloudidl::authorizer as wire;
use flyte_idl::cloudidl::common::{
    self, ApplicationIdentifier, Identity, UserIdentifier, identity::Principal,
};
use flyte_idl::flyteauth;
use serde::Serialize;

use crate::error::ClientError;
use crate::grant::{Grant, role_id};
use crate::group::Groups;
use crate::member::{Member, Members, SubjectKind};
use crate::policy::policy_id;
use crate::transport::Transport;
use crate::user::is_hosted;

/// The most identities of a request.
const BATCH: usize = 100;

/// Who can have roles and policies.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Subject {
    /// A user, by subject.
    User(String),
    /// An API key, by client ID.
    ApiKey(String),
    /// A group, by identifier or name. Hosted control planes have no groups.
    Group(String),
}

/// What a subject gets or loses.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Assigned {
    /// A policy, by name.
    Policy(String),
    /// A role in a part of the control plane.
    Role(Grant),
}

/// What a user, an API key or a group has by itself.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Assignment {
    /// The kind of subject.
    pub kind: SubjectKind,
    /// The subject of a user, the client ID of an API key, the identifier of a group.
    pub subject: String,
    /// The e-mail address of a user, the name of an API key or a group; empty if it was not looked up.
    pub name: String,
    /// The roles, and where.
    pub roles: Vec<Grant>,
    /// The names of the policies.
    pub policies: Vec<String>,
}

/// Calls of `cloudidl.authorizer.AuthorizerService`. What it cannot say, groups and roles in parts of the control plane, are calls
/// of `flyteauth.GroupService` and `flyteauth.RoleService`.
#[derive(Clone)]
pub struct Assignments<T> {
    service: wire::AuthorizerServiceClient<T>,
    roles: flyteauth::RoleServiceClient<T>,
    groups: Groups<T>,
    members: Members<T>,
    endpoint: Endpoint,
    org: String,
}

impl<T: Transport> Assignments<T> {
    pub(crate) fn new(
        service: wire::AuthorizerServiceClient<T>,
        roles: flyteauth::RoleServiceClient<T>,
        groups: Groups<T>,
        members: Members<T>,
        endpoint: Endpoint,
        org: Option<String>,
    ) -> Self {
        Self { service, roles, groups, members, endpoint, org: org.unwrap_or_default() }
    }

    /// Gives a subject a policy or a role. Nothing happens if the subject has it already.
    ///
    /// # Errors
    /// [`ClientError::NotFound`] if there is no such subject, policy or role; [`ClientError::Unsupported`] for groups, and for
    /// roles in parts of the control plane, at a hosted control plane.
    pub async fn assign(&self, subject: &Subject, assigned: &Assigned) -> Result<(), ClientError> {
        use wire::assign_identity_request::Assignment;
        let (identity, assignment) = match (identity(subject), assigned) {
            (Err(group), Assigned::Policy(name)) => return self.groups.assign_policy(group, name).await,
            (Ok(identity), Assigned::Policy(name)) => {
                (identity, Assignment::PolicyId(Box::new(policy_id(&self.org, name))))
            }
            (identity, Assigned::Role(grant)) => {
                let request = flyteauth::GrantRoleRequest {
                    subject: MessageField::some(own_subject(subject)),
                    grant: MessageField::some(grant.clone().into()),
                    ..Default::default()
                };
                match (self.roles.grant_role(request).await, identity) {
                    (Err(error), Ok(identity)) if is_hosted(&error) && grant.is_everywhere() => {
                        (identity, Assignment::RoleId(Box::new(role_id(&self.org, &grant.role))))
                    }
                    (answer, _) => return answer.map(drop).map_err(|error| self.error(error)),
                }
            }
        };
        let request = wire::AssignIdentityRequest {
            organization: self.org.clone(),
            identity: MessageField::some(identity),
            assignment: Some(assignment),
            ..Default::default()
        };
        self.service.assign_identity(request).await.map(drop).map_err(|error| self.error(error))
    }

    /// Takes a policy or a role from a subject.
    ///
    /// # Errors
    /// [`ClientError::NotFound`] if the subject does not have it; [`ClientError::InvalidArgument`] if no administrator would remain.
    pub async fn unassign(&self, subject: &Subject, assigned: &Assigned) -> Result<(), ClientError> {
        use wire::unassign_identity_request::Assignment;
        let (identity, assignment) = match (identity(subject), assigned) {
            (Err(group), Assigned::Policy(name)) => return self.groups.unassign_policy(group, name).await,
            (Ok(identity), Assigned::Policy(name)) => {
                (identity, Assignment::PolicyId(Box::new(policy_id(&self.org, name))))
            }
            (identity, Assigned::Role(grant)) => {
                let request = flyteauth::RevokeRoleRequest {
                    subject: MessageField::some(own_subject(subject)),
                    grant: MessageField::some(grant.clone().into()),
                    ..Default::default()
                };
                match (self.roles.revoke_role(request).await, identity) {
                    (Err(error), Ok(identity)) if is_hosted(&error) && grant.is_everywhere() => {
                        (identity, Assignment::RoleId(Box::new(role_id(&self.org, &grant.role))))
                    }
                    (answer, _) => return answer.map(drop).map_err(|error| self.error(error)),
                }
            }
        };
        let request = wire::UnassignIdentityRequest {
            organization: self.org.clone(),
            identity: MessageField::some(identity),
            assignment: Some(assignment),
            ..Default::default()
        };
        self.service.unassign_identity(request).await.map(drop).map_err(|error| self.error(error))
    }

    /// Returns what a subject has by itself.
    ///
    /// # Errors
    /// [`ClientError::NotFound`] if there is no such subject.
    pub async fn get(&self, subject: &Subject) -> Result<Assignment, ClientError> {
        let identity = match identity(subject) {
            Ok(identity) => identity,
            Err(group) => {
                let group = self.groups.get(group).await?;
                return Ok(Assignment {
                    kind: SubjectKind::Group,
                    subject: group.id,
                    name: group.name,
                    roles: group.roles,
                    policies: group.policies,
                });
            }
        };
        let request = wire::GetIdentityAssignmentRequest {
            identity: MessageField::some(identity),
            organization: self.org.clone(),
            ..Default::default()
        };
        let answer = self.service.get_identity_assignments(request).await;
        let answer = answer.map_err(|error| self.error(error))?.into_owned();
        answer.identity_assignment.into_option().map(Assignment::from).ok_or_else(|| ClientError::Server {
            code: "internal",
            message: "the server's answer contains no assignment".to_owned(),
        })
    }

    /// Lists what each user and each API key has by itself.
    ///
    /// # Errors
    /// The errors of the calls.
    pub async fn list(&self) -> Result<Vec<Assignment>, ClientError> {
        let members = self.members.list().await?;
        let mut assignments = Vec::with_capacity(members.len());
        for members in members.chunks(BATCH) {
            let request = wire::ListIdentityAssignmentsRequest {
                organization: self.org.clone(),
                identities: members.iter().map(identity_of).collect(),
                ..Default::default()
            };
            let answer = self.service.list_identity_assignments(request).await;
            let answer = answer.map_err(|error| self.error(error))?.into_owned();
            assignments.extend(answer.identity_assignments.into_iter().map(|assignment| {
                let assignment = Assignment::from(assignment);
                let member = members
                    .iter()
                    .find(|member| (member.kind, &member.subject) == (assignment.kind, &assignment.subject));
                let name = member.map(|member| match member.email.is_empty() {
                    true => member.name.clone(),
                    false => member.email.clone(),
                });
                Assignment { name: name.unwrap_or_default(), ..assignment }
            }));
        }
        Ok(assignments)
    }

    fn error(&self, error: ConnectError) -> ClientError {
        ClientError::from_connect(error, &self.endpoint)
    }
}

/// The message of a user or an API key. For a group, its name instead.
fn identity(subject: &Subject) -> Result<Identity, &str> {
    let principal = match subject {
        Subject::User(subject) => {
            Principal::from(UserIdentifier { subject: subject.clone(), ..Default::default() })
        }
        Subject::ApiKey(subject) => {
            Principal::from(ApplicationIdentifier { subject: subject.clone(), ..Default::default() })
        }
        Subject::Group(group) => return Err(group),
    };
    Ok(Identity { principal: Some(principal), ..Default::default() })
}

fn identity_of(member: &Member) -> Identity {
    let subject = member.subject.clone();
    let principal = match member.kind {
        SubjectKind::ApiKey => Principal::from(ApplicationIdentifier { subject, ..Default::default() }),
        SubjectKind::User | SubjectKind::Group => {
            Principal::from(UserIdentifier { subject, ..Default::default() })
        }
    };
    Identity { principal: Some(principal), ..Default::default() }
}

/// Our own message of a subject.
fn own_subject(subject: &Subject) -> flyteauth::Subject {
    use flyteauth::subject::Subject as Own;
    let subject = match subject {
        Subject::User(subject) => Own::User(subject.clone()),
        Subject::ApiKey(client_id) => Own::ApiKey(client_id.clone()),
        Subject::Group(group) => Own::Group(group.clone()),
    };
    flyteauth::Subject { subject: Some(subject), ..Default::default() }
}

/// The roles of a message, and where. A role that is not for everything says where in its permissions.
pub(crate) fn grants(roles: Vec<common::Role>) -> Vec<Grant> {
    let grants = roles.into_iter().flat_map(|role| {
        let name = role.id.into_option().map(|id| id.name).unwrap_or_default();
        if role.permissions.is_empty() {
            return vec![Grant::in_resource(name, None)];
        }
        let of = |permission: common::Permission| {
            Grant::in_resource(name.clone(), permission.resource.into_option())
        };
        role.permissions.into_iter().map(of).collect()
    });
    grants.collect()
}

/// The names of policies.
pub(crate) fn policy_names(policies: Vec<common::Policy>) -> Vec<String> {
    policies.into_iter().filter_map(|policy| policy.id.into_option().map(|id| id.name)).collect()
}

impl From<wire::IdentityAssignment> for Assignment {
    fn from(message: wire::IdentityAssignment) -> Self {
        let (kind, subject) = match message.identity.into_option().and_then(|identity| identity.principal) {
            Some(Principal::ApplicationId(id)) => (SubjectKind::ApiKey, id.subject),
            Some(Principal::UserId(id)) => (SubjectKind::User, id.subject),
            Some(Principal::ExternalIdentity(identity)) => (SubjectKind::User, identity.subject),
            None => (SubjectKind::User, String::new()),
        };
        Self {
            kind,
            subject,
            name: String::new(),
            roles: grants(message.roles),
            policies: policy_names(message.policies),
        }
    }
}

#[cfg(test)]
mod tests;
