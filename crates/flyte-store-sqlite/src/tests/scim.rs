//! Users of a directory, at 100,000 of them.

use rusqlite::Connection;

use crate::SqliteStore;
use flyte_store::{ScimCondition, ScimField, ScimOperator, ScimQuery, ScimUserStore as _, ScimValue};

/// The number of users of the client `okta`. Another client has as many.
const USERS: u64 = 100_000;

fn fill(path: &std::path::Path) {
    let connection = Connection::open(path).unwrap();
    for client in ["okta", "entra"] {
        connection
            .execute_batch(&format!(
                "BEGIN;
                 CREATE TEMP TABLE n AS
                     WITH RECURSIVE n (n) AS (SELECT 0 UNION ALL SELECT n + 1 FROM n WHERE n < {USERS} - 1)
                     SELECT n, '{client}-' || n AS id FROM n;
                 INSERT INTO users (id, email, email_key, name, created_at, disabled_at)
                     SELECT id, id || '@example.com', id || '@example.com', 'U', n, CASE n % 1000 WHEN 7 THEN 1 END FROM n;
                 INSERT INTO scim_users (user_id, client, user_name, user_name_key, external_id, display_key, adopted,
                         deactivated, attributes, version, created_at, updated_at)
                     SELECT id, '{client}', id, id, 'ext-' || n, 'u' || n, 0, 0, json_object('title', 'T' || n), 1, n, n
                     FROM n;
                 INSERT INTO scim_emails SELECT id || '@example.com', id FROM n;
                 DROP TABLE n;
                 COMMIT"
            ))
            .unwrap();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hundred_thousand_users_are_listed_and_found() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("flyte.db");
    let store = SqliteStore::open(&path).unwrap();
    fill(&path);
    let test =
        |field, operator, text: &str| ScimCondition::Test(field, operator, ScimValue::Text(text.to_owned()));
    let list = async |condition: Option<ScimCondition>, skip: u64| {
        let query =
            ScimQuery { client: "okta".to_owned(), condition, skip, limit: 100, ..ScimQuery::default() };
        let (users, total) = store.list_scim_users(&query, None).await.unwrap();
        (users.first().map(|user| user.id.clone()).unwrap_or_default(), users.len(), total)
    };
    assert_eq!(list(None, 0).await, ("okta-0".to_owned(), 100, USERS));
    assert_eq!(list(None, USERS - 50).await, (format!("okta-{}", USERS - 50), 50, USERS));
    use ScimField::{Active, DisplayName, Emails, ExternalId, Id, UserName};
    use ScimOperator::{Equal, StartsWith};
    for condition in [
        test(UserName, Equal, "OKTA-77777"),
        test(ExternalId, Equal, "ext-77777"),
        test(Id, Equal, "okta-77777"),
        test(Emails, Equal, "Okta-77777@example.com"),
        test(DisplayName, Equal, "U77777"),
        test(UserName, StartsWith, "okta-77777"),
    ] {
        assert_eq!(list(Some(condition), 0).await, ("okta-77777".to_owned(), 1, 1));
    }
    let inactive = ScimCondition::Test(Active, Equal, ScimValue::Flag(false));
    assert_eq!(list(Some(inactive), 50).await, ("okta-50007".to_owned(), 50, 100));
    // What has no column is decided while one statement runs.
    let query = ScimQuery { client: "okta".to_owned(), limit: 2, ..ScimQuery::default() };
    let filter = std::sync::Arc::new(|user: &flyte_store::ScimUser| user.attributes.ends_with("\"T99999\"}"));
    let (users, total) = store.list_scim_users(&query, Some(filter)).await.unwrap();
    assert_eq!((users[0].id.as_str(), total), ("okta-99999", 1));
}

#[test]
fn searches_use_an_index() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("flyte.db");
    drop(SqliteStore::open(&path).unwrap());
    let connection = Connection::open(&path).unwrap();
    let by_rows = ScimCondition::Test(ScimField::Emails, ScimOperator::Equal, ScimValue::Flag(true));
    for (condition, index) in [
        ("s.user_name_key = 'x'", "scim_users_name"),
        ("(s.user_name_key >= 'x' AND s.user_name_key < 'x' || char(1114111))", "scim_users_name"),
        ("s.external_id = 'x'", "scim_users_external"),
        ("s.user_id = 'x'", "sqlite_autoindex_scim_users_1"),
        ("s.display_key = 'x'", "scim_users_display"),
        (
            "s.user_id IN (SELECT user_id FROM scim_emails WHERE email_key = 'x')",
            "sqlite_autoindex_scim_users_1",
        ),
        ("TRUE", "scim_users_client"),
    ] {
        let of_client = crate::scim::of_client(condition.contains("scim_emails").then_some(&by_rows));
        let of_client = of_client.replace('?', "'okta'");
        let sql = format!(
            "EXPLAIN QUERY PLAN SELECT 1 FROM scim_users s JOIN users u ON u.id = s.user_id
             WHERE {of_client} AND {condition} ORDER BY s.pk LIMIT 1"
        );
        let mut statement = connection.prepare(&sql).unwrap();
        let steps = statement.query_map([], |row| row.get::<_, String>(3)).unwrap();
        let plan: Vec<_> = steps.map(Result::unwrap).collect();
        assert!(plan.iter().any(|step| step.contains(index)), "{condition} {plan:?}");
    }
}
