//! Runs, actions and attempts.

use bytes::Bytes;

use super::*;
use crate::{
    Action, ActionId, ActionKind, AttemptEnd, Creator, CreatorKind, Enqueued, Failure, FailureKind,
    NewAction, Phase, Run, RunId, StoreError, TaskRef,
};
use flyte_model::{Limit, Role};

/// [`NOW`] in milliseconds.
pub(super) const AT: i64 = NOW * 1000;

pub(super) fn run_id(name: &str) -> RunId {
    RunId { project: "p".to_owned(), domain: "development".to_owned(), name: name.to_owned() }
}

pub(super) fn id(run: &str, action: &str) -> ActionId {
    ActionId { run: run_id(run), name: action.to_owned() }
}

pub(super) fn run(name: &str, created_at: i64) -> Run {
    Run {
        id: run_id(name),
        creator: Creator {
            subject: "id-ada".to_owned(),
            kind: CreatorKind::Person,
            client_id: client_id("flyte"),
            family_id: "family-ada".to_owned(),
            role: Role::Contributor,
            limit: Limit { project: Some("p".to_owned()), domain: None },
        },
        spec: Bytes::from_static(b"run spec"),
        labels: [("team".to_owned(), format!("team-{name}"))].into(),
        source: 2,
        trigger: None,
        family_id: format!("family-{name}"),
        output_base: format!("file:///objects/{name}"),
        max_concurrency: 0,
        created_at,
        ended_at: None,
    }
}

pub(super) fn action(run: &str, name: &str, parent: &str) -> NewAction {
    NewAction {
        id: id(run, name),
        parent: parent.to_owned(),
        group: "g".to_owned(),
        kind: ActionKind::Task,
        task: TaskRef {
            project: "p".to_owned(),
            domain: "development".to_owned(),
            name: format!("task-{run}"),
            version: "v1".to_owned(),
        },
        task_type: "python".to_owned(),
        short_name: "short".to_owned(),
        environment: "env".to_owned(),
        spec: Bytes::from_static(b"task spec"),
        input_uri: "file:///objects/inputs.pb".to_owned(),
        output_base: format!("file:///objects/{run}"),
        output_uri: String::new(),
        caching: None,
        phase: Phase::Queued,
        failure: None,
        started_at: None,
        ended_at: None,
        waits_until: None,
        max_queued: None,
        deadline: None,
        subject: "id-ada".to_owned(),
    }
}

pub(super) async fn create(store: &Backend, name: &str, created_at: i64) -> Action {
    store.create_run(&run(name, created_at), &action(name, "a0", "")).await.unwrap()
}

/// Claims actions and returns them as `run/action/attempt`.
pub(super) async fn claim(store: &Backend, slots: u32, now: i64) -> Vec<String> {
    let claimed = store.claim_actions(slots, now).await.unwrap();
    claimed.iter().map(|one| format!("{}/{}/{}", one.run.id.name, one.action.id.name, one.attempt)).collect()
}

pub(super) async fn get(store: &Backend, run: &str, name: &str) -> Action {
    store.action_by_id(&id(run, name)).await.unwrap().unwrap()
}

pub(super) fn ended(phase: Phase) -> AttemptEnd {
    AttemptEnd { phase, failure: None, retry_at: None }
}

pub(super) fn failure(kind: FailureKind) -> Failure {
    Failure { kind, code: "E".to_owned(), message: "it broke".to_owned(), recoverable: true }
}

