//! `flyteauth.GroupService`: groups of people.

use std::sync::Arc;

use connectrpc::{Encodable, RequestContext, Response, ServiceRequest, ServiceResult};
use flyte_idl::flyteauth::{
    AddGroupMemberRequest, AddGroupMemberResponse, AssignGroupPolicyRequest, AssignGroupPolicyResponse,
    CreateGroupRequest, CreateGroupResponse, DeleteGroupRequest, DeleteGroupResponse, GetGroupRequest,
    GetGroupResponse, GroupService, ListGroupMembersRequest, ListGroupMembersResponse, ListGroupsRequest,
    ListGroupsResponse, RemoveGroupMemberRequest, RemoveGroupMemberResponse, UnassignGroupPolicyRequest,
    UnassignGroupPolicyResponse, UpdateGroupRequest, UpdateGroupResponse,
};

use super::directory::{group_message, own_message};
use buffa::MessageField;
use flyte_policy::Subject;

use crate::{Administration, directory::Directory};

pub(super) struct Service {
    directory: Directory,
}

impl Service {
    pub(super) fn new(state: Arc<Administration>) -> Self {
        Self { directory: Directory::new(state) }
    }
}

impl GroupService for Service {
    async fn create_group<'a>(
        &'a self,
        context: RequestContext,
        request: ServiceRequest<'_, CreateGroupRequest>,
    ) -> ServiceResult<impl Encodable<CreateGroupResponse> + Send + use<'a>> {
        let request = request.to_owned_message();
        let group = self.directory.create_group(&context, request.name, request.description).await?;
        Response::ok(CreateGroupResponse {
            group: MessageField::some(group_message(group)),
            ..CreateGroupResponse::default()
        })
    }

    async fn get_group<'a>(
        &'a self,
        _: RequestContext,
        request: ServiceRequest<'_, GetGroupRequest>,
    ) -> ServiceResult<impl Encodable<GetGroupResponse> + Send + use<'a>> {
        let group = self.directory.group(&request.to_owned_message().group).await?;
        Response::ok(GetGroupResponse {
            group: MessageField::some(self.directory.group_with_assignments(group).await?),
            ..GetGroupResponse::default()
        })
    }

    async fn list_groups<'a>(
        &'a self,
        _: RequestContext,
        request: ServiceRequest<'_, ListGroupsRequest>,
    ) -> ServiceResult<impl Encodable<ListGroupsResponse> + Send + use<'a>> {
        let request = request.to_owned_message();
        let (groups, token) = self.directory.groups(request.limit, request.token).await?;
        let groups = groups.into_iter().map(group_message).collect();
        Response::ok(ListGroupsResponse { groups, token, ..ListGroupsResponse::default() })
    }

    async fn update_group<'a>(
        &'a self,
        context: RequestContext,
        request: ServiceRequest<'_, UpdateGroupRequest>,
    ) -> ServiceResult<impl Encodable<UpdateGroupResponse> + Send + use<'a>> {
        let request = request.to_owned_message();
        let group = self.directory.group(&request.group).await?;
        let group = self.directory.update_group(&context, group, request.name, request.description).await?;
        Response::ok(UpdateGroupResponse {
            group: MessageField::some(group_message(group)),
            ..UpdateGroupResponse::default()
        })
    }

    async fn delete_group<'a>(
        &'a self,
        context: RequestContext,
        request: ServiceRequest<'_, DeleteGroupRequest>,
    ) -> ServiceResult<impl Encodable<DeleteGroupResponse> + Send + use<'a>> {
        let group = self.directory.group(&request.to_owned_message().group).await?;
        self.directory.delete_group(&context, &group).await?;
        Response::ok(DeleteGroupResponse::default())
    }

    async fn add_group_member<'a>(
        &'a self,
        context: RequestContext,
        request: ServiceRequest<'_, AddGroupMemberRequest>,
    ) -> ServiceResult<impl Encodable<AddGroupMemberResponse> + Send + use<'a>> {
        let request = request.to_owned_message();
        let group = self.directory.group(&request.group).await?;
        let user = self.directory.person("user", &request.user).await?;
        self.directory.add_member(&context, &group, &user).await?;
        Response::ok(AddGroupMemberResponse::default())
    }

    async fn remove_group_member<'a>(
        &'a self,
        context: RequestContext,
        request: ServiceRequest<'_, RemoveGroupMemberRequest>,
    ) -> ServiceResult<impl Encodable<RemoveGroupMemberResponse> + Send + use<'a>> {
        let request = request.to_owned_message();
        let group = self.directory.group(&request.group).await?;
        let user = self.directory.person("user", &request.user).await?;
        self.directory.remove_member(&context, &group, &user).await?;
        Response::ok(RemoveGroupMemberResponse::default())
    }

    async fn list_group_members<'a>(
        &'a self,
        _: RequestContext,
        request: ServiceRequest<'_, ListGroupMembersRequest>,
    ) -> ServiceResult<impl Encodable<ListGroupMembersResponse> + Send + use<'a>> {
        let request = request.to_owned_message();
        let group = self.directory.group(&request.group).await?;
        let (members, token) = self.directory.members(&group, request.limit, request.token).await?;
        let members = members.into_iter().map(own_message).collect();
        Response::ok(ListGroupMembersResponse { members, token, ..ListGroupMembersResponse::default() })
    }

    async fn assign_group_policy<'a>(
        &'a self,
        context: RequestContext,
        request: ServiceRequest<'_, AssignGroupPolicyRequest>,
    ) -> ServiceResult<impl Encodable<AssignGroupPolicyResponse> + Send + use<'a>> {
        let request = request.to_owned_message();
        let group = self.directory.group(&request.group).await?;
        self.directory.assign_policy(&context, &Subject::group(&group.id), &request.policy).await?;
        Response::ok(AssignGroupPolicyResponse::default())
    }

    async fn unassign_group_policy<'a>(
        &'a self,
        context: RequestContext,
        request: ServiceRequest<'_, UnassignGroupPolicyRequest>,
    ) -> ServiceResult<impl Encodable<UnassignGroupPolicyResponse> + Send + use<'a>> {
        let request = request.to_owned_message();
        let group = self.directory.group(&request.group).await?;
        self.directory.unassign_policy(&context, &Subject::group(&group.id), &request.policy).await?;
        Response::ok(UnassignGroupPolicyResponse::default())
    }
}
