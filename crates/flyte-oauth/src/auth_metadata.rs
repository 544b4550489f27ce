//! `flyteidl2.auth.AuthMetadataService`: how a client without a token gets one.

use std::sync::Arc;

use connectrpc::{Encodable, RequestContext, Response, ServiceRequest, ServiceResult};
use flyte_idl::flyteidl2::auth::{
    AuthMetadataService, GetOAuth2MetadataRequest, GetOAuth2MetadataResponse, GetPublicClientConfigRequest,
    GetPublicClientConfigResponse,
};

use crate::{AuthorizationServer, metadata::Metadata};
use flyte_model::GrantType;

/// The header for tokens.
const METADATA_KEY: &str = "authorization";

/// The service of an [`AuthorizationServer`].
pub(super) struct Service {
    server: Arc<AuthorizationServer>,
}

impl Service {
    pub(super) fn new(server: Arc<AuthorizationServer>) -> Self {
        Self { server }
    }
}

fn owned(values: &[&str]) -> Vec<String> {
    values.iter().map(|value| (*value).to_owned()).collect()
}

impl AuthMetadataService for Service {
    async fn get_o_auth2_metadata<'a>(
        &'a self,
        _: RequestContext,
        _: ServiceRequest<'_, GetOAuth2MetadataRequest>,
    ) -> ServiceResult<impl Encodable<GetOAuth2MetadataResponse> + Send + use<'a>> {
        let metadata = Metadata::of(&self.server);
        Response::ok(GetOAuth2MetadataResponse {
            response_types_supported: owned(&metadata.response_types_supported),
            scopes_supported: metadata.scopes_supported.into(),
            token_endpoint_auth_methods_supported: owned(&metadata.token_endpoint_auth_methods_supported),
            code_challenge_methods_supported: owned(&metadata.code_challenge_methods_supported),
            grant_types_supported: metadata.grant_types_supported.iter().map(GrantType::to_string).collect(),
            issuer: metadata.issuer,
            authorization_endpoint: metadata.authorization_endpoint,
            token_endpoint: metadata.token_endpoint,
            device_authorization_endpoint: metadata.device_authorization_endpoint,
            jwks_uri: metadata.jwks_uri,
            ..GetOAuth2MetadataResponse::default()
        })
    }

    async fn get_public_client_config<'a>(
        &'a self,
        _: RequestContext,
        _: ServiceRequest<'_, GetPublicClientConfigRequest>,
    ) -> ServiceResult<impl Encodable<GetPublicClientConfigResponse> + Send + use<'a>> {
        let client = &self.server.config.public_client;
        Response::ok(GetPublicClientConfigResponse {
            client_id: client.client_id.to_string(),
            redirect_uri: client.redirect_uri.clone(),
            scopes: client.scopes.clone().into(),
            authorization_metadata_key: METADATA_KEY.to_owned(),
            audience: self.server.config.issuer().to_owned(),
            ..GetPublicClientConfigResponse::default()
        })
    }
}
