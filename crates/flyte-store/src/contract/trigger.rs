//! Triggers and their revisions.

use super::{
    Backend, NOW,
    task::{ada, task, trigger},
};
use crate::{
    Condition, NewTrigger, StoreError, Test, Trigger, TriggerChange, TriggerDeployment, TriggerField,
    TriggerId, TriggerQuery,
};
use flyte_model::{Actor, PrincipalKind};

fn bob() -> Actor {
    Actor { subject: "key".to_owned(), kind: PrincipalKind::ApiKey }
}

fn new(name: &str) -> NewTrigger {
    trigger(&task("e.f", "v1"), name, true)
}

async fn deploy(store: &Backend, trigger: &NewTrigger) -> Trigger {
    match store.deploy_trigger(trigger, 0).await.unwrap() {
        TriggerDeployment::Deployed(trigger) => trigger,
        other @ TriggerDeployment::OtherRevision { .. } => panic!("{other:?}"),
    }
}

pub async fn a_trigger_is_read_back_unchanged(store: Backend) {
    let given = new("daily");
    let deployed = deploy(&store, &given).await;
    assert_eq!(store.trigger_by_id(&given.id).await.unwrap().as_ref(), Some(&deployed));
    let expected = Trigger {
        id: given.id.clone(),
        revision: 1,
        task_version: "v1".to_owned(),
        active: true,
        spec: given.spec,
        automation: given.automation,
        deployed_by: ada(),
        deployed_at: NOW,
        updated_by: ada(),
        updated_at: NOW,
        triggered_at: None,
        due_at: Some(NOW + 60),
    };
    assert_eq!(deployed, expected);
    let other = TriggerId { task: "e.g".to_owned(), ..given.id };
    assert_eq!(store.trigger_by_id(&other).await.unwrap(), None);
}

pub async fn each_change_is_a_revision(store: Backend) {
    let given = new("daily");
    deploy(&store, &given).await;
    let id = &given.id;
    for (active, due_at) in [(false, None), (false, None), (true, Some(NOW + 99))] {
        let switched = store.switch_triggers(&[(id.clone(), due_at)], active, &bob(), NOW + 5).await;
        assert_eq!(switched.unwrap(), None);
    }
    let now = store.trigger_by_id(id).await.unwrap().unwrap();
    assert_eq!((now.revision, now.active, now.due_at), (3, true, Some(NOW + 99)));
    assert_eq!((&now.deployed_by, &now.updated_by, now.updated_at), (&ada(), &bob(), NOW + 5));

    let refused = store.deploy_trigger(&given, 2).await.unwrap();
    assert_eq!(refused, TriggerDeployment::OtherRevision { current: 3 });
    assert!(matches!(store.deploy_trigger(&given, 3).await.unwrap(), TriggerDeployment::Deployed(_)));

    assert_eq!(store.delete_triggers(std::slice::from_ref(id), &bob(), NOW + 6).await.unwrap(), None);
    assert_eq!(store.trigger_by_id(id).await.unwrap(), None);
    assert_eq!(
        store.delete_triggers(std::slice::from_ref(id), &bob(), NOW + 6).await.unwrap().as_ref(),
        Some(id)
    );
    assert_eq!(deploy(&store, &given).await.revision, 6, "revision numbers continue");

    use TriggerChange::{Activated, Deactivated, Deleted, Deployed};
    let (first, token) = store.list_trigger_revisions(id, 4, "").await.unwrap();
    let (second, end) = store.list_trigger_revisions(id, 4, &token).await.unwrap();
    let all: Vec<_> =
        first.iter().chain(&second).map(|revision| (revision.trigger.revision, revision.change)).collect();
    let expected =
        [(6, Deployed), (5, Deleted), (4, Deployed), (3, Activated), (2, Deactivated), (1, Deployed)];
    assert_eq!((all.as_slice(), end.as_str()), (expected.as_slice(), ""));
    assert_eq!(store.trigger_revision(id, 5).await.unwrap(), Some(first[1].clone()));
    assert_eq!(store.trigger_revision(id, 7).await.unwrap(), None);
    let other = TriggerId { name: "other".to_owned(), ..id.clone() };
    let error = store.list_trigger_revisions(&other, 4, &token).await.unwrap_err();
    assert!(matches!(error, StoreError::InvalidPageToken), "{error}");
}

