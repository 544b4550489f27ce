//! `flyteauth.UserService`: accounts beyond what the hosted control plane says of them.

use std::sync::Arc;

use connectrpc::{Encodable, RequestContext, Response, ServiceRequest, ServiceResult};
use flyte_idl::flyteauth::{
    CreatePasswordLinkRequest, CreatePasswordLinkResponse, CreateUserRequest, CreateUserResponse,
    DeleteAccountLinkRequest, DeleteAccountLinkResponse, EndUserSessionsRequest, EndUserSessionsResponse,
    GetUserActivityRequest, GetUserActivityResponse, GetUserRequest, GetUserResponse, InviteUserRequest,
    InviteUserResponse, ListAccountLinksRequest, ListAccountLinksResponse, ListUsersRequest,
    ListUsersResponse, UpdateUserRequest, UpdateUserResponse, UserService,
};

use super::directory::{Invitation, NewPerson, granted, link_message};
use buffa::MessageField;
use flyte_rpc::invalid;
use flyte_store::UserQuery;
use secrecy::ExposeSecret as _;

use crate::{Administration, directory::Directory};

pub(super) struct Service {
    directory: Directory,
}

impl Service {
    pub(super) fn new(state: Arc<Administration>) -> Self {
        Self { directory: Directory::new(state) }
    }
}

impl UserService for Service {
    async fn create_user<'a>(
        &'a self,
        context: RequestContext,
        request: ServiceRequest<'_, CreateUserRequest>,
    ) -> ServiceResult<impl Encodable<CreateUserResponse> + Send + use<'a>> {
        let request = request.to_owned_message();
        let roles = request.roles.into_iter().map(|grant| granted("roles", Some(grant)));
        let new = NewPerson {
            email: request.email,
            name: request.name.trim().to_owned(),
            with_password: request.with_password,
            roles: roles.collect::<Result<_, _>>()?,
        };
        let (user, password) = self.directory.create_person(&context, new, "email").await?;
        Response::ok(CreateUserResponse {
            user: MessageField::some(self.directory.own_person(user).await?),
            password: password.map_or_else(String::new, |password| password.expose_secret().to_owned()),
            ..CreateUserResponse::default()
        })
    }

    async fn update_user<'a>(
        &'a self,
        context: RequestContext,
        request: ServiceRequest<'_, UpdateUserRequest>,
    ) -> ServiceResult<impl Encodable<UpdateUserResponse> + Send + use<'a>> {
        let request = request.to_owned_message();
        let user = self.directory.person("user", &request.user).await?;
        let name = request.name.trim();
        let user = self.directory.update_person(&context, &user, name, request.enabled).await?;
        Response::ok(UpdateUserResponse {
            user: MessageField::some(self.directory.own_person(user).await?),
            ..UpdateUserResponse::default()
        })
    }

    async fn get_user<'a>(
        &'a self,
        _: RequestContext,
        request: ServiceRequest<'_, GetUserRequest>,
    ) -> ServiceResult<impl Encodable<GetUserResponse> + Send + use<'a>> {
        let user = self.directory.person("user", &request.to_owned_message().user).await?;
        Response::ok(GetUserResponse {
            user: MessageField::some(self.directory.own_person(user).await?),
            ..GetUserResponse::default()
        })
    }

    async fn get_user_activity<'a>(
        &'a self,
        _: RequestContext,
        request: ServiceRequest<'_, GetUserActivityRequest>,
    ) -> ServiceResult<impl Encodable<GetUserActivityResponse> + Send + use<'a>> {
        let user = self.directory.person("user", &request.to_owned_message().user).await?;
        Response::ok(self.directory.activity(&user).await?)
    }

    async fn end_user_sessions<'a>(
        &'a self,
        context: RequestContext,
        request: ServiceRequest<'_, EndUserSessionsRequest>,
    ) -> ServiceResult<impl Encodable<EndUserSessionsResponse> + Send + use<'a>> {
        let user = self.directory.person("user", &request.to_owned_message().user).await?;
        self.directory.end_sessions(&context, &user).await?;
        Response::ok(EndUserSessionsResponse::default())
    }

    async fn list_users<'a>(
        &'a self,
        _: RequestContext,
        request: ServiceRequest<'_, ListUsersRequest>,
    ) -> ServiceResult<impl Encodable<ListUsersResponse> + Send + use<'a>> {
        let request = request.to_owned_message();
        let query = UserQuery {
            limit: request.limit,
            page_token: request.token,
            text: request.query,
            enabled: request.enabled,
            role: request.role,
        };
        let (found, token) = self.directory.search(query).await?;
        let mut users = Vec::with_capacity(found.len());
        for user in found {
            users.push(self.directory.own_person(user).await?);
        }
        Response::ok(ListUsersResponse { users, token, ..ListUsersResponse::default() })
    }

    async fn invite_user<'a>(
        &'a self,
        context: RequestContext,
        request: ServiceRequest<'_, InviteUserRequest>,
    ) -> ServiceResult<impl Encodable<InviteUserResponse> + Send + use<'a>> {
        let request = request.to_owned_message();
        let roles = match (request.roles.is_empty(), request.without_role) {
            (true, false) => None,
            (false, true) => return Err(invalid("without_role", "contradicts roles")),
            _ => {
                let roles = request.roles.into_iter().map(|grant| granted("roles", Some(grant)));
                Some(roles.collect::<Result<Vec<_>, _>>()?)
            }
        };
        let (email, name) = (request.email, request.name.trim().to_owned());
        let invitation = Invitation { email, name, roles };
        let (user, link, url) = self.directory.invite(&context, invitation).await?;
        Response::ok(InviteUserResponse {
            user: MessageField::some(self.directory.own_person(user).await?),
            link: MessageField::some(link_message(link)),
            url: url.expose_secret().to_owned(),
            ..InviteUserResponse::default()
        })
    }

    async fn create_password_link<'a>(
        &'a self,
        context: RequestContext,
        request: ServiceRequest<'_, CreatePasswordLinkRequest>,
    ) -> ServiceResult<impl Encodable<CreatePasswordLinkResponse> + Send + use<'a>> {
        let request = request.to_owned_message();
        let user = self.directory.person("user", &request.user).await?;
        let (link, url) = self.directory.create_password_link(&context, &user).await?;
        Response::ok(CreatePasswordLinkResponse {
            link: MessageField::some(link_message(link)),
            url: url.expose_secret().to_owned(),
            ..CreatePasswordLinkResponse::default()
        })
    }

    async fn list_account_links<'a>(
        &'a self,
        _: RequestContext,
        request: ServiceRequest<'_, ListAccountLinksRequest>,
    ) -> ServiceResult<impl Encodable<ListAccountLinksResponse> + Send + use<'a>> {
        let request = request.to_owned_message();
        let (links, token) = self.directory.account_links(request.limit, request.token).await?;
        let links = links.into_iter().map(link_message).collect();
        Response::ok(ListAccountLinksResponse { links, token, ..ListAccountLinksResponse::default() })
    }

    async fn delete_account_link<'a>(
        &'a self,
        context: RequestContext,
        request: ServiceRequest<'_, DeleteAccountLinkRequest>,
    ) -> ServiceResult<impl Encodable<DeleteAccountLinkResponse> + Send + use<'a>> {
        let request = request.to_owned_message();
        self.directory.delete_account_link(&context, &request.id).await?;
        Response::ok(DeleteAccountLinkResponse::default())
    }
}