pub async fn a_run_is_created_once(store: Backend) {
    let created = create(&store, "r1", AT).await;
    assert_eq!(store.run_by_id(&run_id("r1")).await.unwrap(), Some(run("r1", AT)));
    assert_eq!(store.run_by_family("family-r1").await.unwrap(), Some(run("r1", AT)));
    assert_eq!(store.run_by_id(&run_id("r2")).await.unwrap(), None);
    let root = get(&store, "r1", "a0").await;
    assert_eq!(created, root);
    assert_eq!((root.phase, root.parent.as_str(), root.attempts), (Phase::Queued, "", 0));
    assert_eq!((root.created_at, root.queued_at, root.ended_at), (AT, AT, None));
    assert_eq!(root.output_prefix(2), "file:///objects/r1/a0/2");
    assert_eq!(store.action_spec(&id("r1", "a0")).await.unwrap(), Some(Bytes::from_static(b"task spec")));
    let again = Run { family_id: "another".to_owned(), ..run("r1", AT) };
    let error = store.create_run(&again, &action("r1", "a0", "")).await.unwrap_err();
    assert!(matches!(error, StoreError::AlreadyExists { kind: "run", .. }), "{error}");
    assert_eq!(store.run_by_family("another").await.unwrap(), None);
    let mut elsewhere = run("r1", AT);
    elsewhere.id.domain = "production".to_owned();
    elsewhere.family_id = "elsewhere".to_owned();
    let mut root = action("r1", "a0", "");
    root.id.run = elsewhere.id.clone();
    store.create_run(&elsewhere, &root).await.unwrap();
}

pub async fn actions_are_enqueued_once_under_unfinished_parents(store: Backend) {
    create(&store, "r1", AT).await;
    let child = action("r1", "c1", "a0");
    assert_eq!(store.enqueue_action(&child, AT + 1).await.unwrap(), Enqueued::Added);
    assert_eq!(store.enqueue_action(&child, AT + 2).await.unwrap(), Enqueued::Existing);
    assert_eq!(get(&store, "r1", "c1").await.created_at, AT + 1);
    for (new, expected) in
        [(action("r2", "c1", "a0"), Enqueued::NoRun), (action("r1", "c2", "c9"), Enqueued::NoParent)]
    {
        assert_eq!(store.enqueue_action(&new, AT).await.unwrap(), expected);
    }
    assert!(store.abort_action(&id("r1", "c1"), "enough", "id-ada", AT).await.unwrap().changed);
    assert_eq!(store.enqueue_action(&action("r1", "d1", "c1"), AT).await.unwrap(), Enqueued::ParentEnded);
    assert!(store.abort_action(&id("r1", "a0"), "enough", "id-ada", AT).await.unwrap().changed);
    assert_eq!(store.enqueue_action(&action("r1", "c3", "a0"), AT).await.unwrap(), Enqueued::ParentEnded);
    assert_eq!(store.enqueue_action(&child, AT).await.unwrap(), Enqueued::Existing);
}

pub async fn tasks_are_claimed_oldest_run_first(store: Backend) {
    for name in ["r1", "r2", "r3"] {
        create(&store, name, AT).await;
    }
    assert_eq!(store.next_claim_at().await.unwrap(), Some(AT));
    assert_eq!(claim(&store, 0, AT).await, [""; 0]);
    assert_eq!(claim(&store, 2, AT).await, ["r1/a0/1", "r2/a0/1"]);
    assert_eq!(claim(&store, 2, AT).await, [""; 0], "two are in progress");
    assert_eq!(get(&store, "r1", "a0").await.phase, Phase::Initializing);
    assert!(store.start_attempt(&id("r1", "a0"), 1, AT + 5).await.unwrap());
    assert!(!store.start_attempt(&id("r1", "a0"), 1, AT + 6).await.unwrap(), "once");
    assert!(!store.start_attempt(&id("r1", "a0"), 2, AT + 6).await.unwrap(), "there is no such attempt");
    assert_eq!(get(&store, "r1", "a0").await.phase, Phase::Running);
    assert_eq!(store.running_attempts().await.unwrap(), [(id("r1", "a0"), 1), (id("r2", "a0"), 1)]);
    let end = store.end_attempt(&id("r1", "a0"), 1, &ended(Phase::Succeeded), AT + 9).await.unwrap();
    assert_eq!(end.revoked_family.as_deref(), Some("family-r1"));
    assert_eq!(get(&store, "r1", "a0").await.output_uri, "file:///objects/r1/a0/1");
    assert_eq!(claim(&store, 2, AT).await, ["r3/a0/1"]);
    assert_eq!(store.next_claim_at().await.unwrap(), None);
}

