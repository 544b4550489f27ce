//! `flyteauth.ServerService`: how the server is set up, and its signing keys. The door lets only administrators of the server in.

use std::sync::Arc;

use connectrpc::{ConnectError, Encodable, RequestContext, Response, ServiceRequest, ServiceResult};
use flyte_idl::flyteauth::{
    ListProvidersRequest, ListProvidersResponse, ListServerSettingsRequest, ListServerSettingsResponse,
    ListSigningKeysRequest, ListSigningKeysResponse, Provider, RevokeSigningKeysRequest,
    RevokeSigningKeysResponse, RotateSigningKeysRequest, RotateSigningKeysResponse, ServerService,
    ServerSetting, SigningKey,
};
use futures_util::future::join_all;

use crate::Administration;
use flyte_access::policy::{self, Denied};
use flyte_audit::{Event, Kind};
use flyte_keys::KeyError;
use flyte_rpc::{allow, caller, store_error};
use flyte_store::KeyState;

pub(super) struct Service {
    state: Arc<Administration>,
}

impl Service {
    pub(super) fn new(state: Arc<Administration>) -> Self {
        Self { state }
    }

    async fn keys(&self) -> Result<Vec<SigningKey>, ConnectError> {
        let keys = self.state.store.signing_keys().await.map_err(store_error)?;
        let message = |key: flyte_store::SealedSigningKey| SigningKey {
            id: key.id,
            algorithm: key.algorithm,
            state: match key.state {
                KeyState::Published => "published",
                KeyState::Active => "active",
                KeyState::Retired => "retired",
            }
            .to_owned(),
            created_at: key.created_at,
            state_since: key.state_since,
            ..SigningKey::default()
        };
        Ok(keys.into_iter().map(message).collect())
    }

    /// Checks that a person changes the keys who has just signed in: a stolen token or API key must not sign everyone out.
    async fn allow_change(&self, context: &RequestContext, what: &'static str) -> Result<(), ConnectError> {
        let caller = caller(context)?;
        let verdict = match caller.principal.is_person() {
            true => policy::recently_signed_in(caller, self.state.clock.now(), what),
            false => Err(Denied::Person(what)),
        };
        allow(&self.state.audit, context, verdict).await
    }

    async fn record(&self, context: &RequestContext, kind: Kind) -> Result<(), ConnectError> {
        let caller = caller(context)?;
        let event = Event::new(kind).subject(&caller.subject).client(&caller.client_id);
        self.state.audit.record(event).await;
        Ok(())
    }
}

fn key_error(error: KeyError) -> ConnectError {
    match error {
        KeyError::Store(error) => store_error(error),
        error => {
            tracing::error!(%error, "changing the signing keys failed");
            ConnectError::unavailable("the signing keys could not be changed; try again later")
        }
    }
}

impl ServerService for Service {
    async fn list_server_settings<'a>(
        &'a self,
        _: RequestContext,
        _: ServiceRequest<'_, ListServerSettingsRequest>,
    ) -> ServiceResult<impl Encodable<ListServerSettingsResponse> + Send + use<'a>> {
        let settings = self.state.settings.iter().map(|shown| ServerSetting {
            section: shown.section.clone(),
            key: shown.key.clone(),
            value: shown.value.clone().unwrap_or_default(),
            source: shown.source.clone(),
            help: shown.help.clone(),
            ..ServerSetting::default()
        });
        Response::ok(ListServerSettingsResponse {
            settings: settings.collect(),
            ..ListServerSettingsResponse::default()
        })
    }

    async fn list_providers<'a>(
        &'a self,
        _: RequestContext,
        _: ServiceRequest<'_, ListProvidersRequest>,
    ) -> ServiceResult<impl Encodable<ListProvidersResponse> + Send + use<'a>> {
        // All at once, so that one that does not answer delays the others by no more than its own time limit.
        let asked = self.state.providers.iter().map(async |provider| {
            let settings = provider.settings();
            let message = Provider {
                name: settings.name.clone(),
                label: settings.label.clone(),
                issuer: settings.issuer.clone(),
                client_id: settings.client_id.clone(),
                ..Provider::default()
            };
            match provider.state().await {
                Ok(state) => Provider {
                    reachable: true,
                    key_count: i32::try_from(state.key_count).unwrap_or(i32::MAX),
                    key_ids: state.key_ids,
                    ..message
                },
                Err(error) => Provider { error: error.to_string(), ..message },
            }
        });
        let providers = join_all(asked).await;
        Response::ok(ListProvidersResponse { providers, ..ListProvidersResponse::default() })
    }

    async fn list_signing_keys<'a>(
        &'a self,
        _: RequestContext,
        _: ServiceRequest<'_, ListSigningKeysRequest>,
    ) -> ServiceResult<impl Encodable<ListSigningKeysResponse> + Send + use<'a>> {
        let keys = self.keys().await?;
        Response::ok(ListSigningKeysResponse { keys, ..ListSigningKeysResponse::default() })
    }

    async fn rotate_signing_keys<'a>(
        &'a self,
        context: RequestContext,
        _: ServiceRequest<'_, RotateSigningKeysRequest>,
    ) -> ServiceResult<impl Encodable<RotateSigningKeysResponse> + Send + use<'a>> {
        self.allow_change(&context, "rotating the signing keys").await?;
        self.state.keys.rotate_now().await.map_err(key_error)?;
        self.record(&context, Kind::KeysRotated).await?;
        let keys = self.keys().await?;
        Response::ok(RotateSigningKeysResponse { keys, ..RotateSigningKeysResponse::default() })
    }

    async fn revoke_signing_keys<'a>(
        &'a self,
        context: RequestContext,
        _: ServiceRequest<'_, RevokeSigningKeysRequest>,
    ) -> ServiceResult<impl Encodable<RevokeSigningKeysResponse> + Send + use<'a>> {
        self.allow_change(&context, "replacing the signing keys").await?;
        self.state.keys.replace_all().await.map_err(key_error)?;
        self.record(&context, Kind::KeysReplaced).await?;
        let keys = self.keys().await?;
        Response::ok(RevokeSigningKeysResponse { keys, ..RevokeSigningKeysResponse::default() })
    }
}
