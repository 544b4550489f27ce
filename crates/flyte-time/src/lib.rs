//! Durations and times as people type them on the command lines of `flyte` and `flyte-server`.
#![forbid(unsafe_code)]

mod moment;
mod period;

pub use self::{moment::Moment, period::Period};

/// A text that is not a duration or a time. The message says how to write one.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct InvalidTime(String);