pub async fn an_action_that_waits_for_children_takes_no_slot(store: Backend) {
    create(&store, "r1", AT).await;
    assert_eq!(claim(&store, 1, AT).await, ["r1/a0/1"]);
    store.enqueue_action(&action("r1", "c1", "a0"), AT).await.unwrap();
    store.enqueue_action(&action("r1", "c2", "a0"), AT).await.unwrap();
    create(&store, "r2", AT).await;
    assert_eq!(claim(&store, 1, AT).await, ["r1/c1/1"], "the parent waits for its child");
    assert_eq!(claim(&store, 1, AT).await, [""; 0]);
    store.end_attempt(&id("r1", "c1"), 1, &ended(Phase::Succeeded), AT).await.unwrap();
    assert_eq!(claim(&store, 1, AT).await, ["r2/a0/1"], "it is the turn of the other run");
    store.end_attempt(&id("r2", "a0"), 1, &ended(Phase::Succeeded), AT).await.unwrap();
    assert_eq!(claim(&store, 1, AT).await, ["r1/c2/1"]);
    store.end_attempt(&id("r1", "c2"), 1, &ended(Phase::Failed), AT).await.unwrap();
    create(&store, "r3", AT).await;
    assert_eq!(claim(&store, 1, AT).await, [""; 0], "the parent takes a slot again");
    store.end_attempt(&id("r1", "a0"), 1, &ended(Phase::Succeeded), AT).await.unwrap();
    assert_eq!(claim(&store, 1, AT).await, ["r3/a0/1"]);
}

pub async fn a_run_can_limit_its_concurrency(store: Backend) {
    let limited = Run { max_concurrency: 1, ..run("r1", AT) };
    store.create_run(&limited, &action("r1", "a0", "")).await.unwrap();
    assert_eq!(claim(&store, 9, AT).await, ["r1/a0/1"]);
    for name in ["c1", "c2"] {
        store.enqueue_action(&action("r1", name, "a0"), AT).await.unwrap();
    }
    create(&store, "r2", AT).await;
    assert_eq!(claim(&store, 9, AT).await, ["r1/c1/1", "r2/a0/1"]);
    store.end_attempt(&id("r1", "c1"), 1, &ended(Phase::Succeeded), AT).await.unwrap();
    assert_eq!(claim(&store, 9, AT).await, ["r1/c2/1"]);
}

pub async fn a_failed_attempt_can_be_retried(store: Backend) {
    create(&store, "r1", AT).await;
    claim(&store, 1, AT).await;
    let again =
        |kind| AttemptEnd { phase: Phase::Failed, failure: Some(failure(kind)), retry_at: Some(AT + 500) };
    let first = again(FailureKind::User);
    assert!(store.end_attempt(&id("r1", "a0"), 1, &first, AT + 100).await.unwrap().changed);
    assert!(!store.end_attempt(&id("r1", "a0"), 1, &first, AT + 100).await.unwrap().changed, "once");
    let root = get(&store, "r1", "a0").await;
    assert_eq!((root.phase, root.queued_at, root.ended_at), (Phase::Queued, AT + 100, None));
    assert_eq!((root.user_failures, root.system_failures), (1, 0));
    assert_eq!(root.failure, Some(failure(FailureKind::User)));
    assert_eq!(claim(&store, 1, AT + 499).await, [""; 0]);
    assert_eq!(store.next_claim_at().await.unwrap(), Some(AT + 500));
    assert_eq!(claim(&store, 1, AT + 500).await, ["r1/a0/2"]);
    store.end_attempt(&id("r1", "a0"), 2, &again(FailureKind::System), AT + 600).await.unwrap();
    assert_eq!(claim(&store, 1, AT + 600).await, ["r1/a0/3"]);
    store.start_attempt(&id("r1", "a0"), 3, AT + 700).await.unwrap();
    store.end_attempt(&id("r1", "a0"), 3, &ended(Phase::Succeeded), AT + 800).await.unwrap();
    let root = get(&store, "r1", "a0").await;
    assert_eq!((root.phase, root.attempts, root.failure.as_ref()), (Phase::Succeeded, 3, None));
    assert_eq!((root.user_failures, root.system_failures), (1, 1));
    let attempts = store.attempts(&id("r1", "a0")).await.unwrap();
    assert_eq!(attempts.iter().map(|one| one.number).collect::<Vec<_>>(), [1, 2, 3]);
    assert_eq!((attempts[0].phase, attempts[2].phase), (Phase::Failed, Phase::Succeeded));
    assert_eq!(attempts[0].failure, Some(failure(FailureKind::User)));
    assert_eq!((attempts[1].queued_at, attempts[1].claimed_at), (AT + 100, AT + 500));
    assert_eq!((attempts[2].started_at, attempts[2].ended_at), (Some(AT + 700), Some(AT + 800)));
}

