//! The caller's identity.

use flyte_config::Endpoint;
use flyte_idl::flyteidl2::auth::{IdentityServiceClient, UserInfoRequest, UserInfoResponse};
use serde::Serialize;
use serde_json::{Map, Value};

use crate::error::ClientError;
use crate::transport::Transport;

/// Calls of `flyteidl2.auth.IdentityService`.
#[derive(Clone)]
pub struct Identity<T> {
    service: IdentityServiceClient<T>,
    endpoint: Endpoint,
}

/// The claims about the caller (OpenID Connect Core section 5.1). An empty text means that the server does not have the claim.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct UserInfo {
    /// Stable identifier, unique at the issuer.
    pub subject: String,
    /// Full name.
    pub name: String,
    /// Short name.
    pub preferred_username: String,
    /// Given name or names.
    pub given_name: String,
    /// Surname or names.
    pub family_name: String,
    /// E-mail address.
    pub email: String,
    /// URL of a picture.
    pub picture: String,
    /// Other claims.
    pub additional_claims: Map<String, Value>,
}

impl From<UserInfoResponse> for UserInfo {
    fn from(message: UserInfoResponse) -> Self {
        let additional_claims = match serde_json::to_value(&message.additional_claims) {
            Ok(Value::Object(claims)) => claims,
            _ => Map::new(),
        };
        Self {
            subject: message.subject,
            name: message.name,
            preferred_username: message.preferred_username,
            given_name: message.given_name,
            family_name: message.family_name,
            email: message.email,
            picture: message.picture,
            additional_claims,
        }
    }
}

impl<T: Transport> Identity<T> {
    pub(crate) fn new(service: IdentityServiceClient<T>, endpoint: Endpoint) -> Self {
        Self { service, endpoint }
    }

    /// The claims about the caller.
    ///
    /// # Errors
    /// [`ClientError::Unauthenticated`] if the server rejects the credentials.
    pub async fn user_info(&self) -> Result<UserInfo, ClientError> {
        let answer = self.service.user_info(UserInfoRequest::default()).await;
        let answer = answer.map_err(|error| ClientError::from_connect(error, &self.endpoint))?;
        Ok(answer.into_owned().into())
    }
}
