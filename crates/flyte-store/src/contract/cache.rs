//! Cached results.

use super::{
    run::{AT, action, claim, create, ended, get, id, run},
    *,
};
use crate::{Action, CacheStatus, Caching, NewAction, Phase, Run};

fn caching() -> Caching {
    Caching { key: "key".to_owned(), lookup: true, serialize: false, max_age: None }
}

/// Returns a call of the same task in any run.
fn call(run: &str, name: &str, parent: &str, caching: Caching) -> NewAction {
    let mut action = NewAction { caching: Some(caching), ..action(run, name, parent) };
    action.task.name = "task".to_owned();
    action
}

/// Begins a run whose root is a call of that task.
async fn begin(store: &Backend, name: &str, at: i64, caching: Caching) {
    store.create_run(&run(name, at), &call(name, "a0", "", caching)).await.unwrap();
}

async fn succeed(store: &Backend, run: &str, at: i64) {
    assert!(store.end_attempt(&id(run, "a0"), 1, &ended(Phase::Succeeded), at).await.unwrap().changed);
}

/// Begins, works on and ends a run of that name, whose result is cached.
async fn compute(store: &Backend, name: &str, at: i64) {
    begin(store, name, at, Caching { lookup: false, ..caching() }).await;
    assert_eq!(claim(store, 9, at).await, [format!("{name}/a0/1")]);
    succeed(store, name, at).await;
}

/// Claims actions and returns the run's name and the cached outputs of each.
async fn outputs(store: &Backend, at: i64) -> Vec<(String, Option<String>)> {
    let claimed = store.claim_actions(1, at).await.unwrap();
    claimed.into_iter().map(|one| (one.run.id.name, one.action.cached_outputs)).collect()
}

fn cached(run: &str) -> (String, Option<String>) {
    (run.to_owned(), Some("file:///objects/r1/a0/1".to_owned()))
}

fn not_cached(run: &str) -> (String, Option<String>) {
    (run.to_owned(), None)
}

pub async fn results_are_used_within_their_domain(store: Backend) {
    begin(&store, "r1", AT, caching()).await;
    assert_eq!(outputs(&store, AT).await, [not_cached("r1")]);
    assert_eq!(get(&store, "r1", "a0").await.cache_status, CacheStatus::Miss);
    // Calls before and after the result exists both get it.
    begin(&store, "r2", AT, caching()).await;
    assert_eq!(outputs(&store, AT).await, [], "there is one slot");
    succeed(&store, "r1", AT).await;
    assert_eq!(get(&store, "r1", "a0").await.cache_status, CacheStatus::Populated);
    begin(&store, "r3", AT, caching()).await;
    let claimed = store.claim_actions(0, AT).await.unwrap();
    assert_eq!(claimed.len(), 2, "a cached result needs no slot");
    for (claimed, name) in claimed.iter().zip(["r2", "r3"]) {
        assert_eq!(
            (&claimed.run.id.name, &claimed.action.cached_outputs),
            (&cached(name).0, &cached(name).1)
        );
    }
    assert_eq!(store.running_attempts().await.unwrap(), [(id("r2", "a0"), 1), (id("r3", "a0"), 1)]);
    let taken = store.take_cached(&id("r2", "a0"), 1, AT + 5).await.unwrap();
    assert_eq!(taken.revoked_family.as_deref(), Some("family-r2"), "its run has ended");
    assert!(!store.take_cached(&id("r2", "a0"), 1, AT + 6).await.unwrap().changed);
    let Action { phase, cache_status, output_uri, attempts, ended_at, .. } = get(&store, "r2", "a0").await;
    assert_eq!((phase, cache_status), (Phase::Succeeded, CacheStatus::Hit));
    assert_eq!((output_uri.as_str(), attempts, ended_at), ("file:///objects/r1/a0/1", 1, Some(AT + 5)));
    assert!(store.abort_action(&id("r3", "a0"), "enough", "id-ada", AT).await.unwrap().changed);
    assert!(store.take_cached(&id("r3", "a0"), 1, AT).await.unwrap().changed);
    assert_eq!(get(&store, "r3", "a0").await.phase, Phase::Aborted);

    // Not in another domain or project, and not for another task or key.
    for (n, change) in [
        (|run: &mut Run, _: &mut NewAction| run.id.domain = "production".to_owned()) as fn(&mut _, &mut _),
        |run, _| run.id.project = "q".to_owned(),
        |_, root| root.task.name = "other".to_owned(),
        |_, root| root.task.project = "q".to_owned(),
        |_, root| root.caching = Some(Caching { key: "other".to_owned(), ..caching() }),
        |_, root| root.caching = None,
    ]
    .into_iter()
    .enumerate()
    {
        let name = format!("n{n}");
        let (mut run, mut root) = (run(&name, AT), call(&name, "a0", "", caching()));
        change(&mut run, &mut root);
        root.id.run = run.id.clone();
        store.create_run(&run, &root).await.unwrap();
        assert_eq!(outputs(&store, AT).await, [not_cached(&name)]);
        store.end_attempt(&root.id, 1, &ended(Phase::Failed), AT).await.unwrap();
    }
}

