//! API keys that end together with something else: how they are told and recorded.

use flyte_audit::{Detail, Event, Kind};
use flyte_model::clock::{Clock, rfc3339};
use flyte_store::{ApiKey, AuditStore as _, StoreError};
use flyte_store_sqlite::SqliteStore;

/// Records that these keys were deleted, and why.
pub(super) async fn record(store: &SqliteStore, keys: &[ApiKey], why: &str) -> Result<(), StoreError> {
    let now = Clock::default().now();
    let records: Vec<_> = keys
        .iter()
        .map(|key| {
            let event = Event::new(Kind::ApiKeyDeleted).object(&key.client_id);
            event.detail(Detail::Family, &key.family_id).detail(Detail::Reason, why).into_record(now)
        })
        .collect();
    store.append_audit_records(&records).await
}

/// A line about keys that have ended; nothing where there are none.
pub(super) fn told(keys: &[ApiKey]) -> String {
    let names: Vec<_> = keys.iter().map(|key| key.client_id.as_str()).collect();
    match names.len() {
        0 => String::new(),
        1 => format!("Ended the API key {}.\n", names.join("")),
        count => format!("Ended {count} API keys: {}.\n", names.join(", ")),
    }
}

/// The keys that a person made, a line each: what it may do, and until when.
pub(super) fn listed(keys: &[ApiKey]) -> String {
    let lines = keys.iter().map(|key| {
        let until = match key.expires_at {
            Some(end) => format!("until {}", rfc3339(end)),
            None => "without an end".to_owned(),
        };
        format!("  {}  {}, {until}\n", key.client_id, key.rights.role)
    });
    lines.collect()
}
