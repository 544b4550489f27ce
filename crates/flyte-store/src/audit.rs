//! The audit log at rest: what happened, only ever added to.

use std::collections::BTreeMap;

use async_trait::async_trait;

use super::StoreError;
use flyte_model::clock::UnixTime;

/// Something that happened; what it means is `audit::Event`'s to say.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AuditRecord {
    /// When.
    pub at: UnixTime,
    /// What, in snake case, such as `signed_in`.
    pub event: String,
    /// Subject of who did it; `None` where nobody could be told.
    pub subject: Option<String>,
    /// `client_id` by which it was done.
    pub client_id: Option<String>,
    /// The address that it came from; `None` for what the server's own machine did.
    pub address: Option<String>,
    /// What it was done to.
    pub object: Option<String>,
    /// Anything else worth knowing; never a secret.
    pub details: BTreeMap<String, String>,
}

/// A record and its place in the log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StoredAuditRecord {
    /// Grows with each record and is never used again.
    pub id: i64,
    /// The record.
    pub record: AuditRecord,
    /// E-mail address of the person that `subject` is: the account's own, or the last one that the log knows of an account
    /// that is gone. `None` for machines.
    pub email: Option<String>,
    /// Name of the person or the API key that `subject` is, as long as the log knows it.
    pub name: Option<String>,
    /// E-mail address of the person whose run acted.
    pub on_behalf_of_email: Option<String>,
}

/// Which records are asked for: those that meet all conditions, the newest first.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AuditQuery {
    /// The most records of one page.
    pub limit: u32,
    /// What the page before led to; empty for the first page.
    pub page_token: String,
    /// Only this event.
    pub event: Option<String>,
    /// Only this subject.
    pub subject: Option<String>,
    /// Only of the person with this e-mail address, now or when it happened, in any case.
    pub email: Option<String>,
    /// Only what was done to this; with `*` at the end, to whatever begins so.
    pub object: Option<String>,
    /// Only in this project.
    pub project: Option<String>,
    /// Only in the domain of this name, of any project.
    pub domain: Option<String>,
    /// Only from this address, written as [`IpAddr`](std::net::IpAddr) writes it.
    pub address: Option<String>,
    /// Only since then.
    pub since: Option<UnixTime>,
    /// Only before then.
    pub until: Option<UnixTime>,
}

/// Storage of the audit log.
#[async_trait]
pub trait AuditStore: Send + Sync + 'static {
    /// Adds records in this order, all of them or none.
    async fn append_audit_records(&self, records: &[AuditRecord]) -> Result<(), StoreError>;
    /// A page of records, the newest first, and the token of the next page, empty on the last.
    ///
    /// # Errors
    /// [`StoreError::InvalidPageToken`] for a token of another query.
    async fn list_audit_records(
        &self,
        query: &AuditQuery,
    ) -> Result<(Vec<StoredAuditRecord>, String), StoreError>;
    /// Removes records from before `before`, the only removal that there is; returns how many.
    async fn delete_audit_records_before(&self, before: UnixTime) -> Result<u64, StoreError>;
}
