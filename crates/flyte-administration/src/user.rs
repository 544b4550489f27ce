//! `cloudidl.identity.UserService`: accounts as the published plugin `flyteplugins-union` manages them.

use std::sync::Arc;

use connectrpc::{ConnectError, Encodable, RequestContext, Response, ServiceRequest, ServiceResult};
use flyte_idl::cloudidl::identity::{
    CreateUserRequest, CreateUserResponse, DeleteUserRequest, DeleteUserResponse,
    GetUserAndGroupsForOrgRequest, GetUserAndGroupsForOrgResponse, GetUserRequest, GetUserResponse,
    ListUsersCountRequest, ListUsersCountResponse, ListUsersRequest, ListUsersResponse, UserService,
};

use super::directory::NewPerson;
use buffa::MessageField;
use flyte_idl::cloudidl::common::{ListRequest, UserIdentifier, filter::Function};
use flyte_rpc::{invalid, store_error};

use crate::{Administration, directory::Directory};

pub(super) struct Service {
    directory: Directory,
}

impl Service {
    pub(super) fn new(state: Arc<Administration>) -> Self {
        Self { directory: Directory::new(state) }
    }
}

/// The accounts that are read at once for a listing without pages.
const MOST: u32 = 1000;

fn subject(id: Option<UserIdentifier>) -> String {
    id.map(|id| id.subject).unwrap_or_default()
}

/// The address that a listing is limited to.
///
/// # Errors
/// `invalid_argument` for any other filter, and for an order.
fn email(page: &ListRequest) -> Result<Option<String>, ConnectError> {
    if !page.raw_filters.is_empty() {
        return Err(invalid("request.raw_filters", "are not supported"));
    }
    if page.sort_by.as_option().is_some() || !page.sort_by_fields.is_empty() {
        return Err(invalid("request.sort_by", "is not supported: accounts come by e-mail address"));
    }
    match page.filters.as_slice() {
        [] => Ok(None),
        [filter] if filter.field == "email" && filter.function.as_known() == Some(Function::EQUAL) => {
            match filter.values.as_slice() {
                [email] => Ok(Some(email.clone())),
                _ => Err(invalid("request.filters", "must have one value")),
            }
        }
        _ => Err(invalid("request.filters", "can only ask for an email that is EQUAL to a value")),
    }
}

impl UserService for Service {
    async fn create_user<'a>(
        &'a self,
        context: RequestContext,
        request: ServiceRequest<'_, CreateUserRequest>,
    ) -> ServiceResult<impl Encodable<CreateUserResponse> + Send + use<'a>> {
        let spec = request.to_owned_message().spec.into_option().unwrap_or_default();
        if !spec.groups.is_empty() {
            return Err(invalid(
                "spec.groups",
                "cannot be given here: make the account, then add it to its groups",
            ));
        }
        // There is no password to send by mail: people sign in at an outside provider, or get one from an administrator.
        let name = format!("{} {}", spec.first_name.trim(), spec.last_name.trim()).trim().to_owned();
        let new = NewPerson { email: spec.email, name, with_password: false, roles: Vec::new() };
        let (user, _) = self.directory.create_person(&context, new, "spec.email").await?;
        Response::ok(CreateUserResponse {
            id: MessageField::some(UserIdentifier { subject: user.id, ..UserIdentifier::default() }),
            ..CreateUserResponse::default()
        })
    }

    async fn get_user<'a>(
        &'a self,
        _: RequestContext,
        request: ServiceRequest<'_, GetUserRequest>,
    ) -> ServiceResult<impl Encodable<GetUserResponse> + Send + use<'a>> {
        let subject = subject(request.to_owned_message().id.into_option());
        let user = self.directory.person("id.subject", &subject).await?;
        Response::ok(GetUserResponse {
            user: MessageField::some(self.directory.person_with_assignments(user).await?),
            ..GetUserResponse::default()
        })
    }

    async fn delete_user<'a>(
        &'a self,
        context: RequestContext,
        request: ServiceRequest<'_, DeleteUserRequest>,
    ) -> ServiceResult<impl Encodable<DeleteUserResponse> + Send + use<'a>> {
        let subject = subject(request.to_owned_message().id.into_option());
        let user = self.directory.person("id.subject", &subject).await?;
        self.directory.delete_person(&context, &user).await?;
        Response::ok(DeleteUserResponse::default())
    }

    async fn list_users<'a>(
        &'a self,
        _: RequestContext,
        request: ServiceRequest<'_, ListUsersRequest>,
    ) -> ServiceResult<impl Encodable<ListUsersResponse> + Send + use<'a>> {
        let request = request.to_owned_message();
        if request.role_id.as_option().is_some() {
            return Err(invalid("role_id", "is not supported: list the assignments instead"));
        }
        let page = request.request.into_option().unwrap_or_default();
        let (found, token) = match email(&page)? {
            Some(email) => {
                let user = self.directory.state.store.user_by_email(&email).await.map_err(store_error)?;
                (user.into_iter().collect(), String::new())
            }
            None => self.directory.people(page.limit, page.token).await?,
        };
        let mut users = Vec::with_capacity(found.len());
        for user in found {
            users.push(match request.exclude_identity_assignments {
                true => self.directory.person_message(user).await?,
                false => self.directory.person_with_assignments(user).await?,
            });
        }
        let count = self.directory.state.store.user_count().await.map_err(store_error)?;
        Response::ok(ListUsersResponse { users, token, count, ..ListUsersResponse::default() })
    }

    async fn list_users_count<'a>(
        &'a self,
        _: RequestContext,
        _: ServiceRequest<'_, ListUsersCountRequest>,
    ) -> ServiceResult<impl Encodable<ListUsersCountResponse> + Send + use<'a>> {
        let count = self.directory.state.store.user_count().await.map_err(store_error)?;
        Response::ok(ListUsersCountResponse { count, ..ListUsersCountResponse::default() })
    }

    async fn get_user_and_groups_for_org<'a>(
        &'a self,
        _: RequestContext,
        _: ServiceRequest<'_, GetUserAndGroupsForOrgRequest>,
    ) -> ServiceResult<impl Encodable<GetUserAndGroupsForOrgResponse> + Send + use<'a>> {
        let (mut users, mut token) = (Vec::new(), String::new());
        loop {
            let (found, next) = self.directory.people(MOST, token).await?;
            for user in found {
                users.push(self.directory.person_message(user).await?);
            }
            if next.is_empty() {
                break;
            }
            token = next;
        }
        Response::ok(GetUserAndGroupsForOrgResponse { users, ..GetUserAndGroupsForOrgResponse::default() })
    }
}
