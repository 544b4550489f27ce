//! Policies: named lists of roles in parts of the control plane.

use buffa::MessageField;
use connectrpc::ConnectError;
use flyte_config::Endpoint;
use flyte_idl::cloudidl::common::{self, ListRequest, PolicyIdentifier};
use flyte_idl::cloudidl::identity as wire;
use serde::Serialize;

use crate::error::ClientError;
use crate::grant::Grant;
use crate::pager::{Page, Pager, Source};
use crate::transport::Transport;

/// A policy.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Policy {
    /// The name.
    pub name: String,
    /// The purpose.
    pub description: String,
    /// The roles that the policy gives, and where.
    pub bindings: Vec<Grant>,
}

/// Calls of `cloudidl.identity.PolicyService`.
#[derive(Clone)]
pub struct Policies<T> {
    service: wire::PolicyServiceClient<T>,
    endpoint: Endpoint,
    org: String,
}

impl<T: Transport> Policies<T> {
    pub(crate) fn new(
        service: wire::PolicyServiceClient<T>,
        endpoint: Endpoint,
        org: Option<String>,
    ) -> Self {
        Self { service, endpoint, org: org.unwrap_or_default() }
    }

    /// Creates a policy with its bindings and returns it as the server stored it.
    ///
    /// # Errors
    /// [`ClientError::AlreadyExists`] if a policy has this name; [`ClientError::InvalidArgument`] for unknown roles and projects.
    pub async fn create(&self, policy: Policy) -> Result<Policy, ClientError> {
        let message = common::Policy {
            id: MessageField::some(self.id(&policy.name)),
            description: policy.description,
            ..Default::default()
        };
        let request = wire::CreatePolicyRequest { policy: MessageField::some(message), ..Default::default() };
        self.service.create_policy(request).await.map_err(|error| self.error(error))?;
        // As the published plugin does: hosted control planes take bindings only one by one.
        for binding in &policy.bindings {
            if let Err(error) = self.add_binding(&policy.name, binding).await {
                // Half a policy would keep its name from the next attempt. The first error is the one that counts.
                let _ = self.delete(&policy.name).await;
                return Err(error);
            }
        }
        self.get(&policy.name).await
    }

    /// Returns one policy.
    ///
    /// # Errors
    /// [`ClientError::NotFound`] if there is no such policy.
    pub async fn get(&self, name: &str) -> Result<Policy, ClientError> {
        let request = wire::GetPolicyRequest { id: MessageField::some(self.id(name)), ..Default::default() };
        let answer = self.service.get_policy(request).await.map_err(|error| self.error(error))?;
        answer.into_owned().policy.into_option().map(Policy::from).ok_or_else(|| ClientError::Server {
            code: "internal",
            message: "the server's answer contains no policy".to_owned(),
        })
    }

    /// Lists all policies, the built-in ones first. Pages are fetched on demand.
    pub fn list(&self, limit: Option<u32>) -> Pager<Listing<T>> {
        Pager::new(Listing(self.clone()), limit)
    }

    /// Adds a role to a policy. All who have the policy get it.
    ///
    /// # Errors
    /// [`ClientError::NotFound`] if there is no such policy; [`ClientError::InvalidArgument`] for a built-in policy, and for
    /// unknown roles and projects.
    pub async fn add_binding(&self, name: &str, binding: &Grant) -> Result<(), ClientError> {
        let request = wire::CreatePolicyBindingRequest {
            id: MessageField::some(self.id(name)),
            binding: MessageField::some(binding.binding(&self.org)),
            ..Default::default()
        };
        self.service.create_policy_binding(request).await.map(drop).map_err(|error| self.error(error))
    }

    /// Takes a role from a policy.
    ///
    /// # Errors
    /// [`ClientError::NotFound`] if there is no such policy, or it does not give the role there.
    pub async fn remove_binding(&self, name: &str, binding: &Grant) -> Result<(), ClientError> {
        let request = wire::DeletePolicyBindingRequest {
            id: MessageField::some(self.id(name)),
            binding: MessageField::some(binding.binding(&self.org)),
            ..Default::default()
        };
        self.service.delete_policy_binding(request).await.map(drop).map_err(|error| self.error(error))
    }

    /// Deletes a policy. All who have it lose what it gave them.
    ///
    /// # Errors
    /// [`ClientError::NotFound`] if there is no such policy; [`ClientError::InvalidArgument`] if it is built in.
    pub async fn delete(&self, name: &str) -> Result<(), ClientError> {
        let request =
            wire::DeletePolicyRequest { id: MessageField::some(self.id(name)), ..Default::default() };
        self.service.delete_policy(request).await.map(drop).map_err(|error| self.error(error))
    }

    fn id(&self, name: &str) -> PolicyIdentifier {
        policy_id(&self.org, name)
    }

    fn error(&self, error: ConnectError) -> ClientError {
        ClientError::from_connect(error, &self.endpoint)
    }
}

/// The message of a policy's name.
pub(crate) fn policy_id(org: &str, name: &str) -> PolicyIdentifier {
    PolicyIdentifier { organization: org.to_owned(), name: name.to_owned(), ..PolicyIdentifier::default() }
}

/// The source of a list of policies.
pub struct Listing<T>(Policies<T>);

impl<T: Transport> Source for Listing<T> {
    type Item = Policy;

    async fn page(&self, limit: u32, token: &str) -> Result<Page<Policy>, ClientError> {
        let page = ListRequest { limit, token: token.to_owned(), ..Default::default() };
        let request = wire::ListPoliciesRequest {
            organization: self.0.org.clone(),
            request: MessageField::some(page),
            ..Default::default()
        };
        let answer = self.0.service.list(request).await.map_err(|error| self.0.error(error))?.into_owned();
        Ok(Page { items: answer.policies.into_iter().map(Policy::from).collect(), next: answer.token })
    }
}

impl From<common::Policy> for Policy {
    fn from(message: common::Policy) -> Self {
        Self {
            name: message.id.into_option().map(|id| id.name).unwrap_or_default(),
            description: message.description,
            bindings: message.bindings.into_iter().map(Grant::from).collect(),
        }
    }
}

#[cfg(test)]
mod tests;
