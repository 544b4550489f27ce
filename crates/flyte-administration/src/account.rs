//! `flyteauth.UserService`: accounts beyond what the hosted control plane says of them.

use std::sync::Arc;

use connectrpc::{Encodable, RequestContext, Response, ServiceRequest, ServiceResult};
use flyte_idl::flyteauth::{
    CreateUserRequest, CreateUserResponse, GetUserRequest, GetUserResponse, ListUsersRequest,
    ListUsersResponse, UpdateUserRequest, UpdateUserResponse, UserService,
};

use super::directory::{NewPerson, granted};
use buffa::MessageField;
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

    async fn list_users<'a>(
        &'a self,
        _: RequestContext,
        request: ServiceRequest<'_, ListUsersRequest>,
    ) -> ServiceResult<impl Encodable<ListUsersResponse> + Send + use<'a>> {
        let request = request.to_owned_message();
        let (found, token) = self.directory.people(request.limit, request.token).await?;
        let mut users = Vec::with_capacity(found.len());
        for user in found {
            users.push(self.directory.own_person(user).await?);
        }
        Response::ok(ListUsersResponse { users, token, ..ListUsersResponse::default() })
    }
}
