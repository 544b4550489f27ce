//! What the migration to policies leaves accounts of earlier releases.

use rusqlite::Connection;

use crate::{SqliteStore, connection};
use flyte_model::{Limit, Role};
use flyte_policy::{PolicySet, Subject};
use flyte_store::{PolicyStore as _, UserStore as _};

#[tokio::test]
async fn accounts_of_earlier_releases_keep_their_rights() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("flyte.db");
    let database = Connection::open(&path).unwrap();
    for migration in &connection::MIGRATIONS[..16] {
        database.execute_batch(migration).unwrap();
    }
    database.pragma_update(None, "application_id", connection::APPLICATION_ID).unwrap();
    database.pragma_update(None, "user_version", 16).unwrap();
    database
        .execute_batch(
            "INSERT INTO users (id, email, email_key, name, admin, created_at, disabled_at) VALUES
                 ('root', 'root@example.com', 'root@example.com', 'Root', 1, 5, NULL),
                 ('ada', 'ada@example.com', 'ada@example.com', 'Ada', 0, 6, NULL),
                 ('off', 'off@example.com', 'off@example.com', 'Off', 1, 7, 8);
             INSERT INTO sessions VALUES (x'00', 'session', 'ada', 9, 99)",
        )
        .unwrap();
    drop(database);
    let store = SqliteStore::open(&path).unwrap();
    let set = PolicySet::new(store.policy_rows().await.unwrap());
    let role = |id: &str| set.grants(&Subject::user(id)).role_over(&Limit::default());
    assert_eq!(
        ["root", "ada", "off"].map(role),
        [Some(Role::Admin), Some(Role::Contributor), Some(Role::Admin)]
    );
    let users = store.users().await.unwrap();
    let users: Vec<_> = users.into_iter().map(|user| (user.id, user.admin, user.created_at)).collect();
    let expected = [("ada", false, 6), ("off", true, 7), ("root", true, 5)];
    assert_eq!(users, expected.map(|(id, admin, at)| (id.to_owned(), admin, at)));
    let sessions: i64 = Connection::open(&path)
        .unwrap()
        .query_row("SELECT count(*) FROM sessions", [], |row| row.get(0))
        .unwrap();
    assert_eq!(sessions, 1, "changing the table of accounts keeps their sessions");
}
