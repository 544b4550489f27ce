//! `cloudidl.authorizer.AuthorizerService`: who has which roles and policies.
//!
//! `Authorize` answers what callers may do. The other RPCs are called among the parts of the hosted control plane only. The door refuses them.

use std::sync::Arc;

use connectrpc::{ConnectError, Encodable, RequestContext, Response, ServiceRequest, ServiceResult};
use flyte_idl::cloudidl::authorizer::{
    AssignIdentityRequest, AssignIdentityResponse, AuthorizeRequest, AuthorizeResponse, AuthorizerService,
    CreateIdentityRequest, CreateIdentityResponse, CreateOrganizationRequest, CreateOrganizationResponse,
    CreatePolicyBindingRequest, CreatePolicyBindingResponse, CreatePolicyRequest, CreatePolicyResponse,
    CreateResourceRequest, CreateResourceResponse, CreateRoleActionRequest, CreateRoleActionResponse,
    CreateRoleRequest, CreateRoleResponse, DeleteIdentityRequest, DeleteIdentityResponse,
    DeleteOrganizationRequest, DeleteOrganizationResponse, DeletePolicyBindingRequest,
    DeletePolicyBindingResponse, DeletePolicyRequest, DeletePolicyResponse, DeleteResourceRequest,
    DeleteResourceResponse, DeleteRoleActionRequest, DeleteRoleActionResponse, DeleteRoleRequest,
    DeleteRoleResponse, GetIdentityAssignmentRequest, GetIdentityAssignmentResponse, GetOrganizationRequest,
    GetOrganizationResponse, GetPolicyAssignmentRequest, GetPolicyAssignmentResponse, GetPolicyRequest,
    GetPolicyResponse, GetRoleRequest, GetRoleResponse, ListApplicationsRequest, ListApplicationsResponse,
    ListIdentityAssignmentsRequest, ListIdentityAssignmentsResponse, ListMembersRequest, ListMembersResponse,
    ListPoliciesRequest, ListPoliciesResponse, ListRolesRequest, ListRolesResponse, ListUsersRequest,
    ListUsersResponse, UnassignIdentityRequest, UnassignIdentityResponse,
};

use super::directory::{everywhere, identity, resource};
use buffa::MessageField;
use flyte_idl::cloudidl::{
    authorizer::{PolicyAssignment, assign_identity_request, unassign_identity_request},
    common::identity::Principal,
};
use flyte_policy::SubjectKind;
use flyte_rpc::{invalid, store_error};
use flyte_store::AssigneeQuery;

use crate::{Administration, access::principal, directory::Directory};

pub(super) struct Service {
    directory: Directory,
}

impl Service {
    pub(super) fn new(state: Arc<Administration>) -> Self {
        Self { directory: Directory::new(state) }
    }
}

/// The most identities of a request.
const MOST: usize = 1000;

fn internal(method: &str) -> ConnectError {
    ConnectError::unimplemented(format!("{method} is only called inside of a hosted control plane"))
}

