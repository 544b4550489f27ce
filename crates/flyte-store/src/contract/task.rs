//! Tasks, their versions and their pages.

use super::{Backend, NOW, hash};
use crate::{
    Condition, Deployed, NewTask, NewTrigger, StoreError, Task, TaskField, TaskId, TaskQuery,
    TaskVersionQuery, Test, TriggerId, TriggersSummary,
};
use flyte_model::{Actor, PrincipalKind};

pub(super) fn ada() -> Actor {
    Actor { subject: "id-ada".to_owned(), kind: PrincipalKind::Person }
}

pub(super) fn task(name: &str, version: &str) -> NewTask {
    let (environment, short_name) = name.split_once('.').unwrap_or(("", name));
    NewTask {
        task: Task {
            id: TaskId {
                project: "p".to_owned(),
                domain: "d".to_owned(),
                name: name.to_owned(),
                version: version.to_owned(),
            },
            short_name: short_name.to_owned(),
            environment: environment.to_owned(),
            short_description: "\u{1f980}".to_owned(),
            entrypoint: name.ends_with("main"),
            deployed_by: ada(),
            deployed_at: NOW,
        },
        digest: hash(&format!("{name} {version}")),
        spec: version.as_bytes().to_vec(),
    }
}

pub(super) fn trigger(task: &NewTask, name: &str, active: bool) -> NewTrigger {
    let TaskId { project, domain, name: task_name, version } = task.task.id.clone();
    NewTrigger {
        id: TriggerId { project, domain, task: task_name, name: name.to_owned() },
        task_version: version,
        active,
        spec: b"spec".to_vec(),
        automation: name.as_bytes().to_vec(),
        due_at: active.then_some(NOW + 60),
        by: ada(),
        at: NOW,
    }
}

async fn deploy(store: &Backend, name: &str, version: &str) {
    assert_eq!(store.deploy_task(&task(name, version), &[]).await.unwrap(), Deployed::New);
}

fn query() -> TaskQuery {
    TaskQuery {
        project: Some("p".to_owned()),
        domain: Some("d".to_owned()),
        limit: 2,
        ..TaskQuery::default()
    }
}

/// Returns names and versions on all pages.
async fn all_pages(store: &Backend, mut query: TaskQuery) -> Vec<String> {
    let mut found = Vec::new();
    loop {
        let (page, token) = store.list_tasks(&query).await.unwrap();
        assert!(page.len() <= query.limit as usize);
        found.extend(page.into_iter().map(|task| format!("{}:{}", task.task.id.name, task.task.id.version)));
        if token.is_empty() {
            return found;
        }
        query.page_token = token;
    }
}

pub async fn a_version_never_changes(store: Backend) {
    deploy(&store, "e.f", "v1").await;
    let there = task("e.f", "v1");
    let found = store.task_by_id(&there.task.id).await.unwrap().unwrap();
    assert_eq!((&found.task, &found.spec), (&there.task, &there.spec));
    assert_eq!(found.triggers, TriggersSummary::default());

    let again = NewTask { task: Task { deployed_at: NOW + 9, ..there.task.clone() }, ..there.clone() };
    assert_eq!(store.deploy_task(&again, &[]).await.unwrap(), Deployed::Same);
    let other = NewTask { digest: hash("other"), spec: b"other".to_vec(), ..again };
    let with = [trigger(&other, "t", true)];
    assert_eq!(store.deploy_task(&other, &with).await.unwrap(), Deployed::Different);
    assert_eq!(store.task_by_id(&there.task.id).await.unwrap(), Some(found));
    for missing in ["v2", "V1", ""] {
        let id = TaskId { version: missing.to_owned(), ..there.task.id.clone() };
        assert_eq!(store.task_by_id(&id).await.unwrap(), None);
    }
}

pub async fn the_latest_version_is_the_one_deployed_last(store: Backend) {
    for version in ["v2", "v10", "v1"] {
        deploy(&store, "e.f", version).await;
    }
    // The same version again, from a client that got no response.
    assert_eq!(store.deploy_task(&task("e.f", "v2"), &[]).await.unwrap(), Deployed::Same);
    let latest = store.latest_task("p", "d", "e.f").await.unwrap().unwrap();
    assert_eq!((latest.task.id.version.as_str(), latest.spec.as_slice()), ("v1", b"v1".as_slice()));
    assert_eq!(store.latest_task("p", "d2", "e.f").await.unwrap(), None);
    assert_eq!(all_pages(&store, query()).await, ["e.f:v1"]);
}

