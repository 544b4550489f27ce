//! Queries for runs and their actions.

use super::{run::*, *};
use crate::{
    Action, ActionId, ActionKind, ActionQuery, LabelCondition, Phase, RunQuery, RunSortKey, Span, StoreError,
};

pub async fn changes_are_read_by_version(store: Backend) {
    create(&store, "r1", AT).await;
    let names = |actions: &[Action]| actions.iter().map(|one| one.id.name.clone()).collect::<Vec<_>>();
    for name in ["c1", "c2"] {
        store.enqueue_action(&action("r1", name, "a0"), AT).await.unwrap();
    }
    let all = store.actions_since(&run_id("r1"), None, 0, 99).await.unwrap();
    assert_eq!(names(&all), ["a0", "c1", "c2"]);
    let children = store.actions_since(&run_id("r1"), Some("a0"), 0, 99).await.unwrap();
    assert_eq!(names(&children), ["c1", "c2"]);
    let seen = children.last().unwrap().version;
    assert!(store.actions_since(&run_id("r1"), Some("a0"), seen, 99).await.unwrap().is_empty());
    store.abort_action(&id("r1", "a0"), "", "id-ada", AT).await.unwrap();
    let first = store.actions_since(&run_id("r1"), Some("a0"), seen, 1).await.unwrap();
    assert_eq!(names(&first), ["c1"]);
    let rest = store.actions_since(&run_id("r1"), Some("a0"), first[0].version, 1).await.unwrap();
    assert_eq!(names(&rest), ["c2"]);
    assert_eq!(store.count_children(&id("r1", "a0")).await.unwrap(), [(Phase::Aborted, 2)]);
}

pub async fn runs_are_listed(store: Backend) {
    for (at, name) in ["r1", "r2", "r3", "r4"].into_iter().enumerate() {
        create(&store, name, AT + i64::try_from(at).unwrap()).await;
    }
    store.abort_action(&id("r2", "a0"), "", "id-ada", AT + 10).await.unwrap();
    let names = async |query: RunQuery| {
        let (runs, token) = store.list_runs(&query).await.unwrap();
        let names: Vec<_> = runs
            .iter()
            .map(|(run, root)| {
                assert_eq!(root.id, ActionId::root(run.id.clone()));
                run.id.name.clone()
            })
            .collect();
        (names.join(" "), token)
    };
    let all = RunQuery { limit: 9, ..RunQuery::default() };
    let given = |text: &str| Some(text.to_owned());
    let label = |value: Option<&str>| LabelCondition { key: "team".to_owned(), value: value.map(Into::into) };
    for (query, expected) in [
        (all.clone(), "r1 r2 r3 r4"),
        (RunQuery { descending: true, ..all.clone() }, "r4 r3 r2 r1"),
        (RunQuery { sort_key: RunSortKey::UpdatedAt, ..all.clone() }, "r1 r3 r4 r2"),
        (RunQuery { sort_key: RunSortKey::EndedAt, ..all.clone() }, "r2 r1 r3 r4"),
        (RunQuery { sort_key: RunSortKey::TaskName, descending: true, ..all.clone() }, "r4 r3 r2 r1"),
        (RunQuery { phases: vec![Phase::Aborted], ..all.clone() }, "r2"),
        (RunQuery { phases: vec![Phase::Aborted, Phase::Queued], ..all.clone() }, "r1 r2 r3 r4"),
        (RunQuery { phases_not: vec![Phase::Aborted], ..all.clone() }, "r1 r3 r4"),
        (RunQuery { project: given("q"), ..all.clone() }, ""),
        (RunQuery { domain: given("development"), ..all.clone() }, "r1 r2 r3 r4"),
        (RunQuery { task_name: given("task-r3"), ..all.clone() }, "r3"),
        (RunQuery { task_version: given("v2"), ..all.clone() }, ""),
        (RunQuery { created_by: given("id-bob"), ..all.clone() }, ""),
        (RunQuery { created_by: given("id-ada"), name: given("r4"), ..all.clone() }, "r4"),
        (RunQuery { created: Span { from: Some(AT + 1), to: Some(AT + 3) }, ..all.clone() }, "r2 r3"),
        (RunQuery { updated: Span { from: Some(AT + 10), to: None }, ..all.clone() }, "r2"),
        (RunQuery { labels: vec![label(Some("team-r3"))], ..all.clone() }, "r3"),
        (RunQuery { labels: vec![label(None)], ..all.clone() }, "r1 r2 r3 r4"),
        (RunQuery { labels: vec![label(None), label(Some("x"))], ..all.clone() }, ""),
        (RunQuery { paused_only: true, ..all.clone() }, ""),
    ] {
        assert_eq!(names(query.clone()).await, (expected.to_owned(), String::new()), "{query:?}");
    }
    let mut page = RunQuery { limit: 3, descending: true, ..RunQuery::default() };
    let (first, token) = names(page.clone()).await;
    assert_eq!(first, "r4 r3 r2");
    page.page_token = token;
    create(&store, "r5", AT + 20).await;
    assert_eq!(names(page.clone()).await, ("r1".to_owned(), String::new()));
    page.phases = vec![Phase::Queued];
    assert!(matches!(store.list_runs(&page).await, Err(StoreError::InvalidPageToken)));
}

pub async fn actions_are_listed(store: Backend) {
    create(&store, "r1", AT).await;
    create(&store, "r2", AT).await;
    for (name, parent) in [("c2", "a0"), ("c1", "a0"), ("d1", "c1")] {
        store.enqueue_action(&action("r1", name, parent), AT).await.unwrap();
    }
    store.abort_action(&id("r1", "c1"), "", "id-ada", AT + 1).await.unwrap();
    let names = async |query: ActionQuery| {
        let (actions, token) = store.list_actions(&run_id("r1"), &query).await.unwrap();
        (actions.iter().map(|one| one.id.name.as_str()).collect::<Vec<_>>().join(" "), token)
    };
    let all = ActionQuery { limit: 9, ..ActionQuery::default() };
    for (query, expected) in [
        (all.clone(), "a0 c2 c1 d1"),
        (ActionQuery { sort_key: RunSortKey::Name, ..all.clone() }, "a0 c1 c2 d1"),
        (ActionQuery { parent: Some("a0".to_owned()), ..all.clone() }, "c2 c1"),
        (ActionQuery { phases: vec![Phase::Aborted], ..all.clone() }, "c1 d1"),
        (ActionQuery { phases_not: vec![Phase::Aborted], descending: true, ..all.clone() }, "c2 a0"),
        (ActionQuery { kind: Some(ActionKind::Task), ..all.clone() }, "a0 c2 c1 d1"),
        (ActionQuery { kind: Some(ActionKind::Trace), ..all.clone() }, ""),
        (ActionQuery { name: Some("d1".to_owned()), ..all.clone() }, "d1"),
        (ActionQuery { task_name: Some("task-r2".to_owned()), ..all.clone() }, ""),
        (ActionQuery { updated: Span { from: Some(AT + 1), to: None }, ..all.clone() }, "c1 d1"),
    ] {
        assert_eq!(names(query.clone()).await, (expected.to_owned(), String::new()), "{query:?}");
    }
    let mut page = ActionQuery { limit: 3, ..ActionQuery::default() };
    let (first, token) = names(page.clone()).await;
    assert_eq!(first, "a0 c2 c1");
    page.page_token = token;
    assert_eq!(names(page).await.0, "d1");
}
