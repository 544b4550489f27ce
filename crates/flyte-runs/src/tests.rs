//! What follows what, in a store in memory.

use buffa::MessageField;
use buffa_types::google::protobuf::Duration as ProtoDuration;
use flyte_idl::flyteidl2::{
    core::{Backoff, RetryStrategy, TaskMetadata, TaskTemplate, TimeoutStrategy},
    task::TaskSpec,
};
use tokio::time::{Duration, timeout};

use super::*;
use crate::testing::{self, Server};
use flyte_access::{Reason, policy};
use flyte_model::Role;
use flyte_store::{ActionKind, Failure, FailureKind, Phase};
use secrecy::ExposeSecret as _;

fn run_id(name: &str) -> RunId {
    RunId { project: "p".to_owned(), domain: "development".to_owned(), name: name.to_owned() }
}

fn root(name: &str) -> ActionId {
    ActionId::root(run_id(name))
}

/// A task that may be tried again `retries` times.
fn task(retries: u32, change: impl FnOnce(&mut TaskMetadata)) -> TaskSpec {
    let mut metadata = TaskMetadata {
        retries: MessageField::some(RetryStrategy { retries, ..RetryStrategy::default() }),
        ..TaskMetadata::default()
    };
    change(&mut metadata);
    TaskSpec {
        task_template: MessageField::some(TaskTemplate {
            metadata: MessageField::some(metadata),
            ..TaskTemplate::default()
        }),
        ..TaskSpec::default()
    }
}

fn new_run(name: &str, spec: TaskSpec) -> NewRun {
    testing::new_run(run_id(name), spec, format!("file:///{name}"))
}

/// A server with Ada's account and a run of hers.
async fn started(name: &str, spec: TaskSpec) -> Server {
    let app = Server::new(|_| {}).await;
    app.store.create_user(&flyte_testing::user("Ada")).await.unwrap();
    app.runs.create(new_run(name, spec)).await.unwrap();
    app
}

fn failed(kind: FailureKind, recoverable: bool) -> Outcome {
    Outcome::Failed(Failure { kind, code: "E".to_owned(), message: "m".to_owned(), recoverable })
}

/// Claims the root's next attempt, ends it with the outcome, and returns the phase of the action.
async fn attempt(app: &Server, name: &str, outcome: Outcome) -> Phase {
    // Past any wait between attempts.
    app.clock.advance(7200);
    let claimed = app.runs.claim(9).await.unwrap();
    assert_eq!(claimed.len(), 1);
    app.runs.started(&root(name), claimed[0].attempt).await.unwrap();
    app.runs.ended(&root(name), claimed[0].attempt, outcome).await.unwrap();
    app.runs.action(&root(name)).await.unwrap().unwrap().phase
}

#[tokio::test]
async fn what_the_task_says_is_tried_again() {
    for (retries, outcomes) in [
        (0, vec![(failed(FailureKind::User, true), Phase::Failed)]),
        (
            2,
            vec![
                (failed(FailureKind::User, true), Phase::Queued),
                (failed(FailureKind::User, true), Phase::Queued),
                (failed(FailureKind::User, true), Phase::Failed),
            ],
        ),
        (2, vec![(failed(FailureKind::User, false), Phase::Failed)]),
        (
            1,
            vec![
                (Outcome::TimedOut { message: String::new() }, Phase::Queued),
                (Outcome::TimedOut { message: String::new() }, Phase::TimedOut),
            ],
        ),
        (
            0,
            vec![
                (Outcome::Lost { reason: "gone".to_owned() }, Phase::Queued),
                (failed(FailureKind::System, false), Phase::Queued),
                (failed(FailureKind::System, true), Phase::Queued),
                (Outcome::Lost { reason: "gone".to_owned() }, Phase::Failed),
            ],
        ),
        (
            1,
            vec![
                (failed(FailureKind::System, true), Phase::Queued),
                (failed(FailureKind::User, true), Phase::Queued),
                (Outcome::Succeeded, Phase::Succeeded),
            ],
        ),
    ] {
        let app = started("r1", task(retries, |_| {})).await;
        for (at, (outcome, expected)) in outcomes.into_iter().enumerate() {
            assert_eq!(attempt(&app, "r1", outcome.clone()).await, expected, "{retries} {at} {outcome:?}");
        }
    }
}

