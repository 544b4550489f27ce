//! Accounts of people.
//!
//! Hosted control planes have no `flyteauth.UserService`. There, this client uses the service of the published plugin, whose
//! accounts cannot be changed, and which does not say when they were created.

mod hosted;

use connectrpc::{ConnectError, ErrorCode};
use flyte_config::Endpoint;
use flyte_idl::cloudidl::identity::UserServiceClient as HostedClient;
use flyte_idl::flyteauth as wire;
use secrecy::SecretString;
use serde::Serialize;

use self::hosted::Hosted;
use crate::access::time;
use crate::error::ClientError;
use crate::grant::Grant;
use crate::pager::{Page, Pager, Source};
use crate::transport::Transport;

/// An account, with its own roles, policies and groups.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct User {
    /// `sub` of the person's tokens.
    pub subject: String,
    /// The e-mail address.
    pub email: String,
    /// The full name.
    pub name: String,
    /// The account's own roles, and where; not those of its groups and policies.
    pub roles: Vec<Grant>,
    /// The names of the account's own policies.
    pub policies: Vec<String>,
    /// The names of the account's groups.
    pub groups: Vec<String>,
    /// The creation time, Unix time in seconds; `None` if the server does not say.
    pub created_at: Option<i64>,
    /// The time at which the account was disabled, Unix time in seconds; `None` if it is enabled, or the server does not say.
    pub disabled_at: Option<i64>,
    /// Whether the account has a password; `None` if the server does not say.
    pub has_password: Option<bool>,
}

/// An account to create.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct NewUser {
    /// The e-mail address.
    pub email: String,
    /// The first name or names.
    pub first_name: String,
    /// The last name.
    pub last_name: String,
    /// The roles, and where. If there is none, the role that new accounts have at this server.
    pub roles: Vec<Grant>,
}

/// Changes of an account. `None` keeps what is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Changes {
    /// The full name.
    pub name: Option<String>,
    /// Whether the account can be used.
    pub enabled: Option<bool>,
}

/// The invitation of a new user.
#[derive(Clone, Debug)]
pub struct Invitation {
    /// The address of the page that accepts it; `None` if the server has sent it by mail. It is a secret: it opens the account.
    pub url: Option<SecretString>,
    /// The time at which it expires, Unix time in seconds.
    pub expires_at: Option<i64>,
}

/// Calls of `flyteauth.UserService`, or of `cloudidl.identity.UserService` if the server does not have the first.
#[derive(Clone)]
pub struct Users<T> {
    service: wire::UserServiceClient<T>,
    hosted: Hosted<T>,
    endpoint: Endpoint,
}

impl<T: Transport> Users<T> {
    pub(crate) fn new(
        service: wire::UserServiceClient<T>,
        hosted: HostedClient<T>,
        endpoint: Endpoint,
        org: Option<String>,
    ) -> Self {
        let hosted = Hosted { service: hosted, endpoint: endpoint.clone(), org: org.unwrap_or_default() };
        Self { service, hosted, endpoint }
    }

    /// Returns one account. `user` is its subject or e-mail address.
    ///
    /// # Errors
    /// [`ClientError::NotFound`] if there is no such account.
    pub async fn get(&self, user: &str) -> Result<User, ClientError> {
        let request = wire::GetUserRequest { user: user.to_owned(), ..Default::default() };
        match self.service.get_user(request).await {
            Err(error) if is_hosted(&error) => self.hosted.get(user).await,
            answer => answered(answer.map_err(|error| self.error(error))?.into_owned().user.into_option()),
        }
    }

    /// Lists all accounts. Pages are fetched on demand.
    pub fn list(&self, limit: Option<u32>) -> Pager<Listing<T>> {
        Pager::new(Listing(self.clone()), limit)
    }

    /// Creates an account without a password.
    ///
    /// # Errors
    /// [`ClientError::AlreadyExists`] if an account has this address; [`ClientError::Unsupported`] if roles are given, and the
    /// server cannot give roles to new accounts.
    pub async fn create(&self, new: NewUser) -> Result<User, ClientError> {
        let request = wire::CreateUserRequest {
            email: new.email.clone(),
            name: full_name(&new.first_name, &new.last_name),
            roles: new.roles.iter().cloned().map(wire::Grant::from).collect(),
            ..Default::default()
        };
        match self.service.create_user(request).await {
            Err(error) if is_hosted(&error) => self.hosted.create(new).await,
            answer => answered(answer.map_err(|error| self.error(error))?.into_owned().user.into_option()),
        }
    }

