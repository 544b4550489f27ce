//! Users and API keys together.

use flyte_config::Endpoint;
use flyte_idl::cloudidl::common::{EnrichedIdentity, enriched_identity::Principal};
use flyte_idl::cloudidl::identity as wire;
use serde::Serialize;

use crate::error::ClientError;
use crate::transport::Transport;
use crate::user::full_name;

/// A kind of subject of roles and policies.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum SubjectKind {
    /// A person.
    #[default]
    User,
    /// An API key.
    ApiKey,
    /// A group of users.
    Group,
}

impl SubjectKind {
    /// The kind in words.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::User => "user",
            Self::ApiKey => "API key",
            Self::Group => "group",
        }
    }
}

/// A user or an API key.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Member {
    /// Whether it is a user or an API key.
    pub kind: SubjectKind,
    /// The subject of a user, the client ID of an API key.
    pub subject: String,
    /// The full name of a user, the name of an API key.
    pub name: String,
    /// The e-mail address of a user.
    pub email: String,
}

/// Calls of `cloudidl.identity.MemberService`.
#[derive(Clone)]
pub struct Members<T> {
    service: wire::MemberServiceClient<T>,
    endpoint: Endpoint,
    org: String,
}

impl<T: Transport> Members<T> {
    pub(crate) fn new(
        service: wire::MemberServiceClient<T>,
        endpoint: Endpoint,
        org: Option<String>,
    ) -> Self {
        Self { service, endpoint, org: org.unwrap_or_default() }
    }

    /// Lists all users and API keys. The service has no pages.
    ///
    /// # Errors
    /// The error of the call.
    pub async fn list(&self) -> Result<Vec<Member>, ClientError> {
        let request = wire::ListMembersRequest { organization: self.org.clone(), ..Default::default() };
        let answer = self.service.list_members(request).await;
        let answer = answer.map_err(|error| ClientError::from_connect(error, &self.endpoint))?;
        Ok(answer.into_owned().members.into_iter().filter_map(member).collect())
    }
}

/// The member that a message says; `None` for a kind of principal that this client does not know.
fn member(message: EnrichedIdentity) -> Option<Member> {
    Some(match message.principal? {
        Principal::User(user) => {
            let spec = user.spec.into_option().unwrap_or_default();
            Member {
                kind: SubjectKind::User,
                subject: user.id.into_option().map(|id| id.subject).unwrap_or_default(),
                name: full_name(&spec.first_name, &spec.last_name),
                email: spec.email,
            }
        }
        Principal::Application(application) => Member {
            kind: SubjectKind::ApiKey,
            subject: application.id.into_option().map(|id| id.subject).unwrap_or_default(),
            name: application.spec.into_option().map(|spec| spec.name).unwrap_or_default(),
            email: String::new(),
        },
    })
}
