//! The audit log. Triggers of the schema refuse to change a record, and to remove one that is not old enough.

use async_trait::async_trait;
use base64::{Engine as _, prelude::BASE64_URL_SAFE_NO_PAD};
use rusqlite::{Connection, Row, params, params_from_iter, types::Value};
use serde::{Deserialize, Serialize};

use super::{SqliteStore, change, from_json, to_json};
use crate::{
    clock::UnixTime,
    store::{AuditQuery, AuditRecord, AuditStore, StoreError, StoredAuditRecord},
};

/// How many records one step of the clean-up removes, so that other writers get their turn between steps.
const CLEAN_UP_STEP: usize = 2000;

fn record(row: &Row<'_>) -> rusqlite::Result<StoredAuditRecord> {
    Ok(StoredAuditRecord {
        id: row.get(0)?,
        record: AuditRecord {
            at: row.get(1)?,
            event: row.get(2)?,
            subject: row.get(3)?,
            client_id: row.get(4)?,
            address: row.get(5)?,
            object: row.get(6)?,
            details: from_json(row, 7)?,
        },
    })
}

fn append(connection: &Connection, records: &[AuditRecord]) -> Result<(), StoreError> {
    let mut statement = connection.prepare_cached(
        "INSERT INTO audit_records (at, event, subject, client_id, address, object, details)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)",
    )?;
    for record in records {
        statement.execute(params![
            record.at,
            record.event,
            record.subject,
            record.client_id,
            record.address,
            record.object,
            to_json(&record.details)?
        ])?;
    }
    Ok(())
}

/// What a page token says: the query that it belongs to, and the last record of the page before.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Position {
    /// The conditions, which must be the same for all pages.
    q: (Option<String>, Option<String>, Option<UnixTime>),
    /// The last record.
    i: i64,
}

impl Position {
    fn of(query: &AuditQuery, id: i64) -> Self {
        Self { q: (query.event.clone(), query.subject.clone(), query.since), i: id }
    }

    fn decode(query: &AuditQuery) -> Result<Self, StoreError> {
        BASE64_URL_SAFE_NO_PAD
            .decode(&query.page_token)
            .ok()
            .and_then(|json| serde_json::from_slice::<Self>(&json).ok())
            .filter(|position| position.q == Self::of(query, 0).q)
            .ok_or(StoreError::InvalidPageToken)
    }
}

fn list(connection: &Connection, query: &AuditQuery) -> Result<(Vec<StoredAuditRecord>, String), StoreError> {
    let mut conditions = vec!["TRUE"];
    let mut values: Vec<Value> = Vec::new();
    for (condition, wanted) in [("event = ?", &query.event), ("subject = ?", &query.subject)] {
        if let Some(wanted) = wanted {
            conditions.push(condition);
            values.push(Value::Text(wanted.clone()));
        }
    }
    if let Some(since) = query.since {
        conditions.push("at >= ?");
        values.push(Value::Integer(since));
    }
    if !query.page_token.is_empty() {
        conditions.push("id < ?");
        values.push(Value::Integer(Position::decode(query)?.i));
    }
    // One more than asked for tells whether there is a next page.
    values.push(Value::Integer(i64::from(query.limit).saturating_add(1)));
    let sql = format!(
        "SELECT id, at, event, subject, client_id, address, object, details FROM audit_records
         WHERE {} ORDER BY id DESC LIMIT ?",
        conditions.join(" AND ")
    );
    let mut records: Vec<_> = connection
        .prepare_cached(&sql)?
        .query_map(params_from_iter(values), record)?
        .collect::<Result<_, _>>()?;
    let limit = usize::try_from(query.limit).unwrap_or(usize::MAX);
    let more = records.len() > limit;
    records.truncate(limit);
    let token = match records.last() {
        Some(last) if more => BASE64_URL_SAFE_NO_PAD.encode(to_json(&Position::of(query, last.id))?),
        _ => String::new(),
    };
    Ok((records, token))
}

/// Removes a bounded number of records from before `before`; returns how many.
fn clean_up(connection: &Connection, before: UnixTime) -> Result<usize, StoreError> {
    change(connection, "UPDATE audit_retention SET before = ?1", [before])?;
    Ok(change(
        connection,
        "DELETE FROM audit_records WHERE id IN (SELECT id FROM audit_records WHERE at < ?1 LIMIT ?2)",
        params![before, i64::try_from(CLEAN_UP_STEP).unwrap_or(i64::MAX)],
    )?)
}

#[async_trait]
impl AuditStore for SqliteStore {
    async fn append_audit_records(&self, records: &[AuditRecord]) -> Result<(), StoreError> {
        let records = records.to_vec();
        self.write(move |connection| append(connection, &records)).await
    }

    async fn list_audit_records(
        &self,
        query: &AuditQuery,
    ) -> Result<(Vec<StoredAuditRecord>, String), StoreError> {
        let query = query.clone();
        self.read(move |connection| list(connection, &query)).await
    }

    async fn delete_audit_records_before(&self, before: UnixTime) -> Result<u64, StoreError> {
        let mut removed = 0;
        loop {
            let step = self.write(move |connection| clean_up(connection, before)).await?;
            removed += step as u64;
            if step < CLEAN_UP_STEP {
                return Ok(removed);
            }
        }
    }
}
