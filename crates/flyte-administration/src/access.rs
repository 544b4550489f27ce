//! `flyteauth.AccessService`: what callers may do, and by which rule.

use std::sync::Arc;

use connectrpc::{ConnectError, Encodable, RequestContext, Response, ServiceRequest, ServiceResult};
use flyte_idl::flyteauth::{AccessService, AccessStep, ExplainAccessRequest, ExplainAccessResponse};

use super::is_keeper;
use crate::Administration;
use flyte_access::{
    Caller, NamedPrincipal, Reason,
    door::{Callers, Door, Explanation, Refusal, RequiredScope, Rpc},
    policy::{self, Denied},
};
use flyte_policy::Permission;
use flyte_rpc::{allow, caller, invalid, store_error};

/// The RPC that [`policy::may_trust`] decides on.
const CREATE_TRUST: &str = "flyteauth.TrustService/CreateTrust";
/// The RPC that [`policy::may_provision`] decides on.
const CREATE_SCIM_KEY: &str = "flyteauth.ScimKeyService/CreateScimKey";

pub(super) struct Service {
    state: Arc<Administration>,
}

impl Service {
    pub(super) fn new(state: Arc<Administration>) -> Self {
        Self { state }
    }

    /// What the service of an RPC asks of the caller beyond the door.
    async fn of_service(&self, caller: &Caller, rpc: &Rpc) -> Result<Result<(), Denied>, ConnectError> {
        let keeps = rpc.callers == Callers::KeyKeepers && rpc.scope == RequiredScope::All;
        if !keeps && rpc.name != CREATE_TRUST && rpc.name != CREATE_SCIM_KEY {
            return Ok(Ok(()));
        }
        let by_keeper = is_keeper(&self.state, caller).await?;
        let now = self.state.clock.now();
        Ok(match rpc.name {
            CREATE_TRUST => policy::may_trust(caller, by_keeper, now, "creating a trust rule"),
            CREATE_SCIM_KEY => policy::may_provision(caller, by_keeper, now),
            _ => policy::may_keep_api_keys(caller, by_keeper),
        })
    }
}

/// The caller itself, or the principal of this name. Only administrators learn whether another one exists.
pub(super) async fn principal(
    state: &Administration,
    context: &RequestContext,
    name: &str,
) -> Result<NamedPrincipal, ConnectError> {
    let own = caller(context)?;
    if name.is_empty() || name == own.subject {
        return Ok(NamedPrincipal { caller: Caller::clone(own), ended: None });
    }
    let verdict = policy::may_administer(own, Permission::ManagePermissions, "asking what others may do");
    allow(&state.audit, context, verdict).await?;
    let found = state.access.find_principal(name).await.map_err(|reason| match reason {
        Reason::Store(error) => store_error(error),
        Reason::Missing | Reason::Invalid(_) | Reason::Unavailable(_) => {
            tracing::warn!(%reason, "a principal could not be looked up");
            ConnectError::unavailable("the principal could not be looked up; try again later")
        }
    })?;
    found.ok_or_else(|| {
        ConnectError::not_found(format!("there is no user, API key, trust rule or run {name:?}"))
    })
}

/// The RPC that a request is about.
fn rpc(request: &ExplainAccessRequest) -> Result<&'static Rpc, ConnectError> {
    let door = Door::published();
    let ExplainAccessRequest { verb, resource, rpc, .. } = request;
    let found = match (verb.as_str(), resource.as_str(), rpc.as_str()) {
        ("", "", "") => return Err(invalid("verb", "is missing: what the call does, for example create")),
        ("", "", name) => door.find_by_name(name),
        (_, _, name) if !name.is_empty() => return Err(invalid("rpc", "cannot be with verb and resource")),
        ("", _, _) => return Err(invalid("verb", "is missing: it goes with resource")),
        (verb, resource, _) => door.find_by_words(verb, resource),
    };
    found.map_err(|unknown| ConnectError::invalid_argument(unknown.to_string()))
}

fn answer(explanation: &Explanation, subject: String) -> ExplainAccessResponse {
    let decided_by = explanation.refusal().map(|step| step.rule.to_string()).unwrap_or_default();
    let steps = explanation.steps.iter().map(|step| AccessStep {
        rule: step.rule.to_string(),
        allows: step.allows,
        reason: step.reason.clone(),
        ..AccessStep::default()
    });
    ExplainAccessResponse {
        allowed: explanation.is_allowed(),
        rpc: explanation.rpc.to_owned(),
        subject,
        decided_by,
        steps: steps.collect(),
        ..ExplainAccessResponse::default()
    }
}

impl AccessService for Service {
    async fn explain_access<'a>(
        &'a self,
        context: RequestContext,
        request: ServiceRequest<'_, ExplainAccessRequest>,
    ) -> ServiceResult<impl Encodable<ExplainAccessResponse> + Send + use<'a>> {
        let request = request.to_owned_message();
        let rpc = rpc(&request)?;
        let NamedPrincipal { caller, ended } = principal(&self.state, &context, &request.principal).await?;
        if let Some(why) = ended {
            let refusal = Refusal::Denied(Denied::Ended(why));
            return Response::ok(answer(&Explanation::of_refusal(rpc, &refusal), caller.subject));
        }
        let path = format!("/{}", rpc.name);
        let ExplainAccessRequest { project, domain, .. } = &request;
        let explained = Door::published().explain(&caller, &path, project, domain, &*self.state.storage);
        let mut explanation = explained.map_err(|refusal| ConnectError::internal(refusal.to_string()))?;
        if let Err(denied) = self.of_service(&caller, rpc).await? {
            explanation.refuse(&denied.into());
        }
        Response::ok(answer(&explanation, caller.subject))
    }
}
