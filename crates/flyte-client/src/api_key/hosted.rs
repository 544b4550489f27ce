//! API keys of hosted control planes. Their service manages OAuth 2 applications, so the API keys have no expiry, no limits and
//! no rotation.

use connectrpc::ConnectError;
use flyte_config::Endpoint;
use flyte_idl::cloudidl::common::ListRequest;
use flyte_idl::cloudidl::identity as wire;
use secrecy::SecretString;

use super::{ApiKey, IssuedApiKey, Lifetime, NewApiKey, without};
use crate::access::Access;
use crate::error::ClientError;
use crate::pager::Page;
use crate::transport::Transport;

/// The redirect URI that the published plugin registers. It is never used.
const REDIRECT_URI: &str = "http://localhost:8080/authorization-code/callback";

/// Calls of `cloudidl.identity.AppsService`.
#[derive(Clone)]
pub(super) struct Hosted<T> {
    pub(super) service: wire::AppsServiceClient<T>,
    pub(super) endpoint: Endpoint,
    pub(super) org: String,
}

impl<T: Transport> Hosted<T> {
    pub(super) async fn create(&self, new: NewApiKey) -> Result<IssuedApiKey, ClientError> {
        if new.access != Access::default() || matches!(new.lifetime, Lifetime::For(_)) {
            return Err(self.unsupported(
                "its API keys cannot expire, and cannot be limited to a role, scopes or a project",
            ));
        }
        let client_id = client_id(&new.name);
        let request = wire::CreateAppRequest {
            organization: self.org.clone(),
            client_name: client_id.clone(),
            client_id,
            redirect_uris: vec![REDIRECT_URI.to_owned()],
            response_types: vec![wire::ResponseTypes::CODE.into()],
            grant_types: vec![
                wire::GrantTypes::CLIENT_CREDENTIALS.into(),
                wire::GrantTypes::AUTHORIZATION_CODE.into(),
            ],
            token_endpoint_auth_method: wire::TokenEndpointAuthMethod::CLIENT_SECRET_BASIC.into(),
            consent_method: wire::ConsentMethod::CONSENT_METHOD_REQUIRED.into(),
            ..Default::default()
        };
        let answer = self.service.create(request).await.map_err(|error| self.error(error))?;
        let app = answer.into_owned().app.into_option().ok_or_else(|| without("key"))?;
        if app.client_secret.is_empty() {
            return Err(without("secret"));
        }
        let secret = SecretString::from(app.client_secret.clone());
        Ok(IssuedApiKey { api_key: app.into(), secret })
    }

    pub(super) async fn get(&self, name: &str) -> Result<ApiKey, ClientError> {
        let request = |client_id: &str| wire::GetAppRequest {
            organization: self.org.clone(),
            client_id: client_id.to_owned(),
            ..Default::default()
        };
        let answer = match self.service.get(request(name)).await.map_err(|error| self.error(error)) {
            // `name` is not a client ID, so it may be the name that a client ID was derived from.
            Err(ClientError::NotFound { .. }) if client_id(name) != name => {
                self.service.get(request(&client_id(name))).await.map_err(|error| self.error(error))?
            }
            answer => answer?,
        };
        answer.into_owned().app.into_option().map(ApiKey::from).ok_or_else(|| without("key"))
    }

    pub(super) async fn page(&self, limit: u32, token: &str) -> Result<Page<ApiKey>, ClientError> {
        let list = ListRequest {
            limit: limit.min(i32::MAX.unsigned_abs()),
            token: token.to_owned(),
            ..Default::default()
        };
        let request = wire::ListAppsRequest {
            organization: self.org.clone(),
            request: list.into(),
            ..Default::default()
        };
        let answer = self.service.list(request).await.map_err(|error| self.error(error))?.into_owned();
        Ok(Page { items: answer.apps.into_iter().map(ApiKey::from).collect(), next: answer.token })
    }

    pub(super) async fn delete(&self, name: &str) -> Result<(), ClientError> {
        // The server may report success if the application does not exist, so look for it first.
        let client_id = self.get(name).await?.client_id;
        let request =
            wire::DeleteAppRequest { organization: self.org.clone(), client_id, ..Default::default() };
        self.service.delete(request).await.map_err(|error| self.error(error))?;
        Ok(())
    }

    pub(super) fn unsupported(&self, message: &str) -> ClientError {
        ClientError::Unsupported { endpoint: self.endpoint.to_string(), message: message.to_owned() }
    }

    fn error(&self, error: ConnectError) -> ClientError {
        ClientError::from_connect(error, &self.endpoint)
    }
}

/// Derives a client ID from a name, as the published plugin does.
fn client_id(name: &str) -> String {
    let mut id = String::with_capacity(name.len());
    for c in name.to_lowercase().chars() {
        match c {
            '0'..='9' | 'a'..='z' => id.push(c),
            _ if id.ends_with('-') => {}
            _ => id.push('-'),
        }
    }
    id
}

impl From<wire::App> for ApiKey {
    fn from(app: wire::App) -> Self {
        Self {
            client_id: app.client_id,
            name: app.client_name,
            created_at: app.client_id_issued_at.into_option().map(|at| at.seconds),
            expires_at: app.client_secret_expires_at.into_option().map(|at| at.seconds).filter(|at| *at != 0),
            ..Self::default()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_become_client_ids_as_the_plugin_makes_them() {
        for (name, id) in
            [("My CI", "my-ci"), ("ci", "ci"), ("a__b..c", "a-b-c"), ("-x-", "-x-"), ("é!", "-")]
        {
            assert_eq!(client_id(name), id, "{name}");
        }
    }
}
