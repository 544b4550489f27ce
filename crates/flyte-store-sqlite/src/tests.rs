//! Tests of SQLite's own behaviour: group commit, opening files, and killed processes.

mod audit;
mod contract;
mod killed;
mod outside_issuers;
mod policies;
mod scim;
mod users;

use std::{
    collections::BTreeMap,
    fs,
    os::unix::fs::PermissionsExt as _,
    sync::{Arc, mpsc},
};

use futures_util::future::{join, join_all};
use rusqlite::Connection;

use super::{SqliteStore, change, error::SqliteError};
use flyte_store::{Project, ProjectQuery, ProjectState, ProjectStore as _, StoreError, UserStore as _};

fn insert(connection: &Connection, id: &str, description: &str) -> Result<(), SqliteError> {
    let sql = "INSERT INTO projects VALUES (?1, ?1, ?2, '{}', 0, 0, 0)";
    Ok(change(connection, sql, [id, description]).map(drop)?)
}

async fn ids(store: &SqliteStore) -> Vec<String> {
    let query = ProjectQuery { limit: 1000, ..ProjectQuery::default() };
    let (projects, _) = store.list_projects(&query).await.unwrap();
    projects.into_iter().map(|project| project.id).collect()
}

/// Blocks the writer until the returned value is dropped. Operations that are queued in the meantime share a commit.
async fn hold(store: &Arc<SqliteStore>) -> mpsc::Sender<()> {
    let (release, released) = mpsc::channel();
    let (begun, has_begun) = tokio::sync::oneshot::channel();
    let store = Arc::clone(store);
    tokio::spawn(async move {
        let hold = move |_: &Connection| {
            begun.send(()).unwrap();
            let _ = released.recv();
            Ok(())
        };
        store.write(hold).await
    });
    has_begun.await.unwrap();
    release
}

/// A way in which one of the operations that share a commit can fail.
type Failing = fn(&Connection) -> Result<(), SqliteError>;

const FAILING: [Failing; 4] = [
    |connection| {
        insert(connection, "undone", "")?;
        panic!("a bug");
    },
    |connection| {
        insert(connection, "undone", "")?;
        Err(StoreError::InvalidPageToken.into())
    },
    |connection| {
        insert(connection, "undone", "")?;
        insert(connection, "undone", "")
    },
    // The user does not exist: the constraint fails here, not at the commit of all operations.
    |connection| {
        insert(connection, "undone", "")?;
        let sql = "INSERT INTO sessions VALUES (x'00', 'id', 'unknown', 0, 0)";
        Ok(change(connection, sql, []).map(drop)?)
    },
];

#[tokio::test]
async fn a_failing_or_panicking_operation_undoes_only_itself() {
    let directory = tempfile::tempdir().unwrap();
    for (n, mishap) in FAILING.into_iter().enumerate() {
        let store = SqliteStore::open(&directory.path().join(format!("{n}.db"))).unwrap();
        let store = Arc::new(store);
        let hold = hold(&store).await;
        let operations = (0..30).map(|at| {
            let store = Arc::clone(&store);
            async move {
                match at {
                    7 | 8 | 29 => store.write(mishap).await,
                    _ => store.write(move |connection| insert(connection, &format!("p{at:02}"), "")).await,
                }
            }
        });
        let (outcomes, ()) = join(join_all(operations), async { drop(hold) }).await;
        for (at, outcome) in outcomes.into_iter().enumerate() {
            assert_eq!(outcome.is_err(), [7, 8, 29].contains(&at), "mishap {n}, operation {at}: {outcome:?}");
        }
        let mut expected: Vec<_> = (0..30).map(|at| format!("p{at:02}")).collect();
        expected.retain(|id| !["p07", "p08", "p29"].contains(&id.as_str()));
        assert_eq!(ids(&store).await, expected, "mishap {n}");
    }
}

#[tokio::test]
async fn a_panic_of_a_reader_becomes_an_error() {
    let directory = tempfile::tempdir().unwrap();
    let store = SqliteStore::open(&directory.path().join("flyte.db")).unwrap();
    // More often than there are readers.
    for _ in 0..10 {
        let outcome = store.read(|_| -> Result<(), _> { panic!("a bug") }).await;
        assert!(outcome.unwrap_err().to_string().contains("a bug"));
    }
    assert!(!store.any_user().await.unwrap());
    let outcome = store.read(|connection| insert(connection, "p", "")).await;
    assert!(outcome.unwrap_err().to_string().contains("readonly"), "readers cannot write");
}

