//! `flyteauth.ClientService`: registered OAuth clients. The door lets only administrators of the server in.

use std::sync::Arc;

use buffa::MessageField;
use connectrpc::{ConnectError, Encodable, RequestContext, Response, ServiceRequest, ServiceResult};
use flyte_idl::flyteauth::{
    Client, ClientService, DeleteClientRequest, DeleteClientResponse, GetClientRequest, GetClientResponse,
    ListClientsRequest, ListClientsResponse,
};

use crate::Administration;
use flyte_audit::{Event, Kind};
use flyte_model::ClientId;
use flyte_rpc::{caller, invalid, store_error};
use flyte_store::ClientKind;

pub(super) struct Service {
    state: Arc<Administration>,
}

impl Service {
    pub(super) fn new(state: Arc<Administration>) -> Self {
        Self { state }
    }

    fn message(&self, client: flyte_store::Client) -> Client {
        Client {
            built_in: self.is_built_in(&client.id),
            client_id: client.id.as_str().to_owned(),
            name: client.name,
            is_public: client.kind == ClientKind::Public,
            first_party: client.first_party,
            may_keep_api_keys: client.first_party || client.may_keep_api_keys,
            redirect_uris: client.redirect_uris,
            grant_types: client.grant_types.iter().map(ToString::to_string).collect(),
            scopes: client.scopes.into(),
            created_at: client.created_at,
            ..Client::default()
        }
    }

    /// The setting `client.id` defines this client: the next start would register it again.
    fn is_built_in(&self, id: &ClientId) -> bool {
        *id == self.state.config.public_client.client_id
    }
}

fn not_found(id: &str) -> ConnectError {
    ConnectError::not_found(format!("there is no client {id:?}"))
}

impl ClientService for Service {
    async fn list_clients<'a>(
        &'a self,
        _: RequestContext,
        _: ServiceRequest<'_, ListClientsRequest>,
    ) -> ServiceResult<impl Encodable<ListClientsResponse> + Send + use<'a>> {
        let clients = self.state.store.clients().await.map_err(store_error)?;
        let clients = clients.into_iter().map(|client| self.message(client)).collect();
        Response::ok(ListClientsResponse { clients, ..ListClientsResponse::default() })
    }

    async fn get_client<'a>(
        &'a self,
        _: RequestContext,
        request: ServiceRequest<'_, GetClientRequest>,
    ) -> ServiceResult<impl Encodable<GetClientResponse> + Send + use<'a>> {
        let id = request.to_owned_message().client_id;
        let client =
            self.state.store.client_by_id(&ClientId::from_stored(id.clone())).await.map_err(store_error)?;
        let client = client.ok_or_else(|| not_found(&id))?;
        Response::ok(GetClientResponse {
            client: MessageField::some(self.message(client)),
            ..GetClientResponse::default()
        })
    }

    async fn delete_client<'a>(
        &'a self,
        context: RequestContext,
        request: ServiceRequest<'_, DeleteClientRequest>,
    ) -> ServiceResult<impl Encodable<DeleteClientResponse> + Send + use<'a>> {
        let text = request.to_owned_message().client_id;
        if text.is_empty() {
            return Err(invalid("client_id", "is missing"));
        }
        // An earlier version may have accepted an identifier that cannot be registered any more.
        let id = ClientId::from_stored(text.clone());
        if self.is_built_in(&id) {
            return Err(ConnectError::failed_precondition(format!(
                "{text:?} is the client of the flyte command; the setting client.id defines it"
            )));
        }
        let now = self.state.clock.now();
        if !self.state.store.delete_client(&id, now).await.map_err(store_error)? {
            return Err(not_found(&text));
        }
        let caller = caller(&context)?;
        let event = Event::new(Kind::ClientRemoved).subject(&caller.subject).client(&caller.client_id);
        self.state.audit.record(event.object(&text)).await;
        if let Err(error) = self.state.access.maintain().await {
            tracing::warn!(%error, "reading revocations failed; they are read again within a second");
        }
        Response::ok(DeleteClientResponse::default())
    }
}
