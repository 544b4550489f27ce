//! `flyteidl2.auth.IdentityService`: who the caller is.

use std::sync::Arc;

use connectrpc::{ConnectError, Encodable, RequestContext, Response, ServiceRequest, ServiceResult};
use flyte_idl::flyteidl2::auth::{IdentityService, UserInfoRequest, UserInfoResponse};

use crate::Administration;
use flyte_model::PrincipalKind;
use flyte_rpc::{caller, store_error};

pub(super) struct Service {
    state: Arc<Administration>,
}

impl Service {
    pub(super) fn new(state: Arc<Administration>) -> Self {
        Self { state }
    }
}

impl IdentityService for Service {
    async fn user_info<'a>(
        &'a self,
        context: RequestContext,
        _: ServiceRequest<'_, UserInfoRequest>,
    ) -> ServiceResult<impl Encodable<UserInfoResponse> + Send + use<'a>> {
        let caller = caller(&context)?;
        if let Some(id) = caller.api_key_id() {
            let key = self.state.store.api_key_by_id(id).await.map_err(store_error)?;
            let key = key.ok_or_else(|| ConnectError::unauthenticated("the API key no longer exists"))?;
            return Response::ok(UserInfoResponse {
                subject: key.client_id.into(),
                name: key.name,
                ..UserInfoResponse::default()
            });
        }
        if caller.principal == PrincipalKind::Run {
            return Response::ok(UserInfoResponse {
                subject: caller.subject.clone(),
                name: format!("run {}", caller.subject),
                ..UserInfoResponse::default()
            });
        }
        if caller.principal == PrincipalKind::Federated {
            // The subject has the form `rule:job`.
            let name = caller.subject.split_once(':').map_or(caller.subject.as_str(), |(_, job)| job);
            return Response::ok(UserInfoResponse {
                subject: caller.subject.clone(),
                name: name.to_owned(),
                ..UserInfoResponse::default()
            });
        }
        let user = self.state.store.user_by_id(&caller.subject).await.map_err(store_error)?;
        // The account may be deleted after the token was verified.
        let user = user.ok_or_else(|| ConnectError::unauthenticated("the account no longer exists"))?;
        Response::ok(UserInfoResponse {
            subject: user.id,
            name: user.name,
            preferred_username: user.email.clone(),
            email: user.email,
            ..UserInfoResponse::default()
        })
    }
}