#[tokio::test]
async fn waits_between_attempts_grow_to_their_cap() {
    let seconds = |seconds| MessageField::some(ProtoDuration { seconds, ..ProtoDuration::default() });
    let spec = task(9, |metadata| {
        if let Some(retries) = metadata.retries.as_option_mut() {
            retries.backoff = MessageField::some(Backoff {
                base: seconds(2),
                factor: Some(3.0),
                cap: seconds(10),
                ..Backoff::default()
            });
        }
    });
    let app = started("r1", spec).await;
    for wait in [2, 6, 10, 10] {
        attempt(&app, "r1", failed(FailureKind::User, true)).await;
        let due = app.store.next_claim_at().await.unwrap().unwrap();
        assert_eq!(due - app.clock.now_millis(), wait * 1000);
    }
}

#[tokio::test]
async fn no_task_is_tried_again_without_end() {
    let app = started("r1", task(u32::MAX, |_| {})).await;
    for failures in 0..100 {
        let phase = attempt(&app, "r1", failed(FailureKind::User, true)).await;
        assert_eq!(phase, Phase::Queued, "{failures}");
        let due = app.store.next_claim_at().await.unwrap().unwrap();
        let wait = if failures < 10 { 0 } else { 1000 };
        assert_eq!(due - app.clock.now_millis(), wait, "{failures}");
    }
    assert_eq!(attempt(&app, "r1", failed(FailureKind::User, true)).await, Phase::Failed);
}

#[tokio::test]
async fn a_long_error_is_kept_cut() {
    let app = started("r1", task(0, |_| {})).await;
    // No multiple of either limit, so that both fall into a character.
    let long = "\u{20ac}".repeat(1 << 20);
    let failure = Failure { kind: FailureKind::User, code: long.clone(), message: long, recoverable: false };
    attempt(&app, "r1", Outcome::Failed(failure)).await;
    let kept = app.runs.action(&root("r1")).await.unwrap().unwrap().failure.unwrap();
    assert_eq!(kept.code, "\u{20ac}".repeat(Failure::MAX_CODE / 3));
    let (message, note) = kept.message.split_once('\n').unwrap();
    assert_eq!(message, "\u{20ac}".repeat(Failure::MAX_MESSAGE / 3));
    assert_eq!(note, "[cut: the whole message is 3145728 bytes long]");
    let attempts = app.store.attempts(&root("r1")).await.unwrap();
    assert_eq!(attempts[0].failure, Some(kept));
}

#[tokio::test]
async fn nothing_is_tried_again_past_its_deadline() {
    let spec = task(9, |metadata| {
        metadata.timeouts = MessageField::some(TimeoutStrategy {
            deadline: MessageField::some(ProtoDuration { seconds: 10_000, ..ProtoDuration::default() }),
            ..TimeoutStrategy::default()
        });
    });
    let app = started("r1", spec).await;
    assert_eq!(attempt(&app, "r1", failed(FailureKind::User, true)).await, Phase::Queued);
    assert_eq!(attempt(&app, "r1", failed(FailureKind::User, true)).await, Phase::Failed);
}

/// A task whose attempts may take `run`, wait `queue`, and all of it `deadline` seconds; 0 for no limit.
fn limited(retries: u32, run: i64, queue: i64, deadline: i64) -> TaskSpec {
    let seconds = |seconds| MessageField::some(ProtoDuration { seconds, ..ProtoDuration::default() });
    task(retries, |metadata| {
        metadata.timeout = seconds(run);
        metadata.timeouts = MessageField::some(TimeoutStrategy {
            queued_timeout: seconds(queue),
            deadline: seconds(deadline),
            ..TimeoutStrategy::default()
        });
    })
}

/// The phase of the root of r1, and the code of its failure.
async fn root_phase(app: &Server) -> (Phase, Option<String>) {
    let action = app.runs.action(&root("r1")).await.unwrap().unwrap();
    (action.phase, action.failure.map(|failure| failure.code))
}

