//! The audit log at rest: what happened, only ever added to.

use std::collections::BTreeMap;

use async_trait::async_trait;

use super::StoreError;
use crate::clock::UnixTime;

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
    /// Only since then.
    pub since: Option<UnixTime>,
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