pub async fn ending_an_action_ends_the_actions_it_called(store: Backend) {
    create(&store, "r1", AT).await;
    for (name, parent) in [("c1", "a0"), ("d1", "c1"), ("d2", "c1"), ("e1", "d2"), ("c2", "a0")] {
        store.enqueue_action(&action("r1", name, parent), AT).await.unwrap();
    }
    assert_eq!(claim(&store, 9, AT).await.len(), 6);
    store.end_attempt(&id("r1", "d1"), 1, &ended(Phase::Succeeded), AT + 1).await.unwrap();
    store.end_attempt(&id("r1", "d2"), 1, &ended(Phase::Succeeded), AT + 1).await.unwrap();
    let end = store.end_attempt(&id("r1", "c1"), 1, &ended(Phase::Failed), AT + 2).await.unwrap();
    assert_eq!(end.revoked_family, None, "the run has not ended");
    for (name, phase) in [
        ("a0", Phase::Initializing),
        ("c1", Phase::Failed),
        ("d1", Phase::Succeeded),
        ("e1", Phase::Aborted),
        ("c2", Phase::Initializing),
    ] {
        assert_eq!(get(&store, "r1", name).await.phase, phase, "{name}");
    }
    assert_eq!(store.families_revoked_since(0).await.unwrap(), [""; 0]);
    let end = store.abort_action(&id("r1", "a0"), "enough", "id-ada", AT + 3).await.unwrap();
    assert_eq!(end.revoked_family.as_deref(), Some("family-r1"));
    assert_eq!(store.families_revoked_since(NOW).await.unwrap(), ["family-r1"]);
    let root = get(&store, "r1", "a0").await;
    assert_eq!((root.phase, root.ended_at), (Phase::Aborted, Some(AT + 3)));
    assert_eq!((root.abort_reason.as_deref(), root.aborted_by.as_deref()), (Some("enough"), Some("id-ada")));
    let child = get(&store, "r1", "c2").await;
    assert_eq!((child.phase, child.aborted_by.as_deref()), (Phase::Aborted, None));
    assert_eq!(store.run_by_id(&run_id("r1")).await.unwrap().unwrap().ended_at, Some(AT + 3));
    assert!(!store.abort_action(&id("r1", "a0"), "again", "id-bob", AT + 4).await.unwrap().changed);
}

pub async fn aborted_attempts_are_listed_until_they_end(store: Backend) {
    create(&store, "r1", AT).await;
    claim(&store, 1, AT).await;
    assert_eq!(store.aborted_attempts().await.unwrap(), []);
    store.abort_action(&id("r1", "a0"), "enough", "id-ada", AT + 1).await.unwrap();
    assert_eq!(store.aborted_attempts().await.unwrap(), [(id("r1", "a0"), 1)]);
    assert!(store.end_attempt(&id("r1", "a0"), 1, &ended(Phase::Succeeded), AT + 2).await.unwrap().changed);
    let root = get(&store, "r1", "a0").await;
    assert_eq!((root.phase, root.ended_at), (Phase::Aborted, Some(AT + 1)), "the first end counts");
    assert_eq!(store.aborted_attempts().await.unwrap(), []);
    assert_eq!(store.running_attempts().await.unwrap(), []);
}
