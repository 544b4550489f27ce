//! Runs, actions and attempts.

use bytes::Bytes;

use super::*;
use crate::{
    Action, ActionId, ActionKind, ActionQuery, AttemptEnd, Creator, CreatorKind, Enqueued, Failure,
    FailureKind, LabelCondition, NewAction, Overdue, Phase, Run, RunId, RunQuery, RunSortKey, Span,
    StoreError, TaskRef,
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
            client_id: "flyte".to_owned(),
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

fn failure(kind: FailureKind) -> Failure {
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

pub async fn conditions_are_answered_once(store: Backend) {
    create(&store, "r1", AT).await;
    claim(&store, 1, AT).await;
    let condition =
        NewAction { kind: ActionKind::Condition, phase: Phase::Paused, ..action("r1", "w1", "a0") };
    assert_eq!(store.enqueue_action(&condition, AT).await.unwrap(), Enqueued::Added);
    assert_eq!(claim(&store, 9, AT).await, [""; 0], "no process works on it");
    let paused = RunQuery { paused_only: true, limit: 9, ..RunQuery::default() };
    assert_eq!(store.list_runs(&paused).await.unwrap().0.len(), 1);
    let value = Bytes::from_static(b"yes");
    assert!(!store.signal_action(&id("r1", "a0"), &value, "id-ada", AT).await.unwrap(), "it does not wait");
    assert!(store.signal_action(&id("r1", "w1"), &value, "id-ada", AT + 1).await.unwrap());
    assert!(!store.signal_action(&id("r1", "w1"), &value, "id-bob", AT + 2).await.unwrap());
    let answered = get(&store, "r1", "w1").await;
    assert_eq!((answered.phase, answered.signal), (Phase::Succeeded, Some(value)));
    assert_eq!(answered.signalled_by.as_deref(), Some("id-ada"));
}

/// Times out overdue actions and returns them as `action limit length`.
async fn time_out(store: &Backend, now: i64) -> Vec<String> {
    let mut ended = Vec::new();
    for (id, overdue, limit) in store.overdue_actions(now).await.unwrap() {
        let failure = (overdue != Overdue::Condition).then(|| failure(FailureKind::User));
        if store.time_out_action(&id, overdue, failure.as_ref(), now).await.unwrap().changed {
            ended.push(format!("{} {overdue:?} {limit}", id.name));
        }
    }
    ended
}

pub async fn tasks_end_at_their_time_limits(store: Backend) {
    create(&store, "r1", AT).await;
    let limited = |name: &str, parent: &str, max_queued, deadline| NewAction {
        max_queued,
        deadline,
        ..action("r1", name, parent)
    };
    assert_eq!(claim(&store, 1, AT).await, ["r1/a0/1"]);
    for (name, parent, max_queued, deadline) in
        [("c1", "a0", None, Some(100)), ("d1", "c1", None, Some(100)), ("c2", "a0", Some(50), Some(200))]
    {
        store.enqueue_action(&limited(name, parent, max_queued, deadline), AT).await.unwrap();
    }
    assert_eq!(time_out(&store, AT + 49).await, [""; 0]);
    assert_eq!(time_out(&store, AT + 50).await, ["c2 Queue 50"]);
    let c2 = get(&store, "r1", "c2").await;
    assert_eq!((c2.phase, c2.attempts, c2.failure), (Phase::TimedOut, 0, Some(failure(FailureKind::User))));
    // A running action ends too, with the actions that it called. Its process must be stopped.
    assert_eq!(claim(&store, 1, AT + 60).await, ["r1/c1/1"]);
    assert_eq!(time_out(&store, AT + 100).await, ["c1 Deadline 100"]);
    assert_eq!(store.aborted_attempts().await.unwrap(), [(id("r1", "c1"), 1)]);
    assert_eq!(get(&store, "r1", "d1").await.phase, Phase::Aborted);
    let end = AttemptEnd { failure: Some(failure(FailureKind::User)), ..ended(Phase::TimedOut) };
    assert!(store.end_attempt(&id("r1", "c1"), 1, &end, AT + 101).await.unwrap().changed);
    assert_eq!(store.attempts(&id("r1", "c1")).await.unwrap()[0].phase, Phase::TimedOut);
    assert_eq!(get(&store, "r1", "c1").await.user_failures, 1, "counted once");
    assert_eq!(time_out(&store, AT + 999).await, [""; 0]);

    // The wait is measured for each attempt, from the time at which the attempt may begin.
    store.enqueue_action(&limited("c3", "a0", Some(50), None), AT + 1000).await.unwrap();
    assert_eq!(claim(&store, 9, AT + 1049).await, ["r1/c3/1"]);
    assert_eq!(time_out(&store, AT + 1060).await, [""; 0]);
    let again = AttemptEnd { retry_at: Some(AT + 2000), ..ended(Phase::Failed) };
    store.end_attempt(&id("r1", "c3"), 1, &again, AT + 1100).await.unwrap();
    assert_eq!(time_out(&store, AT + 2049).await, [""; 0]);
    assert_eq!(time_out(&store, AT + 2050).await, ["c3 Queue 50"]);

    // The root's deadline ends the run.
    let root = NewAction { deadline: Some(10), ..action("r2", "a0", "") };
    store.create_run(&run("r2", AT), &root).await.unwrap();
    let overdue = store.overdue_actions(AT + 10).await.unwrap();
    assert_eq!(overdue, [(id("r2", "a0"), Overdue::Deadline, 10)]);
    let ended = store.time_out_action(&overdue[0].0, Overdue::Deadline, None, AT + 10).await.unwrap();
    assert_eq!(ended.revoked_family.as_deref(), Some("family-r2"));
    let again = store.time_out_action(&overdue[0].0, Overdue::Deadline, None, AT + 11).await.unwrap();
    assert!(!again.changed);
}

pub async fn conditions_time_out(store: Backend) {
    create(&store, "r1", AT).await;
    let condition = |name: &str, waits_until| NewAction {
        kind: ActionKind::Condition,
        phase: Phase::Paused,
        waits_until,
        ..action("r1", name, "a0")
    };
    for (name, until) in [("w1", Some(AT + 10)), ("w2", Some(AT + 20)), ("w3", None)] {
        store.enqueue_action(&condition(name, until), AT).await.unwrap();
    }
    assert_eq!(time_out(&store, AT + 9).await, [""; 0]);
    assert_eq!(time_out(&store, AT + 10).await, ["w1 Condition 10"]);
    assert_eq!(time_out(&store, i64::MAX - 1).await, ["w2 Condition 20"]);
    for (name, expected) in [("w1", Phase::TimedOut), ("w2", Phase::TimedOut), ("w3", Phase::Paused)] {
        assert_eq!(get(&store, "r1", name).await.phase, expected, "{name}");
    }
    assert_eq!(claim(&store, 9, AT).await, ["r1/a0/1"], "tasks do not change");
}
