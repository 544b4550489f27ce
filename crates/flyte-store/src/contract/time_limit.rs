//! Waits for answers, and time limits.

use bytes::Bytes;

use super::{run::*, *};
use crate::{ActionKind, AttemptEnd, Enqueued, FailureKind, NewAction, Overdue, Phase, RunQuery};

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
