//! Projects and their pages.

use std::collections::BTreeMap;

use super::{Backend, NOW};
use crate::{Project, ProjectQuery, ProjectSortKey, ProjectState, StoreError};

fn project(n: i64) -> Project {
    Project {
        id: format!("p{n:02}"),
        // Names and times repeat, so the identifier decides the order.
        name: format!("Name {}", n % 3),
        description: "what it is for".to_owned(),
        labels: BTreeMap::from([("team".to_owned(), "\u{1f980}".to_owned())]),
        state: if n % 4 == 3 { ProjectState::Archived } else { ProjectState::Active },
        created_at: NOW + n % 5,
        updated_at: NOW - n,
    }
}

async fn create(store: &Backend, numbers: impl IntoIterator<Item = i64>) {
    for n in numbers {
        store.create_project(&project(n)).await.unwrap();
    }
}

/// Returns the identifiers on all pages.
async fn all_pages(store: &Backend, mut query: ProjectQuery) -> Vec<String> {
    let mut ids = Vec::new();
    loop {
        let (page, token) = store.list_projects(&query).await.unwrap();
        assert!(page.len() <= query.limit as usize);
        ids.extend(page.into_iter().map(|project| project.id));
        if token.is_empty() {
            return ids;
        }
        query.page_token = token;
    }
}

pub async fn a_project_is_read_back_unchanged(store: Backend) {
    create(&store, [1]).await;
    assert_eq!(store.project_by_id("p01").await.unwrap(), Some(project(1)));
    assert_eq!(store.project_by_id("P01").await.unwrap(), None);
    let error = store.create_project(&project(1)).await.unwrap_err();
    assert!(matches!(error, StoreError::AlreadyExists { kind: "project", .. }), "{error}");

    let changed = Project {
        name: "'; DROP TABLE projects; --".to_owned(),
        labels: BTreeMap::new(),
        state: ProjectState::SystemArchived,
        created_at: 0,
        updated_at: NOW + 99,
        ..project(1)
    };
    assert!(store.update_project(&changed).await.unwrap());
    let expected = Project { created_at: project(1).created_at, ..changed };
    assert_eq!(store.project_by_id("p01").await.unwrap(), Some(expected));
    assert!(!store.update_project(&project(2)).await.unwrap());
}

pub async fn pages_list_every_project_once_in_every_order(store: Backend) {
    create(&store, 0..23).await;
    for sort_key in
        [ProjectSortKey::CreatedAt, ProjectSortKey::UpdatedAt, ProjectSortKey::Id, ProjectSortKey::Name]
    {
        let mut expected: Vec<_> = (0..23).map(project).collect();
        expected.sort_by_key(|project| {
            let (number, text) = match sort_key {
                ProjectSortKey::CreatedAt => (project.created_at, String::new()),
                ProjectSortKey::UpdatedAt => (project.updated_at, String::new()),
                ProjectSortKey::Id => (0, project.id.clone()),
                ProjectSortKey::Name => (0, project.name.clone()),
            };
            (number, text, project.id.clone())
        });
        for descending in [false, true] {
            let ids: Vec<_> = expected.iter().map(|project| project.id.clone()).collect();
            for limit in [1, 5, 22, 23, 24] {
                let query = ProjectQuery { sort_key, descending, limit, ..ProjectQuery::default() };
                assert_eq!(all_pages(&store, query).await, ids, "{sort_key:?} {descending} {limit}");
            }
            expected.reverse();
        }
    }
}

pub async fn pages_are_stable_while_projects_come_and_go(store: Backend) {
    create(&store, [10, 20, 30, 40]).await;
    let mut query = ProjectQuery { sort_key: ProjectSortKey::Id, limit: 2, ..ProjectQuery::default() };
    let (first, token) = store.list_projects(&query).await.unwrap();
    assert_eq!(first.iter().map(|project| project.id.as_str()).collect::<Vec<_>>(), ["p10", "p20"]);
    // One before the position, one after it.
    create(&store, [5, 25]).await;
    query.page_token = token;
    assert_eq!(all_pages(&store, query).await, ["p25", "p30", "p40"]);
}

pub async fn a_page_token_of_another_listing_is_rejected(store: Backend) {
    create(&store, 0..6).await;
    let query = ProjectQuery { limit: 2, ..ProjectQuery::default() };
    let (_, token) = store.list_projects(&query).await.unwrap();
    assert!(!token.is_empty());
    let with_token = ProjectQuery { page_token: token.clone(), ..query };
    assert!(store.list_projects(&ProjectQuery { limit: 3, ..with_token.clone() }).await.is_ok());
    for other in [
        ProjectQuery { descending: true, ..with_token.clone() },
        ProjectQuery { sort_key: ProjectSortKey::Name, ..with_token.clone() },
        ProjectQuery { sort_key: ProjectSortKey::UpdatedAt, ..with_token.clone() },
        ProjectQuery { states: vec![ProjectState::Active], ..with_token.clone() },
        ProjectQuery { id: Some("p01".to_owned()), ..with_token.clone() },
        ProjectQuery { name: Some("Name 1".to_owned()), ..with_token.clone() },
        ProjectQuery { page_token: "nonsense".to_owned(), ..with_token.clone() },
        ProjectQuery { page_token: token[1..].to_owned(), ..with_token.clone() },
        ProjectQuery { page_token: format!("{token}AAAA"), ..with_token },
    ] {
        let error = store.list_projects(&other).await.unwrap_err();
        assert!(matches!(error, StoreError::InvalidPageToken), "{other:?}: {error}");
    }
}

pub async fn conditions_hold_together(store: Backend) {
    create(&store, 0..12).await;
    let by = |states: &[ProjectState], id: Option<&str>, name: Option<&str>| ProjectQuery {
        states: states.to_vec(),
        id: id.map(str::to_owned),
        name: name.map(str::to_owned),
        sort_key: ProjectSortKey::Id,
        limit: 2,
        ..ProjectQuery::default()
    };
    use ProjectState::{Active, Archived, SystemGenerated};
    assert_eq!(all_pages(&store, by(&[Archived], None, None)).await, ["p03", "p07", "p11"]);
    assert_eq!(all_pages(&store, by(&[Active, Archived], None, None)).await.len(), 12);
    assert!(all_pages(&store, by(&[SystemGenerated], None, None)).await.is_empty());
    assert_eq!(all_pages(&store, by(&[], Some("p05"), None)).await, ["p05"]);
    assert_eq!(all_pages(&store, by(&[], None, Some("Name 2"))).await, ["p02", "p05", "p08", "p11"]);
    assert_eq!(all_pages(&store, by(&[Archived], None, Some("Name 2"))).await, ["p11"]);
    assert!(all_pages(&store, by(&[Archived], Some("p05"), None)).await.is_empty());
}
