//! `flyteauth.ApiKeyService`.

use std::sync::Arc;

use buffa::MessageField;
use connectrpc::{ConnectError, Encodable, RequestContext, Response, ServiceRequest, ServiceResult};
use flyte_idl::flyteauth::{
    Access, ApiKey, ApiKeyService, CreateApiKeyRequest, CreateApiKeyResponse, DeleteApiKeyRequest,
    DeleteApiKeyResponse, GetApiKeyRequest, GetApiKeyResponse, ListApiKeysRequest, ListApiKeysResponse,
    RotateApiKeyRequest, RotateApiKeyResponse,
};
use secrecy::ExposeSecret as _;

use super::{
    created_by::{CreatedBy, Creators},
    keys::{Fields, Keys, Lifetime, NewKey},
    rights,
};
use crate::Administration;

const FIELDS: Fields = Fields { name: "name", client_id: "client_id" };

pub(super) struct Service {
    state: Arc<Administration>,
    keys: Keys,
}

impl Service {
    pub(super) fn new(state: Arc<Administration>) -> Self {
        Self { keys: Keys::by_id_or_name(Arc::clone(&state)), state }
    }

    async fn one(&self, key: flyte_store::ApiKey) -> Result<ApiKey, ConnectError> {
        let creator = Creators::new(&self.state).look_up(&key.created_by).await?;
        Ok(message(key, creator))
    }
}

fn message(key: flyte_store::ApiKey, creator: CreatedBy) -> ApiKey {
    ApiKey {
        client_id: key.client_id.into(),
        name: key.name,
        access: MessageField::some(Access {
            role: key.rights.role.to_string(),
            scopes: key.rights.scopes.into(),
            project: key.rights.limit.project.unwrap_or_default(),
            domain: key.rights.limit.domain.unwrap_or_default(),
            ..Access::default()
        }),
        created_by: key.created_by,
        created_by_email: creator.email,
        created_by_name: creator.name,
        created_at: key.created_at,
        expires_at: key.expires_at.unwrap_or_default(),
        last_used_at: key.last_used_at.unwrap_or_default(),
        previous_secret_expires_at: key.previous_secret.map_or(0, |previous| previous.expires_at),
        ..ApiKey::default()
    }
}

impl ApiKeyService for Service {
    async fn create_api_key<'a>(
        &'a self,
        context: RequestContext,
        request: ServiceRequest<'_, CreateApiKeyRequest>,
    ) -> ServiceResult<impl Encodable<CreateApiKeyResponse> + Send + use<'a>> {
        let request = request.to_owned_message();
        let access = request.access.as_option().cloned().unwrap_or_default();
        let new = NewKey {
            name: request.name,
            client_id: String::new(),
            role: rights::role("access.role", &access.role)?,
            scopes: access.scopes,
            project: access.project,
            domain: access.domain,
            lifetime: Lifetime::of(request.lifetime, request.no_expiry)?,
            jwks: request.jwks,
        };
        let (key, secret) = self.keys.create(&context, new, FIELDS).await?;
        Response::ok(CreateApiKeyResponse {
            api_key: MessageField::some(self.one(key).await?),
            client_secret: secret.map_or_else(String::new, |secret| secret.expose_secret().to_owned()),
            ..CreateApiKeyResponse::default()
        })
    }

    async fn get_api_key<'a>(
        &'a self,
        context: RequestContext,
        request: ServiceRequest<'_, GetApiKeyRequest>,
    ) -> ServiceResult<impl Encodable<GetApiKeyResponse> + Send + use<'a>> {
        let key = self.keys.get(&context, &request.to_owned_message().client_id).await?;
        Response::ok(GetApiKeyResponse {
            api_key: MessageField::some(self.one(key).await?),
            ..GetApiKeyResponse::default()
        })
    }

    async fn list_api_keys<'a>(
        &'a self,
        context: RequestContext,
        request: ServiceRequest<'_, ListApiKeysRequest>,
    ) -> ServiceResult<impl Encodable<ListApiKeysResponse> + Send + use<'a>> {
        let request = request.to_owned_message();
        let created_by = Some(request.created_by).filter(|subject| !subject.is_empty());
        let (keys, token) = self.keys.list(&context, request.limit, request.token, created_by).await?;
        let mut creators = Creators::new(&self.state);
        let mut api_keys = Vec::with_capacity(keys.len());
        for key in keys {
            let creator = creators.look_up(&key.created_by).await?;
            api_keys.push(message(key, creator));
        }
        Response::ok(ListApiKeysResponse { api_keys, token, ..ListApiKeysResponse::default() })
    }

    async fn delete_api_key<'a>(
        &'a self,
        context: RequestContext,
        request: ServiceRequest<'_, DeleteApiKeyRequest>,
    ) -> ServiceResult<impl Encodable<DeleteApiKeyResponse> + Send + use<'a>> {
        self.keys.delete(&context, &request.to_owned_message().client_id).await?;
        Response::ok(DeleteApiKeyResponse::default())
    }

    async fn rotate_api_key<'a>(
        &'a self,
        context: RequestContext,
        request: ServiceRequest<'_, RotateApiKeyRequest>,
    ) -> ServiceResult<impl Encodable<RotateApiKeyResponse> + Send + use<'a>> {
        let request = request.to_owned_message();
        let lifetime = Lifetime::of(request.lifetime, request.no_expiry)?;
        let (key, secret) = self.keys.rotate(&context, &request.client_id, request.overlap, lifetime).await?;
        Response::ok(RotateApiKeyResponse {
            api_key: MessageField::some(self.one(key).await?),
            client_secret: secret.expose_secret().to_owned(),
            ..RotateApiKeyResponse::default()
        })
    }
}
