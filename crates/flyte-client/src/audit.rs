//! The audit log: who did what, from which address, and when.

use std::collections::BTreeMap;

use flyte_config::Endpoint;
use flyte_idl::flyteauth as wire;
use serde::Serialize;

use crate::error::ClientError;
use crate::pager::{Page, Pager, Source};
use crate::transport::Transport;

/// An event of the audit log.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Event {
    /// The number of the event. Later events have larger numbers.
    pub id: i64,
    /// The time of the event, Unix time in seconds.
    pub at: i64,
    /// The kind of event, for example `signed_in` or `api_key_created`.
    pub event: String,
    /// The subject that acted; empty if unknown.
    pub subject: String,
    /// The client that the subject used.
    pub client_id: String,
    /// The address that the request came from.
    pub address: String,
    /// The object of the action, for example the name of an API key or the path of a method.
    pub object: String,
    /// More about the event; never a secret.
    pub details: BTreeMap<String, String>,
    /// The e-mail address of the person that acted; empty for machines and if unknown.
    pub email: String,
    /// The name of the person or API key that acted; empty if unknown.
    pub name: String,
    /// If a run acted, the e-mail address of the person who started it; otherwise empty.
    pub on_behalf_of_email: String,
}

/// Which events to list.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Filter {
    /// Only events of this kind; empty for all.
    pub event: String,
    /// Only events of this subject; empty for all.
    pub subject: String,
    /// Only events of the person with this e-mail address, compared without regard to case; empty for all.
    pub email: String,
    /// Only events with this object; a `*` at the end matches any rest. Empty for all.
    pub object: String,
    /// Only events in this project; empty for all.
    pub project: String,
    /// Only events in this domain; empty for all.
    pub domain: String,
    /// Only events from this IP address; empty for all.
    pub address: String,
    /// Only events at or after this Unix time in seconds; `None` for all.
    pub since: Option<i64>,
    /// Only events before this Unix time in seconds; `None` for all.
    pub until: Option<i64>,
    /// The maximum number of events; `None` for all.
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

    /// Lists events, the newest first. Pages are fetched on demand.
    pub fn list(&self, filter: Filter) -> Pager<Listing<T>> {
        let limit = filter.limit;
        Pager::new(Listing { audit: self.clone(), filter }, limit)
    }
}

/// The source of a list of events.
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
            email: self.filter.email.clone(),
            object: self.filter.object.clone(),
            project: self.filter.project.clone(),
            domain: self.filter.domain.clone(),
            address: self.filter.address.clone(),
            since: self.filter.since.unwrap_or_default(),
            until: self.filter.until.unwrap_or_default(),
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
            email: message.email,
            name: message.name,
            on_behalf_of_email: message.on_behalf_of_email,
        }
    }
}

#[cfg(test)]
mod tests;
