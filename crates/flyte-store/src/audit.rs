//! The stored audit log, to which records are only added.

use std::collections::BTreeMap;

use async_trait::async_trait;

use super::StoreError;
use flyte_model::clock::UnixTime;

/// A record of an event; `flyte_audit::Event` defines the meaning.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AuditRecord {
    /// The time of the event.
    pub at: UnixTime,
    /// The kind of event, in snake case, for example `signed_in`.
    pub event: String,
    /// Subject of the principal that acted; `None` if it is unknown.
    pub subject: Option<String>,
    /// `client_id` of the client through which it acted.
    pub client_id: Option<String>,
    /// The address that the request came from; `None` for actions on the server's own machine.
    pub address: Option<String>,
    /// The thing that was acted on.
    pub object: Option<String>,
    /// Further facts; never a secret.
    pub details: BTreeMap<String, String>,
}

/// A record and its position in the log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredAuditRecord {
    /// The position. It grows with each record and is never reused.
    pub id: i64,
    /// The record.
    pub record: AuditRecord,
    /// E-mail address of the user `subject`: the account's own, or the last one in the log if the account no longer
    /// exists. `None` for machines.
    pub email: Option<String>,
    /// Name of the user or API key `subject`, if the log knows it.
    pub name: Option<String>,
    /// E-mail address of the user whose run acted.
    pub on_behalf_of_email: Option<String>,
}

/// A query for records that meet all conditions, the newest first.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AuditQuery {
    /// The most records of one page.
    pub limit: u32,
    /// The page token of the previous page; empty for the first page.
    pub page_token: String,
    /// Only the record at this position.
    pub id: Option<i64>,
    /// Only this event.
    pub event: Option<String>,
    /// Only these events. Empty for all.
    pub only: Vec<String>,
    /// Not these events.
    pub except: Vec<String>,
    /// Only this subject.
    pub subject: Option<String>,
    /// Only events of the user who has this e-mail address now, or had it at the time of the event; case is ignored.
    pub email: Option<String>,
    /// Only events that acted on this object. A `*` at the end matches all objects with that prefix.
    pub object: Option<String>,
    /// Only events in this project.
    pub project: Option<String>,
    /// Only events in a domain of this name, in any project.
    pub domain: Option<String>,
    /// Only events from this address, in the format of [`IpAddr`](std::net::IpAddr).
    pub address: Option<String>,
    /// Only events at or after this time.
    pub since: Option<UnixTime>,
    /// Only events before this time.
    pub until: Option<UnixTime>,
}

/// Storage of the audit log.
#[async_trait]
pub trait AuditStore: Send + Sync + 'static {
    /// Adds records in this order: all of them or none.
    async fn append_audit_records(&self, records: &[AuditRecord]) -> Result<(), StoreError>;
    /// Returns a page of records, the newest first, and the next page's token, which is empty on the last page.
    ///
    /// # Errors
    /// [`StoreError::InvalidPageToken`] for a token of another query.
    async fn list_audit_records(
        &self,
        query: &AuditQuery,
    ) -> Result<(Vec<StoredAuditRecord>, String), StoreError>;
    /// Removes the records from before `before` and returns their number. Records are removed in no other way.
    async fn delete_audit_records_before(&self, before: UnixTime) -> Result<u64, StoreError>;
}
