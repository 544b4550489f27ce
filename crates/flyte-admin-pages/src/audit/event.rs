//! The page of an event.

use axum::{extract::Path, response::Response};
use flyte_idl::flyteauth::{AuditServiceClient, GetEventRequest};
use flyte_pages::{AdminView, Cell};

use super::{details, result, words};
use crate::{
    address::with_query,
    area::Area,
    cell,
    given::Given,
    refusal::Refusal,
    visit::{Visit, client},
};

/// Shows the page.
pub(crate) async fn show(visit: Visit, Path(id): Path<String>) -> Result<Response, Refusal> {
    let id = id.parse().map_err(|_| Refusal::NoPage)?;
    let request = GetEventRequest { id, ..GetEventRequest::default() };
    let answer = client!(visit, AuditServiceClient).get_event(request).await?.into_owned();
    let event = answer.event.into_option().unwrap_or_default();
    let email = if event.email.is_empty() { Cell::Empty } else { Cell::Text(cell::address(&event.email)) };
    let subject = match event.subject.as_str() {
        "" => Cell::Empty,
        subject => cell::link(with_query(Area::Audit.href(), &[("who", subject)]), subject),
    };
    let view = AdminView {
        kind: "Event",
        heading: words(&event.event),
        phase: Some(result(&event)),
        facts: vec![
            ("When", cell::time(event.at)),
            ("Who", email),
            ("Name", cell::text(&event.name)),
            ("Subject", subject),
            ("Client", cell::code(&event.client_id)),
            ("From", cell::code(&event.address)),
            ("About", cell::code(&event.object)),
            ("In the name of", cell::text(&event.on_behalf_of_email)),
            ("Number", cell::code(&event.id.to_string())),
        ],
        parts: vec![details(&event)],
        ..AdminView::default()
    };
    Ok(visit.page(Area::Audit, &Given::default(), view))
}
