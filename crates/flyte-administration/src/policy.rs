//! `cloudidl.identity.PolicyService`: policies and their bindings.

use std::sync::Arc;

use connectrpc::{Encodable, RequestContext, Response, ServiceRequest, ServiceResult};
use flyte_idl::cloudidl::identity::{
    CreatePolicyBindingRequest, CreatePolicyBindingResponse, CreatePolicyRequest, CreatePolicyResponse,
    DeletePolicyBindingRequest, DeletePolicyBindingResponse, DeletePolicyRequest, DeletePolicyResponse,
    GetPolicyRequest, GetPolicyResponse, ListPoliciesRequest, ListPoliciesResponse, PolicyService,
};

use super::{
    directory::{NewPolicy, role_in},
    role::check_page,
};
use buffa::MessageField;
use flyte_idl::cloudidl::common::PolicyIdentifier;
use flyte_rpc::invalid;

use crate::{Administration, directory::Directory};

pub(super) struct Service {
    directory: Directory,
}

impl Service {
    pub(super) fn new(state: Arc<Administration>) -> Self {
        Self { directory: Directory::new(state) }
    }
}

fn name(id: Option<PolicyIdentifier>) -> String {
    id.map(|id| id.name).unwrap_or_default()
}

impl PolicyService for Service {
    async fn create_policy<'a>(
        &'a self,
        context: RequestContext,
        request: ServiceRequest<'_, CreatePolicyRequest>,
    ) -> ServiceResult<impl Encodable<CreatePolicyResponse> + Send + use<'a>> {
        let policy = request.to_owned_message().policy.into_option();
        let policy = policy.ok_or_else(|| invalid("policy", "is missing"))?;
        let bindings = policy.bindings.into_iter().map(|binding| role_in("policy.bindings", Some(binding)));
        let new = NewPolicy {
            name: name(policy.id.into_option()),
            description: policy.description,
            bindings: bindings.collect::<Result<_, _>>()?,
        };
        self.directory.create_policy(&context, new).await?;
        Response::ok(CreatePolicyResponse::default())
    }

    async fn create_policy_binding<'a>(
        &'a self,
        context: RequestContext,
        request: ServiceRequest<'_, CreatePolicyBindingRequest>,
    ) -> ServiceResult<impl Encodable<CreatePolicyBindingResponse> + Send + use<'a>> {
        let request = request.to_owned_message();
        let binding = role_in("binding", request.binding.into_option())?;
        self.directory.add_binding(&context, &name(request.id.into_option()), binding).await?;
        Response::ok(CreatePolicyBindingResponse::default())
    }

    async fn delete_policy_binding<'a>(
        &'a self,
        context: RequestContext,
        request: ServiceRequest<'_, DeletePolicyBindingRequest>,
    ) -> ServiceResult<impl Encodable<DeletePolicyBindingResponse> + Send + use<'a>> {
        let request = request.to_owned_message();
        let binding = role_in("binding", request.binding.into_option())?;
        self.directory.remove_binding(&context, &name(request.id.into_option()), binding).await?;
        Response::ok(DeletePolicyBindingResponse::default())
    }

    async fn get_policy<'a>(
        &'a self,
        _: RequestContext,
        request: ServiceRequest<'_, GetPolicyRequest>,
    ) -> ServiceResult<impl Encodable<GetPolicyResponse> + Send + use<'a>> {
        let policy = self.directory.policy(&name(request.to_owned_message().id.into_option())).await?;
        Response::ok(GetPolicyResponse { policy: MessageField::some(policy), ..GetPolicyResponse::default() })
    }

    async fn delete_policy<'a>(
        &'a self,
        context: RequestContext,
        request: ServiceRequest<'_, DeletePolicyRequest>,
    ) -> ServiceResult<impl Encodable<DeletePolicyResponse> + Send + use<'a>> {
        let name = name(request.to_owned_message().id.into_option());
        self.directory.delete_policy(&context, &name).await?;
        Response::ok(DeletePolicyResponse::default())
    }

    async fn list<'a>(
        &'a self,
        _: RequestContext,
        request: ServiceRequest<'_, ListPoliciesRequest>,
    ) -> ServiceResult<impl Encodable<ListPoliciesResponse> + Send + use<'a>> {
        let page = request.to_owned_message().request.into_option().unwrap_or_default();
        check_page(&page)?;
        let (policies, token) = self.directory.list_policies(page.limit, page.token).await?;
        Response::ok(ListPoliciesResponse { policies, token, ..ListPoliciesResponse::default() })
    }
}