pub async fn triggers_are_switched_all_or_none(store: Backend) {
    let (a, b) = (new("a"), new("b"));
    deploy(&store, &a).await;
    let both = [(a.id.clone(), None), (b.id.clone(), None)];
    assert_eq!(store.switch_triggers(&both, false, &ada(), NOW).await.unwrap().as_ref(), Some(&b.id));
    assert!(store.trigger_by_id(&a.id).await.unwrap().unwrap().active);
    let ids = [a.id.clone(), b.id.clone()];
    assert_eq!(store.delete_triggers(&ids, &ada(), NOW).await.unwrap().as_ref(), Some(&b.id));
    assert!(store.trigger_by_id(&a.id).await.unwrap().is_some());
    deploy(&store, &b).await;
    assert_eq!(store.switch_triggers(&both, false, &ada(), NOW).await.unwrap(), None);
    assert_eq!(store.delete_triggers(&ids, &ada(), NOW).await.unwrap(), None);
    assert_eq!(store.trigger_by_id(&a.id).await.unwrap(), None);
}

pub async fn pages_list_every_trigger_once(store: Backend) {
    for name in ["c", "a", "d", "b"] {
        deploy(&store, &new(name)).await;
    }
    deploy(&store, &trigger(&task("e.g", "v2"), "x", false)).await;
    let names = async |store: &Backend, mut query: TriggerQuery| {
        let mut names = Vec::new();
        loop {
            let (page, token) = store.list_triggers(&query).await.unwrap();
            names.extend(page.into_iter().map(|trigger| trigger.id.name));
            if token.is_empty() {
                return names.join(" ");
            }
            query.page_token = token;
        }
    };
    let query = TriggerQuery { limit: 2, ..TriggerQuery::default() };
    assert_eq!(names(&store, query.clone()).await, "c a d b x");
    assert_eq!(names(&store, TriggerQuery { by_name: true, ..query.clone() }).await, "a b c d x");
    let descending = TriggerQuery { by_name: true, descending: true, ..query.clone() };
    assert_eq!(names(&store, descending).await, "x d c b a");
    assert_eq!(names(&store, TriggerQuery { active: Some(false), ..query.clone() }).await, "x");
    let of = |field, text: &str| TriggerQuery {
        conditions: vec![Condition { field, test: Test::OneOf(vec![text.to_owned()]), negated: false }],
        ..query.clone()
    };
    assert_eq!(names(&store, of(TriggerField::Task, "e.f")).await, "c a d b");
    assert_eq!(names(&store, of(TriggerField::TaskVersion, "v2")).await, "x");
    assert_eq!(names(&store, of(TriggerField::Name, "d")).await, "d");
    let elsewhere = TriggerQuery { project: Some("q".to_owned()), ..query };
    assert_eq!(names(&store, elsewhere).await, "");
}

pub async fn a_due_trigger_fires_once(store: Backend) {
    let daily = deploy(&store, &new("daily")).await;
    assert!(store.due_triggers(NOW + 59, 10).await.unwrap().is_empty());
    assert_eq!(store.due_triggers(NOW + 60, 10).await.unwrap(), std::slice::from_ref(&daily));
    assert!(store.note_trigger_fired(&daily, NOW + 61, Some(NOW + 120)).await.unwrap());
    assert!(!store.note_trigger_fired(&daily, NOW + 61, Some(NOW + 120)).await.unwrap());
    let fired = store.trigger_by_id(&daily.id).await.unwrap().unwrap();
    assert_eq!((fired.triggered_at, fired.due_at, fired.revision), (Some(NOW + 61), Some(NOW + 120), 1));
    assert!(store.due_triggers(NOW + 119, 10).await.unwrap().is_empty());

    let off = [(daily.id.clone(), None)];
    store.switch_triggers(&off, false, &ada(), NOW).await.unwrap();
    assert!(store.due_triggers(i64::MAX, 10).await.unwrap().is_empty());
    assert!(!store.note_trigger_fired(&fired, NOW + 121, None).await.unwrap(), "changed in the meantime");
}
