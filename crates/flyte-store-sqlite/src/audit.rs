//! The audit log. Triggers of the schema prevent changes of records, and the removal of records that are not old
//! enough.

use crate::error::SqliteError;
use async_trait::async_trait;
use rusqlite::{Connection, Row, params, params_from_iter, types::Value};

use super::{
    SqliteStore, change, from_json,
    page::{self, Key},
    to_json, user,
};
use flyte_model::clock::UnixTime;
use flyte_store::{AuditQuery, AuditRecord, AuditStore, StoreError, StoredAuditRecord};

/// The number of records that one step of the clean-up removes, so that other writers get their turn between steps.
const CLEAN_UP_STEP: usize = 2000;

/// Selects records with the names of their subjects. The subject of an API key's tokens is its `client_id` (RFC 9068
/// section 2.2); that of a user's tokens never is, so the two are never confused. An existing account has its current
/// address; for a deleted account, the record has the last one.
const SELECT: &str = "
    SELECT r.id, r.at, r.event, r.subject, r.client_id, r.address, r.object, r.details,
           coalesce(person.email, r.email), coalesce(person.name, r.name, key.name), starter.email
    FROM audit_records r
    LEFT JOIN users person ON person.id = r.subject AND r.subject IS NOT r.client_id
    LEFT JOIN api_keys key ON key.client_id = r.subject AND r.subject = r.client_id
    LEFT JOIN users starter ON starter.id = json_extract(r.details, '$.on_behalf_of')";

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
        email: row.get(8)?,
        name: row.get(9)?,
        on_behalf_of_email: row.get(10)?,
    })
}

fn append(connection: &Connection, records: &[AuditRecord]) -> Result<(), SqliteError> {
    let mut statement = connection.prepare_cached(
        "INSERT INTO audit_records
             (at, event, subject, client_id, address, object, details, email, email_key, name)
         SELECT ?1, ?2, ?3, ?4, ?5, ?6, ?7, person.email, person.email_key, coalesce(person.name, key.name)
         FROM (SELECT 1)
         LEFT JOIN users person ON person.id = ?3 AND ?3 IS NOT ?4
         LEFT JOIN api_keys key ON key.client_id = ?3 AND ?3 = ?4",
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

/// Returns the subjects of the users who have this e-mail address, or had it when they acted.
fn subjects_of(connection: &Connection, email: &str) -> Result<Vec<Value>, SqliteError> {
    let mut statement = connection.prepare_cached(
        "SELECT id FROM users WHERE email_key = ?1
         UNION SELECT subject FROM audit_records WHERE email_key = ?1",
    )?;
    let subjects = statement.query_map([user::email_key(email)], |row| row.get(0))?;
    Ok(subjects.collect::<Result<_, _>>()?)
}

/// Conditions of SQL, all of which must hold, and the values that they compare with.
struct Conditions {
    sql: Vec<String>,
    values: Vec<Value>,
}

impl Conditions {
    fn add(&mut self, sql: &str, values: impl IntoIterator<Item = Value>) {
        self.sql.push(sql.to_owned());
        self.values.extend(values);
    }

    fn of(connection: &Connection, query: &AuditQuery) -> Result<Self, SqliteError> {
        let mut all = Self { sql: Vec::new(), values: Vec::new() };
        let texts = [
            ("r.event = ?", &query.event),
            ("r.subject = ?", &query.subject),
            ("r.project = ?", &query.project),
            ("json_extract(r.details, '$.domain') = ?", &query.domain),
            ("r.address = ?", &query.address),
        ];
        for (sql, wanted) in texts {
            if let Some(wanted) = wanted {
                all.add(sql, [Value::Text(wanted.clone())]);
            }
        }
        if let Some(id) = query.id {
            all.add("r.id = ?", [Value::Integer(id)]);
        }
        for (events, operator) in [(&query.only, "IN"), (&query.except, "NOT IN")] {
            if !events.is_empty() {
                let marks = vec!["?"; events.len()].join(", ");
                all.add(&format!("r.event {operator} ({marks})"), events.iter().cloned().map(Value::Text));
            }
        }
        if let Some(email) = &query.email {
            let subjects = subjects_of(connection, email)?;
            let marks = vec!["?"; subjects.len()].join(", ");
            // An API key may have the identifier of a user as its name.
            all.add(&format!("r.subject IN ({marks}) AND r.subject IS NOT r.client_id"), subjects);
        }
        match query.object.as_deref().map(|object| (object, object.strip_suffix('*'))) {
            Some((_, Some(prefix))) => {
                // Texts with the prefix never sort after the prefix followed by the last of all characters.
                let end = format!("{prefix}{}", char::MAX);
                all.add(
                    "r.object >= ? AND r.object <= ?",
                    [Value::Text(prefix.to_owned()), Value::Text(end)],
                );
            }
            Some((object, None)) => all.add("r.object = ?", [Value::Text(object.to_owned())]),
            None => {}
        }
        for (sql, moment) in [("r.at >= ?", query.since), ("r.at < ?", query.until)] {
            if let Some(moment) = moment {
                all.add(sql, [Value::Integer(moment)]);
            }
        }
        Ok(all)
    }
}

/// Returns the statement that reads a page, and its values except for the last one, the limit.
pub(super) fn statement(
    connection: &Connection,
    query: &AuditQuery,
) -> Result<(String, Vec<Value>), SqliteError> {
    let mut conditions = Conditions::of(connection, query)?;
    if !query.page_token.is_empty() {
        let position = page::position(&query.page_token, &listing(query), &[Key::Number(0)])?;
        conditions.add("r.id < ?", position.into_iter().map(Value::from));
    }
    let Conditions { mut sql, values } = conditions;
    sql.insert(0, "TRUE".to_owned());
    Ok((format!("{SELECT} WHERE {} ORDER BY r.id DESC LIMIT ?", sql.join(" AND ")), values))
}

/// Returns the name of the listing, which all pages of a query have in common.
fn listing(query: &AuditQuery) -> String {
    page::listing(AuditQuery { limit: 0, page_token: String::new(), ..query.clone() })
}

fn list(
    connection: &Connection,
    query: &AuditQuery,
) -> Result<(Vec<StoredAuditRecord>, String), SqliteError> {
    let (sql, mut values) = statement(connection, query)?;
    // One more row than requested shows whether there is a next page.
    values.push(Value::Integer(i64::from(query.limit).saturating_add(1)));
    let records: Vec<_> = connection
        .prepare_cached(&sql)?
        .query_map(params_from_iter(values), record)?
        .collect::<Result<_, _>>()?;
    page::cut(records, query.limit, &listing(query), |last| vec![Key::Number(last.id)])
}

/// Removes a limited number of records from before `before`; returns their number.
fn clean_up(connection: &Connection, before: UnixTime) -> Result<usize, SqliteError> {
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
