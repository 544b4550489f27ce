//! The audit log's triggers and indices, and the users in its records.

use rusqlite::Connection;

use super::{
    super::{audit::statement, connection},
    SqliteStore, change,
};
use flyte_store::{AuditQuery, AuditRecord, AuditStore as _, StoredAuditRecord, User, UserStore as _};

fn refused(connection: &Connection, sql: &str) -> String {
    change(connection, sql, []).unwrap_err().to_string()
}

#[tokio::test]
async fn sql_cannot_change_or_remove_a_record() {
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
        "INSERT OR REPLACE INTO audit_records (id, at, event, details) VALUES (1, 0, 'x', '{}')",
        "UPDATE audit_records SET email = 'bob@example.com'",
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

fn by(subject: &str) -> AuditRecord {
    AuditRecord {
        at: 1_000,
        event: "signed_in".to_owned(),
        subject: Some(subject.to_owned()),
        client_id: None,
        address: None,
        object: None,
        details: [].into(),
    }
}

fn ada() -> User {
    User {
        id: "id-ada".to_owned(),
        email: "\u{c4}da@example.com".to_owned(),
        name: "Ada".to_owned(),
        password_hash: None,
        admin: false,
        created_at: 0,
        disabled_at: None,
    }
}

async fn names(store: &SqliteStore, email: Option<&str>) -> Vec<(Option<String>, Option<String>)> {
    let query = AuditQuery { limit: 10, email: email.map(str::to_owned), ..AuditQuery::default() };
    let (records, _) = store.list_audit_records(&query).await.unwrap();
    records.into_iter().map(|StoredAuditRecord { email, name, .. }| (email, name)).collect()
}

#[tokio::test]
async fn records_have_the_current_address_and_name_deleted_accounts() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("flyte.db");
    let store = SqliteStore::open(&path).unwrap();
    store.create_user(&ada()).await.unwrap();
    store.append_audit_records(&[by("id-ada")]).await.unwrap();
    let named = |email: &str, name: &str| vec![(Some(email.to_owned()), Some(name.to_owned()))];

    let connection = Connection::open(&path).unwrap();
    let rename = "UPDATE users SET email = 'lovelace@example.com', email_key = 'lovelace@example.com', name = 'Ada L.'";
    change(&connection, rename, []).unwrap();
    // By the address at that time, in any case, and by the current one.
    for email in [None, Some("\u{e4}DA@example.com"), Some("lovelace@example.com")] {
        assert_eq!(names(&store, email).await, named("lovelace@example.com", "Ada L."), "{email:?}");
    }
    change(&connection, "DELETE FROM users", []).unwrap();
    for email in [None, Some("\u{e4}da@example.com")] {
        assert_eq!(names(&store, email).await, named("\u{c4}da@example.com", "Ada"), "{email:?}");
    }
    assert_eq!(names(&store, Some("lovelace@example.com")).await, []);
}

/// A database of an earlier release keeps its records, and queries find them.
#[tokio::test]
async fn records_of_earlier_releases_are_found() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("flyte.db");
    let connection = Connection::open(&path).unwrap();
    for migration in &connection::MIGRATIONS[..14] {
        connection.execute_batch(migration).unwrap();
    }
    connection.pragma_update(None, "application_id", connection::APPLICATION_ID).unwrap();
    connection.pragma_update(None, "user_version", 14).unwrap();
    connection
        .execute_batch(
            "INSERT INTO users (id, email, email_key, name, admin, created_at)
                 VALUES ('id-ada', 'ada@example.com', 'ada@example.com', 'Ada', 0, 0);
             INSERT INTO audit_records (at, event, subject, object, details) VALUES
                 (1, 'run_aborted', 'id-ada', 'p/development/r', '{}'),
                 (2, 'project_changed', 'id-ada', 'p', '{}'),
                 (3, 'call_denied', 'id-ada', '/a.B/C', '{}')",
        )
        .unwrap();
    drop(connection);
    let store = SqliteStore::open(&path).unwrap();
    assert_eq!(names(&store, Some("ada@example.com")).await.len(), 3);
    let query = AuditQuery { limit: 10, project: Some("p".to_owned()), ..AuditQuery::default() };
    assert_eq!(store.list_audit_records(&query).await.unwrap().0.len(), 2);
}

#[tokio::test]
async fn each_condition_has_a_sorted_index() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("flyte.db");
    let store = SqliteStore::open(&path).unwrap();
    store.create_user(&ada()).await.unwrap();
    let connection = Connection::open(&path).unwrap();
    let text = |text: &str| Some(text.to_owned());
    let any = AuditQuery::default;
    for (query, index) in [
        (AuditQuery { event: text("signed_in"), ..any() }, "audit_records_event"),
        (AuditQuery { subject: text("x"), ..any() }, "audit_records_subject"),
        (AuditQuery { email: text("\u{e4}da@example.com"), ..any() }, "audit_records_subject"),
        (AuditQuery { object: text("x"), ..any() }, "audit_records_object"),
        (AuditQuery { project: text("x"), ..any() }, "audit_records_project"),
        (AuditQuery { address: text("x"), ..any() }, "audit_records_address"),
    ] {
        let (sql, mut values) = statement(&connection, &query).unwrap();
        values.push(100.into());
        let mut plan = connection.prepare(&format!("EXPLAIN QUERY PLAN {sql}")).unwrap();
        let steps =
            plan.query_map(rusqlite::params_from_iter(values), |row| row.get::<_, String>(3)).unwrap();
        let steps: Vec<_> = steps.map(Result::unwrap).collect();
        assert!(steps[0].contains(&format!("SEARCH r USING INDEX {index} ")), "{query:?}: {steps:#?}");
        assert!(!steps.iter().any(|step| step.contains("TEMP B-TREE")), "{query:?}: {steps:#?}");
    }
}