#[tokio::test]
async fn a_deadline_ends_an_attempt_that_runs_and_its_run() {
    let app = started("r1", limited(9, 0, 0, 30)).await;
    assert_eq!(app.runs.claim(1).await.unwrap().len(), 1);
    app.clock.advance(29);
    app.runs.maintain().await.unwrap();
    assert_eq!(root_phase(&app).await, (Phase::Initializing, None));
    app.clock.advance(1);
    app.runs.maintain().await.unwrap();
    assert_eq!(root_phase(&app).await, (Phase::TimedOut, Some("DEADLINE_EXCEEDED".to_owned())));
    assert!(app.store.run_by_id(&run_id("r1")).await.unwrap().unwrap().ended_at.is_some());
    // Its process is to be stopped; then the attempt has timed out as well.
    assert_eq!(app.runs.aborted_attempts().await.unwrap(), [(root("r1"), 1)]);
    app.runs.ended(&root("r1"), 1, Outcome::Aborted).await.unwrap();
    let attempts = app.store.attempts(&root("r1")).await.unwrap();
    assert_eq!(attempts[0].phase, Phase::TimedOut);
    let failure = attempts[0].failure.clone().unwrap();
    assert_eq!(failure.message, "the task did not end within 30s of its call (deadline)");
    assert!(app.runs.claim(1).await.unwrap().is_empty(), "and is not tried again");
}

#[tokio::test]
async fn a_deadline_that_passed_without_the_server_is_one() {
    // The supervisor has stopped the task before the server could.
    let app = started("r1", limited(9, 0, 0, 30)).await;
    app.runs.claim(1).await.unwrap();
    app.clock.advance(30);
    app.runs
        .ended(&root("r1"), 1, Outcome::TimedOut { message: "it took too long".to_owned() })
        .await
        .unwrap();
    assert_eq!(root_phase(&app).await, (Phase::TimedOut, Some("DEADLINE_EXCEEDED".to_owned())));
}

#[tokio::test]
async fn a_runtime_limit_is_each_attempts_and_the_wait_is_none_of_it() {
    let app = started("r1", limited(1, 5, 60, 0)).await;
    app.clock.advance(59);
    app.runs.maintain().await.unwrap();
    let late = Outcome::TimedOut { message: "it took too long".to_owned() };
    assert_eq!(attempt(&app, "r1", late.clone()).await, Phase::Queued);
    assert_eq!(attempt(&app, "r1", late).await, Phase::TimedOut);
    assert_eq!(root_phase(&app).await, (Phase::TimedOut, Some("MAX_RUNTIME_EXCEEDED".to_owned())));
}

#[tokio::test]
async fn a_task_that_waits_too_long_fails() {
    let app = started("r1", limited(9, 5, 60, 0)).await;
    app.clock.advance(60);
    app.runs.maintain().await.unwrap();
    assert_eq!(root_phase(&app).await, (Phase::TimedOut, Some("QUEUED_TIMEOUT_EXCEEDED".to_owned())));
    assert!(app.runs.claim(1).await.unwrap().is_empty());
}

#[tokio::test]
async fn the_runner_is_notified() {
    let app = started("r1", task(1, |_| {})).await;
    let changed = async || timeout(Duration::from_secs(5), app.runs.changed()).await.unwrap().unwrap();
    changed().await;
    let claimed = app.runs.claim(1).await.unwrap();
    assert_eq!(claimed[0].output_prefix(), "file:///r1/a0/1");
    app.runs.create(new_run("r2", task(0, |_| {}))).await.unwrap();
    changed().await;
    assert!(app.runs.claim(1).await.unwrap().is_empty());
    app.runs.abort(&root("r1"), "enough", "user-Ada").await.unwrap();
    changed().await;
    assert_eq!(app.runs.aborted_attempts().await.unwrap(), [(root("r1"), 1)]);
    app.runs.ended(&root("r1"), 1, Outcome::Aborted).await.unwrap();
    changed().await;
    assert_eq!(app.runs.claim(1).await.unwrap().len(), 1);
}

