//! What callers may do, and by which rule.

use flyte_config::Endpoint;
use flyte_idl::flyteauth as wire;
use serde::Serialize;

use crate::error::ClientError;
use crate::transport::Transport;

/// A question about one RPC. An empty text is left out.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Question {
    /// What the call does, for example `create`. Goes with `resource`.
    pub verb: String,
    /// The kind of resource, for example `run`.
    pub resource: String,
    /// The RPC, `package.Service/Method` or `Service/Method`, instead of `verb` and `resource`.
    pub rpc: String,
    /// The project that the call names.
    pub project: String,
    /// The domain that the call names.
    pub domain: String,
    /// The principal; empty for the caller.
    pub principal: String,
}

/// What a rule says about a call.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Step {
    /// The rule, for example `role` or `limit`.
    pub rule: String,
    /// Whether it allows the call.
    pub allows: bool,
    /// Why, for people.
    pub reason: String,
}

/// The decision on a call.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Explanation {
    /// Whether the call is allowed.
    pub allowed: bool,
    /// The RPC: `package.Service/Method`.
    pub rpc: String,
    /// The subject of the principal.
    pub subject: String,
    /// The rule that decides against the call; empty if it is allowed.
    pub decided_by: String,
    /// What each rule says, in the order in which they are applied.
    pub steps: Vec<Step>,
}

/// Calls of `flyteauth.AccessService`.
#[derive(Clone)]
pub struct Permissions<T> {
    service: wire::AccessServiceClient<T>,
    endpoint: Endpoint,
}

impl<T: Transport> Permissions<T> {
    pub(crate) fn new(service: wire::AccessServiceClient<T>, endpoint: Endpoint) -> Self {
        Self { service, endpoint }
    }

    /// Asks whether a call is allowed, and why.
    ///
    /// # Errors
    /// [`ClientError::InvalidArgument`] for unknown words, [`ClientError::PermissionDenied`] for a question about others,
    /// [`ClientError::Unsupported`] if the server does not answer such questions.
    pub async fn explain(&self, question: Question) -> Result<Explanation, ClientError> {
        let Question { verb, resource, rpc, project, domain, principal } = question;
        let request = wire::ExplainAccessRequest {
            verb,
            resource,
            rpc,
            project,
            domain,
            principal,
            ..Default::default()
        };
        let answer = self.service.explain_access(request).await;
        let answer = answer.map_err(|error| ClientError::from_connect(error, &self.endpoint))?;
        Ok(answer.into_owned().into())
    }
}

impl From<wire::ExplainAccessResponse> for Explanation {
    fn from(message: wire::ExplainAccessResponse) -> Self {
        let wire::ExplainAccessResponse { allowed, rpc, subject, decided_by, steps, .. } = message;
        let steps = steps.into_iter().map(|wire::AccessStep { rule, allows, reason, .. }| Step {
            rule,
            allows,
            reason,
        });
        Self { allowed, rpc, subject, decided_by, steps: steps.collect() }
    }
}
