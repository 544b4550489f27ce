//! Decides what follows an attempt: another one, or the end of its action.

use flyte_idl::flyteidl2::{
    core::{Backoff, RetryStrategy, TaskMetadata},
    task::TaskSpec,
};

use super::time_limit::{TimeLimits, millis, seconds};
use flyte_model::clock::UnixMillis;
use flyte_store::{Action, AttemptEnd, Failure, FailureKind, Overdue, Phase};

/// The number of retries of an action that failed because of the system, not of the task.
const SYSTEM_RETRIES: u32 = 3;
/// The wait before the first such retry, in milliseconds. It doubles with each retry.
const SYSTEM_BACKOFF: i64 = 1000;
/// The maximum number of retries, regardless of the task's settings.
const MOST_RETRIES: u32 = 100;
/// The number of failures after which an action waits at least [`LEAST_BACKOFF`].
const AT_ONCE: u32 = 10;
/// The minimum wait after that number of failures, in milliseconds.
const LEAST_BACKOFF: i64 = 1000;
/// The maximum wait between attempts, in milliseconds.
const MAX_BACKOFF: i64 = 3_600_000;

/// The outcome of an attempt.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// It succeeded.
    Succeeded,
    /// It failed.
    Failed(Failure),
    /// It exceeded its time limit.
    TimedOut {
        /// The time that it took, and the limit.
        message: String,
    },
    /// Unknown: its process is gone and left no result.
    Lost {
        /// How the server noticed.
        reason: String,
    },
    /// It was killed because its action had been aborted.
    Aborted,
}

/// Decides what follows `outcome` of an attempt at `action`.
pub(super) fn decide(spec: &TaskSpec, action: &Action, outcome: Outcome, now: UnixMillis) -> AttemptEnd {
    let metadata = spec
        .task_template
        .as_option()
        .and_then(|template| template.metadata.as_option())
        .cloned()
        .unwrap_or_default();
    let limits = TimeLimits::of(&metadata);
    let (phase, failure) = match outcome {
        Outcome::Succeeded => {
            return AttemptEnd { phase: Phase::Succeeded, failure: None, retry_at: None };
        }
        // Its process was stopped after the action had ended: by a person, by its caller's end, or by its deadline.
        Outcome::Aborted if action.phase == Phase::TimedOut => {
            return AttemptEnd { phase: Phase::TimedOut, failure: action.failure.clone(), retry_at: None };
        }
        Outcome::Aborted => return AttemptEnd { phase: Phase::Aborted, failure: None, retry_at: None },
        Outcome::Failed(failure) => (Phase::Failed, failure),
        Outcome::TimedOut { message } => {
            let passed = |deadline: &i64| now >= action.created_at.saturating_add(*deadline);
            let failure = match limits.deadline.filter(passed) {
                Some(deadline) => past_deadline(deadline),
                None => Failure {
                    kind: FailureKind::User,
                    code: "MAX_RUNTIME_EXCEEDED".to_owned(),
                    message,
                    recoverable: true,
                },
            };
            (Phase::TimedOut, failure)
        }
        Outcome::Lost { reason } => (Phase::Failed, Failure::system("AttemptLost", reason)),
    };
    let wait = wait(&metadata, action, &failure);
    let retry_at = wait
        .map(|wait| now.saturating_add(wait))
        .filter(|at| limits.deadline.is_none_or(|deadline| *at < action.created_at.saturating_add(deadline)));
    AttemptEnd { phase, failure: Some(failure.cut()), retry_at }
}

/// The wait before the next attempt, in milliseconds. `None` if no attempt follows.
fn wait(metadata: &TaskMetadata, action: &Action, failure: &Failure) -> Option<i64> {
    match failure.kind {
        FailureKind::System => (action.system_failures < SYSTEM_RETRIES)
            .then(|| SYSTEM_BACKOFF.saturating_mul(1 << action.system_failures.min(16))),
        FailureKind::User => {
            let strategy = metadata.retries.as_option().cloned().unwrap_or_default();
            let least = if action.user_failures < AT_ONCE { 0 } else { LEAST_BACKOFF };
            (failure.recoverable && action.user_failures < strategy.retries.min(MOST_RETRIES))
                .then(|| backoff(&strategy, action.user_failures).max(least))
        }
    }
}

/// The wait after `failures` earlier ones: `base * factor ^ failures`, at most `cap`.
#[allow(clippy::cast_possible_truncation, clippy::cast_precision_loss, reason = "bounded below")]
fn backoff(strategy: &RetryStrategy, failures: u32) -> i64 {
    let Some(Backoff { base, factor, cap, .. }) = strategy.backoff.as_option() else { return 0 };
    let base = base.as_option().map_or(0, millis);
    let cap = cap.as_option().map(millis).filter(|cap| *cap > 0).unwrap_or(MAX_BACKOFF).min(MAX_BACKOFF);
    let factor = factor.filter(|factor| factor.is_finite() && *factor >= 1.0).unwrap_or(1.0);
    let wait = base as f64 * factor.powi(i32::try_from(failures).unwrap_or(i32::MAX));
    if wait >= cap as f64 { cap } else { wait as i64 }
}

/// The failure of an action that took longer than `limit` milliseconds. `None` for a condition, which ends without a failure. The
/// published package turns these codes into exceptions. The action is not tried again.
pub(super) fn overdue_failure(overdue: Overdue, limit: i64) -> Option<Failure> {
    match overdue {
        Overdue::Deadline => Some(past_deadline(limit)),
        Overdue::Queue => Some(limit_exceeded(
            "QUEUED_TIMEOUT_EXCEEDED",
            format!(
                "no attempt began within {} (max_queued_time); other tasks kept the server busy",
                seconds(limit)
            ),
        )),
        Overdue::Condition => None,
    }
}

fn past_deadline(limit: i64) -> Failure {
    let message = format!("the task did not end within {} of its call (deadline)", seconds(limit));
    limit_exceeded("DEADLINE_EXCEEDED", message)
}

fn limit_exceeded(code: &str, message: String) -> Failure {
    Failure { kind: FailureKind::User, code: code.to_owned(), message, recoverable: false }
}
