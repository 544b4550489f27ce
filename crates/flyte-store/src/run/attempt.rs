//! Attempts at actions.

use bytes::Bytes;
use flyte_model::clock::UnixMillis;

use super::{Action, Failure, Phase, Run};

/// An attempt at an action.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Attempt {
    /// The number, from 1.
    pub number: u32,
    /// The phase: initializing, running, or a final phase.
    pub phase: Phase,
    /// The time since which the action waited for this attempt.
    pub queued_at: UnixMillis,
    /// The time at which the runner claimed it.
    pub claimed_at: UnixMillis,
    /// The time at which its process started.
    pub started_at: Option<UnixMillis>,
    /// The time at which it ended.
    pub ended_at: Option<UnixMillis>,
    /// The failure, if it failed.
    pub failure: Option<Failure>,
}

/// An attempt that the runner has claimed and must work on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct QueuedAttempt {
    /// The action.
    pub action: Action,
    /// The attempt's number, from 1.
    pub attempt: u32,
    /// `flyteidl2.task.TaskSpec`, encoded.
    pub spec: Bytes,
    /// The run: its specification, creator, family and start.
    pub run: Run,
}

impl QueuedAttempt {
    /// Returns the prefix of the attempt's outputs, without a slash at the end.
    #[must_use]
    pub fn output_prefix(&self) -> String {
        self.action.output_prefix(self.attempt)
    }
}

/// The end of an attempt, and what follows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AttemptEnd {
    /// The final phase of the attempt.
    pub phase: Phase,
    /// The failure, if it failed.
    pub failure: Option<Failure>,
    /// The earliest time of the next attempt; `None` if there is none.
    pub retry_at: Option<UnixMillis>,
}
