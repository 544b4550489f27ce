//! Accounts of hosted control planes, as the published plugin manages them.

use buffa::MessageField;
use connectrpc::ConnectError;
use flyte_config::Endpoint;
use flyte_idl::cloudidl::common::{self, Filter, ListRequest, UserIdentifier, UserSpec, filter::Function};
use flyte_idl::cloudidl::identity as wire;

use super::{NewUser, User, full_name};
use crate::assignment::{grants, policy_names};
use crate::error::ClientError;
use crate::pager::Page;
use crate::transport::Transport;

/// Calls of `cloudidl.identity.UserService`.
#[derive(Clone)]
pub(super) struct Hosted<T> {
    pub(super) service: wire::UserServiceClient<T>,
    pub(super) endpoint: Endpoint,
    pub(super) org: String,
}

impl<T: Transport> Hosted<T> {
    pub(super) async fn get(&self, user: &str) -> Result<User, ClientError> {
        // Subjects are opaque, but none has the form of an address.
        if user.contains('@') {
            return self.by_email(user).await;
        }
        let request = wire::GetUserRequest { id: MessageField::some(id(user)), ..Default::default() };
        let answer = self.service.get_user(request).await.map_err(|error| self.error(error))?;
        answer.into_owned().user.into_option().map(User::from).ok_or_else(|| not_found(user))
    }

    async fn by_email(&self, email: &str) -> Result<User, ClientError> {
        let filter = Filter {
            function: Function::EQUAL.into(),
            field: "email".to_owned(),
            values: vec![email.to_owned()],
            ..Default::default()
        };
        let answer = self.list(ListRequest { limit: 2, filters: vec![filter], ..Default::default() }).await?;
        match <[common::User; 1]>::try_from(answer.users) {
            Ok([user]) => Ok(user.into()),
            Err(users) if users.is_empty() => Err(not_found(email)),
            Err(_) => Err(ClientError::InvalidArgument {
                message: format!("several accounts have the address {email:?}; name one by its subject"),
            }),
        }
    }

    pub(super) async fn page(&self, limit: u32, token: &str) -> Result<Page<User>, ClientError> {
        let answer = self.list(ListRequest { limit, token: token.to_owned(), ..Default::default() }).await?;
        Ok(Page { items: answer.users.into_iter().map(User::from).collect(), next: answer.token })
    }

    async fn list(&self, page: ListRequest) -> Result<wire::ListUsersResponse, ClientError> {
        let request = wire::ListUsersRequest {
            organization: self.org.clone(),
            request: MessageField::some(page),
            ..Default::default()
        };
        Ok(self.service.list_users(request).await.map_err(|error| self.error(error))?.into_owned())
    }

    pub(super) async fn create(&self, new: NewUser) -> Result<User, ClientError> {
        if !new.roles.is_empty() {
            return Err(ClientError::Unsupported {
                endpoint: self.endpoint.to_string(),
                message: "a new account cannot have roles here; assign a policy to it".to_owned(),
            });
        }
        let spec = UserSpec {
            first_name: new.first_name,
            last_name: new.last_name,
            email: new.email,
            organization: self.org.clone(),
            ..Default::default()
        };
        let request = wire::CreateUserRequest { spec: MessageField::some(spec), ..Default::default() };
        let answer = self.service.create_user(request).await.map_err(|error| self.error(error))?;
        let subject = answer.into_owned().id.into_option().map(|id| id.subject).unwrap_or_default();
        self.get(&subject).await
    }

    pub(super) async fn delete(&self, subject: &str) -> Result<(), ClientError> {
        let request = wire::DeleteUserRequest {
            id: MessageField::some(id(subject)),
            organization: self.org.clone(),
            ..Default::default()
        };
        self.service.delete_user(request).await.map_err(|error| self.error(error))?;
        Ok(())
    }

    fn error(&self, error: ConnectError) -> ClientError {
        ClientError::from_connect(error, &self.endpoint)
    }
}

fn id(subject: &str) -> UserIdentifier {
    UserIdentifier { subject: subject.to_owned(), ..Default::default() }
}

fn not_found(user: &str) -> ClientError {
    ClientError::NotFound { message: format!("there is no account {user:?}") }
}

impl From<common::User> for User {
    fn from(message: common::User) -> Self {
        let spec = message.spec.into_option().unwrap_or_default();
        Self {
            subject: message.id.into_option().map(|id| id.subject).unwrap_or_default(),
            name: full_name(&spec.first_name, &spec.last_name),
            email: spec.email,
            roles: grants(message.roles),
            policies: policy_names(message.policies),
            groups: spec.groups,
            ..Self::default()
        }
    }
}
