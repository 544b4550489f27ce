use std::sync::{Arc, Mutex};

use connectrpc::client::ServiceTransport;
use connectrpc::{
    ConnectError, ConnectRpcService, Encodable, RequestContext, Response, Router, ServiceRequest,
    ServiceResult,
};
use flyte_idl::flyteauth::{AuditService, AuditServiceExt as _};

use super::*;
use crate::client::Client;

/// A server with an endless audit log for administrators. It records the requests.
#[derive(Default)]
struct Server {
    asked: Mutex<Vec<wire::ListEventsRequest>>,
    closed: bool,
}

impl AuditService for Server {
    async fn list_events<'a>(
        &'a self,
        _: RequestContext,
        request: ServiceRequest<'_, wire::ListEventsRequest>,
    ) -> ServiceResult<impl Encodable<wire::ListEventsResponse> + Send + use<'a>> {
        if self.closed {
            return Err(ConnectError::permission_denied("administrators only"));
        }
        let request = request.to_owned_message();
        let event = wire::Event {
            event: request.event.clone(),
            email: request.email.clone(),
            details: [("grant".to_owned(), "refresh_token".to_owned())].into_iter().collect(),
            ..Default::default()
        };
        let events = vec![event; request.limit as usize];
        let token = format!("{}x", request.token);
        self.asked.lock().unwrap().push(request);
        Response::ok(wire::ListEventsResponse { events, token, ..Default::default() })
    }

    async fn get_event<'a>(
        &'a self,
        _: RequestContext,
        _: ServiceRequest<'_, wire::GetEventRequest>,
    ) -> ServiceResult<impl Encodable<wire::GetEventResponse> + Send + use<'a>> {
        Response::ok(wire::GetEventResponse::default())
    }
}

fn serve(server: Server) -> (Arc<Server>, Audit<ServiceTransport<ConnectRpcService>>) {
    let server = Arc::new(server);
    let router = Arc::clone(&server).register(Router::new());
    let transport = ServiceTransport::new(ConnectRpcService::new(router));
    (server, Client::new(transport, "localhost".parse().unwrap()).unwrap().audit())
}

#[tokio::test]
async fn every_page_has_the_filter_and_the_limit() {
    let (server, audit) = serve(Server::default());
    let filter = Filter {
        event: "signed_in".into(),
        subject: "ada".into(),
        email: "ada@example.com".into(),
        object: "o*".into(),
        project: "p".into(),
        domain: "d".into(),
        address: "::1".into(),
        since: Some(1_000),
        until: Some(2_000),
        limit: Some(130),
    };
    let events = audit.list(filter).collect().await.unwrap();
    assert_eq!((events.len(), events[129].event.as_str()), (130, "signed_in"));
    assert_eq!(
        (events[0].details["grant"].as_str(), events[0].email.as_str()),
        ("refresh_token", "ada@example.com")
    );
    let pages = server.asked.lock().unwrap();
    let asked: Vec<_> = pages
        .iter()
        .map(|page| (page.limit, page.token.as_str(), page.event.as_str(), page.subject.as_str(), page.since))
        .collect();
    assert_eq!(asked, [(100, "", "signed_in", "ada", 1_000), (30, "x", "signed_in", "ada", 1_000)]);
    for page in pages.iter() {
        let conditions = [&page.email, &page.object, &page.project, &page.domain, &page.address];
        assert_eq!(
            (conditions.map(String::as_str), page.until),
            (["ada@example.com", "o*", "p", "d", "::1"], 2_000)
        );
    }
}

#[tokio::test]
async fn only_administrators_can_read_the_audit_log() {
    let (_, audit) = serve(Server { closed: true, ..Server::default() });
    let error = audit.list(Filter::default()).collect().await.unwrap_err();
    assert!(matches!(error, ClientError::PermissionDenied { .. }), "{error}");
}