impl AuthorizerService for Service {
    async fn assign_identity<'a>(
        &'a self,
        context: RequestContext,
        request: ServiceRequest<'_, AssignIdentityRequest>,
    ) -> ServiceResult<impl Encodable<AssignIdentityResponse> + Send + use<'a>> {
        let request = request.to_owned_message();
        let subject = self.directory.subject(request.identity.into_option()).await?;
        match request.assignment {
            Some(assign_identity_request::Assignment::RoleId(id)) => {
                self.directory.assign_role(&context, &subject, everywhere(&id.name)).await?;
            }
            Some(assign_identity_request::Assignment::PolicyId(id)) => {
                self.directory.assign_policy(&context, &subject, &id.name).await?;
            }
            None => return Err(invalid("assignment", "is missing: a role or a policy")),
        }
        Response::ok(AssignIdentityResponse::default())
    }

    async fn unassign_identity<'a>(
        &'a self,
        context: RequestContext,
        request: ServiceRequest<'_, UnassignIdentityRequest>,
    ) -> ServiceResult<impl Encodable<UnassignIdentityResponse> + Send + use<'a>> {
        let request = request.to_owned_message();
        let subject = self.directory.subject(request.identity.into_option()).await?;
        match request.assignment {
            Some(unassign_identity_request::Assignment::RoleId(id)) => {
                self.directory.unassign_role(&context, &subject, everywhere(&id.name)).await?;
            }
            Some(unassign_identity_request::Assignment::PolicyId(id)) => {
                self.directory.unassign_policy(&context, &subject, &id.name).await?;
            }
            None => return Err(invalid("assignment", "is missing: a role or a policy")),
        }
        Response::ok(UnassignIdentityResponse::default())
    }

    async fn get_identity_assignments<'a>(
        &'a self,
        _: RequestContext,
        request: ServiceRequest<'_, GetIdentityAssignmentRequest>,
    ) -> ServiceResult<impl Encodable<GetIdentityAssignmentResponse> + Send + use<'a>> {
        let subject = self.directory.subject(request.to_owned_message().identity.into_option()).await?;
        Response::ok(GetIdentityAssignmentResponse {
            identity_assignment: MessageField::some(self.directory.assignment(&subject).await?),
            ..GetIdentityAssignmentResponse::default()
        })
    }

    async fn list_identity_assignments<'a>(
        &'a self,
        _: RequestContext,
        request: ServiceRequest<'_, ListIdentityAssignmentsRequest>,
    ) -> ServiceResult<impl Encodable<ListIdentityAssignmentsResponse> + Send + use<'a>> {
        let identities = request.to_owned_message().identities;
        if identities.len() > MOST {
            return Err(invalid("identities", "has more than 1000: ask in several calls"));
        }
        let mut identity_assignments = Vec::with_capacity(identities.len());
        for identity in identities {
            let subject = self.directory.subject(Some(identity)).await?;
            identity_assignments.push(self.directory.assignment(&subject).await?);
        }
        Response::ok(ListIdentityAssignmentsResponse {
            identity_assignments,
            ..ListIdentityAssignmentsResponse::default()
        })
    }

    async fn get_policy_assignment<'a>(
        &'a self,
        _: RequestContext,
        request: ServiceRequest<'_, GetPolicyAssignmentRequest>,
    ) -> ServiceResult<impl Encodable<GetPolicyAssignmentResponse> + Send + use<'a>> {
        let id = request.to_owned_message().id.into_option().unwrap_or_default();
        let mut identities = Vec::new();
        let mut query = AssigneeQuery { policy: id.name.clone(), limit: 1000, page_token: String::new() };
        let store = &self.directory.state.store;
        if store.policy_by_name(&id.name).await.map_err(store_error)?.is_none() {
            return Err(ConnectError::not_found(format!("there is no policy {:?}", id.name)));
        }
        loop {
            let (subjects, next) = store.list_assignees(&query).await.map_err(store_error)?;
            // The message has no groups.
            let subjects = subjects.iter().filter(|subject| subject.kind != SubjectKind::Group);
            identities.extend(subjects.map(identity));
            if next.is_empty() {
                break;
            }
            query.page_token = next;
        }
        Response::ok(GetPolicyAssignmentResponse {
            policy_assignment: MessageField::some(PolicyAssignment {
                policy_id: MessageField::some(id),
                identities,
                ..PolicyAssignment::default()
            }),
            ..GetPolicyAssignmentResponse::default()
        })
    }

    async fn authorize<'a>(
        &'a self,
        context: RequestContext,
        request: ServiceRequest<'_, AuthorizeRequest>,
    ) -> ServiceResult<impl Encodable<AuthorizeResponse> + Send + use<'a>> {
        let request = request.to_owned_message();
        let subject = match request.identity.into_option().and_then(|identity| identity.principal) {
            Some(Principal::UserId(id)) => id.subject,
            Some(Principal::ApplicationId(id)) => id.subject,
            Some(Principal::ExternalIdentity(_)) => {
                return Err(invalid(
                    "identity.external_identity",
                    "cannot have roles or policies of its own",
                ));
            }
            None => return Err(invalid("identity", "is missing: a user or an application")),
        };
        let permission = resource::permission("action", request.action)?;
        let limit = resource::limit("resource", request.resource.into_option())?;
        let principal = principal(&self.directory.state, &context, &subject).await?;
        Response::ok(AuthorizeResponse {
            // Of a project without a domain, and of a domain of all projects, all parts are meant.
            allowed: principal.caller.grants.hold(permission.into(), &limit),
            ..AuthorizeResponse::default()
        })
    }

    async fn create_identity<'a>(
        &'a self,
        _: RequestContext,
        _: ServiceRequest<'_, CreateIdentityRequest>,
    ) -> ServiceResult<impl Encodable<CreateIdentityResponse> + Send + use<'a>> {
        Err::<Response<CreateIdentityResponse>, _>(internal("CreateIdentity"))
    }

    async fn delete_identity<'a>(
        &'a self,
        _: RequestContext,
        _: ServiceRequest<'_, DeleteIdentityRequest>,
    ) -> ServiceResult<impl Encodable<DeleteIdentityResponse> + Send + use<'a>> {
        Err::<Response<DeleteIdentityResponse>, _>(internal("DeleteIdentity"))
    }

    async fn create_resource<'a>(
        &'a self,
        _: RequestContext,
        _: ServiceRequest<'_, CreateResourceRequest>,
    ) -> ServiceResult<impl Encodable<CreateResourceResponse> + Send + use<'a>> {
        Err::<Response<CreateResourceResponse>, _>(internal("CreateResource"))
    }

    async fn delete_resource<'a>(
        &'a self,
        _: RequestContext,
        _: ServiceRequest<'_, DeleteResourceRequest>,
    ) -> ServiceResult<impl Encodable<DeleteResourceResponse> + Send + use<'a>> {
        Err::<Response<DeleteResourceResponse>, _>(internal("DeleteResource"))
    }

    async fn create_organization<'a>(
        &'a self,
        _: RequestContext,
        _: ServiceRequest<'_, CreateOrganizationRequest>,
    ) -> ServiceResult<impl Encodable<CreateOrganizationResponse> + Send + use<'a>> {
        Err::<Response<CreateOrganizationResponse>, _>(internal("CreateOrganization"))
    }

    async fn get_organization<'a>(
        &'a self,
        _: RequestContext,
        _: ServiceRequest<'_, GetOrganizationRequest>,
    ) -> ServiceResult<impl Encodable<GetOrganizationResponse> + Send + use<'a>> {
        Err::<Response<GetOrganizationResponse>, _>(internal("GetOrganization"))
    }

    async fn delete_organization<'a>(
        &'a self,
        _: RequestContext,
        _: ServiceRequest<'_, DeleteOrganizationRequest>,
    ) -> ServiceResult<impl Encodable<DeleteOrganizationResponse> + Send + use<'a>> {
        Err::<Response<DeleteOrganizationResponse>, _>(internal("DeleteOrganization"))
    }

    async fn create_policy<'a>(
        &'a self,
        _: RequestContext,
        _: ServiceRequest<'_, CreatePolicyRequest>,
    ) -> ServiceResult<impl Encodable<CreatePolicyResponse> + Send + use<'a>> {
        Err::<Response<CreatePolicyResponse>, _>(internal("CreatePolicy"))
    }

    async fn get_policy<'a>(
        &'a self,
        _: RequestContext,
        _: ServiceRequest<'_, GetPolicyRequest>,
    ) -> ServiceResult<impl Encodable<GetPolicyResponse> + Send + use<'a>> {
        Err::<Response<GetPolicyResponse>, _>(internal("GetPolicy"))
    }

    async fn delete_policy<'a>(
        &'a self,
        _: RequestContext,
        _: ServiceRequest<'_, DeletePolicyRequest>,
    ) -> ServiceResult<impl Encodable<DeletePolicyResponse> + Send + use<'a>> {
        Err::<Response<DeletePolicyResponse>, _>(internal("DeletePolicy"))
    }

    async fn list_policies<'a>(
        &'a self,
        _: RequestContext,
        _: ServiceRequest<'_, ListPoliciesRequest>,
    ) -> ServiceResult<impl Encodable<ListPoliciesResponse> + Send + use<'a>> {
        Err::<Response<ListPoliciesResponse>, _>(internal("ListPolicies"))
    }

    async fn create_policy_binding<'a>(
        &'a self,
        _: RequestContext,
        _: ServiceRequest<'_, CreatePolicyBindingRequest>,
    ) -> ServiceResult<impl Encodable<CreatePolicyBindingResponse> + Send + use<'a>> {
        Err::<Response<CreatePolicyBindingResponse>, _>(internal("CreatePolicyBinding"))
    }

    async fn delete_policy_binding<'a>(
        &'a self,
        _: RequestContext,
        _: ServiceRequest<'_, DeletePolicyBindingRequest>,
    ) -> ServiceResult<impl Encodable<DeletePolicyBindingResponse> + Send + use<'a>> {
        Err::<Response<DeletePolicyBindingResponse>, _>(internal("DeletePolicyBinding"))
    }

    async fn create_role<'a>(
        &'a self,
        _: RequestContext,
        _: ServiceRequest<'_, CreateRoleRequest>,
    ) -> ServiceResult<impl Encodable<CreateRoleResponse> + Send + use<'a>> {
        Err::<Response<CreateRoleResponse>, _>(internal("CreateRole"))
    }

    async fn get_role<'a>(
        &'a self,
        _: RequestContext,
        _: ServiceRequest<'_, GetRoleRequest>,
    ) -> ServiceResult<impl Encodable<GetRoleResponse> + Send + use<'a>> {
        Err::<Response<GetRoleResponse>, _>(internal("GetRole"))
    }

    async fn delete_role<'a>(
        &'a self,
        _: RequestContext,
        _: ServiceRequest<'_, DeleteRoleRequest>,
    ) -> ServiceResult<impl Encodable<DeleteRoleResponse> + Send + use<'a>> {
        Err::<Response<DeleteRoleResponse>, _>(internal("DeleteRole"))
    }

    async fn list_roles<'a>(
        &'a self,
        _: RequestContext,
        _: ServiceRequest<'_, ListRolesRequest>,
    ) -> ServiceResult<impl Encodable<ListRolesResponse> + Send + use<'a>> {
        Err::<Response<ListRolesResponse>, _>(internal("ListRoles"))
    }

    async fn create_role_action<'a>(
        &'a self,
        _: RequestContext,
        _: ServiceRequest<'_, CreateRoleActionRequest>,
    ) -> ServiceResult<impl Encodable<CreateRoleActionResponse> + Send + use<'a>> {
        Err::<Response<CreateRoleActionResponse>, _>(internal("CreateRoleAction"))
    }

    async fn delete_role_action<'a>(
        &'a self,
        _: RequestContext,
        _: ServiceRequest<'_, DeleteRoleActionRequest>,
    ) -> ServiceResult<impl Encodable<DeleteRoleActionResponse> + Send + use<'a>> {
        Err::<Response<DeleteRoleActionResponse>, _>(internal("DeleteRoleAction"))
    }

    async fn list_users<'a>(
        &'a self,
        _: RequestContext,
        _: ServiceRequest<'_, ListUsersRequest>,
    ) -> ServiceResult<impl Encodable<ListUsersResponse> + Send + use<'a>> {
        Err::<Response<ListUsersResponse>, _>(internal("ListUsers"))
    }

    async fn list_applications<'a>(
        &'a self,
        _: RequestContext,
        _: ServiceRequest<'_, ListApplicationsRequest>,
    ) -> ServiceResult<impl Encodable<ListApplicationsResponse> + Send + use<'a>> {
        Err::<Response<ListApplicationsResponse>, _>(internal("ListApplications"))
    }

    async fn list_members<'a>(
        &'a self,
        _: RequestContext,
        _: ServiceRequest<'_, ListMembersRequest>,
    ) -> ServiceResult<impl Encodable<ListMembersResponse> + Send + use<'a>> {
        Err::<Response<ListMembersResponse>, _>(internal("ListMembers"))
    }
}
