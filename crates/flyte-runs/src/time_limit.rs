//! The time limits in a task's metadata.

use buffa_types::google::protobuf::Duration;
use flyte_idl::flyteidl2::{core::TaskMetadata, task::TaskSpec};

/// The time limits of a task, in milliseconds. Zero means no limit, as in the published package.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct TimeLimits {
    /// The limit of one attempt (`timeout`, `Timeout.max_runtime`).
    pub run: Option<i64>,
    /// The limit of the wait for an attempt (`Timeout.max_queued_time`).
    pub queue: Option<i64>,
    /// The limit of the whole action, from its call to its end, with all waits and attempts (`Timeout.deadline`).
    pub deadline: Option<i64>,
}

impl TimeLimits {
    /// The limits in a task's metadata.
    #[must_use]
    pub fn of(metadata: &TaskMetadata) -> Self {
        let limit = |duration: &Duration| Some(millis(duration)).filter(|limit| *limit > 0);
        let timeouts = metadata.timeouts.as_option();
        Self {
            run: metadata.timeout.as_option().and_then(limit),
            queue: timeouts.and_then(|timeouts| timeouts.queued_timeout.as_option()).and_then(limit),
            deadline: timeouts.and_then(|timeouts| timeouts.deadline.as_option()).and_then(limit),
        }
    }

    /// The limits of a task; none if it has no metadata.
    pub fn of_task(spec: &TaskSpec) -> Self {
        let template = spec.task_template.as_option();
        template.and_then(|template| template.metadata.as_option()).map_or_else(Self::default, Self::of)
    }

    /// The whole seconds that an attempt may run if it begins `age` milliseconds after the action was called. Parts of a
    /// second are rounded up.
    #[must_use]
    pub fn seconds(&self, age: i64) -> Option<u64> {
        let left = self.deadline.map(|deadline| deadline.saturating_sub(age).max(1));
        let least = self.run.into_iter().chain(left).min()?;
        u64::try_from(least).ok().map(|least| least.div_ceil(1000))
    }
}

/// A duration in milliseconds; zero if it is negative.
pub(super) fn millis(duration: &Duration) -> i64 {
    duration.seconds.saturating_mul(1000).saturating_add(i64::from(duration.nanos) / 1_000_000).max(0)
}

/// Formats a number of milliseconds for users: `90s`, `0.25s`.
pub(super) fn seconds(millis: i64) -> String {
    match millis % 1000 {
        0 => format!("{}s", millis / 1000),
        rest => format!("{}s", format!("{}.{rest:03}", millis / 1000).trim_end_matches('0')),
    }
}

#[cfg(test)]
mod tests {
    use buffa::MessageField;
    use flyte_idl::flyteidl2::core::TimeoutStrategy;

    use super::*;

    #[test]
    fn the_nearest_limit_counts_and_zero_is_none() {
        let duration =
            |seconds, nanos| MessageField::some(Duration { seconds, nanos, ..Duration::default() });
        let none = TaskMetadata { timeout: duration(0, 0), ..TaskMetadata::default() };
        assert_eq!(TimeLimits::of(&none), TimeLimits::default());
        assert_eq!(TimeLimits::default().seconds(5), None);
        let metadata = TaskMetadata {
            timeout: duration(1, 500_000_000),
            timeouts: MessageField::some(TimeoutStrategy {
                queued_timeout: duration(7, 0),
                deadline: duration(10, 0),
                ..TimeoutStrategy::default()
            }),
            ..TaskMetadata::default()
        };
        let limits = TimeLimits::of(&metadata);
        assert_eq!(limits, TimeLimits { run: Some(1500), queue: Some(7000), deadline: Some(10_000) });
        for (age, expected) in [(0, 2), (8000, 2), (9000, 1), (9999, 1), (20_000, 1)] {
            assert_eq!(limits.seconds(age), Some(expected), "{age}");
        }
    }

    #[test]
    fn times_are_formatted_in_seconds() {
        for (millis, expected) in
            [(1000, "1s"), (90_000, "90s"), (250, "0.25s"), (1500, "1.5s"), (1005, "1.005s")]
        {
            assert_eq!(seconds(millis), expected);
        }
    }
}