pub async fn pages_list_every_task_once_in_every_order(store: Backend) {
    for name in ["e.c", "e.a", "f.d", "e.b", "f.e"] {
        deploy(&store, name, "v1").await;
    }
    deploy(&store, "e.a", "v2").await;
    let mut elsewhere = task("e.x", "v1");
    elsewhere.task.id.domain = "d2".to_owned();
    store.deploy_task(&elsewhere, &[]).await.unwrap();
    for (by_name, expected) in [
        (false, ["e.c:v1", "f.d:v1", "e.b:v1", "f.e:v1", "e.a:v2"]),
        (true, ["e.a:v2", "e.b:v1", "e.c:v1", "f.d:v1", "f.e:v1"]),
    ] {
        for limit in [1, 2, 4, 5, 6] {
            let asked = TaskQuery { by_name, limit, ..query() };
            assert_eq!(all_pages(&store, asked.clone()).await, expected, "{asked:?}");
            let mut reversed = all_pages(&store, TaskQuery { descending: true, ..asked }).await;
            reversed.reverse();
            assert_eq!(reversed, expected);
        }
    }
    let everywhere = TaskQuery { project: None, domain: None, ..query() };
    assert_eq!(all_pages(&store, everywhere.clone()).await.len(), 6);
    assert_eq!(store.count_tasks(&everywhere).await.unwrap(), 6);
    assert_eq!(store.count_tasks(&query()).await.unwrap(), 5);
}

pub async fn a_page_token_of_another_listing_is_rejected(store: Backend) {
    for name in ["a", "b", "c"] {
        deploy(&store, name, "v1").await;
    }
    let (_, token) = store.list_tasks(&query()).await.unwrap();
    let with_token = TaskQuery { page_token: token.clone(), ..query() };
    assert!(store.list_tasks(&TaskQuery { limit: 7, ..with_token.clone() }).await.is_ok());
    for other in [
        TaskQuery { descending: true, ..with_token.clone() },
        TaskQuery { by_name: true, ..with_token.clone() },
        TaskQuery { domain: None, ..with_token.clone() },
        TaskQuery { entrypoint: Some(true), ..with_token.clone() },
        TaskQuery { page_token: "nonsense".to_owned(), ..with_token.clone() },
        TaskQuery { page_token: token[1..].to_owned(), ..with_token.clone() },
        TaskQuery { page_token: format!("{token}AAAA"), ..with_token },
    ] {
        let error = store.list_tasks(&other).await.unwrap_err();
        assert!(matches!(error, StoreError::InvalidPageToken), "{other:?}: {error}");
    }
}

pub async fn conditions_hold_together(store: Backend) {
    for (name, version) in [("e.main", "v1"), ("e.part", "v1"), ("f.main", "v2"), ("F.other", "v3")] {
        let mut new = task(name, version);
        new.task.deployed_at = NOW + if version == "v3" { 10 } else { 0 };
        store.deploy_task(&new, &[]).await.unwrap();
    }
    let text = str::to_owned;
    use TaskField::{DeployedAt, DeployedBy, Environment, Name, ShortName, Version};
    for (field, test, expected) in [
        (Name, Test::OneOf(vec![text("e.main")]), "e.main:v1"),
        (Name, Test::OneOf(vec![text("e.main"), text("f.main")]), "e.main:v1 f.main:v2"),
        (Name, Test::Contains(text("f.")), "f.main:v2"),
        (Name, Test::Contains(text("%")), ""),
        (Name, Test::ContainsIgnoringCase(text("f.")), "f.main:v2 F.other:v3"),
        (Name, Test::EndsWith(text("main")), "e.main:v1 f.main:v2"),
        (Name, Test::EndsWith(text("longer than any of them")), ""),
        (ShortName, Test::OneOf(vec![text("part")]), "e.part:v1"),
        (Environment, Test::OneOf(vec![text("e")]), "e.main:v1 e.part:v1"),
        (Version, Test::OneOf(vec![text("v3")]), "F.other:v3"),
        (DeployedBy, Test::OneOf(vec![text("id-ada")]), "e.main:v1 e.part:v1 f.main:v2 F.other:v3"),
        (DeployedBy, Test::OneOf(vec![text("id-bob")]), ""),
        (DeployedAt, Test::AtLeast(NOW + 10), "F.other:v3"),
        (DeployedAt, Test::MoreThan(NOW + 10), ""),
    ] {
        let by = |negated| TaskQuery {
            conditions: vec![Condition { field, test: test.clone(), negated }],
            ..query()
        };
        assert_eq!(all_pages(&store, by(false)).await.join(" "), expected, "{test:?}");
        let others = all_pages(&store, by(true)).await.len();
        assert_eq!(others + expected.split_ascii_whitespace().count(), 4, "{test:?}");
        assert_eq!(store.count_tasks(&by(true)).await.unwrap() as usize, others);
    }
    let both = TaskQuery {
        conditions: vec![Condition {
            field: Environment,
            test: Test::OneOf(vec![text("e")]),
            negated: false,
        }],
        entrypoint: Some(true),
        ..query()
    };
    assert_eq!(all_pages(&store, both.clone()).await, ["e.main:v1"]);
    assert_eq!(store.count_tasks(&both).await.unwrap(), 1);
}

