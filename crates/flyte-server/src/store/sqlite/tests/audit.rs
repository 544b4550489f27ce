//! The audit log's triggers.

use rusqlite::Connection;

use super::{SqliteStore, change};
use crate::store::{AuditQuery, AuditRecord, AuditStore as _};

fn refused(connection: &Connection, sql: &str) -> String {
    change(connection, sql, []).unwrap_err().to_string()
}

#[tokio::test]
async fn a_record_cannot_be_changed_or_removed_by_sql() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("flyte.db");
    let store = SqliteStore::open(&path).unwrap();
    let record = AuditRecord {
        at: 1_000,
        event: "signed_in".to_owned(),
        subject: Some("ada".to_owned()),
        client_id: None,
        address: None,
        object: None,
        details: [].into(),
    };
    store.append_audit_records(&[record.clone(), record.clone()]).await.unwrap();
    store.delete_audit_records_before(1_000).await.unwrap();
    let connection = Connection::open(&path).unwrap();
    for sql in [
        "UPDATE audit_records SET subject = 'bob'",
        "UPDATE audit_records SET at = 0",
        "UPDATE OR REPLACE audit_records SET id = 2 WHERE id = 1",
        "INSERT OR REPLACE INTO audit_records VALUES (1, 0, 'x', NULL, NULL, NULL, NULL, '{}')",
    ] {
        assert!(refused(&connection, sql).contains("only ever added"), "{sql}");
    }
    for sql in ["DELETE FROM audit_records", "DELETE FROM audit_records WHERE id = 1"] {
        assert!(refused(&connection, sql).contains("are kept"), "{sql}");
    }
    let query = AuditQuery { limit: 10, ..AuditQuery::default() };
    let (records, _) = store.list_audit_records(&query).await.unwrap();
    assert!(records.iter().all(|stored| stored.record == record) && records.len() == 2, "{records:?}");
}