#[tokio::test]
async fn an_operation_without_a_caller_does_not_run() {
    let store = Arc::new(SqliteStore::in_memory().unwrap());
    let hold = hold(&store).await;
    let mut abandoned = Box::pin(store.write(|connection| insert(connection, "abandoned", "")));
    assert!(futures_util::poll!(&mut abandoned).is_pending());
    drop(abandoned);
    let kept = store.write(|connection| insert(connection, "kept", ""));
    join(kept, async { drop(hold) }).await.0.unwrap();
    assert_eq!(ids(&store).await, ["kept"]);
}

#[tokio::test]
async fn a_full_disk_fails_only_the_lost_writes() {
    let directory = tempfile::tempdir().unwrap();
    let store = Arc::new(SqliteStore::open(&directory.path().join("flyte.db")).unwrap());
    let limit = |connection: &Connection| {
        let pages: i64 = connection.pragma_query_value(None, "page_count", |row| row.get(0))?;
        connection.query_row(&format!("PRAGMA max_page_count = {}", pages + 8), [], |_| Ok(()))?;
        Ok(())
    };
    store.write(limit).await.unwrap();
    let hold = hold(&store).await;
    let operations = (0..22).map(|at| {
        let store = Arc::clone(&store);
        async move {
            let description = if at % 5 == 4 { "x".repeat(1 << 20) } else { String::new() };
            store.write(move |connection| insert(connection, &format!("p{at:02}"), &description)).await
        }
    });
    let (outcomes, ()) = join(join_all(operations), async { drop(hold) }).await;
    let answered: Vec<_> = outcomes.iter().enumerate().filter(|(_, outcome)| outcome.is_ok()).collect();
    let answered: Vec<_> = answered.into_iter().map(|(at, _)| format!("p{at:02}")).collect();
    assert_eq!(ids(&store).await, answered, "confirmed writes are stored, failed writes are not");
    assert!(answered.contains(&"p21".to_owned()), "the writes after the last failure are stored");
    assert!(outcomes.iter().skip(4).step_by(5).all(Result::is_err));
    store.write(|connection| insert(connection, "after", "")).await.unwrap();
}

#[tokio::test]
async fn the_last_connection_empties_the_log() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("flyte.db");
    let store = SqliteStore::open(&path).unwrap();
    store.write(|connection| insert(connection, "p", "")).await.unwrap();
    for entry in fs::read_dir(directory.path()).unwrap() {
        let entry = entry.unwrap();
        assert_eq!(entry.metadata().unwrap().permissions().mode() & 0o777, 0o600, "{entry:?}");
    }
    drop(store);
    assert_eq!(fs::read_dir(directory.path()).unwrap().count(), 1, "the file alone is a complete backup");
    let store = SqliteStore::open(&path).unwrap();
    let expected = Project {
        id: "p".to_owned(),
        name: "p".to_owned(),
        description: String::new(),
        labels: BTreeMap::new(),
        state: ProjectState::Active,
        created_at: 0,
        updated_at: 0,
    };
    assert_eq!(store.project_by_id("p").await.unwrap(), Some(expected));
}

#[test]
fn other_files_are_rejected_and_unchanged() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("flyte.db");
    drop(SqliteStore::open(&path).unwrap());
    Connection::open(&path).unwrap().pragma_update(None, "user_version", 99).unwrap();
    let error = SqliteStore::open(&path).unwrap_err().to_string();
    assert!(error.contains("schema version 99") && error.contains("newer flyte-server"), "{error}");
    let version: i32 =
        Connection::open(&path).unwrap().pragma_query_value(None, "user_version", |row| row.get(0)).unwrap();
    assert_eq!(version, 99);

    let path = directory.path().join("other.db");
    Connection::open(&path).unwrap().execute_batch("CREATE TABLE notes (text)").unwrap();
    let error = SqliteStore::open(&path).unwrap_err().to_string();
    assert!(error.contains("not one of flyte-server"), "{error}");

    let path = directory.path().join("text");
    fs::write(&path, "not a database, and longer than the header of one would be: ".repeat(20)).unwrap();
    let error = SqliteStore::open(&path).unwrap_err().to_string();
    assert!(error.contains("not a database"), "{error}");

    let error = SqliteStore::open(&directory.path().join("nowhere/flyte.db")).unwrap_err().to_string();
    assert!(error.contains("nowhere/flyte.db") && error.contains("No such file"), "{error}");
}
