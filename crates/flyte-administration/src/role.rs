//! `cloudidl.identity.RoleService`: roles by the actions of the hosted control plane.

use std::sync::Arc;

use connectrpc::{ConnectError, Encodable, RequestContext, Response, ServiceRequest, ServiceResult};
use flyte_idl::cloudidl::identity::{
    CreateRoleActionRequest, CreateRoleActionResponse, CreateRoleRequest, CreateRoleResponse,
    DeleteRoleActionRequest, DeleteRoleActionResponse, DeleteRoleRequest, DeleteRoleResponse, GetRoleRequest,
    GetRoleResponse, ListRolesRequest, ListRolesResponse, RoleService, UpdateRoleRequest, UpdateRoleResponse,
};

use super::directory::resource;
use buffa::MessageField;
use flyte_idl::cloudidl::common::{ListRequest, RoleIdentifier};
use flyte_policy::Permissions;
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

fn name(id: Option<RoleIdentifier>) -> String {
    id.map(|id| id.name).unwrap_or_default()
}

/// Rejects filters and orders, which these listings do not have.
///
/// # Errors
/// `invalid_argument` that names the field.
pub(super) fn check_page(page: &ListRequest) -> Result<(), ConnectError> {
    if !page.filters.is_empty() || !page.raw_filters.is_empty() {
        return Err(invalid("request.filters", "are not supported"));
    }
    if page.sort_by.as_option().is_some() || !page.sort_by_fields.is_empty() {
        return Err(invalid("request.sort_by", "is not supported: they come by name"));
    }
    Ok(())
}

impl RoleService for Service {
    async fn create_role<'a>(
        &'a self,
        context: RequestContext,
        request: ServiceRequest<'_, CreateRoleRequest>,
    ) -> ServiceResult<impl Encodable<CreateRoleResponse> + Send + use<'a>> {
        let role = request.to_owned_message().role.into_option();
        let role = role.ok_or_else(|| invalid("role", "is missing"))?;
        if !role.permissions.is_empty() {
            return Err(invalid("role.permissions", "are not supported: a policy says where a role applies"));
        }
        let actions = role.actions.into_iter().map(|action| resource::permission("role.actions", action));
        let permissions = actions.collect::<Result<Permissions, _>>()?;
        let description = role.role_spec.into_option().map(|spec| spec.description).unwrap_or_default();
        let name = name(role.id.into_option());
        self.directory.create_role(&context, name, description, permissions).await?;
        Response::ok(CreateRoleResponse::default())
    }

    async fn update_role<'a>(
        &'a self,
        _: RequestContext,
        _: ServiceRequest<'_, UpdateRoleRequest>,
    ) -> ServiceResult<impl Encodable<UpdateRoleResponse> + Send + use<'a>> {
        Err::<Response<UpdateRoleResponse>, _>(ConnectError::unimplemented(
            "UpdateRole is deprecated: use CreateRoleAction and DeleteRoleAction",
        ))
    }

    async fn create_role_action<'a>(
        &'a self,
        context: RequestContext,
        request: ServiceRequest<'_, CreateRoleActionRequest>,
    ) -> ServiceResult<impl Encodable<CreateRoleActionResponse> + Send + use<'a>> {
        let request = request.to_owned_message();
        let permission = resource::permission("action", request.action)?;
        self.directory.add_permission(&context, &name(request.id.into_option()), permission).await?;
        Response::ok(CreateRoleActionResponse::default())
    }

    async fn delete_role_action<'a>(
        &'a self,
        context: RequestContext,
        request: ServiceRequest<'_, DeleteRoleActionRequest>,
    ) -> ServiceResult<impl Encodable<DeleteRoleActionResponse> + Send + use<'a>> {
        let request = request.to_owned_message();
        let permission = resource::permission("action", request.action)?;
        self.directory.remove_permission(&context, &name(request.id.into_option()), permission).await?;
        Response::ok(DeleteRoleActionResponse::default())
    }

    async fn get_role<'a>(
        &'a self,
        _: RequestContext,
        request: ServiceRequest<'_, GetRoleRequest>,
    ) -> ServiceResult<impl Encodable<GetRoleResponse> + Send + use<'a>> {
        let role = self.directory.role("id.name", &name(request.to_owned_message().id.into_option())).await?;
        Response::ok(GetRoleResponse {
            role: MessageField::some(self.directory.role_message(role)),
            ..GetRoleResponse::default()
        })
    }

    async fn delete_role<'a>(
        &'a self,
        context: RequestContext,
        request: ServiceRequest<'_, DeleteRoleRequest>,
    ) -> ServiceResult<impl Encodable<DeleteRoleResponse> + Send + use<'a>> {
        let name = name(request.to_owned_message().id.into_option());
        self.directory.delete_role(&context, &name).await?;
        Response::ok(DeleteRoleResponse::default())
    }

    async fn list<'a>(
        &'a self,
        _: RequestContext,
        request: ServiceRequest<'_, ListRolesRequest>,
    ) -> ServiceResult<impl Encodable<ListRolesResponse> + Send + use<'a>> {
        let request = request.to_owned_message();
        if request.identity.as_option().is_some() {
            return Err(invalid("identity", "is not supported: get its assignments instead"));
        }
        let page = request.request.into_option().unwrap_or_default();
        check_page(&page)?;
        let (roles, token) = self.directory.roles(page.limit, page.token).await?;
        let roles = roles.into_iter().map(|role| self.directory.role_message(role)).collect();
        Response::ok(ListRolesResponse { roles, token, ..ListRolesResponse::default() })
    }
}
