//! What the migration to issuers leaves of the groups of sections.

use rusqlite::Connection;

use crate::{SqliteStore, connection};
use flyte_store::{GroupOrigin, GroupStore as _, OutsideIdentityStore as _, PolicyStore as _};

#[tokio::test]
async fn groups_of_sections_become_groups_of_issuers() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("flyte.db");
    let database = Connection::open(&path).unwrap();
    for migration in &connection::MIGRATIONS[..18] {
        database.execute_batch(migration).unwrap();
    }
    database.pragma_update(None, "application_id", connection::APPLICATION_ID).unwrap();
    database.pragma_update(None, "user_version", 18).unwrap();
    database
        .execute_batch(
            "INSERT INTO users (id, email, email_key, name, created_at) VALUES
                 ('ada', 'a@b.c', 'a@b.c', '', 1), ('bob', 'b@b.c', 'b@b.c', '', 1), ('eve', 'e@b.c', 'e@b.c', '', 1);
             -- `moved` has been pointed at another issuer; `corp` and `again` have the same one.
             INSERT INTO outside_identities (issuer, subject, provider, user_id, linked_at) VALUES
                 ('https://a', '1', 'corp', 'ada', 1), ('https://a', '2', 'again', 'bob', 1),
                 ('https://old', '1', 'moved', 'ada', 1), ('https://new', '1', 'moved', 'eve', 2);
             INSERT INTO groups VALUES
                 ('1', 'ml', 'ml', '', 'corp', 'g', 1), ('2', 'ml', 'ml', '', 'again', 'g', 1),
                 ('3', 'old', 'old', '', 'moved', 'old', 1), ('4', 'both', 'both', '', 'moved', 'both', 1),
                 ('5', 'empty', 'empty', '', 'corp', 'empty', 1), ('6', 'here', 'here', '', NULL, NULL, 1),
                 ('7', 'none', 'none', '', 'unknown', 'none', 1);
             INSERT INTO group_members VALUES
                 ('1', 'ada'), ('2', 'bob'), ('3', 'ada'), ('4', 'ada'), ('4', 'eve'), ('6', 'eve'), ('7', 'eve');
             INSERT INTO bindings VALUES (1, '1', 'viewer', '', '', 1), (1, '2', 'contributor', '', '', 1),
                 (1, '4', 'admin', '', '', 1);
             INSERT INTO email_proofs VALUES ('ada', 'a@b.c', 1)",
        )
        .unwrap();
    drop(database);
    let store = SqliteStore::open(&path).unwrap();
    let id = async |provider: &str, external_id: &str| {
        let origin = GroupOrigin { provider: provider.to_owned(), external_id: external_id.to_owned() };
        store.group_by_origin(&origin).await.unwrap().map(|group| group.id)
    };
    let groups = async |user: &str| {
        let groups = store.groups_of_user(user).await.unwrap();
        groups.into_iter().map(|group| group.id).collect::<Vec<_>>()
    };
    assert_eq!(id("https://a", "g").await.as_deref(), Some("1"), "two sections, one issuer, one group");
    assert_eq!(id("https://a", "empty").await.as_deref(), Some("5"));
    assert_eq!(id("https://old", "old").await.as_deref(), Some("3"));
    assert_eq!(groups("ada").await, ["1", "3"]);
    assert_eq!(groups("bob").await, ["1"]);
    // It is not known whose group `both` is, so no user has its roles.
    assert_eq!(id("moved", "both").await.as_deref(), Some("4"));
    assert_eq!(id("unknown", "none").await.as_deref(), Some("7"));
    assert_eq!(groups("eve").await, ["6"], "what was made here stays");
    let rows = store.policy_rows().await.unwrap();
    let mut bound: Vec<_> = rows
        .bindings
        .iter()
        .map(|binding| (format!("{:?}", binding.subject), binding.role.clone()))
        .collect();
    bound.sort();
    assert_eq!(bound.len(), 3, "{bound:?}");
    assert_eq!(store.email_proof("ada").await.unwrap(), None, "it is not known who gave it");
}
