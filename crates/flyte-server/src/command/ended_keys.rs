//! Messages and records about deleted API keys.

use flyte_audit::{Detail, Event, Kind};
use flyte_model::clock::{Clock, rfc3339};
use flyte_store::{ApiKey, AuditStore as _, StoreError};
use flyte_store_sqlite::SqliteStore;

/// Records that these keys were deleted, and the reason.
pub(super) async fn record(store: &SqliteStore, keys: &[ApiKey], why: &str) -> Result<(), StoreError> {
    let now = Clock::default().now();
    let records: Vec<_> = keys
        .iter()
        .map(|key| {
            let event = Event::new(Kind::ApiKeyDeleted).object(key.client_id.as_str());
            event.detail(Detail::Family, &key.family_id).detail(Detail::Reason, why).into_record(now)
        })
        .collect();
    store.append_audit_records(&records).await
}

/// A line about deleted keys; empty if there are none.
pub(super) fn summary(keys: &[ApiKey]) -> String {
    let names: Vec<_> = keys.iter().map(|key| key.client_id.as_str()).collect();
    match names.len() {
        0 => String::new(),
        1 => format!("Deleted API key {}.\n", names.join("")),
        count => format!("Deleted {count} API keys: {}.\n", names.join(", ")),
    }
}

/// The keys that a user created, one line each: the role and the expiry.
pub(super) fn list(keys: &[ApiKey]) -> String {
    let lines = keys.iter().map(|key| {
        let until = match key.expires_at {
            Some(end) => format!("until {}", rfc3339(end)),
            None => "without an expiry".to_owned(),
        };
        format!("  {}  {}, {until}\n", key.client_id, key.rights.role)
    });
    lines.collect()
}
