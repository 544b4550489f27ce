//! `flyteauth.ScimKeyService`: keys of SCIM clients. Only administrators may call it.

use std::sync::Arc;

use buffa::MessageField;
use connectrpc::{ConnectError, Encodable, RequestContext, Response, ServiceRequest, ServiceResult};
use flyte_idl::flyteauth::{
    CreateScimKeyRequest, CreateScimKeyResponse, DeleteScimKeyRequest, DeleteScimKeyResponse,
    ListScimKeysRequest, ListScimKeysResponse, ScimKey, ScimKeyService,
};
use secrecy::ExposeSecret as _;

use super::is_keeper;
use crate::Administration;
use flyte_access::policy;
use flyte_audit::{Detail, Event, Kind};
use flyte_model::{Limit, Role};
use flyte_policy::Permissions;
use flyte_rpc::{allow, caller, invalid, store_error};
use flyte_scim::keys::{self, NewKey, NewKeyError};
use flyte_store::ScimRules;

pub(super) struct Service {
    state: Arc<Administration>,
}

impl Service {
    pub(super) fn new(state: Arc<Administration>) -> Self {
        Self { state }
    }

    async fn record(&self, context: &RequestContext, event: Event, key: &flyte_store::ScimKey) {
        let mut event = event.object(&key.name).detail(Detail::ScimClient, &key.client);
        if let Ok(caller) = caller(context) {
            event = event.subject(&caller.subject).client(&caller.client_id);
        }
        self.state.audit.record(event).await;
    }
}

fn given(text: String) -> Option<String> {
    Some(text).filter(|text| !text.is_empty())
}

fn message(key: flyte_store::ScimKey) -> ScimKey {
    ScimKey {
        name: key.name,
        client: key.client,
        adopts: key.rules.adopts,
        role: key.rules.role.unwrap_or_default(),
        issuer: key.rules.issuer.unwrap_or_default(),
        created_by: key.created_by,
        created_at: key.created_at,
        expires_at: key.expires_at.unwrap_or_default(),
        last_used_at: key.last_used_at.unwrap_or_default(),
        ..ScimKey::default()
    }
}

fn new_key_error(error: NewKeyError) -> ConnectError {
    match error {
        NewKeyError::Store(error) => store_error(error),
        NewKeyError::Random => {
            tracing::error!("creating a secret failed");
            ConnectError::unavailable("the server has no random numbers; try again later")
        }
        wrong => ConnectError::invalid_argument(wrong.to_string()),
    }
}

impl ScimKeyService for Service {
    async fn create_scim_key<'a>(
        &'a self,
        context: RequestContext,
        request: ServiceRequest<'_, CreateScimKeyRequest>,
    ) -> ServiceResult<impl Encodable<CreateScimKeyResponse> + Send + use<'a>> {
        let caller = caller(&context)?;
        let by_keeper = is_keeper(&self.state, caller).await?;
        let now = self.state.clock.now();
        allow(&self.state.audit, &context, policy::may_provision(caller, by_keeper, now)).await?;
        let request = request.to_owned_message();
        let key = request.key.into_option().ok_or_else(|| invalid("key", "is missing"))?;
        // Its client fills groups, and policies can give them anything, also later.
        let all = Permissions::of_role(Role::Admin);
        let verdict = policy::may_hand_out(caller, all, &Limit::default());
        allow(&self.state.audit, &context, verdict).await?;
        let lifetime = match (request.lifetime, request.no_expiry) {
            (0, true) => None,
            (0, false) => Some(keys::DEFAULT_LIFETIME),
            (_, true) => return Err(invalid("no_expiry", "cannot be with a lifetime")),
            (lifetime, false) => Some(lifetime),
        };
        let new = NewKey {
            name: key.name,
            client: key.client,
            rules: ScimRules { adopts: key.adopts, role: given(key.role), issuer: given(key.issuer) },
            created_by: caller.subject.clone(),
            lifetime,
        };
        let (key, secret) = keys::create(&*self.state.store, new, now).await.map_err(new_key_error)?;
        let mut event = Event::new(Kind::ScimKeyCreated);
        if let Some(end) = key.expires_at {
            event = event.detail(Detail::ExpiresAt, end);
        }
        self.record(&context, event, &key).await;
        Response::ok(CreateScimKeyResponse {
            key: MessageField::some(message(key)),
            secret: secret.expose_secret().to_owned(),
            url: format!("{}{}", self.state.config.issuer(), flyte_scim::PATH),
            ..CreateScimKeyResponse::default()
        })
    }

    async fn list_scim_keys<'a>(
        &'a self,
        _: RequestContext,
        _: ServiceRequest<'_, ListScimKeysRequest>,
    ) -> ServiceResult<impl Encodable<ListScimKeysResponse> + Send + use<'a>> {
        let keys = self.state.store.scim_keys().await.map_err(store_error)?;
        let keys = keys.into_iter().map(message).collect();
        Response::ok(ListScimKeysResponse { keys, ..ListScimKeysResponse::default() })
    }

    async fn delete_scim_key<'a>(
        &'a self,
        context: RequestContext,
        request: ServiceRequest<'_, DeleteScimKeyRequest>,
    ) -> ServiceResult<impl Encodable<DeleteScimKeyResponse> + Send + use<'a>> {
        let name = request.to_owned_message().name;
        let deleted = self.state.store.delete_scim_key(&name).await.map_err(store_error)?;
        let key = deleted.ok_or_else(|| ConnectError::not_found(format!("there is no SCIM key {name:?}")))?;
        self.record(&context, Event::new(Kind::ScimKeyDeleted), &key).await;
        Response::ok(DeleteScimKeyResponse::default())
    }
}
