//! Who did what, from where, and when.

use std::collections::BTreeMap;

use flyte_config::Endpoint;
use flyte_idl::flyteauth as wire;
use serde::Serialize;

use crate::client::Transport;
use crate::error::ClientError;
use crate::pager::{Page, Pager, Source};

/// Something that happened.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Event {
    /// Grows with each event.
    pub id: i64,
    /// When, Unix time in seconds.
    pub at: i64,
    /// What, in snake case, such as `signed_in` or `api_key_created`.
    pub event: String,
    /// Who did it; empty where nobody could be told.
    pub subject: String,
    /// The client by which it was done.
    pub client_id: String,
    /// The address that it came from.
    pub address: String,
    /// What it was done to, such as a key's name or a method's path.
    pub object: String,
    /// Anything else worth knowing; never a secret.
    pub details: BTreeMap<String, String>,
}

/// Which events to list.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Filter {
    /// Only those of this kind; empty for all.
    pub event: String,
    /// Only those of this subject; empty for all.
    pub subject: String,
    /// Only those since then, Unix time in seconds; `None` for all.
    pub since: Option<i64>,
    /// The most events to return; `None` for all.
    pub limit: Option<u32>,
}

/// Calls of `flyteauth.AuditService`.
#[derive(Clone)]
pub struct Audit<T> {
    service: wire::AuditServiceClient<T>,
    endpoint: Endpoint,
}

impl<T: Transport> Audit<T> {
    pub(crate) fn new(service: wire::AuditServiceClient<T>, endpoint: Endpoint) -> Self {
        Self { service, endpoint }
    }

    /// Events, the newest first, fetched page by page as they are asked for.
    pub fn list(&self, filter: Filter) -> Pager<Listing<T>> {
        let limit = filter.limit;
        Pager::new(Listing { audit: self.clone(), filter }, limit)
    }
}

/// Events that a listing is of.
pub struct Listing<T> {
    audit: Audit<T>,
    filter: Filter,
}

impl<T: Transport> Source for Listing<T> {
    type Item = Event;

    async fn page(&self, limit: u32, token: &str) -> Result<Page<Event>, ClientError> {
        let request = wire::ListEventsRequest {
            limit,
            token: token.to_owned(),
            event: self.filter.event.clone(),
            subject: self.filter.subject.clone(),
            since: self.filter.since.unwrap_or_default(),
            ..Default::default()
        };
        let answer = self.audit.service.list_events(request).await;
        let answer = answer.map_err(|error| ClientError::from_connect(error, &self.audit.endpoint))?;
        let answer = answer.into_owned();
        Ok(Page { items: answer.events.into_iter().map(Event::from).collect(), next: answer.token })
    }
}

impl From<wire::Event> for Event {
    fn from(message: wire::Event) -> Self {
        Self {
            id: message.id,
            at: message.at,
            event: message.event,
            subject: message.subject,
            client_id: message.client_id,
            address: message.address,
            object: message.object,
            details: message.details.into_iter().collect(),
        }
    }
}

#[cfg(test)]
#[path = "audit_tests.rs"]
mod tests;
