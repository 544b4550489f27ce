//! How lists of users are read.

use rusqlite::{Connection, params_from_iter};

use crate::{SqliteStore, user::search::statement};
use flyte_store::UserQuery;

#[tokio::test]
async fn lists_of_users_follow_their_index() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("flyte.db");
    drop(SqliteStore::open(&path).unwrap());
    let connection = Connection::open(&path).unwrap();
    let all = UserQuery { limit: 50, ..UserQuery::default() };
    for query in [
        UserQuery { text: "ada".to_owned(), ..all.clone() },
        UserQuery { enabled: Some(false), ..all.clone() },
        all,
    ] {
        let (sql, values) = statement(&query).unwrap();
        let mut plan = connection.prepare(&format!("EXPLAIN QUERY PLAN {sql}")).unwrap();
        let steps = plan.query_map(params_from_iter(values), |row| row.get::<_, String>(3)).unwrap();
        let steps: Vec<_> = steps.collect::<Result<_, _>>().unwrap();
        // A page is read in the order of the addresses and ends early: nothing sorts all accounts.
        assert!(steps.iter().all(|step| !step.contains("FOR ORDER BY")), "{query:?}: {steps:#?}");
        assert!(steps.iter().any(|step| step.contains("users USING INDEX")), "{query:?}: {steps:#?}");
    }
}
