//! Events as CSV (RFC 4180), as spreadsheets read it.

use flyte_pages::csv_line;
use flyte_store::StoredAuditRecord;

use super::{rfc3339, sentence};

/// The names of the columns.
pub(super) const COLUMNS: [&str; 6] = ["time", "event", "what", "client", "address", "object"];

/// The line of an event.
pub(super) fn line(stored: &StoredAuditRecord, address: Option<&str>) -> Vec<u8> {
    let record = &stored.record;
    let fields = [
        rfc3339(record.at),
        record.event.clone(),
        sentence::of(record),
        record.client_id.clone().unwrap_or_default(),
        address.unwrap_or_default().to_owned(),
        record.object.clone().unwrap_or_default(),
    ];
    csv_line(&fields)
}
