//! The audit log as a file for spreadsheets, RFC 4180.

use std::sync::Arc;

use axum::{
    body::Body,
    extract::{Query, rejection::QueryRejection},
    http::{HeaderName, HeaderValue, header},
    response::{IntoResponse as _, Response},
};
use bytes::Bytes;
use connectrpc::ConnectError;
use flyte_idl::flyteauth::{AuditServiceClient, Event, ListEventsRequest};
use flyte_pages::csv_line;
use futures_util::stream;
use jiff::Timestamp;

use super::{Filter, is_refused};
use crate::{
    refusal::Refusal,
    visit::{Visit, client},
};

/// The most events of one call.
const MANY: u32 = 1000;
/// The first line.
const COLUMNS: [&str; 12] = [
    "id",
    "time",
    "event",
    "result",
    "email",
    "name",
    "subject",
    "client_id",
    "address",
    "object",
    "on_behalf_of",
    "details",
];
const HEADERS: [(HeaderName, HeaderValue); 2] = [
    (header::CONTENT_TYPE, HeaderValue::from_static("text/csv; charset=utf-8; header=present")),
    (header::CONTENT_DISPOSITION, HeaderValue::from_static("attachment; filename=\"audit.csv\"")),
];

/// What is left to send.
struct Rest {
    visit: Arc<Visit>,
    /// The request of the next page; `None` at the end.
    next: Option<ListEventsRequest>,
    /// The lines that are ready.
    ready: Option<Bytes>,
}

/// Sends all events that meet the conditions, the newest first. Only one page of them is in memory.
pub(crate) async fn download(
    visit: Visit,
    filter: Result<Query<Filter>, QueryRejection>,
) -> Result<Response, Refusal> {
    let Query(filter) = filter.map_err(|_| Refusal::NoPage)?;
    let wrong = |sentence| Refusal::Call(ConnectError::invalid_argument(sentence));
    let request = ListEventsRequest { token: String::new(), ..filter.request(MANY).map_err(wrong)? };
    // The first page is read before the answer begins, so a refusal has a page of its own.
    let (first, next) = page(&visit, request).await?;
    let mut lines = csv_line(&COLUMNS);
    lines.extend_from_slice(&first);
    let rest = Rest { visit: Arc::new(visit), next, ready: Some(lines.into()) };
    let body = stream::try_unfold(rest, async |mut rest| {
        if let Some(ready) = rest.ready.take() {
            return Ok(Some((ready, rest)));
        }
        let Some(request) = rest.next.take() else { return Ok(None) };
        let (lines, next) = page(&rest.visit, request).await.inspect_err(|error| {
            tracing::warn!(%error, "an export of the audit log ended early");
        })?;
        rest.next = next;
        Ok::<_, ConnectError>(Some((Bytes::from(lines), rest)))
    });
    Ok((HEADERS, Body::from_stream(body)).into_response())
}

/// Reads a page. Returns its lines and the request of the next one.
async fn page(
    visit: &Visit,
    request: ListEventsRequest,
) -> Result<(Vec<u8>, Option<ListEventsRequest>), ConnectError> {
    let answer = client!(visit, AuditServiceClient).list_events(request.clone()).await?.into_owned();
    let lines = answer.events.iter().flat_map(|event| csv_line(&values(event))).collect();
    let next = (!answer.token.is_empty()).then_some(ListEventsRequest { token: answer.token, ..request });
    Ok((lines, next))
}

fn values(event: &Event) -> [String; 12] {
    let mut details: Vec<_> = event.details.iter().map(|(name, value)| format!("{name}={value}")).collect();
    details.sort();
    let time = Timestamp::from_second(event.at).map_or_else(|_| event.at.to_string(), |at| at.to_string());
    [
        event.id.to_string(),
        time,
        event.event.clone(),
        if is_refused(event) { "refused" } else { "done" }.to_owned(),
        event.email.clone(),
        event.name.clone(),
        event.subject.clone(),
        event.client_id.clone(),
        event.address.clone(),
        event.object.clone(),
        event.on_behalf_of_email.clone(),
        details.join("; "),
    ]
}