#[tokio::test]
async fn watchers_hear_of_their_run() {
    let app = started("r1", task(0, |_| {})).await;
    let (mut own, mut other, mut all) =
        (app.runs.watch(&run_id("r1")), app.runs.watch(&run_id("r2")), app.runs.watch_all());
    app.runs.claim(1).await.unwrap();
    for watcher in [&mut own, &mut all] {
        timeout(Duration::from_secs(5), watcher.changed()).await.unwrap();
    }
    assert!(timeout(Duration::from_millis(20), other.changed()).await.is_err());
    assert!(timeout(Duration::from_millis(20), own.changed()).await.is_err(), "once for each change");
}

#[tokio::test]
async fn the_identity_lasts_as_long_as_the_run() {
    let app = started("r1", task(0, |_| {})).await;
    let run = app.store.run_by_id(&run_id("r1")).await.unwrap().unwrap();
    let token = RunIdentities::new(app.access.tokens().clone()).issue(&run).unwrap().token;
    let headers = |token: &str| {
        let mut headers = http::HeaderMap::new();
        headers.insert(http::header::AUTHORIZATION, format!("Bearer {token}").parse().unwrap());
        headers
    };
    let headers = headers(token.expose_secret());
    let caller = app.access.authenticate(&headers).await.unwrap();
    let role = caller.grants.role_over(&caller.grants.only_limit().unwrap());
    assert_eq!((caller.subject.as_str(), role), ("p/development/r1", Some(Role::Contributor)));
    assert!(policy::may_see(&caller, "p", Some("development")));
    assert!(!policy::may_see(&caller, "p", Some("production")) && !policy::may_see(&caller, "q", None));

    app.runs.claim(1).await.unwrap();
    app.runs.ended(&root("r1"), 1, Outcome::Succeeded).await.unwrap();
    let refused = app.access.authenticate(&headers).await.unwrap_err();
    assert!(matches!(refused.reason, Reason::Invalid("the token has been revoked")), "{refused:?}");
}

#[tokio::test]
async fn the_identity_is_worth_what_its_creator_is() {
    let app = started("r1", task(0, |_| {})).await;
    let run = app.store.run_by_id(&run_id("r1")).await.unwrap().unwrap();
    let token = RunIdentities::new(app.access.tokens().clone()).issue(&run).unwrap().token;
    app.access.inspect(token.expose_secret()).await.unwrap();
    app.store.disable_user("user-Ada", app.clock.now()).await.unwrap();
    let refused = app.access.inspect(token.expose_secret()).await.unwrap_err();
    assert!(matches!(refused, Reason::Invalid("the account is disabled or gone")), "{refused:?}");
}

#[tokio::test]
async fn outputs_are_a_file_once_the_action_has_succeeded() {
    let app = started("r1", task(0, |_| {})).await;
    let action = app.runs.action(&root("r1")).await.unwrap().unwrap();
    for (kind, phase, uri, expected) in [
        (ActionKind::Task, Phase::Succeeded, "o:/p/d/x/1", Some("o:/p/d/x/1/outputs.pb")),
        (ActionKind::Task, Phase::Recovered, "o:/p/d/x/1/", Some("o:/p/d/x/1/outputs.pb")),
        (ActionKind::Trace, Phase::Succeeded, "o:/p/d/x/outputs.pb", Some("o:/p/d/x/outputs.pb")),
        (ActionKind::Trace, Phase::Succeeded, "o:/p/d/x", Some("o:/p/d/x/outputs.pb")),
        (ActionKind::Trace, Phase::Failed, "o:/p/d/x/outputs.pb", None),
        (ActionKind::Task, Phase::Running, "o:/p/d/x/1", None),
        (ActionKind::Condition, Phase::Succeeded, "", None),
    ] {
        let action = Action { kind, phase, output_uri: uri.to_owned(), ..action.clone() };
        assert_eq!(data::outputs_uri(&action).as_deref(), expected, "{kind:?} {phase:?} {uri}");
    }
}

#[test]
fn names_are_made_up() {
    let (one, other) = (random_name().unwrap(), random_name().unwrap());
    assert_ne!(one, other);
    assert!(one.len() == 20 && one.starts_with('r'), "{one}");
    assert!(one.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit()), "{one}");
}
