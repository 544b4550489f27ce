//! `flyteidl2.secret.SecretService`: every call is rejected with an explanation, because this server does not store secrets.

use connectrpc::{ConnectError, Encodable, RequestContext, Response, ServiceRequest, ServiceResult};
use flyte_idl::flyteidl2::secret::{
    CreateSecretRequest, CreateSecretResponse, DeleteSecretRequest, DeleteSecretResponse, GetSecretRequest,
    GetSecretResponse, ListSecretsRequest, ListSecretsResponse, SecretService, UpdateSecretRequest,
    UpdateSecretResponse,
};

pub(super) struct Service;

fn not_supported() -> ConnectError {
    ConnectError::unimplemented(
        "this server keeps no secrets: let the task fetch them from where you keep them, with its own identity",
    )
}

impl SecretService for Service {
    async fn create_secret<'a>(
        &'a self,
        _: RequestContext,
        _: ServiceRequest<'_, CreateSecretRequest>,
    ) -> ServiceResult<impl Encodable<CreateSecretResponse> + Send + use<'a>> {
        Err::<Response<CreateSecretResponse>, _>(not_supported())
    }

    async fn update_secret<'a>(
        &'a self,
        _: RequestContext,
        _: ServiceRequest<'_, UpdateSecretRequest>,
    ) -> ServiceResult<impl Encodable<UpdateSecretResponse> + Send + use<'a>> {
        Err::<Response<UpdateSecretResponse>, _>(not_supported())
    }

    async fn get_secret<'a>(
        &'a self,
        _: RequestContext,
        _: ServiceRequest<'_, GetSecretRequest>,
    ) -> ServiceResult<impl Encodable<GetSecretResponse> + Send + use<'a>> {
        Err::<Response<GetSecretResponse>, _>(not_supported())
    }

    async fn delete_secret<'a>(
        &'a self,
        _: RequestContext,
        _: ServiceRequest<'_, DeleteSecretRequest>,
    ) -> ServiceResult<impl Encodable<DeleteSecretResponse> + Send + use<'a>> {
        Err::<Response<DeleteSecretResponse>, _>(not_supported())
    }

    async fn list_secrets<'a>(
        &'a self,
        _: RequestContext,
        _: ServiceRequest<'_, ListSecretsRequest>,
    ) -> ServiceResult<impl Encodable<ListSecretsResponse> + Send + use<'a>> {
        Err::<Response<ListSecretsResponse>, _>(not_supported())
    }
}
