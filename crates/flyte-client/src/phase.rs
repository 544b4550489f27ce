//! Where a run or an action stands in its life.

use std::fmt;
use std::str::FromStr;

use flyte_idl::flyteidl2::common::ActionPhase;
use serde::Serialize;

/// Where a run or an action stands in its life.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Phase {
    /// Something newer than this client, or not told.
    #[default]
    Unknown,
    /// It waits for its turn.
    Queued,
    /// It waits for room to run in.
    WaitingForResources,
    /// It is about to start.
    Initializing,
    /// It runs.
    Running,
    /// It waits for somebody to answer.
    Paused,
    /// It has ended well.
    Succeeded,
    /// Its result was taken over from an earlier run.
    Recovered,
    /// It has ended with an error.
    Failed,
    /// Somebody has stopped it.
    Aborted,
    /// It has taken longer than it may.
    TimedOut,
}

impl Phase {
    /// All that a server is asked for by.
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

    /// Whether nothing will change any more.
    #[must_use]
    pub fn is_over(self) -> bool {
        self.is_a_success() || matches!(self, Self::Failed | Self::Aborted | Self::TimedOut)
    }

    /// Whether there are results.
    #[must_use]
    pub fn is_a_success(self) -> bool {
        matches!(self, Self::Succeeded | Self::Recovered)
    }

    /// Its name on the command line and in JSON, as the published client has it.
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
            .ok_or_else(|| format!("{text} is no phase; they are {}", Self::ALL.map(Self::name).join(", ")))
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
    fn what_is_over_is_known() {
        let over: Vec<_> = Phase::ALL.into_iter().filter(|phase| phase.is_over()).map(Phase::name).collect();
        assert_eq!(over, ["succeeded", "recovered", "failed", "aborted", "timed_out"]);
    }
}