pub async fn versions_are_listed_in_the_order_of_deployment(store: Backend) {
    for version in ["v3", "v1", "v2"] {
        deploy(&store, "e.f", version).await;
        deploy(&store, "e.g", version).await;
    }
    for (descending, expected) in [(false, ["v3", "v1", "v2"]), (true, ["v2", "v1", "v3"])] {
        let mut query = TaskVersionQuery {
            project: "p".to_owned(),
            domain: "d".to_owned(),
            name: "e.f".to_owned(),
            descending,
            limit: 2,
            ..TaskVersionQuery::default()
        };
        let (first, token) = store.list_task_versions(&query).await.unwrap();
        query.page_token = token;
        let (second, token) = store.list_task_versions(&query).await.unwrap();
        let versions: Vec<_> = first.into_iter().chain(second).map(|task| task.id.version).collect();
        assert_eq!((versions, token.as_str()), (expected.map(str::to_owned).to_vec(), ""));
        let other = TaskVersionQuery { name: "e.g".to_owned(), ..query };
        let error = store.list_task_versions(&other).await.unwrap_err();
        assert!(matches!(error, StoreError::InvalidPageToken), "{error}");
    }
}

pub async fn a_deployment_replaces_the_triggers(store: Backend) {
    let summary = async |store: &Backend| store.latest_task("p", "d", "e.f").await.unwrap().unwrap().triggers;
    let first = task("e.f", "v1");
    let given = [trigger(&first, "daily", true), trigger(&first, "hourly", false)];
    assert_eq!(store.deploy_task(&first, &given).await.unwrap(), Deployed::New);
    assert_eq!(summary(&store).await, TriggersSummary { total: 2, active: 1, only: None });

    // The same again, from a client that got no response: there is no new revision.
    assert_eq!(store.deploy_task(&first, &given).await.unwrap(), Deployed::Same);
    assert_eq!(store.trigger_by_id(&given[0].id).await.unwrap().unwrap().revision, 1);

    // A version without triggers does not change them.
    deploy(&store, "e.f", "v2").await;
    assert_eq!(summary(&store).await.total, 2);

    let third = task("e.f", "v3");
    store.deploy_task(&third, &[trigger(&third, "daily", true)]).await.unwrap();
    let only = Some(("daily".to_owned(), b"daily".to_vec()));
    assert_eq!(summary(&store).await, TriggersSummary { total: 1, active: 1, only });
    let daily = store.trigger_by_id(&given[0].id).await.unwrap().unwrap();
    assert_eq!((daily.revision, daily.task_version.as_str()), (2, "v3"));
    assert_eq!(store.trigger_by_id(&given[1].id).await.unwrap(), None);
}

pub async fn listings_use_their_index(store: Backend) {
    for n in 0..300 {
        deploy(&store, &format!("e.f{n:03}"), "v1").await;
    }
    for by_name in [false, true] {
        let all = all_pages(&store, TaskQuery { by_name, limit: 7, ..query() }).await;
        let expected: Vec<_> = (0..300).map(|n| format!("e.f{n:03}:v1")).collect();
        assert_eq!(all, expected);
    }
}