pub async fn only_successful_results_are_cached(store: Backend) {
    for (name, phase) in [("f1", Phase::Failed), ("f2", Phase::TimedOut), ("f3", Phase::Aborted)] {
        begin(&store, name, AT, caching()).await;
        assert_eq!(outputs(&store, AT).await, [not_cached(name)]);
        store.end_attempt(&id(name, "a0"), 1, &ended(phase), AT).await.unwrap();
    }
    // An action that ended before its attempt did.
    begin(&store, "f4", AT, caching()).await;
    assert_eq!(outputs(&store, AT).await, [not_cached("f4")]);
    store.abort_action(&id("f4", "a0"), "enough", "id-ada", AT).await.unwrap();
    succeed(&store, "f4", AT).await;
    begin(&store, "r1", AT, caching()).await;
    assert_eq!(outputs(&store, AT).await, [not_cached("r1")]);
}

pub async fn a_run_can_skip_the_lookup(store: Backend) {
    compute(&store, "r0", AT).await;
    begin(&store, "r1", AT, Caching { lookup: false, ..caching() }).await;
    assert_eq!(outputs(&store, AT).await, [not_cached("r1")]);
    assert_eq!(get(&store, "r1", "a0").await.cache_status, CacheStatus::Skipped);
    succeed(&store, "r1", AT).await;
    begin(&store, "r2", AT, caching()).await;
    assert_eq!(outputs(&store, AT).await, [cached("r2")], "the latest");
}

pub async fn results_expire_by_age(store: Backend) {
    compute(&store, "r1", AT).await;
    let young = |max_age| Caching { max_age: Some(max_age), ..caching() };
    begin(&store, "r2", AT + 100, young(99)).await;
    assert_eq!(outputs(&store, AT + 100).await, [not_cached("r2")]);
    begin(&store, "r3", AT + 100, young(100)).await;
    assert_eq!(outputs(&store, AT + 100).await, [cached("r3")]);
}

pub async fn unreadable_results_are_not_used(store: Backend) {
    compute(&store, "r1", AT).await;
    for name in ["r2", "r3"] {
        begin(&store, name, AT, caching()).await;
    }
    create(&store, "r4", AT).await;
    assert_eq!(claim(&store, 0, AT).await, ["r2/a0/1", "r3/a0/1"]);
    // The store of objects does not respond: other actions may still read the result.
    assert!(store.requeue_uncached(&id("r2", "a0"), 1, false, AT + 1).await.unwrap());
    let r2 = get(&store, "r2", "a0").await;
    assert_eq!((r2.phase, r2.attempts, r2.started_at, r2.cached_outputs), (Phase::Queued, 0, None, None));
    assert_eq!(store.attempts(&id("r2", "a0")).await.unwrap(), []);
    assert!(!store.requeue_uncached(&id("r2", "a0"), 1, true, AT + 1).await.unwrap(), "once");
    begin(&store, "r5", AT, caching()).await;
    assert!(store.requeue_uncached(&id("r3", "a0"), 1, true, AT + 2).await.unwrap());
    assert_eq!(claim(&store, 0, AT + 2).await, [""; 0]);
    let all = store.claim_actions(7, AT + 2).await.unwrap();
    let all: Vec<_> = all.into_iter().map(|one| (one.run.id.name, one.action.cached_outputs)).collect();
    assert_eq!(all, ["r2", "r3", "r4", "r5"].map(not_cached));
}

