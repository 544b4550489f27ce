//! `flyte-server audit`: shows the audit log on the server's machine, also while the server runs.

use std::{collections::BTreeMap, io::Write as _};

use serde::Serialize;

use crate::{bootstrap::BootstrapError, cli::ShownEvents};
use flyte_audit::{WrongCondition, check_query};
use flyte_model::clock::Clock;
use flyte_settings::Config;
use flyte_store::{AuditQuery, AuditStore as _, StoreError, StoredAuditRecord};
use flyte_store_sqlite::SqliteStore;

/// The number of events in one read.
const PAGE: u32 = 1000;

/// The reason why no events are shown.
#[derive(Debug, thiserror::Error)]
pub(super) enum AuditError {
    /// A condition that no event can meet.
    #[error("--{0}")]
    Condition(#[from] WrongCondition),
    /// The data directory cannot be used.
    #[error(transparent)]
    Bootstrap(#[from] BootstrapError),
    /// The database failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The events cannot be written as JSON.
    #[error("cannot write the events as JSON: {0}")]
    Json(#[from] serde_json::Error),
}

/// An event as `flyte get audit -o json` prints it.
#[derive(Serialize)]
struct Event {
    id: i64,
    at: i64,
    event: String,
    subject: String,
    client_id: String,
    address: String,
    object: String,
    details: BTreeMap<String, String>,
    email: String,
    name: String,
    on_behalf_of_email: String,
}

impl From<StoredAuditRecord> for Event {
    fn from(stored: StoredAuditRecord) -> Self {
        let record = stored.record;
        Self {
            id: stored.id,
            at: record.at,
            event: record.event,
            subject: record.subject.unwrap_or_default(),
            client_id: record.client_id.unwrap_or_default(),
            address: record.address.unwrap_or_default(),
            object: record.object.unwrap_or_default(),
            details: record.details,
            email: stored.email.unwrap_or_default(),
            name: stored.name.unwrap_or_default(),
            on_behalf_of_email: stored.on_behalf_of_email.unwrap_or_default(),
        }
    }
}

/// Reads the events and returns the text to print.
pub(super) async fn run(config: &Config, shown: ShownEvents) -> Result<String, AuditError> {
    let ShownEvents { query, since, until, wide, json } = shown;
    let now = Clock::default().now();
    let (since, until) = (since.map(|moment| moment.at(now)), until.map(|moment| moment.at(now)));
    let query = check_query(AuditQuery { since, until, ..query })?;
    let limit = query.limit;
    let events = read(&super::open_store(config)?, query).await?;
    if json {
        return Ok(serde_json::to_string_pretty(&events)? + "\n");
    }
    // Hints are not part of the table. Errors of standard error cannot be reported.
    let mut stderr = std::io::stderr();
    if events.is_empty() {
        let _ = writeln!(stderr, "No matching events.");
        return Ok(String::new());
    }
    if u32::try_from(events.len()) == Ok(limit) {
        let _ = writeln!(stderr, "Showing the newest {limit} events. For more, use --limit COUNT.");
    }
    Ok(flyte_table::audit::events(events.iter().map(row), wide, flyte_table::terminal_width()))
}

async fn read(store: &SqliteStore, mut query: AuditQuery) -> Result<Vec<Event>, StoreError> {
    let mut events = Vec::new();
    let mut left = query.limit;
    while left > 0 {
        query.limit = left.min(PAGE);
        let (page, token) = store.list_audit_records(&query).await?;
        left = left.saturating_sub(u32::try_from(page.len()).unwrap_or(u32::MAX));
        events.extend(page.into_iter().map(Event::from));
        if token.is_empty() {
            break;
        }
        query.page_token = token;
    }
    Ok(events)
}

fn row(event: &Event) -> flyte_table::audit::Event<'_> {
    flyte_table::audit::Event {
        at: event.at,
        event: &event.event,
        subject: &event.subject,
        email: &event.email,
        name: &event.name,
        on_behalf_of_email: &event.on_behalf_of_email,
        client_id: &event.client_id,
        address: &event.address,
        object: &event.object,
        details: &event.details,
    }
}
