//! The phases of runs and actions.

use std::fmt;
use std::str::FromStr;

use flyte_idl::flyteidl2::common::ActionPhase;
use serde::Serialize;

/// The phase of a run or an action.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Phase {
    /// The server names no phase, or one that this client does not know.
    #[default]
    Unknown,
    /// It waits in a queue.
    Queued,
    /// It waits for resources.
    WaitingForResources,
    /// It is starting.
    Initializing,
    /// It is running.
    Running,
    /// It waits for an answer from a person.
    Paused,
    /// It succeeded.
    Succeeded,
    /// Its result comes from an earlier run.
    Recovered,
    /// It failed.
    Failed,
    /// A person or a parent stopped it.
    Aborted,
    /// It exceeded its time limit.
    TimedOut,
}

impl Phase {
    /// All phases by which a listing can be filtered.
    pub const ALL: [Self; 10] = [
        Self::Queued,
        Self::WaitingForResources,
        Self::Initializing,
        Self::Running,
        Self::Paused,
        Self::Succeeded,
        Self::Recovered,
        Self::Failed,
        Self::Aborted,
        Self::TimedOut,
    ];

    /// Whether the phase is final.
    #[must_use]
    pub fn is_over(self) -> bool {
        self.is_a_success() || matches!(self, Self::Failed | Self::Aborted | Self::TimedOut)
    }

    /// Whether there are outputs.
    #[must_use]
    pub fn is_a_success(self) -> bool {
        matches!(self, Self::Succeeded | Self::Recovered)
    }

    /// The phase's name in JSON and for users, as in the published client.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Unknown => "unknown",
            Self::Queued => "queued",
            Self::WaitingForResources => "waiting_for_resources",
            Self::Initializing => "initializing",
            Self::Running => "running",
            Self::Paused => "paused",
            Self::Succeeded => "succeeded",
            Self::Recovered => "recovered",
            Self::Failed => "failed",
            Self::Aborted => "aborted",
            Self::TimedOut => "timed_out",
        }
    }

    pub(crate) fn number(self) -> i32 {
        let phase = match self {
            Self::Unknown => ActionPhase::ACTION_PHASE_UNSPECIFIED,
            Self::Queued => ActionPhase::ACTION_PHASE_QUEUED,
            Self::WaitingForResources => ActionPhase::ACTION_PHASE_WAITING_FOR_RESOURCES,
            Self::Initializing => ActionPhase::ACTION_PHASE_INITIALIZING,
            Self::Running => ActionPhase::ACTION_PHASE_RUNNING,
            Self::Paused => ActionPhase::ACTION_PHASE_PAUSED,
            Self::Succeeded => ActionPhase::ACTION_PHASE_SUCCEEDED,
            Self::Recovered => ActionPhase::ACTION_PHASE_RECOVERED,
            Self::Failed => ActionPhase::ACTION_PHASE_FAILED,
            Self::Aborted => ActionPhase::ACTION_PHASE_ABORTED,
            Self::TimedOut => ActionPhase::ACTION_PHASE_TIMED_OUT,
        };
        phase as i32
    }
}

impl From<Option<ActionPhase>> for Phase {
    fn from(phase: Option<ActionPhase>) -> Self {
        let number = phase.map_or(0, |phase| phase as i32);
        Self::ALL.into_iter().find(|phase| phase.number() == number).unwrap_or_default()
    }
}

impl fmt::Display for Phase {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.name().replace('_', " "))
    }
}

impl FromStr for Phase {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let wanted = text.to_ascii_lowercase().replace(['-', ' '], "_");
        Self::ALL
            .into_iter()
            .find(|phase| phase.name() == wanted)
            .ok_or_else(|| format!("{text} is not a phase; use {}", Self::ALL.map(Self::name).join(", ")))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_phase_has_its_number_and_its_name() {
        for phase in Phase::ALL {
            assert_eq!(Phase::from(buffa::Enumeration::from_i32(phase.number())), phase);
            assert_eq!(phase.name().parse(), Ok(phase));
            assert_eq!(phase.to_string().parse(), Ok(phase));
        }
        assert_eq!(Phase::from(None), Phase::Unknown);
        assert!("done".parse::<Phase>().unwrap_err().contains("succeeded"));
    }

    #[test]
    fn final_phases_are_known() {
        let over: Vec<_> = Phase::ALL.into_iter().filter(|phase| phase.is_over()).map(Phase::name).collect();
        assert_eq!(over, ["succeeded", "recovered", "failed", "aborted", "timed_out"]);
    }
}