pub async fn serialized_tasks_wait_for_one(store: Backend) {
    let one_by_one = || Caching { serialize: true, ..caching() };
    for name in ["r1", "r2", "r3", "r4"] {
        begin(&store, name, AT, one_by_one()).await;
    }
    create(&store, "r5", AT).await;
    assert_eq!(claim(&store, 7, AT).await, ["r1/a0/1", "r5/a0/1"]);
    assert!(store.start_attempt(&id("r1", "a0"), 1, AT).await.unwrap());
    assert_eq!(claim(&store, 7, AT).await, [""; 0]);
    // It has failed, so the next one tries.
    store.end_attempt(&id("r1", "a0"), 1, &ended(Phase::Failed), AT).await.unwrap();
    assert_eq!(claim(&store, 7, AT).await, ["r2/a0/1"]);
    succeed(&store, "r2", AT).await;
    let rest = store.claim_actions(0, AT).await.unwrap();
    assert_eq!(rest.len(), 2);
    for one in rest {
        assert_eq!(one.action.cached_outputs.as_deref(), Some("file:///objects/r2/a0/1"));
    }
}

pub async fn serialized_actions_never_wait_for_each_other(store: Backend) {
    let one_by_one = || Caching { serialize: true, ..caching() };
    begin(&store, "r1", AT, one_by_one()).await;
    assert_eq!(claim(&store, 1, AT).await, ["r1/a0/1"]);
    for (name, parent) in [("c1", "a0"), ("d1", "c1")] {
        store.enqueue_action(&call("r1", name, parent, one_by_one()), AT).await.unwrap();
        assert_eq!(claim(&store, 1, AT).await, [format!("r1/{name}/1")]);
    }
}

pub async fn unused_results_are_removed(store: Backend) {
    for (n, used_at) in [(1, AT), (2, AT + 10), (3, AT + 20), (4, AT + 30)] {
        let (name, key) = (format!("r{n}"), Caching { key: format!("k{n}"), ..caching() });
        begin(&store, &name, used_at, key).await;
        claim(&store, 1, used_at).await;
        succeed(&store, &name, used_at).await;
    }
    assert_eq!(store.delete_unused_results(AT, 4).await.unwrap(), 0);
    assert_eq!(store.delete_unused_results(AT + 1, 2).await.unwrap(), 2, "one is too old, one too many");
    for (n, kept) in [(1, false), (2, false), (3, true), (4, true)] {
        let name = format!("s{n}");
        begin(&store, &name, AT + 40, Caching { key: format!("k{n}"), ..caching() }).await;
        let claimed = store.claim_actions(1, AT + 40).await.unwrap();
        assert_eq!(claimed[0].action.cached_outputs.is_some(), kept, "{n}");
        store.abort_action(&id(&name, "a0"), "enough", "id-ada", AT).await.unwrap();
        store.end_attempt(&id(&name, "a0"), 1, &ended(Phase::Aborted), AT).await.unwrap();
    }
    // Using a result keeps it.
    begin(&store, "t3", AT + 90, Caching { key: "k3".to_owned(), ..caching() }).await;
    claim(&store, 1, AT + 90).await;
    store.take_cached(&id("t3", "a0"), 1, AT + 90).await.unwrap();
    assert_eq!(store.delete_unused_results(AT + 89, 9).await.unwrap(), 1);
}
