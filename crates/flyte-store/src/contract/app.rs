//! Apps: their changes, and the reports about their processes.

use super::{Backend, NOW, task::ada};
use crate::{
    AppChange, AppField, AppId, AppNote, AppQuery, AppRecord, AppStatus, AppUpdate, Condition, NewApp,
    StoreError, Test,
};

fn new(name: &str, wanted: bool) -> NewApp {
    NewApp {
        id: AppId { project: "p".to_owned(), domain: "d".to_owned(), name: name.to_owned() },
        metadata: b"metadata".to_vec(),
        spec: b"spec".to_vec(),
        wanted,
        reason: "asked for".to_owned(),
        by: ada(),
        at: NOW,
    }
}

fn noted(status: AppStatus, change: AppChange) -> AppNote {
    AppNote { status, message: format!("it is {}", status.as_str()), change }
}

async fn update(store: &Backend, app: &NewApp, seen: u64) -> AppRecord {
    match store.update_app(app, seen).await.unwrap() {
        AppUpdate::Updated(record) => *record,
        other => panic!("{other:?}"),
    }
}

pub async fn an_app_is_read_back_unchanged(store: Backend) {
    let given = new("web", true);
    let created = store.create_app(&given).await.unwrap();
    assert_eq!(store.app_by_id(&given.id).await.unwrap().as_ref(), Some(&created));
    assert_eq!((created.revision, created.status(), created.wanted), (1, AppStatus::Pending, true));
    assert_eq!((created.metadata.as_slice(), created.spec.as_slice()), (&b"metadata"[..], &b"spec"[..]));
    assert_eq!(created.conditions[0].actor, Some(ada()));
    let error = store.create_app(&given).await.unwrap_err();
    assert!(matches!(error, StoreError::AlreadyExists { kind: "app", .. }), "{error}");
    assert_eq!(store.create_app(&new("idle", false)).await.unwrap().status(), AppStatus::Stopped);
    assert_eq!(store.busy_apps().await.unwrap(), std::slice::from_ref(&given.id));
    assert_eq!(store.delete_app(&given.id).await.unwrap(), Some(created));
    assert_eq!(store.delete_app(&given.id).await.unwrap(), None);
    assert_eq!(store.app_by_id(&given.id).await.unwrap(), None);
}

pub async fn each_change_is_a_revision(store: Backend) {
    store.create_app(&new("web", true)).await.unwrap();
    let changed = NewApp { spec: b"other".to_vec(), at: NOW + 1, ..new("web", true) };
    let updated = update(&store, &changed, 1).await;
    assert_eq!((updated.revision, updated.spec.as_slice(), updated.updated_at), (2, &b"other"[..], NOW + 1));
    assert_eq!(store.app_by_id(&changed.id).await.unwrap(), Some(updated));
    let refused = store.update_app(&changed, 1).await.unwrap();
    assert_eq!(refused, AppUpdate::OtherRevision { current: 2 });
    assert_eq!(update(&store, &changed, 0).await.revision, 3);
    assert_eq!(store.update_app(&new("other", true), 0).await.unwrap(), AppUpdate::Unknown);

    for n in 0..30 {
        update(&store, &NewApp { reason: n.to_string(), ..new("web", true) }, 0).await;
    }
    let conditions = store.app_by_id(&changed.id).await.unwrap().unwrap().conditions;
    let messages: Vec<_> = conditions.iter().map(|condition| condition.message.clone()).collect();
    assert_eq!(messages, (10..30).map(|n| n.to_string()).collect::<Vec<_>>(), "the latest are kept");
}

pub async fn reports_count_only_for_their_revision(store: Backend) {
    let id = store.create_app(&new("web", true)).await.unwrap().id;
    let starts = noted(AppStatus::Deploying, AppChange::Starts { port: 8080 });
    let started = store.note_app(&id, 1, &starts, NOW + 5).await.unwrap().unwrap();
    assert_eq!((started.port, started.process, started.started_at), (Some(8080), Some(1), Some(NOW + 5)));
    assert_eq!((started.process_revision, started.processes), (Some(1), 1));
    let active = noted(AppStatus::Active, AppChange::None);
    let active_now = store.note_app(&id, 1, &active, NOW + 6).await.unwrap().unwrap();
    assert_eq!(
        (active_now.status(), active_now.conditions.len(), active_now.revision),
        (AppStatus::Active, 3, 1)
    );
    // The same report again adds nothing.
    assert_eq!(store.note_app(&id, 1, &active, NOW + 7).await.unwrap().unwrap(), active_now);

    let stopping = update(&store, &new("web", false), 1).await;
    assert_eq!(
        (stopping.wanted, stopping.status()),
        (false, AppStatus::Active),
        "until its process has ended"
    );
    assert_eq!(store.busy_apps().await.unwrap(), std::slice::from_ref(&id));
    assert_eq!(store.note_app(&id, 1, &active, NOW + 8).await.unwrap(), None, "for another revision");
    let gone = noted(AppStatus::Stopped, AppChange::Gone);
    let stopped = store.note_app(&id, 2, &gone, NOW + 9).await.unwrap().unwrap();
    assert_eq!((stopped.status(), stopped.port, stopped.process), (AppStatus::Stopped, None, None));
    assert!(store.busy_apps().await.unwrap().is_empty());
}

pub async fn process_numbers_are_never_reused(store: Backend) {
    let id = store.create_app(&new("web", true)).await.unwrap().id;
    for expected in 1..4 {
        let starts = noted(AppStatus::Deploying, AppChange::Starts { port: 1 });
        let started = store.note_app(&id, 1, &starts, NOW).await.unwrap().unwrap();
        assert_eq!(started.process, Some(expected));
        let gone = noted(AppStatus::Failed, AppChange::Gone);
        assert_eq!(store.note_app(&id, 1, &gone, NOW).await.unwrap().unwrap().process, None);
    }
}

pub async fn pages_list_every_app_once(store: Backend) {
    for name in ["c", "a", "d", "b", "e"] {
        store.create_app(&new(name, name != "d")).await.unwrap();
    }
    let names = async |store: &Backend, mut query: AppQuery| {
        assert_eq!(store.count_apps(&query).await.unwrap() as usize, {
            let all = AppQuery { limit: 100, ..query.clone() };
            store.list_apps(&all).await.unwrap().0.len()
        });
        let mut names = Vec::new();
        loop {
            let (page, token) = store.list_apps(&query).await.unwrap();
            names.extend(page.into_iter().map(|app| app.id.name));
            if token.is_empty() {
                return names.join(" ");
            }
            query.page_token = token;
        }
    };
    let query = AppQuery { limit: 2, ..AppQuery::default() };
    assert_eq!(names(&store, query.clone()).await, "c a d b e");
    assert_eq!(names(&store, AppQuery { by_name: true, ..query.clone() }).await, "a b c d e");
    assert_eq!(names(&store, AppQuery { descending: true, ..query.clone() }).await, "e b d a c");
    let of = |field, text: &str| AppQuery {
        conditions: vec![Condition { field, test: Test::OneOf(vec![text.to_owned()]), negated: false }],
        ..query.clone()
    };
    assert_eq!(names(&store, of(AppField::Status, "stopped")).await, "d");
    assert_eq!(names(&store, of(AppField::CreatedBy, "id-ada")).await, "c a d b e");
    assert_eq!(names(&store, of(AppField::Name, "b")).await, "b");
    assert_eq!(names(&store, AppQuery { domain: Some("x".to_owned()), ..query }).await, "");
}
