//! `flyteauth.AuditService`: administrators read the audit log.

use std::sync::Arc;

use buffa::MessageField;
use connectrpc::{ConnectError, Encodable, RequestContext, Response, ServiceRequest, ServiceResult};
use flyte_idl::flyteauth::{
    AuditService, Event, GetEventRequest, GetEventResponse, ListEventsRequest, ListEventsResponse,
};

use crate::Administration;
use flyte_audit::Kind;
use flyte_rpc::{invalid, store_error};
use flyte_store::{AuditQuery, StoredAuditRecord};

/// The default page size.
const DEFAULT_PAGE: u32 = 100;
/// The most events that a page has.
const MAX_PAGE: u32 = 1000;

pub(super) struct Service {
    state: Arc<Administration>,
}

impl Service {
    pub(super) fn new(state: Arc<Administration>) -> Self {
        Self { state }
    }
}

fn message(stored: StoredAuditRecord) -> Event {
    let record = stored.record;
    Event {
        id: stored.id,
        at: record.at,
        event: record.event,
        subject: record.subject.unwrap_or_default(),
        client_id: record.client_id.unwrap_or_default(),
        address: record.address.unwrap_or_default(),
        object: record.object.unwrap_or_default(),
        details: record.details.into_iter().collect(),
        email: stored.email.unwrap_or_default(),
        name: stored.name.unwrap_or_default(),
        on_behalf_of_email: stored.on_behalf_of_email.unwrap_or_default(),
        ..Event::default()
    }
}

impl AuditService for Service {
    async fn list_events<'a>(
        &'a self,
        _: RequestContext,
        request: ServiceRequest<'_, ListEventsRequest>,
    ) -> ServiceResult<impl Encodable<ListEventsResponse> + Send + use<'a>> {
        let request = request.to_owned_message();
        let suspicious = || {
            Kind::ALL
                .iter()
                .filter(|kind| kind.is_suspicious())
                .map(|kind| kind.as_str().to_owned())
                .collect()
        };
        let (only, except) = match request.result.as_str() {
            "" => (Vec::new(), Vec::new()),
            "refused" => (suspicious(), Vec::new()),
            "done" => (Vec::new(), suspicious()),
            _ => return Err(invalid("result", "is not one of refused, done")),
        };
        let query = flyte_audit::check_query(AuditQuery {
            id: None,
            only,
            except,
            limit: match request.limit {
                0 => DEFAULT_PAGE,
                limit => limit.min(MAX_PAGE),
            },
            page_token: request.token,
            event: Some(request.event),
            subject: Some(request.subject),
            email: Some(request.email),
            object: Some(request.object),
            project: Some(request.project),
            domain: Some(request.domain),
            address: Some(request.address),
            since: Some(request.since).filter(|since| *since != 0),
            until: Some(request.until).filter(|until| *until != 0),
        });
        let query = query.map_err(|wrong| ConnectError::invalid_argument(wrong.to_string()))?;
        // Pending events must be in the response.
        self.state.audit.flush().await;
        let (events, token) = self.state.store.list_audit_records(&query).await.map_err(store_error)?;
        let events = events.into_iter().map(message).collect();
        Response::ok(ListEventsResponse { events, token, ..ListEventsResponse::default() })
    }

    async fn get_event<'a>(
        &'a self,
        _: RequestContext,
        request: ServiceRequest<'_, GetEventRequest>,
    ) -> ServiceResult<impl Encodable<GetEventResponse> + Send + use<'a>> {
        let id = request.to_owned_message().id;
        let query = AuditQuery { id: Some(id), limit: 1, ..AuditQuery::default() };
        let (events, _) = self.state.store.list_audit_records(&query).await.map_err(store_error)?;
        let event = events.into_iter().next().map(message);
        let event = event.ok_or_else(|| ConnectError::not_found(format!("there is no event {id}")))?;
        Response::ok(GetEventResponse { event: MessageField::some(event), ..GetEventResponse::default() })
    }
}
