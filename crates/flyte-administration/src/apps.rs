//! `cloudidl.identity.AppsService`: API keys as the published plugin `flyteplugins-union` manages them.
//!
//! A hosted control state stores a key as an OAuth 2 application. This server ignores the fields that a key does not have
//! (redirect URIs, the authorization code grant, contacts and links), because a key only acts for itself. Keys that are
//! created here have the role contributor at most: the plugin cannot ask for a role, so an administrator could otherwise
//! create admin keys by accident. With `skip_default_policy_assignments`, the role is viewer.

use std::sync::Arc;

use buffa::{EnumValue, Inline, MessageField};
use buffa_types::google::protobuf::Timestamp;
use connectrpc::{ConnectError, Encodable, RequestContext, Response, ServiceRequest, ServiceResult};
use flyte_idl::cloudidl::identity::{
    App as Message, AppsService, CreateAppRequest, CreateAppResponse, DeleteAppRequest, DeleteAppResponse,
    GetAppRequest, GetAppResponse, GrantTypes, ListAppsRequest, ListAppsResponse, TokenEndpointAuthMethod,
    UpdateAppRequest, UpdateAppResponse,
};
use secrecy::{ExposeSecret as _, SecretString};

use super::{
    keys::{Fields, Keys, NewKey},
    rights,
};
use crate::Administration;
use flyte_model::Role;
use flyte_rpc::{caller, invalid};
use flyte_store::ApiKey;

const FIELDS: Fields = Fields { name: "client_name", client_id: "client_id" };

pub(super) struct Service {
    state: Arc<Administration>,
    keys: Keys,
}

impl Service {
    pub(super) fn new(state: Arc<Administration>) -> Self {
        Self { keys: Keys::by_id(Arc::clone(&state)), state }
    }

    fn message(&self, key: ApiKey, secret: Option<SecretString>) -> Message {
        Message {
            organization: self.state.config.org.clone(),
            client_id: key.client_id.into(),
            client_id_issued_at: timestamp(Some(key.created_at)),
            grant_types: vec![EnumValue::from(GrantTypes::CLIENT_CREDENTIALS)],
            client_name: key.name,
            token_endpoint_auth_method: EnumValue::from(if key.jwks.is_some() {
                TokenEndpointAuthMethod::NONE
            } else {
                TokenEndpointAuthMethod::CLIENT_SECRET_BASIC
            }),
            client_secret: secret.map_or_else(String::new, |secret| secret.expose_secret().to_owned()),
            client_secret_expires_at: timestamp(key.expires_at),
            ..Message::default()
        }
    }

    /// Checks the organization. Clients guess it from the host name, so a server without an organization accepts any.
    fn check_org(&self, org: &str) -> Result<(), ConnectError> {
        let own = &self.state.config.org;
        if org.is_empty() || own.is_empty() || org == own {
            Ok(())
        } else {
            Err(invalid("organization", "is not this server's"))
        }
    }
}

fn timestamp(at: Option<i64>) -> MessageField<Timestamp, Inline<Timestamp>> {
    at.map_or_else(MessageField::none, |seconds| {
        MessageField::some(Timestamp { seconds, ..Timestamp::default() })
    })
}

/// Rejects a registration with properties that an API key cannot have.
fn check_registration(grants: &[EnumValue<GrantTypes>], jwks_uri: &str) -> Result<(), ConnectError> {
    let wanted = Some(GrantTypes::CLIENT_CREDENTIALS);
    if !grants.is_empty() && !grants.iter().any(|grant| grant.as_known() == wanted) {
        return Err(invalid(
            "grant_types",
            "must have CLIENT_CREDENTIALS: this server's applications are API keys",
        ));
    }
    if !jwks_uri.is_empty() {
        let what = "is not fetched: give the keys themselves to flyteauth.ApiKeyService as jwks";
        return Err(invalid("jwks_uri", what));
    }
    Ok(())
}

impl AppsService for Service {
    async fn create<'a>(
        &'a self,
        context: RequestContext,
        request: ServiceRequest<'_, CreateAppRequest>,
    ) -> ServiceResult<impl Encodable<CreateAppResponse> + Send + use<'a>> {
        let request = request.to_owned_message();
        self.check_org(&request.organization)?;
        check_registration(&request.grant_types, &request.jwks_uri)?;
        let most = if request.skip_default_policy_assignments { Role::Viewer } else { Role::Contributor };
        let new = NewKey {
            name: request.client_name,
            client_id: request.client_id,
            role: Some(rights::strongest_role(caller(&context)?).min(most)),
            ..NewKey::default()
        };
        let (key, secret) = self.keys.create(&context, new, FIELDS).await?;
        Response::ok(CreateAppResponse {
            app: MessageField::some(self.message(key, secret)),
            ..CreateAppResponse::default()
        })
    }

    async fn get<'a>(
        &'a self,
        context: RequestContext,
        request: ServiceRequest<'_, GetAppRequest>,
    ) -> ServiceResult<impl Encodable<GetAppResponse> + Send + use<'a>> {
        let request = request.to_owned_message();
        self.check_org(&request.organization)?;
        let key = self.keys.get(&context, &request.client_id).await?;
        Response::ok(GetAppResponse {
            app: MessageField::some(self.message(key, None)),
            ..GetAppResponse::default()
        })
    }

    async fn update<'a>(
        &'a self,
        context: RequestContext,
        request: ServiceRequest<'_, UpdateAppRequest>,
    ) -> ServiceResult<impl Encodable<UpdateAppResponse> + Send + use<'a>> {
        let request = request.to_owned_message();
        self.check_org(&request.organization)?;
        check_registration(&request.grant_types, &request.jwks_uri)?;
        let key = self.keys.rename(&context, &request.client_id, &request.client_name, FIELDS).await?;
        Response::ok(UpdateAppResponse {
            app: MessageField::some(self.message(key, None)),
            ..UpdateAppResponse::default()
        })
    }

    async fn delete<'a>(
        &'a self,
        context: RequestContext,
        request: ServiceRequest<'_, DeleteAppRequest>,
    ) -> ServiceResult<impl Encodable<DeleteAppResponse> + Send + use<'a>> {
        let request = request.to_owned_message();
        self.check_org(&request.organization)?;
        self.keys.delete(&context, &request.client_id).await?;
        Response::ok(DeleteAppResponse::default())
    }

    async fn list<'a>(
        &'a self,
        context: RequestContext,
        request: ServiceRequest<'_, ListAppsRequest>,
    ) -> ServiceResult<impl Encodable<ListAppsResponse> + Send + use<'a>> {
        let request = request.to_owned_message();
        self.check_org(&request.organization)?;
        let page = request.request.as_option().cloned().unwrap_or_default();
        if !page.filters.is_empty() || !page.raw_filters.is_empty() {
            return Err(invalid("request.filters", "are not supported: list all keys instead"));
        }
        if page.sort_by.as_option().is_some() || !page.sort_by_fields.is_empty() {
            return Err(invalid("request.sort_by", "is not supported: the newest keys come first"));
        }
        let (keys, token) = self.keys.list(&context, page.limit, page.token, None).await?;
        let apps = keys.into_iter().map(|key| self.message(key, None)).collect();
        Response::ok(ListAppsResponse { apps, token, ..ListAppsResponse::default() })
    }
}
