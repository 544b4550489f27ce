//! `flyteauth.RoleService`: roles by the names of permissions.

use std::sync::Arc;

use connectrpc::{ConnectError, Encodable, RequestContext, Response, ServiceRequest, ServiceResult};
use flyte_idl::flyteauth::{
    CreateRoleRequest, CreateRoleResponse, DeleteRoleRequest, DeleteRoleResponse, GetRoleRequest,
    GetRoleResponse, Grant, GrantRoleRequest, GrantRoleResponse, ListRoleHoldersRequest,
    ListRoleHoldersResponse, ListRolesRequest, ListRolesResponse, RevokeRoleRequest, RevokeRoleResponse,
    RoleHolder, RoleService, UpdateRoleRequest, UpdateRoleResponse,
};

use buffa::MessageField;
use flyte_idl::flyteauth::Role;
use flyte_policy::{Binding, Permission, Permissions, SubjectKind, UnknownPermission, builtin};
use flyte_rpc::{invalid, store_error};
use flyte_store::{CustomRole, RoleHolderQuery};

use super::directory::{granted, page};
use crate::{Administration, directory::Directory};

pub(super) struct Service {
    directory: Directory,
}

impl Service {
    pub(super) fn new(state: Arc<Administration>) -> Self {
        Self { directory: Directory::new(state) }
    }
}

fn permissions(field: &str, names: &[String]) -> Result<Vec<Permission>, ConnectError> {
    let read = |name: &String| {
        name.parse()
            .map_err(|error: UnknownPermission| invalid(field, &format!("has {name:?}, which {error}")))
    };
    names.iter().map(read).collect()
}

fn message(role: CustomRole) -> Role {
    Role {
        built_in: builtin(&role.name).is_some(),
        permissions: role.permissions.iter().map(|permission| permission.name().to_owned()).collect(),
        actions: role.permissions.iter().filter_map(Permission::action).map(str::to_owned).collect(),
        name: role.name,
        description: role.description,
        created_at: role.created_at,
        ..Role::default()
    }
}

fn holder(holder: flyte_store::RoleHolder) -> RoleHolder {
    let Binding { subject, role, limit } = holder.binding;
    RoleHolder {
        kind: match subject.kind {
            SubjectKind::User => "user",
            SubjectKind::Group => "group",
            SubjectKind::Application => "application",
            SubjectKind::Policy => "policy",
        }
        .to_owned(),
        id: subject.id,
        name: holder.name,
        grant: MessageField::some(Grant {
            role,
            project: limit.project.unwrap_or_default(),
            domain: limit.domain.unwrap_or_default(),
            ..Grant::default()
        }),
        ..RoleHolder::default()
    }
}

impl RoleService for Service {
    async fn create_role<'a>(
        &'a self,
        context: RequestContext,
        request: ServiceRequest<'_, CreateRoleRequest>,
    ) -> ServiceResult<impl Encodable<CreateRoleResponse> + Send + use<'a>> {
        let request = request.to_owned_message();
        let permissions =
            permissions("permissions", &request.permissions)?.into_iter().collect::<Permissions>();
        let role =
            self.directory.create_role(&context, request.name, request.description, permissions).await?;
        Response::ok(CreateRoleResponse {
            role: MessageField::some(message(role)),
            ..CreateRoleResponse::default()
        })
    }

    async fn get_role<'a>(
        &'a self,
        _: RequestContext,
        request: ServiceRequest<'_, GetRoleRequest>,
    ) -> ServiceResult<impl Encodable<GetRoleResponse> + Send + use<'a>> {
        let role = self.directory.role("name", &request.to_owned_message().name).await?;
        Response::ok(GetRoleResponse {
            role: MessageField::some(message(role)),
            ..GetRoleResponse::default()
        })
    }

    async fn list_roles<'a>(
        &'a self,
        _: RequestContext,
        request: ServiceRequest<'_, ListRolesRequest>,
    ) -> ServiceResult<impl Encodable<ListRolesResponse> + Send + use<'a>> {
        let request = request.to_owned_message();
        let (roles, token) = self.directory.roles(request.limit, request.token).await?;
        let roles = roles.into_iter().map(message).collect();
        Response::ok(ListRolesResponse { roles, token, ..ListRolesResponse::default() })
    }

    async fn update_role<'a>(
        &'a self,
        context: RequestContext,
        request: ServiceRequest<'_, UpdateRoleRequest>,
    ) -> ServiceResult<impl Encodable<UpdateRoleResponse> + Send + use<'a>> {
        let request = request.to_owned_message();
        let (add, remove) = (permissions("add", &request.add)?, permissions("remove", &request.remove)?);
        for permission in add {
            self.directory.add_permission(&context, &request.name, permission).await?;
        }
        for permission in remove {
            self.directory.remove_permission(&context, &request.name, permission).await?;
        }
        if let Some(description) = &request.description {
            self.directory.describe_role(&context, &request.name, description).await?;
        }
        let role = self.directory.role("name", &request.name).await?;
        Response::ok(UpdateRoleResponse {
            role: MessageField::some(message(role)),
            ..UpdateRoleResponse::default()
        })
    }

    async fn list_role_holders<'a>(
        &'a self,
        _: RequestContext,
        request: ServiceRequest<'_, ListRoleHoldersRequest>,
    ) -> ServiceResult<impl Encodable<ListRoleHoldersResponse> + Send + use<'a>> {
        let request = request.to_owned_message();
        let role = self.directory.role("role", &request.role).await?;
        let query =
            RoleHolderQuery { role: role.name, limit: page(request.limit), page_token: request.token };
        let store = &self.directory.state.store;
        let (holders, token) = store.list_role_holders(&query).await.map_err(store_error)?;
        let holders = holders.into_iter().map(holder).collect();
        Response::ok(ListRoleHoldersResponse { holders, token, ..ListRoleHoldersResponse::default() })
    }

    async fn delete_role<'a>(
        &'a self,
        context: RequestContext,
        request: ServiceRequest<'_, DeleteRoleRequest>,
    ) -> ServiceResult<impl Encodable<DeleteRoleResponse> + Send + use<'a>> {
        let name = request.to_owned_message().name;
        self.directory.delete_role(&context, &name).await?;
        Response::ok(DeleteRoleResponse::default())
    }
    async fn grant_role<'a>(
        &'a self,
        context: RequestContext,
        request: ServiceRequest<'_, GrantRoleRequest>,
    ) -> ServiceResult<impl Encodable<GrantRoleResponse> + Send + use<'a>> {
        let request = request.to_owned_message();
        let subject = self.directory.own_subject(request.subject.into_option()).await?;
        let grant = granted("grant", request.grant.into_option())?;
        self.directory.assign_role(&context, &subject, grant).await?;
        Response::ok(GrantRoleResponse::default())
    }

    async fn revoke_role<'a>(
        &'a self,
        context: RequestContext,
        request: ServiceRequest<'_, RevokeRoleRequest>,
    ) -> ServiceResult<impl Encodable<RevokeRoleResponse> + Send + use<'a>> {
        let request = request.to_owned_message();
        let subject = self.directory.own_subject(request.subject.into_option()).await?;
        let grant = granted("grant", request.grant.into_option())?;
        self.directory.unassign_role(&context, &subject, grant).await?;
        Response::ok(RevokeRoleResponse::default())
    }
}
