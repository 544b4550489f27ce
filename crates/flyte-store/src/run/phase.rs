//! The phases of actions.

/// The phase of an action. The numbers are those of `flyteidl2.common.ActionPhase`, and are stored.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Phase {
    /// It waits for the runner.
    Queued = 1,
    /// It waits for free resources on the machine.
    WaitingForResources = 2,
    /// The runner prepares it.
    Initializing = 3,
    /// Its process runs.
    Running = 4,
    /// It succeeded.
    Succeeded = 5,
    /// It failed and is not retried.
    Failed = 6,
    /// It was ended by a principal, or because the action above it ended.
    Aborted = 7,
    /// It exceeded its time limit.
    TimedOut = 8,
    /// It waits for a user's answer.
    Paused = 9,
    /// It has the result of another run's action.
    Recovered = 10,
}

impl Phase {
    /// All phases.
    pub const ALL: [Self; 10] = [
        Self::Queued,
        Self::WaitingForResources,
        Self::Initializing,
        Self::Running,
        Self::Succeeded,
        Self::Failed,
        Self::Aborted,
        Self::TimedOut,
        Self::Paused,
        Self::Recovered,
    ];

    /// Returns the phase with this number, or `None` if no phase has it.
    #[must_use]
    pub fn from_number(number: i64) -> Option<Self> {
        Self::ALL.into_iter().find(|phase| *phase as i64 == number)
    }

    /// Returns whether this phase is final.
    #[must_use]
    pub fn is_terminal(self) -> bool {
        matches!(self, Self::Succeeded | Self::Failed | Self::Aborted | Self::TimedOut | Self::Recovered)
    }
}
