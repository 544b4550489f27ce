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
    /// E-mail address of the person that `subject` is; empty for machines, and where none is known.
    pub email: String,
    /// Name of the person or the API key that `subject` is; empty where none is known.
    pub name: String,
    /// E-mail address of the person whose run acted; empty for others.
    pub on_behalf_of_email: String,
}

/// Which events to list.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Filter {
    /// Only those of this kind; empty for all.
    pub event: String,
    /// Only those of this subject; empty for all.
    pub subject: String,
    /// Only those of the person with this e-mail address, in any case; empty for all.
    pub email: String,
    /// Only what was done to this; with `*` at the end, to whatever begins so. Empty for all.
    pub object: String,
    /// Only those in this project; empty for all.
    pub project: String,
    /// Only those in the domain of this name; empty for all.
    pub domain: String,
    /// Only those that came from this IP address; empty for all.
    pub address: String,
    /// Only those since then, Unix time in seconds; `None` for all.
    pub since: Option<i64>,
    /// Only those before then, Unix time in seconds; `None` for all.
    pub until: Option<i64>,
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