    /// Creates an account, and an invitation with which the person sets a password or connects an outside provider. If the person
    /// was invited before and has never signed in, the new invitation replaces the older one.
    ///
    /// # Errors
    /// [`ClientError::AlreadyExists`] if an account has this address; [`ClientError::Unsupported`] if the server has no
    /// invitations; [`ClientError::PermissionDenied`] for callers that are not persons.
    pub async fn invite(&self, new: NewUser) -> Result<(User, Invitation), ClientError> {
        let request = wire::InviteUserRequest {
            email: new.email,
            name: full_name(&new.first_name, &new.last_name),
            roles: new.roles.into_iter().map(wire::Grant::from).collect(),
            ..Default::default()
        };
        let answer = self.service.invite_user(request).await.map_err(|error| self.error(error))?.into_owned();
        let expires_at = answer.link.into_option().and_then(|link| time(link.expires_at));
        let url = Some(answer.url).filter(|url| !url.is_empty()).map(SecretString::from);
        Ok((answered(answer.user.into_option())?, Invitation { url, expires_at }))
    }

    /// Changes an account and returns it. `user` is its subject or e-mail address.
    ///
    /// # Errors
    /// [`ClientError::NotFound`] if there is no such account; [`ClientError::Unsupported`] if the server cannot change accounts.
    pub async fn update(&self, user: &str, changes: Changes) -> Result<User, ClientError> {
        let request = wire::UpdateUserRequest {
            user: user.to_owned(),
            name: changes.name.unwrap_or_default(),
            enabled: changes.enabled,
            ..Default::default()
        };
        let answer = self.service.update_user(request).await.map_err(|error| self.error(error))?;
        answered(answer.into_owned().user.into_option())
    }

    /// Deletes an account, with all that it has.
    ///
    /// # Errors
    /// [`ClientError::NotFound`] if there is no account with this subject.
    pub async fn delete(&self, subject: &str) -> Result<(), ClientError> {
        self.hosted.delete(subject).await
    }

    fn error(&self, error: ConnectError) -> ClientError {
        ClientError::from_connect(error, &self.endpoint)
    }
}

/// The source of a list of accounts.
pub struct Listing<T>(Users<T>);

impl<T: Transport> Source for Listing<T> {
    type Item = User;

    async fn page(&self, limit: u32, token: &str) -> Result<Page<User>, ClientError> {
        let request = wire::ListUsersRequest { limit, token: token.to_owned(), ..Default::default() };
        let answer = match self.0.service.list_users(request).await {
            Err(error) if is_hosted(&error) => return self.0.hosted.page(limit, token).await,
            answer => answer.map_err(|error| self.0.error(error))?.into_owned(),
        };
        Ok(Page { items: answer.users.into_iter().map(User::from).collect(), next: answer.token })
    }
}

/// The full name of a person.
pub(crate) fn full_name(first: &str, last: &str) -> String {
    format!("{} {}", first.trim(), last.trim()).trim().to_owned()
}

/// Whether the server does not have a service of ours. HTTP 404 has this meaning too (Connect protocol, error codes).
pub(crate) fn is_hosted(error: &ConnectError) -> bool {
    error.code == ErrorCode::Unimplemented
}

fn answered(user: Option<wire::User>) -> Result<User, ClientError> {
    user.map(User::from).ok_or_else(|| ClientError::Server {
        code: "internal",
        message: "the server's answer contains no account".to_owned(),
    })
}

impl From<wire::User> for User {
    fn from(message: wire::User) -> Self {
        Self {
            subject: message.subject,
            email: message.email,
            name: message.name,
            roles: message.roles.into_iter().map(Grant::from).collect(),
            policies: message.policies,
            groups: message.groups,
            created_at: time(message.created_at),
            disabled_at: time(message.disabled_at),
            has_password: Some(message.has_password),
        }
    }
}

#[cfg(test)]
mod tests;
